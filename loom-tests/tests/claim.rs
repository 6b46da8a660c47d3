//! `src/ring/claim.rs`: every position that is Ready goes to exactly one worker, and to none before it
//! is Ready.
//!
//! Proven: for two workers at one window of two slots, claiming singly, in batches of two, and by a
//! prepared look, beside the submission of up to two requests, no position is taken twice, none is
//! lost, and each worker sees the payload of what it has taken.
//! Bound: none, except where a model says three or four preemptions.
//! Not proven: more than two workers, batches above two.

mod common;

use common::stageline::sync::Arc;
use common::stageline::window::Order;
use common::window::{
    Payloads, Producer, claim, complete, expect, submit_shared, window, work, work_expected,
};
use common::{ALL, FOUR, THREE, explore, join, spawn};

/// Two workers, each of which claims once. Returns what each has got.
fn two_workers(window: &Arc<Payloads>, limits: [usize; 2]) -> [Vec<u64>; 2] {
    let workers = [0, 1].map(|lane: usize| {
        let window = window.clone();
        spawn(move || work(&window, lane, limits[lane]))
    });
    let taken = workers.map(join);
    let mut all: Vec<u64> = taken.iter().flatten().copied().collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count, "taken twice: {taken:?}");
    taken
}

#[test]
fn two_workers_share_what_is_ready() {
    let expected = ["[[0], [1]]", "[[0], []]", "[[1], [0]]", "[[], [0]]"];
    explore("claim::two_workers_share_what_is_ready", ALL, &expected, || {
        let window = window(2, 2, 0, Order::Submission);
        let mut producer = Producer::new(&window);
        assert!(producer.submit() && producer.submit());
        format!("{:?}", two_workers(&window, [1, 1]))
    });
}

#[test]
fn a_batch_against_a_single_claim() {
    let expected = ["[[0, 1], []]", "[[1], [0]]", "[[], [0]]"];
    explore("claim::a_batch_against_a_single_claim", ALL, &expected, || {
        let window = window(2, 2, 0, Order::Submission);
        let mut producer = Producer::new(&window);
        assert!(producer.submit() && producer.submit());
        format!("{:?}", two_workers(&window, [2, 1]))
    });
}

/// A worker that has prepared for the first request, while another one claims it.
#[test]
fn an_expected_request_against_a_claim() {
    for order in [Order::Submission, Order::Completion] {
        let expected = ["[0] [1] then []", "[0] [] then [1]", "[] [0, 1] then []"];
        explore("claim::an_expected_request_against_a_claim", ALL, &expected, move || {
            let window = window(2, 2, 0, order);
            let prepared = expect(&window);
            let mut producer = Producer::new(&window);
            assert!(producer.submit() && producer.submit());
            let workers = [
                spawn({
                    let window = window.clone();
                    move || work_expected(&window, 0, &prepared)
                }),
                spawn({
                    let window = window.clone();
                    move || work(&window, 1, 2)
                }),
            ];
            let [first, second] = workers.map(join);
            format!("{first:?} {second:?} then {:?}", work(&window, 0, 2))
        });
    }
}

#[test]
fn a_batch_beside_the_submission() {
    let expected = ["[] []", "[0, 1] []", "[0] []", "[0] [1]", "[] [0, 1]", "[] [0]"];
    explore("claim::a_batch_beside_the_submission", ALL, &expected, || {
        let window = window(2, 1, 0, Order::Submission);
        let producer = spawn({
            let mut producer = Producer::new(&window);
            move || assert!(producer.submit() && producer.submit())
        });
        let worker = spawn(move || [work(&window, 0, 2), work(&window, 0, 2)]);
        join(producer);
        let [first, second] = join(worker);
        format!("{first:?} {second:?}")
    });
}

/// Two producers take positions in turn but publish in any order, so the second slot may be Ready
/// before the first: a batch must have looked at each slot that it takes.
#[test]
fn a_batch_looks_at_every_slot() {
    let expected = ["[0, 1]", "[0]", "[]"];
    explore("claim::a_batch_looks_at_every_slot", FOUR, &expected, || {
        let window = window(2, 1, 0, Order::Submission);
        let producers = [(); 2].map(|()| {
            let window = window.clone();
            spawn(move || submit_shared(&window, Order::Submission))
        });
        let worker = spawn(move || work(&window, 0, 2));
        let mut taken = producers.map(join);
        taken.sort_unstable();
        assert_eq!(taken, [Some(0), Some(1)]);
        format!("{:?}", join(worker))
    });
}

/// A worker that has looked and is overtaken must not take what the other has taken, run and handed
/// on, though the slot is filled for the next lap by then.
#[test]
fn an_overtaken_worker_takes_nothing_old() {
    let expected = ["[[0], [1]]", "[[0], []]", "[[1], [0]]", "[[], [0]]"];
    explore("claim::an_overtaken_worker_takes_nothing_old", FOUR, &expected, || {
        let window = window(1, 2, u64::MAX, Order::Submission);
        let mut producer = Producer::new(&window);
        assert!(producer.submit());
        let renew = spawn({
            let window = window.clone();
            move || {
                common::window::receive(&window);
                producer.submit();
            }
        });
        let taken = two_workers(&window, [1, 1]);
        join(renew);
        let from_start = taken.map(|positions| {
            positions.into_iter().map(|position| position.wrapping_add(1)).collect::<Vec<_>>()
        });
        format!("{from_start:?}")
    });
}

/// A claimed batch is the worker's own from the swap on, whoever claims next.
#[test]
fn a_claimed_batch_is_kept() {
    let expected = ["[0]", "[]"];
    explore("claim::a_claimed_batch_is_kept", THREE, &expected, || {
        let window = window(2, 2, 0, Order::Submission);
        let mut producer = Producer::new(&window);
        assert!(producer.submit());
        let batch = claim(&window, 2).expect("one is ready");
        let slow = spawn({
            let window = window.clone();
            move || complete(&window, 0, &batch)
        });
        let producer = spawn(move || assert!(producer.submit()));
        let fast = spawn(move || work(&window, 1, 2));
        join(slow);
        join(producer);
        format!("{:?}", join(fast).iter().map(|position| position - 1).collect::<Vec<_>>())
    });
}
