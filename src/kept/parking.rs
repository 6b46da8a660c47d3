//! Who owns the slot of a suspended request.
//!
//! ```text
//!             stage answers            ticket used
//!   Running ───────────────► Parked ───────────────► Sent ──► Running (a worker has it again)
//!      │                       │                      │
//!      │ ticket used first     └──────────┬───────────┘
//!      ▼                                  ▼ the workers are gone
//!    Early ──► Running                  Taken (the receiver ends it)
//! ```
//!
//! 1. The stage hands a ticket out and then answers; the ticket may be used before, at once, from another thread.
//!    Whoever of the two comes second has the slot: the worker that parks and finds Early runs the request on,
//!    the ticket that sends and finds Parked pushes it to a queue.
//! 2. The worker's swap to Parked is a Release, which the ticket's Acquire pairs with: it hands the slot over. The
//!    other way round the ticket's Release pairs with the Acquire of the worker's swap, for what the thread that used
//!    the ticket had done before.
//! 3. A ticket that writes to the payload takes the slot first: Parked becomes Lent, which nobody else changes.
//! 4. When all workers have left, a receiver ends what is Parked or Sent as cancelled: by a compare-and-swap to
//!    Taken, against which the ticket's loses. Nobody pops from a queue any more then.
//! 5. A worker that pops a request makes it Running. No other thread looks at the word then, but a receiver that
//!    finds it neither Parked nor Sent, and a ticket.
//!    What follows a suspended leader is Parked with it, without a ticket, so that its receiver can end it likewise;
//!    who has the leader again makes it Running.
//! 6. Tickets are numbered, and the word has the number of the last one. An earlier one is void: so a request has
//!    one ticket at most that can do anything, however many a stage hands out, and one whose stage has answered
//!    otherwise does nothing to what stands in the slot later. A number comes back after 2^44 tickets of one slot,
//!    months even if it does nothing else.

use crate::sync::{AtomicU64, Ordering};

const RUNNING: u64 = 0;
const PARKED: u64 = 1;
const TAKEN: u64 = 2;
/// Sent, to where the bits above say.
const SENT: u64 = 3;
/// The ticket fills the payload.
const LENT: u64 = 4;
/// The ticket was used before the stage has answered; the bits above say where the request goes on.
const EARLY: u64 = 5;
const STATE_BITS: u32 = 3;
const STATE_MASK: u64 = (1 << STATE_BITS) - 1;
/// In place of a stage: the ticket was dropped.
const DROPPED: u64 = 1 << 16;
const TO_BITS: u32 = 17;
/// The ticket's number stands above its state and where it leads.
const TICKET_AT: u32 = STATE_BITS + TO_BITS;

/// Where a suspended request goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parked {
    /// At this stage.
    Resumed(u16),
    /// Nowhere: its ticket was dropped.
    Dropped,
}

impl Parked {
    fn bits(self) -> u64 {
        let to = match self {
            Self::Resumed(stage) => u64::from(stage),
            Self::Dropped => DROPPED,
        };
        to << STATE_BITS
    }

    fn of(word: u64) -> Self {
        match word >> STATE_BITS & ((1 << TO_BITS) - 1) {
            DROPPED => Self::Dropped,
            stage => Self::Resumed(stage as u16),
        }
    }
}

/// How it is with the request of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The stage has not answered yet.
    Runs,
    /// It is suspended, and nobody has it.
    Parked,
    /// The ticket is void.
    Void,
}

/// The word of one slot.
#[derive(Debug)]
pub struct Parking {
    /// See the head of this file. Written by the worker that runs or parks the request, by the ticket, and by the
    /// receiver when the workers are gone.
    word: AtomicU64,
}

impl Default for Parking {
    fn default() -> Self {
        Self { word: AtomicU64::new(RUNNING) }
    }
}

/// The word's state, for this ticket; none if it is void.
fn state_for(word: u64, ticket: u64) -> Option<u64> {
    (word >> TICKET_AT == ticket).then_some(word & STATE_MASK)
}

