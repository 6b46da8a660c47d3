//! Two threads bounce one cache line: the shortest round trip that there is between two CPUs.

use crate::cores::{Cores, pin};
use crossbeam_utils::CachePadded;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Nanoseconds a round trip, as the median over blocks of `block` trips.
pub fn round_trip_ns(cores: Cores, blocks: usize, block: u64) -> f64 {
    let line = CachePadded::new(AtomicU64::new(0));
    let last = 2 * block * (blocks as u64 + 1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pin(cores.worker);
            let mut turn = 1;
            while turn < last {
                while line.load(Ordering::Acquire) != turn {}
                line.store(turn + 1, Ordering::Release);
                turn += 2;
            }
        });
        let mut turn = 0;
        let mut trips = |count: u64| {
            for _ in 0..count {
                line.store(turn + 1, Ordering::Release);
                turn += 2;
                while line.load(Ordering::Acquire) != turn {}
            }
        };
        trips(block);
        let times = (0..blocks).map(|_| {
            let start = Instant::now();
            trips(block);
            start.elapsed().as_nanos() as f64 / block as f64
        });
        crate::summary::median(&mut times.collect::<Vec<_>>())
    })
}
