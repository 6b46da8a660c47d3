//! Pools: threads beside the workers, for stages that block or that are to have CPUs of their own.

use crate::limits::{CPU_ID_MAX, POOL_THREADS_MAX};
use crate::wait::{WaitPlan, WaitStrategy};
use std::time::Duration;

/// Threads that run the stages which [name](crate::Stage::pool) their pool. Each has a machine of its own.
///
/// A request hops to the pool by a queue that has a place for every slot of the pipeline, and hops on in the same way:
/// a pool that stands still holds up what goes through it, and nothing else.
#[derive(Clone, Debug)]
#[must_use = "a pool does nothing until a pipeline is built with it"]
pub struct Pool {
    pub(super) name: String,
    /// For each thread, the CPU that it is pinned to.
    pub(super) threads: Vec<Option<usize>>,
    /// How long a thread sleeps that has run out of requests, before it lets itself be woken.
    pub(super) nap: Duration,
}

impl Pool {
    /// So many threads that may block, on any CPU of the process. They sleep when there is nothing to do.
    pub fn threads(name: impl Into<String>, threads: usize) -> Self {
        // One more than can be had is enough to be refused.
        Self {
            name: name.into(),
            threads: vec![None; threads.min(POOL_THREADS_MAX + 1)],
            nap: Duration::ZERO,
        }
    }

    /// A thread pinned to each of these CPUs, which waits by the pipeline's strategy: a part of a pipeline of the
    /// classic kind, where each core does one thing.
    pub fn cores(name: impl Into<String>, cpus: impl IntoIterator<Item = usize>) -> Self {
        let cpus = cpus.into_iter().take(POOL_THREADS_MAX + 1);
        Self { name: name.into(), threads: cpus.map(Some).collect(), nap: Duration::ZERO }
    }

    /// Has a thread that has run out of requests sleep for so long before it lets itself be woken: where requests come one
    /// by one and need not be run at once, they come together then, and none of them costs a wake-up. Default: not at all.
    pub fn nap(mut self, time: Duration) -> Self {
        self.nap = time;
        self
    }

    /// How its threads wait, in a pipeline that waits so.
    pub(super) fn wait(&self, pipeline: WaitPlan) -> WaitPlan {
        match self.threads.first() {
            Some(Some(_)) => pipeline,
            // They have no CPU of their own: to spin would keep others from theirs.
            _ => WaitPlan { strategy: WaitStrategy::SpinThenPark, crowded: true },
        }
    }

    /// What is wrong with it.
    pub(super) fn problems(&self) -> impl Iterator<Item = String> + '_ {
        let none = self.threads.is_empty().then(|| format!("`{}` has no threads", self.name));
        let far = self.threads.iter().flatten().filter(|cpu| **cpu > CPU_ID_MAX);
        let far = far.map(|cpu| format!("`{}`: CPU {cpu} is not in 0..={CPU_ID_MAX}", self.name));
        none.into_iter().chain(far)
    }
}
