//! Streams of one request, of a thousand, of a thousand with an error in the middle, of odd and even
//! ones through an acyclic machine, and of a million in order through ten workers.

mod common;

use common::{Act, LONG, ORDERS, ending, finish, job, lab, pass, watchdog};
use stageline::{Order, Outcome, Pipeline, Request, Step, state_machine};
use std::thread;

#[test]
fn one_request() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = lab().build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        assert_eq!(group.submit(pass(41)), Ok(0));
        let output = group.recv().unwrap();
        assert_eq!((output.position(), output.value, output.is_done()), (0, 42, true));
        drop(output);
        drop(group);
        let ledger = finish(pipeline);
        assert_eq!((ledger.submitted, ledger.done, ledger.received), (1, 1, 1));
    }
}

#[test]
fn a_thousand_requests() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = lab().window(1024).build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        for value in 0..1000 {
            assert_eq!(group.submit(pass(value)), Ok(value));
        }
        let mut seen = vec![0_u32; 1000];
        for _ in 0..1000 {
            let output = group.recv().unwrap();
            assert_eq!(output.value, output.position() + 1);
            seen[output.position() as usize] += 1;
        }
        assert_eq!(seen, vec![1; 1000]);
        drop(group);
        let ledger = finish(pipeline);
        assert_eq!((ledger.submitted, ledger.done, ledger.received), (1000, 1000, 1000));
    }
}

/// The consumer cancels the rest when it sees the error. What comes then is done or cancelled, and
/// everything comes once.
#[test]
fn a_thousand_requests_with_an_error_in_the_middle() {
    let _dog = watchdog(60);
    for (order, window) in ORDERS.into_iter().flat_map(|order| [(order, 16), (order, 1024)]) {
        let pipeline = lab().window(window).build().unwrap();
        let (mut submitter, mut receiver) = pipeline.open(order).unwrap().split();
        let producer = thread::spawn(move || {
            let jobs = (0..1000).map(|value| match value {
                500 => job(Act::Fail, value),
                _ => pass(value),
            });
            jobs.map_while(|job| submitter.submit(job).ok()).count()
        });
        let (mut done, mut failed, mut cancelled) = (vec![], vec![], vec![]);
        loop {
            let Ok(output) = receiver.recv() else { break };
            let position = output.position();
            match output.outcome() {
                Outcome::Done => {
                    assert_eq!(output.value, position + 1);
                    done.push(position);
                }
                Outcome::Failed { error, .. } => {
                    assert_eq!((position, error.as_str()), (500, "failed at 501"));
                    failed.push(position);
                }
                Outcome::Cancelled => {
                    let stages = output.value - position;
                    assert!(stages <= 1, "it may have run through the first stage of two");
                    cancelled.push(position);
                }
                other => panic!("{other}"),
            }
            drop(output);
            if position == 500 {
                receiver.cancel();
            }
        }
        let submitted = producer.join().unwrap() as u64;
        assert!(submitted > 500);
        assert_eq!(failed, [500]);
        assert!(done.len() >= 500);
        let ledger = receiver.stats().ledger;
        let counts = (ledger.submitted, ledger.done, ledger.failed, ledger.cancelled);
        let seen = (submitted, done.len() as u64, 1, cancelled.len() as u64);
        assert_eq!(counts, seen);
        let mut all = [done, failed, cancelled].concat();
        all.sort_unstable();
        assert_eq!(all, (0..submitted).collect::<Vec<_>>(), "each one once");
        drop(receiver);
        finish(pipeline);
    }
}

/// Even numbers are sent back to the stage in the middle; odd ones pass.
struct Parity;

#[state_machine(data = u64, error = String)]
impl Parity {
    #[stage]
    fn enter(&mut self, number: &mut Request<'_, Self>) -> Step {
        number.next(Self::MIDDLE)
    }

    #[stage]
    fn middle(&mut self, number: &mut Request<'_, Self>) -> Step {
        number.next(Self::LEAVE)
    }

    #[stage]
    fn leave(&mut self, number: &mut Request<'_, Self>) -> Step {
        if number.is_multiple_of(2) { number.next(Self::MIDDLE) } else { number.done() }
    }
}

#[test]
fn even_numbers_end_as_cyclic_with_their_way() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let builder = Pipeline::builder(|| Parity).workers(1).groups(1).window(64);
        let pipeline = builder.dag().build().unwrap();
        let (mut submitter, mut receiver) = pipeline.open(order).unwrap().split();
        let producer = thread::spawn(move || {
            (0..1000).for_each(|number| assert_eq!(submitter.submit(number), Ok(number)));
        });
        let mut seen = Vec::new();
        while let Ok(output) = receiver.recv() {
            let number = *output;
            let expected = match number % 2 {
                0 => "cyclic: enter -> middle -> leave -> middle",
                _ => "done",
            };
            assert_eq!(ending(&output), expected, "{number}");
            seen.push(number);
        }
        producer.join().unwrap();
        seen.sort_unstable();
        assert_eq!(seen, (0..1000).collect::<Vec<_>>());
        drop(receiver);
        let ledger = finish(pipeline);
        assert_eq!((ledger.done, ledger.cyclic), (500, 500));
    }
}

#[test]
fn a_million_requests_in_order_through_ten_workers() {
    let _dog = watchdog(240);
    const COUNT: u64 = 1_000_000;
    let builder = lab().workers(10).groups(1).window(1024);
    let pipeline = builder.build().unwrap();
    let (mut submitter, mut receiver) = pipeline.open(Order::Submission).unwrap().split();
    let producer = thread::spawn(move || {
        let mut values = (0..COUNT).map(pass);
        let mut submitted = 0;
        while submitted < COUNT {
            let value = values.next().unwrap();
            assert_eq!(submitter.submit(value), Ok(submitted));
            submitted += 1 + submitter.submit_batch(&mut values) as u64;
        }
    });
    for expected in 0..COUNT {
        let output = receiver.recv_timeout(LONG).unwrap();
        assert_eq!((output.position(), output.value), (expected, expected + 1));
    }
    producer.join().unwrap();
    drop(receiver);
    assert_eq!(finish(pipeline).done, COUNT);
}
