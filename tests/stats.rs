//! What is counted: the ledger by outcome, for each group and in total; times; stalls.

mod common;

use common::{
    Act, Gate, LONG, ORDERS, assert_balanced, assert_quiet, eventually, finish, job, lab,
};
use common::{lab_with, pass, watchdog};
use stageline::{Ledger, Order, Pipeline, RequestGroup};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

/// Submits so many of each kind and receives all of them.
fn run(group: &mut RequestGroup<common::Lab>, counts: [u64; 7]) {
    let acts = [Act::Pass, Act::Fail, Act::Drop, Act::Panic, Act::Loop];
    for (act, count) in acts.into_iter().zip(counts) {
        for _ in 0..count {
            group.submit(job(act, 1)).unwrap();
            drop(group.recv().unwrap());
        }
    }
    group.set_deadline(Some(Instant::now()));
    for _ in 0..counts[5] {
        group.submit(pass(1)).unwrap();
        drop(group.recv().unwrap());
    }
}

fn ledger(counts: [u64; 7]) -> Ledger {
    let [done, failed, dropped, panicked, cyclic, expired, cancelled] = counts;
    let sum = counts.iter().sum();
    Ledger {
        submitted: sum,
        received: sum,
        done,
        failed,
        dropped,
        panicked,
        cyclic,
        expired,
        cancelled,
    }
}

#[test]
fn every_outcome_has_its_count_in_its_group_and_in_the_total() {
    let _dog = watchdog(60);
    for (order, workers) in ORDERS.into_iter().flat_map(|order| [(order, 1), (order, 3)]) {
        let pipeline = lab().workers(workers).reserve(0).build().unwrap();
        let mut first = pipeline.open(order).unwrap();
        let mut second = pipeline.open(order).unwrap();
        run(&mut first, [5, 4, 3, 2, 1, 6, 0]);
        run(&mut second, [1, 2, 3, 4, 5, 1, 0]);
        assert_eq!(first.stats().ledger, ledger([5, 4, 3, 2, 1, 6, 0]));
        assert_eq!(pipeline.group_stats(1).unwrap().ledger, ledger([1, 2, 3, 4, 5, 1, 0]));
        assert_eq!(pipeline.group_stats(1).unwrap().group, 1);
        assert!(pipeline.group_stats(2).is_none());
        assert_eq!(pipeline.ledger(), ledger([6, 6, 6, 6, 6, 7, 0]));
        assert_eq!(pipeline.stats().ledger, pipeline.ledger());
        let entered: Vec<_> = pipeline.stats().stages.iter().map(|stage| stage.entered).collect();
        // The cyclic ones run through three times; the expired ones through nothing.
        assert_eq!(entered, [30 + 2 * 6, 30 + 2 * 6]);
        for group in [&first, &second] {
            assert_quiet(&group.stats());
        }
        drop((first, second));
        assert_eq!(finish(pipeline), ledger([6, 6, 6, 6, 6, 7, 0]));
    }
}

#[test]
fn what_is_in_flight_is_neither_ended_nor_received() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let gate = Gate::closed();
        let pipeline = lab_with(&gate).build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        group.submit(pass(0)).unwrap();
        eventually("the first has ended", || group.stats().ledger.done == 1);
        group.submit(job(Act::Wait, 0)).unwrap();
        group.submit(pass(0)).unwrap();
        gate.wait_for(1);
        let counted = group.stats().ledger;
        assert_eq!((counted.submitted, counted.ended(), counted.in_flight()), (3, 1, 2));
        assert_eq!((counted.received, group.in_flight()), (0, 3));
        let stats = pipeline.stats();
        assert_eq!(stats.workers.len(), 1);
        let worker = &stats.workers[0];
        assert_eq!((worker.stage.as_deref(), worker.group), (Some("end"), Some(0)));
        assert!(worker.running >= 1 && !worker.parked);
        assert_eq!((stats.stages[0].running, stats.stages[1].running), (0, 1));
        gate.open();
        for _ in 0..3 {
            drop(group.recv().unwrap());
        }
        eventually("the worker leaves the stage", || pipeline.stats().workers[0].stage.is_none());
        eventually("and sleeps", || pipeline.stats().workers[0].parked);
        assert_quiet(&group.stats());
    }
}

#[test]
fn times_are_taken_of_the_sample() {
    let _dog = watchdog(60);
    for (order, every) in ORDERS.into_iter().flat_map(|order| [(order, 1), (order, 4)]) {
        let pipeline = lab().sample_every(every).build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        for value in 0..64 {
            group.submit(pass(value)).unwrap();
            drop(group.recv().unwrap());
        }
        let stats = group.stats();
        let total = pipeline.stats();
        for times in [&stats.queue, &stats.run, &total.queue, &total.run] {
            assert_eq!(times.count(), 64 / every);
            let (min, max) = (times.min().unwrap(), times.max().unwrap());
            let quantiles = [0.0, 0.5, 0.9, 1.0].map(|q| times.quantile(q).unwrap());
            assert!(quantiles.is_sorted() && min <= quantiles[0] && quantiles[3] == max);
            assert!(min <= times.mean().unwrap() && times.mean().unwrap() <= max);
            assert!(max < LONG);
        }
        for stage in &total.stages {
            assert_eq!(stage.run.count(), 64 / every, "{}", stage.name);
        }
    }
}

