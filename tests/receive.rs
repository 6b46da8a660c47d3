//! The receive end and the outputs that it lends, in both orders.

mod common;

use common::{
    Act, Gate, Job, LONG, Lab, ORDERS, assert_quiet, ending, eventually, finish, job, lab,
};
use common::{lab_with, pass, watchdog};
use stageline::{
    Order, Outcome, Pipeline, Receiver, RecvError, RecvTimeoutError, Submitter, TryRecvError,
};
use std::mem;
use std::thread;
use std::time::{Duration, Instant};

fn ends(pipeline: &Pipeline<Lab>, order: Order) -> (Submitter<Lab>, Receiver<Lab>) {
    pipeline.open(order).unwrap().split()
}

#[test]
fn a_group_with_nothing_in_flight_says_so() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = lab().build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        for _ in 0..2 {
            assert_eq!(group.recv().err(), Some(RecvError::NothingInFlight));
            assert_eq!(group.try_recv().err(), Some(TryRecvError::Empty));
            assert_eq!(group.drain(8, |_| panic!("nothing")), 0);
            let start = Instant::now();
            let timeout = Duration::from_millis(20);
            assert_eq!(group.recv_timeout(timeout).err(), Some(RecvTimeoutError::Timeout));
            assert!(start.elapsed() >= timeout);
            group.submit(pass(1)).unwrap();
            assert_eq!(group.recv().unwrap().value, 2);
        }
    }
}

#[test]
fn a_receiver_whose_request_is_in_a_stage_waits_or_says_empty() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let gate = Gate::closed();
        let pipeline = lab_with(&gate).build().unwrap();
        let (mut submitter, mut receiver) = ends(&pipeline, order);
        submitter.submit(job(Act::Wait, 1)).unwrap();
        gate.wait_for(1);
        assert_eq!(receiver.in_flight(), 1);
        assert_eq!(receiver.try_recv().err(), Some(TryRecvError::Empty));
        for timeout in [Duration::ZERO, Duration::from_millis(10)] {
            assert_eq!(receiver.recv_timeout(timeout).err(), Some(RecvTimeoutError::Timeout));
        }
        let waiter = thread::spawn(move || {
            assert_eq!(receiver.recv().unwrap().value, 2);
            receiver
        });
        thread::sleep(Duration::from_millis(10));
        gate.open();
        let mut receiver = waiter.join().unwrap();
        submitter.submit(pass(5)).unwrap();
        assert_eq!(receiver.recv_timeout(Duration::MAX).unwrap().value, 6);
        assert_eq!(receiver.in_flight(), 0);
        assert_eq!((receiver.index(), receiver.order()), (0, order));
    }
}

#[test]
fn closed_comes_after_the_last_result_of_a_dropped_submit_end() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = lab().build().unwrap();
        let (mut submitter, mut receiver) = ends(&pipeline, order);
        (0..5).for_each(|value| assert!(submitter.submit(pass(value)).is_ok()));
        drop(submitter);
        for _ in 0..5 {
            drop(receiver.recv_timeout(LONG).unwrap());
        }
        assert_eq!(receiver.recv().err(), Some(RecvError::Closed));
        assert_eq!(receiver.try_recv().err(), Some(TryRecvError::Closed));
        assert_eq!(receiver.recv_timeout(LONG).err(), Some(RecvTimeoutError::Closed));
        assert_eq!(receiver.drain(1, |_| panic!("nothing")), 0);

        // Asleep when the last of several handles is dropped.
        drop(receiver);
        let (submitter, mut receiver) = ends(&pipeline, order);
        let first = submitter.share();
        let second = first.clone();
        drop(first);
        assert_eq!(receiver.try_recv().err(), Some(TryRecvError::Empty));
        let sleeper = thread::spawn(move || receiver.recv().err());
        thread::sleep(Duration::from_millis(10));
        drop(second);
        assert_eq!(sleeper.join().unwrap(), Some(RecvError::Closed));
        finish(pipeline);
    }
}

