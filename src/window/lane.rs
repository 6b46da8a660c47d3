//! What one worker keeps about one group.

use crate::slot::Phase;
use crate::sync::{self, AtomicU64, Ordering};

/// What one worker keeps about one group: a line that only this worker writes.
#[derive(Debug)]
#[repr(align(64))]
pub struct Lane {
    /// Entries that the worker has pushed to its completion ring of this group. Written by the
    /// worker with plain (Relaxed) stores, read by itself.
    pushed: AtomicU64,
    /// Requests ended, by outcome. Written by the worker with Relaxed stores before it publishes the
    /// batch, read for the statistics.
    outcomes: [AtomicU64; Phase::FINISHED.len()],
}

impl Default for Lane {
    fn default() -> Self {
        Self { pushed: AtomicU64::new(0), outcomes: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl Lane {
    /// Requests that ended with this outcome.
    pub(super) fn ended(&self, phase: Phase) -> u64 {
        self.outcomes[phase.outcome_index()].load(Ordering::Relaxed)
    }

    /// Adds to a counter of which the calling thread is the only writer.
    #[inline(always)]
    pub(super) fn count(&self, phase: Phase, more: u64) {
        sync::add_alone(&self.outcomes[phase.outcome_index()], more);
    }

    /// Entries that the worker has pushed to its completion ring of this group.
    #[inline(always)]
    pub(super) fn pushed(&self) -> u64 {
        self.pushed.load(Ordering::Relaxed)
    }

    /// Takes note of entries pushed. For the worker itself.
    #[inline(always)]
    pub(super) fn set_pushed(&self, pushed: u64) {
        self.pushed.store(pushed, Ordering::Relaxed);
    }
}

#[cfg(not(any(stageline_loom, stageline_shuttle)))]
const _: () = assert!(size_of::<Lane>() == 64, "one line for each worker and group");
