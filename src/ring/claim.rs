//! How workers take positions of a group's ring: many claimers, one cursor.
//!
//! ```text
//!            claim           tail
//!              ▼              ▼
//!  .. run, run │ Ready, Ready │ Free, Free ..
//! ```
//!
//! 1. A worker reads `claim`, counts how many slots from there on are Ready for exactly their
//!    position, *every one of them looked at*, and moves `claim` past them with one compare-and-swap.
//!    With completions out of order the state of the last says nothing about those before it.
//! 2. Between the look and the swap nothing seen can become untrue: a Ready slot changes only by
//!    being claimed, which moves `claim`, which fails the swap. `claim` never goes back, so a swap
//!    that succeeds means that nobody moved it.
//! 3. The payload is ordered by the turn (the Acquire in the look), so the cursor itself carries no
//!    data and is Relaxed throughout.
//!
//! 4. Where a pipeline has one worker there is no swap: the cursor has one writer at a time, that
//!    worker and, when it has left, the group's receiver.
//!
//! A worker that stops between the look and the swap holds up nobody; one that stops after the swap
//! holds up the batch that it took.

use crate::sync::{AtomicU64, Ordering};

/// The cursor that workers share. It stands on a cache line of its own.
#[derive(Debug)]
pub struct ClaimCursor {
    /// The first position that no worker has taken. Written by workers by compare-and-swap, and by
    /// the receiver of a group whose workers are gone; read by the same.
    next: AtomicU64,
}

/// Positions that a worker has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The first position.
    pub first: u64,
    /// How many, at least one.
    pub len: usize,
}

impl ClaimCursor {
    /// A cursor that stands before `position`.
    pub fn new(position: u64) -> Self {
        Self { next: AtomicU64::new(position) }
    }

    /// The first position that nobody has taken, as last seen by this thread.
    #[inline(always)]
    pub fn position(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Takes up to `limit` positions for which `is_ready` holds; it is asked for each with its distance
    /// from the first. `None` if there is none, or if
    /// another worker took some of them first.
    #[inline(always)]
    pub fn claim(&self, limit: usize, is_ready: impl FnMut(usize, u64) -> bool) -> Option<Claimed> {
        let (claimed, behind) = self.look(limit, is_ready)?;
        // Relaxed: rule 3.
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        self.next.compare_exchange(claimed.first, behind, success, failure).ok()?;
        Some(claimed)
    }

    /// As [`claim`](Self::claim), for a pipeline of one worker: nobody else moves the cursor while
    /// that worker lives, so a plain store does.
    #[inline(always)]
    pub fn claim_alone(&self, limit: usize, is_ready: impl FnMut(usize, u64) -> bool) -> Option<Claimed> {
        let (claimed, behind) = self.look(limit, is_ready)?;
        self.next.store(behind, Ordering::Relaxed);
        Some(claimed)
    }

    /// What can be claimed, and the position behind it.
    #[inline(always)]
    fn look(&self, limit: usize, mut is_ready: impl FnMut(usize, u64) -> bool) -> Option<(Claimed, u64)> {
        let first = self.position();
        let mut len = 0;
        while len < limit && is_ready(len, first.wrapping_add(len as u64)) {
            len += 1;
        }
        (len > 0).then(|| (Claimed { first, len }, first.wrapping_add(len as u64)))
    }
}
