//! The builder: raw values, all checked at once, then a pipeline started in numbered steps.

use super::Pipeline;
use super::plan::{Plan, problems};
use super::pool::Pool;
use super::start::start;
use crate::error::BuildError;
use crate::limits::{
    BATCH_DEFAULT, GROUPS_DEFAULT, SAMPLE_DEFAULT, VISITS_DEFAULT, WINDOW_DEFAULT,
};
use crate::retry::Retry;
use crate::shared::Factory;
use crate::stage::{Hook, RuntimeStage, StageId, StateMachine};
use crate::topology::{self, Topology};
use crate::wait::WaitStrategy;
use std::fmt;
use std::time::Duration;

/// The values that a pipeline is built from. Nothing is checked before [`build`](Self::build).
#[must_use = "a builder does nothing before `build`"]
pub struct Builder<M: StateMachine> {
    pub(super) machine: Box<Factory<M>>,
    pub(super) payload: Box<dyn FnMut() -> M::Data>,
    pub(super) name: String,
    pub(super) workers: Option<usize>,
    pub(super) cpus: Vec<usize>,
    pub(super) reserve: usize,
    pub(super) pin: bool,
    pub(super) groups: usize,
    pub(super) window: usize,
    pub(super) batch_max: usize,
    pub(super) drop_oldest: bool,
    pub(super) dead_letters: usize,
    pub(super) wait: WaitStrategy,
    pub(super) hooks: Vec<Hook<M>>,
    pub(super) stages: Option<Vec<RuntimeStage<M>>>,
    pub(super) dag: bool,
    pub(super) visits_max: u32,
    pub(super) sample_every: u64,
    pub(super) stall_after: Option<Duration>,
    pub(super) pools: Vec<Pool>,
    pub(super) retry: Retry<M>,
    pub(super) stage_retries: Vec<(StageId<M>, Retry<M>)>,
    pub(super) first_position: u64,
}

impl<M: StateMachine> Builder<M> {
    pub(super) fn new(machine: Box<Factory<M>>, payload: Box<dyn FnMut() -> M::Data>) -> Self {
        Self {
            machine,
            payload,
            name: String::from("stageline"),
            workers: None,
            cpus: Vec::new(),
            reserve: 1,
            pin: true,
            groups: GROUPS_DEFAULT,
            window: WINDOW_DEFAULT,
            batch_max: BATCH_DEFAULT,
            drop_oldest: false,
            dead_letters: 0,
            wait: WaitStrategy::default(),
            hooks: Vec::new(),
            stages: None,
            dag: false,
            visits_max: VISITS_DEFAULT,
            sample_every: SAMPLE_DEFAULT,
            stall_after: None,
            pools: Vec::new(),
            retry: Retry::default(),
            stage_retries: Vec::new(),
            first_position: 0,
        }
    }

    /// Name of the pipeline: its threads are called `NAME-0`, `NAME-1`, and so on.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Number of workers. Default: one for each CPU of the process that is not kept free
    /// ([`reserve`](Self::reserve)), or for each CPU named ([`cpus`](Self::cpus)).
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Pins the workers to these CPUs, in this order. The ids are the system's own; they may be
    /// isolated ones, outside of the process's affinity mask.
    pub fn cpus(mut self, cpus: impl IntoIterator<Item = usize>) -> Self {
        self.cpus = cpus.into_iter().collect();
        self
    }

    /// CPUs to keep free for the threads that submit and receive. Default: 1, the CPU that the
    /// calling thread is pinned to, or else the one with the lowest id.
    pub fn reserve(mut self, cpus: usize) -> Self {
        self.reserve = cpus;
        self
    }

    /// Whether each worker is pinned to a CPU. Default: yes, unless there are more workers than CPUs.
    pub fn pin(mut self, pin: bool) -> Self {
        self.pin = pin;
        self
    }

    /// Number of request groups that can be open at once. Default: 32.
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Slots of each group, a power of two: the requests that it can have in flight. Default: 1024.
    pub fn window(mut self, slots: usize) -> Self {
        self.window = slots;
        self
    }

    /// Bound on the requests that a worker claims at once. Default: 128. Below it, batches adapt so as
    /// to last a few microseconds.
    pub fn batch_max(mut self, requests: usize) -> Self {
        self.batch_max = requests;
        self
    }

    /// Whether groups can be opened with [`Overflow::DropOldest`](crate::Overflow::DropOldest). Default: no.
    /// Each group then has a lane more, of four bytes a slot, and a sole worker claims by compare-and-swap,
    /// as several workers do.
    pub fn drop_oldest(mut self, drop_oldest: bool) -> Self {
        self.drop_oldest = drop_oldest;
        self
    }

    /// Dead letters of each group, for groups that are opened with
    /// [`GroupOptions::dead_letters`](crate::GroupOptions::dead_letters). Default: 0. Each has a payload, made as
    /// those of the slots are.
    pub fn dead_letters(mut self, capacity: usize) -> Self {
        self.dead_letters = capacity;
        self
    }

