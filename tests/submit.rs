//! The submit end, by every method of it, in both orders.

mod common;

use common::{Act, Gate, LONG, Lab, ORDERS, assert_quiet, ending, eventually, finish, job, lab};
use common::{lab_with, pass, watchdog};
use stageline::{
    Order, Pipeline, Receiver, SubmitError, SubmitTimeoutError, Submitter, TrySubmitError,
};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

fn ends(pipeline: &Pipeline<Lab>, order: Order) -> (Submitter<Lab>, Receiver<Lab>) {
    pipeline.open(order).unwrap().split()
}

/// Receives `count` requests and returns their positions and values, sorted by position.
fn received(receiver: &mut Receiver<Lab>, count: usize) -> Vec<(u64, u64)> {
    let mut all: Vec<_> = (0..count)
        .map(|_| {
            let output = receiver.recv_timeout(LONG).unwrap();
            (output.position(), output.value)
        })
        .collect();
    all.sort_unstable();
    all
}

#[test]
fn try_submit_takes_a_window_full_and_gives_the_rest_back() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = lab().build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        assert_eq!((group.index(), group.order(), group.in_flight()), (0, order, 0));
        for position in 0..8 {
            assert_eq!(group.try_submit(pass(10 * position)), Ok(position));
            assert_eq!(group.in_flight() as u64, position + 1);
        }
        assert_eq!(group.try_submit(pass(99)), Err(TrySubmitError::Full(pass(99))));
        let refused = group.try_submit_with(|_| panic!("not called"));
        assert!(matches!(refused, Err(TrySubmitError::Full(_))));
        assert_eq!(group.submit_batch(&mut [pass(98)].into_iter()), 0);
        assert_eq!(group.in_flight(), 8);

        let output = group.recv().unwrap();
        assert_eq!((output.position(), output.value), (0, 1));
        drop(output);
        assert_eq!(group.try_submit(pass(80)), Ok(8));
        let expected: Vec<_> = (1..9).map(|p| (p, 10 * p + 1)).collect();
        assert_eq!(received(group.receiver(), 8), expected);
        assert_quiet(&group.stats());
        drop(group);
        assert_eq!(finish(pipeline).done, 9);
    }
}

#[test]
fn submit_waits_for_a_slot() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = lab().build().unwrap();
        let (mut submitter, mut receiver) = ends(&pipeline, order);
        let producer = thread::spawn(move || {
            for position in 0..500 {
                assert_eq!(submitter.submit(pass(position)), Ok(position));
            }
            for position in 500..1000 {
                let filled = submitter.submit_with(|slot| *slot = pass(position));
                assert_eq!(filled.ok(), Some(position));
            }
        });
        let mut seen = Vec::new();
        while let Ok(output) = receiver.recv() {
            assert_eq!(output.value, output.position() + 1);
            seen.push(output.position());
        }
        producer.join().unwrap();
        assert!(order == Order::Completion || seen.is_sorted());
        seen.sort_unstable();
        assert_eq!(seen, (0..1000).collect::<Vec<_>>());
        drop(receiver);
        assert_eq!(finish(pipeline).done, 1000);
    }
}

/// A sleeping submitter is woken by the receiver, not by luck: the window stays full for a while.
#[test]
fn a_sleeping_submitter_is_woken_by_each_release() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = lab().window(2).build().unwrap();
        let (mut submitter, mut receiver) = ends(&pipeline, order);
        assert_eq!(submitter.submit_batch(&mut [pass(0), pass(1)].into_iter()), 2);
        let producer = thread::spawn(move || {
            (2..12).for_each(|position| assert_eq!(submitter.submit(pass(position)), Ok(position)));
        });
        for _ in 0..12 {
            thread::sleep(Duration::from_millis(2));
            drop(receiver.recv_timeout(LONG).unwrap());
        }
        producer.join().unwrap();
        assert_quiet(&receiver.stats());
    }
}

#[test]
fn submit_timeout_gives_up_in_time() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = lab().build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        (0..8).for_each(|p| assert_eq!(group.submit_timeout(pass(p), LONG), Ok(p)));
        for timeout in [Duration::ZERO, Duration::from_millis(30)] {
            let start = Instant::now();
            let refused = group.submit_timeout(pass(7), timeout);
            assert_eq!(refused, Err(SubmitTimeoutError::Timeout(pass(7))));
            assert!(start.elapsed() >= timeout && start.elapsed() < LONG);
        }
        drop(group.recv().unwrap());
        assert_eq!(group.submit_timeout(pass(8), Duration::MAX), Ok(8));
        assert_eq!(received(group.receiver(), 8).len(), 8);
    }
}

