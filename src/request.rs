//! The in-place view of a slot that a stage gets.

use crate::cold::{Cold, Failure, NEVER_NS};
use crate::stage::{StageId, StateMachine, Step, Table};
use crate::sync::{AtomicU64, Ordering};
use std::fmt;
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

/// A request while a stage runs on it: its payload, in place, and its circumstances.
///
/// It dereferences to the payload. The stage's answer is made by one of its methods:
/// [`next`](Self::next), [`done`](Self::done), [`fail`](Self::fail), [`drop`](Self::drop).
pub struct Request<'r, M: StateMachine> {
    pub(crate) value: &'r mut M::Data,
    pub(crate) cold: &'r mut Cold<M::Error>,
    pub(crate) context: &'r Context<M>,
    /// Where the worker is (see `Progress::place`), the stage in its low 16 bits.
    pub(crate) place: &'r AtomicU64,
    pub(crate) group: u32,
    pub(crate) position: u64,
}

impl<M: StateMachine> Request<'_, M> {
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
        self.cold.failure = Failure::Error(error);
        Step::FAIL
    }

    /// The answer: the request is dropped. Its group still receives it, as dropped.
    #[inline(always)]
    pub fn drop(&self) -> Step {
        Step::DROP
    }

    /// The stage that runs.
    #[inline(always)]
    pub fn stage(&self) -> StageId<M> {
        StageId::new(self.place.load(Ordering::Relaxed) as u16)
    }

    /// The name of the stage that runs.
    pub fn stage_name(&self) -> &str {
        self.context.table.name(self.stage().index())
    }

    /// Index of the request's group.
    #[inline(always)]
    pub fn group(&self) -> usize {
        self.group as usize
    }

    /// The request's position in its group, as `submit` returned it.
    #[inline(always)]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// When the request expires, if it has a deadline.
    pub fn deadline(&self) -> Option<Instant> {
        let deadline_ns = self.cold.deadline_ns;
        (deadline_ns != NEVER_NS).then(|| self.context.epoch + Duration::from_nanos(deadline_ns))
    }
}

impl<M: StateMachine> Deref for Request<'_, M> {
    type Target = M::Data;

    #[inline(always)]
    fn deref(&self) -> &M::Data {
        self.value
    }
}

impl<M: StateMachine> DerefMut for Request<'_, M> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut M::Data {
        self.value
    }
}

impl<M: StateMachine> fmt::Debug for Request<'_, M>
where
    M::Data: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("group", &self.group)
            .field("position", &self.position)
            .field("stage", &self.stage_name())
            .field("value", &*self.value)
            .finish()
    }
}
