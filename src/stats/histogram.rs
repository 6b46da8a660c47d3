//! A log-linear histogram of durations that several threads may record into.
//!
//! Each power of two is divided into [`SUB`] buckets of equal width, as in HdrHistogram (Gil Tene),
//! so a quantile is at most 1/16 too high. Crates with such histograms want exclusive access to
//! record or allocate on the way; this one records by Relaxed additions into memory that was
//! allocated with the pipeline. Only requests whose times are sampled get here.

use crate::sync::{AtomicU64, Ordering};
use std::time::Duration;

/// Bits of a value that choose the bucket inside its power of two.
const SUB_BITS: u32 = 4;
/// Buckets for each power of two.
const SUB: usize = 1 << SUB_BITS;
/// Durations of 2^41 ns (36 minutes) and more share the last bucket. The models, which keep track of
/// each counter, make do with fewer.
const EXPONENT_MAX: u32 = if cfg!(any(stageline_loom, stageline_shuttle)) { SUB_BITS } else { 40 };
const BUCKETS: usize = (EXPONENT_MAX - SUB_BITS + 2) as usize * SUB;

fn bucket_of(ns: u64) -> usize {
    if ns < SUB as u64 {
        return ns as usize;
    }
    let exponent = ns.ilog2();
    if exponent > EXPONENT_MAX {
        return BUCKETS - 1;
    }
    let shift = exponent - SUB_BITS;
    (shift as usize + 1) * SUB + ((ns >> shift) as usize & (SUB - 1))
}

/// The largest value that falls into a bucket.
fn bucket_end(bucket: usize) -> u64 {
    if bucket < SUB {
        return bucket as u64;
    }
    let shift = bucket / SUB - 1;
    (((SUB + bucket % SUB + 1) as u64) << shift) - 1
}

/// The histogram as it is recorded into. Every field is written by any thread that ends a sampled
/// request, and read for the statistics; all Relaxed, since each is a plain count.
#[derive(Debug)]
pub struct AtomicHistogram {
    counts: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
    min_ns: AtomicU64,
    max_ns: AtomicU64,
}

impl Default for AtomicHistogram {
    fn default() -> Self {
        Self {
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            sum_ns: AtomicU64::new(0),
            min_ns: AtomicU64::new(u64::MAX),
            max_ns: AtomicU64::new(0),
        }
    }
}

impl AtomicHistogram {
    /// Counts one duration.
    pub fn record(&self, ns: u64) {
        self.counts[bucket_of(ns)].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
        self.min_ns.fetch_min(ns, Ordering::Relaxed);
        self.max_ns.fetch_max(ns, Ordering::Relaxed);
    }

    /// Forgets everything. The caller knows that nobody records.
    pub fn clear(&self) {
        if self.min_ns.load(Ordering::Relaxed) == u64::MAX {
            return;
        }
        self.counts.iter().for_each(|count| count.store(0, Ordering::Relaxed));
        self.sum_ns.store(0, Ordering::Relaxed);
        self.min_ns.store(u64::MAX, Ordering::Relaxed);
        self.max_ns.store(0, Ordering::Relaxed);
    }

    /// A copy of what has been counted so far.
    pub fn snapshot(&self) -> Histogram {
        let load = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let counts: Box<[u64]> = self.counts.iter().map(load).collect();
        Histogram {
            count: counts.iter().sum(),
            counts,
            sum_ns: load(&self.sum_ns),
            min_ns: load(&self.min_ns),
            max_ns: load(&self.max_ns),
        }
    }
}

/// Durations, counted: the copy that the statistics hand out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: Box<[u64]>,
    count: u64,
    sum_ns: u64,
    min_ns: u64,
    max_ns: u64,
}

impl Histogram {
    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The shortest, if any was counted.
    pub fn min(&self) -> Option<Duration> {
        (self.count > 0).then(|| Duration::from_nanos(self.min_ns))
    }

    /// The longest, if any was counted.
    pub fn max(&self) -> Option<Duration> {
        (self.count > 0).then(|| Duration::from_nanos(self.max_ns))
    }

    /// The mean, if any was counted.
    pub fn mean(&self) -> Option<Duration> {
        Some(Duration::from_nanos(self.sum_ns.checked_div(self.count)?))
    }

    /// The duration that a share `q` (0 to 1; others are clamped) of all stays at or below, if any
    /// was counted: at most 1/16 too high, and never above the longest.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let rank = (q.clamp(0.0, 1.0) * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        let last = bucket == BUCKETS - 1;
        let ns = if last { self.max_ns } else { bucket_end(bucket).min(self.max_ns) };
        Some(Duration::from_nanos(ns.max(self.min_ns)))
    }
}

#[cfg(all(test, not(stageline_models)))]
mod tests {
    use super::*;

    #[test]
    fn every_value_falls_into_a_bucket_that_holds_it() {
        let probes = (0..4096).chain((12..41).flat_map(|e| [(1 << e) - 1, 1 << e, (1 << e) + 1]));
        let mut previous = 0;
        for ns in probes {
            let bucket = bucket_of(ns);
            let end = bucket_end(bucket);
            assert!(ns <= end, "{ns} in bucket {bucket} that ends at {end}");
            assert!(end - ns <= ns / SUB as u64, "{ns} in bucket {bucket} that ends at {end}");
            assert!(bucket >= previous);
            previous = bucket;
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        assert_eq!(bucket_of((1 << 41) - 1), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_at_most_a_sixteenth_too_high() {
        let histogram = AtomicHistogram::default();
        (1..=10_000).for_each(|ns| histogram.record(ns));
        let counted = histogram.snapshot();
        for (q, exact) in [(0.5, 5_000.0), (0.9, 9_000.0), (0.99, 9_900.0), (0.9999, 9_999.0)] {
            let ns = counted.quantile(q).expect("counted").as_nanos() as f64;
            assert!(ns >= exact && ns <= exact * 17.0 / 16.0, "q {q}: {ns}");
        }
        assert_eq!(counted.min(), Some(Duration::from_nanos(1)));
        assert_eq!(counted.quantile(1.0), counted.max());
        assert_eq!(counted.mean(), Some(Duration::from_nanos(5_000)));
        histogram.clear();
        let empty = histogram.snapshot();
        assert_eq!((empty.count(), empty.quantile(0.5), empty.mean()), (0, None, None));
    }
}
