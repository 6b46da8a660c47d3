//! Retries: when and where a request goes on, what its receiver sees, and what it does not hold up.

mod common;

use common::{LONG, ORDERS, assert_balanced, ending, eventually, watchdog};
use stageline::{Order, Outcome, Pipeline, Request, Retry, StageId, Step, limits, state_machine};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often a request is to fail at each of two stages, and what happened to it.
#[derive(Clone, Debug, Default)]
struct Trip {
    first: u32,
    second: u32,
    seen: Vec<(&'static str, u32)>,
    at: Vec<Option<Instant>>,
}

fn trip(first: u32, second: u32) -> Trip {
    Trip { first, second, ..Trip::default() }
}

struct Courier;

#[state_machine(data = Trip, error = String, keeps)]
impl Courier {
    #[stage]
    fn load(&mut self, trip: &mut Request<'_, Self>) -> Step {
        let attempt = trip.attempt();
        trip.seen.push(("load", attempt));
        trip.at.push(Some(Instant::now()));
        if trip.first >= attempt {
            return trip.retry(format!("load {attempt}"));
        }
        trip.next(Self::DRIVE)
    }

    #[stage]
    fn drive(&mut self, trip: &mut Request<'_, Self>) -> Step {
        let attempt = trip.attempt();
        trip.seen.push(("drive", attempt));
        if trip.second > 0 {
            trip.second -= 1;
            return trip.retry(format!("drive {attempt}"));
        }
        trip.done()
    }
}

fn quick(attempts: u32) -> Retry<Courier> {
    Retry::attempts(attempts).first(Duration::from_micros(50)).jitter(0.0)
}

#[test]
fn a_request_comes_back_to_the_stage_that_asked() {
    let _dog = watchdog(60);
    for workers in [1, 2] {
        let builder = Pipeline::builder(|| Courier).workers(workers).retry(quick(4));
        let pipeline = builder.build().unwrap();
        for order in ORDERS {
            let mut group = pipeline.open(order).unwrap();
            group.submit(trip(2, 1)).unwrap();
            let output = group.recv().unwrap();
            assert!(output.is_done(), "{}", output.outcome());
            // The stage before it is not run again, and the attempts of each count for themselves.
            let seen = [("load", 1), ("load", 2), ("load", 3), ("drive", 3), ("drive", 2)];
            assert_eq!(output.seen, seen);
            assert_eq!(output.attempts(), 2);
        }
        assert_balanced(&pipeline.close());
    }
}

#[test]
fn when_the_attempts_are_spent_it_fails_with_its_last_error() {
    let _dog = watchdog(60);
    let builder = Pipeline::builder(|| Courier).workers(1).retry(quick(3));
    let pipeline = builder.retry_stage(Courier::DRIVE, quick(1)).build().unwrap();
    let mut group = pipeline.open(Order::Submission).unwrap();
    for (sent, error, attempts) in [(trip(9, 0), "load 3", 3), (trip(0, 1), "drive 1", 1)] {
        group.submit(sent).unwrap();
        let output = group.recv().unwrap();
        match output.outcome() {
            Outcome::Failed { error: told, status } => {
                assert_eq!((told.as_str(), status), (error, 100))
            }
            other => panic!("{other}"),
        }
        assert_eq!(output.attempts(), attempts);
    }
    // What one request has used up, the next one in its slot has again.
    for _ in 0..limits::WINDOW_DEFAULT {
        group.submit(trip(0, 0)).unwrap();
        let output = group.recv().unwrap();
        assert!(output.is_done() && output.attempts() == 1);
    }
    drop(group);
    let ledger = pipeline.close();
    assert_eq!((ledger.failed, ledger.done), (2, limits::WINDOW_DEFAULT as u64));
    assert_balanced(&ledger);
}

/// The status is that of the hook's failure, and not of the answer that asked for the retry.
#[test]
fn a_hook_may_fail_a_later_attempt() {
    let _dog = watchdog(60);
    let builder = Pipeline::builder(|| Courier).workers(1).retry(quick(3));
    let hooked = builder.before_stage(|_, trip| match trip.attempt() {
        1 => Ok(()),
        _ => Err(String::from("no second time")),
    });
    let pipeline = hooked.build().unwrap();
    let mut group = pipeline.open(Order::Submission).unwrap();
    group.submit(trip(1, 0)).unwrap();
    let output = group.recv().unwrap();
    assert_eq!(
        (ending(&output).as_str(), output.outcome().status()),
        ("failed: no second time", 200)
    );
}

#[test]
fn a_policy_may_name_another_stage() {
    let _dog = watchdog(60);
    let policy = quick(2).resume_at(Courier::LOAD);
    let builder = Pipeline::builder(|| Courier).workers(1).retry_stage(Courier::DRIVE, policy);
    let pipeline = builder.build().unwrap();
    let mut group = pipeline.open(Order::Submission).unwrap();
    group.submit(trip(0, 1)).unwrap();
    let output = group.recv().unwrap();
    assert_eq!(output.seen, [("load", 1), ("drive", 1), ("load", 2), ("drive", 2)]);
}

/// No request comes back before its time; the delays double up to the cap. (How late it may be is a figure,
/// which the machine decides: `perf/`.)
#[test]
fn no_retry_comes_early() {
    let _dog = watchdog(60);
    let policy = Retry::attempts(6)
        .first(Duration::from_millis(1))
        .cap(Duration::from_millis(5))
        .jitter(0.0);
    let pipeline = Pipeline::builder(|| Courier).workers(1).retry(policy).build().unwrap();
    let mut group = pipeline.open(Order::Completion).unwrap();
    group.submit(trip(5, 0)).unwrap();
    let output = group.recv().unwrap();
    assert!(output.is_done());
    let times: Vec<Instant> = output.at.iter().map(|at| at.unwrap()).collect();
    let gaps: Vec<u128> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_micros()).collect();
    assert_eq!(gaps.len(), 5);
    for (gap, least) in gaps.iter().zip([1_000, 2_000, 4_000, 5_000, 5_000]) {
        assert!(*gap >= least, "{gaps:?}");
    }
}

