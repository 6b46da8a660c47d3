//! A message slot: the turn word and the payload.
//!
//! The turn says for which position of the ring the slot is filled, and how the request ended:
//!
//! ```text
//!  submitter            worker                          receiver
//!  fills ──► Ready(p) ─────────► Done(p), Failed(p), .. ─────────► received = p + 1
//!    ▲                                                                │
//!    └──────────────── the window's `received` cursor ◄───────────────┘
//! ```
//!
//! 1. Exactly one party owns the payload at any time: the worker that claimed position `p` from
//!    `Ready(p)` on; the receiver from a finished phase on; the submitter from the moment that the
//!    window's `received` cursor (`window/`) says that the slot's last position has been received.
//! 2. The first two steps are a Release store of the turn by the owner, and the next owner's Acquire
//!    load of that very value (where results come as they finish, of the entry of a completion ring that
//!    names the slot); the last is a Release store and an Acquire load of the cursor. The
//!    receiver does not write to the slot: a store there would cost it the line, which it has only
//!    read, and hold up the submission that comes next.
//! 3. Positions are never reset, so a value of the turn never comes back (a position is kept modulo
//!    2^60: at a thousand million requests a second for one group that is 36 years).

use crate::sync::{AtomicU64, Ordering, UnsafeCell};

/// Low bits of a turn that hold the phase.
const PHASE_BITS: u32 = 4;
const PHASE_MASK: u64 = (1 << PHASE_BITS) - 1;

/// Where a slot is in its life; the finished phases double as the code of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Never used.
    Empty = 0,
    /// Waits for a worker, or is being run by the one that claimed it.
    Ready = 1,
    /// Ended by the last stage.
    Done = 2,
    /// Ended by a stage's error.
    Failed = 3,
    /// Dropped by a stage.
    Dropped = 4,
    /// Its group was cancelled before it ran, or its submitter never finished filling it.
    Cancelled = 5,
    /// Its deadline passed.
    Expired = 6,
    /// A stage panicked.
    Panicked = 7,
    /// It took a way that an acyclic machine forbids, or ran through too many stages.
    Cyclic = 8,
}

impl Phase {
    /// Finished phases, in the order of their codes.
    pub const FINISHED: [Self; 7] = [
        Self::Done,
        Self::Failed,
        Self::Dropped,
        Self::Cancelled,
        Self::Expired,
        Self::Panicked,
        Self::Cyclic,
    ];

    /// Ended as nobody asked for. (What was dropped or cancelled was given up on purpose.)
    pub fn is_dead(self) -> bool {
        matches!(self, Self::Failed | Self::Expired | Self::Panicked | Self::Cyclic)
    }

    /// Index of a finished phase in [`Self::FINISHED`].
    #[inline(always)]
    pub fn outcome_index(self) -> usize {
        debug_assert!(self as u8 >= Self::Done as u8);
        self as usize - Self::Done as usize
    }

    /// The finished phase with this code.
    #[inline(always)]
    fn finished(code: u64) -> Option<Self> {
        let is_finished = (Self::Done as u64..=Self::Cyclic as u64).contains(&code);
        // SAFETY: the discriminants from `Done` to `Cyclic` follow each other without a gap. (Neither a
        // table nor a match: both cost a look-up for each result.)
        is_finished.then(|| unsafe { std::mem::transmute::<u8, Self>(code as u8) })
    }
}

#[inline(always)]
const fn turn(position: u64, phase: Phase) -> u64 {
    (position << PHASE_BITS) | phase as u64
}

/// The position of a turn, with the bits that the turn has no room for from a position near it.
#[inline(always)]
const fn whole(turn: u64, near: u64) -> u64 {
    let distance = (turn & !PHASE_MASK).wrapping_sub(near << PHASE_BITS) as i64 >> PHASE_BITS;
    near.wrapping_add_signed(distance)
}

/// One preallocated message.
#[derive(Debug)]
#[repr(C)]
pub struct Slot<T> {
    /// `position << 4 | phase`. Written by the slot's owner only, read by whoever waits to own it
    /// next. Every Release store here pairs with the Acquire load that sees its value.
    turn: AtomicU64,
    value: UnsafeCell<T>,
}

// SAFETY: the payload is reached only through `value`, whose contract is that the caller owns the
// slot by its turn; ownership moves between threads by Release and Acquire of the turn. So a slot
// moves `T` between threads but never shares a `&T`: `T: Send` is enough.
unsafe impl<T: Send> Sync for Slot<T> {}

