//! The receive end's part: from a finished slot to a free one.

use super::{Finished, Order, Place, Receipt, Window};
use crate::slab::{OutOfMemory, Slab};
use crate::slot::Phase;
use crate::sync::{self, Ordering};

/// The cursors that belong to the group's receive end.
#[derive(Debug)]
pub struct ReceiveCursor {
    /// Slots released so far, counted as a position: the next to be received in
    /// [`Order::Submission`], and in both orders the one whose lap-later position is posted next.
    head: u64,
    /// The lane to look at first.
    lane: usize,
    /// Entries read from each lane's ring.
    read: Slab<u64>,
    /// A request that this end has claimed itself, since the workers are gone.
    orphan: Option<Place>,
}

/// In place of a lane: the receive end claimed the request itself.
const ORPHAN: u16 = u16::MAX;

impl ReceiveCursor {
    pub(super) fn try_new(position: u64, lanes: usize) -> Result<Self, OutOfMemory> {
        let read = Slab::try_new(lanes, |_| 0)?;
        Ok(Self { head: position, lane: 0, read, orphan: None })
    }
}

impl<T, E> Window<T, E> {
    /// Runs `f` on the receive cursors.
    ///
    /// # Safety
    ///
    /// The caller holds the group's receive end, or the group's index between two openings.
    #[inline(always)]
    pub unsafe fn receive<R>(&self, f: impl FnOnce(&mut ReceiveCursor) -> R) -> R {
        self.receive.with_mut(|cursor| {
            // SAFETY: by this function's contract nobody else reaches the cursors, and the methods
            // that call it do not nest.
            f(unsafe { &mut *cursor })
        })
    }

    /// The next finished slot. It stays the next one until it is released.
    #[inline(always)]
    pub fn next_finished(&self, order: Order, cursor: &mut ReceiveCursor) -> Option<Finished> {
        match order {
            Order::Submission => {
                let place = self.place(Order::Submission, cursor.head);
                let phase = self.slot(place.slot()).finished_at(place.position)?;
                Some(Finished::new(place, phase, 0))
            }
            Order::Completion => {
                let slot = self.next_entry(cursor)?;
                let (position, phase) = self.slot(slot).finished(cursor.head);
                let place = Place { slot: slot as u32, position };
                Some(Finished::new(place, phase, cursor.lane as u16))
            }
        }
    }

    /// The next finished slot, if it is done.
    #[inline(always)]
    pub fn next_done(&self, order: Order, cursor: &mut ReceiveCursor) -> Option<Finished> {
        match order {
            Order::Submission => {
                let place = self.place(Order::Submission, cursor.head);
                let is_done = self.slot(place.slot()).is_done(place.position);
                is_done.then(|| Finished::new(place, Phase::Done, 0))
            }
            Order::Completion => {
                let slot = self.next_entry(cursor)?;
                let position = self.slot(slot).done(cursor.head)?;
                let place = Place { slot: slot as u32, position };
                Some(Finished::new(place, Phase::Done, cursor.lane as u16))
            }
        }
    }

    /// The slot that the next entry of a ring names, that of the cursor's lane, in [`Order::Completion`].
    #[inline(always)]
    fn next_entry(&self, cursor: &mut ReceiveCursor) -> Option<usize> {
        let lanes = cursor.read.len();
        for _ in 0..lanes {
            let lane = cursor.lane;
            if let Some(slot) = self.completions(lane).peek(cursor.read[lane]) {
                return Some(slot);
            }
            cursor.lane = if lane + 1 == lanes { 0 } else { lane + 1 };
        }
        // The oldest request is likely to finish next: its slot comes along with the entry.
        sync::prefetch_for_read(self.slot(self.posting.slot(cursor.head)));
        None
    }

