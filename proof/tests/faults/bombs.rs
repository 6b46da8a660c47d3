//! `panic_any` of a value whose own `Drop` panics, from every place where user code is called.

use proof::common::{LONG, ORDERS, assert_balanced, ending, eventually, watchdog};
use proof::threads;
use stageline::{BuildError, Pipeline, Request, RequestGroup, Step, state_machine};
use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// Its drop panics with another one, for ever. Whoever catches one has to forget it.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic_any(Bomb);
    }
}

const NO_TEXT: &str = "panicked: a panic whose payload is no string";

/// Runs what throws a bomb, and lays it aside.
#[track_caller]
fn explodes<T>(f: impl FnOnce() -> T) {
    let result = catch_unwind(AssertUnwindSafe(|| drop(f())));
    let bomb: Box<dyn Any + Send> = result.expect_err("it explodes");
    assert!(bomb.is::<Bomb>());
    mem::forget(bomb);
}

/// Explodes in the stage at 13, in the hook at 14.
struct Range;

#[state_machine(data = u64, error = String)]
impl Range {
    #[stage]
    fn walk(&mut self, request: &mut Request<'_, Self>) -> Step {
        if **request == 13 {
            panic_any(Bomb);
        }
        request.done()
    }
}

/// What each of these values ends as, one after the other and, again, all at once.
fn endings(group: &mut RequestGroup<Range>, values: &[u64]) -> Vec<String> {
    let one = |group: &mut RequestGroup<Range>, value: &u64| {
        group.submit(*value).unwrap();
        ending(&group.recv_timeout(LONG).unwrap())
    };
    let mut ended: Vec<_> = values.iter().map(|value| one(group, value)).collect();
    assert_eq!(group.submit_batch(&mut values.iter().copied()), values.len());
    // In the order of completion another worker may come first.
    let mut together = Vec::new();
    for _ in values {
        let output = group.recv_timeout(LONG).unwrap();
        together.push((output.position(), ending(&output)));
    }
    together.sort();
    ended.extend(together.into_iter().map(|(_, ending)| ending));
    ended
}

#[test]
fn a_bomb_in_a_stage_or_a_hook_ends_its_request() {
    let _dog = watchdog(60);
    for (order, workers) in ORDERS.into_iter().flat_map(|order| [(order, 1), (order, 2)]) {
        let builder = Pipeline::builder(|| Range).workers(workers).before_stage(|_, request| {
            if **request == 14 {
                panic_any(Bomb);
            }
            Ok(())
        });
        let pipeline = builder.build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        let ended = endings(&mut group, &[1, 13, 14, 13, 2]);
        let expected = ["done", NO_TEXT, NO_TEXT, NO_TEXT, "done"];
        assert_eq!(ended, [expected, expected].concat());
        drop(group);
        let ledger = pipeline.close();
        assert_balanced(&ledger);
        assert_eq!((ledger.done, ledger.panicked), (4, 6));
    }
}

#[test]
fn a_bomb_in_the_machines_factory_is_an_error_at_build() {
    let _dog = watchdog(60);
    for exploding in 0..3 {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let factory = move || {
            if counted.fetch_add(1, SeqCst) == exploding {
                panic_any(Bomb);
            }
            Range
        };
        let error = Pipeline::builder(factory).workers(3).name("bomb-build").build().unwrap_err();
        let BuildError::Factory { worker, message } = error else { panic!("{error}") };
        assert!(worker < 3);
        assert_eq!(message, "a panic whose payload is no string");
        assert!(threads::all().iter().all(|(_, name)| !name.starts_with("bomb-build")));
        assert_eq!(Arc::strong_count(&calls), 1, "the factory is gone too");
    }
}

#[test]
fn a_bomb_in_the_factory_of_payloads_leaves_nothing() {
    let _dog = watchdog(60);
    let alive = Arc::new(());
    for exploding in [0, 1, 20] {
        let (held, mut made) = (Arc::clone(&alive), 0);
        let payload = move || {
            made += 1;
            if made > exploding {
                panic_any(Bomb);
            }
            Some(Arc::clone(&held))
        };
        let builder = Pipeline::builder_with(|| Holder, payload).groups(2).window(16);
        explodes(|| builder.build());
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}

/// Has payloads that can be counted.
struct Holder;

#[state_machine(data = Option<Arc<()>>, error = String)]
impl Holder {
    #[stage]
    fn hold(&mut self, request: &mut Request<'_, Self>) -> Step {
        request.done()
    }
}

#[test]
fn a_bomb_in_the_factory_at_renewal_costs_requests_and_no_worker() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let broken = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&broken);
        let factory = move || {
            if asked.load(SeqCst) {
                panic_any(Bomb);
            }
            Range
        };
        let pipeline = Pipeline::builder(factory).workers(1).build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        broken.store(true, SeqCst);
        let ended = endings(&mut group, &[13, 1, 2]);
        assert_eq!(ended[0], NO_TEXT);
        let expected =
            "panicked: the machine's factory panicked: a panic whose payload is no string";
        assert!(ended[1..].iter().all(|ending| ending == expected), "{ended:?}");
        broken.store(false, SeqCst);
        assert_eq!(endings(&mut group, &[1, 2]), ["done"; 4]);
        drop(group);
        assert_balanced(&pipeline.close());
    }
}

#[test]
fn a_bomb_in_a_filler_comes_to_who_submits_and_nothing_is_lost() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = Pipeline::builder(|| Range).workers(1).window(8).build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        for _ in 0..20 {
            explodes(|| group.try_submit_with(|_| panic_any(Bomb)));
            explodes(|| group.submit_with(|_| panic_any(Bomb)));
            let mut values = (0..4).map(|value| if value == 2 { panic_any(Bomb) } else { value });
            explodes(|| group.submit_batch(&mut values));
            assert_eq!(group.in_flight(), 2, "those before the bomb");
            for _ in 0..2 {
                assert!(group.recv_timeout(LONG).unwrap().is_done());
            }
        }
        let (submitter, mut receiver) = group.split();
        let mut shared = submitter.share();
        for _ in 0..20 {
            explodes(|| shared.try_submit_with(|_| panic_any(Bomb)));
            assert_eq!(ending(&receiver.recv_timeout(LONG).unwrap()), "cancelled");
            shared.submit(1).unwrap();
            assert!(receiver.recv_timeout(LONG).unwrap().is_done());
        }
        drop((shared, receiver));
        let ledger = pipeline.close();
        assert_balanced(&ledger);
        assert_eq!((ledger.done, ledger.cancelled), (60, 20));
    }
}

#[test]
fn a_bomb_in_the_closure_of_a_drain_gives_the_slots_back() {
    let _dog = watchdog(60);
    for (order, workers) in ORDERS.into_iter().flat_map(|order| [(order, 1), (order, 2)]) {
        let pipeline = Pipeline::builder(|| Range).workers(workers).window(8).build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        for round in 0..40 {
            // Of 8 results the one after `before` explodes, and is given back with those before it.
            let before = round % 8;
            assert_eq!(group.submit_batch(&mut (0..8)), 8);
            eventually("all have ended", || group.stats().ledger.in_flight() == 0);
            let mut seen = 0;
            explodes(|| {
                group.drain(8, |_| {
                    seen += 1;
                    if seen > before {
                        panic_any(Bomb);
                    }
                })
            });
            assert_eq!(group.in_flight(), 7 - before);
            assert_eq!(group.drain(8, |output| assert!(output.is_done())), 7 - before);
        }
        drop(group);
        let ledger = pipeline.close();
        assert_balanced(&ledger);
        assert_eq!((ledger.done, ledger.received), (320, 320));
    }
}
