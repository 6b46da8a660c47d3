//! What one group does costs that group alone: flooded, never drained, abandoned or slow, the others
//! get all of their results.

mod common;

use common::{Act, Gate, LONG, Lab, ORDERS, assert_quiet, eventually, finish, job, lab};
use common::{lab_with, pass, watchdog};
use stageline::{
    Builder, Order, Pipeline, Request, RequestGroup, Step, TrySubmitError, state_machine,
};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

const LIVE: u64 = 3_000;

fn many(workers: usize) -> Builder<Lab> {
    lab().workers(workers).reserve(0).groups(8).window(32)
}

/// A fresh group that submits and receives in step, on two threads, until it has got everything.
fn live(group: RequestGroup<Lab>) {
    let order = group.order();
    let (mut submitter, mut receiver) = group.split();
    thread::scope(|scope| {
        let submitting = scope.spawn(move || {
            let submit = |value| submitter.submit(pass(value)).unwrap();
            (0..LIVE).map(submit).collect::<Vec<_>>()
        });
        let results: Vec<(u64, u64)> = (0..LIVE)
            .map(|_| {
                let output = receiver.recv_timeout(LONG).expect("the live group goes on");
                (output.position(), output.value)
            })
            .collect();
        // The group may have been open before, and goes on counting.
        let submitted = submitting.join().unwrap();
        let first = submitted[0];
        assert!(submitted.iter().copied().eq(first..first + LIVE));
        assert!(results.iter().all(|(position, value)| *value == position - first + 1));
        let mut positions: Vec<u64> =
            results.iter().map(|(position, _)| position - first).collect();
        assert!(order == Order::Completion || positions.is_sorted());
        positions.sort_unstable();
        assert_eq!(positions, (0..LIVE).collect::<Vec<_>>());
        assert_quiet(&receiver.stats());
    });
}

#[test]
fn a_flooded_group_floods_itself() {
    let _dog = watchdog(120);
    for (order, workers) in ORDERS.into_iter().flat_map(|order| [(order, 1), (order, 2)]) {
        let pipeline = many(workers).build().unwrap();
        let stop = AtomicBool::new(false);
        let (mut flood, mut sink) = pipeline.open(order).unwrap().split();
        thread::scope(|scope| {
            let stop = &stop;
            let producer = scope.spawn(move || {
                let mut submitted = 0;
                while !stop.load(SeqCst) {
                    submitted += flood.submit_batch(&mut (0..64).map(pass));
                    thread::yield_now();
                }
                submitted
            });
            let consumer = scope.spawn(move || {
                let mut received = 0;
                while sink.recv().is_ok() {
                    received += 1;
                }
                received
            });
            live(pipeline.open(order).unwrap());
            stop.store(true, SeqCst);
            assert_eq!(producer.join().unwrap(), consumer.join().unwrap());
        });
        finish(pipeline);
    }
}

#[test]
fn a_group_that_is_never_drained_fills_its_own_window() {
    let _dog = watchdog(120);
    for (order, workers) in ORDERS.into_iter().flat_map(|order| [(order, 1), (order, 3)]) {
        let pipeline = many(workers).build().unwrap();
        let mut hoards: Vec<_> = (0..4).map(|_| pipeline.open(order).unwrap()).collect();
        for hoard in &mut hoards {
            assert_eq!(hoard.submit_batch(&mut (0..).map(pass)), 32);
        }
        live(pipeline.open(order).unwrap());
        live(pipeline.open(Order::Completion).unwrap());
        for mut hoard in hoards {
            assert_eq!(hoard.try_submit(pass(9)), Err(TrySubmitError::Full(pass(9))));
            assert_eq!(hoard.stats().ledger.done, 32);
            for _ in 0..32 {
                assert!(hoard.recv().unwrap().is_done());
            }
        }
        finish(pipeline);
    }
}

#[test]
fn a_group_that_is_dropped_with_requests_in_flight_is_forgotten() {
    let _dog = watchdog(120);
    for (order, workers) in ORDERS.into_iter().flat_map(|order| [(order, 1), (order, 2)]) {
        let pipeline = many(workers).build().unwrap();
        // Before the others: its positions start at 0.
        let group = pipeline.open(order).unwrap();
        thread::scope(|scope| {
            let abandoner = scope.spawn(|| {
                let mut submitted = 0;
                for _ in 0..300 {
                    // All of the others may be waiting for their requests to end.
                    let Ok(mut group) = pipeline.open(order) else {
                        thread::yield_now();
                        continue;
                    };
                    submitted += group.submit_batch(&mut (0..20).map(pass)) as u64;
                    assert_eq!(group.stats().ledger.submitted, 20);
                }
                submitted
            });
            live(group);
            let abandoned = abandoner.join().unwrap();
            eventually("what was abandoned ends", || pipeline.ledger().done == LIVE + abandoned);
        });
        finish(pipeline);
    }
}

