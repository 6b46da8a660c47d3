//! A ring written by hand for one case: payloads in place, one producer that is also the receiver,
//! one worker, and three cursors, of which two are shared. What a specialist would write; no groups, no table of machines, no
//! outcomes, no shutdown.

use crate::cores::{Cores, pin};
use crate::driver::WORKER_BATCH_MAX;
use crate::meter::{Meter, Timed};
use crate::payload::{Payload, expected, payload, table, work as run_stages};
use crossbeam_utils::CachePadded;
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A payload of 64 bytes on a line of its own.
#[repr(align(64))]
pub(super) struct Cell(pub(super) UnsafeCell<Payload>);

struct Ring {
    cells: Box<[Cell]>,
    /// Published by the producer.
    tail: CachePadded<AtomicU64>,
    /// Published by the worker.
    done: CachePadded<AtomicU64>,
    stop: CachePadded<AtomicBool>,
}

// SAFETY: a cell belongs to the producer outside of `done..tail` and to the worker inside of it; the
// cursors are moved by Release and read by Acquire.
unsafe impl Sync for Ring {}

impl Ring {
    fn cell(&self, position: u64) -> *mut Payload {
        self.cells[position as usize & (self.cells.len() - 1)].0.get()
    }
}

/// Nanoseconds a request: bursts of `burst` into a ring of `window` payloads, from which the worker takes
/// what it finds.
pub fn stream(meter: &Meter, cores: &Cores, window: usize, burst: u64) -> Timed {
    pin(cores.submitter);
    let requests = meter.requests(12).max(10 * burst) / burst * burst;
    let warm = requests / 10 / burst * burst;
    let ring = Ring {
        cells: (0..window).map(|_| Cell(UnsafeCell::new(payload(0)))).collect(),
        tail: CachePadded::new(AtomicU64::new(0)),
        done: CachePadded::new(AtomicU64::new(0)),
        stop: CachePadded::new(AtomicBool::new(false)),
    };
    let ring = &ring;
    std::thread::scope(|scope| {
        let batch_max = burst.max(WORKER_BATCH_MAX as u64);
        scope.spawn(move || work(ring, cores.worker(), batch_max));
        drive(ring, burst, warm, 0);
        let timed = meter.timed(requests, || drive(ring, burst, requests, warm));
        ring.stop.store(true, Ordering::Relaxed);
        timed
    })
}

fn work(ring: &Ring, cpu: usize, batch_max: u64) {
    pin(cpu);
    let stages = table();
    let mut at = 0;
    loop {
        let tail = ring.tail.load(Ordering::Acquire);
        if tail == at {
            if ring.stop.load(Ordering::Relaxed) {
                return;
            }
            continue;
        }
        let end = tail.min(at + batch_max);
        for position in at..end {
            // SAFETY: the position is published and not yet done: it belongs to the worker.
            let value = unsafe { &mut *ring.cell(position) };
            run_stages(&stages, value);
        }
        at = end;
        ring.done.store(at, Ordering::Release);
    }
}

/// Submits and receives `requests`, whole bursts, from position `tail` on; everything before has been
/// received.
fn drive(ring: &Ring, burst: u64, requests: u64, mut tail: u64) {
    let last = tail + requests;
    let mut head = tail;
    while head < last {
        if tail < last && tail + burst - head <= ring.cells.len() as u64 {
            for position in tail..tail + burst {
                // SAFETY: the position is a whole ring ahead of the oldest one not yet received: it
                // belongs to the producer.
                unsafe { ring.cell(position).write(payload(position)) };
            }
            tail += burst;
            ring.tail.store(tail, Ordering::Release);
        }
        let done = ring.done.load(Ordering::Acquire).min(head + burst);
        while head < done {
            // SAFETY: the position is done: it belongs to the producer again.
            let value = unsafe { &*ring.cell(head) };
            assert_eq!(value[6], expected(head));
            head += 1;
        }
    }
}
