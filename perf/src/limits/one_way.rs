//! One producer, one consumer, a ring of payloads by hand: messages one way, no stages, no results. The
//! consumer checks what it gets.

use super::hand_ring::Cell;
use crate::cores::{Cores, pin};
use crate::meter::{Meter, Timed};
use crate::payload::{Payload, payload};
use crossbeam_utils::CachePadded;
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU64, Ordering};

const SLOTS: u64 = 1024;
/// No position: the consumer may go. It stays until then, so that what it waited can be asked for.
const END: u64 = u64::MAX;

struct Ring {
    cells: Box<[Cell]>,
    /// Published by the producer.
    tail: CachePadded<AtomicU64>,
    /// Published by the consumer.
    head: CachePadded<AtomicU64>,
}

// SAFETY: a cell belongs to the consumer inside of `head..tail` and to the producer outside of it; the
// cursors are moved by Release and read by Acquire.
unsafe impl Sync for Ring {}

impl Ring {
    fn cell(&self, position: u64) -> *mut Payload {
        self.cells[(position % SLOTS) as usize].0.get()
    }
}

/// Nanoseconds a message, published in batches.
pub fn ns(meter: &Meter, cores: &Cores, batch: u64) -> Timed {
    pin(cores.submitter);
    let ring = Ring {
        cells: (0..SLOTS).map(|_| Cell(UnsafeCell::new(payload(0)))).collect(),
        tail: CachePadded::new(AtomicU64::new(0)),
        head: CachePadded::new(AtomicU64::new(0)),
    };
    let messages = meter.requests(5) / batch * batch;
    let warm = messages / 10 / batch * batch;
    std::thread::scope(|scope| {
        scope.spawn(|| consume(&ring, cores.worker()));
        produce(&ring, batch, 0..warm);
        let timed = meter.timed(messages, || produce(&ring, batch, warm..warm + messages));
        ring.tail.store(END, Ordering::Release);
        timed
    })
}

/// Sends the messages of these positions, and waits until the last one has been consumed.
fn produce(ring: &Ring, batch: u64, positions: std::ops::Range<u64>) {
    let mut head = ring.head.load(Ordering::Acquire);
    for first in positions.clone().step_by(batch as usize) {
        while first + batch - head > SLOTS {
            head = ring.head.load(Ordering::Acquire);
        }
        for position in first..first + batch {
            // SAFETY: it is less than a ring ahead of `head`: it belongs to the producer.
            unsafe { ring.cell(position).write(payload(position)) };
        }
        ring.tail.store(first + batch, Ordering::Release);
    }
    while ring.head.load(Ordering::Acquire) != positions.end {}
}

fn consume(ring: &Ring, cpu: usize) {
    pin(cpu);
    let mut head = 0;
    loop {
        let tail = ring.tail.load(Ordering::Acquire);
        if tail == head {
            continue;
        }
        if tail == END {
            return;
        }
        for position in head..tail {
            // SAFETY: it has been published and not consumed: it belongs to the consumer.
            assert_eq!(unsafe { &*ring.cell(position) }, &payload(position), "a wrong message");
        }
        head = tail;
        ring.head.store(head, Ordering::Release);
    }
}
