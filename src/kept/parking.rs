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
//! 4. When all threads have left, a receiver ends what has begun to run as cancelled, unless it is Lent: by a
//!    compare-and-swap to Taken, against which the ticket's loses. What is Running then stands in a queue, sent by a
//!    ticket too late for the workers and from pool to pool; nobody pops any more.
//! 5. A worker that pops a request makes it Running.
//! 6. The word counts the tickets of its slot, and a ticket swaps only from its own count. So one whose stage has
//!    answered otherwise, and which may be used when the request has long gone on, finds itself void.

use crate::sync::{AtomicU64, Ordering};

const RUNNING: u64 = 0;
const PARKED: u64 = 1;
const TAKEN: u64 = 2;
/// Sent, to the stage in the bits above.
const SENT: u64 = 3;
/// The ticket fills the payload.
const LENT: u64 = 4;
const STATE_BITS: u32 = 3;
const STATE_MASK: u64 = (1 << STATE_BITS) - 1;
/// In place of a stage: the ticket was dropped.
const DROPPED: u64 = 1 << 16;
const STAGE_BITS: u32 = 17;
/// The count of tickets is above these, modulo 2^44.
const COUNT_SHIFT: u32 = STATE_BITS + STAGE_BITS;

/// Which ticket of a slot, in the place that it has in the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketId(u64);

impl TicketId {
    fn of(word: u64) -> Self {
        Self(word >> COUNT_SHIFT << COUNT_SHIFT)
    }

    fn next(self) -> Self {
        Self(self.0.wrapping_add(1 << COUNT_SHIFT))
    }
}

/// Where a suspended request goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parked {
    /// At this stage.
    Resumed(u16),
    /// Nowhere: its ticket was dropped.
    Dropped,
}

impl Parked {
    /// Without the count of tickets.
    fn bits(self) -> u64 {
        let to = match self {
            Self::Resumed(stage) => u64::from(stage),
            Self::Dropped => DROPPED,
        };
        to << STATE_BITS | SENT
    }

    fn of(word: u64) -> Option<Self> {
        let to = (word ^ TicketId::of(word).0) >> STATE_BITS;
        match (word & STATE_MASK, to) {
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
    word: AtomicU64,
}

impl Default for Parking {
    fn default() -> Self {
        Self { word: AtomicU64::new(RUNNING) }
    }
}

impl Parking {
    /// The worker that runs the request makes a ticket for it. Earlier ones are void. Relaxed: the ticket is handed
    /// on after this.
    pub fn issue(&self) -> TicketId {
        let ticket = TicketId::of(self.word.load(Ordering::Relaxed)).next();
        self.word.store(ticket.0 | RUNNING, Ordering::Relaxed);
        ticket
    }

    /// The stage has answered that the request is suspended. If its ticket has been used by now the worker still
    /// has the request, and is told where it goes on.
    pub fn park(&self, ticket: TicketId) -> Option<Parked> {
        let (running, parked) = (ticket.0 | RUNNING, ticket.0 | PARKED);
        match self.word.compare_exchange(running, parked, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => None,
            Err(word) => {
                // Relaxed: the worker has it, and the ticket is used up.
                self.word.store(running, Ordering::Relaxed);
                Parked::of(word)
            }
        }
    }

    /// The stage that made a ticket has answered otherwise: it is void. The request may be in other hands by now.
    pub fn void(&self, ticket: TicketId) {
        let mut now = self.word.load(Ordering::Relaxed);
        while TicketId::of(now) == ticket {
            let next = ticket.next().0 | RUNNING;
            match self.word.compare_exchange(now, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(other) => now = other,
            }
        }
    }

    /// The ticket is used. Whether the caller has the request now, and must push it to a queue.
    pub fn send(&self, ticket: TicketId, to: Parked) -> bool {
        let mut now = self.word.load(Ordering::Relaxed);
        while TicketId::of(now) == ticket && now & STATE_MASK != TAKEN {
            let sent = ticket.0 | to.bits();
            match self.word.compare_exchange(now, sent, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return [PARKED, LENT].contains(&(now & STATE_MASK)),
                Err(other) => now = other,
            }
        }
        false
    }

    /// A worker has popped the request. Where it goes on, if it was suspended.
    pub fn pop(&self) -> Option<Parked> {
        // Relaxed: the queue orders it.
        let word = self.word.load(Ordering::Relaxed);
        let sent = Parked::of(word);
        if sent.is_some() {
            self.word.store(TicketId::of(word).0 | RUNNING, Ordering::Relaxed);
        }
        sent
    }

    /// All threads that run stages are gone, and the caller is the receiver of a request that had begun to run:
    /// whether it has the request now.
    pub fn take(&self) -> bool {
        let mut now = self.word.load(Ordering::Acquire);
        while [RUNNING, PARKED, SENT].contains(&(now & STATE_MASK)) {
            let taken = TicketId::of(now).0 | TAKEN;
            match self.word.compare_exchange(now, taken, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(other) => now = other,
            }
        }
        false
    }

    /// The ticket takes a parked request for itself, and will [send](Self::send) it. Acquire: pairs with the Release
    /// of the worker that parked it. `None` if the stage has not answered yet, `false` if the ticket is void, or the
    /// receiver has ended the request.
    pub fn borrow(&self, ticket: TicketId) -> Option<bool> {
        let (parked, lent) = (ticket.0 | PARKED, ticket.0 | LENT);
        match self.word.compare_exchange(parked, lent, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Some(true),
            Err(now) if now == ticket.0 | RUNNING => None,
            Err(_) => Some(false),
        }
    }
}
