//! `src/worker/`: the worker's own loop, whole: it is rung, serves, lets go, sleeps, is woken, leaves.
//!
//! Proven: for one worker or two that run their real loops beside a submitter and a receiver that
//! sleep, and the end of the pipeline, within the bound: every request that was accepted is received,
//! run unless the workers had left, and everybody comes to an end.
//! Bound: two preemptions; one with two requests (but in the ignored model) or two workers.
//! Not proven: spinning (a model's worker sleeps at once), help, stages that panic, more than one group;
//! the close beside a submission (see `pipeline.rs` for its steps).

mod common;

use common::engine::{Engine, Machine, engine, open};
use common::stageline::model::work;
use common::stageline::window::Order;
use common::stageline::{Receiver, TryRecvError};
use common::{TWO, explore, join, spawn};

/// Receives until the group is closed: how many requests were run, and how many were cancelled.
fn receive_all(engine: &Engine, mut receiver: Receiver<Machine>) -> (u32, u32) {
    let (mut done, mut cancelled) = (0, 0);
    engine.group(0).front.receive_event.wait_until(None, || {
        loop {
            match receiver.try_recv() {
                Ok(output) if output.is_done() => done += 1,
                Ok(_) => cancelled += 1,
                Err(TryRecvError::Closed) => return true,
                Err(_) => return false,
            }
        }
    });
    (done, cancelled)
}

/// So many workers and requests, and a pipeline that ends when everything has been received.
fn whole(workers: usize, requests: u64) -> String {
    let engine = engine(workers, 2);
    let (mut submitter, receiver) = open(&engine, Order::Completion);
    let workers: Vec<_> = (0..workers)
        .map(|index| {
            let engine = engine.clone();
            spawn(move || work(engine, index))
        })
        .collect();
    let submitter = spawn(move || {
        (0..requests).for_each(|request| {
            submitter.try_submit(request).expect("there is room");
        });
    });
    let receiver = spawn({
        let engine = engine.clone();
        move || receive_all(&engine, receiver)
    });
    join(submitter);
    let counts = join(receiver);
    engine.stop_workers();
    workers.into_iter().for_each(join);
    format!("{counts:?}")
}

#[test]
fn a_request_and_the_end() {
    explore("worker::a_request_and_the_end", TWO, &["(1, 0)"], || whole(1, 1));
}

/// The worker sleeps between the two, or not.
#[test]
fn two_requests_and_the_end() {
    explore("worker::two_requests_and_the_end", Some(1), &["(2, 0)"], || whole(1, 2));
}

#[test]
#[ignore = "long: cargo test -p loom-tests --release -- --ignored"]
fn two_requests_and_the_end_further() {
    explore("worker::two_requests_and_the_end_further", TWO, &["(2, 0)"], || whole(1, 2));
}

#[test]
fn two_workers_and_the_end() {
    explore("worker::two_workers_and_the_end", Some(1), &["(1, 0)"], || whole(2, 1));
}