impl Parking {
    /// The number of a new ticket; the one before is void. For the worker that runs the request.
    pub fn issue(&self) -> u64 {
        // Relaxed, and no compare-and-swap: the ticket before may change the state beside its number, and both are
        // written over; who hands the new one on orders it.
        let ticket = ((self.word.load(Ordering::Relaxed) >> TICKET_AT) + 1) << TICKET_AT;
        self.word.store(ticket | RUNNING, Ordering::Relaxed);
        ticket >> TICKET_AT
    }

    /// The stage has answered that the request is suspended. If its ticket has been used by now the worker still
    /// has the request, and is told where it goes on.
    pub fn park(&self) -> Option<Parked> {
        let running = self.word.load(Ordering::Relaxed) & !((1 << TICKET_AT) - 1) | RUNNING;
        let parked = running | PARKED;
        match self.word.compare_exchange(running, parked, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => None,
            Err(word) => {
                // Relaxed: the worker has it, and the ticket is used up.
                self.word.store(running, Ordering::Relaxed);
                Some(Parked::of(word))
            }
        }
    }

    /// The request follows one that is suspended, and waits with it. No ticket counts for it. Release: pairs with the
    /// Acquire of a receiver that [takes](Self::take) it.
    pub fn park_led(&self) {
        let ticket = self.issue() << TICKET_AT;
        self.word.store(ticket | PARKED, Ordering::Release);
    }

    /// The one that it follows is run on, by the caller.
    pub fn unpark_led(&self) {
        let word = self.word.load(Ordering::Relaxed);
        self.word.store(word >> TICKET_AT << TICKET_AT | RUNNING, Ordering::Relaxed);
    }

    /// The ticket is used. Whether the caller has the request now, and must push it to a queue.
    pub fn send(&self, ticket: u64, to: Parked) -> bool {
        let mut now = self.word.load(Ordering::Relaxed);
        loop {
            let (state, is_parked) = match state_for(now, ticket) {
                Some(RUNNING) => (EARLY, false),
                Some(PARKED | LENT) => (SENT, true),
                _ => return false,
            };
            let sent = ticket << TICKET_AT | to.bits() | state;
            match self.word.compare_exchange(now, sent, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return is_parked,
                Err(other) => now = other,
            }
        }
    }

    /// A worker has popped the request. Where it goes on, if it was suspended.
    pub fn pop(&self) -> Option<Parked> {
        // Relaxed: the queue orders it.
        let word = self.word.load(Ordering::Relaxed);
        // (It is Early where a stage has answered otherwise, after all.)
        (word & STATE_MASK == SENT).then(|| {
            self.word.store(word >> TICKET_AT << TICKET_AT | RUNNING, Ordering::Relaxed);
            Parked::of(word)
        })
    }

    /// The workers are gone, and the caller is the receiver: whether it has the request now. One that it has taken
    /// stays so: nothing will stand in the slot again.
    pub fn take(&self) -> bool {
        let mut now = self.word.load(Ordering::Acquire);
        while matches!(now & STATE_MASK, PARKED | SENT) {
            let taken = now >> TICKET_AT << TICKET_AT | TAKEN;
            match self.word.compare_exchange(now, taken, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(other) => now = other,
            }
        }
        false
    }

    /// How it is with the request of a ticket.
    pub fn standing(&self, ticket: u64) -> Standing {
        match state_for(self.word.load(Ordering::Relaxed), ticket) {
            Some(RUNNING) => Standing::Runs,
            Some(PARKED) => Standing::Parked,
            _ => Standing::Void,
        }
    }

    /// The ticket takes a parked request for itself, and will [send](Self::send) it. Acquire: pairs with the Release
    /// of the worker that parked it. `false` if the receiver has ended it.
    pub fn borrow(&self, ticket: u64) -> bool {
        let word = ticket << TICKET_AT;
        self.word
            .compare_exchange(word | PARKED, word | LENT, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }
}
