//! A group's own memory: its slots, the cursors and rings over them, and the three protocols that
//! move a slot round (submit, claim and complete, receive). It knows neither stages nor threads;
//! the ends of a group and the workers are built on it, and the models drive it directly.

use crate::cold::Cold;
use crate::ring::claim::{ClaimCursor, Claimed};
use crate::ring::completion::CompletionRing;
use crate::ring::posting::PostingRing;
use crate::slab::{OutOfMemory, Slab};
use crate::slot::{Phase, Slot};
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Ordering, UnsafeCell};
use crossbeam_utils::CachePadded;

/// In which order a group's outputs are received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As submitted. The cheapest mode; a slow request holds back those behind it.
    Submission,
    /// As finished.
    #[default]
    Completion,
}

/// A slot that one party owns, and the position that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index of the slot in its window.
    pub slot: usize,
    /// The position.
    pub position: u64,
}

/// A finished slot, before it is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The slot and the position that it was submitted as.
    pub place: Place,
    /// How the request ended.
    pub phase: Phase,
    /// The worker whose ring named it; not meaningful in [`Order::Submission`].
    lane: usize,
}

/// What one worker keeps about one group: a line that only this worker writes.
#[derive(Debug)]
#[repr(align(64))]
pub struct Lane {
    /// Entries that the worker has pushed to its completion ring of this group. Written by the
    /// worker with plain (Relaxed) stores, read by itself.
    pushed: AtomicU64,
    /// Requests ended, by outcome. Written by the worker with Relaxed stores before it publishes the
    /// batch, read for the statistics.
    outcomes: [AtomicU64; Phase::FINISHED.len()],
}