#[test]
fn a_slow_stage_shows_in_its_times() {
    let _dog = watchdog(60);
    let gate = Gate::closed();
    let pipeline = lab_with(&gate).sample_every(1).build().unwrap();
    let mut group = pipeline.open(Order::Submission).unwrap();
    group.submit(job(Act::Wait, 0)).unwrap();
    group.submit(pass(0)).unwrap();
    gate.wait_for(1);
    let other = pipeline.open(Order::Submission).unwrap();
    assert!((1..=2).contains(&group.stats().running) && other.stats().running == 0);
    assert_eq!(pipeline.stats().running, group.stats().running);
    std::thread::sleep(Duration::from_millis(20));
    gate.open();
    drop(group.recv().unwrap());
    drop(group.recv().unwrap());
    let stats = group.stats();
    let slow = Duration::from_millis(20);
    assert!(stats.run.max().unwrap() >= slow && stats.queue.max().unwrap() >= slow);
    assert!(stats.run.min().unwrap() < slow, "the second request did not wait in a stage");
    assert_eq!((group.stats().running, pipeline.stats().running), (0, 0));
    let stages = pipeline.stats().stages;
    assert!(stages[1].run.max().unwrap() >= slow && stages[0].run.max().unwrap() < slow);
}

/// Keeps the events of one pipeline as text.
#[derive(Clone)]
struct Listener(&'static str, Arc<Mutex<Vec<String>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0 += &format!("{}={value:?} ", field.name());
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("stageline")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(format!("{} ", event.metadata().level()));
        event.record(&mut text);
        if text.0.contains(self.0) {
            self.1.lock().unwrap().push(text.0);
        }
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The watch is a thread of the pipeline's own, so the listener is that of the whole process.
#[test]
fn the_stall_watch_tells_once_of_results_that_nobody_receives() {
    let _dog = watchdog(60);
    let events = Arc::new(Mutex::new(Vec::new()));
    let listener = Listener("stall-test", Arc::clone(&events));
    tracing::subscriber::set_global_default(listener).expect("the only one here");
    let heard = || events.lock().unwrap().clone();
    let builder = lab().name("stall-test").stall_after(Duration::from_millis(40));
    let pipeline = builder.build().unwrap();
    let mut idle = pipeline.open(Order::Submission).unwrap();
    let mut stalled = pipeline.open(Order::Completion).unwrap();
    idle.submit(pass(1)).unwrap();
    drop(idle.recv().unwrap());
    for round in 1..=2 {
        for value in 0..3 {
            stalled.submit(pass(value)).unwrap();
        }
        eventually("it is found", || stalled.stats().stalled);
        assert_eq!(stalled.stats().stalls, round);
        assert_eq!(pipeline.stats().stalls, round);
        std::thread::sleep(Duration::from_millis(120));
        assert_eq!(stalled.stats().stalls, round, "told once");
        for _ in 0..3 {
            drop(stalled.recv().unwrap());
        }
        eventually("it is over", || !stalled.stats().stalled);
    }
    assert_eq!(idle.stats().stalls, 0);
    let heard = heard();
    assert_eq!(heard.len(), 2, "{heard:?}");
    for event in heard {
        assert!(event.starts_with("WARN "), "{event}");
        for part in ["group=1", "waiting=3", "results of a group are not received"] {
            assert!(event.contains(part), "{event}");
        }
    }
    drop((idle, stalled));
    finish(pipeline);
}

#[test]
fn without_a_watch_nothing_is_found() {
    let _dog = watchdog(60);
    let pipeline = lab().build().unwrap();
    let mut group = pipeline.open(Order::Submission).unwrap();
    group.submit(pass(1)).unwrap();
    eventually("it has ended", || group.stats().ledger.done == 1);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!((group.stats().stalls, pipeline.stats().stalls), (0, 0));
}

/// Read while everything moves, the counts never contradict each other by more than they may.
#[test]
fn statistics_can_be_read_at_any_time() {
    let _dog = watchdog(60);
    let pipeline: Pipeline<_> = lab().workers(2).reserve(0).window(64).build().unwrap();
    let (mut submitter, mut receiver) = pipeline.open(Order::Completion).unwrap().split();
    const COUNT: u64 = 20_000;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            (0..COUNT).for_each(|value| assert!(submitter.submit(pass(value)).is_ok()));
        });
        let receiving = scope.spawn(move || {
            (0..COUNT).for_each(|_| drop(receiver.recv_timeout(LONG).unwrap()));
            receiver
        });
        let mut before = Ledger::default();
        while !receiving.is_finished() {
            let now = pipeline.ledger();
            assert!(now.submitted <= COUNT + 64 && now.done <= COUNT, "{now}");
            assert!(now.received >= before.received && now.done >= before.done);
            before = now;
        }
        assert_balanced(&receiving.join().unwrap().stats().ledger);
    });
    assert_eq!(finish(pipeline).done, COUNT);
}
