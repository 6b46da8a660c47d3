//! The stall watch: a thread that looks for groups whose results nobody receives.
//!
//! It compares counts that the other threads keep anyway, a few times in the period that it watches
//! for. Nothing on the hot path knows of it.

use crate::error::BuildError;
use crate::shared::Shared;
use crate::stage::StateMachine;
use crate::sync::{Arc, AtomicBool, Ordering, thread};
use crate::wait::Event;
use std::time::{Duration, Instant};

/// Looks in each period.
const LOOKS: u32 = 4;

/// The running watch.
pub(super) struct Watch {
    stop: Arc<Stop>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Set by who ends the watch, read by the watch; ordered by the event.
struct Stop {
    asked: AtomicBool,
    event: Event,
}

/// What the watch remembers of a group.
#[derive(Clone, Copy)]
struct Seen {
    received: u64,
    since: Instant,
    reported: bool,
}

impl Watch {
    pub(super) fn start<M: StateMachine>(
        name: &str,
        shared: Arc<Shared<M>>,
        after: Duration,
    ) -> Result<Self, BuildError> {
        let stop = Arc::new(Stop { asked: AtomicBool::new(false), event: Event::default() });
        let (name, thread_name, asked) =
            (name.to_owned(), format!("{name}-watch"), Arc::clone(&stop));
        let thread = thread::Builder::new()
            .name(thread_name.clone())
            .spawn(move || watch(&name, &shared, after, &asked))
            .map_err(|source| BuildError::Spawn { thread: thread_name, source })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.asked.store(true, Ordering::Relaxed);
        self.stop.event.notify();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // The watch runs no code of the user's but a `tracing` subscriber; if that panicked there
            // is nobody to tell.
            let _ = thread.join();
        }
    }
}

fn watch<M: StateMachine>(name: &str, shared: &Shared<M>, after: Duration, stop: &Stop) {
    let now = Instant::now();
    let mut seen: Vec<Seen> = shared
        .groups
        .iter()
        .map(|group| Seen { received: group.window.received(), since: now, reported: false })
        .collect();
    loop {
        let next_look = Instant::now() + after / LOOKS;
        if stop.event.wait_until(Some(next_look), || stop.asked.load(Ordering::Relaxed)) {
            return;
        }
        let now = Instant::now();
        for (index, seen) in seen.iter_mut().enumerate() {
            look(name, shared, index, seen, after, now);
        }
    }
}

fn look<M: StateMachine>(
    name: &str,
    shared: &Shared<M>,
    index: usize,
    seen: &mut Seen,
    after: Duration,
    now: Instant,
) {
    let group = &shared.groups[index];
    let ledger = group.ledger();
    let received = group.window.received();
    let waiting = ledger.ended().saturating_sub(ledger.received);
    if received != seen.received || waiting == 0 || !group.is_open() {
        *seen = Seen { received, since: now, reported: false };
        group.stalled.store(false, Ordering::Relaxed);
        return;
    }
    let waited = now - seen.since;
    if waited >= after && !seen.reported {
        seen.reported = true;
        group.stalled.store(true, Ordering::Relaxed);
        group.stalls.fetch_add(1, Ordering::Relaxed);
        shared.stalls.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            pipeline = name,
            group = index,
            waiting,
            waited_ms = waited.as_millis() as u64,
            "results of a group are not received"
        );
    }
}
