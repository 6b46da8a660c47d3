//! How many messages each node has handled, and how it answered: one writer per thread, read by who shows progress.

use stageline_component::ReportKind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// The answers of a node. One that is given for a batch counts for each of its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeCounts {
    /// Done.
    pub done: u64,
    /// Kept now, to be settled with others.
    pub held: u64,
    /// To be tried again.
    pub retried: u64,
    /// Failed.
    pub failed: u64,
    /// Dropped.
    pub dropped: u64,
}

impl NodeCounts {
    /// The messages that it has got, each retry counted.
    pub fn handled(&self) -> u64 {
        self.done + self.held + self.retried + self.failed + self.dropped
    }
}

/// The kinds of reports, and behind them the messages that were kept and are not any more.
const PLACES: usize = 6;
const LET_GO: usize = 5;

/// Those of one thread. Written by it alone, read by anybody; nothing is inferred from one about another.
pub struct ThreadCounts {
    nodes: Box<[[AtomicU64; PLACES]]>,
    /// Messages that are under way no more by themselves: their journey is over, or they follow another one.
    gone: AtomicU64,
    /// Messages that follow no more.
    parted: AtomicU64,
    /// Whether a component runs.
    runs: AtomicBool,
}

impl ThreadCounts {
    #[inline]
    pub fn count(&self, node: usize, kind: ReportKind, messages: u64) {
        self.add(node, place_of(kind), messages);
    }

    /// So many messages that were kept are not any more.
    #[inline]
    pub fn let_go(&self, node: usize, messages: u64) {
        if messages > 0 {
            self.add(node, LET_GO, messages);
        }
    }

    /// So many messages are under way no more by themselves.
    #[inline]
    pub fn gone(&self, messages: u64) {
        add(&self.gone, messages);
    }

    /// So many messages that followed another one go on by themselves.
    pub fn parted(&self, messages: u64) {
        add(&self.parted, messages);
    }

    #[inline]
    fn add(&self, node: usize, place: usize, more: u64) {
        add(&self.nodes[node][place], more);
    }

    #[inline]
    pub fn set_running(&self, runs: bool) {
        self.runs.store(runs, Ordering::Relaxed);
    }
}

#[inline]
fn add(place: &AtomicU64, more: u64) {
    // One writer: a load and a store in place of an addition that locks.
    place.store(place.load(Ordering::Relaxed) + more, Ordering::Relaxed);
}

fn place_of(kind: ReportKind) -> usize {
    match kind {
        ReportKind::Done => 0,
        ReportKind::Continue => 1,
        ReportKind::Retry => 2,
        ReportKind::Fail | ReportKind::Reserved => 3,
        ReportKind::Drop => 4,
    }
}

/// Those of all threads.
pub struct Counts {
    nodes: usize,
    threads: Mutex<Vec<Arc<ThreadCounts>>>,
}

impl Counts {
    pub fn new(nodes: usize) -> Self {
        Self { nodes, threads: Mutex::default() }
    }

    /// Counts for a thread that begins.
    pub fn of_thread(&self) -> Arc<ThreadCounts> {
        let nodes = (0..self.nodes).map(|_| Default::default()).collect();
        let (gone, parted, runs) = Default::default();
        let counts = Arc::new(ThreadCounts { nodes, gone, parted, runs });
        self.threads
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .push(Arc::clone(&counts));
        counts
    }

    /// What only grows when components are called, if none runs at this moment.
    pub fn handled_if_idle(&self) -> Option<u64> {
        let threads = self.threads.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let is_idle = threads.iter().all(|thread| !thread.runs.load(Ordering::Relaxed));
        let counts = threads.iter().flat_map(|thread| thread.nodes.iter().flatten());
        is_idle.then(|| counts.map(|count| count.load(Ordering::Relaxed)).sum())
    }

    /// Whether all that is under way by itself is held, if there were so many messages, of which so many ended beside
    /// the threads that count here.
    pub fn is_all_held(&self, messages: u64, ended: u64) -> bool {
        let threads = self.threads.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (mut under_way, mut rest) = (messages, ended);
        for thread in threads.iter() {
            let sum = |place: usize| -> u64 {
                thread.nodes.iter().map(|node| node[place].load(Ordering::Relaxed)).sum()
            };
            // What is held is what was kept, less what was let go.
            under_way += thread.parted.load(Ordering::Relaxed) + sum(LET_GO);
            rest += thread.gone.load(Ordering::Relaxed) + sum(place_of(ReportKind::Continue));
        }
        under_way == rest
    }

    /// The sums.
    pub fn sum(&self) -> Vec<NodeCounts> {
        let threads = self.threads.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let sum = |node: usize, kind: usize| -> u64 {
            threads.iter().map(|thread| thread.nodes[node][kind].load(Ordering::Relaxed)).sum()
        };
        let of = |node: usize| NodeCounts {
            done: sum(node, 0),
            // (Read while it changes, it may seem to have let go of more than it kept.)
            held: sum(node, 1).saturating_sub(sum(node, LET_GO)),
            retried: sum(node, 2),
            failed: sum(node, 3),
            dropped: sum(node, 4),
        };
        (0..self.nodes).map(of).collect()
    }
}