    /// What idle threads do. Default: [`WaitStrategy::SpinThenPark`]. With more threads than CPUs,
    /// spinning is given up whatever the strategy; [`Pipeline::report`] says so.
    pub fn wait(mut self, strategy: WaitStrategy) -> Self {
        self.wait = strategy;
        self
    }

    /// Adds a hook that runs before each stage, after those added before. An error ends the request
    /// as failed.
    pub fn before_stage(mut self, hook: Hook<M>) -> Self {
        self.hooks.push(hook);
        self
    }

    /// Takes these stages in place of the machine's own table.
    pub fn stages(mut self, stages: impl IntoIterator<Item = RuntimeStage<M>>) -> Self {
        self.stages = Some(stages.into_iter().collect());
        self
    }

    /// Requires the machine to be acyclic. Declared successors are checked by `build`; a request that
    /// comes back to a stage all the same, or takes a step that is not declared, ends as cyclic, with the way that it took.
    pub fn dag(mut self) -> Self {
        self.dag = true;
        self
    }

    /// Stages that one request may run through before it ends as cyclic. Default: 1,000,000.
    pub fn visits_max(mut self, stages: u32) -> Self {
        self.visits_max = stages;
        self
    }

    /// Takes the times of one request in this many, a power of two. Default: 1,024. A sampled request
    /// costs a clock read when it is submitted, one when it starts and one after each stage.
    pub fn sample_every(mut self, requests: u64) -> Self {
        self.sample_every = requests;
        self
    }

    /// Watches for groups whose results wait longer than this to be received: each is reported once
    /// by a `tracing` warning and counted in the statistics. Default: no watch. Needs a thread of its
    /// own, which sleeps.
    pub fn stall_after(mut self, time: Duration) -> Self {
        self.stall_after = Some(time);
        self
    }

    /// Adds a pool of threads for the stages that name it. The machine must [keep](StateMachine::KEEPS) requests.
    pub fn pool(mut self, pool: Pool) -> Self {
        self.pools.push(pool);
        self
    }

    /// How requests are retried, unless their stage has a policy of its own. Default: [`Retry::default`].
    pub fn retry(mut self, policy: Retry<M>) -> Self {
        self.retry = policy;
        self
    }

    /// How requests are retried of which this stage asks it.
    pub fn retry_stage(mut self, stage: StageId<M>, policy: Retry<M>) -> Self {
        self.stage_retries.push((stage, policy));
        self
    }

    /// The position that every group starts to count at. For tests of the wrap.
    #[doc(hidden)]
    pub fn first_position(mut self, position: u64) -> Self {
        self.first_position = position;
        self
    }

    /// Bytes that the pipeline will allocate, without building it. Memory that a payload's factory
    /// or a machine allocates by itself is not known here, nor are the threads' stacks.
    pub fn memory(&self) -> usize {
        Plan::memory(self)
    }

    /// Threads that run stages: the workers and those of the pools.
    pub(super) fn threads(&self) -> usize {
        let pools: usize = self.pools.iter().map(|pool| pool.threads.len()).sum();
        self.workers_or_default().saturating_add(pools)
    }

    /// The names of its pools.
    pub(super) fn pool_names(&self) -> impl Iterator<Item = &str> + Clone {
        self.pools.iter().map(|pool| pool.name.as_str())
    }

    /// Who ends requests of a group: so many threads, and perhaps its submit end.
    pub(super) fn lanes(&self, threads: usize) -> usize {
        threads.saturating_add(usize::from(self.drop_oldest))
    }

    /// Groups that have dead letters: all or none.
    pub(super) fn groups_with_letters(&self) -> usize {
        if self.dead_letters > 0 { self.groups } else { 0 }
    }

    pub(super) fn workers_or_default(&self) -> usize {
        self.workers.unwrap_or_else(|| {
            if self.cpus.is_empty() {
                topology::default_workers(Topology::snapshot(), self.reserve)
            } else {
                self.cpus.len()
            }
        })
    }

    /// Builds and starts the pipeline. When it returns, all memory is allocated and written to once,
    /// and every worker has its machine.
    ///
    /// # Errors
    ///
    /// All values out of range at once; or memory, a thread or a machine that could not be had.
    pub fn build(self) -> Result<Pipeline<M>, BuildError> {
        let problems = problems(&self);
        if !problems.is_empty() {
            return Err(BuildError::Invalid(problems));
        }
        start(self)
    }
}

impl<M: StateMachine> fmt::Debug for Builder<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("workers", &self.workers)
            .field("cpus", &self.cpus)
            .field("reserve", &self.reserve)
            .field("groups", &self.groups)
            .field("window", &self.window)
            .field("batch_max", &self.batch_max)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}
