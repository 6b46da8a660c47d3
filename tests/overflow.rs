//! What a submission does when the window is full: each policy, by one producer and by several, in both
//! orders; and what the latest-wins policy ends is received like everything else, once.

mod common;
#[path = "overflow/flood.rs"]
mod flood;
#[path = "overflow/kept.rs"]
mod kept;

use common::{
    Act, Gate, Job, LONG, Lab, ORDERS, assert_balanced, assert_quiet, ending, eventually, finish,
    job, lab_with, pass, watchdog,
};
use stageline::{
    GroupOptions, OpenError, Order, Output, Overflow, Pipeline, Receiver, Request, Step,
    SubmitError, SubmitTimeoutError, Submitter, TrySubmitError, state_machine,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Long enough that a submission which waits for it is told from one that does not.
const SHORT: Duration = Duration::from_millis(20);

const POLICIES: [Overflow; 5] = [
    Overflow::Block,
    Overflow::BlockFor(SHORT),
    Overflow::Reject,
    Overflow::DropNewest,
    Overflow::DropOldest,
];

fn options(order: Order, overflow: Overflow) -> GroupOptions {
    GroupOptions::new(order).overflow(overflow)
}

/// A pipeline whose workers are held at the gate by the first requests, and a group that is full: of
/// requests that are held, and of those with the numbers up to 7.
struct Full {
    gate: Arc<Gate>,
    pipeline: Pipeline<Lab>,
    submitter: Submitter<Lab>,
    receiver: Receiver<Lab>,
}

impl Full {
    fn new(order: Order, overflow: Overflow, workers: usize) -> Self {
        let gate = Gate::closed();
        let builder = lab_with(&gate).workers(workers).drop_oldest(true);
        let pipeline = builder.build().unwrap();
        let (mut submitter, receiver) = pipeline.open(options(order, overflow)).unwrap().split();
        for number in 0..8 {
            let is_held = number < workers as u64;
            let act = if is_held { Act::Wait } else { Act::Pass };
            submitter.try_submit(job(act, number)).unwrap();
            // One by one, so that no worker has claimed a second one.
            gate.wait_for(workers.min(number as usize + 1));
        }
        Self { gate, pipeline, submitter, receiver }
    }

    /// Lets everything run to its end; what was received.
    fn drain(self) -> Vec<(u64, String, u64)> {
        let Self { gate, pipeline, submitter, mut receiver } = self;
        gate.open();
        drop(submitter);
        let mut received = Vec::new();
        while let Ok(output) = receiver.recv() {
            received.push(seen(&output));
        }
        assert_quiet(&receiver.stats());
        drop(receiver);
        finish(pipeline);
        received
    }
}

fn seen(output: &Output<'_, Lab>) -> (u64, String, u64) {
    (output.position(), ending(output), output.value)
}

fn done(position: u64) -> (u64, String, u64) {
    (position, "done".to_owned(), position + 1)
}

/// Its value is as it was submitted: no stage has seen it.
fn dropped(position: u64) -> (u64, String, u64) {
    (position, "dropped".to_owned(), position)
}

#[test]
fn without_a_policy_it_blocks() {
    assert_eq!(Overflow::default(), Overflow::Block);
}

#[test]
fn a_try_never_waits() {
    let _dog = watchdog(60);
    for (order, overflow) in ORDERS.into_iter().flat_map(|order| POLICIES.map(|to| (order, to))) {
        let mut full = Full::new(order, overflow, 1);
        let answer = full.submitter.try_submit(pass(8));
        let with = full.submitter.try_submit_with(|_| panic!("there is no slot"));
        match overflow {
            Overflow::DropNewest => {
                assert_eq!(answer, Err(TrySubmitError::Dropped(pass(8))));
                assert!(matches!(with, Err(TrySubmitError::Dropped(_))), "{overflow:?}");
            }
            _ => {
                assert_eq!(answer, Err(TrySubmitError::Full(pass(8))), "{overflow:?}");
                assert!(matches!(with, Err(TrySubmitError::Full(_))), "{overflow:?}");
            }
        }
        let stats = full.receiver.stats();
        assert_eq!(stats.dropped_newest, if overflow == Overflow::DropNewest { 2 } else { 0 });
        assert_eq!(stats.dropped_oldest, u64::from(overflow == Overflow::DropOldest));
        assert_eq!((stats.ledger.submitted, stats.ledger.dropped), (8, stats.dropped_oldest));
        assert_eq!(full.drain().len(), 8, "{overflow:?}");
    }
}

#[test]
fn a_batch_takes_what_there_is_room_for() {
    let _dog = watchdog(60);
    for overflow in POLICIES {
        let mut full = Full::new(Order::Submission, overflow, 1);
        let mut values = [8, 9].map(pass).into_iter();
        assert_eq!(full.submitter.submit_batch(&mut values), 0, "{overflow:?}");
        assert_eq!(values.len(), 2, "{overflow:?}: values were taken");
        let stats = full.receiver.stats();
        assert_eq!((stats.dropped_newest, stats.dropped_oldest), (0, 0), "{overflow:?}");
        assert_eq!(full.drain(), Vec::from_iter((0..8).map(done)), "{overflow:?}");
    }
}

#[test]
fn a_submission_answers_by_the_policy() {
    let _dog = watchdog(60);
    for order in ORDERS {
        for overflow in [Overflow::Reject, Overflow::BlockFor(SHORT), Overflow::DropNewest] {
            let mut full = Full::new(order, overflow, 1);
            let start = Instant::now();
            let answer = full.submitter.submit(pass(8));
            let waited = start.elapsed();
            let with = full.submitter.submit_with(|_| panic!("there is no slot"));
            if overflow == Overflow::DropNewest {
                assert_eq!(answer, Err(SubmitError::Dropped(pass(8))));
                assert!(matches!(with, Err(SubmitError::Dropped(_))));
                assert_eq!(full.receiver.stats().dropped_newest, 2);
            } else {
                assert_eq!(answer, Err(SubmitError::Full(pass(8))), "{overflow:?}");
                assert!(matches!(with, Err(SubmitError::Full(_))), "{overflow:?}");
                assert_eq!(full.receiver.stats().dropped_newest, 0);
                assert!(waited >= SHORT || overflow == Overflow::Reject, "{waited:?}");
            }
            assert_eq!(full.receiver.stats().ledger.submitted, 8);
            assert_eq!(full.drain(), Vec::from_iter((0..8).map(done)));
        }
    }
}

/// A policy of waiting, for ever or for long: the slot that the receiver gives back is had.
#[test]
fn a_submission_that_waits_gets_the_slot() {
    let _dog = watchdog(60);
    for order in ORDERS {
        for overflow in
            [Overflow::Block, Overflow::BlockFor(LONG), Overflow::BlockFor(Duration::MAX)]
        {
            let mut full = Full::new(order, overflow, 1);
            thread::scope(|scope| {
                let waiting = scope.spawn(|| full.submitter.submit(pass(8)));
                thread::sleep(SHORT);
                assert!(!waiting.is_finished(), "the window is full");
                full.gate.open();
                drop(full.receiver.recv().unwrap());
                assert_eq!(waiting.join().unwrap(), Ok(8), "{overflow:?}");
            });
            assert_eq!(full.drain(), Vec::from_iter((1..9).map(done)), "{overflow:?}");
        }
    }
}

#[test]
fn an_explicit_time_is_waited_for() {
    let _dog = watchdog(60);
    for overflow in POLICIES {
        let mut full = Full::new(Order::Completion, overflow, 1);
        let start = Instant::now();
        let answer = full.submitter.submit_timeout(pass(8), SHORT);
        assert_eq!(answer, Err(SubmitTimeoutError::Timeout(pass(8))), "{overflow:?}");
        assert!(start.elapsed() >= SHORT, "{overflow:?}");
        let stats = full.receiver.stats();
        assert_eq!(stats.dropped_newest, 0, "{overflow:?}");
        assert_eq!(stats.dropped_oldest, u64::from(overflow == Overflow::DropOldest));
        drop(full.drain());
    }
}

#[test]
fn the_oldest_unclaimed_makes_room() {
    let _dog = watchdog(60);
    for workers in [1, 2] {
        let oldest = workers as u64;
        let mut full = Full::new(Order::Completion, Overflow::DropOldest, workers);
        // The receiver has not given the slot back; and no further one is dropped for the same position.
        for _ in 0..3 {
            assert_eq!(full.submitter.try_submit(pass(8)), Err(TrySubmitError::Full(pass(8))));
            assert_eq!(full.receiver.stats().dropped_oldest, 1);
        }
        let output = full.receiver.try_recv().expect("it has been dropped");
        assert_eq!(seen(&output), dropped(oldest));
        drop(output);
        assert_eq!(full.submitter.try_submit(pass(8)), Ok(8));
        assert_eq!(full.submitter.try_submit(pass(9)), Err(TrySubmitError::Full(pass(9))));
        assert_eq!(full.receiver.stats().dropped_oldest, 2, "the next one");
        assert_eq!(full.receiver.stats().ledger.dropped, 2);
        let mut received = full.drain();
        received.sort();
        let rest = (0..9).filter(|position| *position != oldest);
        let ended = |at| if at == oldest + 1 { dropped(at) } else { done(at) };
        assert_eq!(received, Vec::from_iter(rest.map(ended)), "{workers} workers");
    }
}

/// In the order of submission a dropped request keeps its place.
#[test]
fn a_dropped_request_comes_in_its_place() {
    let _dog = watchdog(60);
    for workers in [1, 2] {
        let oldest = workers as u64;
        let mut full = Full::new(Order::Submission, Overflow::DropOldest, workers);
        assert_eq!(full.submitter.try_submit(pass(8)), Err(TrySubmitError::Full(pass(8))));
        assert!(full.receiver.try_recv().is_err(), "those before it have not ended");
        assert_eq!(full.receiver.stats().ledger.dropped, 1);
        let ended = |at| if at == oldest { dropped(at) } else { done(at) };
        assert_eq!(full.drain(), Vec::from_iter((0..8).map(ended)), "{workers} workers");
    }
}

/// A submission that waits goes on when its room has been given back, with the workers still held.
#[test]
fn the_latest_value_wins() {
    let _dog = watchdog(60);
    let mut full = Full::new(Order::Completion, Overflow::DropOldest, 1);
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            (8..40).for_each(|number| {
                let position = match number % 2 {
                    0 => full.submitter.submit(pass(number)),
                    _ => full
                        .submitter
                        .submit_with(|slot| *slot = pass(number))
                        .map_err(|_| unreachable!()),
                };
                assert_eq!(position, Ok(number));
            });
        });
        for position in 1..33 {
            assert_eq!(seen(&full.receiver.recv().unwrap()), dropped(position));
        }
        sender.join().unwrap();
    });
    let mut received = full.drain();
    received.sort();
    let latest = std::iter::once(0).chain(33..40);
    assert_eq!(received, Vec::from_iter(latest.map(done)));
}

