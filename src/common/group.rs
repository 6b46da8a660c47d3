//! A group as the pipeline keeps it.

use super::share::Share;
use crate::bell::Service;
use crate::slot::Phase;
use crate::stats::{AtomicHistogram, Ledger};
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::wait::Event;
use crate::window::Window;
use crossbeam_utils::CachePadded;

/// The conditions of a group that stop or slow its requests: a set of bits in one word.
pub struct Control;

impl Control {
    /// Requests that have not run end as cancelled; submits are refused.
    pub const CANCELLED: u32 = 1;
    /// Some cold entries carry a deadline or the void mark, so each is looked at before it runs.
    pub const MARKED: u32 = 2;
    /// The pipeline takes no more requests.
    pub const CLOSED: u32 = 4;
    /// The receive end is gone; submits are refused.
    pub const UNRECEIVED: u32 = 8;

    /// What makes a submit refuse.
    pub const REFUSE: u32 = Self::CANCELLED | Self::CLOSED | Self::UNRECEIVED;
    /// What a worker looks at before each request.
    pub const CHECK: u32 = Self::CANCELLED | Self::MARKED;
}

/// One request group: its memory, and the words by which others learn about it.
pub struct Group<T, E> {
    pub front: CachePadded<Front>,
    pub window: Window<T, E>,
    pub times: Times,
    /// How its worker divides its time.
    pub share: Share,
    /// Counts at the opening, so that a group's statistics start with it.
    base: GroupBase,
    pub overflowed: Overflowed,
    /// Found stalled so many times; written by the stall watch.
    pub stalls: AtomicU64,
    /// Found stalled now; written by the stall watch.
    pub stalled: AtomicBool,
}

/// The read-mostly words of a group, on lines that no request writes.
pub struct Front {
    /// Bits of [`Control`]. Written by whoever cancels, marks or closes (read-modify-write); read by
    /// the submit end before and by workers between requests. Relaxed, but for the mark, which the
    /// slot's publication orders.
    pub control: AtomicU32,
    pub service: Service,
    /// The submit end waits here for a free slot.
    pub submit_event: Event,
    /// The receive end waits here for results.
    pub receive_event: Event,
    /// Which ends are closed: [`SUBMIT_CLOSED`], [`RECEIVE_CLOSED`], [`LETTERS_CLOSED`]. Written by the ends when they
    /// are dropped; AcqRel, so that who closes the last end sees all that the others did.
    pub(super) ends: AtomicU32,
    /// Handles of the submit end. Written by who clones and drops them; AcqRel as they go, so that the last
    /// one sees all that the others submitted. So wide that handles which are forgotten cannot wrap it round.
    pub(super) producers: AtomicU64,
}

pub(super) const SUBMIT_CLOSED: u32 = 1;
pub(super) const RECEIVE_CLOSED: u32 = 2;
/// Of a group that was opened without a dead-letter end, from the opening on.
pub(super) const LETTERS_CLOSED: u32 = 4;
pub(super) const ALL_CLOSED: u32 = SUBMIT_CLOSED | RECEIVE_CLOSED | LETTERS_CLOSED;

/// What full windows have cost since the group was opened. Written by the submit end, Relaxed.
#[derive(Default)]
pub struct Overflowed {
    /// Values that were given up.
    pub newest: AtomicU64,
    /// Requests that were shed.
    pub oldest: AtomicU64,
}

#[derive(Default)]
pub struct Times {
    pub queue: AtomicHistogram,
    pub run: AtomicHistogram,
}

/// Written when the group is opened, when it is quiet; read by the statistics. Relaxed.
#[derive(Default)]
struct GroupBase {
    tail: AtomicU64,
    received: AtomicU64,
    outcomes: [AtomicU64; Phase::FINISHED.len()],
}