#[test]
fn submit_with_fills_the_value_that_the_slot_holds() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = lab().window(2).build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        for lap in 0..4 {
            // A slot starts with the default, and keeps what the stages left in it.
            let left = if lap < 2 { 0 } else { 1000 + lap - 2 + 1 };
            let position = group.try_submit_with(|slot| {
                assert_eq!(*slot, pass(left));
                slot.value = 1000 + lap;
            });
            assert_eq!(position.ok(), Some(lap));
            assert_eq!(group.recv().unwrap().value, 1000 + lap + 1);
        }
    }
}

#[test]
fn a_batch_takes_from_the_iterator_what_it_submits_and_no_more() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = lab().build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        assert_eq!(group.submit_batch(&mut std::iter::empty()), 0);
        let mut values = (0..20).map(pass);
        assert_eq!(group.submit_batch(&mut values.by_ref().take(3)), 3);
        assert_eq!(group.submitter().submit_batch(&mut values), 5);
        assert_eq!(values.next(), Some(pass(8)), "none is lost");
        let expected: Vec<_> = (0..8).map(|p| (p, p + 1)).collect();
        assert_eq!(received(group.receiver(), 8), expected);
        assert_eq!(group.submit_batch(&mut values), 8);
        assert_eq!(received(group.receiver(), 8).len(), 8);
        assert_eq!(values.next(), Some(pass(17)));
    }
}

/// Workers see at most 64 at once, and the iterator may or may not say where it ends.
#[test]
fn a_batch_of_many_is_submitted_whole() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = lab().window(256).build().unwrap();
        let (mut submitter, mut receiver) = ends(&pipeline, order);
        let mut first = 0;
        for count in [1, 63, 64, 65, 128, 200, 256] {
            let values = (first..first + count).map(pass);
            assert_eq!(submitter.submit_batch(&mut values.clone()), count as usize);
            let expected: Vec<_> = (first..first + count).map(|at| (at, at + 1)).collect();
            assert_eq!(received(&mut receiver, count as usize), expected);
            first += count;
            assert_eq!(submitter.submit_batch(&mut values.filter(|_| true)), count as usize);
            let expected: Vec<_> = (first..first + count).map(|at| (at, at - count + 1)).collect();
            assert_eq!(received(&mut receiver, count as usize), expected);
            first += count;
        }
    }
}

#[test]
fn several_producers_share_a_submit_end() {
    let _dog = watchdog(60);
    const EACH: u64 = 2_000;
    for (order, (workers, window)) in ORDERS.into_iter().flat_map(|o| [(o, (1, 64)), (o, (3, 4))]) {
        let pipeline = lab().workers(workers).reserve(0).window(window).build().unwrap();
        let (submitter, mut receiver) = ends(&pipeline, order);
        let first = submitter.share();
        let producers: Vec<_> = (0..3)
            .map(|producer| {
                let mut end = first.clone();
                thread::spawn(move || produce(&mut end, producer))
            })
            .collect();
        drop(first);
        let mut values: Vec<u64> = Vec::new();
        let mut positions: Vec<u64> = Vec::new();
        while let Ok(output) = receiver.recv() {
            positions.push(output.position());
            values.push(output.value - 1);
        }
        let mut taken: Vec<(u64, u64)> =
            producers.into_iter().flat_map(|producer| producer.join().unwrap()).collect();
        assert!(order == Order::Completion || positions.is_sorted());
        let mut got: Vec<_> = positions.into_iter().zip(values).collect();
        got.sort_unstable();
        taken.sort_unstable();
        assert_eq!(got, taken, "each position carries what its producer put there");
        assert_eq!(got.len() as u64, 3 * EACH);
        assert_quiet(&receiver.stats());
    }

    /// By all four methods in turn. Returns the positions with the values.
    fn produce(end: &mut stageline::SharedSubmitter<Lab>, producer: u64) -> Vec<(u64, u64)> {
        (0..EACH)
            .map(|index| {
                let value = producer * EACH + index;
                let position = match index % 4 {
                    0 => end.submit(pass(value)).unwrap(),
                    1 => end.submit_timeout(pass(value), LONG).unwrap(),
                    2 => end.submit_with(|slot| *slot = pass(value)).unwrap(),
                    _ => loop {
                        match end.try_submit(pass(value)) {
                            Ok(position) => break position,
                            Err(TrySubmitError::Full(_)) => thread::yield_now(),
                            Err(error) => panic!("{error}"),
                        }
                    },
                };
                (position, value)
            })
            .collect()
    }
}

