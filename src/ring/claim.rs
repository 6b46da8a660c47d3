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
//!    worker and, when it has left, the group's receiver. (Unless the submit ends of its groups may claim
//!    too: `window::shed`.)
//!
//! A worker that stops between the look and the swap holds up nobody; one that stops after the swap
//! holds up the batch that it took.

use crate::sync::{AtomicU64, Ordering};

/// The cursor that workers share. It stands on a cache line of its own.
#[derive(Debug)]
pub struct ClaimCursor {
    /// The first position that no worker has taken. Written by workers by compare-and-swap, by a submit
    /// end that sheds, and by the receiver of a group whose workers are gone; read by the same.
    next: AtomicU64,
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

    /// Takes positions: as many as `ready` counts from the one that it is given on. The first one and
    /// how many; `None` if there is none, or if another worker took some of them first.
    #[inline(always)]
    pub fn claim(&self, ready: impl FnOnce(u64) -> usize) -> Option<(u64, usize)> {
        let (first, len) = self.look(ready)?;
        let behind = first.wrapping_add(len as u64);
        // Relaxed: rule 3.
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        self.next.compare_exchange(first, behind, success, failure).ok()?;
        Some((first, len))
    }

    /// As [`claim`](Self::claim), for a pipeline of one worker: nobody else moves the cursor while
    /// that worker lives, so a plain store does.
    #[inline(always)]
    pub fn claim_alone(&self, ready: impl FnOnce(u64) -> usize) -> Option<(u64, usize)> {
        let (first, len) = self.look(ready)?;
        self.next.store(first.wrapping_add(len as u64), Ordering::Relaxed);
        Some((first, len))
    }

    /// What can be claimed.
    #[inline(always)]
    fn look(&self, ready: impl FnOnce(u64) -> usize) -> Option<(u64, usize)> {
        let first = self.position();
        let len = ready(first);
        (len > 0).then_some((first, len))
    }
}
