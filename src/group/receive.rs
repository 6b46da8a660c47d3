//! The receive end of a group.

use super::group_stats;
use super::letters::DeadLetters;
use super::output::Output;
use super::submit::cancel;
use super::waits::Waited;
use crate::cold::Failure;
use crate::common::Control;
use crate::error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::kept::Kept;
use crate::shared::GroupHandle;
use crate::slot::Phase;
use crate::stage::StateMachine;
use crate::stats::GroupStats;
use crate::sync;
use crate::window::{Finished, Order, Receipt};
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

/// Slots that a drain gives back together.
const DRAIN_BATCH: usize = 32;

/// The receive end of a group. Every request that was submitted comes out here once, however it
/// ended.
pub struct Receiver<M: StateMachine> {
    pub(super) group: GroupHandle<M>,
    /// How the window is read.
    pub(super) served: Order,
    /// What was asked for: with one worker, and a machine that keeps none, requests finish as they were submitted,
    /// and [`Order::Completion`] is served as [`Order::Submission`].
    order: Order,
    /// Some results are kept apart.
    pub(super) keeps_apart: bool,
    /// The result that stays here for want of an empty letter, by its position.
    pub(super) stays: Cell<Option<u64>>,
    /// The end at which they come out, until it is handed out.
    pub(super) untaken: Option<DeadLetters<M>>,
    /// One thread at a time: `Send`, but not `Sync`. A shared [`Output`] would share the payload,
    /// which need not be `Sync`.
    _one_thread: PhantomData<Cell<()>>,
}

impl<M: StateMachine> Receiver<M> {
    pub(super) fn new(
        group: GroupHandle<M>,
        order: Order,
        untaken: Option<DeadLetters<M>>,
    ) -> Self {
        let (served, keeps_apart) = (group.window.order(), untaken.is_some());
        let (stays, _one_thread) = (Cell::new(None), PhantomData);
        Self { group, served, order, keeps_apart, stays, untaken, _one_thread }
    }

