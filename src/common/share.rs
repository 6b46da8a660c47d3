//! A group's share of its worker's time, and its class.
//!
//! Shares are kept by deficit round robin (Shreedhar and Varghese 1995) on time, paid for afterwards:
//!
//! 1. Each group has a credit of time. One that has some may be given a batch, and pays what the batch
//!    took. So its debt is at most one batch, for each worker that serves it.
//! 2. When no group that has credit has a request, rounds pass, as few as it takes until one that has a
//!    request has credit: each brings every group [`QUANTUM_NS`] for each unit of its weight.
//! 3. Nobody saves: rounds bring no credit beyond that of one. A group without requests keeps as much, and is
//!    served in the next turn when it has one; its debt it pays as the rounds of the others pass.
//!
//! A group that always has requests uses just what it gets, so shares are those of the weights, to within
//! one batch and one round. The unit is time, since that is what groups take from each other: of requests a
//! group with heavy ones would get the worker. What a batch took is what the worker has measured of it
//! (`worker::clock`), at no further read of the clock. Time that the system takes from the worker
//! meanwhile counts, too; it falls on the groups as their shares do.
//!
//! Workers that help pay out of the same credit, and let rounds pass. If two do so at once there are two
//! rounds where one would have done, for all groups alike.
//!
//! Weight and class are written when the group is opened, when it is quiet; read by workers, Relaxed, as the
//! order is. A worker that still reads the old ones gives one batch in the wrong turn, or counts one
//! round by the wrong weight: no request's end, and no other word, depends on them.

use super::{Common, Group, WorkerShared};
use crate::pace::BATCH_NS;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// What a round brings for each unit of weight: a batch, about.
pub const QUANTUM_NS: u64 = BATCH_NS;
/// The longest time that a batch is charged with, so that sums do not overflow (18 minutes).
const PAID_NS_MAX: u64 = 1 << 40;

/// A group's share of its worker's time.
pub struct Share {
    /// 0 if none was asked for, which counts as 1. Written by who opens the group, or hands it on.
    weight: AtomicU32,
    /// Modulo 2^64, to be read as a signed number. Written by the workers that serve the group
    /// (read-modify-write) and by who opens it. Relaxed: it orders nothing.
    credit_ns: AtomicU64,
}

impl Default for Share {
    fn default() -> Self {
        Self { weight: AtomicU32::new(0), credit_ns: AtomicU64::new(QUANTUM_NS) }
    }
}

impl Share {
    /// Whether the group may be given a batch.
    #[inline]
    pub fn has_credit(&self) -> bool {
        self.credit_ns() > 0
    }

    /// Takes note of a batch that took so long. It costs something in any case, so that rounds end.
    #[inline]
    pub fn pay(&self, ns: u64) {
        self.credit_ns.fetch_sub(ns.clamp(1, PAID_NS_MAX), Ordering::Relaxed);
    }

    fn credit_ns(&self) -> i64 {
        self.credit_ns.load(Ordering::Relaxed) as i64
    }

    /// What a round brings.
    fn round_ns(&self) -> i64 {
        i64::from(self.weight.load(Ordering::Relaxed).max(1)) * QUANTUM_NS as i64
    }

    /// How many rounds must pass until there is credit.
    fn rounds_short(&self) -> i64 {
        let short_ns = (1 - self.credit_ns()).max(0);
        (short_ns + self.round_ns() - 1) / self.round_ns()
    }

    fn pass(&self, rounds: i64) {
        let round_ns = self.round_ns();
        let more_ns = (rounds * round_ns).min(round_ns - self.credit_ns());
        if more_ns > 0 {
            self.credit_ns.fetch_add(more_ns as u64, Ordering::Relaxed);
        }
    }

    /// The group begins anew, with this weight and the credit of one round.
    fn begin(&self, weight: Option<u32>) {
        let weight = weight.unwrap_or(0);
        if self.weight.load(Ordering::Relaxed) != weight {
            self.weight.store(weight, Ordering::Relaxed);
        }
        if self.credit_ns() != self.round_ns() {
            self.credit_ns.store(self.round_ns() as u64, Ordering::Relaxed);
        }
    }
}

/// Lets as few rounds pass as it takes until one of the shares of groups that wait has credit.
pub fn pass_rounds<'s>(
    waiting: impl Iterator<Item = &'s Share>,
    all: impl Iterator<Item = &'s Share>,
) {
    let rounds = waiting.map(Share::rounds_short).min().unwrap_or(0);
    if rounds > 0 {
        all.for_each(|share| share.pass(rounds));
    }
}

impl<T, E> Common<T, E> {
    /// Whether a group is polled before those that are not express.
    #[inline]
    pub fn is_express(&self, index: u32) -> bool {
        self.home(index).express.contains(index as usize / self.homes)
    }

    /// The shares of these groups.
    pub fn shares(&self, groups: impl Iterator<Item = u32>) -> impl Iterator<Item = &Share> {
        groups.map(|index| &self.group(index).share)
    }

