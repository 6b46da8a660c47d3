//! Times one repetition of a scenario, and what it lost meanwhile.

use crate::lost::{Counters, Lost};
use crate::summary::median;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// One repetition.
#[derive(Clone, Copy, Debug)]
pub struct Timed {
    /// Nanoseconds a request (or a trip).
    pub ns: f64,
    /// Of the measured part as a whole.
    pub elapsed_ns: u64,
    pub lost: Lost,
}

impl Timed {
    /// Whether it lost so much that it is to be rejected.
    pub fn is_disturbed(&self) -> bool {
        self.lost.is_too_much(self.elapsed_ns)
    }

    /// As it is, of threads that share CPUs by purpose: that they wait for each other is what is measured,
    /// and only stolen time is a loss.
    pub fn of_sharing_threads(mut self) -> Self {
        self.lost.wait_ns = 0;
        self
    }
}

/// How much a repetition does, and where its losses are looked for.
#[derive(Clone, Debug)]
pub struct Meter {
    /// The CPUs whose stolen time counts.
    pub cpus: Vec<usize>,
    pub size: Size,
}

/// How much a repetition does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Size {
    Full,
    Quick,
    /// For the tests of the suite: whether it runs, not how fast.
    Tiny,
}

impl Meter {
    /// How many requests a repetition of a scenario has in which one takes about so many nanoseconds.
    pub fn requests(&self, about_ns: u64) -> u64 {
        let (budget_ns, least) = match self.size {
            Size::Full => (48_000_000, 4_096),
            Size::Quick => (10_000_000, 2_048),
            Size::Tiny => (10_000, 256),
        };
        (budget_ns / about_ns.max(1)).max(least)
    }

    /// How many blocks of how many trips.
    pub fn blocks(&self) -> (usize, u64) {
        match self.size {
            Size::Full => (40, 2_000),
            Size::Quick => (20, 1_000),
            Size::Tiny => (3, 8),
        }
    }

    /// Trips of a pass that keeps the time of each.
    pub fn latency_trips(&self) -> u64 {
        match self.size {
            Size::Full => 200_000,
            Size::Quick => 20_000,
            Size::Tiny => 64,
        }
    }

    /// How long a pass of trips goes on, at most: where each waits for a loaded scheduler it has fewer.
    pub fn trips_time_max(&self) -> Duration {
        Duration::from_millis(match self.size {
            Size::Full => 3_000,
            Size::Quick => 300,
            Size::Tiny => 50,
        })
    }

    /// Times something that serves so many requests.
    pub fn timed(&self, requests: u64, body: impl FnOnce()) -> Timed {
        self.whole(|| {
            let start = Instant::now();
            body();
            start.elapsed().as_nanos() as f64 / requests as f64
        })
    }

    /// The median over blocks of trips; a first block warms up. `trips` is told the block's number and
    /// how many trips to make. There may be fewer blocks than [`blocks`](Self::blocks) says.
    pub fn timed_blocks(&self, mut trips: impl FnMut(usize, u64)) -> Timed {
        let (blocks, block) = self.blocks();
        trips(0, block);
        self.whole(|| {
            let begin = Instant::now();
            let mut times = Vec::with_capacity(blocks);
            for at in 1..=blocks {
                let start = Instant::now();
                trips(at, block);
                times.push(start.elapsed().as_nanos() as f64 / block as f64);
                if begin.elapsed() > self.trips_time_max() {
                    break;
                }
            }
            median(&mut times)
        })
    }

    /// The median of single trips, each of which says how long it took.
    pub fn timed_each(&self, mut trip: impl FnMut() -> u64) -> Timed {
        let (blocks, block) = self.blocks();
        let trips = blocks as u64 * block / 4;
        self.each(trips / 10 + 1, &mut trip, |_| {});
        self.whole(|| {
            let mut times = Vec::with_capacity(trips as usize);
            self.each(trips, &mut trip, |ns| times.push(ns as f64));
            median(&mut times)
        })
    }

    /// So many trips, at least one of them, as far as there is time.
    pub fn each(&self, trips: u64, trip: &mut impl FnMut() -> u64, mut record: impl FnMut(u64)) {
        let (begin, mut made) = (Instant::now(), 0);
        while made < trips {
            record(trip());
            made += 1;
            // A clock read for each would be one more thing that happens between the trips.
            if made % 16 == 0 && begin.elapsed() > self.trips_time_max() {
                break;
            }
        }
    }

    /// Times something that says itself how long a request took, and what was lost meanwhile.
    pub fn whole(&self, measure: impl FnOnce() -> f64) -> Timed {
        let before = Counters::read(&self.cpus);
        let start = Instant::now();
        let ns = measure();
        let elapsed_ns = start.elapsed().as_nanos() as u64;
        Timed { ns, elapsed_ns, lost: Counters::read(&self.cpus).since(before) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_trips_are_fewer() {
        let meter = Meter { cpus: vec![], size: Size::Tiny };
        let (mut trips, mut blocks) = (0_u64, 0_usize);
        let slow = || std::thread::sleep(meter.trips_time_max() / 8);
        meter.each(
            1_000,
            &mut || {
                slow();
                1
            },
            |ns| trips += ns,
        );
        assert_eq!(trips, 16, "a look at the clock every 16");
        let timed = meter.timed_blocks(|at, _| {
            blocks = at;
            std::thread::sleep(meter.trips_time_max() * 2);
        });
        assert_eq!(blocks, 1, "the first block was too long already");
        assert!(timed.ns > 0.0 && timed.elapsed_ns > 0);
    }
}