    /// Lends the next result, if there is one. Wait-free. The slot is free again when the
    /// [`Output`] is dropped.
    ///
    /// # Errors
    ///
    /// `Empty` if nothing has finished, `Closed` if nothing will.
    #[inline(always)]
    pub fn try_recv(&mut self) -> Result<Output<'_, M>, TryRecvError> {
        let finished = match self.next_done() {
            Some(finished) => finished,
            None => self.next_or_why()?,
        };
        Ok(Output::new(self, finished, false))
    }

    /// Lends the next result, and waits for it by the pipeline's wait strategy.
    ///
    /// # Errors
    ///
    /// `Closed` if everything submitted has been received and no more can be submitted.
    #[inline(always)]
    pub fn recv(&mut self) -> Result<Output<'_, M>, RecvError> {
        self.recv_as(false)
    }

    /// As [`recv`](Self::recv). One that is alone, since only the caller could submit, does not wait with
    /// nothing in flight.
    #[inline(always)]
    pub(super) fn recv_as(&mut self, is_alone: bool) -> Result<Output<'_, M>, RecvError> {
        if self.next_done().is_none() {
            match self.wait(None, is_alone) {
                Waited::Result => {}
                Waited::NothingInFlight => return Err(RecvError::NothingInFlight),
                Waited::Closed | Waited::TimedOut => return Err(RecvError::Closed),
            }
        }
        let finished = self.found();
        Ok(Output::new(self, finished, false))
    }

    /// Lends the next result, and waits for it for no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// `Timeout` if nothing has finished in time, `Closed` if nothing will.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Output<'_, M>, RecvTimeoutError> {
        if self.next_done().is_none() {
            match self.wait(Instant::now().checked_add(timeout), false) {
                Waited::Result => {}
                Waited::Closed => return Err(RecvTimeoutError::Closed),
                Waited::TimedOut | Waited::NothingInFlight => {
                    return Err(RecvTimeoutError::Timeout);
                }
            }
        }
        let finished = self.found();
        Ok(Output::new(self, finished, false))
    }

    /// Lends up to `max` results that have finished to `each`, one after the other, and returns how
    /// many. Does not wait. The slots are given back in batches of up to 32.
    #[inline]
    pub fn drain(&mut self, max: usize, mut each: impl FnMut(&mut Output<'_, M>)) -> usize {
        let mut drained = 0;
        while drained < max {
            let left = DRAIN_BATCH.min(max - drained);
            let lent = match self.served {
                Order::Submission => self.drain_done(left, &mut each),
                Order::Completion => self.drain_completed(left, &mut each),
            };
            drained += lent;
            if lent == 0 {
                // Perhaps the next one has not ended as done, or no worker will end it.
                let Ok(finished) = self.next_or_why() else { break };
                each(&mut Output::new(self, finished, false));
                drained += 1;
            }
        }
        drained
    }

    /// Lends up to `max` results that are done and stand in a row, in [`Order::Submission`].
    #[inline(always)]
    fn drain_done(&mut self, max: usize, each: &mut impl FnMut(&mut Output<'_, M>)) -> usize {
        let window = &self.group.window;
        // SAFETY: this is the receive end, and `receive` is not called inside itself.
        let (first, done) = unsafe { window.receive(|cursor| window.done_in_a_row(cursor, max)) };
        if done > 0 {
            // The window stands still, so it need not be looked for again after each call of `each`.
            let window = std::ptr::from_ref(window);
            let mut drain = Drain { receiver: self, consumed: 0 };
            while drain.consumed < done as u64 {
                // SAFETY: the receiver, which is borrowed, keeps its group.
                let finished = unsafe { &*window }.done_at(first.wrapping_add(drain.consumed));
                drain.consumed += 1;
                each(&mut Output::new(drain.receiver, finished, true));
            }
        }
        done
    }

    /// Lends up to `max` results that one worker has completed, in [`Order::Completion`].
    #[inline(always)]
    fn drain_completed(&mut self, max: usize, each: &mut impl FnMut(&mut Output<'_, M>)) -> usize {
        let window = &self.group.window;
        // SAFETY: as in `drain_done`.
        let seen = unsafe { window.receive(|cursor| window.look_ahead(cursor, max)) };
        let mut lent = 0;
        if seen > 0 {
            let drain = Drain { receiver: self, consumed: 0 };
            while lent < seen {
                // There may be fewer: some are kept apart.
                let receiver = &drain.receiver;
                let next = receiver.next_done().or_else(|| receiver.next());
                let Some(finished) = next else { break };
                drain.receiver.consume(finished.receipt());
                lent += 1;
                each(&mut Output::new(drain.receiver, finished, true));
            }
        }
        lent
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

    /// Requests submitted and not yet received. While a batch is submitted, or a submission refused, it may be
    /// ahead by up to 64.
    pub fn in_flight(&self) -> usize {
        let window = &self.group.window;
        window.tail().wrapping_sub(window.received()) as usize
    }

    /// Statistics since the group was opened.
    pub fn stats(&self) -> GroupStats {
        group_stats(self.group.shared(), self.group.index())
    }

    /// The next result that comes out here, whatever it is.
    #[inline]
    pub(super) fn next(&self) -> Option<Finished> {
        let finished = self.next_finished()?;
        if self.keeps_apart { self.keep_apart(finished) } else { Some(finished) }
    }

    /// The next result, if it is done: what is looked for first.
    #[inline(always)]
    fn next_done(&self) -> Option<Finished> {
        let (window, served) = (&self.group.window, self.served);
        // SAFETY: as in `next_finished`.
        unsafe { window.receive(|cursor| window.next_done(served, cursor)) }
    }

    /// The next result. It stays the next one until it is released.
    #[inline(always)]
    pub(super) fn next_finished(&self) -> Option<Finished> {
        let (window, served) = (&self.group.window, self.served);
        // SAFETY: this is the receive end, and `receive` is not called inside itself.
        unsafe { window.receive(|cursor| window.next_finished(served, cursor)) }
    }

    /// The next result after all, or why there is none.
    #[cold]
    pub(super) fn next_or_why(&self) -> Result<Finished, TryRecvError> {
        if let Some(finished) = self.next() {
            return Ok(finished);
        }
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
            // SAFETY: as in `next_finished`; the workers have left, so this thread claims alone.
            let orphan = unsafe { group.window.receive(|cursor| group.window.next_orphan(cursor)) };
            if let Some(orphan) = orphan {
                return Ok(orphan);
            }
        }
        if closed && group.is_quiet() {
            self.end_letters();
            return Err(TryRecvError::Closed);
        }
        Err(TryRecvError::Empty)
    }

    /// The next result, which has been seen, and so comes out here. Looked at again, where it is used: handed on through memory it would come
    /// later.
    #[inline(always)]
    fn found(&self) -> Finished {
        match self.next_finished() {
            Some(finished) => finished,
            None => self.next_or_why().expect("a result stays until it is released"),
        }
    }

    /// Goes on to the next result.
    #[inline(always)]
    pub(super) fn consume(&self, receipt: Receipt) {
        let (window, served) = (&self.group.window, self.served);
        // SAFETY: as in `next_finished`.
        unsafe { window.receive(|cursor| window.consume(served, cursor, receipt)) };
    }

    /// Goes on to the next result, and gives back the slot of this one, unless a drain does.
    #[inline(never)]
    pub(super) fn release(&mut self, phase: Phase, receipt: Receipt, is_drained: bool) {
        let has_failure = matches!(phase, Phase::Failed | Phase::Panicked | Phase::Cyclic);
        let failure = if has_failure { self.take_failure(receipt) } else { Failure::None };
        if !is_drained {
            self.consume(receipt);
            self.publish();
        }
        // Only now: a `Drop` that panics finds the slot released.
        drop(failure);
    }

    /// Goes on behind so many results that are done and in a row.
    #[inline(always)]
    pub(super) fn consume_done(&mut self, count: u64) {
        let window = &self.group.window;
        // SAFETY: as in `next_finished`.
        unsafe { window.receive(|cursor| window.consume_done(cursor, count)) };
    }

    /// Gives back the slots that have been consumed.
    #[inline(always)]
    pub(super) fn publish(&self) {
        let window = &self.group.window;
        // SAFETY: as in `next_finished`.
        unsafe { window.receive(|cursor| window.publish_received(cursor)) };
        self.group.front.submit_event.notify();
    }

    /// What is remembered of a finished request beside its slot, if it has been kept.
    ///
    /// # Safety
    ///
    /// It is not released while the reference lasts.
    pub(super) unsafe fn kept(&self, finished: Finished) -> Option<&Kept> {
        if !M::KEEPS {
            return None;
        }
        // SAFETY: a finished slot belongs to the receive end until it is released; it is not, by this function's
        // contract.
        unsafe { self.group.window.kept(finished.slot(), |kept| (*kept).if_of(finished.position)) }
    }

    pub(super) fn take_failure(&self, receipt: Receipt) -> Failure<M::Error> {
        let window = &self.group.window;
        // SAFETY: a finished slot belongs to the receive end until it is released.
        unsafe { window.cold(receipt.slot(), |cold| std::mem::take(&mut (*cold).failure)) }
    }
}

/// Gives back what a drain has consumed, even if the closure or a `Drop` panics.
struct Drain<'a, M: StateMachine> {
    receiver: &'a mut Receiver<M>,
    /// Results in a row that the receive end has yet to go on from.
    consumed: u64,
}

impl<M: StateMachine> Drop for Drain<'_, M> {
    #[inline(always)]
    fn drop(&mut self) {
        self.receiver.consume_done(self.consumed);
        self.receiver.publish();
    }
}

impl<M: StateMachine> Drop for Receiver<M> {
    fn drop(&mut self) {
        // First: then the group may be another's.
        self.end_letters();
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