    /// The next result's position, and how many from it on are done, up to `max` and as far as their slots
    /// follow in the array: in [`Order::Submission`]. They are looked at one right after the other, so
    /// that their lines come together.
    #[inline(always)]
    pub fn done_in_a_row(&self, cursor: &ReceiveCursor, max: usize) -> (u64, usize) {
        let mut position = cursor.head;
        for slot in self.stretch(cursor.head, max) {
            if !slot.is_done(position) {
                break;
            }
            position = position.wrapping_add(1);
        }
        (cursor.head, position.wrapping_sub(cursor.head) as usize)
    }

    /// One of the results that have been found [done](Self::done_in_a_row).
    #[inline(always)]
    pub fn done_at(&self, position: u64) -> Finished {
        Finished::new(self.place(Order::Submission, position), Phase::Done, 0)
    }

    /// Goes on behind so many results in a row, as [`consume`](Self::consume) does.
    #[inline(always)]
    pub fn consume_done(&self, cursor: &mut ReceiveCursor, count: u64) {
        cursor.head = cursor.head.wrapping_add(count);
    }

    /// Asks for the slots of up to `max` results of the ring that names the next one, in
    /// [`Order::Completion`]. Returns how many there are; there may be more in other workers' rings.
    #[inline(always)]
    pub fn look_ahead(&self, cursor: &mut ReceiveCursor, max: usize) -> usize {
        if self.next_finished(Order::Completion, cursor).is_none() {
            return 0;
        }
        let (ring, read) = (self.completions(cursor.lane), cursor.read[cursor.lane]);
        let slots = (0..max as u64).map_while(|ahead| ring.peek(read.wrapping_add(ahead)));
        slots.map(|slot| sync::prefetch_for_read(self.slot(slot))).count()
    }

    /// The next request that no worker will run any more, as cancelled. For a receiver whose workers
    /// are gone, when nothing finished is left. It stays the next one until it is released.
    pub fn next_orphan(&self, cursor: &mut ReceiveCursor) -> Option<Finished> {
        cursor.orphan = cursor.orphan.or_else(|| self.take_parked(cursor.head));
        if cursor.orphan.is_none() {
            let mut slots = [0];
            let claimed = self.claim(1, &mut slots)?;
            let slot = self.index_of(self.claimed_slot(claimed, &slots, 0)) as u32;
            cursor.orphan = Some(Place { slot, position: claimed.first });
        }
        let place = cursor.orphan?;
        Some(Finished::new(place, Phase::Cancelled, ORPHAN))
    }

    /// A suspended request that no worker will go on with any more, and that can be received now.
    fn take_parked(&self, head: u64) -> Option<Place> {
        let of = |slot: usize| {
            let position = self.slot(slot).position(head);
            self.parking(slot).take().then_some(Place { slot: slot as u32, position })
        };
        match self.order() {
            _ if self.kept.is_empty() => None,
            order @ Order::Submission => of(self.slot_of(order, head)),
            Order::Completion => (0..self.kept.len()).find_map(of),
        }
    }

    /// Gives finished slots back to the submit end: [`consume`](Self::consume) for each, then this.
    #[inline(always)]
    pub fn publish_received(&self, cursor: &ReceiveCursor) {
        self.received.store(cursor.head, Ordering::Release);
    }

    /// Goes on to the next finished slot. This one is given back by the next
    /// [`publish_received`](Self::publish_received).
    #[inline(always)]
    pub fn consume(&self, order: Order, cursor: &mut ReceiveCursor, receipt: Receipt) {
        if receipt.lane == ORPHAN {
            cursor.orphan = None;
            self.orphaned.store(self.orphaned.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
        if order == Order::Completion {
            if let Some(read) = cursor.read.get_mut(usize::from(receipt.lane)) {
                *read = read.wrapping_add(1);
            }
            let next = cursor.head.wrapping_add(self.slots.len() as u64);
            self.posting.post(next, receipt.slot());
        }
        cursor.head = cursor.head.wrapping_add(1);
    }

    /// Slots released so far, counted as a position.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}
