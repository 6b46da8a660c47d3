//! What a run has done so far, and in all.

use super::counts::NodeCounts;
use super::settle::Settled;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The messages of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// What the source is called.
    pub name: String,
    /// Emitted.
    pub emitted: u64,
    /// Done.
    pub done: u64,
    /// Dropped.
    pub dropped: u64,
    /// Failed, those included that the dead letter took.
    pub failed: u64,
    /// Taken by the dead letter.
    pub letters: u64,
    /// Failed as part of the message that they were folded into.
    pub folded: u64,
    /// Left when the run was cut short.
    pub cancelled: u64,
}

impl SourceCounts {
    pub(super) fn of(name: &str, settled: &Settled, emitted: Option<u64>) -> Self {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (done, dropped, failed) =
            (load(&settled.done), load(&settled.dropped), load(&settled.failed));
        let (letters, folded, cancelled) =
            (load(&settled.letters), load(&settled.folded), load(&settled.cancelled));
        let ended = done + dropped + failed + cancelled;
        let emitted = emitted.unwrap_or(ended).max(ended);
        Self { name: name.to_owned(), emitted, done, dropped, failed, letters, folded, cancelled }
    }

    /// Emitted, and not settled yet.
    pub fn in_flight(&self) -> u64 {
        self.emitted - self.done - self.dropped - self.failed - self.cancelled
    }
}

/// What a run has done so far.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Since its start.
    pub elapsed: Duration,
    /// By source.
    pub sources: Vec<SourceCounts>,
    /// The dead letters, on their way to their component.
    pub letters: Option<SourceCounts>,
    /// By node: its name, and how it answered. A message counts at each node that handles it.
    pub nodes: Vec<(String, NodeCounts)>,
}

impl Progress {
    /// Over all sources.
    pub fn total(&self) -> SourceCounts {
        let mut total = SourceCounts::default();
        for source in &self.sources {
            total.emitted += source.emitted;
            total.done += source.done;
            total.dropped += source.dropped;
            total.failed += source.failed;
            total.letters += source.letters;
            total.folded += source.folded;
            total.cancelled += source.cancelled;
        }
        total
    }
}

/// Why a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its sources had no more.
    BySources,
    /// Somebody asked for it.
    Asked,
    /// Nobody read its output any more.
    OutputClosed,
    /// A source failed, or a message did and the plan says that this ends the run.
    Failed(String),
}

/// What a run has done.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The name of the pipeline.
    pub name: String,
    /// The counts.
    pub progress: Progress,
    /// What went wrong beside messages.
    pub troubles: Vec<String>,
    /// Why it ended.
    pub ended: Ended,
    /// Whether who read the standard output has gone, whatever ended the run first.
    pub output_closed: bool,
}

impl Summary {
    /// Whether nothing was lost: each message was done, dropped, or taken by the dead letter, and all components
    /// closed well.
    pub fn is_clean(&self) -> bool {
        let total = self.progress.total();
        let letters_lost = self
            .progress
            .letters
            .as_ref()
            .is_some_and(|letters| letters.failed + letters.cancelled > 0);
        // What an output that was closed did not take any more is cancelled.
        let is_cut = total.cancelled > 0 && !self.output_closed;
        let is_lost = total.failed > total.letters + total.folded || is_cut || letters_lost;
        self.troubles.is_empty() && !matches!(self.ended, Ended::Failed(_)) && !is_lost
    }
}
