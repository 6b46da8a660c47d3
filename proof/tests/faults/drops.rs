//! Payloads and errors whose `Drop` panics, at each drop of a small run that takes values through every
//! place where they are dropped.

use proof::common::{LONG, ORDERS, eventually, watchdog};
use proof::mill::{INJECTED, quiet_panics};
use stageline::{
    Order, Pipeline, RecvError, Request, RequestGroup, SharedSubmitter, Step, state_machine,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

/// Which values are alive, and which of their drops panics.
#[derive(Default)]
struct Registry {
    drops: AtomicU64,
    /// Which drop panics; with `every`, each multiple of it.
    nth: u64,
    every: bool,
    made: AtomicUsize,
    alive: AtomicUsize,
    /// Drops of each value.
    of: Mutex<Vec<Arc<AtomicU8>>>,
}

impl Registry {
    fn new(nth: u64, every: bool) -> Arc<Self> {
        Arc::new(Self { nth, every, ..Self::default() })
    }

    fn value(self: &Arc<Self>, act: Act) -> Mortal {
        self.made.fetch_add(1, SeqCst);
        self.alive.fetch_add(1, SeqCst);
        let dropped = Arc::new(AtomicU8::new(0));
        self.of.lock().unwrap().push(Arc::clone(&dropped));
        Mortal { registry: Arc::clone(self), dropped, act }
    }

    /// All values are gone, each once.
    fn assert_gone(&self, what: &str) {
        assert_eq!(self.alive.load(SeqCst), 0, "{what}: values that are left");
        let of = self.of.lock().unwrap();
        assert!(of.iter().all(|drops| drops.load(SeqCst) == 1), "{what}: each is dropped once");
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Pass,
    /// The stage fails it with an error that is such a value too.
    Fail,
    /// The stage replaces it, which drops it there.
    Replace,
}

/// A value whose drop is counted, and may panic.
struct Mortal {
    registry: Arc<Registry>,
    dropped: Arc<AtomicU8>,
    act: Act,
}

impl Drop for Mortal {
    fn drop(&mut self) {
        let registry = &self.registry;
        self.dropped.fetch_add(1, SeqCst);
        registry.alive.fetch_sub(1, SeqCst);
        let drop = 1 + registry.drops.fetch_add(1, SeqCst);
        let hits =
            if registry.every { drop.is_multiple_of(registry.nth) } else { drop == registry.nth };
        // A second panic while the first one unwinds ends the process, by the language's rule.
        if hits && !thread::panicking() {
            panic!("{INJECTED} at drop {drop}");
        }
    }
}

struct Morgue;

#[state_machine(data = Mortal, error = Mortal)]
impl Morgue {
    #[stage]
    fn run(&mut self, request: &mut Request<'_, Self>) -> Step {
        let registry = Arc::clone(&request.registry);
        match request.act {
            Act::Pass => request.done(),
            Act::Fail => request.fail(registry.value(Act::Pass)),
            Act::Replace => {
                **request = registry.value(Act::Pass);
                request.done()
            }
        }
    }
}

/// Runs what may panic by a drop, and by nothing else.
fn survives<T>(f: impl FnOnce() -> T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(f()))) {
        let message = payload.downcast_ref::<String>().map_or("no message", String::as_str);
        assert!(message.starts_with(INJECTED), "{message}");
    }
}

const ACTS: [Act; 3] = [Act::Pass, Act::Fail, Act::Replace];

/// Receives everything; takes, replaces, and drains.
fn receive(group: &mut RequestGroup<Morgue>, registry: &Arc<Registry>) {
    for round in 0.. {
        survives(|| match round % 5 {
            0 => drop(group.recv()),
            1 => drop(group.recv().map(|output| output.replace(registry.value(Act::Pass)))),
            2 => drop(group.recv().map(|output| output.into_error())),
            3 => drop(group.recv_timeout(LONG)),
            _ => {
                group.drain(2, |output| **output = registry.value(Act::Pass));
            }
        });
        if group.in_flight() == 0 {
            break;
        }
    }
}

