//! How many requests a worker claims at once.
//!
//! A batch should last a few microseconds: many trivial requests for each claim, one long request for
//! each claim, so that other groups are not kept waiting and other workers can share.

use crate::sync::{AtomicBool, AtomicU32, Ordering};

/// What a batch should last. With a third of it, trivial requests settle at batches of 16, whose ends
/// the threads contend for; that takes half as long again for each request.
const BATCH_NS: u64 = 3_000;
/// A request that takes this long may well be waiting for something; other workers may then be woken
/// beyond the number of CPUs.
const LONG_NS: u64 = 20_000;

/// What has been measured of a group's requests. Written by the worker that measured last, read by all
/// workers before they claim: hints, Relaxed.
#[derive(Debug)]
pub struct Pace {
    /// How many requests to claim at once.
    batch: AtomicU32,
    /// Whether a request takes [`LONG_NS`] or more.
    long: AtomicBool,
}

impl Default for Pace {
    fn default() -> Self {
        Self { batch: AtomicU32::new(1), long: AtomicBool::new(false) }
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
        self.long.load(Ordering::Relaxed)
    }

    /// Takes note of a batch of `len` requests that took `elapsed_ns`.
    pub fn measured(&self, len: usize, elapsed_ns: u64, batch_max: usize) {
        let now = self.batch();
        let next = next_batch(now, len, elapsed_ns, batch_max);
        if next != now {
            self.batch.store(next as u32, Ordering::Relaxed);
        }
        let long = elapsed_ns / len as u64 >= LONG_NS;
        if long != self.is_long() {
            self.long.store(long, Ordering::Relaxed);
        }
    }

    /// Sets the bound, for models and tests.
    #[cfg(any(test, stageline_models))]
    pub fn set_batch(&self, batch: usize) {
        self.batch.store(batch as u32, Ordering::Relaxed);
    }
}

/// The next bound on a group's batches, after a batch of `len` requests took `elapsed_ns`: down at
/// once when requests turn out heavier, up by doubling.
fn next_batch(now: usize, len: usize, elapsed_ns: u64, batch_max: usize) -> usize {
    let service_ns = (elapsed_ns / len as u64).max(1);
    let fitting = usize::try_from(BATCH_NS / service_ns).unwrap_or(batch_max).clamp(1, batch_max);
    fitting.min(now.saturating_mul(2))
}

#[cfg(all(test, not(stageline_models)))]
mod tests {
    use super::*;

    #[test]
    fn a_batch_lasts_a_few_microseconds() {
        assert_eq!(next_batch(1, 1, 10_000_000, 64), 1);
        assert_eq!(next_batch(64, 64, 64_000_000, 64), 1, "down at once");
        assert_eq!(next_batch(1, 1, 10, 64), 2, "up by doubling");
        assert_eq!(next_batch(32, 32, 320, 64), 64);
        assert_eq!(next_batch(64, 64, 64 * 100, 64), 30);
        assert_eq!(next_batch(64, 64, 0, 64), 64);
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
}
