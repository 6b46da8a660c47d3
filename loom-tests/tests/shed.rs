//! `src/window/shed.rs`: the submit end drops requests that no worker has claimed, beside a worker that
//! claims, a receiver, and other producers that do the same.
//!
//! Proven: for a window of one slot or two, one worker or none, one or two producers and one receiver,
//! starting next to the wrap of a position: each request is run or dropped, not both, and received once,
//! its payload as that says; one request at most is dropped for a position; the lane of the submit end
//! goes from one producer to the next as it was left; a producer that waits for room is woken, and drops
//! another request when the room went to a third thread.
//! Bound: none in the smaller models, two or three preemptions in the others, as each says.
//! Not proven: several workers beside it, more laps.

mod common;

use common::engine::{Engine, open, shedding_engine};
use common::stageline::slot::Phase;
use common::stageline::sync::{Arc, AtomicBool, Ordering};
use common::stageline::window::Order::{self, Completion, Submission};
use common::stageline::{GroupOptions, Overflow, Receiver};
use common::window::{
    Payloads, Producer, expect, receive_ended, receive_orphan, shed, submit_shared, window, work,
    work_expected,
};
use common::{ALL, THREE, TWO, explore, join, spawn, step};

/// A full window, with the lanes of one worker and of the submit end.
fn full(size: usize, order: Order) -> (Arc<Payloads>, Producer) {
    let window = window(size, 2, 0_u64.wrapping_sub(size as u64), order);
    let mut producer = Producer::new(&window);
    assert!((0..size).all(|_| producer.submit()) && !producer.submit());
    (window, producer)
}

/// Receives all that has ended; how many of them were dropped, and how many not.
fn drain(window: &Payloads) -> [usize; 2] {
    let ended: Vec<_> = std::iter::from_fn(|| receive_ended(window)).collect();
    let dropped = ended.iter().filter(|(_, phase)| *phase == Phase::Dropped).count();
    [dropped, ended.len() - dropped]
}

/// A worker that claims a batch, and a submit end.
#[test]
fn a_request_is_run_or_dropped() {
    for order in [Submission, Completion] {
        let expected = ["[0, 2]", "[1, 0]", "[1, 1]"];
        explore("shed::a_request_is_run_or_dropped", ALL, &expected, move || {
            let (window, _) = full(2, order);
            let shedder = spawn({
                let window = window.clone();
                move || shed(&window)
            });
            let worker = spawn({
                let window = window.clone();
                move || work(&window, 0, 2).len()
            });
            let ended = [usize::from(join(shedder)), join(worker)];
            assert_eq!(drain(&window), ended);
            format!("{ended:?}")
        });
    }
}

/// A worker that has got ready for the very request.
#[test]
fn an_expected_request_is_dropped() {
    for order in [Submission, Completion] {
        explore("shed::an_expected_request_is_dropped", ALL, &["[0, 1]", "[1, 0]"], move || {
            let (window, _) = full(1, order);
            let expected = expect(&window);
            let shedder = spawn({
                let window = window.clone();
                move || shed(&window)
            });
            let worker = spawn({
                let window = window.clone();
                move || work_expected(&window, 0, &expected).len()
            });
            let ended = [usize::from(join(shedder)), join(worker)];
            assert_eq!(drain(&window), ended);
            format!("{ended:?}")
        });
    }
}

/// A receiver that ends what no worker will run.
#[test]
fn an_orphan_or_dropped() {
    for order in [Submission, Completion] {
        explore("shed::an_orphan_or_dropped", ALL, &["[0, 1]", "[1, 0]"], move || {
            let (window, _) = full(1, order);
            let shedder = spawn({
                let window = window.clone();
                move || shed(&window)
            });
            let receiver = spawn({
                let window = window.clone();
                move || receive_orphan(&window).is_some()
            });
            let ended = [usize::from(join(shedder)), usize::from(join(receiver))];
            assert_eq!(drain(&window), [ended[0], 0]);
            format!("{ended:?}")
        });
    }
}

const ROOM: [&str; 7] = [
    "0 shed, 0 submitted, 1 run, 0 received",
    "0 shed, 0 submitted, 1 run, 1 received",
    "0 shed, 1 submitted, 1 run, 1 received",
    "1 shed, 0 submitted, 0 run, 0 received",
    "1 shed, 0 submitted, 0 run, 1 received",
    "1 shed, 1 submitted, 0 run, 1 received",
    "1 shed, 1 submitted, 1 run, 1 received",
];

/// The receiver gives the room back, and the latest value has it, beside a worker.
#[test]
fn the_room_is_had() {
    for order in [Submission, Completion] {
        explore("shed::the_room_is_had", TWO, &ROOM, move || {
            let (window, mut producer) = full(1, order);
            let submitter = spawn({
                let window = window.clone();
                move || {
                    let shed = shed(&window);
                    step();
                    let submitted = producer.submit();
                    [usize::from(shed), usize::from(submitted)]
                }
            });
            let worker = spawn({
                let window = window.clone();
                move || work(&window, 0, 1).len()
            });
            let receiver = spawn({
                let window = window.clone();
                move || receive_ended(&window).is_some()
            });
            let ([shed, submitted], run) = (join(submitter), join(worker));
            let received = usize::from(join(receiver));
            let left = drain(&window).iter().sum::<usize>();
            assert_eq!(received + left, shed + run);
            format!("{shed} shed, {submitted} submitted, {run} run, {received} received")
        });
    }
}