#[test]
fn what_workers_have_claimed_is_left_to_them() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let gate = Gate::closed();
        let pipeline = lab_with(&gate).workers(2).window(2).drop_oldest(true).build().unwrap();
        let group = pipeline.open(options(order, Overflow::DropOldest)).unwrap();
        let (mut submitter, mut receiver) = group.split();
        for number in 0..2 {
            submitter.try_submit(job(Act::Wait, number)).unwrap();
            gate.wait_for(number as usize + 1);
        }
        assert_eq!(submitter.try_submit(pass(2)), Err(TrySubmitError::Full(pass(2))));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| submitter.submit(pass(2)));
            thread::sleep(SHORT);
            assert!(!waiting.is_finished());
            gate.open();
            assert!(receiver.recv().unwrap().is_done());
            assert_eq!(waiting.join().unwrap(), Ok(2));
        });
        (0..2).for_each(|_| assert!(receiver.recv().unwrap().is_done()));
        assert_eq!(receiver.stats().dropped_oldest, 0);
        drop((submitter, receiver));
        finish(pipeline);
    }
}

#[test]
fn several_producers_drop_one_for_each_position() {
    let _dog = watchdog(60);
    let full = Full::new(Order::Completion, Overflow::DropOldest, 1);
    let Full { gate, pipeline, submitter, mut receiver } = full;
    let shared = submitter.share();
    thread::scope(|scope| {
        for _ in 0..3 {
            let mut producer = shared.clone();
            scope.spawn(move || {
                (0..100).for_each(|_| assert!(producer.try_submit(pass(9)).is_err()));
            });
        }
    });
    assert_eq!(receiver.stats().dropped_oldest, 1);
    // Three wait for room; each needs one more to be dropped, while the worker is held.
    thread::scope(|scope| {
        for _ in 0..3 {
            let mut producer = shared.clone();
            scope.spawn(move || producer.submit(pass(9)).unwrap());
        }
        for position in 1..4 {
            assert_eq!(seen(&receiver.recv().unwrap()), dropped(position));
        }
    });
    assert_eq!(receiver.stats().dropped_oldest, 3);
    gate.open();
    drop(shared);
    let mut rest = 0;
    while let Ok(output) = receiver.recv() {
        assert!(output.is_done());
        rest += 1;
    }
    assert_eq!(rest, 8);
    drop(receiver);
    finish(pipeline);
}

