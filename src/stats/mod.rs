//! What a pipeline counts: the ledger of requests by outcome, and sampled times.
//!
//! Outcomes are counted by the worker that ends the request, on a line of its own for each group;
//! nothing on the hot path is shared for their sake. Times are taken of one request in
//! [`Builder::sample_every`](crate::Builder::sample_every).

mod flow;
mod histogram;

pub(crate) use flow::Flow;
pub(crate) use histogram::AtomicHistogram;
pub use histogram::Histogram;

use crate::slot::Phase;
use std::fmt;

/// Requests by how they ended. When the pipeline is quiet,
/// `submitted == done + failed + dropped + cancelled + expired + panicked + cyclic + in_flight()`
/// holds by the meaning of `in_flight`, and no request is in two of the counts. A request is counted as ended a moment
/// before its result can be received: who has received it finds it counted. What [`Pipeline::close`](crate::Pipeline::close)
/// returns is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Accepted. While a batch is submitted, or a submission refused, it may be ahead by up to 64, and go back.
    pub submitted: u64,
    /// Ended by their last stage.
    pub done: u64,
    /// Ended by a stage's error.
    pub failed: u64,
    /// Dropped by a stage, or to make room.
    pub dropped: u64,
    /// Ended by the cancelling of their group or the abort of the pipeline, or never filled.
    pub cancelled: u64,
    /// Ended by their deadline.
    pub expired: u64,
    /// Ended by a panic.
    pub panicked: u64,
    /// Ended by a cycle.
    pub cyclic: u64,
    /// Given back by the receivers.
    pub received: u64,
}

impl Ledger {
    /// Requests that have ended.
    pub fn ended(&self) -> u64 {
        let Self { done, failed, dropped, cancelled, expired, panicked, cyclic, .. } = self;
        done + failed + dropped + cancelled + expired + panicked + cyclic
    }

    /// Requests accepted and not yet ended.
    pub fn in_flight(&self) -> u64 {
        self.submitted.saturating_sub(self.ended())
    }

    pub(crate) fn outcome_mut(&mut self, phase: Phase) -> &mut u64 {
        match phase {
            Phase::Failed => &mut self.failed,
            Phase::Dropped => &mut self.dropped,
            Phase::Cancelled => &mut self.cancelled,
            Phase::Expired => &mut self.expired,
            Phase::Panicked => &mut self.panicked,
            Phase::Cyclic => &mut self.cyclic,
            Phase::Done | Phase::Empty | Phase::Ready => &mut self.done,
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.submitted += other.submitted;
        self.received += other.received;
        self.done += other.done;
        self.failed += other.failed;
        self.dropped += other.dropped;
        self.cancelled += other.cancelled;
        self.expired += other.expired;
        self.panicked += other.panicked;
        self.cyclic += other.cyclic;
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "submitted {} = done {} + failed {} + dropped {} + cancelled {} + expired {} + \
             panicked {} + cyclic {} + in flight {}; received {}",
            self.submitted,
            self.done,
            self.failed,
            self.dropped,
            self.cancelled,
            self.expired,
            self.panicked,
            self.cyclic,
            self.in_flight(),
            self.received
        )
    }
}

/// Statistics of one group, since it was opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GroupStats {
    /// Index of the group.
    pub group: usize,
    /// Its requests.
    pub ledger: Ledger,
    /// Values that were given up since the window was full
    /// ([`Overflow::DropNewest`](crate::Overflow::DropNewest)). They were never submitted.
    pub dropped_newest: u64,
    /// Of the dropped requests, those that made room for others
    /// ([`Overflow::DropOldest`](crate::Overflow::DropOldest)).
    pub dropped_oldest: u64,
    /// Of the received, those that were put into dead letters.
    pub dead_letters: u64,
    /// Of those in flight, the ones in batches that workers run now.
    pub running: usize,
    /// Sampled times from submission to the start of the first stage.
    pub queue: Histogram,
    /// Sampled times from the first stage's start to the last one's end.
    pub run: Histogram,
    /// How many times the stall watch found results that nobody received in time.
    pub stalls: u64,
    /// Whether it finds so now.
    pub stalled: bool,
}

/// Statistics of one stage.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StageStats {
    /// The stage's name.
    pub name: String,
    /// How often requests have entered it. Exact when the pipeline is quiet; while a worker runs, it is
    /// apart by up to the batch that the worker runs, and may go back by as much.
    pub entered: u64,
    /// Workers that are in it now.
    pub running: usize,
    /// Sampled run times.
    pub run: Histogram,
}

/// Statistics of one worker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStats {
    /// Requests of the batch that it has claimed.
    pub running: usize,
    /// The stage that it is in, if any.
    pub stage: Option<String>,
    /// The group whose request it runs, if any.
    pub group: Option<usize>,
    /// Whether it sleeps.
    pub parked: bool,
}

/// Statistics of a pipeline, since it was started.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// The requests of all groups, those of closed ones included.
    pub ledger: Ledger,
    /// Of those in flight, the ones in batches that workers run now.
    pub running: usize,
    /// Groups that are open now.
    pub groups_open: usize,
    /// Sampled times from submission to the start of the first stage.
    pub queue: Histogram,
    /// Sampled times from the first stage's start to the last one's end.
    pub run: Histogram,
    /// By stage, in the order of the table.
    pub stages: Vec<StageStats>,
    /// By worker.
    pub workers: Vec<WorkerStats>,
    /// How many times the stall watch found results that nobody received in time.
    pub stalls: u64,
}