/// Two producers find the window full.
#[test]
fn two_producers_drop_one() {
    for order in [Submission, Completion] {
        explore("shed::two_producers_drop_one", ALL, &["1"], move || {
            let (window, _) = full(2, order);
            let producers = [(); 2].map(|()| {
                let window = window.clone();
                spawn(move || usize::from(shed(&window)))
            });
            let shed: usize = producers.map(join).into_iter().sum();
            assert_eq!(drain(&window), [shed, 0]);
            format!("{shed}")
        });
    }
}

/// The lane goes from one producer to the next: what the second drops is not lost. (One that finds the other
/// still at it drops nothing.)
#[test]
fn the_lane_goes_on() {
    let expected = [
        "1 shed, 0 submitted, 0 shed",
        "1 shed, 1 submitted, 0 shed",
        "1 shed, 1 submitted, 1 shed",
    ];
    explore("shed::the_lane_goes_on", THREE, &expected, || {
        let (window, _) = full(1, Completion);
        let first = spawn({
            let window = window.clone();
            move || usize::from(shed(&window))
        });
        let second = spawn({
            let window = window.clone();
            move || {
                let submitted = submit_shared(&window, Completion).is_some();
                [usize::from(submitted), usize::from(submitted && shed(&window))]
            }
        });
        let receiver = spawn({
            let window = window.clone();
            move || receive_ended(&window).is_some()
        });
        let (shed, [submitted, shed_again]) = (join(first), join(second));
        let received = usize::from(join(receiver));
        assert_eq!(drain(&window), [shed + shed_again - received, 0]);
        format!("{shed} shed, {submitted} submitted, {shed_again} shed")
    });
}

// ---- waiting ----

/// A group of latest values, whose only worker does nothing.
fn latest(window: usize) -> (Engine, GroupOptions) {
    (shedding_engine(window), GroupOptions::new(Completion).overflow(Overflow::DropOldest))
}

/// Receives so many results, as `recv` does.
fn receive(receiver: &mut Receiver<common::engine::Machine>, many: usize) {
    for _ in 0..many {
        let output = receiver.recv().expect("the submit end is open");
        assert!(!output.is_done());
    }
}

#[test]
fn a_receiver_is_woken_by_a_drop() {
    explore("shed::a_receiver_is_woken_by_a_drop", TWO, &["2"], || {
        let (engine, options) = latest(1);
        let (mut submitter, mut receiver) = open(&engine, options);
        submitter.try_submit(5).expect("there is room");
        let submitter = spawn(move || {
            let position = submitter.submit(6).expect("room is made");
            (position, submitter)
        });
        let receiver = spawn(move || {
            receive(&mut receiver, 1);
            receiver
        });
        let ((position, _submitter), _receiver) = (join(submitter), join(receiver));
        format!("{position}")
    });
}

/// Of two that wait one has the room; the other makes room again.
#[test]
fn a_waiting_producer_drops_another() {
    explore("shed::a_waiting_producer_drops_another", Some(1), &["[2, 3]", "[3, 2]"], || {
        let (engine, options) = latest(1);
        let (mut submitter, mut receiver) = open(&engine, options);
        submitter.try_submit(5).expect("there is room");
        let first = submitter.share();
        let producers = [first.clone(), first].map(|mut producer| {
            spawn(move || (producer.submit(6).expect("room is made"), producer))
        });
        let receiver = spawn(move || {
            receive(&mut receiver, 2);
            receiver
        });
        let [(first, _a), (second, _b)] = producers.map(join);
        let _receiver = join(receiver);
        format!("{:?}", [first, second])
    });
}

/// One that tries once, and finds that room is being made or has been, keeps no other from making room.
#[test]
fn a_producer_that_gives_up_tells_the_others() {
    let expected = ["given up", "submitted"];
    explore("shed::a_producer_that_gives_up_tells_the_others", Some(1), &expected, || {
        let (engine, options) = latest(1);
        let (mut submitter, mut receiver) = open(&engine, options);
        submitter.try_submit(5).expect("there is room");
        let mut once = submitter.share();
        let mut twice = once.clone();
        let done = Arc::new(AtomicBool::new(false));
        let twice = spawn({
            let (engine, done) = (engine.clone(), done.clone());
            move || {
                (0..2).for_each(|_| assert!(twice.submit(6).is_ok()));
                done.store(true, Ordering::Release);
                engine.group(0).front.receive_event.notify();
                twice
            }
        });
        let once = spawn(move || (once.try_submit(7).is_ok(), once));
        let receiver = spawn(move || {
            let mut received = true;
            while received {
                engine.group(0).front.receive_event.wait_until(None, || {
                    received = receiver.try_recv().is_ok();
                    received || done.load(Ordering::Acquire)
                });
            }
            receiver
        });
        let _twice = join(twice);
        let (submitted, _once) = join(once);
        let _receiver = join(receiver);
        if submitted { "submitted".to_owned() } else { "given up".to_owned() }
    });
}
