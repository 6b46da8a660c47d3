//! The receive end of a group, and the outputs that it lends.

use super::group_stats;
use super::submit::cancel;
use crate::cold::Failure;
use crate::error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::outcome::Outcome;
use crate::shared::{Control, Group, Shared};
use crate::slot::Phase;
use crate::stage::StateMachine;
use crate::stats::GroupStats;
use crate::sync::Arc;
use crate::wait::{Pause, ROUNDS_PER_CLOCK, Spinner};
use crate::window::{Finished, Order};
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

/// The receive end of a group. Every request that was submitted comes out here once, however it
/// ended.
pub struct Receiver<M: StateMachine> {
    shared: Arc<Shared<M>>,
    index: u32,
    /// One thread at a time: `Send`, but not `Sync`. A shared [`Output`] would share the payload,
    /// which need not be `Sync`.
    _one_thread: PhantomData<Cell<()>>,
}

impl<M: StateMachine> Receiver<M> {
    pub(super) fn new(shared: Arc<Shared<M>>, index: u32) -> Self {
        Self {
            shared,
            index,
            _one_thread: PhantomData,
        }
    }

    #[inline(always)]
    fn group(&self) -> &Group<M::Data, M::Error> {
        self.shared.group(self.index)
    }

    /// Lends the next result, if there is one. Wait-free. The slot is free again when the
    /// [`Output`] is dropped.
    ///
    /// # Errors
    ///
    /// `Empty` if nothing has finished, `Closed` if nothing will.
    #[inline]
    pub fn try_recv(&mut self) -> Result<Output<'_, M>, TryRecvError> {
        let finished = match self.next() {
            Some(finished) => finished,
            None => self.next_or_why()?,
        };
        Ok(Output {
            receiver: self,
            finished,
        })
    }

    /// Lends the next result, and waits for it by the pipeline's wait strategy.
    ///
    /// # Errors
    ///
    /// `Closed` if everything submitted has been received and no more can be submitted.
    #[inline]
    pub fn recv(&mut self) -> Result<Output<'_, M>, RecvError> {
        let finished = match self.next() {
            Some(finished) => finished,
            None => match self.wait(None) {
                Some(Ok(finished)) => finished,
                _ => return Err(RecvError::Closed),
            },
        };
        Ok(Output {
            receiver: self,
            finished,
        })
    }

    /// Lends the next result, and waits for it for no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// `Timeout` if nothing has finished in time, `Closed` if nothing will.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Output<'_, M>, RecvTimeoutError> {
        let finished = match self.next() {
            Some(finished) => finished,
            None => match self.wait(Instant::now().checked_add(timeout)) {
                Some(Ok(finished)) => finished,
                Some(Err(_)) => return Err(RecvTimeoutError::Closed),
                None => return Err(RecvTimeoutError::Timeout),
            },
        };
        Ok(Output {
            receiver: self,
            finished,
        })
    }

    /// Lends up to `max` results that have finished to `each`, one after the other, and returns how
    /// many. Does not wait.
    #[inline]
    pub fn drain(&mut self, max: usize, mut each: impl FnMut(&mut Output<'_, M>)) -> usize {
        let mut drained = 0;
        while drained < max {
            let Ok(mut output) = self.try_recv() else {
                break;
            };
            each(&mut output);
            drained += 1;
        }
        drained
    }

    /// Cancels the group: what has not run ends as cancelled, and is received as such; further
    /// submits are refused. A request that is inside a stage runs to that stage's end at least.
    pub fn cancel(&self) {
        cancel(self.group());
    }

    /// Index of the group in its pipeline.
    pub fn index(&self) -> usize {
        self.index as usize
    }

    /// The order of its outputs.
    pub fn order(&self) -> Order {
        self.group().window.order()
    }

    /// Requests submitted and not yet received.
    pub fn in_flight(&self) -> usize {
        let window = &self.group().window;
        window.tail().wrapping_sub(window.received()) as usize
    }

    /// Statistics since the group was opened.
    pub fn stats(&self) -> GroupStats {
        group_stats(&self.shared, self.index)
    }

    #[inline(always)]
    fn next(&self) -> Option<Finished> {
        let window = &self.group().window;
        // SAFETY: this is the receive end, and `receive` is not called inside itself.
        unsafe { window.receive(|cursor| window.next_finished(cursor)) }
    }

    /// The next result after all, or why there is none.
    #[cold]
    fn next_or_why(&self) -> Result<Finished, TryRecvError> {
        let group = self.group();
        // Before the second look: what was submitted before the close is then visible.
        let closed = group.is_submit_closed() || group.control() & Control::CLOSED != 0;
        if let Some(finished) = self.next() {
            return Ok(finished);
        }
        if group.front.service.is_gone() {
            // SAFETY: as in `next`; the workers have left, so this thread claims alone.
            let orphan = unsafe {
                group
                    .window
                    .receive(|cursor| group.window.next_orphan(cursor))
            };
            if let Some(orphan) = orphan {
                return Ok(orphan);
            }
        }
        Err(if closed && group.is_quiet() {
            TryRecvError::Closed
        } else {
            TryRecvError::Empty
        })
    }

    /// Waits for a result, or the end; `None` if neither came in time.
    fn wait(&self, deadline: Option<Instant>) -> Option<Result<Finished, TryRecvError>> {
        let mut spinner = Spinner::new(self.shared.wait);
        loop {
            if let Some(finished) = self.next() {
                return Some(Ok(finished));
            }
            let pause = spinner.pause();
            if pause == Pause::Park || spinner.rounds() % ROUNDS_PER_CLOCK == 0 {
                match self.next_or_why() {
                    Err(TryRecvError::Empty) => {}
                    result => return Some(result),
                }
                if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    return None;
                }
            }
            if pause == Pause::Park {
                let mut result = Err(TryRecvError::Empty);
                self.group().front.receive_event.wait_until(deadline, || {
                    result = self.next_or_why();
                    result != Err(TryRecvError::Empty)
                });
                return (result != Err(TryRecvError::Empty)).then_some(result);
            }
        }
    }

    /// Gives the slot back.
    #[inline(always)]
    fn release(&mut self, finished: Finished) {
        let group = self.group();
        let failure = match finished.phase {
            Phase::Failed | Phase::Panicked | Phase::Cyclic => self.take_failure(finished),
            _ => None,
        };
        // SAFETY: this is the receive end, and `receive` is not called inside itself.
        unsafe {
            group
                .window
                .receive(|cursor| group.window.release(cursor, finished))
        };
        group.front.submit_event.notify();
        // Only now: a `Drop` that panics finds the slot released.
        drop(failure);
    }

    #[cold]
    fn take_failure(&self, finished: Finished) -> Option<Failure<M::Error>> {
        // SAFETY: a finished slot belongs to the receive end until it is released.
        Some(unsafe {
            self.group().window.cold(finished.place.slot, |cold| {
                std::mem::take(&mut (*cold).failure)
            })
        })
    }
}

