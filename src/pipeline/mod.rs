//! The running engine: building, opening groups, statistics, and the end, in numbered steps.
//!
//! # Shutdown
//!
//! 1. New groups and new requests are refused: a bit in each group's control word.
//! 2. `close` waits until every request has ended and every open receiver has received its results.
//!    `abort` cancels what has not run, and neither it nor `drop` waits for receivers.
//! 3. The workers are told to stop. Each looks at every group of its own once more, and leaves when
//!    none has a request; its machine's `close` is called.
//! 4. The last worker to leave marks the groups as left. A request whose submission raced with step 1
//!    and that no worker saw is ended as cancelled by its receiver.
//! 5. The workers are joined; but a stage that drops its own pipeline does not wait for its worker, nor for any
//!    where the machine keeps requests, since they leave together; and a `close_timeout` that gives up waits for none.
//! 6. Handles that outlive the pipeline get `Closed`; the memory goes with the last of them.

mod builder;
mod plan;
mod pool;
mod report;
mod start;
mod watch;

pub use builder::Builder;
pub use pool::Pool;
pub use report::{Report, WorkerReport};
pub use start::prepare;

use crate::common::{Control, GroupOptions};
use crate::error::{CloseTimeout, OpenError};
use crate::graph::Graph;
use crate::group::{RequestGroup, group_stats};
use crate::shared::Shared;
use crate::stage::StateMachine;
use crate::stats::{GroupStats, Ledger, StageStats, Stats, WorkerStats};
use crate::sync::{Arc, Ordering, thread};
use plan::Plan;
use std::fmt;
use std::time::{Duration, Instant};
use watch::Watch;

/// Between two looks of a thread that waits for the pipeline to become quiet: at first, and at most.
const QUIET_POLL_MIN: Duration = Duration::from_micros(50);
const QUIET_POLL_MAX: Duration = Duration::from_millis(2);

/// A running pipeline. Dropping it refuses new requests, lets those in flight run to their end, and
/// joins the workers.
pub struct Pipeline<M: StateMachine> {
    shared: Arc<Shared<M>>,
    workers: Vec<thread::JoinHandle<()>>,
    watch: Option<Watch>,
    report: Report,
    first_position: u64,
}

impl<M: StateMachine> Pipeline<M> {
    /// A builder of a pipeline whose slots start with default payloads. `machine` is called once in
    /// each worker thread, and again after a stage has panicked.
    pub fn builder(machine: impl Fn() -> M + Send + Sync + 'static) -> Builder<M>
    where
        M::Data: Default,
    {
        Self::builder_with(machine, M::Data::default)
    }

    /// As [`builder`](Self::builder), with slots that start with the payloads that `payload` makes:
    /// with buffers of the right capacity, say.
    pub fn builder_with(
        machine: impl Fn() -> M + Send + Sync + 'static,
        payload: impl FnMut() -> M::Data + 'static,
    ) -> Builder<M> {
        Builder::new(Box::new(machine), Box::new(payload))
    }

    /// A pipeline whose threads do not run yet.
    fn unstarted(shared: Arc<Shared<M>>, first_position: u64) -> Self {
        Self { shared, workers: Vec::new(), watch: None, report: Report::default(), first_position }
    }

    /// Opens a request group. Allocates nothing.
    ///
    /// # Errors
    ///
    /// `NoneFree` if all groups are open or still have requests in flight from before, `Closed` if the
    /// pipeline is closing, `Weight` if the weight is out of range, `NotBuilt` if the options need what the
    /// builder was not told.
    pub fn open(&self, options: impl Into<GroupOptions>) -> Result<RequestGroup<M>, OpenError> {
        let options = options.into();
        let index = self.shared.open(&options)?;
        Ok(RequestGroup::new(&self.shared, index, &options))
    }

    /// What was really set up: placement, memory, wait strategy.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The stages and their declared successors.
    pub fn graph(&self) -> Graph {
        Graph::new(&self.shared.context.table)
    }

    /// Requests by how they ended, over all groups.
    pub fn ledger(&self) -> Ledger {
        self.shared.ledger(self.first_position)
    }

    /// Statistics since the start. They are read while the workers go on, so counts of different kinds
    /// may be some requests apart unless the pipeline is quiet.
    pub fn stats(&self) -> Stats {
        let shared = &self.shared;
        Stats {
            ledger: self.ledger(),
            running: shared.workers.iter().map(|worker| worker.progress.running()).sum(),
            groups_open: shared.groups.iter().filter(|group| group.is_open()).count(),
            queue: shared.times.queue.snapshot(),
            run: shared.times.run.snapshot(),
            stages: self.stage_stats(),
            workers: (0..shared.workers.len()).map(|worker| self.worker_stats(worker)).collect(),
            stalls: shared.stalls.load(Ordering::Relaxed),
        }
    }

    fn stage_stats(&self) -> Vec<StageStats> {
        let shared = &self.shared;
        let mut entered = vec![0; shared.stage_times.len()];
        let mut running = vec![0; shared.stage_times.len()];
        for progress in shared.workers.iter().map(|worker| &*worker.progress) {
            entered.iter_mut().zip(progress.flow.entered()).for_each(|(sum, more)| *sum += more);
            let place = progress.stage_and_group();
            if let Some(running) = place.and_then(|(stage, _)| running.get_mut(stage)) {
                *running += 1;
            }
        }
        let counts = entered.into_iter().zip(running).enumerate();
        let stats = counts.map(|(stage, (entered, running))| StageStats {
            name: shared.context.table.name(stage).to_owned(),
            entered,
            running,
            run: shared.stage_times[stage].snapshot(),
        });
        stats.collect()
    }

    fn worker_stats(&self, worker: usize) -> WorkerStats {
        let worker = &self.shared.workers[worker];
        let place = worker.progress.stage_and_group();
        WorkerStats {
            running: worker.progress.running(),
            stage: place.map(|(stage, _)| self.shared.context.table.name(stage).to_owned()),
            group: place.map(|(_, group)| group),
            parked: worker.event.is_awaited() || worker.progress.waits_in_pool(),
        }
    }

    /// Statistics of the group with this index since it was opened, if there is such a group and it
    /// is open.
    pub fn group_stats(&self, group: usize) -> Option<GroupStats> {
        let is_open = self.shared.groups.get(group)?.is_open();
        is_open.then(|| group_stats(&self.shared, group as u32))
    }

    /// Refuses new requests, waits until those in flight have ended and their results have been
    /// received (of groups that still have a receiver), ends the workers, and returns the ledger.
    ///
    /// It waits for as long as a receiver leaves results; a thread that holds such a receiver itself
    /// must drop or drain it first, or use [`close_timeout`](Self::close_timeout). A stage must not call
    /// it: it would wait for itself.
    pub fn close(mut self) -> Ledger {
        self.shared.refuse_more(0);
        self.wait_until_quiet(None);
        self.finish_quiet(None)
    }

    /// As [`close`](Self::close), but gives up after `timeout`: the pipeline is then left to end by
    /// itself, in the background, when its stages let it.
    ///
    /// # Errors
    ///
    /// Which groups and which stages have kept it.
    pub fn close_timeout(mut self, timeout: Duration) -> Result<Ledger, CloseTimeout> {
        self.shared.refuse_more(0);
        let deadline = Instant::now().checked_add(timeout);
        if self.wait_until_quiet(deadline) {
            return Ok(self.finish_quiet(deadline));
        }
        let error = self.why_not_quiet(timeout);
        // The threads are told to leave, but nobody waits for them.
        self.shared.stop_workers();
        self.workers.clear();
        Err(error)
    }

    /// Cancels what has not begun to run, ends the workers, and returns the ledger. A request that has
    /// begun may run to its end.
    pub fn abort(mut self) -> Ledger {
        self.shared.refuse_more(Control::CANCELLED);
        self.finish()
    }

    /// Waits until every request has ended, and has been received where there is a receiver.
    fn wait_until_quiet(&self, deadline: Option<Instant>) -> bool {
        let mut poll = QUIET_POLL_MIN;
        while self.unquiet_groups().next().is_some() {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return false;
            }
            thread::sleep(left.map_or(poll, |left| poll.min(left)));
            poll = (poll * 2).min(QUIET_POLL_MAX);
        }
        true
    }

