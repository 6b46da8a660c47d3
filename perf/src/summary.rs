//! Quantiles of samples, and the spread around a median.

use serde::{Deserialize, Serialize};

/// The median. The slice is sorted on the way.
pub fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// Between two values it is as far from each as the rank is: the median of four is the middle of the second
/// and the third, and not the third.
fn quantile(values: &mut [f64], q: f64) -> f64 {
    assert!(!values.is_empty(), "a median of nothing");
    values.sort_by(f64::total_cmp);
    let at = (values.len() - 1) as f64 * q;
    let (low, high) = (values[at.floor() as usize], values[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

/// The median and where four fifths of all samples lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub median: f64,
    pub p10: f64,
    pub p90: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(values: &[f64]) -> Self {
        let mut values = values.to_vec();
        Self {
            median: median(&mut values),
            p10: quantile(&mut values, 0.1),
            p90: quantile(&mut values, 0.9),
        }
    }

    /// Half of the distance between the tenth and the ninetieth percentile.
    pub fn half(self) -> f64 {
        (self.p90 - self.p10) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_leaves_out_the_outer_tenths() {
        let values: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        let spread = Spread::of(&values);
        assert_eq!(spread, Spread { median: 50.0, p10: 10.0, p90: 90.0 });
        assert_eq!(spread.half(), 40.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 8.0]), 3.0, "between the two in the middle");
        assert_eq!(Spread::of(&[3.0]), Spread { median: 3.0, p10: 3.0, p90: 3.0 });
    }
}
