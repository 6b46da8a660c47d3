//! A histogram of nanoseconds, exact below 128 and within a 64th above.

use serde::{Deserialize, Serialize};

/// Buckets for each power of two.
const SUB: u64 = 64;
const SUB_BITS: u32 = SUB.trailing_zeros();
/// All values of 64 bits.
const BUCKETS: usize = ((64 - SUB_BITS as usize) + 1) * SUB as usize;

/// The quantiles that are kept: their names, and what they are.
pub const QUANTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("max", 1.0)];

/// It travels from process to process as the buckets that are not empty.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(into = "Vec<(usize, u64)>", from = "Vec<(usize, u64)>")]
pub struct Histogram {
    counts: Vec<u64>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS] }
    }
}

impl From<Histogram> for Vec<(usize, u64)> {
    fn from(histogram: Histogram) -> Self {
        histogram.counts.into_iter().enumerate().filter(|(_, count)| *count > 0).collect()
    }
}

impl From<Vec<(usize, u64)>> for Histogram {
    fn from(buckets: Vec<(usize, u64)>) -> Self {
        let mut histogram = Self::default();
        for (bucket, count) in buckets {
            if let Some(sum) = histogram.counts.get_mut(bucket) {
                *sum += count;
            }
        }
        histogram
    }
}

impl Histogram {
    pub fn record(&mut self, ns: u64) {
        self.counts[bucket_of(ns)] += 1;
    }

    /// Takes in another one.
    pub fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, more)| *sum += more);
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The largest value of the bucket up to which this share of all lies, so that it never says less than
    /// was measured; 0 of nothing.
    pub fn quantile(&self, share: f64) -> u64 {
        let rank = ((self.count() as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        found.map_or(0, highest_of)
    }
}

fn bucket_of(value: u64) -> usize {
    if value < SUB {
        return value as usize;
    }
    let shift = value.ilog2() - SUB_BITS;
    (u64::from(shift + 1) * SUB + ((value >> shift) - SUB)) as usize
}

fn lowest_of(bucket: usize) -> u64 {
    let (row, at) = (bucket as u64 / SUB, bucket as u64 % SUB);
    if row == 0 { at } else { (SUB + at) << (row - 1) }
}

fn highest_of(bucket: usize) -> u64 {
    lowest_of(bucket) + ((1_u64 << (bucket as u64 / SUB).saturating_sub(1)) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other() {
        for value in (0..5_000).chain([1 << 20, (1 << 20) + 12_345, u64::MAX / 3, u64::MAX]) {
            let bucket = bucket_of(value);
            assert!(bucket < BUCKETS);
            assert!((lowest_of(bucket)..=highest_of(bucket)).contains(&value), "{value}");
            assert!(bucket + 1 == BUCKETS || highest_of(bucket) + 1 == lowest_of(bucket + 1));
            assert!(highest_of(bucket) - value <= value / SUB);
        }
    }

    #[test]
    fn quantiles_count_from_below() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), 0);
        (1..=100).for_each(|value| histogram.record(value));
        assert_eq!([0.5, 0.9, 0.99, 1.0].map(|share| histogram.quantile(share)), [50, 90, 99, 100]);
        let mut long = Histogram::default();
        long.record(1_000_000);
        assert!((1_000_000..1_015_625).contains(&long.quantile(1.0)), "no less than there was");
        let mut three = Histogram::default();
        (1..=3).for_each(|value| three.record(value));
        assert_eq!(three.quantile(0.5), 2, "the middle one, not the one below");
        let mut sum = Histogram::from(Vec::from(histogram.clone()));
        sum.add(&histogram);
        assert_eq!((sum.count(), sum.quantile(0.5)), (200, 50));
    }
}
