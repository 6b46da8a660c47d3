//! How a worker's turns go where a group at home with it was given a weight, or is express.
//!
//! 1. In each turn the hot express groups come first, one batch each, and then one ordinary group, one
//!    batch. The bell has been looked at before (`Worker::run`). So a request of an express group that
//!    has no others waits for the batch that the worker runs, and for one of each other express group.
//! 2. While express groups have requests in each turn, the ordinary one comes only when it is due: for
//!    what the express groups take, the ordinary ones are left one part in [`ORDINARY_PART`] of the time, or a
//!    batch in each turn where that is less.
//! 3. Ordinary groups take turns as long as they have credit, and share what is left by weight
//!    (`shared::share`).
//! 4. Who helps another worker keeps to the same order: express groups, then those that have credit.

use super::Worker;
use crate::common::pass_rounds;
use crate::limits::ORDINARY_PART;
use crate::pace::BATCH_NS;
use crate::stage::StateMachine;

/// What express groups leave to the ordinary ones.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Time that the ordinary groups may take although express groups have requests; below 0 what they
    /// have taken too much.
    ns: i64,
}

impl Due {
    /// Express groups took so long in this turn. Whether an ordinary one is due all the same.
    fn after_express(&mut self, ns: u64) -> bool {
        let more = i64::try_from(ns / (ORDINARY_PART - 1)).unwrap_or(i64::MAX);
        // Where no ordinary group has a request, nothing is saved for long.
        self.ns = self.ns.saturating_add(more.max(1)).min(BATCH_NS as i64);
        self.ns > 0
    }

    /// An ordinary group took so long of what was due.
    fn take(&mut self, ns: u64) {
        self.ns = self.ns.saturating_sub(i64::try_from(ns).unwrap_or(i64::MAX));
    }

    /// No express group had a request: none has been kept waiting.
    fn forget(&mut self) {
        self.ns = 0;
    }
}

impl<M: StateMachine> Worker<'_, M> {
    /// One turn. Whether there was any batch.
    #[cold]
    #[inline(never)]
    pub(super) fn serve_by_share(&mut self) -> bool {
        match self.serve_express() {
            None => {
                self.due.forget();
                self.serve_ordinary().is_some()
            }
            Some(ns) => {
                if self.due.after_express(ns)
                    && let Some(ns) = self.serve_ordinary()
                {
                    self.due.take(ns);
                }
                true
            }
        }
    }

    /// Gives each hot express group one batch. How long that took, if there was any.
    fn serve_express(&mut self) -> Option<u64> {
        let (own, homes, home) = (self.own, self.shared.homes, self.index);
        let mut all_ns = None;
        if !own.has_express() {
            return None;
        }
        for local in own.hot.both(&own.express) {
            if let Some(ns) = self.serve_timed((local * homes + home) as u32, true) {
                all_ns = Some(all_ns.unwrap_or(0) + ns);
            }
        }
        all_ns
    }

    /// Gives the next ordinary group that has credit and a request one batch. How long that took, if
    /// there was any.
    fn serve_ordinary(&mut self) -> Option<u64> {
        let shared = self.shared;
        // A second time when rounds have passed. (Other workers may take what that is for.)
        for _ in 0..2 {
            let mut wait_for_credit = false;
            for _ in 0..self.hot.len() {
                let (at, index) = self.hot.next_turn();
                let (group, is_express) = (shared.group(index), shared.is_express(index));
                if is_express || !group.share.has_credit() {
                    let has_ready = group.window.has_ready(0);
                    wait_for_credit |= has_ready && !is_express;
                    self.hot.polled(at, has_ready);
                    continue;
                }
                let taken = self.serve_timed(index, true);
                self.hot.polled(at, taken.is_some());
                if let Some(ns) = taken {
                    group.share.pay(ns);
                    return Some(ns);
                }
            }
            if !wait_for_credit {
                return None;
            }
            self.pass_rounds(|| self.hot.groups().filter(|index| !shared.is_express(*index)));
        }
        None
    }

    /// Takes a batch out of these groups of another worker. Whether there was any.
    pub(super) fn help_by_share<I: Iterator<Item = u32>>(
        &mut self,
        groups: impl Fn() -> I,
    ) -> bool {
        let shared = self.shared;
        let mut express = groups().filter(|index| shared.is_express(*index));
        if express.any(|index| self.serve_timed(index, false).is_some()) {
            return true;
        }
        let ordinary = || groups().filter(|index| !shared.is_express(*index));
        for _ in 0..2 {
            for index in ordinary().filter(|index| shared.group(*index).share.has_credit()) {
                if let Some(ns) = self.serve_timed(index, false) {
                    shared.group(index).share.pay(ns);
                    return true;
                }
            }
            self.pass_rounds(ordinary);
        }
        false
    }

    /// Lets rounds pass for these groups, if one of them has a request.
    fn pass_rounds<I: Iterator<Item = u32>>(&self, groups: impl Fn() -> I) {
        let shared = self.shared;
        let waiting = groups().filter(|index| shared.group(*index).window.has_ready(0));
        pass_rounds(shared.shares(waiting), shared.shares(groups()));
    }

    /// As [`serve`](Self::serve), and timed where that takes no more than one read of the clock. How long
    /// it took, by what was measured of the group's requests last: of this batch, if it was timed.
    #[inline(never)]
    fn serve_timed(&mut self, index: u32, at_home: bool) -> Option<u64> {
        let len = self.serve_batch(index, at_home, true)?;
        Some(self.shared.group(index).window.pace().time_ns(len))
    }
}

#[cfg(all(test, not(stageline_models)))]
mod tests {
    use super::*;

    /// Turns in which express groups always take so long, and an ordinary batch so long when it is due: what
    /// part of the time the ordinary ones get.
    fn ordinary_part(express_ns: u64, ordinary_ns: u64) -> f64 {
        let (mut due, mut express, mut ordinary) = (Due::default(), 0, 0);
        for _ in 0..1_000_000 {
            express += express_ns;
            if due.after_express(express_ns) {
                due.take(ordinary_ns);
                ordinary += ordinary_ns;
            }
        }
        ordinary as f64 / (express + ordinary) as f64
    }

    #[test]
    fn ordinary_groups_are_left_a_part_of_the_time() {
        for (express_ns, ordinary_ns) in
            [(300, 300), (3_000, 3_000), (3_000, 100_000), (90_000, 3_000)]
        {
            let part = ordinary_part(express_ns, ordinary_ns);
            // What is due is not saved: a batch is all that they get between long ones.
            let least = (ordinary_ns as f64 / (express_ns + ordinary_ns) as f64).min(0.1);
            assert!((part - least).abs() < 0.01, "{part} of {express_ns} and {ordinary_ns}");
        }
    }

    #[test]
    fn what_was_taken_too_much_is_forgotten_when_no_express_group_waits() {
        let mut due = Due::default();
        assert!(due.after_express(300), "the first is due at once");
        due.take(1_000_000);
        assert!(!due.after_express(300));
        due.forget();
        assert!(due.after_express(300));
    }
}
