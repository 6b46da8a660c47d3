//! The receive end of a group, and the outputs that it lends.

use super::group_stats;
use super::submit::cancel;
use crate::cold::Failure;
use crate::error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::outcome::Outcome;
use crate::shared::{Control, GroupHandle};
use crate::slot::Phase;
use crate::stage::StateMachine;
use crate::stats::GroupStats;
use crate::sync;
use crate::wait::{Pause, ROUNDS_PER_CLOCK, Spinner};
use crate::window::{Finished, Order, Receipt};
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

/// Slots that a drain gives back together.
const DRAIN_BATCH: usize = 32;

/// The receive end of a group. Every request that was submitted comes out here once, however it
/// ended.
pub struct Receiver<M: StateMachine> {
    group: GroupHandle<M>,
    /// How the window is read.
    served: Order,
    /// What was asked for: with one worker requests finish as they were submitted, and
    /// [`Order::Completion`] is served as [`Order::Submission`].
    order: Order,
    /// One thread at a time: `Send`, but not `Sync`. A shared [`Output`] would share the payload,
    /// which need not be `Sync`.
    _one_thread: PhantomData<Cell<()>>,
}

impl<M: StateMachine> Receiver<M> {
    pub(super) fn new(group: GroupHandle<M>, order: Order) -> Self {
        let served = group.window.order();
        Self { group, served, order, _one_thread: PhantomData }
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
        Ok(Output::new(self, finished))
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
        Ok(Output::new(self, finished))
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
        Ok(Output::new(self, finished))
    }

    /// Lends up to `max` results that have finished to `each`, one after the other, and returns how
    /// many. Does not wait. The slots are given back in batches of up to 32.
    #[inline]
    pub fn drain(&mut self, max: usize, mut each: impl FnMut(&mut Output<'_, M>)) -> usize {
        // Apart, so that the order is looked at once.
        match self.served {
            Order::Submission => self.drain_in(Order::Submission, max, &mut each),
            Order::Completion => self.drain_in(Order::Completion, max, &mut each),
        }
    }

    #[inline(always)]
    fn drain_in(
        &mut self,
        order: Order,
        max: usize,
        each: &mut impl FnMut(&mut Output<'_, M>),
    ) -> usize {
        let mut drained = 0;
        while drained < max {
            let seen = self.look_ahead(order, DRAIN_BATCH.min(max - drained));
            if seen == 0 {
                // Perhaps there is one that no worker will end.
                let Ok(finished) = self.next_or_why() else { break };
                each(&mut Output::new(self, finished));
                drained += 1;
                continue;
            }
            let drain = Drain { receiver: self };
            for _ in 0..seen {
                let Some(finished) = drain.receiver.next_in(order) else { break };
                let mut output = Output::new(drain.receiver, finished);
                output.is_drained = true;
                each(&mut output);
                drop(output);
                drained += 1;
            }
        }
        drained
    }

    /// Cancels the group: what has not begun to run ends as cancelled, and is received as such;
    /// further submits are refused. A request that has begun may run to its end.
    pub fn cancel(&self) {
        cancel(&self.group);
    }

    /// Index of the group in its pipeline.
    pub fn index(&self) -> usize {
        self.group.index() as usize
    }

    /// The order of its outputs.
    pub fn order(&self) -> Order {
        self.order
    }

    /// Requests submitted and not yet received. While a batch is submitted it may be ahead by up to 64.
    pub fn in_flight(&self) -> usize {
        let window = &self.group.window;
        window.tail().wrapping_sub(window.received()) as usize
    }

    /// Statistics since the group was opened.
    pub fn stats(&self) -> GroupStats {
        group_stats(self.group.shared(), self.group.index())
    }

    #[inline(always)]
    fn next(&self) -> Option<Finished> {
        self.next_in(self.served)
    }

    /// The next result of a group that is read in this order.
    #[inline(always)]
    fn next_in(&self, order: Order) -> Option<Finished> {
        let window = &self.group.window;
        // SAFETY: this is the receive end, and `receive` is not called inside itself.
        unsafe { window.receive(|cursor| window.next_finished(order, cursor)) }
    }

    /// Asks for the lines of up to `max` results that have finished. Returns how many it has seen.
    #[inline(always)]
    fn look_ahead(&self, order: Order, max: usize) -> usize {
        let window = &self.group.window;
        // SAFETY: as in `next_in`.
        unsafe { window.receive(|cursor| window.look_ahead(order, cursor, max)) }
    }

    /// The next result after all, or why there is none.
    #[cold]
    fn next_or_why(&self) -> Result<Finished, TryRecvError> {
        let group = &self.group;
        // Before the second look: what was submitted before the close, and what the workers completed
        // before they left, is then visible.
        let closing = group.control() & (Control::CLOSED | Control::CANCELLED) != 0;
        if closing {
            // Pairs with the light barrier of a submit end between its tail and the control word: one
            // that was not refused is seen.
            sync::heavy_barrier();
        }
        let closed = closing || group.is_submit_closed();
        let gone = group.front.service.is_gone();
        if let Some(finished) = self.next() {
            return Ok(finished);
        }
        if gone {
            // SAFETY: as in `next`; the workers have left, so this thread claims alone.
            let orphan = unsafe { group.window.receive(|cursor| group.window.next_orphan(cursor)) };
            if let Some(orphan) = orphan {
                return Ok(orphan);
            }
        }
        Err(if closed && group.is_quiet() { TryRecvError::Closed } else { TryRecvError::Empty })
    }

    /// Waits for a result, or the end; `None` if neither came in time.
    fn wait(&self, deadline: Option<Instant>) -> Option<Result<Finished, TryRecvError>> {
        let mut spinner = Spinner::new(self.group.shared().wait);
        loop {
            if let Some(finished) = self.next() {
                return Some(Ok(finished));
            }
            let pause = spinner.pause();
            if pause == Pause::Park || spinner.rounds().is_multiple_of(ROUNDS_PER_CLOCK) {
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
                self.group.front.receive_event.wait_until(deadline, || {
                    result = self.next_or_why();
                    result != Err(TryRecvError::Empty)
                });
                return (result != Err(TryRecvError::Empty)).then_some(result);
            }
        }
    }

    /// Goes on to the next result, and gives back the slot of this one unless a drain does.
    #[inline(always)]
    fn release(&mut self, receipt: Receipt, is_drained: bool) {
        let (window, served) = (&self.group.window, self.served);
        // SAFETY: this is the receive end, and `receive` is not called inside itself.
        unsafe { window.receive(|cursor| window.consume(served, cursor, receipt)) };
        if !is_drained {
            self.publish();
        }
    }

    /// As [`release`](Self::release), for a result that has left something in its cold entry.
    #[cold]
    fn release_failed(&mut self, receipt: Receipt, is_drained: bool) {
        let failure = self.take_failure(receipt);
        self.release(receipt, is_drained);
        // Only now: a `Drop` that panics finds the slot released.
        drop(failure);
    }

    /// Gives back the slots that have been consumed.
    #[inline(always)]
    fn publish(&self) {
        let window = &self.group.window;
        // SAFETY: as in `release`.
        unsafe { window.receive(|cursor| window.publish_received(cursor)) };
        self.group.front.submit_event.notify();
    }

    fn take_failure(&self, receipt: Receipt) -> Failure<M::Error> {
        let window = &self.group.window;
        // SAFETY: a finished slot belongs to the receive end until it is released.
        unsafe { window.cold(receipt.slot(), |cold| std::mem::take(&mut (*cold).failure)) }
    }
}

/// Gives back what a drain has consumed, even if the closure or a `Drop` panics.
struct Drain<'a, M: StateMachine> {
    receiver: &'a mut Receiver<M>,
}

impl<M: StateMachine> Drop for Drain<'_, M> {
    #[inline(always)]
    fn drop(&mut self) {
        self.receiver.publish();
    }
}

