//! `src/common/`, with the ends of `src/group/`: waiting for an end, closing the ends, retiring and
//! reopening a group. (What the close of the pipeline does to it is in `pipeline.rs`.)
//!
//! Proven: for one group with a window of one or two, one producer or two, one worker and one
//! receiver, in real ends on real shared memory: a waiting end is woken by whatever ends its wait; the
//! last end to close hands the group on, once, and not before it is quiet; whoever opens it next finds
//! all that the ends left; a worker that still looks at it does its next opening no harm.
//! Bound: none in the smaller models, three preemptions in the others, as each says.
//! Not proven: several groups, deadlines, panics.

mod common;

use common::engine::{Engine, engine, open, receive, serve, told, wait_to_receive, wait_to_submit};
use common::stageline::OpenError;
use common::stageline::TrySubmitError;
use common::stageline::model::{self, HandWorker};
use common::stageline::window::Order::{self, Completion, Submission};
use common::{ALL, THREE, explore, join, spawn, step};

/// Groups that can be opened, and groups that wait for their requests to end.
fn handed_on(engine: &Engine) -> (usize, usize) {
    (engine.free.len(), engine.retired.len())
}

// ---- waiting ----

#[test]
fn a_receiver_is_woken_by_a_result() {
    explore("shared::a_receiver_is_woken_by_a_result", ALL, &["done", "done, slept"], || {
        let engine = engine(2, 2);
        let (mut submitter, mut receiver) = open(&engine, Completion);
        submitter.try_submit(5).expect("there is room");
        let worker = spawn({
            let engine = engine.clone();
            move || {
                let mut worker = HandWorker::new(&engine, 0);
                worker.admit_rung();
                worker.serve_hot()
            }
        });
        let receiver = spawn(move || wait_to_receive(&engine, &mut receiver));
        assert!(join(worker));
        told(join(receiver))
    });
}

#[test]
fn a_receiver_is_woken_by_the_last_submitter() {
    explore(
        "shared::a_receiver_is_woken_by_the_last_submitter",
        THREE,
        &["closed", "closed, slept"],
        || {
            let engine = engine(1, 1);
            let (submitter, mut receiver) = open(&engine, Submission);
            let first = submitter.share();
            let producers = [first.clone(), first].map(|producer| spawn(move || drop(producer)));
            let receiver = spawn(move || wait_to_receive(&engine, &mut receiver));
            producers.into_iter().for_each(join);
            told(join(receiver))
        },
    );
}

#[test]
fn a_submitter_is_woken_by_a_free_slot() {
    let expected = ["submitted", "submitted, slept"];
    explore("shared::a_submitter_is_woken_by_a_free_slot", ALL, &expected, || {
        let engine = engine(2, 1);
        let (mut submitter, mut receiver) = open(&engine, Completion);
        submitter.try_submit(5).expect("there is room");
        serve(&engine, 0).expect("it was submitted");
        let releaser = spawn(move || (receive(&mut receiver), receiver));
        let submitter = spawn(move || wait_to_submit(&engine, &mut submitter));
        let (received, _receiver) = join(releaser);
        assert_eq!(received, Some(true));
        told(join(submitter))
    });
}

#[test]
fn a_submitter_is_woken_by_the_receivers_end() {
    explore(
        "shared::a_submitter_is_woken_by_the_receivers_end",
        THREE,
        &["closed", "closed, slept"],
        || {
            let engine = engine(1, 1);
            let (mut submitter, receiver) = open(&engine, Submission);
            submitter.try_submit(5).expect("there is room");
            let receiver = spawn(move || drop(receiver));
            let submitter = spawn(move || wait_to_submit(&engine, &mut submitter));
            join(receiver);
            told(join(submitter))
        },
    );
}

#[test]
fn a_submitter_is_woken_by_cancelling() {
    explore(
        "shared::a_submitter_is_woken_by_cancelling",
        THREE,
        &["cancelled", "cancelled, slept"],
        || {
            let engine = engine(1, 1);
            let (mut submitter, receiver) = open(&engine, Submission);
            submitter.try_submit(5).expect("there is room");
            let receiver = spawn(move || {
                receiver.cancel();
                receiver
            });
            let submitter = spawn(move || wait_to_submit(&engine, &mut submitter));
            let _receiver = join(receiver);
            told(join(submitter))
        },
    );
}

#[test]
fn a_receiver_is_woken_by_the_close() {
    explore(
        "shared::a_receiver_is_woken_by_the_close",
        THREE,
        &["closed", "closed, slept"],
        || {
            let engine = engine(1, 1);
            let (submitter, mut receiver) = open(&engine, Submission);
            let closer = spawn({
                let engine = engine.clone();
                move || engine.refuse_more(0)
            });
            let receiver = spawn(move || wait_to_receive(&engine, &mut receiver));
            join(closer);
            let found = join(receiver);
            drop(submitter);
            told(found)
        },
    );
}

#[test]
fn a_submitter_is_woken_by_the_close() {
    explore(
        "shared::a_submitter_is_woken_by_the_close",
        THREE,
        &["closed", "closed, slept"],
        || {
            let engine = engine(1, 1);
            let (mut submitter, receiver) = open(&engine, Submission);
            submitter.try_submit(5).expect("there is room");
            let closer = spawn({
                let engine = engine.clone();
                move || engine.refuse_more(0)
            });
            let submitter = spawn(move || wait_to_submit(&engine, &mut submitter));
            join(closer);
            let found = join(submitter);
            drop(receiver);
            told(found)
        },
    );
}