impl Default for Lane {
    fn default() -> Self {
        Self { pushed: AtomicU64::new(0), outcomes: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl Lane {
    /// Requests that ended with this outcome.
    fn ended(&self, phase: Phase) -> u64 {
        self.outcomes[phase.outcome_index()].load(Ordering::Relaxed)
    }

    /// Adds to a counter of which the calling thread is the only writer.
    #[inline(always)]
    fn count(&self, phase: Phase, more: u64) {
        let counter = &self.outcomes[phase.outcome_index()];
        counter.store(counter.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }
}

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
const ORPHAN: usize = usize::MAX;

/// A group's slots, rings and cursors.
#[derive(Debug)]
pub struct Window<T, E> {
    slots: Slab<Slot<T>>,
    cold: Slab<ColdSlot<E>>,
    posting: PostingRing,
    lanes: Slab<Lane>,
    /// The completion rings of all lanes, one after the other.
    entries: Slab<AtomicU32>,
    /// [`Order::Completion`] if set. Written when the group is opened, when it is quiet. Relaxed: a
    /// worker that acts on it has acquired a slot published after the opening.
    completion: AtomicBool,
    claim: CachePadded<ClaimLine>,
    /// The next position to be submitted. Written by the submit end (a plain store by a sole
    /// producer, compare-and-swap by shared ones), read for the statistics. Relaxed: the slot's turn
    /// carries the data.
    tail: CachePadded<AtomicU64>,
    /// Copy of [`ReceiveCursor::head`] for others to read. Written by the receive end, read by the
    /// statistics and by whoever closes the pipeline. Relaxed.
    received: CachePadded<AtomicU64>,
    /// Requests that the receive end ended as cancelled. Written by it, read by the statistics.
    orphaned: AtomicU64,
    /// Owned by the receive end, and between two openings by whoever holds the group's index.
    receive: UnsafeCell<ReceiveCursor>,
}

/// What workers share of a group.
#[derive(Debug)]
struct ClaimLine {
    cursor: ClaimCursor,
    /// How many requests to claim at once. Written by the worker that measured last, read by all
    /// workers: a hint, Relaxed.
    batch: AtomicU32,
}

/// A cold entry in its cell.
#[derive(Debug)]
struct ColdSlot<E>(UnsafeCell<Cold<E>>);

// SAFETY: as for `Slot`: reached only by the slot's owner, and ownership moves by the turn.
unsafe impl<E: Send> Sync for ColdSlot<E> {}

// SAFETY: every part but `receive` is `Sync` by itself; `receive` is reached only through methods
// whose contract is that the caller holds the group's receive end, which one thread has at a time.
unsafe impl<T: Send, E: Send> Sync for Window<T, E> {}

impl<T, E> Window<T, E> {
    /// Allocates a window of `size` slots (a power of two) that starts at `position`.
    pub fn try_new(
        size: usize,
        lanes: usize,
        position: u64,
        payload: &mut dyn FnMut() -> T,
    ) -> Result<Self, OutOfMemory> {
        debug_assert!(size.is_power_of_two());
        let mask = size as u64 - 1;
        // Slot `i` stands for the first position from the start on that maps to it.
        let start = |slot: usize| position.wrapping_add((slot as u64).wrapping_sub(position) & mask);
        Ok(Self {
            slots: Slab::try_new(size, |slot| Slot::new(start(slot), payload()))?,
            cold: Slab::try_new(size, |_| ColdSlot(UnsafeCell::new(Cold::default())))?,
            posting: PostingRing::try_new(size)?,
            lanes: Slab::try_new(lanes, |_| Lane::default())?,
            entries: Slab::try_new(size * lanes, |_| AtomicU32::new(CompletionRing::EMPTY))?,
            completion: AtomicBool::new(false),
            claim: CachePadded::new(ClaimLine {
                cursor: ClaimCursor::new(position),
                batch: AtomicU32::new(1),
            }),
            tail: CachePadded::new(AtomicU64::new(position)),
            received: CachePadded::new(AtomicU64::new(position)),
            orphaned: AtomicU64::new(0),
            receive: UnsafeCell::new(ReceiveCursor {
                head: position,
                lane: 0,
                read: Slab::try_new(lanes, |_| 0)?,
                orphan: None,
            }),
        })
    }

    /// Bytes that such a window allocates, itself not counted.
    pub fn bytes(size: usize, lanes: usize) -> usize {
        Slab::<Slot<T>>::bytes(size)
            .saturating_add(Slab::<ColdSlot<E>>::bytes(size))
            .saturating_add(PostingRing::bytes(size))
            .saturating_add(Slab::<Lane>::bytes(lanes))
            .saturating_add(Slab::<AtomicU32>::bytes(size.saturating_mul(lanes)))
            .saturating_add(Slab::<u64>::bytes(lanes))
    }

    /// The order in which this group's outputs are received.
    #[inline(always)]
    pub fn order(&self) -> Order {
        if self.completion.load(Ordering::Relaxed) { Order::Completion } else { Order::Submission }
    }

    /// The slot that stands for `position` in this order, if any does (see [`PostingRing`]).
    #[inline(always)]
    pub fn slot_of(&self, order: Order, position: u64) -> usize {
        match order {
            Order::Submission => position as usize & (self.slots.len() - 1),
            Order::Completion => self.posting.slot(position),
        }
    }

    #[inline(always)]
    fn place(&self, order: Order, position: u64) -> Place {
        Place { slot: self.slot_of(order, position), position }
    }

    #[inline(always)]
    fn completions(&self, lane: usize) -> CompletionRing<'_> {
        let size = self.slots.len();
        CompletionRing::new(&self.entries[lane * size..][..size])
    }

    /// Runs `f` on a slot's payload.
    ///
    /// # Safety
    ///
    /// The caller owns the slot by its turn, and uses no other reference to the payload.
    #[inline(always)]
    pub unsafe fn value<R>(&self, slot: usize, f: impl FnOnce(*mut T) -> R) -> R {
        // SAFETY: by this function's contract.
        unsafe { self.slots[slot].value(f) }
    }

    /// Runs `f` on a slot's cold entry.
    ///
    /// # Safety
    ///
    /// The caller owns the slot by its turn, and uses no other reference to the cold entry.
    #[inline(always)]
    pub unsafe fn cold<R>(&self, slot: usize, f: impl FnOnce(*mut Cold<E>) -> R) -> R {
        self.cold[slot].0.with_mut(f)
    }

    // ---- the submit end ----

    /// The next position to be submitted.
    #[inline(always)]
    pub fn tail(&self) -> u64 {
        self.tail.load(Ordering::Relaxed)
    }

    /// The place for `tail`, the position that a sole producer submits next, if its slot is free.
    #[inline(always)]
    pub fn vacant(&self, order: Order, tail: u64) -> Option<Place> {
        let place = self.place(order, tail);
        self.slots[place.slot].is_free(tail).then_some(place)
    }

    /// Takes a position among several producers, if the slot of the next one is free.
    #[inline]
    pub fn take_vacant(&self, order: Order) -> Option<Place> {
        let mut tail = self.tail();
        loop {
            let Some(place) = self.vacant(order, tail) else {
                let now = self.tail();
                if now == tail {
                    return None;
                }
                tail = now;
                continue;
            };
            // Relaxed: `vacant` has acquired the slot, and the winner alone owns it from here on.
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
        self.slots[place.slot].publish(place.position);
    }

    // ---- the workers ----

    /// Whether the slot `ahead` positions behind the claim cursor can be claimed. A hint.
    #[inline(always)]
    pub fn has_ready(&self, ahead: usize) -> bool {
        let position = self.claim.cursor.position().wrapping_add(ahead as u64);
        self.slots[self.slot_of(self.order(), position)].is_ready(position)
    }

    /// Takes up to `limit` requests.
    #[inline(always)]
    pub fn claim(&self, limit: usize) -> Option<Claimed> {
        // The order may be that of an earlier opening; the look is right all the same (rule 2 of
        // `ring::posting`), and the caller asks again once it has claimed.
        match self.order() {
            Order::Submission => self.claim_in(Order::Submission, limit),
            Order::Completion => self.claim_in(Order::Completion, limit),
        }
    }

    #[inline(always)]
    fn claim_in(&self, order: Order, limit: usize) -> Option<Claimed> {
        self.claim.cursor.claim(limit, |position| {
            self.slots[self.slot_of(order, position)].is_ready(position)
        })
    }

    /// How many requests to claim at once.
    #[inline(always)]
    pub fn batch(&self) -> usize {
        self.claim.batch.load(Ordering::Relaxed) as usize
    }

    /// Sets how many requests to claim at once.
    pub fn set_batch(&self, batch: usize) {
        self.claim.batch.store(batch as u32, Ordering::Relaxed);
    }

    /// Hands a claimed batch to the receiver, each request with the phase that it ended in. For the
    /// worker that owns the lane.
    #[inline(always)]
    pub fn complete(&self, lane_index: usize, claimed: Claimed, phases: &[Phase]) {
        let lane = &self.lanes[lane_index];
        let mut done = claimed.len as u64;
        for phase in phases.iter().filter(|phase| **phase != Phase::Done) {
            done -= 1;
            lane.count(*phase, 1);
        }
        lane.count(Phase::Done, done);
        let positions = (0..claimed.len as u64).map(|ahead| claimed.first.wrapping_add(ahead));
        match self.order() {
            Order::Submission => {
                for (position, phase) in positions.zip(phases) {
                    self.slots[self.slot_of(Order::Submission, position)].finish(position, *phase);
                }
            }
            Order::Completion => {
                let ring = self.completions(lane_index);
                let mut pushed = lane.pushed.load(Ordering::Relaxed);
                for (position, phase) in positions.zip(phases) {
                    let slot = self.slot_of(Order::Completion, position);
                    self.slots[slot].finish(position, *phase);
                    ring.push(pushed, slot);
                    pushed = pushed.wrapping_add(1);
                }
                lane.pushed.store(pushed, Ordering::Relaxed);
            }
        }
    }

    /// Requests that ended with this outcome, since the window was made.
    pub fn ended(&self, phase: Phase) -> u64 {
        let by_workers: u64 = self.lanes.iter().map(|lane| lane.ended(phase)).sum();
        let by_receiver = match phase {
            Phase::Cancelled => self.orphaned.load(Ordering::Relaxed),
            _ => 0,
        };
        by_workers + by_receiver
    }

    // ---- the receive end ----

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
    pub fn next_finished(&self, cursor: &mut ReceiveCursor) -> Option<Finished> {
        match self.order() {
            Order::Submission => {
                let place = self.place(Order::Submission, cursor.head);
                let phase = self.slots[place.slot].finished_at(place.position)?;
                Some(Finished { place, phase, lane: 0 })
            }
            Order::Completion => {
                let lanes = cursor.read.len();
                for _ in 0..lanes {
                    let lane = cursor.lane;
                    if let Some(slot) = self.completions(lane).peek(cursor.read[lane]) {
                        let (position, phase) = self.slots[slot].finished(cursor.head);
                        return Some(Finished { place: Place { slot, position }, phase, lane });
                    }
                    cursor.lane = if lane + 1 == lanes { 0 } else { lane + 1 };
                }
                None
            }
        }
    }

    /// The next request that no worker will run any more, as cancelled. For a receiver whose workers
    /// are gone, when nothing finished is left. It stays the next one until it is released.
    pub fn next_orphan(&self, cursor: &mut ReceiveCursor) -> Option<Finished> {
        if cursor.orphan.is_none() {
            let claimed = self.claim(1)?;
            cursor.orphan = Some(self.place(self.order(), claimed.first));
        }
        let place = cursor.orphan?;
        Some(Finished { place, phase: Phase::Cancelled, lane: ORPHAN })
    }

    /// Gives a finished slot back to the submit end.
    #[inline(always)]
    pub fn release(&self, cursor: &mut ReceiveCursor, finished: Finished) {
        let slot = finished.place.slot;
        let next = cursor.head.wrapping_add(self.slots.len() as u64);
        if finished.lane == ORPHAN {
            cursor.orphan = None;
            self.orphaned.store(self.orphaned.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        } else if self.order() == Order::Completion {
            let read = &mut cursor.read[finished.lane];
            *read = read.wrapping_add(1);
        }
        if self.order() == Order::Completion {
            self.posting.post(next, slot);
        }
        self.slots[slot].release(next);
        cursor.head = cursor.head.wrapping_add(1);
        self.received.store(cursor.head, Ordering::Relaxed);
    }

    /// Slots released so far, counted as a position.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Prepares a quiet window for its next opening.
    pub fn reopen(&self, order: Order) {
        if order == Order::Submission && self.order() == Order::Completion {
            // The slots have been permuted: give each position the slot of its own number again.
            let tail = self.tail();
            for ahead in 0..self.slots.len() as u64 {
                let position = tail.wrapping_add(ahead);
                let slot = self.slot_of(Order::Submission, position);
                self.posting.post(position, slot);
                self.slots[slot].release(position);
            }
        }
        self.completion.store(order == Order::Completion, Ordering::Relaxed);
    }
}

#[cfg(not(stageline_loom))]
const _: () = assert!(size_of::<Lane>() == 64, "one line for each worker and group");
