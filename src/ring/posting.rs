//! Which slot serves which position, in a group whose outputs come as they finish.
//!
//! ```text
//!  order[position mod window] = slot        written by the receiver, one lap ahead
//! ```
//!
//! 1. A slot that is released out of order is *posted* for the next position that has none: the
//!    receiver that releases its `k`-th slot writes the index to `order[k mod window]` and then moves
//!    the window's `received` cursor to `k + 1`, with Release.
//! 2. The submit end takes position `k + window` only when it has seen that cursor, with Acquire, and
//!    so finds the entry.
//! 3. A worker checks what it finds: it goes on only if the slot named here is `Ready(p)`. No other
//!    slot ever has that turn, so an entry that is too old leads to "not yet", never to a wrong slot.
//!    That it finds the new entry in time follows from the turn: the entry comes before the cursor,
//!    the cursor's Acquire before the submit end's Release of `Ready(p)`.
//! 4. So an entry carries no data by itself, and for this its order does not matter.
//! 5. A worker that finds the slot not ready may ask whether that is because the position has long been
//!    claimed ([`Window::is_waiting`](crate::window::Window::is_waiting)). An entry that is already that of one
//!    lap later was posted by a receiver that had released so many slots that the claim cursor has passed
//!    the position. So who asks reads the entry with Acquire, which pairs with the Release of the post, and
//!    then sees the cursor moved.

use crate::slab::{OutOfMemory, Slab};
use crate::sync::{AtomicU32, Ordering};

/// The map from positions to slots. The length is a power of two.
#[derive(Debug)]
pub struct PostingRing {
    /// Slot indices. Written by the group's receive end (Release), read by its submit end and by workers
    /// (Acquire in rule 5).
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
        // SAFETY: the length is a power of two, so the mask keeps the index below it.
        unsafe { self.order.at(position as usize & (self.order.len() - 1)) }
    }

    /// The slot posted for `position`, or for one whole laps before it (rule 3).
    #[inline(always)]
    pub fn slot(&self, position: u64) -> usize {
        self.entry(position).load(Ordering::Relaxed) as usize
    }

    /// As [`slot`](Self::slot), for who then looks at the claim cursor (rule 5).
    #[inline(always)]
    pub fn slot_before_the_cursor(&self, position: u64) -> usize {
        self.entry(position).load(Ordering::Acquire) as usize
    }

    /// Posts `slot` for `position`.
    #[inline(always)]
    pub fn post(&self, position: u64, slot: usize) {
        self.entry(position).store(slot as u32, Ordering::Release);
    }
}
