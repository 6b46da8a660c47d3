//! Memory over the run: sampled each second, and compared by halves.

use crate::threads::{resident_bytes, resident_bytes_max};
use std::time::Duration;

/// What the peak of the second half of a run may be above that of the first: the heap of the system's
/// allocator grows in steps of megabytes, and threads come and go.
pub const GROWTH_BYTES_MAX: u64 = 8 << 20;

/// Samples of the resident memory.
#[derive(Debug, Default)]
pub struct Memory {
    samples: Vec<(Duration, u64)>,
}

/// What they say.
#[derive(Clone, Copy, Debug)]
pub struct Peaks {
    /// The highest sample of the first half of the run.
    pub first_half: u64,
    /// The highest sample of the second half.
    pub second_half: u64,
    /// The system's own record (VmHWM).
    pub ever: u64,
}

impl Memory {
    /// Takes a sample, at this time since the start.
    pub fn sample(&mut self, at: Duration) {
        self.samples.push((at, resident_bytes()));
    }

    /// The peaks of a run of this length.
    pub fn peaks(&self, length: Duration) -> Peaks {
        let peak = |second: bool| {
            let half = self.samples.iter().filter(|(at, _)| (*at >= length / 2) == second);
            half.map(|(_, bytes)| *bytes).max().unwrap_or(0)
        };
        Peaks { first_half: peak(false), second_half: peak(true), ever: resident_bytes_max() }
    }
}

impl Peaks {
    /// Whether the second half took more than the first, beyond [`GROWTH_BYTES_MAX`].
    pub fn has_grown(&self) -> bool {
        self.second_half > self.first_half + GROWTH_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_found_and_noise_is_not() {
        let seconds = Duration::from_secs;
        let of = |bytes: [u64; 4]| {
            let samples = bytes.into_iter().enumerate();
            let samples = samples.map(|(at, bytes)| (seconds(at as u64), bytes)).collect();
            Memory { samples }.peaks(seconds(4))
        };
        let noise = of([1 << 20, 9 << 20, 17 << 20, 2 << 20]);
        assert_eq!((noise.first_half, noise.second_half), (9 << 20, 17 << 20));
        assert!(!noise.has_grown());
        assert!(of([1 << 20, 9 << 20, 1, (17 << 20) + 1]).has_grown());
        assert!(!of([20 << 20, 1, 1, 12 << 20]).has_grown(), "less is no growth");
    }

    #[test]
    fn memory_that_is_written_is_seen() {
        let before = resident_bytes();
        let written = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = resident_bytes();
        assert!(after > before + (48 << 20), "{before} and then {after}, {}", written.len());
        assert!(resident_bytes_max() + (1 << 20) >= after);
    }
}