/// In the order of completion those that are not retried do not wait, with one worker and with two.
#[test]
fn a_retried_request_holds_up_no_other() {
    let _dog = watchdog(60);
    for workers in [1, 2] {
        let late = Retry::attempts(2).first(LONG).cap(LONG).jitter(0.0);
        let builder = Pipeline::builder(|| Courier).workers(workers).window(8).retry(late);
        let pipeline = builder.build().unwrap();
        let mut group = pipeline.open(Order::Completion).unwrap();
        let slow = group.submit(trip(1, 0)).unwrap();
        // More than the window: the slot of the slow one is the only one that is not used again.
        for _ in 0..50 {
            let quick = group.submit(trip(0, 0)).unwrap();
            assert_eq!(group.recv().unwrap().position(), quick);
        }
        assert_eq!(group.in_flight(), 1);
        // A group that is cancelled does not wait for its retries.
        group.cancel();
        let output = group.recv().unwrap();
        assert_eq!(output.position(), slow);
        assert!(matches!(output.outcome(), Outcome::Cancelled), "{}", output.outcome());
        drop(output);
        drop(group);
        assert_balanced(&pipeline.close());
    }
}

#[test]
fn a_deadline_ends_the_wait_for_a_retry() {
    let _dog = watchdog(60);
    let late = Retry::attempts(2).first(LONG).cap(LONG).jitter(0.0);
    let pipeline = Pipeline::builder(|| Courier).workers(1).retry(late).build().unwrap();
    let mut group = pipeline.open(Order::Submission).unwrap();
    group.submitter().set_deadline(Some(Instant::now() + Duration::from_millis(20)));
    group.submit(trip(1, 0)).unwrap();
    let output = group.recv().unwrap();
    assert!(matches!(output.outcome(), Outcome::Expired), "{}", output.outcome());
}

