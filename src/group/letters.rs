//! The dead-letter end of a group: results that the receive end has kept apart.

use super::Receiver;
use crate::cold::Failure;
use crate::common::{Letter, Letters};
use crate::error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::kept::Kept;
use crate::outcome::Outcome;
use crate::shared::GroupHandle;
use crate::stage::{StageId, StateMachine};
use crate::wait::wait_for;
use crate::window::Finished;
use arrayvec::ArrayString;
use std::cell::Cell;
use std::fmt;
use std::mem::{replace, take};
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};
use std::time::{Duration, Instant};

impl<M: StateMachine> Receiver<M> {
    /// The end at which the results come out that failed, were abandoned, panicked, ended as cyclic, or expired, if the group
    /// was opened with [`GroupOptions::dead_letters`](crate::GroupOptions::dead_letters) and it has not
    /// been handed out before.
    pub fn dead_letters(&mut self) -> Option<DeadLetters<M>> {
        self.untaken.take()
    }

    /// The next result that comes out here, from this one on. Those before it are put into letters.
    ///
    /// What once stays here does so until it is released, though there may be an empty letter by then: a result
    /// that has been seen is looked for again.
    #[cold]
    pub(super) fn keep_apart(&self, mut finished: Finished) -> Option<Finished> {
        while finished.phase.is_dead() && self.stays.get() != Some(finished.position) {
            if !self.put_away(finished) {
                self.stays.set(Some(finished.position));
                break;
            }
            finished = self.next_finished()?;
        }
        Some(finished)
    }

    /// Puts the next result into a letter, and gives its slot back. Whether there was a letter for it.
    fn put_away(&self, finished: Finished) -> bool {
        let group = &self.group;
        // Where nobody is there to read them, results come out here.
        let Some(letters) = group.letters().filter(|_| !group.is_letters_closed()) else {
            return false;
        };
        let Some(letter) = letters.take_empty() else { return false };
        let (window, slot) = (&group.window, finished.slot());
        // SAFETY: the index has just been taken out of its queue; the slot has finished and belongs to the
        // receive end until it is released. Nothing here runs code of the user's.
        unsafe {
            letters.letter(letter, |letter| {
                window.value(slot, |value| ptr::swap(&raw mut (*letter).payload, value));
                window.cold(slot, |cold| {
                    (*letter).stage = (*cold).stage;
                    (*letter).status = (*cold).status_of(finished.position);
                    // That of the letter was taken when it was given back.
                    ptr::swap(&raw mut (*letter).failure, &raw mut (*cold).failure);
                });
                let kept = self.kept(finished);
                (*letter).attempts = kept.map_or(1, Kept::attempts);
                (*letter).description = kept.map_or_else(ArrayString::new, |kept| kept.description);
                (*letter).phase = finished.phase;
                (*letter).position = finished.position;
            });
        }
        self.consume(finished.receipt());
        self.publish();
        letters.fill(letter);
        true
    }

    /// Tells the dead-letter end, if there is one, that nothing more comes.
    pub(super) fn end_letters(&self) {
        if self.keeps_apart
            && let Some(letters) = self.group.letters()
        {
            letters.end();
        }
    }
}

/// The dead-letter end of a group: what failed, was abandoned, panicked, ended as cyclic, or expired comes out here and
/// not at the [`Receiver`], as letters of which the pipeline has a fixed number
/// ([`Builder::dead_letters`](crate::Builder::dead_letters)).
///
/// The receive end fills a letter when it comes to such a result in its turn, and gives the slot back; so
/// letters come in its order, and while it is not asked nothing comes. The request counts as what it ended as, and as
/// received. Each of those that share the outcome of a leader ([`Request::hold`](crate::Request::hold)) has a letter of its
/// own, in its own group. While no letter is empty such results come out at the receive end, as they would without this end, and
/// so they do when it has been dropped: letters that are left in it are then lost.
///
/// A group can be opened anew when this end is dropped, too.
pub struct DeadLetters<M: StateMachine> {
    group: GroupHandle<M>,
    /// The letter that is lent, or was and has been leaked. A cell, which also makes this end one for one
    /// thread at a time.
    current: Cell<Option<u32>>,
}

