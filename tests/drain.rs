//! A drain gives each slot back once, whatever its closure and the errors' `Drop` do; a receiver of a
//! cancelled group is told the end.

mod common;

use common::handed_back;
use stageline::{Order, Output, Pipeline, RecvError, Request, Step, state_machine};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// An error that panics when it is dropped.
#[derive(Debug)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("dropped");
        }
    }
}

/// Doubles even numbers and fails on odd ones.
struct Double;

#[state_machine(data = u64, error = Bomb)]
impl Double {
    #[stage]
    fn double(&mut self, request: &mut Request<'_, Self>) -> Step {
        if !request.is_multiple_of(2) {
            return request.fail(Bomb);
        }
        **request *= 2;
        request.done()
    }
}

fn pipeline(window: usize) -> Pipeline<Double> {
    Pipeline::builder(|| Double).workers(1).window(window).groups(2).build().unwrap()
}

#[test]
fn a_closure_may_replace_what_it_is_lent() {
    for order in [Order::Submission, Order::Completion] {
        let pipeline = pipeline(8);
        let mut group = pipeline.open(order).unwrap();
        // An output of another group, that lives for ever.
        let other = Box::leak(Box::new(pipeline.open(order).unwrap()));
        other.submit(10).unwrap();
        (0..4).for_each(|value| _ = group.submit(2 * value).unwrap());
        handed_back(&pipeline, || pipeline.ledger().in_flight() == 0);
        let mut foreign: Option<Output<'static, Double>> = other.recv().ok();
        let drained = group.drain(2, |output| {
            if let Some(foreign) = foreign.take() {
                *output = foreign;
            }
        });
        assert_eq!((drained, group.in_flight()), (2, 2));
        let rest: Vec<u64> = (0..2).map(|_| *group.recv().unwrap()).collect();
        assert_eq!(rest, [8, 12], "the third and the fourth, each once");
        assert_eq!(group.recv().err(), Some(RecvError::NothingInFlight));
        for value in 0..100 {
            group.submit(2 * value).unwrap();
            assert_eq!(*group.recv().unwrap(), 4 * value);
        }
    }
}

#[test]
fn an_error_whose_drop_panics_costs_no_slot_of_a_drain() {
    let pipeline = pipeline(64);
    let mut group = pipeline.open(Order::Submission).unwrap();
    for round in 0..3 {
        assert_eq!(group.submit_batch(&mut (0..).map(|value| 2 * value + 1)), 64, "round {round}");
        handed_back(&pipeline, || pipeline.ledger().in_flight() == 0);
        let mut panics = 0;
        while group.in_flight() > 0 {
            let drained = catch_unwind(AssertUnwindSafe(|| group.drain(usize::MAX, |_| ())));
            assert!(drained.is_err(), "the error panics");
            panics += 1;
        }
        assert_eq!(panics, 64);
    }
}

#[test]
fn a_receiver_of_a_cancelled_group_is_told_the_end() {
    for order in [Order::Submission, Order::Completion] {
        let pipeline = pipeline(8);
        let (mut submitter, mut receiver) = pipeline.open(order).unwrap().split();
        submitter.submit(2).unwrap();
        let waiting = std::thread::spawn(move || {
            let mut received = 0;
            while let Ok(output) = receiver.recv() {
                drop(output);
                received += 1;
            }
            received
        });
        std::thread::sleep(Duration::from_millis(20));
        submitter.cancel();
        assert_eq!(waiting.join().unwrap(), 1);
        assert!(submitter.submit(4).is_err());
    }
}