/// One run through all places where values are dropped. How many drops there were.
fn run(order: Order, workers: usize, nth: u64, every: bool) -> u64 {
    let what = format!("{order:?}, {workers} workers, drop {nth}, every {every}");
    let registry = Registry::new(nth, every);
    let factory = Arc::clone(&registry);
    let builder = Pipeline::builder_with(|| Morgue, move || factory.value(Act::Pass));
    let pipeline = builder.workers(workers).groups(2).window(4).build().unwrap();
    let mut group = pipeline.open(order).unwrap();
    // By value, in place, as a batch; refused values are dropped by this thread.
    for act in ACTS {
        survives(|| group.try_submit(registry.value(act)));
        survives(|| group.try_submit_with(|slot| *slot = registry.value(act)));
        let mut values = (0..3).map(|_| registry.value(act));
        survives(|| group.submit_batch(&mut values));
        receive(&mut group, &registry);
    }
    assert_eq!(group.stats().ledger.ended(), group.stats().ledger.submitted, "{what}");
    assert!(matches!(group.recv(), Err(RecvError::NothingInFlight)), "{what}");
    shared(group, &registry);
    // Dropped with requests in flight, errors among them, and opened again.
    let mut left = pipeline.open(order).unwrap();
    for act in ACTS {
        survives(|| left.try_submit(registry.value(act)));
    }
    survives(|| drop(left));
    eventually("they have ended", || pipeline.ledger().in_flight() == 0);
    let again: Vec<_> = (0..2).map(|_| pipeline.open(order).unwrap()).collect();
    survives(|| drop(again));
    // A handle that outlives the pipeline, with a result in it.
    let mut last = pipeline.open(order).unwrap();
    survives(|| last.try_submit(registry.value(Act::Fail)));
    let ledger = pipeline.ledger();
    survives(|| drop(pipeline));
    assert!(ledger.submitted >= 12, "{what}: {ledger}");
    receive(&mut last, &registry);
    survives(|| drop(last));
    registry.assert_gone(&what);
    registry.drops.load(SeqCst)
}

/// Two producers, one of whose fillers is a value that panics when the old one is dropped.
fn shared(group: RequestGroup<Morgue>, registry: &Arc<Registry>) {
    let (submitter, mut receiver) = group.split();
    let mut one: SharedSubmitter<Morgue> = submitter.share();
    let mut other = one.clone();
    survives(|| one.try_submit(registry.value(Act::Pass)));
    survives(|| other.try_submit_with(|slot| *slot = registry.value(Act::Fail)));
    survives(|| drop((one, other)));
    // A filler that panicked has taken a position all the same.
    let mut closed = false;
    while !closed {
        survives(|| closed = receiver.recv_timeout(LONG).is_err());
    }
    assert_eq!(receiver.in_flight(), 0);
    survives(|| drop(receiver));
}

#[test]
fn a_drop_that_panics_at_any_place_loses_and_doubles_nothing() {
    let _dog = watchdog(120);
    quiet_panics();
    for (order, workers) in ORDERS.into_iter().flat_map(|order| [(order, 1), (order, 2)]) {
        let drops = run(order, workers, u64::MAX, false);
        assert!(drops > 40, "{drops} drops");
        // A panic changes how many there are: some more, to be sure of the last ones.
        for nth in 1..=drops + 4 {
            run(order, workers, nth, false);
        }
    }
}

#[test]
fn drops_that_panic_again_and_again_lose_and_double_nothing() {
    let _dog = watchdog(120);
    quiet_panics();
    for (order, workers) in ORDERS.into_iter().flat_map(|order| [(order, 1), (order, 2)]) {
        for nth in 1..=40 {
            run(order, workers, nth, true);
        }
    }
}