#[test]
fn a_deadline_that_has_passed_ends_the_request_before_its_next_stage() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let gate = Gate::closed();
        let pipeline = lab_with(&gate).build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        group.set_deadline(Some(Instant::now()));
        group.submit(pass(10)).unwrap();
        group.set_deadline(Some(Instant::now() + LONG));
        group.submit(pass(20)).unwrap();
        group.set_deadline(None);
        group.submit(pass(30)).unwrap();
        let mut endings = Vec::new();
        for _ in 0..3 {
            let output = group.recv().unwrap();
            endings.push((output.position(), ending(&output), output.value));
        }
        let expired = (0, "expired".to_owned(), 10);
        let (second, third) = ((1, "done".to_owned(), 21), (2, "done".to_owned(), 31));
        assert_eq!(endings, [expired, second, third]);

        // Inside a stage when it expires: that stage runs to its end.
        group.set_deadline(Some(Instant::now() + Duration::from_secs(1)));
        group.submit(job(Act::Wait, 1)).unwrap();
        group.submit(pass(2)).unwrap();
        gate.wait_for(1);
        thread::sleep(Duration::from_millis(1010));
        gate.open();
        assert_eq!(ending(&group.recv().unwrap()), "done");
        assert_eq!(ending(&group.recv().unwrap()), "expired");
        let ledger = group.stats().ledger;
        assert_eq!((ledger.done, ledger.expired), (3, 2));
        drop(group);

        // The next one to open the group has no deadline.
        let mut group = pipeline.open(order).unwrap();
        group.submit(pass(0)).unwrap();
        assert_eq!(ending(&group.recv().unwrap()), "done");
        drop(group);
        finish(pipeline);
    }
}

#[test]
fn a_cancelled_group_ends_what_has_not_run_and_refuses_more() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let gate = Gate::closed();
        let pipeline = lab_with(&gate).build().unwrap();
        let (mut submitter, mut receiver) = ends(&pipeline, order);
        submitter.submit(job(Act::Wait, 0)).unwrap();
        gate.wait_for(1);
        (1..8).for_each(|value| assert!(submitter.submit(pass(value)).is_ok()));
        // A submitter that sleeps on the full window is woken and refused.
        let sleeper = thread::spawn(move || {
            assert_eq!(submitter.submit(pass(8)), Err(SubmitError::Cancelled(pass(8))));
            submitter
        });
        thread::sleep(Duration::from_millis(5));
        receiver.cancel();
        let mut submitter = sleeper.join().unwrap();
        assert_eq!(submitter.try_submit(pass(9)), Err(TrySubmitError::Cancelled(pass(9))));
        let in_time = submitter.submit_timeout(pass(9), LONG);
        assert_eq!(in_time, Err(SubmitTimeoutError::Cancelled(pass(9))));
        assert!(matches!(submitter.submit_with(|_| {}), Err(SubmitError::Cancelled(_))));
        assert_eq!(submitter.submit_batch(&mut [pass(9)].into_iter()), 0);
        gate.open();
        drop(submitter);
        let mut endings = Vec::new();
        while let Ok(output) = receiver.recv() {
            endings.push(ending(&output));
        }
        assert_eq!(endings.remove(0), "done", "it was inside its stage");
        assert_eq!(endings, vec!["cancelled"; 7]);
        assert_eq!(receiver.stats().ledger.cancelled, 7);
        drop(receiver);
        finish(pipeline);
    }
}

#[test]
fn every_handle_can_cancel() {
    let _dog = watchdog(60);
    let pipeline = lab().build().unwrap();
    let group = pipeline.open(Order::Submission).unwrap();
    group.cancel();
    let (mut submitter, receiver) = group.split();
    assert_eq!(submitter.try_submit(pass(0)), Err(TrySubmitError::Cancelled(pass(0))));
    drop((submitter, receiver));
    let (submitter, receiver) = ends(&pipeline, Order::Submission);
    submitter.cancel();
    let mut shared = submitter.share();
    assert_eq!(shared.submit(pass(0)), Err(SubmitError::Cancelled(pass(0))));
    drop((shared, receiver));
    let (submitter, _receiver) = ends(&pipeline, Order::Submission);
    let mut shared = submitter.share();
    assert_eq!(shared.try_submit(pass(0)), Ok(0), "opening again undoes it");
    shared.clone().cancel();
    assert_eq!(shared.submit(pass(0)), Err(SubmitError::Cancelled(pass(0))));
}

#[test]
fn a_submit_end_without_receiver_is_closed() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let gate = Gate::closed();
        let pipeline = Arc::new(lab_with(&gate).build().unwrap());
        let (mut submitter, receiver) = ends(&pipeline, order);
        submitter.submit(job(Act::Wait, 0)).unwrap();
        gate.wait_for(1);
        (0..7).for_each(|value| assert!(submitter.submit(pass(value)).is_ok()));
        let sleeper = thread::spawn(move || {
            assert_eq!(submitter.submit(pass(8)), Err(SubmitError::Closed(pass(8))));
            submitter
        });
        thread::sleep(Duration::from_millis(5));
        drop(receiver);
        let mut submitter = sleeper.join().unwrap();
        assert_eq!(submitter.try_submit(pass(9)), Err(TrySubmitError::Closed(pass(9))));
        assert_eq!(TrySubmitError::Closed(pass(9)).into_inner(), pass(9));
        gate.open();
        drop(submitter);
        eventually("what is in flight runs to its end", || pipeline.ledger().done == 8);
        finish(Arc::into_inner(pipeline).unwrap());
    }
}