impl<M: StateMachine> Drop for Receiver<M> {
    fn drop(&mut self) {
        self.shared.drop_receiver(self.index);
    }
}

impl<M: StateMachine> fmt::Debug for Receiver<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("group", &self.index)
            .field("order", &self.order())
            .finish()
    }
}

/// A result, lent in place: it dereferences to the payload. Dropping it gives the slot back. One
/// that is leaked (`mem::forget`) comes again.
#[must_use = "dropping an output gives its slot back and forgets the result"]
pub struct Output<'a, M: StateMachine> {
    receiver: &'a mut Receiver<M>,
    finished: Finished,
}

impl<M: StateMachine> Output<'_, M> {
    /// How the request ended.
    #[inline]
    pub fn outcome(&self) -> Outcome<'_, M::Error> {
        let window = &self.receiver.group().window;
        // SAFETY: the slot is not released before this output is dropped, and `&self` allows no
        // `take_error` meanwhile.
        let failure = unsafe { window.cold(self.finished.place.slot, |cold| &(*cold).failure) };
        Outcome::new(
            self.finished.phase,
            failure,
            &self.receiver.shared.context.table,
        )
    }

    /// Whether the request was done. Cheaper than [`outcome`](Self::outcome).
    #[inline(always)]
    pub fn is_done(&self) -> bool {
        self.finished.phase == Phase::Done
    }

    /// The request's position, as `submit` returned it.
    #[inline(always)]
    pub fn position(&self) -> u64 {
        self.finished.place.position
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
        std::mem::replace(&mut *self, value)
    }

    /// The error of a failed request, by value, or this output if it did not fail.
    pub fn into_error(mut self) -> Result<M::Error, Self> {
        if self.finished.phase != Phase::Failed {
            return Err(self);
        }
        match self.receiver.take_failure(self.finished) {
            Some(Failure::Error(error)) => {
                // Nothing is left to take when the slot is released.
                self.finished.phase = Phase::Done;
                Ok(error)
            }
            _ => unreachable!("a failed request keeps its error until it is taken"),
        }
    }
}

impl<M: StateMachine> Deref for Output<'_, M> {
    type Target = M::Data;

    #[inline(always)]
    fn deref(&self) -> &M::Data {
        let window = &self.receiver.group().window;
        // SAFETY: the slot belongs to the receive end, which this output borrows, until it is
        // released when this output is dropped.
        unsafe { window.value(self.finished.place.slot, |value| &*value) }
    }
}

impl<M: StateMachine> DerefMut for Output<'_, M> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut M::Data {
        let window = &self.receiver.group().window;
        // SAFETY: as in `deref`; the exclusive borrow makes it the only reference.
        unsafe { window.value(self.finished.place.slot, |value| &mut *value) }
    }
}

impl<M: StateMachine> Drop for Output<'_, M> {
    #[inline(always)]
    fn drop(&mut self) {
        self.receiver.release(self.finished);
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
