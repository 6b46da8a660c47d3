//! The watch: a thread that looks, a few times in the period that it watches for, at counts that the
//! other threads keep anyway. Nothing on the hot path knows of it.
//!
//! 1. **Stuck workers**, where there are several. A worker that has not gone on since the look before
//!    (or sleeps though its doorbell is rung) is marked as stuck, and a sleeping worker is woken to serve
//!    its groups: so a stage that does not return, or a worker that the system does not run, holds up its
//!    batch alone.
//! 2. **Stalled groups**, if asked for: those whose results nobody receives. Each is reported once.

use crate::common::Help;
use crate::error::BuildError;
use crate::shared::Shared;
use crate::stage::StateMachine;
use crate::sync::{Arc, Condvar, Mutex, Ordering, thread};
use std::time::{Duration, Instant};

/// Between two looks at the workers. A request that takes twice as long is noticed at the latest.
const STUCK_PERIOD: Duration = Duration::from_millis(5);
/// Looks at the groups in the time after which one is stalled.
const STALL_LOOKS: u32 = 4;

/// The running watch.
pub(super) struct Watch {
    stop: Arc<Stop>,
    thread: Option<thread::JoinHandle<()>>,
}

/// How the watch is told to end. It sleeps on a plain condition variable: an `Event` would interrupt
/// the process's other threads at each look.
#[derive(Default)]
struct Stop {
    asked: Mutex<bool>,
    condvar: Condvar,
}

impl Stop {
    fn ask(&self) {
        *self.asked.lock().unwrap_or_else(|poison| poison.into_inner()) = true;
        self.condvar.notify_all();
    }

    /// Sleeps for a period; whether the watch is to end.
    fn asked_within(&self, period: Duration) -> bool {
        let asked = self.asked.lock().unwrap_or_else(|poison| poison.into_inner());
        if *asked {
            return true;
        }
        let woken = self.condvar.wait_timeout(asked, period);
        *woken.unwrap_or_else(|poison| poison.into_inner()).0
    }
}

impl Watch {
    pub(super) fn start<M: StateMachine>(
        name: &str,
        shared: Arc<Shared<M>>,
        stall_after: Option<Duration>,
    ) -> Result<Self, BuildError> {
        let stop = Arc::new(Stop::default());
        let thread_name = format!("{name}-watch");
        let stuck = Stuck { seen: vec![None; shared.pollers] };
        let stalls = stall_after.map(|after| Stalls::new(name, &shared, after));
        let asked = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name(thread_name.clone())
            .spawn(move || watch(&shared, stuck, stalls, &asked))
            .map_err(|source| BuildError::Spawn { thread: thread_name, source })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.ask();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            // The watch runs no code of the user's but a `tracing` subscriber; if that panicked there
            // is nobody to tell.
            let _ = thread.join();
        }
    }
}

fn watch<M: StateMachine>(
    shared: &Shared<M>,
    mut stuck: Stuck,
    mut stalls: Option<Stalls>,
    stop: &Stop,
) {
    let period = match &stalls {
        Some(stalls) if shared.pollers == 1 => stalls.period(),
        Some(stalls) => stalls.period().min(STUCK_PERIOD),
        None => STUCK_PERIOD,
    };
    loop {
        if stop.asked_within(period) {
            return;
        }
        if shared.pollers > 1 {
            stuck.look(shared);
        }
        if let Some(stalls) = &mut stalls {
            stalls.look_if_due(shared, Instant::now());
        }
    }
}

/// How far each worker had come at the last look, unless it slept with nobody calling.
struct Stuck {
    seen: Vec<Option<u64>>,
}

impl Stuck {
    fn look<M: StateMachine>(&mut self, shared: &Shared<M>) {
        for (worker, seen) in shared.workers.iter().zip(&mut self.seen) {
            // One that sleeps and was rung should have woken: the system may not run it.
            let sleeps = worker.event.is_awaited() && !worker.bell.is_rung();
            let now = (!sleeps).then(|| worker.progress.steps());
            if now.is_some() && now == *seen {
                worker.wants_help.store(Help::STUCK, Ordering::Relaxed);
                shared.wake_helper(Help::STUCK);
            }
            *seen = now;
        }
    }
}

/// The groups whose results wait, and for how long.
struct Stalls {
    pipeline: String,
    after: Duration,
    last_look: Instant,
    seen: Vec<Seen>,
}

/// What is remembered of a group.
#[derive(Clone, Copy)]
struct Seen {
    received: u64,
    since: Instant,
    reported: bool,
}

impl Stalls {
    fn new<M: StateMachine>(pipeline: &str, shared: &Shared<M>, after: Duration) -> Self {
        let now = Instant::now();
        let seen = shared.groups.iter().map(|group| {
            let received = group.window.received();
            Seen { received, since: now, reported: false }
        });
        Self { pipeline: pipeline.to_owned(), after, last_look: now, seen: seen.collect() }
    }

    fn period(&self) -> Duration {
        self.after / STALL_LOOKS
    }

    fn look_if_due<M: StateMachine>(&mut self, shared: &Shared<M>, now: Instant) {
        if now - self.last_look >= self.period() {
            self.last_look = now;
            (0..self.seen.len()).for_each(|group| self.look(shared, group, now));
        }
    }

    fn look<M: StateMachine>(&mut self, shared: &Shared<M>, index: usize, now: Instant) {
        let (group, seen) = (&shared.groups[index], &mut self.seen[index]);
        let ledger = group.ledger();
        let received = group.window.received();
        let waiting = ledger.ended().saturating_sub(ledger.received);
        if received != seen.received || waiting == 0 || !group.is_open() {
            *seen = Seen { received, since: now, reported: false };
            group.stalled.store(false, Ordering::Relaxed);
            return;
        }
        let waited = now - seen.since;
        if waited >= self.after && !seen.reported {
            seen.reported = true;
            group.stalled.store(true, Ordering::Relaxed);
            group.stalls.fetch_add(1, Ordering::Relaxed);
            shared.stalls.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                pipeline = %self.pipeline,
                group = index,
                waiting,
                waited_ms = waited.as_millis() as u64,
                "results of a group are not received"
            );
        }
    }
}