// ---- closing and reopening a group ----

#[test]
fn the_last_end_hands_the_group_on() {
    let expected = ["(0, 1)", "(1, 0)"];
    explore("shared::the_last_end_hands_the_group_on", ALL, &expected, || {
        let engine = engine(2, 2);
        let (mut submitter, mut receiver) = open(&engine, Completion);
        submitter.try_submit(5).expect("there is room");
        serve(&engine, 0).expect("it was submitted");
        let submitter = spawn(move || {
            let late = submitter.try_submit(6);
            assert!(late.is_ok() || late == Err(TrySubmitError::Closed(6)));
        });
        let receiver = spawn(move || {
            assert_eq!(receive(&mut receiver), Some(true));
        });
        join(submitter);
        join(receiver);
        format!("{:?}", handed_on(&engine))
    });
}

/// Whoever opens a group that two other threads have closed finds it as they left it.
#[test]
fn a_handed_on_group_is_the_openers() {
    let expected = ["none free", "opened"];
    explore("shared::a_handed_on_group_is_the_openers", THREE, &expected, || {
        let engine = engine(2, 2);
        let (mut submitter, mut receiver) = open(&engine, Completion);
        let submitter = spawn(move || _ = submitter.try_submit(5));
        let receiver = spawn(move || assert_eq!(receive(&mut receiver), None));
        let opener = spawn({
            let engine = engine.clone();
            move || {
                let Ok(group) = model::open(&engine, Completion) else {
                    return "none free";
                };
                let (mut submitter, mut receiver) = group.split();
                let position = submitter.try_submit(6).expect("there is room");
                assert_eq!(serve(&engine, 0), Some(position));
                assert_eq!(receiver.try_recv().expect("it was run").position(), position);
                "opened"
            }
        });
        join(submitter);
        join(receiver);
        join(opener).into()
    });
}

#[test]
fn three_handles_close_once() {
    explore("shared::three_handles_close_once", THREE, &["(1, 0)"], || {
        let engine = engine(1, 1);
        let (submitter, receiver) = open(&engine, Submission);
        let first = submitter.share();
        let producers = [first.clone(), first].map(|producer| spawn(move || drop(producer)));
        let receiver = spawn(move || drop(receiver));
        producers.into_iter().for_each(join);
        join(receiver);
        assert!(!engine.group(0).is_open());
        format!("{:?}", handed_on(&engine))
    });
}

/// The group was closed with a request in flight. Who opens it finds it when the request has ended,
/// and not before; the worker, which looks at it again, does the next opening's work.
fn reopened(before: Order, after: Order) -> String {
    let engine = engine(2, 2);
    let (mut submitter, receiver) = open(&engine, before);
    submitter.try_submit(5).expect("there is room");
    drop(submitter);
    drop(receiver);
    assert_eq!(handed_on(&engine), (0, 1));
    let worker = spawn({
        let engine = engine.clone();
        move || {
            serve(&engine, 0).expect("it was submitted");
            step();
            serve(&engine, 0).is_some()
        }
    });
    let opener = spawn({
        let engine = engine.clone();
        move || {
            let (mut submitter, mut receiver) = match model::open(&engine, after) {
                Ok(group) => group.split(),
                Err(OpenError::NoneFree { .. }) => return None,
                Err(error) => panic!("{error}"),
            };
            assert_eq!(submitter.try_submit(6), Ok(2));
            step();
            let received = receiver.try_recv().ok().map(|output| (output.position(), *output));
            assert!(received.is_none() || received == Some((2, !6)), "of the opening before");
            Some(received.is_some())
        }
    });
    format!("{} {:?}", join(worker), join(opener))
}

const REOPENED: [&str; 4] =
    ["false None", "false Some(false)", "true Some(false)", "true Some(true)"];

#[test]
fn a_retired_group_is_opened_again() {
    explore("shared::a_retired_group_is_opened_again", ALL, &REOPENED, || {
        reopened(Submission, Submission)
    });
}

#[test]
fn a_retired_group_is_opened_in_another_order() {
    for (before, after) in [(Submission, Completion), (Completion, Submission)] {
        let name = "shared::a_retired_group_is_opened_in_another_order";
        explore(name, ALL, &REOPENED, move || reopened(before, after));
    }
}

/// A retired group, quiet by now, whose result nobody has received.
#[test]
fn two_openers_one_group() {
    explore("shared::two_openers_one_group", ALL, &["one"], || {
        let engine = engine(2, 2);
        let (mut submitter, receiver) = open(&engine, Completion);
        submitter.try_submit(5).expect("there is room");
        drop(submitter);
        drop(receiver);
        assert_eq!(handed_on(&engine), (0, 1));
        serve(&engine, 0).expect("it was submitted");
        let openers = [(); 2].map(|()| {
            let engine = engine.clone();
            spawn(move || model::open(&engine, Submission).ok())
        });
        let opened: Vec<_> = openers.map(join).into_iter().flatten().collect();
        assert_eq!(opened.len(), 1);
        "one".into()
    });
}