#[test]
fn a_cancelled_group_is_alone_in_that() {
    let _dog = watchdog(120);
    for order in ORDERS {
        let pipeline = many(2).build().unwrap();
        let cancelled: Vec<_> = (0..3)
            .map(|_| {
                let mut group = pipeline.open(order).unwrap();
                assert_eq!(group.submit_batch(&mut (0..).map(pass)), 32);
                group.cancel();
                group
            })
            .collect();
        live(pipeline.open(order).unwrap());
        for mut group in cancelled {
            let outputs = (0..32).map(|_| group.recv().unwrap().value).collect::<Vec<_>>();
            assert_eq!(outputs.len(), 32);
            let ledger = group.stats().ledger;
            assert_eq!(ledger.done + ledger.cancelled, 32);
        }
        finish(pipeline);
    }
}

/// Sleeps for as many microseconds as the request says.
struct Sleeper;

#[state_machine(data = u64)]
impl Sleeper {
    #[stage]
    fn sleep(&mut self, request: &mut Request<'_, Self>) -> Step {
        thread::sleep(Duration::from_micros(**request));
        request.done()
    }
}

#[test]
fn a_slow_group_leaves_the_other_workers_to_the_others() {
    let _dog = watchdog(120);
    for (order, workers) in ORDERS.into_iter().flat_map(|order| [(order, 2), (order, 4)]) {
        let builder = Pipeline::builder(|| Sleeper).workers(workers).reserve(0).groups(5);
        let pipeline = builder.window(16).build().unwrap();
        // The group after the slow one is at home with another worker, the last one with the same.
        let mut slow = pipeline.open(order).unwrap();
        let mut others: Vec<_> = (0..4).map(|_| pipeline.open(order).unwrap()).collect();
        assert_eq!(slow.submit_batch(&mut [20_000; 16].into_iter()), 16);
        for round in 0..50 {
            for other in &mut others {
                other.submit(round % 3).unwrap();
                assert!(other.recv_timeout(LONG).unwrap().is_done());
            }
        }
        for _ in 0..16 {
            assert!(slow.recv_timeout(LONG).unwrap().is_done());
        }
        drop((slow, others));
        assert_eq!(finish(pipeline).done, 16 + 4 * 50);
    }
}

/// A stage that does not return holds up the batch that its worker has claimed, and no other group:
/// neither one that is at home with another worker, nor one that is at home with the same; neither one
/// that its worker was polling (warm), nor one that was asleep.
#[test]
fn a_stage_that_does_not_return_holds_up_no_other_group() {
    let _dog = watchdog(120);
    let mut held_up = Vec::new();
    for (order, warm) in ORDERS.into_iter().flat_map(|order| [(order, false), (order, true)]) {
        let gate = Gate::closed();
        let pipeline = lab_with(&gate).workers(2).reserve(0).groups(4).build().unwrap();
        let mut groups: Vec<_> = (0..4).map(|_| pipeline.open(order).unwrap()).collect();
        if warm {
            for group in &mut groups {
                group.submit(pass(0)).unwrap();
                drop(group.recv().unwrap());
            }
        }
        groups[0].submit(job(Act::Wait, 0)).unwrap();
        gate.wait_for(1);
        for (index, group) in groups.iter_mut().enumerate().skip(1) {
            group.submit(pass(1)).unwrap();
            if group.recv_timeout(Duration::from_secs(5)).is_err() {
                held_up.push((order, warm, index));
            }
        }
        gate.open();
        assert!(groups[0].recv_timeout(LONG).unwrap().is_done());
        drop(groups);
        finish(pipeline);
    }
    assert_eq!(held_up, [], "these waited for a stage of group 0");
}

/// The same for the group itself: what its stuck worker has not claimed, another one runs.
#[test]
fn a_stage_that_does_not_return_holds_up_its_own_batch_alone() {
    let _dog = watchdog(60);
    let gate = Gate::closed();
    let pipeline = lab_with(&gate).workers(2).reserve(0).batch_max(1).build().unwrap();
    let (mut submitter, mut receiver) = pipeline.open(Order::Completion).unwrap().split();
    submitter.submit(job(Act::Wait, 0)).unwrap();
    gate.wait_for(1);
    let mut next = || receiver.recv_timeout(LONG).map(|output| (output.position(), output.value));
    for position in 1..100 {
        assert_eq!(submitter.submit(pass(position)), Ok(position));
        assert_eq!(next(), Ok((position, position + 1)));
    }
    gate.open();
    assert_eq!(next(), Ok((0, 1)), "its own slot, after many laps of the others");
}
