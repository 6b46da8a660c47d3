//! What is rarely touched of a request, kept apart from the slot's hot line: how it failed, its
//! deadline, its time stamps. One entry a slot; whoever owns the slot owns its cold entry.

use crate::limits::TRACE_LEN;
use arrayvec::ArrayVec;

/// Why a request ended other than by being done, dropped, cancelled or expired.
#[derive(Debug, Default)]
pub enum Failure<E> {
    /// It did not.
    #[default]
    None,
    /// A stage's own error.
    Error(E),
    /// None but the status: a stage answered by a number.
    Status,
    /// Its ticket was dropped while it was suspended.
    Abandoned,
    /// The message of a stage's panic.
    Panic(Box<str>),
    /// The way that led back to a stage, to one that was not declared, or through too many.
    Cycle(Trace),
}

/// Stage ids from the start of a request to where it ended as cyclic: all of them, or the first and
/// the last ones of a long way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Stages before the first one kept.
    before: u32,
    stages: ArrayVec<u16, TRACE_LEN>,
    skipped: u32,
}

/// Of a long way, the stages that are kept from its beginning; the rest of the trace is its end.
const TRACE_HEAD: usize = TRACE_LEN / 2;

impl Trace {
    /// An empty trace of a request that has run through `before` stages already.
    pub fn after(before: u32) -> Self {
        Self { before, ..Self::default() }
    }

    /// Appends a stage; of a long trace the middle is given up.
    pub fn push(&mut self, stage: u16) {
        if self.stages.is_full() {
            self.stages.remove(TRACE_HEAD);
            self.skipped += 1;
        }
        self.stages.push(stage);
    }

    /// How many stages came before; the first ones after them; how many were left out; the rest.
    pub fn parts(&self) -> (u32, &[u16], u32, &[u16]) {
        let (head, rest) = self.stages.split_at(self.stages.len().min(TRACE_HEAD));
        (self.before, head, self.skipped, rest)
    }
}

/// A mark in place of a deadline: the slot's submitter panicked while it filled the slot.
pub const VOID_NS: u64 = 0;
/// No deadline.
pub const NEVER_NS: u64 = u64::MAX;

/// The cold entry of one slot.
#[derive(Debug)]
pub struct Cold<E> {
    /// How the request failed.
    pub failure: Failure<E>,
    /// The position of the last request for which a stage made the answer that it has failed.
    pub failed_at: u64,
    /// A status other than the usual one of how a request ended, and the position of that request.
    pub status: u32,
    pub status_at: u64,
    /// When it expires, in nanoseconds since the pipeline's start; [`NEVER_NS`] or [`VOID_NS`]. A
    /// free slot has [`NEVER_NS`], as long as there are workers.
    pub deadline_ns: u64,
    /// The stage in which the last request of this slot ended that failed, panicked, expired or ended as
    /// cyclic, or which it was about to enter.
    pub stage: u16,
    /// When it was submitted, for those requests whose times are taken.
    pub submitted_ns: u64,
}

impl<E> Cold<E> {
    /// The status that was noted for this position.
    pub fn status_of(&self, position: u64) -> Option<u32> {
        (self.status != 0 && self.status_at == position).then_some(self.status)
    }
}

impl<E> Default for Cold<E> {
    fn default() -> Self {
        Self {
            failure: Failure::None,
            failed_at: 0,
            status: 0,
            status_at: 0,
            deadline_ns: NEVER_NS,
            stage: 0,
            submitted_ns: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_trace_keeps_both_ends() {
        let mut trace = Trace::default();
        (0..100).for_each(|stage| trace.push(stage));
        let (before, head, skipped, rest) = trace.parts();
        assert_eq!(before, 0);
        assert_eq!(head, [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(rest, [93, 94, 95, 96, 97, 98, 99]);
        assert_eq!(skipped as usize, 100 - TRACE_LEN);
    }
}
