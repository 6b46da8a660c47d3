//! Waits that end in time, at the moment in which what they wait for comes: nothing is lost between the
//! two, and the same end waits again.

mod common;

use common::{LONG, ORDERS, Random, assert_quiet, finish, watchdog};
use stageline::{
    Order, Pipeline, RecvTimeoutError, Request, Step, SubmitTimeoutError, WaitStrategy,
    state_machine,
};
use std::thread;
use std::time::{Duration, Instant};

/// How long a request may take at most; half as long is waited for it.
const SERVICE: Duration = Duration::from_micros(400);

/// Takes as many nanoseconds as its request says.
struct Slow;

#[state_machine(data = (u64, u64))]
impl Slow {
    #[stage]
    fn run(&mut self, request: &mut Request<'_, Self>) -> Step {
        let start = Instant::now();
        while start.elapsed() < Duration::from_nanos(request.0) {
            thread::yield_now();
        }
        request.done()
    }
}

fn pipeline(workers: usize, strategy: WaitStrategy) -> Pipeline<Slow> {
    let builder = Pipeline::builder(|| Slow).workers(workers).reserve(0).wait(strategy);
    builder.pin(false).groups(1).window(2).build().unwrap()
}

fn cases() -> impl Iterator<Item = (Order, usize, WaitStrategy)> {
    let strategies = [WaitStrategy::SpinThenYield, WaitStrategy::SpinThenPark];
    let cases = ORDERS.into_iter().flat_map(|order| [(order, 1), (order, 2)]);
    cases.flat_map(move |(order, workers)| strategies.map(|wait| (order, workers, wait)))
}

/// The outcomes that a test is to reach, each this often.
const TIMES: u64 = 25;

fn service(random: &mut Random) -> u64 {
    random.below(SERVICE.as_nanos() as u64)
}

/// A receiver gives up just when its result comes. Then it waits again, and gets it.
#[test]
fn a_result_that_comes_at_the_deadline_is_received_once() {
    let _dog = watchdog(240);
    let mut random = Random(11);
    for (order, workers, strategy) in cases() {
        let pipeline = pipeline(workers, strategy);
        let mut group = pipeline.open(order).unwrap();
        let (mut in_time, mut late, mut next) = (0, 0, 0);
        while in_time < TIMES || late < TIMES {
            assert_eq!(group.submit((service(&mut random), next)), Ok(next));
            let mut waits = 0;
            let received = loop {
                match group.recv_timeout(SERVICE / 2) {
                    Ok(output) => break (output.position(), output.1),
                    Err(RecvTimeoutError::Timeout) => waits += 1,
                    Err(error) => panic!("{error}"),
                }
                assert_eq!(group.in_flight(), 1, "seed 11: it is still to come");
            };
            assert_eq!(received, (next, next), "seed 11");
            if waits == 0 {
                in_time += 1
            } else {
                late += 1
            }
            next += 1;
        }
        let nothing = group.recv_timeout(Duration::from_micros(10)).err();
        assert_eq!(nothing, Some(RecvTimeoutError::Timeout), "nothing comes twice");
        assert_quiet(&group.stats());
        drop(group);
        assert_eq!(finish(pipeline).done, next);
    }
}

/// A submitter gives up just when a slot becomes free. It gets its value back, and submits it again.
#[test]
fn a_slot_that_is_free_at_the_deadline_is_used_once() {
    let _dog = watchdog(240);
    let mut random = Random(12);
    for (order, workers, strategy) in cases() {
        let pipeline = pipeline(workers, strategy);
        let (mut submitter, mut receiver) = pipeline.open(order).unwrap().split();
        thread::scope(|scope| {
            let receiver = scope.spawn(move || {
                let mut values = Vec::new();
                while let Ok(output) = receiver.recv() {
                    values.push(output.1);
                }
                values
            });
            let (mut in_time, mut late, mut next) = (0, 0, 0);
            while in_time < TIMES || late < TIMES {
                let (mut job, mut waits) = ((service(&mut random), next), 0);
                loop {
                    match submitter.submit_timeout(job, SERVICE / 2) {
                        Ok(position) => break assert_eq!(position, next),
                        Err(SubmitTimeoutError::Timeout(back)) => {
                            assert_eq!(back, job, "the value comes back");
                            (job, waits) = (back, waits + 1);
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
                if waits == 0 {
                    in_time += 1
                } else {
                    late += 1
                }
                next += 1;
            }
            drop(submitter);
            let mut values = receiver.join().unwrap();
            assert!(order == Order::Completion || values.is_sorted());
            values.sort_unstable();
            assert_eq!(values, (0..next).collect::<Vec<_>>(), "seed 12: each once");
        });
        assert_eq!(finish(pipeline).in_flight(), 0);
    }
}

/// Both ends give up and wait again, while the pipeline closes at some moment: what was accepted is
/// received, and both are told.
#[test]
fn waits_that_are_given_up_at_the_close_lose_nothing() {
    let _dog = watchdog(240);
    let mut random = Random(13);
    for round in 0..10 {
        for (order, workers, strategy) in cases() {
            let pipeline = pipeline(workers, strategy);
            let (mut submitter, mut receiver) = pipeline.open(order).unwrap().split();
            let (seed, pause) = (random.next(), random.below(2_000));
            thread::scope(|scope| {
                let submitter = scope.spawn(move || {
                    let mut random = Random(seed);
                    let mut accepted = 0;
                    loop {
                        let job = (service(&mut random) / 4, accepted);
                        match submitter.submit_timeout(job, SERVICE / 8) {
                            Ok(_) => accepted += 1,
                            Err(SubmitTimeoutError::Timeout(_)) => {}
                            Err(_) => return accepted,
                        }
                    }
                });
                let receiver = scope.spawn(move || {
                    let mut values = Vec::new();
                    loop {
                        match receiver.recv_timeout(SERVICE / 8) {
                            Ok(output) => values.push(output.1),
                            Err(RecvTimeoutError::Timeout) => {}
                            Err(_) => return values,
                        }
                    }
                });
                thread::sleep(Duration::from_micros(pause));
                let ledger = pipeline.close_timeout(LONG).unwrap();
                assert!(ledger.ended() <= ledger.submitted, "{ledger}");
                let accepted = submitter.join().unwrap();
                let mut values = receiver.join().unwrap();
                values.sort_unstable();
                let expected: Vec<u64> = (0..accepted).collect();
                assert_eq!(values, expected, "seed 13, round {round}, {order:?}, {strategy:?}");
            });
        }
    }
}
