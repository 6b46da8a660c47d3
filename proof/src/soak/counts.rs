//! The program's own ledger, kept from what it submitted and what came back.

use stageline::{Ledger, Outcome};
use std::ops::AddAssign;

/// Counts of one visit to a group, of a client, or of the whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests by how they ended.
    pub ledger: Ledger,
    /// Of them: those of groups that were dropped with requests in flight, whose ends nobody saw.
    pub unseen: u64,
    /// Groups opened.
    pub groups: u64,
    /// Groups dropped with requests in flight.
    pub abandoned: u64,
    /// Groups cancelled.
    pub cancels: u64,
    /// Fillers that panicked.
    pub filler_panics: u64,
    /// Submissions that were refused because the window was full.
    pub full: u64,
    /// Groups whose pipeline ended while they were open.
    pub cut_short: u64,
}

impl Counts {
    /// A request came back.
    pub(super) fn ended<E>(&mut self, outcome: &Outcome<'_, E>) {
        let ledger = &mut self.ledger;
        ledger.received += 1;
        *match outcome {
            Outcome::Done => &mut ledger.done,
            Outcome::Failed { .. } | Outcome::FailedAs { .. } | Outcome::Abandoned => {
                &mut ledger.failed
            }
            Outcome::Dropped { .. } => &mut ledger.dropped,
            Outcome::Cancelled => &mut ledger.cancelled,
            Outcome::Expired => &mut ledger.expired,
            Outcome::Panicked(_) => &mut ledger.panicked,
            Outcome::Cyclic(_) => &mut ledger.cyclic,
        } += 1;
    }
}

impl AddAssign<&Counts> for Counts {
    fn add_assign(&mut self, other: &Counts) {
        add_ledger(&mut self.ledger, &other.ledger);
        self.unseen += other.unseen;
        self.groups += other.groups;
        self.abandoned += other.abandoned;
        self.cancels += other.cancels;
        self.filler_panics += other.filler_panics;
        self.full += other.full;
        self.cut_short += other.cut_short;
    }
}

/// Adds one ledger to another.
pub(super) fn add_ledger(sum: &mut Ledger, more: &Ledger) {
    sum.submitted += more.submitted;
    sum.done += more.done;
    sum.failed += more.failed;
    sum.dropped += more.dropped;
    sum.cancelled += more.cancelled;
    sum.expired += more.expired;
    sum.panicked += more.panicked;
    sum.cyclic += more.cyclic;
    sum.received += more.received;
}

/// Whether two ledgers say the same of how requests ended.
pub(super) fn agree(one: &Ledger, other: &Ledger) -> bool {
    Ledger { received: 0, ..*one } == Ledger { received: 0, ..*other }
}