#[test]
fn drain_lends_up_to_so_many() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = lab().build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        (0..8).for_each(|value| assert!(group.submit(pass(value)).is_ok()));
        eventually("all have ended", || group.stats().ledger.done == 8);
        // The counts come a moment before the results.
        let mut seen = Vec::new();
        eventually("three are there", || {
            let max = 3 - seen.len();
            group.drain(max, |output| seen.push((output.position(), output.value)));
            seen.len() == 3
        });
        assert_eq!(group.drain(0, |_| panic!("none asked for")), 0);
        assert_eq!(group.in_flight(), 5);
        eventually("the rest are there", || {
            group.receiver().drain(usize::MAX, |output| {
                output.value += 100;
                seen.push((output.position(), output.value - 100));
            });
            seen.len() == 8
        });
        seen.sort_unstable();
        assert_eq!(seen, (0..8).map(|p| (p, p + 1)).collect::<Vec<_>>());
        assert_quiet(&group.stats());
    }
}

#[test]
fn an_output_says_how_its_request_ended() {
    let _dog = watchdog(60);
    let acts = [Act::Pass, Act::Fail, Act::Drop, Act::Panic, Act::Loop];
    for order in ORDERS {
        let pipeline = lab().build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        for (value, act) in acts.into_iter().enumerate() {
            group.submit(job(act, 10 * value as u64)).unwrap();
        }
        let expected = [
            "done",
            "failed: failed at 11",
            "dropped",
            "panicked: panicked at 31",
            "cyclic: count -> end -> count -> end -> count -> end -> count",
        ];
        for (position, expected) in expected.into_iter().enumerate() {
            let output = group.recv().unwrap();
            assert_eq!(output.position(), position as u64);
            assert_eq!(ending(&output), expected);
            assert_eq!(output.is_done(), position == 0);
            assert_eq!(output.outcome().is_done(), position == 0);
            assert_eq!(output.act, acts[position], "the payload is there however it ended");
            if let Outcome::Failed { error, .. } = output.outcome() {
                assert_eq!(error, "failed at 11");
            }
            let shown = format!("{output:?}");
            assert!(shown.starts_with(&format!("Output {{ position: {position},")), "{shown}");
        }
        let ledger = group.stats().ledger;
        let counts = (ledger.done, ledger.failed, ledger.dropped, ledger.panicked, ledger.cyclic);
        assert_eq!(counts, (1, 1, 1, 1, 1));
        drop(group);
        finish(pipeline);
    }
}

#[test]
fn an_error_can_be_taken_by_value() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = lab().build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        for act in [Act::Fail, Act::Panic, Act::Pass, Act::Drop] {
            group.submit(job(act, 1)).unwrap();
        }
        assert_eq!(group.recv().unwrap().into_error().ok(), Some("failed at 2".to_owned()));
        for expected in ["panicked: panicked at 2", "done", "dropped"] {
            let output = group.recv().unwrap().into_error().expect_err("it did not fail");
            assert_eq!(ending(&output), expected);
        }
        assert_eq!(group.in_flight(), 0, "each has given its slot back");
        assert_eq!(group.stats().ledger.failed, 1);
    }
}

#[test]
fn a_payload_can_be_changed_replaced_and_taken() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = lab().window(2).build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        let left = |group: &mut stageline::RequestGroup<Lab>| {
            let mut left = pass(0);
            let filled = group.try_submit_with(|slot| left = mem::replace(slot, pass(0)));
            assert!(filled.is_ok());
            drop(group.recv().unwrap());
            left
        };
        group.submit(pass(1)).unwrap();
        let mut output = group.recv().unwrap();
        output.value += 50;
        drop(output);
        group.submit(pass(2)).unwrap();
        assert_eq!(group.recv().unwrap().replace(pass(77)), pass(3));
        assert_eq!(left(&mut group), pass(52));
        assert_eq!(left(&mut group), pass(77));
        group.submit(pass(4)).unwrap();
        assert_eq!(group.recv().unwrap().take(), pass(5));
        assert_eq!(left(&mut group), pass(1));
        assert_eq!(left(&mut group), Job::default());
    }
}

#[test]
fn an_output_that_is_leaked_comes_again() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = lab().groups(1).build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        group.submit(job(Act::Fail, 1)).unwrap();
        group.submit(pass(2)).unwrap();
        for _ in 0..3 {
            let mut output = group.recv().unwrap();
            assert_eq!((output.position(), ending(&output)), (0, "failed: failed at 2".into()));
            output.value = 9;
            mem::forget(output);
            assert_eq!(group.in_flight(), 2);
        }
        assert_eq!(group.recv().unwrap().into_error().ok(), Some("failed at 2".to_owned()));
        mem::forget(group.recv().unwrap());
        let output = group.recv().unwrap();
        assert_eq!((output.position(), output.value), (1, 3));
        mem::forget(output);

        // Leaked for good: the group is opened again all the same.
        drop(group);
        let mut group = pipeline.open(order).unwrap();
        assert_eq!(group.in_flight(), 0);
        assert_eq!(group.submit(pass(5)), Ok(2));
        assert_eq!(group.recv().unwrap().value, 6);
        drop(group);
        finish(pipeline);
    }
}

