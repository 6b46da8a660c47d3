//! What a receive end lends.

use super::receive::Receiver;
use crate::cold::Failure;
use crate::kept::Kept;
use crate::outcome::Outcome;
use crate::slot::Phase;
use crate::stage::StateMachine;
use crate::window::{Finished, Order};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// A result, lent in place: it dereferences to the payload. Dropping it gives the slot back. One
/// that is leaked (`mem::forget`) comes again.
#[must_use = "dropping an output gives its slot back and forgets the result"]
#[repr(C)]
pub struct Output<'a, M: StateMachine> {
    finished: Finished,
    receiver: &'a mut Receiver<M>,
    value: NonNull<M::Data>,
    /// A drain gives the slot back, with others.
    is_drained: bool,
}

// SAFETY: an output is an exclusive borrow of its receiver, which is Send, and of a payload, which is
// Send too; whoever has it may use them.
unsafe impl<M: StateMachine> Send for Output<'_, M> {}

impl<'a, M: StateMachine> Output<'a, M> {
    #[inline(always)]
    pub(super) fn new(receiver: &'a mut Receiver<M>, finished: Finished, is_drained: bool) -> Self {
        let window = &receiver.group.window;
        // SAFETY: a finished slot belongs to the receive end until it is released, which happens when
        // this output is dropped; the output borrows the receive end for as long.
        let value = unsafe { window.value(finished.slot(), NonNull::new) };
        let value = value.expect("a cell is somewhere");
        Self { receiver, value, finished, is_drained }
    }

    /// How the request ended.
    #[inline]
    pub fn outcome(&self) -> Outcome<'_, M::Error> {
        let window = &self.receiver.group.window;
        // SAFETY: the slot is not released before this output is dropped, and `&self` allows no
        // `take_error` meanwhile.
        let cold = unsafe { window.cold(self.finished.slot(), |cold| &*cold) };
        let table = &self.receiver.group.shared().context.table;
        let status = cold.status_of(self.finished.position);
        Outcome::new(self.finished.phase, status, &cold.failure, table)
    }

    /// Whether the request was done. Cheaper than [`outcome`](Self::outcome).
    #[inline(always)]
    pub fn is_done(&self) -> bool {
        self.finished.phase == Phase::Done
    }

    /// Whether the request was dropped, whatever its status. Cheaper than [`outcome`](Self::outcome).
    #[inline(always)]
    pub fn is_dropped(&self) -> bool {
        self.finished.phase == Phase::Dropped
    }

    /// The request's position, as `submit` returned it.
    #[inline(always)]
    pub fn position(&self) -> u64 {
        self.finished.position
    }

    /// What a stage said of the request ([`Request::describe`](crate::Request::describe)): nothing, unless the machine
    /// keeps requests.
    pub fn description(&self) -> &str {
        self.kept().map_or("", |kept| kept.description.as_str())
    }

    /// How many attempts the request had at the stage that last asked for a retry: 1 if none did.
    pub fn attempts(&self) -> u32 {
        self.kept().map_or(1, Kept::attempts)
    }

    fn kept(&self) -> Option<&Kept> {
        // SAFETY: the slot is not released before this output is dropped.
        unsafe { self.receiver.kept(self.finished) }
    }

    /// Takes the payload out and leaves a default one in the slot.
    #[inline]
    pub fn take(self) -> M::Data
    where
        M::Data: Default,
    {
        self.replace(M::Data::default())
    }

    /// Takes the payload out and leaves another one in the slot.
    #[inline]
    pub fn replace(mut self, value: M::Data) -> M::Data {
        let taken = std::mem::replace(&mut *self, value);
        // Here and not at the end of the function: there a `Drop` that panics would leak what is returned
        // (rust-lang/rust#47949).
        drop(self);
        taken
    }

    /// The error of a failed request, by value, or this output if it has none.
    pub fn into_error(mut self) -> Result<M::Error, Self> {
        if !matches!(self.outcome(), Outcome::Failed { .. }) {
            return Err(self);
        }
        match self.receiver.take_failure(self.finished.receipt()) {
            Failure::Error(error) => {
                // Nothing is left to take when the slot is released.
                self.finished.phase = Phase::Done;
                Ok(error)
            }
            _ => unreachable!("the error has just been seen"),
        }
    }
}

impl<M: StateMachine> Deref for Output<'_, M> {
    type Target = M::Data;

    #[inline(always)]
    fn deref(&self) -> &M::Data {
        // SAFETY: see `new`; an exclusive reference would need `&mut self`.
        unsafe { self.value.as_ref() }
    }
}

impl<M: StateMachine> DerefMut for Output<'_, M> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut M::Data {
        // SAFETY: see `new`; the exclusive borrow makes it the only reference.
        unsafe { self.value.as_mut() }
    }
}

impl<M: StateMachine> Drop for Output<'_, M> {
    #[inline(always)]
    fn drop(&mut self) {
        let (phase, is_drained) = (self.finished.phase, self.is_drained);
        // The usual case apart, so that it is short enough to be inlined.
        if phase == Phase::Done && is_drained {
        } else if phase == Phase::Done && self.receiver.served == Order::Submission {
            self.receiver.consume_done(1);
            self.receiver.publish();
        } else {
            self.receiver.release(phase, self.finished.receipt(), is_drained);
        }
    }
}

impl<M: StateMachine> fmt::Debug for Output<'_, M>
where
    M::Data: fmt::Debug,
    M::Error: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("position", &self.position())
            .field("outcome", &self.outcome())
            .field("value", &**self)
            .finish()
    }
}