/// A request whose filler panicked was never a value: it ends as cancelled, here as with a worker.
#[test]
fn a_request_that_was_never_filled_ends_as_cancelled() {
    let _dog = watchdog(60);
    let gate = Gate::closed();
    let pipeline = lab_with(&gate).drop_oldest(true).build().unwrap();
    let group = pipeline.open(options(Order::Completion, Overflow::DropOldest)).unwrap();
    let (submitter, mut receiver) = group.split();
    let mut shared = submitter.share();
    shared.submit(job(Act::Wait, 0)).unwrap();
    gate.wait_for(1);
    let fill = |_: &mut Job| std::panic::resume_unwind(Box::new("no value"));
    let panicked = catch_unwind(AssertUnwindSafe(|| shared.try_submit_with(fill)));
    assert!(panicked.is_err());
    (2..8).for_each(|number| assert!(shared.try_submit(pass(number)).is_ok()));
    assert!(shared.try_submit(pass(8)).is_err());
    let output = receiver.try_recv().unwrap();
    assert_eq!((output.position(), ending(&output).as_str()), (1, "cancelled"));
    drop(output);
    let stats = receiver.stats();
    assert_eq!((stats.dropped_oldest, stats.ledger.cancelled, stats.ledger.dropped), (0, 1, 0));
    gate.open();
    drop((shared, receiver));
    assert_balanced(&pipeline.close());
}

