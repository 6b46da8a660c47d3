//! Submissions that race with the end of the pipeline: whatever was accepted is received once.

mod common;

use common::{LONG, ORDERS, Random, assert_balanced, lab, pass, watchdog};
use stageline::{Order, Pipeline, Receiver, RecvError, Submitter, TrySubmitError};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

/// How the pipeline ends while others submit.
#[derive(Clone, Copy, Debug)]
enum End {
    Close,
    CloseTimeout,
    Abort,
    Drop,
}

const ENDS: [End; 4] = [End::Close, End::CloseTimeout, End::Abort, End::Drop];

fn end(pipeline: Pipeline<common::Lab>, how: End) {
    let ledger = match how {
        End::Close => Some(pipeline.close()),
        End::CloseTimeout => Some(pipeline.close_timeout(LONG).unwrap()),
        End::Abort => Some(pipeline.abort()),
        End::Drop => return drop(pipeline),
    };
    let ledger = ledger.unwrap();
    match how {
        // A request that was accepted at the last moment may not have ended when the ledger is read.
        End::Abort => assert!(ledger.ended() <= ledger.submitted, "{ledger}"),
        // One that is refused meanwhile is not in it.
        _ => assert_balanced(&ledger),
    }
}

/// Submits until it is refused, by one way or another. Returns the positions that were accepted.
fn flood(mut end: Submitter<common::Lab>, way: u64) -> Vec<u64> {
    let mut accepted = Vec::new();
    for value in 0.. {
        let result = match way {
            0 => end.submit(pass(value)).map_err(|_| ()),
            1 => end.submit_with(|slot| *slot = pass(value)).map_err(|_| ()),
            _ => match end.try_submit(pass(value)) {
                Err(TrySubmitError::Full(_)) => {
                    thread::yield_now();
                    continue;
                }
                other => other.map_err(|_| ()),
            },
        };
        match result {
            Ok(position) => accepted.push(position),
            Err(()) => break,
        }
    }
    accepted
}

fn receive(receiver: &mut Receiver<common::Lab>) -> Vec<u64> {
    let mut positions = Vec::new();
    loop {
        match receiver.recv() {
            Ok(output) => positions.push(output.position()),
            Err(RecvError::Closed) => return positions,
            Err(error) => panic!("{error}"),
        }
    }
}

/// One race. The receiver that is told `Closed` gets nothing after that.
fn race(order: Order, how: End, random: &mut Random) {
    let workers = 1 + random.below(3) as usize;
    let pipeline = lab().workers(workers).window(4 << random.below(4)).build().unwrap();
    let (submitter, mut receiver) = pipeline.open(order).unwrap().split();
    let (sharers, mut shared_receiver) = pipeline.open(order).unwrap().split();
    let sharers = sharers.share();
    let second = sharers.clone();
    let (way, pause) = (random.below(3), random.below(300));
    let start = Barrier::new(6);
    thread::scope(|scope| {
        let start = &start;
        let sole = scope.spawn(move || {
            start.wait();
            flood(submitter, way)
        });
        let shared = [sharers, second].map(|mut end| {
            scope.spawn(move || {
                start.wait();
                (0..).map_while(|value| end.submit(pass(value)).ok()).collect::<Vec<_>>()
            })
        });
        let receivers = [&mut receiver, &mut shared_receiver].map(|receiver| {
            scope.spawn(move || {
                start.wait();
                receive(receiver)
            })
        });
        start.wait();
        thread::sleep(Duration::from_micros(pause));
        end(pipeline, how);
        let accepted = [
            sole.join().unwrap(),
            shared.into_iter().flat_map(|producer| producer.join().unwrap()).collect(),
        ];
        let received = receivers.map(|receiver| receiver.join().unwrap());
        for (mut accepted, mut received) in accepted.into_iter().zip(received) {
            assert!(order == Order::Completion || received.is_sorted());
            accepted.sort_unstable();
            received.sort_unstable();
            // A refusal takes no position, so nothing else comes either.
            assert_eq!(received, accepted, "{how:?}, {order:?}, way {way}");
        }
    });
    for receiver in [&receiver, &shared_receiver] {
        assert_eq!(receiver.in_flight(), 0);
        assert_balanced(&receiver.stats().ledger);
    }
}

#[test]
fn whatever_was_accepted_is_received_once() {
    let _dog = watchdog(180);
    let mut random = Random(7);
    let rounds = if cfg!(debug_assertions) { 40 } else { 200 };
    for _ in 0..rounds {
        for (order, how) in ORDERS.into_iter().flat_map(|order| ENDS.map(|how| (order, how))) {
            race(order, how, &mut random);
        }
    }
}

/// A producer announces a position before it looks whether it may have it.
#[test]
fn who_is_refused_is_not_in_the_ledger() {
    let _dog = watchdog(120);
    for (round, order) in (0..100).flat_map(|round| ORDERS.map(|order| (round, order))) {
        let pipeline = lab().build().unwrap();
        let (mut submitter, receiver) = pipeline.open(order).unwrap().split();
        submitter.submit(pass(0)).unwrap();
        drop(receiver);
        let is_over = AtomicBool::new(false);
        let refused = || Err(TrySubmitError::Closed(pass(1)));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(SeqCst) {
                    assert_eq!(submitter.try_submit(pass(1)), refused());
                }
            });
            let ledger = match round % 2 {
                0 => pipeline.close(),
                _ => pipeline.close_timeout(LONG).unwrap(),
            };
            is_over.store(true, SeqCst);
            assert_balanced(&ledger);
        });
    }
}

#[test]
fn threads_that_wait_are_woken() {
    let _dog = watchdog(120);
    for (order, how) in ORDERS.into_iter().flat_map(|order| ENDS.map(|how| (order, how))) {
        for round in 0..10 {
            let pipeline = lab().window(2).build().unwrap();
            let (mut full, full_receiver) = pipeline.open(order).unwrap().split();
            let (empty, mut empty_receiver) = pipeline.open(order).unwrap().split();
            assert_eq!(full.submit_batch(&mut (0..).map(pass)), 2);
            thread::scope(|scope| {
                let submitter = scope.spawn(move || {
                    let refused = full.submit(pass(9));
                    assert!(refused.is_err(), "the window was full");
                });
                let receiver = scope.spawn(move || {
                    assert_eq!(empty_receiver.recv().err(), Some(RecvError::Closed));
                    empty_receiver
                });
                thread::sleep(Duration::from_micros(300 * round));
                // `close` would wait for what nobody receives, so a thread does.
                let drainer = scope.spawn(move || {
                    submitter.join().unwrap();
                    let mut full_receiver = full_receiver;
                    assert_eq!(receive(&mut full_receiver).len(), 2, "{how:?}");
                });
                end(pipeline, how);
                drainer.join().unwrap();
                drop(receiver.join().unwrap());
            });
            drop(empty);
        }
    }
}