    /// Gives a quiet group its weight and its class. The caller has its index for itself.
    pub(super) fn tell_share(&self, index: u32, weight: Option<u32>, express: bool) {
        let (home, local) = (self.home(index), index as usize / self.homes);
        let group: &Group<T, E> = self.group(index);
        let special = || {
            let has_weight = group.share.weight.load(Ordering::Relaxed) != 0;
            let express = if home.express.contains(local) { WorkerShared::EXPRESS } else { 0 };
            u64::from(has_weight) + express
        };
        let before = special();
        group.share.begin(weight);
        if home.express.contains(local) != express {
            home.express.assign(local, express);
        }
        let more = special().wrapping_sub(before);
        if more != 0 {
            home.special.fetch_add(more, Ordering::Relaxed);
        }
    }
}

#[cfg(all(test, not(stageline_models)))]
mod tests {
    use super::*;

    fn share(weight: u32) -> Share {
        let share = Share::default();
        share.begin(Some(weight));
        share
    }

    /// Groups that always have requests take turns, a batch each, until so much time is used: what each got
    /// of it. A batch takes what `batch_ns` says for its group.
    fn shares_of(weights: &[u32], batch_ns: &mut dyn FnMut(usize) -> u64, ns: u64) -> Vec<f64> {
        let shares: Vec<Share> = weights.iter().map(|weight| share(*weight)).collect();
        let mut used = vec![0; weights.len()];
        while used.iter().sum::<u64>() < ns {
            if !shares.iter().any(Share::has_credit) {
                pass_rounds(shares.iter(), shares.iter());
            }
            for at in (0..shares.len()).filter(|at| shares[*at].has_credit()) {
                let took = batch_ns(at);
                shares[at].pay(took);
                used[at] += took;
            }
        }
        let all = used.iter().sum::<u64>() as f64;
        used.iter().map(|used| *used as f64 / all).collect()
    }

    #[track_caller]
    fn assert_near(shares: &[f64], expected: &[f64]) {
        let near = |(share, expected): (&f64, &f64)| (share - expected).abs() < 0.01;
        assert!(shares.iter().zip(expected).all(near), "{shares:?}, not {expected:?}");
    }

    #[test]
    fn busy_groups_share_the_time_by_weight() {
        let ns = 100_000_000;
        assert_near(&shares_of(&[1, 9], &mut |_| 3_000, ns), &[0.1, 0.9]);
        assert_near(&shares_of(&[1, 9], &mut |at| [100_000, 3_000][at], ns), &[0.1, 0.9]);
        assert_near(&shares_of(&[1, 9], &mut |at| [10, 100_000][at], ns), &[0.1, 0.9]);
        assert_near(
            &shares_of(&[2, 3, 5], &mut |at| [700, 3_000, 90_000][at], ns),
            &[0.2, 0.3, 0.5],
        );
        // Batches of any length, the next one the product of the last.
        let mut length = 1;
        let mut any = |_| {
            length = length * 48_271 % 2_147_483_647;
            length % 20_000
        };
        assert_near(&shares_of(&[1, 4], &mut any, 10 * ns), &[0.2, 0.8]);
    }

    #[test]
    fn a_batch_that_seems_to_take_no_time_ends_its_round() {
        assert_near(&shares_of(&[1, 1], &mut |at| [0, 3_000][at], 3_000_000), &[0.0, 1.0]);
    }

    #[test]
    fn no_more_is_saved_than_one_round() {
        let (idle, busy) = (share(9), share(1));
        for _ in 0..100 {
            busy.pay(1_000_000);
            pass_rounds([&busy].into_iter(), [&busy, &idle].into_iter());
            assert!(busy.has_credit());
        }
        assert_eq!(idle.credit_ns(), 9 * QUANTUM_NS as i64);
    }

    #[test]
    fn a_debt_is_paid_while_the_group_does_nothing() {
        let (gone, busy) = (share(1), share(1));
        gone.pay(4 * QUANTUM_NS);
        for round in 0..4 {
            assert!(!gone.has_credit(), "after {round} rounds");
            busy.pay(QUANTUM_NS);
            pass_rounds([&busy].into_iter(), [&busy, &gone].into_iter());
        }
        assert!(gone.has_credit());
    }

    #[test]
    fn rounds_pass_at_once_where_nobody_else_waits() {
        let (heavy, idle) = (share(1), share(1000));
        heavy.pay(u64::MAX);
        pass_rounds([&heavy].into_iter(), [&heavy, &idle].into_iter());
        assert!(heavy.has_credit() && heavy.credit_ns() <= QUANTUM_NS as i64);
        assert_eq!(idle.credit_ns(), 1000 * QUANTUM_NS as i64);
        // Nobody waits: nothing passes.
        heavy.pay(QUANTUM_NS);
        pass_rounds([].into_iter(), [&heavy, &idle].into_iter());
        assert!(!heavy.has_credit());
    }

    #[test]
    fn an_opening_forgets_the_debt_of_the_one_before() {
        let share = share(3);
        share.pay(1_000_000);
        share.begin(None);
        assert_eq!((share.credit_ns(), share.round_ns()), (QUANTUM_NS as i64, QUANTUM_NS as i64));
    }
}