/// Says whether its request had a deadline.
struct Clerk(Arc<Gate>);

#[state_machine(data = bool, error = String)]
impl Clerk {
    #[stage]
    fn only(&mut self, request: &mut Request<'_, Self>) -> Step {
        **request = request.deadline().is_some();
        self.0.pass();
        request.done()
    }
}

/// The deadline of a request that was dropped is not left to the one that has its slot next.
#[test]
fn a_deadline_goes_with_its_request() {
    let _dog = watchdog(60);
    let gate = Gate::closed();
    let machine = Arc::clone(&gate);
    let builder = Pipeline::builder(move || Clerk(Arc::clone(&machine)));
    let pipeline = builder.workers(1).window(2).drop_oldest(true).build().unwrap();
    let mut group = pipeline.open(options(Order::Completion, Overflow::DropOldest)).unwrap();
    group.try_submit(false).unwrap();
    gate.wait_for(1);
    group.set_deadline(Some(Instant::now() + Duration::from_secs(3_600)));
    group.try_submit(false).unwrap();
    group.set_deadline(None);
    assert!(group.try_submit(false).is_err());
    assert_eq!(group.recv().unwrap().outcome().to_string(), "dropped");
    group.try_submit(false).unwrap();
    gate.open();
    for _ in 0..2 {
        assert!(!*group.recv().unwrap(), "it has another's deadline");
    }
    drop(group);
    finish(pipeline);
}

#[test]
fn dropping_the_oldest_has_to_be_built() {
    let _dog = watchdog(60);
    let pipeline = lab_with(&Gate::closed()).groups(1).build().unwrap();
    for order in ORDERS {
        let refused = pipeline.open(options(order, Overflow::DropOldest)).unwrap_err();
        assert!(matches!(refused, OpenError::NotBuilt { .. }), "{refused:?}");
        let text = "`Overflow::DropOldest` needs a pipeline that was built with \
                    `Builder::drop_oldest(true)`";
        assert_eq!(refused.to_string(), text);
    }
    // The only group has not been lost.
    let _group = pipeline.open(options(Order::Submission, Overflow::DropNewest)).unwrap();
}

/// Opened again, a group has another policy, and counts from the start.
#[test]
fn a_policy_ends_with_its_opening() {
    let _dog = watchdog(60);
    let gate = Gate::closed();
    gate.open();
    let pipeline = lab_with(&gate).groups(1).window(2).drop_oldest(true).build().unwrap();
    for round in 0..20 {
        let (order, overflow) = (ORDERS[round % 2], POLICIES[round / 2 % 5]);
        let mut group = None;
        eventually("the group is free again", || {
            group = pipeline.open(options(order, overflow)).ok();
            group.is_some()
        });
        let mut group = group.unwrap();
        let stats = group.stats();
        assert_eq!((stats.dropped_newest, stats.dropped_oldest), (0, 0));
        assert_eq!(group.order(), order);
        // What stays in flight is left to the pipeline.
        (0..5).for_each(|number| {
            let _ = group.try_submit(pass(number));
        });
        let refused = group.stats().dropped_newest;
        assert!(refused == 0 || overflow == Overflow::DropNewest, "{overflow:?}: {refused}");
    }
    finish(pipeline);
}

#[test]
fn random_floods_lose_nothing() {
    let _dog = watchdog(120);
    flood::random();
}

#[test]
fn the_oldest_that_nobody_keeps_makes_room() {
    let _dog = watchdog(60);
    kept::the_oldest_that_nobody_has();
}

#[test]
fn a_window_of_requests_that_are_kept_is_full() {
    let _dog = watchdog(60);
    kept::a_window_in_other_hands_is_full();
}

#[test]
fn random_floods_of_requests_that_are_kept_lose_nothing() {
    let _dog = watchdog(120);
    kept::random();
}
