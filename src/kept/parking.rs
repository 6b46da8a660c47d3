//! Who owns the slot of a suspended request.
//!
//! ```text
//!             stage answers            ticket used
//!   Running ───────────────► Parked ───────────────► Sent ──► Running (a worker has it again)
//!      │                       │                      │
//!      │ ticket used first     └──────────┬───────────┘
//!      ▼                                  ▼ the workers are gone
//!    Sent ──► Running                   Taken (the receiver ends it)
//! ```
//!
//! 1. The stage hands a ticket out and then answers; the ticket may be used before, at once, from another thread.
//!    Whoever of the two comes second has the slot: the worker that parks and finds Sent runs the request on,
//!    the ticket that sends and finds Parked pushes it to a queue.
//! 2. The worker's swap to Parked is a Release, which the ticket's Acquire pairs with: it hands the slot over. The
//!    other way round the ticket's Release pairs with the Acquire of the worker's swap, for what the thread that used
//!    the ticket had done before.
//! 3. A ticket that writes to the payload takes the slot first: Parked becomes Lent, which nobody else changes.
//! 4. When all workers have left, a receiver ends what is Parked or Sent as cancelled: by a compare-and-swap to
//!    Taken, against which the ticket's loses. Nobody pops from a queue any more then.
//! 5. A worker that pops a request makes it Running. No other thread looks at the word then, but a receiver that
//!    finds it neither Parked nor Sent.

use crate::sync::{AtomicU32, Ordering};

const RUNNING: u32 = 0;
const PARKED: u32 = 1;
const TAKEN: u32 = 2;
/// Sent, to the stage in the bits above.
const SENT: u32 = 3;
/// The ticket fills the payload.
const LENT: u32 = 4;
const STATE_BITS: u32 = 3;
const STATE_MASK: u32 = (1 << STATE_BITS) - 1;
/// In place of a stage: the ticket was dropped.
const DROPPED: u32 = 1 << 16;

/// Where a suspended request goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parked {
    /// At this stage.
    Resumed(u16),
    /// Nowhere: its ticket was dropped.
    Dropped,
}

impl Parked {
    fn word(self) -> u32 {
        let to = match self {
            Self::Resumed(stage) => u32::from(stage),
            Self::Dropped => DROPPED,
        };
        to << STATE_BITS | SENT
    }

    fn of(word: u32) -> Option<Self> {
        match (word & STATE_MASK, word >> STATE_BITS) {
            (SENT, DROPPED) => Some(Self::Dropped),
            (SENT, stage) => Some(Self::Resumed(stage as u16)),
            _ => None,
        }
    }
}

/// The word of one slot.
#[derive(Debug)]
pub struct Parking {
    /// See the head of this file. Written by the worker that runs or parks the request, by the ticket, and by the
    /// receiver when the workers are gone.
    state: AtomicU32,
}

impl Default for Parking {
    fn default() -> Self {
        Self { state: AtomicU32::new(RUNNING) }
    }
}

impl Parking {
    /// The stage has answered that the request is suspended. If its ticket has been used by now the worker still
    /// has the request, and is told where it goes on.
    pub fn park(&self) -> Option<Parked> {
        match self.state.compare_exchange(RUNNING, PARKED, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => None,
            Err(word) => {
                // Relaxed: the worker has it, and the ticket is used up.
                self.state.store(RUNNING, Ordering::Relaxed);
                Parked::of(word)
            }
        }
    }

    /// The ticket is used. Whether the caller has the request now, and must push it to a queue.
    pub fn send(&self, to: Parked) -> bool {
        let mut now = self.state.load(Ordering::Relaxed);
        while now != TAKEN {
            match self.state.compare_exchange(now, to.word(), Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return now == PARKED || now == LENT,
                Err(other) => now = other,
            }
        }
        false
    }

    /// A worker has popped the request. Where it goes on, if it was suspended.
    pub fn pop(&self) -> Option<Parked> {
        // Relaxed: the queue orders it.
        let sent = Parked::of(self.state.load(Ordering::Relaxed));
        if sent.is_some() {
            self.state.store(RUNNING, Ordering::Relaxed);
        }
        sent
    }

    /// The workers are gone, and the caller is the receiver: whether it has the request now. One that it has taken
    /// stays so: nothing will stand in the slot again.
    pub fn take(&self) -> bool {
        let mut now = self.state.load(Ordering::Acquire);
        while now == PARKED || now & STATE_MASK == SENT {
            match self.state.compare_exchange(now, TAKEN, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(other) => now = other,
            }
        }
        false
    }

    /// Whether the stage has answered, and the ticket has not been used.
    pub fn is_parked(&self) -> bool {
        self.state.load(Ordering::Relaxed) == PARKED
    }

    /// Whether the receiver has ended the request.
    pub fn is_taken(&self) -> bool {
        self.state.load(Ordering::Relaxed) == TAKEN
    }

    /// The ticket takes a parked request for itself, and will [send](Self::send) it. Acquire: pairs with the Release
    /// of the worker that parked it. `false` if the receiver has ended it.
    pub fn borrow(&self) -> bool {
        self.state.compare_exchange(PARKED, LENT, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }
}
