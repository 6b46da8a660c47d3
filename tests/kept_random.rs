//! Random requests that are retried, held, suspended, sent through pools, and that panic, over random pipelines with
//! groups that are cancelled, dropped, and cut off by each end of a pipeline: nothing is lost, doubled, or handed to
//! another group, no payload or error is left alive, and everything comes to an end.

mod common;

use common::{ORDERS, assert_balanced, watchdog_over};
use proptest::prelude::*;
use proptest::test_runner::Config;
use stageline::{
    Ledger, Order, Outcome, Pipeline, Pool, Request, RequestGroup, Retry, Step, Ticket,
    state_machine,
};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How many payloads and errors there are.
#[derive(Clone, Default)]
struct Alive(Arc<AtomicI64>);

/// One of them.
struct One(Alive);

impl One {
    fn new(alive: &Alive) -> Self {
        alive.0.fetch_add(1, SeqCst);
        Self(alive.clone())
    }
}

impl Clone for One {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, SeqCst);
    }
}

/// What a request does at its next stages, one act each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Go,
    Hop,
    /// Asks for a retry that often.
    Retry(u32),
    Hold,
    /// As `Hold`, and those that it leads go on by themselves: in the pool, or not.
    Part(bool),
    Suspend,
    ResumeAtOnce,
    Abandon,
    Loose,
    Fail,
    Drop,
    Panic,
}

struct Work {
    group: usize,
    number: u64,
    acts: Vec<Act>,
    at: usize,
    _one: One,
}

struct Mill {
    tickets: Sender<Ticket<Self>>,
    alive: Alive,
    batch: usize,
}

impl Mill {
    fn turn(&mut self, work: &mut Request<'_, Self>) -> Step {
        let Some(act) = work.acts.get(work.at).copied() else { return work.done() };
        if work.flush().is_some() {
            work.at += 1;
            work.lead();
            return work.next(Self::HERE);
        }
        let (tickets, alive) = (&self.tickets, &self.alive);
        if let Act::Retry(times) = act
            && work.attempt() <= times
        {
            return work.retry(One::new(alive));
        }
        if matches!(act, Act::Hold | Act::Part(_)) && work.held() + 1 < self.batch {
            return work.hold(Duration::from_micros(300));
        }
        work.at += 1;
        match act {
            Act::Go | Act::Retry(_) => work.next(Self::HERE),
            Act::Hop => work.next(Self::THERE),
            Act::Hold => {
                work.lead();
                work.next(Self::HERE)
            }
            Act::Part(there) => {
                let led = work.lead();
                let to = if there { Self::THERE } else { Self::HERE };
                let parted = work.part(to, |one| one.number % 3 > 0);
                assert!(parted <= led || work.attempt() > 1, "{parted} of {led}");
                assert_eq!(work.part(to, |one| one.number % 3 > 0), 0);
                work.next(Self::HERE)
            }
            Act::Suspend => work.suspend(|ticket| drop(tickets.send(ticket))),
            Act::ResumeAtOnce => work.suspend(|ticket| ticket.resume(Self::THERE)),
            Act::Abandon => work.suspend(drop),
            Act::Loose => {
                let _ = work.suspend(|ticket| drop(tickets.send(ticket)));
                work.next(Self::HERE)
            }
            Act::Fail => {
                let error = One::new(alive);
                work.fail(error)
            }
            Act::Drop => work.drop(),
            Act::Panic => panic!("as asked"),
        }
    }
}

#[state_machine(data = Work, error = One, keeps)]
impl Mill {
    #[stage]
    fn here(&mut self, work: &mut Request<'_, Self>) -> Step {
        self.turn(work)
    }

    #[stage(pool = "there")]
    fn there(&mut self, work: &mut Request<'_, Self>) -> Step {
        self.turn(work)
    }
}

/// A group's order and the acts of each request; when it is cancelled, and whether it is dropped then.
type GroupPlan = (Order, Vec<Vec<Act>>, Option<usize>, bool);