    fn unquiet_groups(&self) -> impl Iterator<Item = usize> + '_ {
        let first = self.first_position;
        self.shared.groups.iter().enumerate().filter_map(move |(index, group)| {
            let quiet = if group.is_receive_closed() {
                let ended = group.ledger_of_all_openings().ended();
                ended == group.window.tail().wrapping_sub(first)
            } else {
                group.is_quiet()
            };
            (!quiet).then_some(index)
        })
    }

    fn why_not_quiet(&self, waited: Duration) -> CloseTimeout {
        let busy = self.shared.workers.iter().enumerate().filter_map(|(index, worker)| {
            let (stage, group) = worker.progress.stage_and_group()?;
            Some((index, self.shared.context.table.name(stage).to_owned(), group))
        });
        CloseTimeout { waited, groups: self.unquiet_groups().collect(), busy: busy.collect() }
    }

    /// As [`finish`](Self::finish), when all has ended. Who is refused from now on is in the ledger for a moment:
    /// a producer announces its position before it looks whether it may (see `reserve` of a submit end).
    fn finish_quiet(&mut self, deadline: Option<Instant>) -> Ledger {
        loop {
            let ledger = self.finish();
            let is_exact = ledger.ended() >= ledger.submitted;
            if is_exact || deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return ledger;
            }
            thread::sleep(QUIET_POLL_MIN);
        }
    }

    /// Steps 3 to 5 of the shutdown.
    fn finish(&mut self) -> Ledger {
        self.end_threads();
        self.ledger()
    }

    fn end_threads(&mut self) {
        if self.workers.is_empty() {
            return;
        }
        self.shared.stop_workers();
        let own = thread::current().id();
        if M::KEEPS && self.workers.iter().any(|worker| worker.thread().id() == own) {
            // The others wait for what this one keeps, its present request perhaps, and threads of pools for all workers.
            self.workers.clear();
        }
        for worker in self.workers.drain(..) {
            // A stage may drop the pipeline that runs it: that worker leaves after its batch.
            if worker.thread().id() != own {
                // A worker contains the panics of user code; one of its own would be a defect, and is
                // better told than hidden.
                worker.join().expect("a worker does not panic");
            }
        }
        // Last, so that until then no stuck worker keeps the others' requests.
        self.watch = None;
    }
}

impl<M: StateMachine> Drop for Pipeline<M> {
    fn drop(&mut self) {
        if !self.workers.is_empty() {
            self.shared.refuse_more(0);
        }
        self.end_threads();
    }
}

impl<M: StateMachine> fmt::Debug for Pipeline<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").field("report", &self.report).finish_non_exhaustive()
    }
}
