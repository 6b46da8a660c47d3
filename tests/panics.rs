//! Panics of user code, wherever it is called: they end their own request and nothing else.

mod common;

use common::values::Bomb;
use common::{LONG, ORDERS, assert_balanced, ending, eventually, finish, threads_leave, watchdog};
use stageline::{
    BuildError, Order, Outcome, Pipeline, Receiver, Request, RequestGroup, Step, Submitter,
    state_machine,
};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

/// What the stage is to do with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Act {
    #[default]
    Pass,
    Str,
    Text,
    Number,
    Bomb,
    /// Fails the request first.
    FailedBefore,
}

/// Counts the requests that one instance has seen.
struct Fragile {
    seen: u64,
}

#[state_machine(data = (Act, u64), error = String)]
impl Fragile {
    #[stage]
    fn run(&mut self, request: &mut Request<'_, Self>) -> Step {
        self.seen += 1;
        request.1 = self.seen;
        match request.0 {
            Act::Pass => request.done(),
            Act::Str => panic!("a fixed message"),
            Act::Text => panic!("made at {}", request.position()),
            Act::Number => panic_any(17_u32),
            Act::Bomb => panic_any(Bomb),
            Act::FailedBefore => {
                let _ = request.fail("an error".to_owned());
                panic!("after the error")
            }
        }
    }
}

const ACTS: [Act; 6] = [Act::Pass, Act::Str, Act::Text, Act::Number, Act::Bomb, Act::FailedBefore];

#[test]
fn every_seventh_request_panics_and_the_others_do_not_notice() {
    let _dog = watchdog(120);
    let no_text = "panicked: a panic whose payload is no string";
    for (order, workers) in ORDERS.into_iter().flat_map(|order| [(order, 1), (order, 3)]) {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&made);
        let factory = move || {
            counted.fetch_add(1, SeqCst);
            Fragile { seen: 0 }
        };
        let pipeline = Pipeline::builder(factory).workers(workers).window(64).build().unwrap();
        let (mut submitter, mut receiver) = pipeline.open(order).unwrap().split();
        let act = |position: u64| match position % 7 {
            3 => ACTS[1 + (position / 7) as usize % 5],
            _ => Act::Pass,
        };
        thread::scope(|scope| {
            scope.spawn(move || {
                (0..700).for_each(|p| assert_eq!(submitter.submit((act(p), 0)), Ok(p)));
            });
            for _ in 0..700 {
                let output = receiver.recv_timeout(LONG).unwrap();
                let position = output.position();
                let expected = match act(position) {
                    Act::Pass => "done",
                    Act::Str => "panicked: a fixed message",
                    Act::Text => &format!("panicked: made at {position}"),
                    Act::Number | Act::Bomb => no_text,
                    Act::FailedBefore => "panicked: after the error",
                };
                assert_eq!(ending(&output), expected);
            }
        });
        assert_eq!(receiver.stats().ledger.panicked, 100);
        drop(receiver);
        let ledger = finish(pipeline);
        assert_eq!((ledger.done, ledger.panicked), (600, 100));
        // The last panic may be that of a worker that got nothing more to do.
        let made = made.load(SeqCst);
        assert!((100..=100 + workers).contains(&made), "{made} machines for {workers} workers");
    }
}

#[test]
fn a_fresh_machine_takes_over_in_the_same_batch() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = Pipeline::builder(|| Fragile { seen: 0 }).workers(1).build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        let acts = [Act::Pass, Act::Pass, Act::Str, Act::Pass, Act::Bomb, Act::Str, Act::Pass];
        assert_eq!(group.submit_batch(&mut acts.into_iter().map(|act| (act, 0))), 7);
        let counts: Vec<_> = (0..7).map(|_| group.recv().unwrap().1).collect();
        assert_eq!(counts, [1, 2, 3, 1, 2, 1, 1], "each panic starts a new count");
    }
}

#[test]
fn a_factory_that_panics_at_build_is_an_error_and_leaves_nothing() {
    let _dog = watchdog(60);
    for panicking in 0..4 {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let factory = move || {
            let call = counted.fetch_add(1, SeqCst);
            assert_ne!(call, panicking, "no machine today");
            Fragile { seen: 0 }
        };
        let builder = Pipeline::builder(factory).workers(4).name("fac-build");
        match builder.build() {
            Err(BuildError::Factory { worker, message }) => {
                assert!(worker < 4);
                assert!(message.contains("no machine today"), "{message}");
            }
            other => panic!("{other:?}"),
        }
        threads_leave("fac-build");
        assert_eq!(Arc::strong_count(&calls), 1, "the factory is gone too");
    }
}

