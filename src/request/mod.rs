//! The in-place view of a slot that a stage gets.

mod kept;
mod ticket;

pub use ticket::Ticket;

use crate::cold::{Cold, Failure, NEVER_NS};
use crate::common::Common;
use crate::slot::{Phase, Slot};
use crate::stage::{StageId, StateMachine, Step, Table};
use crate::status;
use crate::sync::{Arc, AtomicU32, Ordering};
use crate::window::Window;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

/// What the requests of one pipeline have in common.
pub(crate) struct Context<M: StateMachine> {
    /// The frozen stage table.
    pub(crate) table: Table<M>,
    /// The instant that the pipeline's time stamps count from.
    pub(crate) epoch: Instant,
}

impl<M: StateMachine> Context<M> {
    /// Nanoseconds since the epoch. One clock read.
    #[inline]
    pub(crate) fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }
}

/// What a thread that runs stages is among the others.
pub(crate) struct Seat<'s, M: StateMachine> {
    pub(crate) common: &'s Arc<Common<M::Data, M::Error>>,
    /// Its index among them.
    pub(crate) lane: usize,
    /// The queue that it takes requests from.
    pub(crate) hop: usize,
}

impl<M: StateMachine> Clone for Seat<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: StateMachine> Copy for Seat<'_, M> {}

/// What the requests of one batch have in common.
pub(crate) struct Scope<'r, M: StateMachine> {
    pub(crate) window: &'r Window<M::Data, M::Error>,
    pub(crate) context: &'r Context<M>,
    /// The thread that runs them.
    pub(crate) seat: &'r Seat<'r, M>,
    /// The stage that the worker is in.
    pub(crate) stage: &'r AtomicU32,
    pub(crate) group: u32,
    /// The position of the batch's first request.
    pub(crate) first: u64,
}

/// A request while a stage runs on it: its payload, in place, and its circumstances.
///
/// It dereferences to the payload. The stage's answer is made by one of its methods:
/// [`next`](Self::next), [`done`](Self::done), [`fail`](Self::fail), [`drop`](Self::drop).
///
/// It is two pointers, of which the worker writes one for each request: a store to its own memory
/// waits in the same queue as the stores that fetch a slot from another CPU.
pub struct Request<'r, M: StateMachine> {
    /// Claimed by the worker, which owns the payload and the cold entry. Nobody else refers to them.
    slot: &'r Slot<M::Data>,
    scope: &'r Scope<'r, M>,
    /// It stands for an exclusive reference to the payload, and may be shared and sent where that may.
    _payload: PhantomData<&'r mut M::Data>,
}

impl<'r, M: StateMachine> Request<'r, M> {
    /// The request in this slot.
    ///
    /// # Safety
    ///
    /// The calling thread has claimed the slot, as one of the batch that `scope` describes, and does
    /// not complete it while the request or the lifetime `'r` lasts. No other request stands for it.
    #[inline(always)]
    pub(crate) unsafe fn new(slot: &'r Slot<M::Data>, scope: &'r Scope<'r, M>) -> Self {
        Self { slot, scope, _payload: PhantomData }
    }

    /// The same request once more.
    ///
    /// # Safety
    ///
    /// One of the two is not used as long as the other is.
    #[inline(always)]
    pub(crate) unsafe fn twin(&self) -> Self {
        Self { slot: self.slot, scope: self.scope, _payload: PhantomData }
    }

    /// Goes on to another slot.
    ///
    /// # Safety
    ///
    /// As for [`new`](Self::new).
    #[inline(always)]
    pub(crate) unsafe fn go_to(&mut self, slot: &'r Slot<M::Data>) {
        self.slot = slot;
    }

    /// The number of stages.
    pub(crate) fn stages(&self) -> usize {
        self.scope.context.table.len()
    }

    /// The position of its batch's first request.
    #[inline(always)]
    pub(crate) fn first(&self) -> u64 {
        self.scope.first
    }

    /// What is rarely touched of it.
    #[inline]
    pub(crate) fn cold(&self) -> &Cold<M::Error> {
        let window = self.scope.window;
        // SAFETY: by the contract of `new` the slot is owned, and `&self` excludes `cold_mut`.
        unsafe { window.cold(window.index_of(self.slot), |cold| &*cold) }
    }