#[test]
fn the_two_ends_live_on_two_threads() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = lab().build().unwrap();
        let (mut submitter, mut receiver) = ends(&pipeline, order);
        thread::scope(|scope| {
            scope.spawn(move || {
                for value in 0..3_000 {
                    submitter.submit(pass(value)).unwrap();
                    if value % 1_000 == 999 {
                        thread::sleep(Duration::from_millis(3));
                    }
                }
            });
            scope.spawn(move || {
                let mut sum = 0;
                for _ in 0..3_000 {
                    sum += receiver.recv().unwrap().value;
                }
                assert_eq!(sum, (1..=3_000).sum::<u64>());
                assert_eq!(receiver.recv().err(), Some(RecvError::Closed));
            });
        });
        finish(pipeline);
    }
}

/// A slow request holds back those behind it in the order of submission, and only in that.
#[test]
fn the_orders_differ_as_they_say() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let gate = Gate::closed();
        // Nothing kept free: both workers may be awake at once.
        let pipeline = lab_with(&gate).workers(2).reserve(0).batch_max(1).build().unwrap();
        let (mut submitter, mut receiver) = ends(&pipeline, order);
        submitter.submit(job(Act::Wait, 100)).unwrap();
        gate.wait_for(1);
        (1..8).for_each(|value| assert!(submitter.submit(pass(value)).is_ok()));
        match order {
            Order::Submission => {
                eventually("the others are done", || receiver.stats().ledger.done == 7);
                assert_eq!(receiver.try_recv().err(), Some(TryRecvError::Empty));
                gate.open();
                for position in 0..8 {
                    assert_eq!(receiver.recv().unwrap().position(), position);
                }
            }
            Order::Completion => {
                let mut next = || {
                    let output = receiver.recv_timeout(LONG).unwrap();
                    (output.position(), output.value)
                };
                let mut early: Vec<_> = (0..7).map(|_| next()).collect();
                early.sort_unstable();
                assert_eq!(early, (1..8).map(|p| (p, p + 1)).collect::<Vec<_>>());
                gate.open();
                assert_eq!(next(), (0, 101), "its own slot, though others were posted meanwhile");
            }
        }
        drop((submitter, receiver));
        finish(pipeline);
    }
}

/// Takes its time with some requests, so that others overtake them.
struct Uneven;

#[stageline::state_machine(data = (u64, u64))]
impl Uneven {
    #[stage]
    fn run(&mut self, request: &mut stageline::Request<'_, Self>) -> stageline::Step {
        if request.0.is_multiple_of(7) {
            thread::sleep(Duration::from_micros(100));
        } else if request.0.is_multiple_of(3) {
            thread::yield_now();
        }
        request.1 += request.0;
        request.done()
    }
}

#[test]
fn requests_that_overtake_each_other_keep_their_values() {
    let _dog = watchdog(120);
    const COUNT: u64 = 5_000;
    for (order, workers) in ORDERS.into_iter().flat_map(|order| [(order, 2), (order, 4)]) {
        let builder = Pipeline::builder(|| Uneven).workers(workers).reserve(0).groups(1);
        let pipeline = builder.window(16).batch_max(4).build().unwrap();
        let (mut submitter, mut receiver) = pipeline.open(order).unwrap().split();
        thread::scope(|scope| {
            scope.spawn(move || {
                (0..COUNT).for_each(|p| assert_eq!(submitter.submit((p, 0)), Ok(p)));
            });
            let mut seen: Vec<u64> = (0..COUNT)
                .map(|_| {
                    let output = receiver.recv_timeout(LONG).unwrap();
                    let position = output.position();
                    assert_eq!(*output, (position, position), "run once, and its own");
                    position
                })
                .collect();
            assert!(order == Order::Completion || seen.is_sorted());
            seen.sort_unstable();
            assert_eq!(seen, (0..COUNT).collect::<Vec<_>>());
        });
        drop(receiver);
        finish(pipeline);
    }
}
