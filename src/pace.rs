//! How many requests a worker claims at once.
//!
//! A batch should last a few microseconds: many trivial requests for each claim, one long request for
//! each claim, so that other groups are not kept waiting and other workers can share.

use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// What a batch should last. With a third of it, trivial requests settle at batches of 16, whose ends
/// the threads contend for; that takes half as long again for each request.
pub const BATCH_NS: u64 = 3_000;
/// A request that takes this long may well be waiting for something; other workers may then be woken
/// beyond the number of CPUs.
const LONG_NS: u64 = 20_000;
/// Binary digits of a time that stand behind the nanoseconds: light requests take few of those.
const FRACTION: u32 = 8;

/// What has been measured of a group's requests. Written by the worker that measured last, read by all
/// workers before they claim: hints, Relaxed.
#[derive(Debug)]
pub struct Pace {
    /// How many requests to claim at once.
    batch: AtomicU32,
    /// What a request takes, in nanoseconds with [`FRACTION`] digits behind the point.
    service: AtomicU64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { batch: AtomicU32::new(1), service: AtomicU64::new(0) }
    }
}

impl Pace {
    /// How many requests to claim at once.
    #[inline(always)]
    pub fn batch(&self) -> usize {
        self.batch.load(Ordering::Relaxed) as usize
    }

    /// Whether a request takes long.
    #[inline(always)]
    pub fn is_long(&self) -> bool {
        self.service.load(Ordering::Relaxed) >= LONG_NS << FRACTION
    }

    /// How long a batch of `len` requests takes, by the one that was measured last: if that was this one, just
    /// what it took. 0 if none was.
    #[inline]
    pub fn time_ns(&self, len: usize) -> u64 {
        let time = self.service.load(Ordering::Relaxed).saturating_mul(len as u64);
        time.div_ceil(1 << FRACTION)
    }

    /// Takes note of a batch of `len` requests that took `elapsed_ns`.
    pub fn measured(&self, len: usize, elapsed_ns: u64, batch_max: usize) {
        let service = (elapsed_ns << FRACTION) / len as u64;
        self.service.store(service, Ordering::Relaxed);
        let now = self.batch();
        let next = next_batch(now, service >> FRACTION, batch_max);
        if next != now {
            self.batch.store(next as u32, Ordering::Relaxed);
        }
    }

    /// Sets the bound, for models and tests.
    #[cfg(any(test, stageline_models))]
    pub fn set_batch(&self, batch: usize) {
        self.batch.store(batch as u32, Ordering::Relaxed);
    }
}

/// The next bound on a group's batches, when a request took `service_ns`: down at once when requests turn
/// out heavier, up by doubling.
fn next_batch(now: usize, service_ns: u64, batch_max: usize) -> usize {
    let fitting =
        usize::try_from(BATCH_NS / service_ns.max(1)).unwrap_or(batch_max).clamp(1, batch_max);
    fitting.min(now.saturating_mul(2))
}

#[cfg(all(test, not(stageline_models)))]
mod tests {
    use super::*;

    #[test]
    fn a_batch_lasts_a_few_microseconds() {
        assert_eq!(next_batch(1, 10_000_000, 64), 1);
        assert_eq!(next_batch(64, 1_000_000, 64), 1, "down at once");
        assert_eq!(next_batch(1, 10, 64), 2, "up by doubling");
        assert_eq!(next_batch(32, 10, 64), 64);
        assert_eq!(next_batch(64, 100, 64), 30);
        assert_eq!(next_batch(64, 0, 64), 64);
    }

    #[test]
    fn long_requests_are_noted_and_forgotten() {
        let pace = Pace::default();
        pace.measured(1, 50_000, 64);
        assert!(pace.is_long() && pace.batch() == 1);
        pace.set_batch(4);
        pace.measured(4, 400, 64);
        assert!(!pace.is_long() && pace.batch() == 8);
    }

    #[test]
    fn a_batch_that_was_measured_took_just_that() {
        let pace = Pace::default();
        assert_eq!(pace.time_ns(64), 0, "nothing is known");
        for (len, elapsed_ns) in
            [(1, 0), (1, 1), (3, 100), (128, 1_537), (256, 3_001), (7, 1 << 50)]
        {
            pace.measured(len, elapsed_ns, 64);
            let off = pace.time_ns(len).abs_diff(elapsed_ns);
            assert!(off <= 1, "{len} requests in {elapsed_ns} ns: {off} off");
        }
        pace.measured(2, 300, 64);
        assert_eq!(pace.time_ns(6), 900, "of others as well as is known");
    }
}
