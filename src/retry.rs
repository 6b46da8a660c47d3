//! How requests are retried.

use crate::limits::{
    RETRY_ATTEMPTS_DEFAULT, RETRY_ATTEMPTS_MAX, RETRY_CAP_DEFAULT, RETRY_DELAY_MAX,
    RETRY_FACTOR_DEFAULT, RETRY_FACTOR_MAX, RETRY_FIRST_DEFAULT, RETRY_JITTER_DEFAULT,
};
use crate::stage::{StageId, StateMachine};
use std::time::Duration;

/// How a request is run again whose stage answers [`retry`](crate::Request::retry): for a pipeline
/// ([`Builder::retry`](crate::Builder::retry)) or for one stage ([`Builder::retry_stage`](crate::Builder::retry_stage)).
///
/// The `n`-th retry of a stage comes after `first * factor^(n - 1)`, but not more than `cap`; a random part of it, up
/// to `jitter` of the whole, is taken off, so that requests which failed together do not come back together. Time is
/// kept in ticks of 16.4 us: a retry begins at its time or up to a tick later, one without a delay too, and later than
/// that if its worker is inside a stage or a batch.
///
/// A worker that spins and has nothing else to do was late by 9 us in the median and 16 us at the 90th percentile; beside
/// a group that is always busy by 11 and 17 us with requests of 100 ns, and by 12 and 22 us with those of 10 us
/// (`retry_late_*` in `perf/`). One that sleeps is woken by the system's timers, which are later than that. A retry
/// reads the clock once, and allocates nothing; while some request waits its worker reads the clock in each turn of its
/// loop. Streamed in bursts of 64, a request that is retried once with no delay took some 0.35 us, and 0.02 us without.
#[derive(Debug)]
#[must_use = "a policy does nothing until a pipeline is built with it"]
pub struct Retry<M> {
    attempts: u32,
    first: Duration,
    factor: f64,
    cap: Duration,
    jitter: f64,
    resume_at: Option<StageId<M>>,
}

impl<M> Clone for Retry<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Retry<M> {}

impl<M: StateMachine> Default for Retry<M> {
    /// Three attempts, the first retry after 1 ms, each later one after twice the time up to a second, of which up to
    /// a half is taken off; at the stage that asked.
    fn default() -> Self {
        Self {
            attempts: RETRY_ATTEMPTS_DEFAULT,
            first: RETRY_FIRST_DEFAULT,
            factor: RETRY_FACTOR_DEFAULT,
            cap: RETRY_CAP_DEFAULT,
            jitter: RETRY_JITTER_DEFAULT,
            resume_at: None,
        }
    }
}

impl<M: StateMachine> Retry<M> {
    /// The default policy with so many attempts, the first one included. When they are spent the request fails
    /// with its last error.
    pub fn attempts(attempts: u32) -> Self {
        Self { attempts, ..Self::default() }
    }

    /// The time before the first retry.
    pub fn first(mut self, delay: Duration) -> Self {
        self.first = delay;
        self
    }

    /// By how much the time grows from one retry to the next.
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// The longest time before a retry.
    pub fn cap(mut self, delay: Duration) -> Self {
        self.cap = delay;
        self
    }

    /// The part of the time that may be taken off at random, from 0 to 1.
    pub fn jitter(mut self, part: f64) -> Self {
        self.jitter = part;
        self
    }

    /// The stage to go on at, in place of the one that asked.
    pub fn resume_at(mut self, stage: StageId<M>) -> Self {
        self.resume_at = Some(stage);
        self
    }

    /// Where a request goes on that this stage wants retried.
    pub(crate) fn stage_after(&self, asked: usize) -> usize {
        self.resume_at.map_or(asked, StageId::index)
    }

    /// Whether there is another attempt after so many retries.
    pub(crate) fn allows(&self, retries: u32) -> bool {
        retries + 1 < self.attempts
    }

    /// The time before the next attempt after so many retries, in nanoseconds; `random` is in 0..1.
    pub(crate) fn delay_ns(&self, retries: u32, random: f64) -> u64 {
        let grown = self.first.as_nanos() as f64 * self.factor.powf(f64::from(retries));
        // (An `as` of what is too large, or no number, is bounded.)
        let whole = grown.min(self.cap.as_nanos() as f64);
        (whole * (1.0 - self.jitter * random)) as u64
    }

    /// What is wrong with the policy, of a machine with so many stages.
    pub(crate) fn problems(&self, stages: usize) -> impl Iterator<Item = String> {
        let max = RETRY_DELAY_MAX;
        let delays = [("first", self.first), ("cap", self.cap)];
        let delays = delays.into_iter().filter(move |(_, delay)| *delay > max);
        let delays =
            delays.map(move |(name, delay)| format!("{name}: {delay:?} is more than {max:?}"));
        let attempts = (!(1..=RETRY_ATTEMPTS_MAX).contains(&self.attempts))
            .then(|| format!("attempts: {} is not in 1..={RETRY_ATTEMPTS_MAX}", self.attempts));
        let factor = (!(1.0..=RETRY_FACTOR_MAX).contains(&self.factor))
            .then(|| format!("factor: {} is not in 1..={RETRY_FACTOR_MAX}", self.factor));
        let jitter = (!(0.0..=1.0).contains(&self.jitter))
            .then(|| format!("jitter: {} is not in 0..=1", self.jitter));
        let stage = self
            .resume_at
            .filter(|stage| stage.index() >= stages)
            .map(|stage| format!("resume_at: stage {} is not one of the {stages}", stage.index()));
        delays.chain(attempts).chain(factor).chain(jitter).chain(stage)
    }
}

#[cfg(all(test, not(stageline_models)))]
mod tests {
    use super::*;
    use crate::stage::StageTable;

    struct Nothing;

    impl StateMachine for Nothing {
        type Data = ();
        type Error = ();
        const STAGES: StageTable<Self> = StageTable::EMPTY;
    }

    #[test]
    fn delays_grow_up_to_the_cap() {
        let policy = Retry::<Nothing>::attempts(9)
            .first(Duration::from_millis(2))
            .factor(3.0)
            .cap(Duration::from_millis(100))
            .jitter(0.25);
        let ms = |retries, random| policy.delay_ns(retries, random) / 1_000_000;
        assert_eq!([ms(0, 0.0), ms(1, 0.0), ms(2, 0.0), ms(3, 0.0)], [2, 6, 18, 54]);
        assert_eq!([ms(4, 0.0), ms(5_000, 0.0), ms(u32::MAX, 0.0)], [100; 3]);
        assert_eq!(policy.delay_ns(4, 0.999_999_999), 75_000_000);
        assert!(policy.allows(7) && !policy.allows(8));
    }
}
