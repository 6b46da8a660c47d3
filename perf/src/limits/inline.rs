//! Three stages by a table of function pointers, in one thread: what the work costs without any hand-over.

use crate::cores::{Cores, pin};
use crate::meter::{Meter, Timed};
use crate::payload::{expected, payload, table, work};

/// Payloads that the loop goes round.
const SLOTS: u64 = 64;

/// Nanoseconds a request.
pub fn ns(meter: &Meter, cores: &Cores) -> Timed {
    pin(cores.submitter);
    let stages = table();
    let mut slots = [payload(0); SLOTS as usize];
    let rounds = (meter.requests(7) / SLOTS).max(1);
    meter.timed(rounds * SLOTS, || {
        for round in 0..rounds {
            for (at, slot) in slots.iter_mut().enumerate() {
                *slot = payload(round * SLOTS + at as u64);
                work(&stages, slot);
            }
            // Looked at behind the loop, as results of a batch are.
            for (at, slot) in slots.iter().enumerate() {
                assert_eq!(slot[6], expected(round * SLOTS + at as u64), "a wrong result");
            }
        }
    })
}
