//! Two threads bounce one cache line: the shortest round trip that there is between two CPUs.

use crate::cores::{Cores, pin};
use crossbeam_utils::CachePadded;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Lines that the blocks go round: how far a line is from a CPU depends on its address, and a ring
/// has near ones and far ones. One line alone differs by a tenth from process to process.
const LINES: usize = 64;

/// Nanoseconds a round trip, as the median over blocks of `block` trips, each on another line.
pub fn round_trip_ns(cores: Cores, blocks: usize, block: u64) -> f64 {
    let lines: Vec<_> = (0..LINES).map(|_| CachePadded::new(AtomicU64::new(0))).collect();
    let line_of = |at: usize| &lines[at % LINES];
    // The first block warms up.
    let bounds = |at: usize| (at as u64 * 2 * block..(at as u64 + 1) * 2 * block).step_by(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pin(cores.worker);
            for at in 0..=blocks {
                let line = line_of(at);
                for turn in bounds(at) {
                    while line.load(Ordering::Acquire) != turn + 1 {}
                    line.store(turn + 2, Ordering::Release);
                }
            }
        });
        let mut times = (0..=blocks).map(|at| {
            let line = line_of(at);
            let start = Instant::now();
            for turn in bounds(at) {
                line.store(turn + 1, Ordering::Release);
                while line.load(Ordering::Acquire) != turn + 2 {}
            }
            start.elapsed().as_nanos() as f64 / block as f64
        });
        times.next();
        crate::summary::median(&mut times.collect::<Vec<_>>())
    })
}
