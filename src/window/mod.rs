//! A group's own memory: its slots, the cursors and rings over them, and the three protocols that
//! move a slot round (submit, claim and complete, receive). It knows neither stages nor threads;
//! the ends of a group and the workers are built on it, and the models drive it directly.

mod claims;
mod lane;
mod place;
mod receipts;
mod shed;
mod submissions;

pub use place::{Claimed, Finished, Order, Place, Receipt};

use crate::cold::Cold;
use crate::kept::{Kept, Parking};
use crate::pace::Pace;
use crate::ring::claim::ClaimCursor;
use crate::ring::completion::CompletionRing;
use crate::ring::posting::PostingRing;
use crate::slab::{OutOfMemory, Slab};
use crate::slot::Slot;
use crate::sync::{self, AtomicBool, AtomicU32, AtomicU64, Ordering, UnsafeCell};
use crossbeam_utils::CachePadded;
use lane::Lane;
use receipts::ReceiveCursor;
use shed::Shedding;

/// A group's slots, rings and cursors.
#[derive(Debug)]
pub struct Window<T, E> {
    slots: Slab<Slot<T>>,
    cold: Slab<ColdSlot<E>>,
    /// One entry a slot, for machines that keep requests.
    kept: Slab<KeptSlot>,
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
    shedding: Shedding,
    /// The position that is received next in [`Order::Submission`]; in both orders, slots released so
    /// far. Written by the receive end with Release; the Acquire loads of the submit end pair with
    /// it, and make the slot of the position one window on its own. Read by the statistics and by
    /// whoever closes the pipeline, too.
    received: CachePadded<AtomicU64>,
    /// Requests that the receive end ended as cancelled. Written by it, read by the statistics.
    orphaned: AtomicU64,
    /// Owned by the receive end, and between two openings by whoever holds the group's index.
    receive: CachePadded<UnsafeCell<ReceiveCursor>>,
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

/// What there is of a request that is kept, in its cell, and who owns one that is suspended.
#[derive(Debug)]
#[repr(C)]
struct KeptSlot {
    /// First, for [`Window::prefetch_kept`].
    kept: UnsafeCell<Kept>,
    parking: Parking,
}

// SAFETY: as for `Slot`: the entry is reached only by the slot's owner. Ownership moves by the turn, by a queue, or by
// the parking word.
unsafe impl Sync for KeptSlot {}

// SAFETY: every part but `receive` is `Sync` by itself; `receive` is reached only through methods
// whose contract is that the caller holds the group's receive end, which one thread has at a time.
unsafe impl<T: Send, E: Send> Sync for Window<T, E> {}

impl<T, E> Window<T, E> {
    /// Allocates a window of `size` slots (a power of two) that starts at `position`; `keeps` says whether
    /// requests may outlive their batches.
    pub fn try_new(
        size: usize,
        lanes: usize,
        position: u64,
        keeps: bool,
        payload: &mut dyn FnMut() -> T,
    ) -> Result<Self, OutOfMemory> {
        debug_assert!(size.is_power_of_two());
        Ok(Self {
            slots: Slab::try_new(size, |_| Slot::new(payload()))?,
            cold: Slab::try_new(size, |_| ColdSlot(UnsafeCell::new(Cold::default())))?,
            kept: Slab::try_new(if keeps { size } else { 0 }, |_| KeptSlot {
                parking: Parking::default(),
                kept: UnsafeCell::new(Kept::new(position.wrapping_sub(1))),
            })?,
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
            shedding: Shedding::new(position),
            received: CachePadded::new(AtomicU64::new(position)),
            orphaned: AtomicU64::new(0),
            receive: CachePadded::new(UnsafeCell::new(ReceiveCursor::try_new(position, lanes)?)),
        })
    }

    /// Bytes that such a window allocates, itself not counted.
    pub fn bytes(size: usize, lanes: usize, keeps: bool) -> usize {
        Slab::<Slot<T>>::bytes(size)
            .saturating_add(Slab::<ColdSlot<E>>::bytes(size))
            .saturating_add(Slab::<KeptSlot>::bytes(if keeps { size } else { 0 }))
            .saturating_add(PostingRing::bytes(size))
            .saturating_add(Slab::<Lane>::bytes(lanes))
            .saturating_add(Slab::<AtomicU32>::bytes(size.saturating_mul(lanes)))
            .saturating_add(Slab::<u64>::bytes(lanes))
    }

    /// How many slots it has.
    pub fn size(&self) -> usize {
        self.slots.len()
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

    /// Runs `f` on what is remembered of a kept request.
    ///
    /// # Panics
    ///
    /// Unless the window was made for machines that keep requests.
    ///
    /// # Safety
    ///
    /// The caller owns the slot, and uses no other reference to the entry.
    pub unsafe fn kept<R>(&self, slot: usize, f: impl FnOnce(*mut Kept) -> R) -> R {
        self.kept[slot].kept.with_mut(f)
    }

    /// Asks for what a stage asks of each request's entry.
    #[inline(always)]
    pub fn prefetch_kept(&self, slot: usize) {
        sync::prefetch_for_read(&raw const self.kept[slot]);
    }

    /// Who owns the slot while its request is suspended.
    ///
    /// # Panics
    ///
    /// As for [`kept`](Self::kept).
    pub fn parking(&self, slot: usize) -> &Parking {
        &self.kept[slot].parking
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
