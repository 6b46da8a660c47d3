//! The submit end's part: from a free slot to a filled one that waits for a worker.

use super::{Order, Place, Window};
use crate::sync::{self, Ordering};

impl<T, E> Window<T, E> {
    /// One of several producers is about to take a position.
    #[inline]
    pub fn enter(&self) {
        self.takers.fetch_add(1, Ordering::Relaxed);
    }

    /// It has published the position, or taken none.
    #[inline]
    pub fn leave(&self) {
        self.takers.fetch_sub(1, Ordering::Release);
    }

    /// Everything submitted has been received, and nobody is submitting.
    pub fn is_quiet(&self) -> bool {
        // The takers first: one that has left has moved the tail.
        self.takers.load(Ordering::Acquire) == 0 && self.received() == self.tail()
    }

    /// The next position to be submitted.
    #[inline(always)]
    pub fn tail(&self) -> u64 {
        self.tail.load(Ordering::Relaxed)
    }

    /// The place for a position that a sole producer would submit, if its slot has been received.
    /// `received` is the producer's copy of the cursor, which is looked at again only when the copy
    /// says that the window is full.
    #[inline(always)]
    pub fn vacant(&self, order: Order, position: u64, received: &mut u64) -> Option<Place> {
        if self.is_full(position, *received) {
            *received = self.received.load(Ordering::Acquire);
            if self.is_full(position, *received) {
                return None;
            }
        }
        Some(self.place(order, position))
    }

    /// The place for a position that is vacant by a sole producer's copy of the cursor.
    #[inline(always)]
    pub fn known_vacant(&self, order: Order, position: u64, received: u64) -> Option<Place> {
        (!self.is_full(position, received)).then(|| self.place(order, position))
    }

    /// Asks for the first two lines of a slot, to be written.
    #[inline(always)]
    pub fn prefetch_slot(&self, slot: usize) {
        let slot = self.slot(slot);
        sync::prefetch_for_write(slot);
        if size_of_val(slot) > sync::LINE {
            sync::prefetch_behind_for_write(slot, sync::LINE);
        }
    }

    /// How many positions in a row a sole producer can submit from `position` on, as far as `wanted` goes.
    /// Its copy of the cursor is looked at again when the copy says that there are fewer.
    #[inline(always)]
    pub fn vacancies(&self, position: u64, wanted: u64, received: &mut u64) -> u64 {
        let size = self.slots.len() as u64;
        let vacant = |received: u64| size - position.wrapping_sub(received);
        if vacant(*received) < wanted {
            *received = self.received.load(Ordering::Acquire);
        }
        let in_a_row = size - (position & (size - 1));
        vacant(*received).min(wanted).min(in_a_row)
    }

    /// Whether `position` must wait for slots that are not received. (A position that another
    /// producer has long taken may lie before `received`; it is not full, and cannot be taken.)
    #[inline(always)]
    pub(super) fn is_full(&self, position: u64, received: u64) -> bool {
        position.wrapping_sub(received) as i64 >= self.slots.len() as i64
    }

    /// Takes a position among several producers, if the slot of the next one has been received.
    #[inline]
    pub fn take_vacant(&self, order: Order) -> Option<Place> {
        let mut tail = self.tail();
        loop {
            if self.is_full(tail, self.received.load(Ordering::Acquire)) {
                let now = self.tail();
                if now == tail {
                    return None;
                }
                tail = now;
                continue;
            }
            // Before the position is taken: once it is, others may take those behind it, and when one of
            // them is received its slot is posted in this entry, for one window on.
            let place = self.place(order, tail);
            // Relaxed: the load of `received` has acquired the slot, and the winner alone owns it.
            match self.tail.compare_exchange(
                tail,
                tail.wrapping_add(1),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(place),
                Err(now) => tail = now,
            }
        }
    }

    /// A sole producer's new tail.
    #[inline(always)]
    pub fn advance_tail(&self, tail: u64) {
        self.tail.store(tail, Ordering::Relaxed);
    }

    /// Hands a filled slot to the workers.
    #[inline(always)]
    pub fn publish(&self, place: Place) {
        self.slot(place.slot()).publish(place.position);
    }

    /// Hands filled slots of a sole producer to the workers, the last one first: a worker that waits
    /// for the first finds all of them.
    #[inline(always)]
    pub fn publish_batch(&self, order: Order, first: u64, len: u64) {
        match order {
            Order::Submission => {
                let mut position = first.wrapping_add(len);
                for slot in self.stretch(first, len as usize).iter().rev() {
                    position = position.wrapping_sub(1);
                    slot.publish(position);
                }
            }
            Order::Completion => {
                for ahead in (0..len).rev() {
                    self.publish(self.place(order, first.wrapping_add(ahead)));
                }
            }
        }
    }
}
