//! `src/slot.rs`: the turn word hands the payload from the submitter to the worker and from the
//! worker to the receiver, and is never taken for that of another position.
//!
//! Proven: for one slot and two, one thread in each role, up to three requests, at starts next to
//! both wraps (that of a position and that of the turn's 60 bits), no access to the payload races
//! with another, and each sees the one before.
//! Bound: three or four preemptions, as each says.
//! Not proven: several threads in a role (see `claim.rs` and `window.rs`); more laps than two. The way
//! back to the submitter is the window's; a cursor of the model's own stands for it here.

mod common;

use common::stageline::slot::{Phase, Slot};
use common::stageline::sync::{Arc, AtomicU64, Ordering};
use common::{FOUR, THREE, explore, join, spawn, step};

/// Starts next to the two wraps, and one that is next to none.
const STARTS: [u64; 3] = [7, u64::MAX - 1, (1 << 60) - 1];

/// A ring of slots that starts at a position, as one of the three parties goes round it.
struct Party {
    slots: Arc<Vec<Slot<u64>>>,
    /// Requests received.
    received: Arc<AtomicU64>,
    start: u64,
    /// Requests that this party has had.
    count: u64,
}

impl Party {
    /// The slot that it looks at next, and the position there.
    fn next(&self) -> (&Slot<u64>, u64) {
        let slot = &self.slots[self.count as usize % self.slots.len()];
        (slot, self.start.wrapping_add(self.count))
    }

    /// What all parties have added to the next slot in the laps before.
    fn left(&self) -> u64 {
        self.count / self.slots.len() as u64 * 111
    }

    fn submit(&mut self) {
        if self.count < self.received.load(Ordering::Acquire) + self.slots.len() as u64 {
            let (slot, position) = self.next();
            assert_eq!(add(slot, 1), self.left());
            slot.publish(position);
            self.count += 1;
        }
    }

    fn run(&mut self) {
        let (slot, position) = self.next();
        if slot.is_ready(position) {
            assert_eq!(add(slot, 10), self.left() + 1);
            slot.finish(position, Phase::Dropped);
            self.count += 1;
        }
    }

    fn receive(&mut self) {
        let (slot, position) = self.next();
        if let Some(phase) = slot.finished_at(position) {
            assert_eq!(phase, Phase::Dropped);
            assert_eq!(slot.finished(self.start), (position, phase));
            assert_eq!(add(slot, 100), self.left() + 11);
            self.count += 1;
            self.received.store(self.count, Ordering::Release);
        }
    }
}

/// Adds to the payload and returns what it was.
fn add(slot: &Slot<u64>, more: u64) -> u64 {
    // SAFETY: the callers have just found the slot to be theirs; that it is, the model checks.
    unsafe {
        slot.value(|value| {
            let before = *value;
            *value = before + more;
            before
        })
    }
}

/// The three parties, each with so many looks at the ring. Says how many requests each has had.
fn go_round(window: u64, start: u64, looks: [usize; 3]) -> String {
    let slots = Arc::new((0..window).map(|_| Slot::new(0)).collect::<Vec<_>>());
    let received = Arc::new(AtomicU64::new(0));
    let steps = [Party::submit, Party::run, Party::receive];
    let parties = [0, 1, 2].map(|role: usize| {
        let (slots, received) = (slots.clone(), received.clone());
        let mut party = Party { slots, received, start, count: 0 };
        spawn(move || {
            (0..looks[role]).for_each(|look| {
                if look > 0 {
                    step();
                }
                steps[role](&mut party);
            });
            party.count
        })
    });
    let [submitted, run, received] = parties.map(join);
    assert!(received <= run && run <= submitted && submitted <= received + window);
    format!("{submitted} {run} {received}")
}

#[test]
fn one_lap_of_one_slot() {
    for start in STARTS {
        let expected = ["1 0 0", "1 1 0", "1 1 1"];
        explore("slot::one_lap_of_one_slot", FOUR, &expected, move || {
            go_round(1, start, [1, 1, 1])
        });
    }
}

#[test]
fn two_laps_of_one_slot() {
    let expected = ["1 0 0", "1 1 0", "1 1 1", "2 1 1", "2 2 1", "2 2 2"];
    explore("slot::two_laps_of_one_slot", THREE, &expected, || go_round(1, u64::MAX, [2, 2, 2]));
}

#[test]
fn the_second_lap_of_two_slots() {
    let expected = ["2 0 0", "2 1 0", "2 1 1", "2 2 0", "2 2 1", "3 1 1", "3 2 1"];
    explore("slot::the_second_lap_of_two_slots", THREE, &expected, || {
        go_round(2, (1 << 60) - 2, [3, 2, 1])
    });
}
