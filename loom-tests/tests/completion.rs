//! `src/ring/completion.rs`: what a worker pushes, the receiver finds once, in order, with all that
//! was written before.
//!
//! Proven: for one ring of one entry and two, over up to three laps, the entry of a lap is never taken
//! for that of another, and the cell that stands for the slot is never raced for.
//! Bound: none for one entry, four preemptions for two, three for a batch.
//! Not proven: a full ring, which rule 2 of the module excludes and `window.rs` relies on; more laps.

mod common;

use common::stageline::ring::completion::CompletionRing;
use common::stageline::sync::{Arc, AtomicU32, AtomicU64, Ordering};
use common::{ALL, FOUR, THREE, Watched, explore, join, spawn};

/// A ring, the payloads of its slots, and how many entries were read: the worker does not push a slot
/// before it was released.
struct Ring {
    entries: Vec<AtomicU32>,
    payloads: Vec<Watched>,
    read: AtomicU64,
}

impl Ring {
    fn new(size: usize) -> Arc<Self> {
        Arc::new(Self {
            entries: (0..size).map(|_| AtomicU32::new(CompletionRing::EMPTY)).collect(),
            payloads: (0..size).map(|_| Watched::new()).collect(),
            read: AtomicU64::new(0),
        })
    }

    fn ring(&self) -> CompletionRing<'_> {
        CompletionRing::new(&self.entries)
    }

    /// Pushes the `count`-th entry, if its slot is free: slots go in the order of `slot`.
    fn push(&self, count: u64, slot: usize) -> bool {
        if count >= self.read.load(Ordering::Acquire) + self.entries.len() as u64 {
            return false;
        }
        // SAFETY: the receiver has released the slot; that it has, the model checks.
        unsafe { self.payloads[slot].set(count + 1) };
        self.ring().push(count, slot);
        true
    }

    /// Reads the `count`-th entry, if it is there; the slot.
    fn take(&self, count: u64) -> Option<usize> {
        let slot = self.ring().peek(count)?;
        // SAFETY: the entry hands the slot over; that it does, the model checks.
        let payload = unsafe { self.payloads[slot].get() };
        assert_eq!(payload, count + 1, "the entry of another lap");
        self.read.store(count + 1, Ordering::Release);
        Some(slot)
    }
}

/// Worker and receiver with so many looks each; how many entries each has had.
fn laps(size: usize, looks: [u64; 2], start: u64) -> String {
    let ring = Ring::new(size);
    // Laps before the model begins, so that it also starts at the other lap bit.
    for count in 0..start {
        let slot = count as usize % size;
        assert!(ring.push(count, slot));
        assert_eq!(ring.take(count), Some(slot));
    }
    let worker = spawn({
        let ring = ring.clone();
        move || {
            let step = |count, _| count + u64::from(ring.push(count, count as usize % size));
            (0..looks[0]).fold(start, step)
        }
    });
    let receiver = spawn(move || {
        (0..looks[1]).fold(start, |count, _| match ring.take(count) {
            Some(slot) => {
                assert_eq!(slot, count as usize % size);
                count + 1
            }
            None => count,
        })
    });
    format!("{} {}", join(worker) - start, join(receiver) - start)
}

#[test]
fn one_entry_three_laps() {
    for start in [0, 1] {
        let expected = ["1 0", "1 1", "2 1", "2 2", "3 2", "3 3"];
        explore("completion::one_entry_three_laps", ALL, &expected, move || laps(1, [3, 3], start));
    }
}

#[test]
fn two_entries_two_laps() {
    for start in [0, 2, 3] {
        let expected = ["2 0", "2 1", "2 2", "3 1", "3 2", "3 3", "4 2", "4 3", "4 4"];
        explore("completion::two_entries_two_laps", FOUR, &expected, move || {
            laps(2, [4, 4], start)
        });
    }
}

/// A batch is pushed last entry first: who finds the first finds all.
#[test]
fn a_batch_pushed_backwards() {
    let expected = ["None None", "Some(1) Some(0)"];
    explore("completion::a_batch_pushed_backwards", THREE, &expected, || {
        let ring = Ring::new(2);
        let worker = spawn({
            let ring = ring.clone();
            move || {
                assert!(ring.push(1, 0));
                assert!(ring.push(0, 1));
            }
        });
        let receiver = spawn(move || {
            let first = ring.take(0);
            let second = first.and_then(|_| ring.take(1));
            (first, second)
        });
        join(worker);
        let (first, second) = join(receiver);
        assert_eq!(first.is_some(), second.is_some(), "who finds the first finds all");
        format!("{first:?} {second:?}")
    });
}
