//! A group's own memory: its slots, the cursors and rings over them, and the three protocols that
//! move a slot round (submit, claim and complete, receive). It knows neither stages nor threads;
//! the ends of a group and the workers are built on it, and the models drive it directly.

mod lane;
mod place;

pub use place::{Claimed, Entry, Finished, Order, Place};

use crate::cold::Cold;
use crate::pace::Pace;
use crate::ring::claim::ClaimCursor;
use crate::ring::completion::CompletionRing;
use crate::ring::posting::PostingRing;
use crate::slab::{OutOfMemory, Slab};
use crate::slot::{Phase, Slot};
use crate::sync::{self, AtomicBool, AtomicU32, AtomicU64, Ordering, UnsafeCell};
use crossbeam_utils::CachePadded;
use lane::Lane;

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

/// A batch of at least this many requests is worth a look at the one behind it.
const AHEAD_MIN: usize = 8;

/// In place of a lane: the receive end claimed the request itself.
const ORPHAN: u16 = u16::MAX;

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
    /// Producers of a shared submit end that are taking a position, or have taken one and not yet
    /// published it. Written by them (Release when they are done), read with Acquire by who asks
    /// whether the window is quiet.
    takers: CachePadded<AtomicU32>,
    /// The position that is received next in [`Order::Submission`]; in both orders, slots released so
    /// far. Written by the receive end with Release; the Acquire loads of the submit end pair with
    /// it, and make the slot of the position one window on its own. Read by the statistics and by
    /// whoever closes the pipeline, too.
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
    pace: Pace,
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
        Ok(Self {
            slots: Slab::try_new(size, |_| Slot::new(payload()))?,
            cold: Slab::try_new(size, |_| ColdSlot(UnsafeCell::new(Cold::default())))?,
            posting: PostingRing::try_new(size)?,
            lanes: Slab::try_new(lanes, |_| Lane::default())?,
            entries: Slab::try_new(size * lanes, |_| AtomicU32::new(CompletionRing::EMPTY))?,
            completion: AtomicBool::new(false),
            claim: CachePadded::new(ClaimLine {
                cursor: ClaimCursor::new(position),
                pace: Pace::default(),
            }),
            tail: CachePadded::new(AtomicU64::new(position)),
            takers: CachePadded::new(AtomicU32::new(0)),
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

    /// The slot with this index. Indices come from [`slot_of`](Self::slot_of) and from the rings.
    #[inline(always)]
    pub fn slot(&self, index: usize) -> &Slot<T> {
        // SAFETY: an index is a position masked by the window's size, or was stored in the posting or
        // completion ring by code that had it from there.
        unsafe { self.slots.at(index) }
    }

    /// The index of a slot of this window.
    #[inline(always)]
    pub fn index_of(&self, slot: &Slot<T>) -> usize {
        let bytes = std::ptr::from_ref(slot).addr() - self.slots.as_ptr().addr();
        bytes / size_of::<Slot<T>>()
    }

    /// The place for a position.
    #[inline(always)]
    pub fn place(&self, order: Order, position: u64) -> Place {
        Place { slot: self.slot_of(order, position) as u32, position }
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
        unsafe { self.slot(slot).value(f) }
    }

    /// Runs `f` on a slot's cold entry.
    ///
    /// # Safety
    ///
    /// The caller owns the slot by its turn, and uses no other reference to the cold entry.
    #[inline(always)]
    pub unsafe fn cold<R>(&self, slot: usize, f: impl FnOnce(*mut Cold<E>) -> R) -> R {
        debug_assert!(slot < self.cold.len());
        // SAFETY: there is one cold entry for each slot; on the index see `slot`.
        unsafe { self.cold.at(slot) }.0.with_mut(f)
    }

    // ---- the submit end ----

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
    fn is_full(&self, position: u64, received: u64) -> bool {
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

    // ---- the workers ----

    /// Whether the slot `ahead` positions behind the claim cursor can be claimed. A hint.
    #[inline(always)]
    pub fn has_ready(&self, ahead: usize) -> bool {
        let position = self.claim.cursor.position().wrapping_add(ahead as u64);
        self.slot(self.slot_of(self.order(), position)).is_ready(position)
    }

    /// Whether the next request can be claimed. Unlike [`has_ready`](Self::has_ready) it is not misled
    /// by a worker that claims that one and leaves others behind it: the Acquire that sees the slot
    /// used sees the cursor moved, and looks there.
    pub fn is_waiting(&self) -> bool {
        loop {
            let position = self.claim.cursor.position();
            if self.slot(self.slot_of(self.order(), position)).is_ready(position) {
                return true;
            }
            if self.claim.cursor.position() == position {
                return false;
            }
        }
    }

    /// Takes up to `limit` requests. In [`Order::Completion`] it writes down their slots: once a
    /// position is claimed its posting may be overwritten, since the receiver posts for as many
    /// positions as it has released.
    #[inline(always)]
    pub fn claim(&self, limit: usize, slots: &mut [u32]) -> Option<Claimed> {
        // The order may be that of an earlier opening; the look is right all the same (rule 3 of
        // `ring::posting`). Who has found a slot ready knows the order of this one.
        match self.order() {
            Order::Submission => {
                let mut claimed = self.claim_where(|first| self.ready_from(first, limit))?;
                if self.order() == Order::Completion {
                    claimed.order = Order::Completion;
                    self.write_down(claimed, slots);
                }
                Some(claimed)
            }
            Order::Completion => {
                let claimed = self.claim_where(|first| {
                    let is_ready = |(position, slot): (u64, &mut u32)| {
                        *slot = self.slot_of(Order::Completion, position) as u32;
                        self.slot(*slot as usize).is_ready(position)
                    };
                    let positions = (0..).map(|ahead| first.wrapping_add(ahead));
                    let looks = positions.zip(&mut slots[..limit]).map(is_ready);
                    looks.take_while(|ready| *ready).count()
                })?;
                Some(Claimed { order: self.order(), ..claimed })
            }
        }
    }

    #[inline(always)]
    fn claim_where(&self, ready: impl FnOnce(u64) -> usize) -> Option<Claimed> {
        let cursor = &self.claim.cursor;
        let claimed =
            if self.lanes.len() == 1 { cursor.claim_alone(ready) } else { cursor.claim(ready) };
        let (first, len) = claimed?;
        Some(Claimed { first, len, order: Order::Submission })
    }

    /// How many slots from `first` on are ready, up to `limit`, in [`Order::Submission`].
    #[inline(always)]
    fn ready_from(&self, first: u64, limit: usize) -> usize {
        let mut ready = 0;
        for slot in self.stretch(first, limit) {
            if !slot.is_ready(first.wrapping_add(ready)) {
                break;
            }
            ready += 1;
        }
        ready as usize
    }

    /// The slots that stand for the positions from `first` on in [`Order::Submission`], up to `len` and
    /// not beyond the end of the array: whoever goes through slots in a row goes on at its start the
    /// next time.
    #[inline(always)]
    pub fn stretch(&self, first: u64, len: usize) -> &[Slot<T>] {
        let start = self.slot_of(Order::Submission, first);
        let len = len.min(self.slots.len() - start);
        // SAFETY: the start is a position masked by the array's length, and the rest of the array is
        // no shorter than the stretch.
        unsafe { self.slots.get_unchecked(start..start + len) }
    }

    /// The claim was made by the order of an earlier opening, and the group has been opened anew.
    #[cold]
    fn write_down(&self, claimed: Claimed, slots: &mut [u32]) {
        for (ahead, slot) in (0..).zip(&mut slots[..claimed.len]) {
            *slot = self.slot_of(Order::Submission, claimed.first.wrapping_add(ahead)) as u32;
        }
    }

    /// The slot of the request that is so far from the first of a claimed batch.
    pub fn claimed_slot(&self, claimed: Claimed, slots: &[u32], ahead: usize) -> &Slot<T> {
        self.slot(match claimed.order {
            order @ Order::Submission => {
                self.slot_of(order, claimed.first.wrapping_add(ahead as u64))
            }
            Order::Completion => slots[ahead] as usize,
        })
    }

    /// How many requests to claim at once, by what was measured of them.
    #[inline(always)]
    pub fn pace(&self) -> &Pace {
        &self.claim.pace
    }

    /// Asks for the lines that running and completing a batch will write, all at once and to be
    /// written: the look before the claim has brought them to be read.
    #[inline(always)]
    pub fn prepare(&self, lane_index: usize, claimed: Claimed, slots: &[u32]) {
        match claimed.order {
            Order::Submission => {
                let slots = self.stretch(claimed.first, claimed.len);
                slots.iter().for_each(|slot| sync::prefetch_for_write(slot));
            }
            Order::Completion => {
                for slot in &slots[..claimed.len] {
                    sync::prefetch_for_write(self.slot(*slot as usize));
                }
                self.completions(lane_index).prefetch_push(self.lanes[lane_index].pushed());
            }
        }
    }

    /// How many slots ahead of each slot of a batch the one stands that the next batch has in its place;
    /// 0 if the next batch is not ready by now, or does not follow in the array, or other workers may
    /// take it.
    #[inline(always)]
    pub fn next_batch(&self, claimed: Claimed) -> usize {
        let (first, len) = (self.slot_of(Order::Submission, claimed.first), claimed.len);
        if len < AHEAD_MIN || self.lanes.len() > 1 || first + 2 * len > self.slots.len() {
            return 0;
        }
        let last = claimed.first.wrapping_add(2 * len as u64 - 1);
        if self.slot(first + 2 * len - 1).is_ready(last) { len } else { 0 }
    }

    /// Hands a claimed batch to the receiver, each request with the phase that it ended in, or all of
    /// them as done. For the worker that owns the lane.
    #[inline(always)]
    pub fn complete(
        &self,
        lane_index: usize,
        claimed: Claimed,
        slots: &[u32],
        phases: Option<&[Phase]>,
    ) {
        match phases {
            None => {
                self.lanes[lane_index].count(Phase::Done, claimed.len as u64);
                self.hand_back(lane_index, claimed, slots, |_| Phase::Done);
            }
            Some(phases) => self.complete_mixed(lane_index, claimed, slots, phases),
        }
    }

    fn complete_mixed(
        &self,
        lane_index: usize,
        claimed: Claimed,
        slots: &[u32],
        phases: &[Phase],
    ) {
        phases.iter().for_each(|phase| self.lanes[lane_index].count(*phase, 1));
        self.hand_back(lane_index, claimed, slots, |ahead| phases[ahead]);
    }

    /// Last to first: the receiver, which waits for the first, finds all of them.
    #[inline(always)]
    fn hand_back(
        &self,
        lane_index: usize,
        claimed: Claimed,
        slots: &[u32],
        phase: impl Fn(usize) -> Phase,
    ) {
        let mut behind = claimed.len;
        let mut finish = |slot: &Slot<T>| {
            behind -= 1;
            slot.finish(claimed.first.wrapping_add(behind as u64), phase(behind));
        };
        match claimed.order {
            Order::Submission => {
                self.stretch(claimed.first, claimed.len).iter().rev().for_each(finish);
            }
            Order::Completion => {
                let (lane, ring) = (&self.lanes[lane_index], self.completions(lane_index));
                let pushed = lane.pushed().wrapping_add(claimed.len as u64);
                for (entry, slot) in (1..).zip(slots[..claimed.len].iter().rev()) {
                    finish(self.slot(*slot as usize));
                    ring.push(pushed.wrapping_sub(entry), *slot as usize);
                }
                lane.set_pushed(pushed);
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
    pub fn next_finished(&self, order: Order, cursor: &mut ReceiveCursor) -> Option<Finished> {
        match order {
            Order::Submission => {
                let place = self.place(Order::Submission, cursor.head);
                let phase = self.slot(place.slot()).finished_at(place.position)?;
                Some(Finished { place, phase, lane: 0 })
            }
            Order::Completion => {
                let lanes = cursor.read.len();
                for _ in 0..lanes {
                    let lane = cursor.lane;
                    if let Some(slot) = self.completions(lane).peek(cursor.read[lane]) {
                        let (position, phase) = self.slot(slot).finished(cursor.head);
                        let place = Place { slot: slot as u32, position };
                        return Some(Finished { place, phase, lane: lane as u16 });
                    }
                    cursor.lane = if lane + 1 == lanes { 0 } else { lane + 1 };
                }
                // The oldest request is likely to finish next: its slot comes along with the entry.
                sync::prefetch_for_read(self.slot(self.posting.slot(cursor.head)));
                None
            }
        }
    }

    /// Looks at up to `max` finished slots one right after the other, so that their lines come together:
    /// those that [`next_finished`](Self::next_finished) will name. Returns how many there are; there
    /// may be more in other workers' rings.
    #[inline(always)]
    pub fn look_ahead(&self, order: Order, cursor: &mut ReceiveCursor, max: usize) -> usize {
        match order {
            Order::Submission => {
                let mut finished = 0;
                for slot in self.stretch(cursor.head, max) {
                    if slot.finished_at(cursor.head.wrapping_add(finished)).is_none() {
                        break;
                    }
                    finished += 1;
                }
                finished as usize
            }
            Order::Completion => {
                if self.next_finished(order, cursor).is_none() {
                    return 0;
                }
                let (ring, read) = (self.completions(cursor.lane), cursor.read[cursor.lane]);
                let slots = (0..max as u64).map_while(|ahead| ring.peek(read.wrapping_add(ahead)));
                slots.map(|slot| sync::prefetch_for_read(self.slot(slot))).count()
            }
        }
    }

    /// The next request that no worker will run any more, as cancelled. For a receiver whose workers
    /// are gone, when nothing finished is left. It stays the next one until it is released.
    pub fn next_orphan(&self, cursor: &mut ReceiveCursor) -> Option<Finished> {
        if cursor.orphan.is_none() {
            let mut slots = [0];
            let claimed = self.claim(1, &mut slots)?;
            let slot = self.index_of(self.claimed_slot(claimed, &slots, 0)) as u32;
            cursor.orphan = Some(Place { slot, position: claimed.first });
        }
        let place = cursor.orphan?;
        Some(Finished { place, phase: Phase::Cancelled, lane: ORPHAN })
    }

    /// Gives finished slots back to the submit end: [`consume`](Self::consume) for each, then this.
    #[inline(always)]
    pub fn publish_received(&self, cursor: &ReceiveCursor) {
        self.received.store(cursor.head, Ordering::Release);
    }

    /// Goes on to the next finished slot. This one is given back by the next
    /// [`publish_received`](Self::publish_received).
    #[inline(always)]
    pub fn consume(&self, order: Order, cursor: &mut ReceiveCursor, entry: Entry) {
        if entry.lane == ORPHAN {
            cursor.orphan = None;
            self.orphaned.store(self.orphaned.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
        if order == Order::Completion {
            if let Some(read) = cursor.read.get_mut(usize::from(entry.lane)) {
                *read = read.wrapping_add(1);
            }
            let next = cursor.head.wrapping_add(self.slots.len() as u64);
            self.posting.post(next, entry.slot());
        }
        cursor.head = cursor.head.wrapping_add(1);
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
            }
        }
        self.completion.store(order == Order::Completion, Ordering::Relaxed);
    }
}
