//! What reads text, and what writes text that others read.
//!
//! The engine itself has no parser: it asks the system for its CPUs by calls, and lets `std` read
//! the cgroup's quota. What is computed from the answers is fed here, with answers of every kind.

pub(crate) mod drawings;
mod pins;
mod rows;

use crate::{all_of, allow_asked_panics};
use arbitrary::Unstructured;

/// The first byte says which; rows come as they would stand in a file.
pub fn run(data: &[u8]) {
    allow_asked_panics();
    let Some((first, rest)) = data.split_first() else { return };
    let mut bytes = Unstructured::new(rest);
    match first {
        b'R' => rows::check(rest),
        b'D' => drawings::check(&all_of(&mut bytes).collect::<Vec<_>>()),
        b'P' => all_of(&mut bytes).for_each(|machine: pins::Machine| machine.check()),
        _ => {}
    }
}