/// How a wait ended.
enum Waited {
    Letter,
    Closed,
}

impl<M: StateMachine> DeadLetters<M> {
    pub(super) fn new(group: GroupHandle<M>) -> Self {
        Self { group, current: Cell::new(None) }
    }

    /// Lends the next letter, if there is one. It can be filled again when the [`DeadLetter`] is dropped.
    ///
    /// # Errors
    ///
    /// `Empty` if there is none, `Closed` if there will be none: the receive end has said `Closed`, or is
    /// dropped.
    pub fn try_recv(&mut self) -> Result<DeadLetter<'_, M>, TryRecvError> {
        let letter = match self.next() {
            Some(letter) => letter,
            None => self.next_or_why()?,
        };
        Ok(DeadLetter::new(self, letter))
    }

    /// Lends the next letter, and waits for it by the pipeline's wait strategy. A thread that holds the receive
    /// end too must not wait here: nobody else would fill a letter.
    ///
    /// # Errors
    ///
    /// `Closed` if there will be none.
    pub fn recv(&mut self) -> Result<DeadLetter<'_, M>, RecvError> {
        if let Some(Waited::Closed) = self.wait(None) {
            return Err(RecvError::Closed);
        }
        let letter = self.next().expect("it stays until it is given back");
        Ok(DeadLetter::new(self, letter))
    }

    /// Lends the next letter, and waits for it for no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// `Timeout` if none has come in time, `Closed` if there will be none.
    pub fn recv_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<DeadLetter<'_, M>, RecvTimeoutError> {
        match self.wait(Instant::now().checked_add(timeout)) {
            None => return Err(RecvTimeoutError::Timeout),
            Some(Waited::Closed) => return Err(RecvTimeoutError::Closed),
            Some(Waited::Letter) => {}
        }
        let letter = self.next().expect("it stays until it is given back");
        Ok(DeadLetter::new(self, letter))
    }

    /// Lends up to `max` letters to `each`, one after the other, and returns how many. Does not wait.
    pub fn drain(&mut self, max: usize, mut each: impl FnMut(&mut DeadLetter<'_, M>)) -> usize {
        let mut drained = 0;
        while drained < max {
            let Ok(mut letter) = self.try_recv() else { break };
            each(&mut letter);
            drained += 1;
        }
        drained
    }

    /// Index of the group in its pipeline.
    pub fn index(&self) -> usize {
        self.group.index() as usize
    }

    fn letters(&self) -> &Letters<M::Data, M::Error> {
        self.group.letters().expect("the opening has made sure of them")
    }

    /// The next letter. It stays the next one until it is given back.
    fn next(&self) -> Option<u32> {
        if self.current.get().is_none() {
            self.current.set(self.letters().take_full());
        }
        self.current.get()
    }

    /// The next letter after all, or why there is none.
    fn next_or_why(&self) -> Result<u32, TryRecvError> {
        // Before the second look: rule 4 of `common::letters`.
        let is_over = self.letters().is_over();
        let none = if is_over { TryRecvError::Closed } else { TryRecvError::Empty };
        self.next().ok_or(none)
    }

    /// Waits for a letter, or the end; `None` if the time is up.
    fn wait(&self, deadline: Option<Instant>) -> Option<Waited> {
        let look = || self.next().map(|_| Waited::Letter);
        let why = || match self.next_or_why() {
            Ok(_) => Some(Waited::Letter),
            Err(TryRecvError::Closed) => Some(Waited::Closed),
            Err(TryRecvError::Empty) => None,
        };
        wait_for(self.group.shared().wait, &self.letters().event, deadline, look, why)
    }
}

impl<M: StateMachine> Drop for DeadLetters<M> {
    fn drop(&mut self) {
        self.group.shared().drop_letters(self.group.index());
    }
}

impl<M: StateMachine> fmt::Debug for DeadLetters<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetters").field("group", &self.index()).finish_non_exhaustive()
    }
}

/// A result that was kept apart, lent: it dereferences to the payload. Dropping it forgets the result, and the
/// letter can be filled again. One that is leaked (`mem::forget`) comes again.
#[must_use = "dropping a dead letter forgets the result"]
pub struct DeadLetter<'a, M: StateMachine> {
    end: &'a mut DeadLetters<M>,
    index: u32,
    letter: NonNull<Letter<M::Data, M::Error>>,
}