impl<T> Slot<T> {
    /// A slot that stands for no position yet.
    pub fn new(value: T) -> Self {
        Self { turn: AtomicU64::new(turn(0, Phase::Empty)), value: UnsafeCell::new(value) }
    }

    /// Hands the filled slot to the workers. Release: pairs with [`is_ready`](Self::is_ready).
    #[inline(always)]
    pub fn publish(&self, position: u64) {
        self.turn.store(turn(position, Phase::Ready), Ordering::Release);
    }

    /// Whether `position` can be claimed. Acquire: pairs with [`publish`](Self::publish).
    #[inline(always)]
    pub fn is_ready(&self, position: u64) -> bool {
        self.turn.load(Ordering::Acquire) == turn(position, Phase::Ready)
    }

    /// Hands the slot to the receiver. Release: pairs with [`finished_at`](Self::finished_at); where
    /// the receiver learns of it by a completion ring instead, that ring's own Release does it.
    #[inline(always)]
    pub fn finish(&self, position: u64, phase: Phase) {
        self.turn.store(turn(position, phase), Ordering::Release);
    }

    /// How `position` ended, if it has. Acquire: pairs with [`finish`](Self::finish).
    #[inline(always)]
    pub fn finished_at(&self, position: u64) -> Option<Phase> {
        let now = self.turn.load(Ordering::Acquire);
        // Equal positions leave only the phase bits; anything else leaves a value above them.
        Phase::finished(now ^ turn(position, Phase::Empty))
    }

    /// Whether `position` has ended as done. Acquire: pairs with [`finish`](Self::finish).
    #[inline(always)]
    pub fn is_done(&self, position: u64) -> bool {
        self.turn.load(Ordering::Acquire) == turn(position, Phase::Done)
    }

    /// Position and phase of a slot that a completion ring has just named; `near` is a position less
    /// than 2^59 away, which restores the bits that the turn has no room for. Relaxed: the ring's
    /// Acquire load has ordered it, and nobody else writes the turn until the slot is released.
    #[inline(always)]
    pub fn finished(&self, near: u64) -> (u64, Phase) {
        let now = self.turn.load(Ordering::Relaxed);
        let phase = Phase::finished(now & PHASE_MASK);
        (whole(now, near), phase.expect("a completion ring names only finished slots"))
    }

    /// As [`finished`](Self::finished), of one that has ended as done.
    #[inline(always)]
    pub fn done(&self, near: u64) -> Option<u64> {
        let now = self.turn.load(Ordering::Relaxed);
        (now & PHASE_MASK == Phase::Done as u64).then(|| whole(now, near))
    }

    /// The position that the slot stands for; `near` is one less than 2^59 away. For the slot's owner.
    #[inline(always)]
    pub fn position(&self, near: u64) -> u64 {
        // Relaxed: nobody else writes the turn while the slot is owned.
        whole(self.turn.load(Ordering::Relaxed), near)
    }

    /// Runs `f` on the payload.
    ///
    /// # Safety
    ///
    /// The caller owns the slot (rule 1 of this module), and no reference from an earlier call is
    /// still in use.
    #[inline(always)]
    pub unsafe fn value<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        self.value.with_mut(f)
    }
}

#[cfg(all(test, not(stageline_models)))]
mod tests {
    use super::*;

    #[test]
    fn a_slot_goes_round() {
        for first in [0, u64::from(u32::MAX), (1 << 60) - 1, u64::MAX] {
            let slot = Slot::new(7_u8);
            assert!(!slot.is_ready(first));
            assert_eq!(slot.finished_at(first), None);
            slot.publish(first);
            assert!(slot.is_ready(first) && !slot.is_ready(first.wrapping_add(4)));
            assert_eq!(slot.finished_at(first), None);
            slot.finish(first, Phase::Cyclic);
            assert!(!slot.is_ready(first));
            assert_eq!(slot.finished_at(first), Some(Phase::Cyclic));
            assert_eq!(slot.finished_at(first.wrapping_add(4)), None);
            for near in [first, first.wrapping_add(9), first.wrapping_sub(9)] {
                assert_eq!(slot.finished(near), (first, Phase::Cyclic));
                assert_eq!(slot.done(near), None);
                assert_eq!(slot.position(near), first);
            }
            slot.finish(first, Phase::Done);
            assert_eq!(slot.done(first.wrapping_add(9)), Some(first));
        }
    }

    #[test]
    fn a_payload_of_56_bytes_fills_one_line() {
        assert_eq!(size_of::<Slot<[u64; 7]>>(), 64);
    }
}