#[derive(Clone, Debug)]
struct Plan {
    workers: usize,
    pool_threads: usize,
    window: usize,
    batch: usize,
    groups: Vec<GroupPlan>,
    /// 0 to close, 1 to drop, 2 to abort, 3 to give up a close, when so many requests are submitted in all.
    end: (u8, usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => Just(Act::Go),
        3 => Just(Act::Hop),
        2 => (1..5_u32).prop_map(Act::Retry),
        4 => Just(Act::Hold),
        2 => any::<bool>().prop_map(Act::Part),
        2 => Just(Act::Suspend),
        1 => Just(Act::ResumeAtOnce),
        1 => Just(Act::Abandon),
        1 => Just(Act::Loose),
        1 => Just(Act::Fail),
        1 => Just(Act::Drop),
        1 => Just(Act::Panic),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let acts = prop::collection::vec(act(), 0..5);
    let order = prop::sample::select(&ORDERS[..]);
    let cancel = prop::option::weighted(0.3, 0..40_usize);
    let group = (order, prop::collection::vec(acts, 0..40), cancel, any::<bool>());
    (
        1..3_usize,
        1..3_usize,
        1..4_u32,
        1..6_usize,
        prop::collection::vec(group, 1..3),
        (0..4_u8, 0..90_usize),
    )
        .prop_map(|(workers, pool_threads, window, batch, groups, end)| Plan {
            workers,
            pool_threads,
            window: 1 << window,
            batch,
            groups,
            end,
        })
}

/// Submits and receives until everything is back, or the pipeline is closed. What came back.
fn stream(
    mut group: RequestGroup<Mill>,
    (index, plan): (usize, GroupPlan),
    alive: Alive,
    submitted: Arc<AtomicI64>,
) -> Result<usize, String> {
    let (order, requests, cancel, is_dropped) = plan;
    let (mut sent, mut open) = (0, true);
    let mut seen = BTreeSet::new();
    loop {
        while open && sent < requests.len() {
            if cancel == Some(sent) {
                group.cancel();
                if is_dropped {
                    return Ok(seen.len());
                }
            }
            let acts = requests[sent].clone();
            let work =
                Work { group: index, number: sent as u64, acts, at: 0, _one: One::new(&alive) };
            match group.try_submit(work) {
                Ok(_) => sent += 1,
                Err(stageline::TrySubmitError::Full(_)) => break,
                Err(_) => open = false,
            }
            submitted.fetch_add(1, SeqCst);
        }
        let Ok(output) = group.recv() else { break };
        let number = output.number;
        if output.group != index || !seen.insert(number) {
            return Err(format!("{number} of group {} came to group {index}", output.group));
        }
        if order == Order::Submission && number != seen.len() as u64 - 1 {
            return Err(format!("{number} came as {}", seen.len() - 1));
        }
        if let Outcome::Cyclic(way) = output.outcome() {
            return Err(format!("{way}"));
        }
    }
    if seen.len() == sent { Ok(sent) } else { Err(format!("{} of {sent} came back", seen.len())) }
}

fn run(plan: &Plan) -> Result<(), String> {
    let alive = Alive::default();
    let (tickets, given) = channel::<Ticket<Mill>>();
    let clerk = thread::spawn(move || {
        for (at, ticket) in given.into_iter().enumerate() {
            match at % 4 {
                0 => ticket.resume(Mill::HERE),
                1 => ticket.resume_with(Mill::THERE, |work| work.acts.push(Act::Go)),
                2 => ticket.resume(Mill::THERE),
                _ => drop(ticket),
            }
        }
    });
    let (payloads, errors, batch) = (alive.clone(), alive.clone(), plan.batch);
    let tickets = Mutex::new(tickets);
    let machine =
        move || Mill { tickets: tickets.lock().unwrap().clone(), alive: errors.clone(), batch };
    let payload =
        move || Work { group: 0, number: 0, acts: vec![], at: 0, _one: One::new(&payloads) };
    let pipeline = Pipeline::builder_with(machine, payload)
        .workers(plan.workers)
        .groups(plan.groups.len())
        .window(plan.window)
        .retry(Retry::attempts(4).first(Duration::from_micros(30)))
        .pool(Pool::threads("there", plan.pool_threads))
        .build()
        .map_err(|error| error.to_string())?;
    let submitted = Arc::new(AtomicI64::new(0));
    let streams: Vec<_> = (plan.groups.iter().cloned().enumerate())
        .map(|(index, group)| {
            let opened = pipeline.open(group.0).unwrap();
            let (alive, submitted) = (alive.clone(), Arc::clone(&submitted));
            thread::spawn(move || stream(opened, (index, group), alive, submitted))
        })
        .collect();
    let all: usize = plan.groups.iter().map(|group| group.1.len()).sum();
    let (how, when) = (plan.end.0, plan.end.1.min(all));
    while how > 0
        && submitted.load(SeqCst) < when as i64
        && !streams.iter().all(|stream| stream.is_finished())
    {
        thread::yield_now();
    }
    let ledger: Option<Ledger> = match how {
        1 => {
            drop(pipeline);
            None
        }
        2 => Some(pipeline.abort()),
        3 => pipeline.close_timeout(Duration::from_micros(500)).ok(),
        _ => Some(pipeline.close()),
    };
    for stream in streams {
        stream.join().map_err(|_| String::from("a stream panicked"))??;
    }
    if how == 0 {
        assert_balanced(&ledger.expect("closed"));
    }
    // The machines' ends of the channel go with the threads, which a close that gave up leaves to end.
    clerk.join().map_err(|_| String::from("the clerk panicked"))?;
    let start = std::time::Instant::now();
    while alive.0.load(SeqCst) != 0 {
        if start.elapsed() > common::LONG {
            return Err(format!("{} values are left alive", alive.0.load(SeqCst)));
        }
        thread::yield_now();
    }
    Ok(())
}

#[test]
fn whatever_is_kept_comes_back_once() {
    std::panic::set_hook(Box::new(|_| {}));
    let config = Config { cases: 150, failure_persistence: None, ..Config::default() };
    let current = Arc::new(Mutex::new(String::new()));
    let shown = Arc::clone(&current);
    let _dog = watchdog_over(240, move || shown.lock().unwrap().clone());
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let result = runner.run(&plan(), |plan| {
        *current.lock().unwrap() = format!("{plan:?}");
        run(&plan).map_err(TestCaseError::fail)
    });
    let _ = std::panic::take_hook();
    if let Err(error) = result {
        panic!("{error}");
    }
}
