//! How a worker tells a group's receiver which slots have finished: one producer, one consumer, no
//! shared head or tail.
//!
//! ```text
//!  entries   [ 5|1 ][ 2|1 ][ 7|0 ][ 0|0 ]      slot index | lap bit
//!                          ▲
//!          both ends are here: the producer writes lap bit 1 next, the consumer waits for it
//! ```
//!
//! 1. One ring for each pair of group and worker. An entry is `slot index << 1 | lap`, where the lap
//!    bit is that of the producer's count: it flips each time round, so the consumer tells a new
//!    entry from the one of the lap before.
//! 2. A ring has as many entries as the group has slots. An entry that the consumer has not yet read
//!    names a slot that is not yet free, and a slot is named by one entry at a time; so at most
//!    `window` entries are unread, and a push never finds the ring full. A push is one store.
//! 3. The push is a Release store, paired with the consumer's Acquire load of that entry: it carries
//!    the slot's payload and turn.
//! 4. The producer's count belongs to one worker thread, the consumer's to the group's receive end.
//!    A closed group hands the latter on to the next receiver by the queue of free groups.

use crate::sync::{self, AtomicU32, Ordering};

/// The entries of one ring, as seen by either end. The length is a power of two.
#[derive(Clone, Copy, Debug)]
pub struct CompletionRing<'a> {
    /// Written by the worker, read by the receiver; see rule 1 for the packing.
    entries: &'a [AtomicU32],
}

impl<'a> CompletionRing<'a> {
    /// The value of an entry that has never been written: the lap bit of the first lap is 1.
    pub const EMPTY: u32 = 0;

    /// The ring over these entries.
    #[inline(always)]
    pub fn new(entries: &'a [AtomicU32]) -> Self {
        debug_assert!(entries.len().is_power_of_two());
        Self { entries }
    }

    #[inline(always)]
    fn entry(self, count: u64) -> &'a AtomicU32 {
        // SAFETY: the length is a power of two, so the mask keeps the index below it.
        unsafe { self.entries.get_unchecked(count as usize & (self.entries.len() - 1)) }
    }

    /// Lap bit of the `count`-th entry: 1 in the first lap, then alternating.
    #[inline(always)]
    fn lap(self, count: u64) -> u32 {
        (count >> self.entries.len().trailing_zeros()) as u32 & 1 ^ 1
    }

    /// Publishes a finished slot as the `count`-th entry. For the worker that owns the ring.
    #[inline(always)]
    pub fn push(self, count: u64, slot: usize) {
        self.entry(count).store((slot as u32) << 1 | self.lap(count), Ordering::Release);
    }

    /// Asks for the line of the `count`-th entry, which is about to be pushed.
    #[inline(always)]
    pub fn prefetch_push(self, count: u64) {
        sync::prefetch_for_write(self.entry(count));
    }

    /// The slot that the `count`-th entry names, once it is there. For the receiver.
    #[inline(always)]
    pub fn peek(self, count: u64) -> Option<usize> {
        let entry = self.entry(count).load(Ordering::Acquire);
        (entry & 1 == self.lap(count)).then_some((entry >> 1) as usize)
    }
}

#[cfg(all(test, not(stageline_models)))]
mod tests {
    use super::*;

    #[test]
    fn laps_are_told_apart() {
        let entries: Vec<_> = (0..4).map(|_| AtomicU32::new(CompletionRing::EMPTY)).collect();
        let ring = CompletionRing::new(&entries);
        for count in 0..50_u64 {
            assert_eq!(ring.peek(count), None, "entry {count} before its push");
            ring.push(count, count as usize % 3);
            assert_eq!(ring.peek(count), Some(count as usize % 3));
        }
    }
}
