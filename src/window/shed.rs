//! How the submit end makes room in a full window: it takes the oldest request that no worker has claimed,
//! and ends it as dropped.
//!
//! ```text
//!  received          claim                     tail
//!      ▼               ▼                         ▼
//!      │ done, running │ Ready, Ready .. Ready   │      full: tail = received + window
//!                       └─► Dropped, on a lane of the submit end
//! ```
//!
//! 1. The submit end claims as a worker does, by the swap of the claim cursor (`ring::claim`): a request is
//!    a worker's or the submit end's, not both's. A window for this has one lane more than there are
//!    workers; where there are two lanes nobody claims without the swap, the sole worker neither
//!    (`Window::claim_where`).
//! 2. The slot is then the submit end's, as it would be a worker's. It does not touch the payload, and
//!    completes the request on that last lane, in either order. So the receiver has it once, as every other.
//! 3. A lane has one writer at a time: the producer that has swapped `busy`, with Acquire, which pairs with
//!    the Release of the one before it. Nobody waits for `busy`: a producer that finds it taken finds the
//!    window full.
//! 4. At most one request is shed for each position that is submitted. The tail of a full window moves only
//!    after the receiver has given a slot back; a producer that finds the tail for which one has been shed
//!    leaves it at that. So neither repeated tries nor several producers empty the window of a receiver
//!    that is slow.

use super::Window;
use crate::cold::{NEVER_NS, VOID_NS};
use crate::slot::Phase;
use crate::sync::{AtomicBool, AtomicU64, Ordering};

/// What the producers of a submit end share to shed requests.
#[derive(Debug)]
pub(super) struct Shedding {
    /// A producer is at it. Written by producers: rule 3.
    busy: AtomicBool,
    /// The tail for which a request has been shed (rule 4); at first a position at which no window is full.
    /// Written by the producer that holds `busy`, read by all: Relaxed, as a hint where `busy` is not held.
    shed_for: AtomicU64,
}

impl Shedding {
    pub(super) fn new(position: u64) -> Self {
        Self { busy: AtomicBool::new(false), shed_for: AtomicU64::new(position) }
    }
}

impl<T, E> Window<T, E> {
    /// Ends the oldest request that nobody has claimed, on the submit end's lane, if the window is full and
    /// none has been shed for its tail. How it ended: as dropped, or as cancelled where its producer never
    /// finished filling it. Looks again as often as workers claim meanwhile.
    pub fn shed(&self, lane: usize) -> Option<Phase> {
        let busy = &self.shedding.busy;
        // Acquire: rule 3. Relaxed where it fails: nothing is looked at then.
        busy.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).ok()?;
        let ended = self.shed_alone(lane);
        busy.store(false, Ordering::Release);
        ended
    }

    /// As [`shed`](Self::shed), for the producer that holds `busy`.
    fn shed_alone(&self, lane: usize) -> Option<Phase> {
        let tail = self.tail();
        if !self.is_full(tail, self.received()) || self.has_shed_for(tail) {
            return None;
        }
        let mut slots = [0];
        let claimed = loop {
            if let Some(claimed) = self.claim(1, &mut slots) {
                break claimed;
            }
            // A worker was first. If it has left nothing, this is a window that is full of claimed requests.
            if !self.is_waiting() {
                return None;
            }
        };
        let slot = self.index_of(self.claimed_slot(claimed, &slots, 0));
        // SAFETY: the slot has been claimed by this thread and is not yet completed.
        let was_void = unsafe {
            self.cold(slot, |cold| {
                // As the workers leave it.
                std::mem::replace(&mut (*cold).deadline_ns, NEVER_NS) == VOID_NS
            })
        };
        let phase = if was_void { Phase::Cancelled } else { Phase::Dropped };
        self.shedding.shed_for.store(tail, Ordering::Relaxed);
        self.complete(lane, claimed, &slots, Some(&[phase]));
        Some(phase)
    }

    /// Whether a [`shed`](Self::shed) might find something. A hint, for who waits for room.
    pub fn can_shed(&self) -> bool {
        let is_busy = self.shedding.busy.load(Ordering::Relaxed);
        !is_busy && !self.has_shed_for(self.tail()) && self.is_waiting()
    }

    fn has_shed_for(&self, tail: u64) -> bool {
        self.shedding.shed_for.load(Ordering::Relaxed) == tail
    }
}
