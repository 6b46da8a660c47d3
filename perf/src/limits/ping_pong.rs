//! Two threads bounce one cache line: the shortest round trip that there is between two CPUs.

use crate::cores::{Cores, pin};
use crate::meter::{Meter, Timed};
use crossbeam_utils::CachePadded;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Lines that the blocks go round: how far a line is from a CPU depends on its address, and a ring
/// has near ones and far ones. One line alone differs by a tenth from process to process.
const LINES: usize = 64;

/// No turn: the game is over.
const END: u64 = u64::MAX;

/// The lines, and the thread that bounces them back.
struct Court {
    lines: Vec<CachePadded<AtomicU64>>,
}

impl Court {
    fn new() -> Self {
        Self { lines: (0..LINES).map(|_| CachePadded::new(AtomicU64::new(0))).collect() }
    }

    /// One trip: there and back. The turns of a line go on from block to block.
    #[inline(always)]
    fn trip(line: &AtomicU64, turn: u64) {
        line.store(turn + 1, Ordering::Release);
        while line.load(Ordering::Acquire) != turn + 2 {}
    }

    /// Answers the trips of all blocks, up to the end of the game.
    fn answer(&self, block: u64) {
        for at in 0.. {
            let line = &self.lines[at % LINES];
            for turn in turns(at, block) {
                loop {
                    match line.load(Ordering::Acquire) {
                        ball if ball == turn + 1 => break,
                        END => return,
                        _ => {}
                    }
                }
                line.store(turn + 2, Ordering::Release);
            }
        }
    }

    /// Sends the answering thread home. No trip is under way.
    fn end(&self) {
        self.lines.iter().for_each(|line| line.store(END, Ordering::Release));
    }
}

/// What a line holds before each trip of a block.
fn turns(at: usize, block: u64) -> impl Iterator<Item = u64> {
    (at as u64 / LINES as u64 * 2 * block..).step_by(2).take(block as usize)
}

/// Nanoseconds a round trip, as the median over blocks of trips, each on another line.
pub fn round_trip(meter: &Meter, cores: &Cores) -> Timed {
    pin(cores.submitter);
    let court = Court::new();
    let (_, block) = meter.blocks();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pin(cores.worker());
            court.answer(block);
        });
        let timed = meter.timed_blocks(|at, block| {
            let line = &court.lines[at % LINES];
            turns(at, block).for_each(|turn| Court::trip(line, turn));
        });
        court.end();
        timed
    })
}

/// Tells `record` the time of each trip of a pass of its own; the first trips warm up.
pub fn latency(meter: &Meter, cores: &Cores, mut record: impl FnMut(u64)) {
    pin(cores.submitter);
    let court = Court::new();
    let block = 64;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pin(cores.worker());
            court.answer(block);
        });
        let mut places = (0..).flat_map(|at| turns(at, block).map(move |turn| (at, turn)));
        let mut trip = || {
            let (at, turn) = places.next().expect("no end");
            let line = &court.lines[at % LINES];
            let start = Instant::now();
            Court::trip(line, turn);
            start.elapsed().as_nanos() as u64
        };
        meter.each(block, &mut trip, |_| {});
        meter.each(meter.latency_trips(), &mut trip, &mut record);
        court.end();
    });
}
