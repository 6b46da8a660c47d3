//! A worker: a thread that polls its groups, claims batches, runs them and hands them back.
//!
//! 1. It takes in the groups that rang its doorbell, then gives each hot group one batch, in turn. Where
//!    groups have weights or are express, it goes by these (`shares`).
//! 2. If none had a request it helps a worker that says it has more than it can do.
//! 3. If there was nothing to help with either it waits by the wait strategy. Before it sleeps it
//!    lets go of all its groups, so that every later submission rings.
//! 4. When the pipeline stops it looks at every group once more, and leaves when none has a request.

mod batch;
mod checked;
mod clock;
mod hot_set;
mod keep;
mod kept;
mod path;
mod plain;
mod pool;
mod runner;
mod shares;

use crate::common::{Group, Help, Hop, WorkerShared};
use crate::limits::BATCH_MAX;
use crate::request::Seat;
use crate::shared::Shared;
use crate::stage::StateMachine;
use crate::sync::Ordering;
use crate::wait::{Pause, Spinner};
use batch::Batch;
use hot_set::HotSet;
pub(crate) use pool::PoolWorker;
use runner::Runner;
use shares::Due;

/// Polls of an only hot group between two looks at everything else.
const WATCH_POLLS: u32 = 16;

/// What one worker thread owns.
pub(crate) struct Worker<'s, M: StateMachine> {
    shared: &'s Shared<M>,
    /// What others see of this worker.
    own: &'s WorkerShared,
    index: usize,
    pub(crate) hot: HotSet,
    runner: Runner<'s, M>,
    seat: Seat<'s, M>,
    /// Where the slots of a batch are written down as it is claimed.
    slots: [u32; BATCH_MAX],
    due: Due,
}

impl<'s, M: StateMachine> Worker<'s, M> {
    pub(crate) fn new(shared: &'s Shared<M>, index: usize, machine: M) -> Self {
        let groups = shared.groups.len().div_ceil(shared.homes);
        let own = &*shared.workers[index];
        let seat = Seat { common: &shared.common, lane: index, hop: Hop::WORKERS };
        Self {
            index,
            own,
            hot: HotSet::with_capacity(index, groups),
            runner: Runner::new(shared, &own.progress, seat, machine),
            seat,
            slots: [0; BATCH_MAX],
            due: Due::default(),
            shared,
        }
    }

    /// Bytes that a worker with so many groups and stages allocates.
    pub(crate) fn bytes(groups: usize, stages: usize) -> usize {
        HotSet::bytes(groups).saturating_add(Runner::<M>::bytes(stages))
    }

    /// The worker's life.
    pub(crate) fn run(mut self) {
        let mut spinner = Spinner::new(self.shared.wait);
        loop {
            self.own.progress.step();
            if self.own.bell.is_rung() {
                self.hot.admit_rung(self.shared);
            }
            if self.serve_hot() | self.runner.serve_kept() || self.help() {
                spinner.reset();
                continue;
            }
            self.runner.pause();
            self.ask_for_help(Help::NONE);
            if self.watch_only() {
                spinner.reset();
                continue;
            }
            self.hot.demote_idle(self.shared);
            if M::KEEPS && self.shared.closed.load(Ordering::Acquire) && self.runner.drain() {
                continue;
            }
            if self.shared.stop.load(Ordering::Relaxed) {
                let any = self.serve_all();
                if !any && self.runner.is_settled() {
                    break;
                }
                if M::KEEPS && any {
                    continue;
                }
            }
            if spinner.pause() == Pause::Park {
                self.park();
                spinner.reset();
            }
        }
        self.shared.worker_left();
        self.runner.close();
    }

    /// Gives each hot group one batch, or goes by their shares. Whether there was any batch.
    #[inline(always)]
    pub(crate) fn serve_hot(&mut self) -> bool {
        if self.own.goes_by_share() {
            return self.serve_by_share();
        }
        let (mut any, mut at) = (false, 0);
        while let Some(index) = self.hot.group(at) {
            let found = self.serve(index, true);
            self.hot.polled(at, found);
            any |= found;
            at += 1;
        }
        any
    }

    /// Serves any group of the pipeline, since its home worker may be stuck. Whether there was a
    /// request, or still is.
    #[cold]
    fn serve_all(&mut self) -> bool {
        (0..self.shared.groups.len() as u32)
            .any(|group| self.serve(group, false) || self.shared.group(group).window.is_waiting())
    }

    /// Takes a batch of a group of another worker that has more than it can do. Whether there was
    /// any.
    #[inline]
    fn help(&mut self) -> bool {
        let (own, homes) = (self.index, self.shared.homes);
        // Each helper begins at another worker.
        let begin = own % homes;
        (begin + 1..homes).chain(0..=begin).any(|other| {
            other != own
                && self.shared.workers[other].wants_help.load(Ordering::Relaxed) != Help::NONE
                && self.help_one(other)
        })
    }

