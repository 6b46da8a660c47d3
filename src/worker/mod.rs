//! A worker: a thread that polls its groups, claims batches, runs them and hands them back.
//!
//! 1. It takes in the groups that rang its doorbell, then gives each hot group one batch, in turn.
//! 2. If none had a request it helps a worker that says it has more than it can do.
//! 3. If there was nothing to help with either it waits by the wait strategy. Before it sleeps it
//!    lets go of all its groups, so that every later submission rings.
//! 4. When the pipeline stops it looks at every group of its own once more, and leaves when none has
//!    a request.

mod clock;
mod hot_set;
mod run;

use crate::limits::BATCH_MAX;
use crate::panics;
use crate::shared::Shared;
use crate::slot::Phase;
use crate::stage::StateMachine;
use crate::sync::{Arc, Ordering};
use crate::wait::{Pause, Spinner};
use clock::{BatchClock, next_batch};
use hot_set::HotSet;
use run::Path;

/// What one worker thread owns.
pub(crate) struct Worker<M: StateMachine> {
    shared: Arc<Shared<M>>,
    index: usize,
    /// The machine; none after a panic, until the factory has made another.
    machine: Option<M>,
    factory_panic: Option<Box<str>>,
    pub(crate) hot: HotSet,
    path: Path,
    clock: BatchClock,
    /// Copy of the `wants_help` that others see.
    wants_help: bool,
    /// How each request of the batch ended.
    phases: [Phase; BATCH_MAX],
    /// The slot of each request of the batch.
    slots: [u32; BATCH_MAX],
}

impl<M: StateMachine> Worker<M> {
    pub(crate) fn new(shared: Arc<Shared<M>>, index: usize, machine: M) -> Self {
        let groups = shared.groups.len().div_ceil(shared.workers.len());
        let stages = shared.context.table.runs.len();
        Self {
            index,
            machine: Some(machine),
            factory_panic: None,
            hot: HotSet::with_capacity(index, groups),
            path: Path::with_capacity(stages),
            clock: BatchClock::default(),
            wants_help: false,
            phases: [Phase::Done; BATCH_MAX],
            slots: [0; BATCH_MAX],
            shared,
        }
    }

    /// Bytes that a worker with so many groups and stages allocates.
    pub(crate) fn bytes(groups: usize, stages: usize) -> usize {
        HotSet::bytes(groups).saturating_add(Path::bytes(stages))
    }

    /// The worker's life.
    pub(crate) fn run(mut self) {
        let mut spinner = Spinner::new(self.shared.wait);
        loop {
            if self.shared.workers[self.index].bell.is_rung() {
                self.hot.admit_rung(&self.shared);
            }
            if self.serve_hot() || self.help() {
                spinner.reset();
                continue;
            }
            self.hot.watch_only(&self.shared);
            self.clock.pause();
            self.ask_for_help(false);
            self.hot.demote_idle(&self.shared);
            if self.shared.stop.load(Ordering::Relaxed) && !self.serve_own() {
                break;
            }
            if spinner.pause() == Pause::Park {
                self.park();
                spinner.reset();
            }
        }
        self.shared.worker_left();
        if let Some(machine) = &mut self.machine {
            panics::contain(|| machine.close());
        }
        let machine = self.machine.take();
        panics::contain(|| drop(machine));
    }

    /// Gives each hot group one batch. Whether there was any.
    #[inline(always)]
    pub(crate) fn serve_hot(&mut self) -> bool {
        let mut any = false;
        for at in 0..self.hot.len() {
            let found = self.serve(self.hot.group(at), true);
            self.hot.polled(at, found);
            any |= found;
        }
        any
    }

    /// Gives each group of this worker one batch, hot or not. Whether there was any.
    #[cold]
    fn serve_own(&mut self) -> bool {
        let (groups, workers) = (self.shared.groups.len(), self.shared.workers.len());
        let own = (self.index..groups).step_by(workers);
        own.fold(false, |any, group| {
            // Another worker may have been quicker to claim, and left something behind.
            let found = self.serve(group as u32, false);
            found || self.shared.group(group as u32).window.is_waiting() || any
        })
    }

    /// Takes a batch of a group of another worker that has more than it can do. Whether there was
    /// any.
    #[inline]
    fn help(&mut self) -> bool {
        let workers = self.shared.workers.len();
        (1..workers).any(|ahead| {
            let other = (self.index + ahead) % workers;
            self.shared.workers[other].wants_help.load(Ordering::Relaxed) && self.help_one(other)
        })
    }

    #[cold]
    fn help_one(&mut self, other: usize) -> bool {
        let shared = Arc::clone(&self.shared);
        let workers = shared.workers.len();
        let mut polled = shared.workers[other].hot.iter();
        polled.any(|local| self.serve((local * workers + other) as u32, false))
    }

    /// Claims, runs and hands back one batch of a group. Whether there was one.
    #[inline(always)]
    pub(crate) fn serve(&mut self, index: u32, at_home: bool) -> bool {
        let window = &self.shared.group(index).window;
        let batch = window.batch();
        let Some(claimed) = window.claim(batch, &mut self.slots) else {
            return false;
        };
        if at_home && self.shared.workers.len() > 1 {
            // Each request is long, or a whole batch more is waiting.
            let more = batch == 1 || (claimed.len == batch && window.has_ready(batch));
            self.ask_for_help(more);
        }
        self.shared.group(index).window.prepare_completion(self.index);
        let context = &self.shared.context;
        let timing = self.clock.begin(claimed.len, || context.now_ns());
        self.run_batch(index, claimed);
        let group = self.shared.group(index);
        group.window.complete(
            self.index,
            claimed,
            &self.slots[..claimed.len],
            &self.phases[..claimed.len],
        );
        group.front.receive_event.notify();
        let context = &self.shared.context;
        if let Some(elapsed_ns) = self.clock.end(timing, || context.now_ns()) {
            let batch_max = self.shared.rules.batch_max;
            let next = next_batch(batch, claimed.len, elapsed_ns, batch_max);
            if next != batch {
                group.window.set_batch(next);
            }
        }
        true
    }

    /// Tells the others whether this worker has more than it can do, and wakes one if so.
    #[inline(always)]
    fn ask_for_help(&mut self, wanted: bool) {
        if wanted != self.wants_help {
            self.wants_help = wanted;
            self.shared.workers[self.index].wants_help.store(wanted, Ordering::Relaxed);
        }
        if wanted {
            self.shared.wake_helper(self.index);
        }
    }

    /// Sleeps until it is rung, woken to help, or told to stop.
    #[cold]
    fn park(&mut self) {
        self.hot.demote_all(&self.shared);
        if self.hot.len() > 0 {
            return;
        }
        let own = &self.shared.workers[self.index];
        self.shared.parked.fetch_add(1, Ordering::Relaxed);
        own.event.wait_until(None, || {
            own.bell.is_rung()
                || own.nudged.load(Ordering::Relaxed)
                || self.shared.stop.load(Ordering::Relaxed)
        });
        self.shared.parked.fetch_sub(1, Ordering::Relaxed);
        own.nudged.store(false, Ordering::Relaxed);
    }
}
