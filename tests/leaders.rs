//! Requests that wait in several stages, leaders that are retried, and ways through pools: who is told what, and when
//! it ends.

mod common;

use common::{LONG, eventually, watchdog};
use stageline::{
    Builder, Flush, Order, Outcome, Pipeline, Pool, Request, RequestGroup, Retry, Step, limits,
    state_machine,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What becomes of a load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Plan {
    /// Held by one stage until it is old, and then by the next, until there are two.
    #[default]
    Twice,
    /// Waits for one that leads.
    Wait,
    /// Leads what is held, and fails twice.
    Lead,
    /// From a pool to the workers and back, for ever.
    Bounce,
    /// Held for no time.
    Zero,
}

#[derive(Clone, Debug, Default)]
struct Load {
    plan: Plan,
    seen: Vec<(&'static str, Option<Flush>)>,
    led: usize,
    at: Vec<Option<Instant>>,
}

fn load(plan: Plan) -> Load {
    Load { plan, ..Load::default() }
}

/// An error, of which it is known how many there are.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Depot(Arc<AtomicUsize>);

#[state_machine(data = Load, error = Counted, keeps)]
impl Depot {
    #[stage]
    fn collect(&mut self, load: &mut Request<'_, Self>) -> Step {
        let flush = load.flush();
        load.seen.push(("collect", flush));
        load.at.push(Some(Instant::now()));
        match load.plan {
            Plan::Twice if flush.is_none() => load.hold(Duration::from_millis(1)),
            Plan::Twice => load.next(Self::GATHER),
            Plan::Wait => load.hold(LONG * 100),
            Plan::Lead => {
                if load.attempt() == 1 {
                    assert_eq!(load.lead(), 1);
                }
                if load.attempt() == 3 {
                    return load.done();
                }
                load.retry(Counted::new(&self.0))
            }
            Plan::Zero if flush.is_none() => load.hold(Duration::ZERO),
            Plan::Zero => load.done(),
            // It is to end before.
            Plan::Bounce if load.seen.len() == 1000 => load.done(),
            Plan::Bounce => load.next(Self::HAUL),
        }
    }

    #[stage]
    fn gather(&mut self, load: &mut Request<'_, Self>) -> Step {
        let flush = load.flush();
        load.seen.push(("gather", flush));
        if flush.is_none() && load.held() == 0 {
            return load.hold(LONG * 100);
        }
        load.led = load.lead();
        load.done()
    }

    #[stage(pool = "trucks")]
    fn haul(&mut self, load: &mut Request<'_, Self>) -> Step {
        load.next(Self::COLLECT)
    }
}

type Set = fn(Builder<Depot>) -> Builder<Depot>;

fn depot(pause: Duration, set: Set) -> (Pipeline<Depot>, Arc<AtomicUsize>) {
    let count = Arc::<AtomicUsize>::default();
    let machine = {
        let count = Arc::clone(&count);
        move || Depot(Arc::clone(&count))
    };
    let policy = Retry::attempts(3).first(pause).factor(1.0).cap(pause).jitter(0.0);
    let builder = Pipeline::builder(machine).workers(1).groups(2).window(4).retry(policy);
    (set(builder.pool(Pool::threads("trucks", 1))).build().unwrap(), count)
}

fn enter(pipeline: &Pipeline<Depot>, group: &mut RequestGroup<Depot>, plan: Plan) {
    let before = pipeline.stats().stages[0].entered;
    assert!(group.submit(load(plan)).is_ok());
    eventually("it has come", || pipeline.stats().stages[0].entered > before);
}

/// A stage that is called with a request that another one has held, and has let go as it was old, is called with a
/// new one. (It was told that it had held it, and could lead nothing.)
#[test]
fn a_flush_is_that_of_its_stage() {
    let _dog = watchdog(60);
    let (pipeline, _) = depot(Duration::ZERO, |builder| builder);
    let mut group = pipeline.open(Order::Submission).unwrap();
    for entered in 1..=2 {
        group.submit(load(Plan::Twice)).unwrap();
        eventually("it is in the second stage", || pipeline.stats().stages[1].entered == entered);
    }
    let seen = [("collect", None), ("collect", Some(Flush::Age)), ("gather", None)];
    for led in [0, 1] {
        let output = group.recv().unwrap();
        assert!(output.is_done());
        assert_eq!((&output.seen[..], output.led), (&seen[..], led));
    }
}

/// It waited until the leader of others was due.
#[test]
fn an_abort_waits_for_no_retry_of_a_leader() {
    let _dog = watchdog(60);
    let (pipeline, _) = depot(LONG * 100, |builder| builder);
    let mut group = pipeline.open(Order::Completion).unwrap();
    enter(&pipeline, &mut group, Plan::Wait);
    enter(&pipeline, &mut group, Plan::Lead);
    assert_eq!(pipeline.abort().cancelled, 2);
}

/// Neither the end of its group nor its deadline stops a leader. So they do not take the pauses from it, either.
#[test]
fn a_leader_keeps_its_pauses() {
    let _dog = watchdog(60);
    let pause = Duration::from_millis(100);
    let (pipeline, count) = depot(pause, |builder| builder);
    let mut group = pipeline.open(Order::Submission).unwrap();
    enter(&pipeline, &mut group, Plan::Wait);
    enter(&pipeline, &mut group, Plan::Lead);
    group.cancel();
    assert!(group.recv().unwrap().is_done());
    let output = group.recv().unwrap();
    let at: Vec<Instant> = output.at.iter().map(|at| at.unwrap()).collect();
    assert!(at.len() == 3 && at[2] - at[1] >= pause && at[1] - at[0] >= pause, "{at:?}");
    drop(output);
    // The follower has no share in what the leader did not end by.
    assert_eq!(count.load(Ordering::Relaxed), 0, "errors of earlier attempts");
}

/// The visits of a request count on where it is kept: in a pool's queue, say.
#[test]
fn a_way_through_a_pool_has_an_end() {
    let _dog = watchdog(60);
    for is_acyclic in [false, true] {
        let (pipeline, _) =
            depot(Duration::ZERO, if is_acyclic { Builder::dag } else { |all| all.visits_max(6) });
        let mut group = pipeline.open(Order::Submission).unwrap();
        group.submit(load(Plan::Bounce)).unwrap();
        let output = group.recv().unwrap();
        assert!(matches!(output.outcome(), Outcome::Cyclic(_)), "acyclic: {is_acyclic}");
        assert_eq!(output.seen.len(), if is_acyclic { 2 } else { 3 });
    }
}

/// No time is none, and not the time by default.
#[test]
fn to_hold_for_no_time_is_to_hold_for_none() {
    let _dog = watchdog(60);
    let (pipeline, _) = depot(Duration::ZERO, |builder| builder);
    let mut group = pipeline.open(Order::Submission).unwrap();
    let held = (0..20).map(|_| {
        group.submit(load(Plan::Zero)).unwrap();
        let output = group.recv().unwrap();
        output.at[1].unwrap() - output.at[0].unwrap()
    });
    let least = held.min().unwrap();
    assert!(least < limits::HOLD_DEFAULT, "{least:?}");
}