/// A worker that sleeps wakes for what is due, and the close waits for it.
#[test]
fn the_close_lets_retries_end() {
    let _dog = watchdog(60);
    let policy = Retry::attempts(3).first(Duration::from_millis(20)).jitter(0.0);
    let pipeline = Pipeline::builder(|| Courier).workers(1).retry(policy).build().unwrap();
    let mut group = pipeline.open(Order::Submission).unwrap();
    group.submit(trip(2, 0)).unwrap();
    eventually("the worker sleeps", || pipeline.stats().workers[0].parked);
    drop(group);
    let ledger = pipeline.close();
    assert_eq!(ledger.done, 1);
    assert_balanced(&ledger);
    for ends_by_abort in [false, true] {
        let late = Retry::attempts(2).first(Duration::from_millis(200)).jitter(0.0);
        let pipeline = Pipeline::builder(|| Courier).workers(2).retry(late).build().unwrap();
        let mut group = pipeline.open(Order::Completion).unwrap();
        (0..10).for_each(|_| assert!(group.submit(trip(1, 0)).is_ok()));
        eventually("all have failed once", || pipeline.stats().stages[0].entered == 10);
        let ended = if ends_by_abort {
            pipeline.abort().cancelled
        } else {
            drop(pipeline);
            10
        };
        assert_eq!(ended, 10);
        let mut back = 0;
        while let Ok(output) = group.recv() {
            back += 1;
            assert_eq!(output.is_done(), !ends_by_abort, "{}", output.outcome());
        }
        assert_eq!(back, 10);
    }
}

#[test]
fn bad_policies_are_told_with_all_that_is_wrong() {
    let bad = Retry::attempts(0)
        .first(Duration::MAX)
        .factor(0.5)
        .jitter(f64::NAN)
        .resume_at(StageId::new(7));
    let builder = Pipeline::builder(|| Courier).workers(1).retry(bad);
    let error = builder.retry_stage(StageId::new(2), quick(1)).build().unwrap_err().to_string();
    let expected = [
        "retry: first: ",
        "retry: attempts: 0 is not in 1..=1000000",
        "retry: factor: 0.5 is not in 1..=1000",
        "retry: jitter: NaN is not in 0..=1",
        "retry: resume_at: stage 7 is not one of the 2",
        "retry_stage: stage 2 is not one of the 2",
    ];
    for part in expected {
        assert!(error.contains(part), "{part}: {error}");
    }
}

/// Counts how many of it there are.
struct Alive(Arc<Mutex<i64>>);

impl Alive {
    fn new(count: &Arc<Mutex<i64>>) -> Self {
        *count.lock().unwrap() += 1;
        Self(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        *self.0.lock().unwrap() -= 1;
    }
}

struct Witness(Arc<Mutex<i64>>);

#[state_machine(data = u32, error = Alive, keeps)]
impl Witness {
    #[stage]
    fn fail(&mut self, times: &mut Request<'_, Self>) -> Step {
        if times.attempt() <= **times {
            let error = Alive::new(&self.0);
            return times.retry(error);
        }
        times.done()
    }
}

/// The error of an attempt that was not the last one is dropped no later than with the request's end.
#[test]
fn no_error_of_an_earlier_attempt_is_left() {
    let _dog = watchdog(60);
    let alive = Arc::<Mutex<i64>>::default();
    let count = Arc::clone(&alive);
    let policy = Retry::attempts(3).first(Duration::ZERO);
    let pipeline = Pipeline::builder(move || Witness(Arc::clone(&count))).workers(1).retry(policy);
    let pipeline = pipeline.build().unwrap();
    let mut group = pipeline.open(Order::Completion).unwrap();
    for times in 0..8 {
        group.submit(times).unwrap();
        let output = group.recv().unwrap();
        assert_eq!(*alive.lock().unwrap(), i64::from(!output.is_done()), "{times}");
        drop(output);
        assert_eq!(*alive.lock().unwrap(), 0);
    }
}