impl<T, E> Group<T, E> {
    pub fn new(window: Window<T, E>) -> Self {
        let group = Self {
            front: CachePadded::new(Front {
                control: AtomicU32::new(0),
                service: Service::default(),
                submit_event: Event::default(),
                receive_event: Event::default(),
                ends: AtomicU32::new(ALL_CLOSED),
                producers: AtomicU64::new(0),
            }),
            window,
            times: Times::default(),
            share: Share::default(),
            base: GroupBase::default(),
            overflowed: Overflowed::default(),
            stalls: AtomicU64::new(0),
            stalled: AtomicBool::new(false),
        };
        group.base.tail.store(group.window.tail(), Ordering::Relaxed);
        group.base.received.store(group.window.received(), Ordering::Relaxed);
        group
    }

    #[inline(always)]
    pub fn control(&self) -> u32 {
        self.front.control.load(Ordering::Relaxed)
    }

    /// Sets bits of the control word, unless they are set.
    pub fn set_control(&self, bits: u32) {
        if self.control() & bits != bits {
            self.front.control.fetch_or(bits, Ordering::Relaxed);
        }
    }

    /// One end is open, at least.
    pub fn is_open(&self) -> bool {
        self.front.ends.load(Ordering::Acquire) != ALL_CLOSED
    }

    /// No more can be submitted by this group's own doing. Acquire: pairs with the AcqRel of the
    /// dropped submit end, so that its last submits are visible.
    pub fn is_submit_closed(&self) -> bool {
        self.front.ends.load(Ordering::Acquire) & SUBMIT_CLOSED != 0
    }

    /// Nobody will receive any more.
    pub fn is_receive_closed(&self) -> bool {
        self.front.ends.load(Ordering::Acquire) & RECEIVE_CLOSED != 0
    }

    /// Nobody will read dead letters.
    pub fn is_letters_closed(&self) -> bool {
        self.front.ends.load(Ordering::Relaxed) & LETTERS_CLOSED != 0
    }

    /// Everything submitted has been received.
    pub fn is_quiet(&self) -> bool {
        self.window.is_quiet()
    }

    /// One more handle of the submit end. Relaxed: it is made from one that exists.
    pub fn add_producer(&self) {
        self.front.producers.fetch_add(1, Ordering::Relaxed);
    }

    /// The requests since the group was opened. Read while the group is opened anew it may mix both
    /// openings, and then counts from zero.
    pub fn ledger(&self) -> Ledger {
        let mut ledger = self.ledger_of_all_openings();
        let since = |now: u64, base: &AtomicU64| {
            let count = now.wrapping_sub(base.load(Ordering::Relaxed));
            if count as i64 >= 0 { count } else { 0 }
        };
        for (phase, base) in Phase::FINISHED.into_iter().zip(&self.base.outcomes) {
            let ended = ledger.outcome_mut(phase);
            *ended = since(*ended, base);
        }
        ledger.submitted = since(self.window.tail(), &self.base.tail);
        ledger.received = since(self.window.received(), &self.base.received);
        ledger
    }

    /// The requests since the pipeline was built, but for `submitted` and `received`.
    pub fn ledger_of_all_openings(&self) -> Ledger {
        let mut ledger = Ledger::default();
        for phase in Phase::FINISHED {
            *ledger.outcome_mut(phase) = self.window.ended(phase);
        }
        ledger
    }

    pub(super) fn start_counting(&self) {
        for (phase, base) in Phase::FINISHED.into_iter().zip(&self.base.outcomes) {
            base.store(self.window.ended(phase), Ordering::Relaxed);
        }
        self.base.tail.store(self.window.tail(), Ordering::Relaxed);
        self.base.received.store(self.window.received(), Ordering::Relaxed);
        self.times.queue.clear();
        self.times.run.clear();
        self.overflowed.newest.store(0, Ordering::Relaxed);
        self.overflowed.oldest.store(0, Ordering::Relaxed);
        self.stalls.store(0, Ordering::Relaxed);
        self.stalled.store(false, Ordering::Relaxed);
    }
}
