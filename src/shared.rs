//! What the handles and the threads of one pipeline share: what they have in common whatever the machine
//! (`common`), its stages, and the rules by which they run.

use crate::common::{Common, Group, Letters};
use crate::limits::TRACE_LEN;
use crate::request::Context;
use crate::retry::Retry;
use crate::slab::Slab;
use crate::stage::{Hook, StateMachine};
use crate::stats::AtomicHistogram;
use crate::sync::Arc;
use std::ops::Deref;
use std::ptr::NonNull;

/// How the workers are to run requests, fixed at build.
pub struct Rules<M: StateMachine> {
    /// Run before each stage.
    pub hooks: Box<[Hook<M>]>,
    /// No request may come back to a stage.
    pub dag: bool,
    /// Stages that one request may run through.
    pub visits_max: u32,
    /// For requests that need no more than their stages run one after the other: after how many of
    /// them the checked loop takes over, which keeps a trace of the last ones. One pass through the
    /// table may come on top. `None` if every request is to be checked.
    pub plain_visits: Option<u32>,
    /// For each stage, how the requests are retried of which it asks that; none for machines that keep none.
    pub retries: Box<[Retry<M>]>,
    /// Requests that a worker claims at once, at most.
    pub batch_max: usize,
    /// A request's times are taken if its position has none of these bits.
    pub sample_mask: u64,
}

impl<M: StateMachine> Rules<M> {
    /// Of a machine with so many stages, see [`plain_visits`](Self::plain_visits).
    pub fn plain_visits_of(visits_max: u32, is_checked: bool, stages: usize) -> Option<u32> {
        let more = u32::try_from(TRACE_LEN + stages).ok()?;
        if is_checked { None } else { visits_max.checked_sub(more) }
    }
}

/// Makes the machine of a worker.
pub type Factory<M> = dyn Fn() -> M + Send + Sync;

/// All that the handles and threads of one pipeline share.
pub struct Shared<M: StateMachine> {
    pub context: Context<M>,
    pub rules: Rules<M>,
    pub factory: Box<Factory<M>>,
    pub common: Arc<Common<M::Data, M::Error>>,
    pub stage_times: Slab<AtomicHistogram>,
}

impl<M: StateMachine> Deref for Shared<M> {
    type Target = Common<M::Data, M::Error>;

    #[inline(always)]
    fn deref(&self) -> &Self::Target {
        &self.common
    }
}

/// A group as its ends hold it: found once, and kept alive.
pub struct GroupHandle<M: StateMachine> {
    shared: Arc<Shared<M>>,
    group: NonNull<Group<M::Data, M::Error>>,
    index: u32,
}

// SAFETY: the handle is an `Arc<Shared<M>>` and a shared reference into it; `Shared` is Sync, since
// its groups are for payloads and errors that are Send.
unsafe impl<M: StateMachine> Send for GroupHandle<M> {}

impl<M: StateMachine> GroupHandle<M> {
    pub fn new(shared: Arc<Shared<M>>, index: u32) -> Self {
        let group = NonNull::from(shared.group(index));
        Self { shared, group, index }
    }

    pub fn shared(&self) -> &Shared<M> {
        &self.shared
    }

    #[inline(always)]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The group's dead letters, if the pipeline has any.
    pub fn letters(&self) -> Option<&Letters<M::Data, M::Error>> {
        self.shared.letters.get(self.index as usize)
    }

    /// Makes sure that some worker sees what the caller has just published.
    #[inline(always)]
    pub fn attend(&self) {
        self.shared.attend(self, self.index);
    }
}

impl<M: StateMachine> Deref for GroupHandle<M> {
    type Target = Group<M::Data, M::Error>;

    #[inline(always)]
    fn deref(&self) -> &Self::Target {
        // SAFETY: the group stands in a slab that `shared` owns and never changes, and which this
        // handle keeps alive.
        unsafe { self.group.as_ref() }
    }
}

impl<M: StateMachine> Clone for GroupHandle<M> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), group: self.group, index: self.index }
    }
}
