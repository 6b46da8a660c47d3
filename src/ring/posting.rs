//! Which slot serves which position, in a group whose outputs come as they finish.
//!
//! ```text
//!  order[position mod window] = slot        written by the receiver, one lap ahead
//! ```
//!
//! 1. A slot that is freed out of order is *posted* for the next position that has none: the
//!    receiver that frees its `k`-th slot writes the index to `order[k mod window]` and then stores
//!    `Free(k + window)` in the slot's turn.
//! 2. A reader checks what it finds: a submitter at position `p` goes on only if the slot named here
//!    is `Free(p)`, a worker only if it is `Ready(p)`. No slot has such a turn but the one posted for
//!    `p`, so an entry that is too old leads to "not yet", never to a wrong slot.
//! 3. So an entry carries no data by itself and is Relaxed. That readers see it in time follows from
//!    the turn: the receiver's Release of `Free(p)` comes after the entry, the submitter's Acquire
//!    of it before its own Release of `Ready(p)`.

use crate::slab::{OutOfMemory, Slab};
use crate::sync::{AtomicU32, Ordering};

/// The map from positions to slots. The length is a power of two.
#[derive(Debug)]
pub struct PostingRing {
    /// Slot indices. Written by the group's receive end, read by its submit end and by workers.
    order: Slab<AtomicU32>,
}

impl PostingRing {
    /// A map in which each position has the slot of its own number.
    pub fn try_new(window: usize) -> Result<Self, OutOfMemory> {
        Ok(Self { order: Slab::try_new(window, |index| AtomicU32::new(index as u32))? })
    }

    /// Bytes that a map of `window` positions takes.
    pub fn bytes(window: usize) -> usize {
        Slab::<AtomicU32>::bytes(window)
    }

    #[inline(always)]
    fn entry(&self, position: u64) -> &AtomicU32 {
        &self.order[position as usize & (self.order.len() - 1)]
    }

    /// The slot posted for `position`, or for one whole laps before it (rule 2).
    #[inline(always)]
    pub fn slot(&self, position: u64) -> usize {
        self.entry(position).load(Ordering::Relaxed) as usize
    }

    /// Posts `slot` for `position`.
    #[inline(always)]
    pub fn post(&self, position: u64, slot: usize) {
        self.entry(position).store(slot as u32, Ordering::Relaxed);
    }
}
