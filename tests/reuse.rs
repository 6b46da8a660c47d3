//! A group's index is used again and again: positions go on, statistics start anew, and nothing of
//! one opening reaches the next.

mod common;

use common::{Act, Lab, ORDERS, assert_balanced, eventually, finish, job, lab, pass, watchdog};
use stageline::{Ledger, OpenError, Order, Pipeline, RequestGroup, TryRecvError};
use std::thread;

const OPENINGS: u64 = 10_000;

/// Opens the only group, as soon as what it had in flight has ended.
fn open(pipeline: &Pipeline<Lab>, order: Order) -> RequestGroup<Lab> {
    loop {
        match pipeline.open(order) {
            Ok(group) => return group,
            Err(OpenError::NoneFree { groups: 1 }) => thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

fn assert_fresh(group: &mut RequestGroup<Lab>, order: Order) {
    assert_eq!((group.index(), group.order(), group.in_flight()), (0, order, 0));
    let stats = group.stats();
    assert_eq!(stats.ledger, Ledger::default());
    assert_eq!((stats.queue.count(), stats.run.count(), stats.stalls), (0, 0, 0));
    assert!(!stats.stalled);
    assert_eq!(group.try_recv().err(), Some(TryRecvError::Empty));
}

/// Alternates the orders; of each four openings one is dropped with requests in flight, one with
/// results that nobody has received, one when it is quiet, and one unused.
#[test]
fn an_index_is_used_ten_thousand_times() {
    let _dog = watchdog(180);
    for workers in [1, 3] {
        let builder = lab().workers(workers).reserve(0).groups(1).window(4).sample_every(1);
        let pipeline = builder.build().unwrap();
        let mut position = 0;
        for opening in 0..OPENINGS {
            let order = ORDERS[(opening % 2) as usize];
            let mut group = open(&pipeline, order);
            assert_fresh(&mut group, order);
            let (in_flight, received) = match opening / 2 % 4 {
                0 => (3, 0),
                1 => (4, 2),
                2 => (3, 3),
                _ => (0, 0),
            };
            for _ in 0..in_flight {
                assert_eq!(group.submit(pass(opening)), Ok(position));
                position += 1;
            }
            for _ in 0..received {
                let output = group.recv().unwrap();
                assert_eq!(output.value, opening + 1, "its own, not that of another opening");
                assert!((position - in_flight..position).contains(&output.position()));
            }
            let ledger = group.stats().ledger;
            assert_eq!((ledger.submitted, ledger.received), (in_flight, received));
        }
        drop(open(&pipeline, Order::Submission));
        assert_eq!(pipeline.stats().run.count(), position, "the pipeline's own go on");
        let ledger = finish(pipeline);
        assert_eq!((ledger.submitted, ledger.done), (position, position));
    }
}

/// Several groups that are opened by several threads never get each other's results.
#[test]
fn indices_are_used_by_several_threads() {
    let _dog = watchdog(180);
    let pipeline = lab().workers(2).reserve(0).groups(3).window(8).build().unwrap();
    let rounds: u64 = if cfg!(debug_assertions) { 1_500 } else { 10_000 };
    let submitted: u64 = thread::scope(|scope| {
        let openers = [0_u64, 1, 2, 3].map(|opener| {
            let pipeline = &pipeline;
            scope.spawn(move || {
                let mut submitted = 0;
                for round in 0..rounds {
                    let Ok(mut group) = pipeline.open(ORDERS[(round % 2) as usize]) else {
                        thread::yield_now();
                        continue;
                    };
                    let value = opener << 32 | round;
                    submitted += group.submit_batch(&mut [pass(value); 3].into_iter()) as u64;
                    for _ in 0..round % 4 {
                        assert_eq!(group.recv().unwrap().value, value + 1);
                    }
                }
                submitted
            })
        });
        openers.map(|opener| opener.join().unwrap()).into_iter().sum()
    });
    eventually("everything ends", || pipeline.ledger().done == submitted);
    // A worker counts its batch before it hands it back.
    for _ in 0..2 {
        let mut groups = Vec::new();
        eventually("no index was lost", || {
            groups.extend(pipeline.open(Order::Submission));
            groups.len() == 3
        });
    }
    assert_balanced(&finish(pipeline));
}

#[test]
fn cancel_and_deadlines_of_one_opening_are_not_those_of_the_next() {
    let _dog = watchdog(60);
    let pipeline = lab().groups(1).build().unwrap();
    for opening in 0..200_u64 {
        let order = ORDERS[(opening % 2) as usize];
        let mut group = open(&pipeline, order);
        assert_fresh(&mut group, order);
        match opening % 3 {
            0 => group.set_deadline(Some(std::time::Instant::now())),
            1 => {
                assert_eq!(group.submit_batch(&mut (0..).map(pass)), 8);
                group.cancel();
                continue;
            }
            _ => {}
        }
        group.submit(job(Act::Pass, 1)).unwrap();
        assert_eq!(group.recv().unwrap().is_done(), opening % 3 == 2);
    }
    let ledger = pipeline.ledger();
    assert_eq!((ledger.done >= 66, ledger.expired), (true, 67));
    drop(open(&pipeline, Order::Submission));
    finish(pipeline);
}

/// What the sole submitter of one opening knew of its window is not carried over.
#[test]
fn submitters_of_all_kinds_take_turns() {
    let _dog = watchdog(60);
    let pipeline = lab().groups(1).window(4).build().unwrap();
    let mut position = 0;
    for opening in 0..300 {
        let order = ORDERS[opening % 2];
        let (submitter, mut receiver) = open(&pipeline, order).split();
        if opening % 3 == 0 {
            let mut first = submitter.share();
            let mut second = first.clone();
            for _ in 0..2 {
                assert_eq!(first.submit(pass(position)), Ok(position));
                assert_eq!(second.submit(pass(position + 1)), Ok(position + 1));
                position += 2;
            }
        } else {
            let mut submitter = submitter;
            for _ in 0..4 {
                assert_eq!(submitter.submit(pass(position)), Ok(position));
                position += 1;
            }
        }
        if opening % 5 > 0 {
            for _ in 0..4 {
                let output = receiver.recv().unwrap();
                assert_eq!(output.value, output.position() + 1);
            }
        }
    }
    drop(open(&pipeline, Order::Submission));
    assert_eq!(finish(pipeline).done, position);
}