impl<M: StateMachine> Drop for Receiver<M> {
    fn drop(&mut self) {
        self.group.shared().drop_receiver(self.group.index());
    }
}

impl<M: StateMachine> fmt::Debug for Receiver<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("group", &self.index())
            .field("order", &self.order)
            .finish()
    }
}

/// A result, lent in place: it dereferences to the payload. Dropping it gives the slot back. One
/// that is leaked (`mem::forget`) comes again.
#[must_use = "dropping an output gives its slot back and forgets the result"]
pub struct Output<'a, M: StateMachine> {
    receiver: &'a mut Receiver<M>,
    value: NonNull<M::Data>,
    finished: Finished,
    /// A drain gives the slot back, with others.
    is_drained: bool,
}

// SAFETY: an output is an exclusive borrow of its receiver, which is Send, and of a payload, which is
// Send too; whoever has it may use them.
unsafe impl<M: StateMachine> Send for Output<'_, M> {}

impl<'a, M: StateMachine> Output<'a, M> {
    #[inline(always)]
    fn new(receiver: &'a mut Receiver<M>, finished: Finished) -> Self {
        let window = &receiver.group.window;
        // SAFETY: a finished slot belongs to the receive end until it is released, which happens when
        // this output is dropped; the output borrows the receive end for as long.
        let value = unsafe { window.value(finished.place.slot(), NonNull::new) };
        let value = value.expect("a cell is somewhere");
        Self { receiver, value, finished, is_drained: false }
    }

    /// How the request ended.
    #[inline]
    pub fn outcome(&self) -> Outcome<'_, M::Error> {
        let window = &self.receiver.group.window;
        // SAFETY: the slot is not released before this output is dropped, and `&self` allows no
        // `take_error` meanwhile.
        let failure = unsafe { window.cold(self.finished.place.slot(), |cold| &(*cold).failure) };
        Outcome::new(self.finished.phase, failure, &self.receiver.group.shared().context.table)
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
        let taken = std::mem::replace(&mut *self, value);
        // Here and not at the end of the function: there a `Drop` that panics would leak what is returned
        // (rust-lang/rust#47949).
        drop(self);
        taken
    }

    /// The error of a failed request, by value, or this output if it did not fail.
    pub fn into_error(mut self) -> Result<M::Error, Self> {
        if self.finished.phase != Phase::Failed {
            return Err(self);
        }
        match self.receiver.take_failure(self.finished.receipt()) {
            Failure::Error(error) => {
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
        match self.finished.phase {
            Phase::Failed | Phase::Panicked | Phase::Cyclic => {
                self.receiver.release_failed(self.finished.receipt(), self.is_drained);
            }
            _ => self.receiver.release(self.finished.receipt(), self.is_drained),
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