#[test]
fn a_factory_that_panics_at_renewal_costs_the_rest_of_the_batch() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let factory = move || {
            let call = counted.fetch_add(1, SeqCst);
            assert!(call == 0 || call >= 3, "out of machines");
            Fragile { seen: 0 }
        };
        let pipeline = Pipeline::builder(factory).workers(1).build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        let one = |group: &mut RequestGroup<Fragile>, act| {
            group.submit((act, 0)).unwrap();
            ending(&group.recv().unwrap())
        };
        assert_eq!(one(&mut group, Act::Str), "panicked: a fixed message");
        for _ in 0..2 {
            let ended = one(&mut group, Act::Pass);
            assert!(ended.starts_with("panicked: the machine's factory panicked: "), "{ended}");
            assert!(ended.contains("out of machines"), "{ended}");
        }
        assert_eq!(one(&mut group, Act::Pass), "done", "the third machine is made");
        drop(group);
        assert_eq!(finish(pipeline).panicked, 3);
    }
}

/// A value, or an error, whose drop panics if it is armed.
#[derive(Debug, Default, PartialEq)]
struct Mine {
    armed: bool,
}

impl Drop for Mine {
    fn drop(&mut self) {
        if std::mem::take(&mut self.armed) {
            panic!("the drop of a mine");
        }
    }
}

fn mine(armed: bool) -> Mine {
    Mine { armed }
}

/// Fails each armed payload with an armed error, and disarms the payload if `disarms`.
struct Mines {
    disarms: bool,
}

#[state_machine(data = Mine, error = Mine)]
impl Mines {
    #[stage]
    fn run(&mut self, request: &mut Request<'_, Self>) -> Step {
        if !request.armed {
            return request.done();
        }
        if !self.disarms {
            return request.done();
        }
        request.armed = false;
        request.fail(mine(true))
    }
}

fn mines(disarms: bool) -> Pipeline<Mines> {
    let builder = Pipeline::builder(move || Mines { disarms }).workers(1).groups(1);
    builder.window(2).build().unwrap()
}

/// The value that a slot held before is dropped by `submit`. If that panics, the request has been
/// submitted all the same: it must be run though its group has slept since.
#[test]
fn a_replaced_value_whose_drop_panics_leaves_its_request_submitted() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let submits: [fn(&mut Submitter<Mines>, Mine); 3] = [
            |end, value| drop(end.submit(value)),
            |end, value| drop(end.try_submit(value)),
            |end, value| assert_eq!(end.submit_batch(&mut [value].into_iter()), 1),
        ];
        for submit in submits {
            let pipeline = mines(false);
            let (mut submitter, mut receiver) = pipeline.open(order).unwrap().split();
            for armed in [true, false] {
                submitter.submit(mine(armed)).unwrap();
                assert!(receiver.recv_timeout(LONG).unwrap().is_done());
            }
            eventually("the worker sleeps", || pipeline.stats().workers[0].parked);
            let result = catch_unwind(AssertUnwindSafe(|| submit(&mut submitter, mine(false))));
            assert!(result.is_err(), "slot 0 held an armed value");
            let output = receiver.recv_timeout(Duration::from_secs(5));
            assert_eq!(output.expect("it was submitted").position(), 2);
            submitter.submit(mine(false)).unwrap();
            assert_eq!(receiver.recv_timeout(LONG).unwrap().position(), 3);
            drop((submitter, receiver));
            assert_eq!(finish(pipeline).done, 4);
        }
    }
}

#[test]
fn an_error_whose_drop_panics_gives_its_slot_back() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = mines(true);
        let mut group = pipeline.open(order).unwrap();
        for position in 0..6 {
            assert_eq!(group.submit(mine(true)), Ok(position));
            let output = group.recv().unwrap();
            assert!(matches!(output.outcome(), Outcome::Failed { error, .. } if error.armed));
            let result = catch_unwind(AssertUnwindSafe(|| drop(output)));
            assert!(result.is_err());
            assert_eq!(group.in_flight(), 0);
        }
        drop(group);
        assert_eq!(finish(pipeline).failed, 6);
    }
}

#[test]
fn a_dropped_group_whose_errors_panic_is_opened_again() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = mines(true);
        for round in 0..4 {
            let mut group = pipeline.open(order).unwrap();
            for ahead in 0..2 {
                assert_eq!(group.submit(mine(true)), Ok(2 * round + ahead));
            }
            drop(group);
            eventually("both have ended", || pipeline.ledger().failed == 2 * round + 2);
        }
        drop(pipeline.open(order).unwrap());
        assert_balanced(&pipeline.close());
    }
}