// SAFETY: a dead letter is an exclusive borrow of its end, which is Send, and of a payload and an error, which
// are Send too; whoever has it may use them.
unsafe impl<M: StateMachine> Send for DeadLetter<'_, M> {}

impl<'a, M: StateMachine> DeadLetter<'a, M> {
    fn new(end: &'a mut DeadLetters<M>, index: u32) -> Self {
        // SAFETY: the end has the index, and keeps it until this letter is dropped, which borrows the end for
        // as long.
        let letter = unsafe { end.letters().letter(index, NonNull::new) };
        let letter = letter.expect("a cell is somewhere");
        Self { end, index, letter }
    }

    fn letter(&self) -> &Letter<M::Data, M::Error> {
        // SAFETY: see `new`; an exclusive reference would need `&mut self`.
        unsafe { self.letter.as_ref() }
    }

    fn letter_mut(&mut self) -> &mut Letter<M::Data, M::Error> {
        // SAFETY: see `new`; the exclusive borrow makes it the only reference.
        unsafe { self.letter.as_mut() }
    }

    /// How the request ended, and why.
    pub fn outcome(&self) -> Outcome<'_, M::Error> {
        let letter = self.letter();
        Outcome::new(
            letter.phase,
            letter.status,
            &letter.failure,
            &self.end.group.shared().context.table,
        )
    }

    /// The stage that the request was in as it ended, or was about to enter; of one that shares the outcome of a leader,
    /// that of the leader.
    pub fn stage(&self) -> StageId<M> {
        StageId::new(self.letter().stage)
    }

    /// The name of that stage.
    pub fn stage_name(&self) -> &str {
        self.end.group.shared().context.table.name(self.stage().index())
    }

    /// The request's position, as `submit` returned it.
    pub fn position(&self) -> u64 {
        self.letter().position
    }

    /// As [`Output::attempts`](crate::Output::attempts).
    pub fn attempts(&self) -> u32 {
        self.letter().attempts
    }

    /// As [`Output::description`](crate::Output::description).
    pub fn description(&self) -> &str {
        &self.letter().description
    }

    /// Takes the payload out and leaves a default one in the letter.
    pub fn take(self) -> M::Data
    where
        M::Data: Default,
    {
        self.replace(M::Data::default())
    }

    /// Takes the payload out and leaves another one in the letter, which a slot will have next.
    pub fn replace(mut self, value: M::Data) -> M::Data {
        let taken = replace(&mut *self, value);
        // Here and not at the end of the function: there a `Drop` that panics would leak what is returned
        // (rust-lang/rust#47949).
        drop(self);
        taken
    }

    /// The error of a failed request, by value, or this letter if it has none.
    pub fn into_error(mut self) -> Result<M::Error, Self> {
        if !matches!(self.outcome(), Outcome::Failed { .. }) {
            return Err(self);
        }
        match take(&mut self.letter_mut().failure) {
            Failure::Error(error) => Ok(error),
            _ => unreachable!("the error has just been seen"),
        }
    }
}

impl<M: StateMachine> Deref for DeadLetter<'_, M> {
    type Target = M::Data;

    fn deref(&self) -> &M::Data {
        &self.letter().payload
    }
}

impl<M: StateMachine> DerefMut for DeadLetter<'_, M> {
    fn deref_mut(&mut self) -> &mut M::Data {
        &mut self.letter_mut().payload
    }
}

impl<M: StateMachine> Drop for DeadLetter<'_, M> {
    fn drop(&mut self) {
        let failure = take(&mut self.letter_mut().failure);
        self.end.current.set(None);
        self.end.letters().give_back(self.index);
        // Only now: a `Drop` that panics finds the letter given back.
        drop(failure);
    }
}

impl<M: StateMachine> fmt::Debug for DeadLetter<'_, M>
where
    M::Data: fmt::Debug,
    M::Error: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("position", &self.position())
            .field("stage", &self.stage_name())
            .field("outcome", &self.outcome())
            .field("value", &**self)
            .finish()
    }
}