    /// As [`cold`](Self::cold), to be written.
    #[inline]
    pub(crate) fn cold_mut(&mut self) -> &mut Cold<M::Error> {
        let window = self.scope.window;
        // SAFETY: as in `cold`; the exclusive borrow makes it the only reference.
        unsafe { window.cold(window.index_of(self.slot), |cold| &mut *cold) }
    }
}

impl<M: StateMachine> Request<'_, M> {
    /// Its stage has answered that it has failed, with this status. The answer may have been kept from another
    /// request, and an error be left from one whose stage made it and then answered otherwise.
    #[cold]
    pub(crate) fn fails(&mut self, status: u32) -> Phase {
        let position = self.position();
        self.note_status(status, status::FAIL);
        let cold = self.cold_mut();
        if !matches!(cold.failure, Failure::Error(_)) || cold.failed_at != position {
            cold.failure = Failure::Status;
        }
        Phase::Failed
    }

    /// Notes the status by which it ends, unless it is the usual one and no other has been noted.
    pub(crate) fn note_status(&mut self, status: u32, usual: u32) {
        // Another one was that of an earlier attempt. Asked first: it spares the line of the cold entry.
        if status == usual && !self.was_kept() {
            return;
        }
        let position = self.position();
        let cold = self.cold_mut();
        if status != usual || cold.status_of(position).is_some() {
            (cold.status, cold.status_at) = (status, position);
        }
    }

    /// The answer: go on to this stage.
    #[inline(always)]
    pub fn next(&self, stage: StageId<M>) -> Step {
        Step::next(stage)
    }

    /// The answer: the request is done.
    #[inline(always)]
    pub fn done(&self) -> Step {
        Step::DONE
    }

    /// The answer: the request has failed.
    #[inline]
    pub fn fail(&mut self, error: M::Error) -> Step {
        self.set_error(error);
        Step::FAIL
    }

    /// Says with what the request has failed, for a stage that answers by a status of its own
    /// ([`Step::from_status`]).
    #[inline]
    pub fn set_error(&mut self, error: M::Error) {
        let position = self.position();
        let cold = self.cold_mut();
        // The failure first: the one before, which is dropped, may panic.
        cold.failure = Failure::Error(error);
        cold.failed_at = position;
    }

    /// The answer: the request is dropped. Its group still receives it, as dropped.
    #[inline(always)]
    pub fn drop(&self) -> Step {
        Step::DROP
    }

    /// The stage that runs.
    #[inline(always)]
    pub fn stage(&self) -> StageId<M> {
        StageId::new(self.scope.stage.load(Ordering::Relaxed) as u16)
    }

    /// The name of the stage that runs.
    pub fn stage_name(&self) -> &str {
        self.scope.context.table.name(self.stage().index())
    }

    /// Index of the request's group.
    #[inline(always)]
    pub fn group(&self) -> usize {
        self.scope.group as usize
    }

    /// The request's position in its group, as `submit` returned it.
    #[inline(always)]
    pub fn position(&self) -> u64 {
        self.slot.position(self.scope.first)
    }

    /// When the request expires, if it has a deadline.
    pub fn deadline(&self) -> Option<Instant> {
        let deadline_ns = self.cold().deadline_ns;
        (deadline_ns != NEVER_NS)
            .then(|| self.scope.context.epoch + Duration::from_nanos(deadline_ns))
    }
}

impl<M: StateMachine> Deref for Request<'_, M> {
    type Target = M::Data;

    #[inline(always)]
    fn deref(&self) -> &M::Data {
        // SAFETY: by the contract of `new` the slot is owned; an exclusive reference would need
        // `&mut self`.
        unsafe { self.slot.value(|value| &*value) }
    }
}

impl<M: StateMachine> DerefMut for Request<'_, M> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut M::Data {
        // SAFETY: as in `deref`; the exclusive borrow makes it the only reference.
        unsafe { self.slot.value(|value| &mut *value) }
    }
}

impl<M: StateMachine> fmt::Debug for Request<'_, M>
where
    M::Data: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("group", &self.group())
            .field("position", &self.position())
            .field("stage", &self.stage_name())
            .field("value", &**self)
            .finish()
    }
}