#[test]
fn a_filler_that_panics_submits_nothing_for_a_sole_submitter() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = Pipeline::builder(|| Fragile { seen: 0 }).workers(1).build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        for position in 0..3 {
            let result = catch_unwind(AssertUnwindSafe(|| {
                let _ = group.submit_with(|_| panic!("while filling"));
            }));
            assert!(result.is_err());
            assert_eq!(group.in_flight(), 0);
            assert_eq!(group.submit((Act::Pass, 0)), Ok(position), "the position is kept");
            assert!(group.recv().unwrap().is_done());
        }
        let mut batch = (0..4).map(|index| {
            assert_ne!(index, 2, "in the iterator");
            (Act::Pass, 0)
        });
        let result = catch_unwind(AssertUnwindSafe(|| group.submit_batch(&mut batch)));
        assert!(result.is_err());
        assert_eq!(group.in_flight(), 2, "those before it were submitted");
        for _ in 0..2 {
            assert!(group.receiver().recv_timeout(LONG).unwrap().is_done());
        }
        drop(group);
        assert_eq!(finish(pipeline).submitted, 5);
    }
}

#[test]
fn a_filler_that_panics_ends_as_cancelled_for_a_shared_submitter() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = Pipeline::builder(|| Fragile { seen: 0 }).workers(1).build().unwrap();
        let (submitter, mut receiver) = pipeline.open(order).unwrap().split();
        let mut shared = submitter.share();
        eventually("the worker sleeps", || pipeline.stats().workers[0].parked);
        let result = catch_unwind(AssertUnwindSafe(|| {
            let _ = shared.try_submit_with(|_| panic!("while filling"));
        }));
        assert!(result.is_err());
        assert_eq!(shared.submit((Act::Pass, 0)), Ok(1), "position 0 was taken");
        let endings: Vec<_> = (0..2).map(|_| next(&mut receiver)).collect();
        assert_eq!(endings, [(0, "cancelled".to_owned()), (1, "done".to_owned())]);
        drop((shared, receiver));
        let ledger = finish(pipeline);
        assert_eq!((ledger.submitted, ledger.cancelled, ledger.done), (2, 1, 1));
    }

    fn next(receiver: &mut Receiver<Fragile>) -> (u64, String) {
        let output = receiver.recv_timeout(LONG).unwrap();
        (output.position(), ending(&output))
    }
}

#[test]
fn a_hook_that_panics_ends_its_request() {
    let _dog = watchdog(60);
    fn hook(_: &mut Fragile, request: &mut Request<'_, Fragile>) -> Result<(), String> {
        assert_ne!(request.position() % 2, 1, "an odd position");
        Ok(())
    }
    for order in ORDERS {
        let builder = Pipeline::builder(|| Fragile { seen: 0 }).workers(1).before_stage(hook);
        let pipeline = builder.dag().build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        for position in 0..6 {
            group.submit((Act::Pass, 0)).unwrap();
            let ended = ending(&group.recv().unwrap());
            assert_eq!(ended.contains("an odd position"), position % 2 == 1, "{ended}");
            assert_eq!(ended == "done", position % 2 == 0, "{ended}");
        }
        let stages = pipeline.stats().stages;
        assert!(
            stages.iter().all(|stage| stage.entered <= 3),
            "half were refused before each stage"
        );
        assert_eq!(stages[0].entered, 3);
    }
}

/// Its `close` panics, and so does its drop.
struct Sore(Arc<AtomicUsize>);

#[state_machine(data = u8)]
impl Sore {
    #[stage]
    fn run(&mut self, request: &mut Request<'_, Self>) -> Step {
        assert_ne!(**request, 13, "unlucky");
        request.done()
    }

    #[close]
    fn finish(&mut self) {
        self.0.fetch_add(1, SeqCst);
        panic_any(Bomb)
    }
}

impl Drop for Sore {
    fn drop(&mut self) {
        self.0.fetch_add(100, SeqCst);
        panic!("while dropping the machine");
    }
}

#[test]
fn a_machine_whose_close_and_drop_panic_is_survived() {
    let _dog = watchdog(60);
    let (count, made) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, making) = (Arc::clone(&count), Arc::clone(&made));
    let factory = move || {
        making.fetch_add(1, SeqCst);
        Sore(Arc::clone(&counted))
    };
    let pipeline = Pipeline::builder(factory).workers(2).build().unwrap();
    let mut group = pipeline.open(Order::Submission).unwrap();
    for value in [1, 13, 2] {
        group.submit(value).unwrap();
    }
    let done: Vec<_> = (0..3).map(|_| group.recv().unwrap().is_done()).collect();
    assert_eq!(done, [true, false, true]);
    drop(group);
    finish(pipeline);
    // A worker whose machine panicked makes another one when it next has a request.
    let made = made.load(SeqCst);
    assert!((2..=3).contains(&made));
    assert_eq!(count.load(SeqCst), 100 * made + made - 1, "all are dropped, all but one closed");
}