    #[cold]
    fn help_one(&mut self, other: usize) -> bool {
        let shared = self.shared;
        let (worker, homes) = (&shared.workers[other], shared.homes);
        if worker.wants_help.load(Ordering::Relaxed) == Help::STUCK {
            let groups = || (other..shared.groups.len()).step_by(homes).map(|group| group as u32);
            return self.help_among(worker, groups);
        }
        // Those that it polls, and those that rang while it was away.
        let locals = || worker.hot.iter().chain(worker.bell.rung());
        self.help_among(worker, || locals().map(|local| (local * homes + other) as u32))
    }

    fn help_among<I: Iterator<Item = u32>>(
        &mut self,
        worker: &WorkerShared,
        groups: impl Fn() -> I,
    ) -> bool {
        if worker.goes_by_share() {
            return self.help_by_share(groups);
        }
        groups().any(|group| self.serve(group, false))
    }

    /// Claims, runs and hands back one batch of a group. Whether there was one.
    #[inline(always)]
    pub(crate) fn serve(&mut self, index: u32, at_home: bool) -> bool {
        self.serve_batch(index, at_home, false).is_some()
    }

    /// The same. How many requests it had, if there was one; `timed` if a read of the clock is worth it
    /// whatever their number.
    #[inline(always)]
    fn serve_batch(&mut self, index: u32, at_home: bool, timed: bool) -> Option<usize> {
        let shared = self.shared;
        let group = shared.group(index);
        let window = &group.window;
        let bound = window.pace().batch();
        let claimed = window.claim(bound, &mut self.slots)?;
        let full = claimed.len == bound;
        if shared.pollers > 1 {
            if at_home {
                // A batch that ends with the array may have more behind it, too.
                let cut = full || window.ends_the_array(claimed);
                self.report_load(group, cut && window.has_ready(bound));
            }
            window.prepare(self.index, claimed, &self.slots);
        }
        let batch = Batch::new(shared, &self.own.progress, index, claimed, &self.slots, &self.seat);
        self.runner.serve::<false>(&batch, full || timed);
        Some(claimed.len)
    }

    /// Where there is one hot group, watches its next slot, with everything at hand that serving a
    /// request which comes alone takes. Whether there was a request.
    #[inline(always)]
    pub(crate) fn watch_only(&mut self) -> bool {
        let Some(index) = self.hot.only() else { return false };
        let shared = self.shared;
        let window = &shared.group(index).window;
        let expected = window.expected(&mut self.slots);
        let slot = window.claimed_slot(expected, &self.slots, 0);
        let batch =
            Batch::new(shared, &self.own.progress, index, expected, &self.slots, &self.seat);
        let full = window.pace().batch() == 1;
        if !(0..WATCH_POLLS).any(|_| slot.is_ready(expected.first)) {
            return false;
        }
        if window.has_ready(1) || window.pace().is_long() || !window.claim_expected(expected) {
            return self.serve_seen();
        }
        self.runner.serve::<true>(&batch, full);
        self.hot.polled(0, true);
        true
    }

    /// What was seen is more than one request, or another worker's. Apart: what is put in place twice in one
    /// function has fewer registers.
    #[inline(never)]
    fn serve_seen(&mut self) -> bool {
        self.serve_hot()
    }

    /// Tells the others, before a batch of one of its own groups, whether they should help.
    #[inline(always)]
    fn report_load(&self, group: &Group<M::Data, M::Error>, more: bool) {
        match (group.window.pace().is_long(), more) {
            (false, false) => self.ask_for_help(Help::NONE),
            (false, true) => self.ask_for_help(Help::BACKLOG),
            (true, _) => {
                let waiting = self.hot.has_ready(self.shared);
                self.publish_help(Help::LONG);
                self.shared.wake_helper(if waiting { Help::LONG } else { Help::NONE });
            }
        }
    }

    /// Tells the others whether they may help, and wakes one if so.
    #[inline(always)]
    fn ask_for_help(&self, wanted: u32) {
        self.publish_help(wanted);
        self.shared.wake_helper(wanted);
    }

    #[inline(always)]
    fn publish_help(&self, wanted: u32) {
        let told = &self.own.wants_help;
        if told.load(Ordering::Relaxed) != wanted {
            told.store(wanted, Ordering::Relaxed);
        }
    }

    /// Sleeps until it is rung, woken to help, called to what it keeps, or can leave.
    #[cold]
    fn park(&mut self) {
        self.hot.demote_all(self.shared);
        if self.hot.len() > 0 {
            return;
        }
        let own = self.own;
        self.shared.parked.fetch_add(1, Ordering::Relaxed);
        own.event.wait_until(self.runner.next_due(), || {
            own.bell.is_rung()
                || self.runner.is_called()
                || own.nudged.load(Ordering::Relaxed)
                || (self.shared.stop.load(Ordering::Relaxed) && self.runner.is_settled())
        });
        self.shared.parked.fetch_sub(1, Ordering::Relaxed);
        own.nudged.store(false, Ordering::Relaxed);
    }
}
