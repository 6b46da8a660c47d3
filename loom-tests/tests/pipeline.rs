//! `src/pipeline/`, the close: what `Shared` and the ends of a group do when a pipeline refuses more and
//! its workers leave, step by step, with threads of the model in place of the pipeline's.
//!
//! Proven: for one group with a window of one or two, one producer or two and a receiver: a submission
//! or an opening beside the close is refused, or seen by it; whoever is told that nothing comes any
//! more has had everything; a request that no worker saw is ended by its receiver; nobody sleeps on.
//! Bound: none in the smaller models, two to four preemptions in the others, as each says.
//! Not proven: several groups, `close_timeout`, stages that drop their own pipeline.

mod common;

use common::engine::{engine, open, receive, serve, told, wait_to_receive};
use common::stageline::common::Control;
use common::stageline::window::Order::{self, Completion, Submission};
use common::stageline::{TryRecvError, TrySubmitError};
use common::{ALL, FOUR, THREE, TWO, explore, join, spawn, step};

/// Whoever opens a group beside the close is refused, or gets one that refuses.
#[test]
fn an_opening_beside_the_close() {
    let expected = ["opened, then closed", "opened, then in time", "refused"];
    explore("pipeline::an_opening_beside_the_close", ALL, &expected, || {
        let engine = engine(1, 1);
        let opener = spawn({
            let engine = engine.clone();
            move || {
                let group = common::stageline::model::open(&engine, Submission);
                group.ok().map(|group| group.split()).map(|(mut submitter, receiver)| {
                    let early = submitter.try_submit(5).is_ok();
                    (early, submitter, receiver)
                })
            }
        });
        let closer = spawn({
            let engine = engine.clone();
            move || engine.refuse_more(0)
        });
        let opened = join(opener);
        join(closer);
        let Some((early, mut submitter, _receiver)) = opened else { return "refused".into() };
        assert_eq!(submitter.try_submit(6), Err(TrySubmitError::Closed(6)));
        assert!(engine.group(0).control() & Control::CLOSED != 0);
        if early { "opened, then in time" } else { "opened, then closed" }.into()
    });
}

/// Whoever submits beside the close is refused, or the close sees the position taken.
#[test]
fn a_submission_beside_the_close() {
    let expected = ["accepted, seen", "refused, not seen", "refused, seen"];
    explore("pipeline::a_submission_beside_the_close", ALL, &expected, || {
        let engine = engine(1, 1);
        let (mut submitter, receiver) = open(&engine, Submission);
        let submitter = spawn(move || (submitter.try_submit(5).is_ok(), submitter));
        let closer = spawn({
            let engine = engine.clone();
            move || {
                engine.refuse_more(0);
                !engine.group(0).is_quiet()
            }
        });
        let ((accepted, submitter), seen) = (join(submitter), join(closer));
        assert!(seen || !accepted, "the close does not wait for an accepted request");
        assert_eq!(engine.group(0).is_quiet(), !accepted);
        drop((submitter, receiver));
        let accepted = if accepted { "accepted" } else { "refused" };
        format!("{accepted}, {}", if seen { "seen" } else { "not seen" })
    });
}

#[test]
fn two_shared_submissions_beside_the_close() {
    let expected = ["0, not seen", "0, seen", "1, seen", "2, seen"];
    explore("pipeline::two_shared_submissions_beside_the_close", TWO, &expected, || {
        let engine = engine(1, 2);
        let (submitter, receiver) = open(&engine, Submission);
        let first = submitter.share();
        let producers = [first.clone(), first].map(|mut producer| {
            spawn(move || (usize::from(producer.try_submit(5).is_ok()), producer))
        });
        let closer = spawn({
            let engine = engine.clone();
            move || {
                engine.refuse_more(0);
                !engine.group(0).is_quiet()
            }
        });
        let producers = producers.map(join);
        let seen = join(closer);
        let accepted: usize = producers.iter().map(|(accepted, _)| accepted).sum();
        assert!(seen || accepted == 0, "the close does not wait for an accepted request");
        // Each position that was taken is filled, so that it ends.
        let taken = engine.group(0).window.tail() as usize - 1;
        assert!(taken >= accepted && (0..taken).all(|_| serve(&engine, 0).is_some()));
        drop((producers, receiver));
        format!("{accepted}, {}", if seen { "seen" } else { "not seen" })
    });
}

/// Who is told that nothing comes any more has had everything that was accepted.
#[test]
fn who_is_told_closed_has_everything() {
    let expected = ["accepted, empty", "refused, closed", "refused, empty"];
    explore("pipeline::who_is_told_closed_has_everything", FOUR, &expected, || {
        let engine = engine(1, 1);
        let (mut submitter, mut receiver) = open(&engine, Submission);
        let submitter = spawn(move || (submitter.try_submit(5).is_ok(), submitter));
        let closer = spawn({
            let engine = engine.clone();
            move || engine.refuse_more(0)
        });
        let receiver = spawn(move || {
            let closed = receiver.try_recv().err() == Some(TryRecvError::Closed);
            (closed, receiver)
        });
        let ((accepted, _submitter), (closed, _receiver)) = (join(submitter), join(receiver));
        join(closer);
        let accepted = if accepted { "accepted" } else { "refused" };
        format!("{accepted}, {}", if closed { "closed" } else { "empty" })
    });
}

/// A position that was announced and then refused: whoever has seen it waits for nothing.
#[test]
fn a_refused_announcement_keeps_nobody_waiting() {
    let expected =
        ["accepted: done", "accepted: done, slept", "refused: closed", "refused: closed, slept"];
    explore("pipeline::a_refused_announcement_keeps_nobody_waiting", THREE, &expected, || {
        let engine = engine(1, 1);
        let (mut submitter, mut receiver) = open(&engine, Submission);
        let submitter = spawn({
            let engine = engine.clone();
            move || {
                let accepted = submitter.try_submit(5).is_ok();
                assert_eq!(accepted, serve(&engine, 0).is_some());
                (accepted, submitter)
            }
        });
        let closer = spawn({
            let engine = engine.clone();
            move || engine.refuse_more(0)
        });
        let receiver = spawn(move || (wait_to_receive(&engine, &mut receiver), receiver));
        let ((accepted, _submitter), (found, _receiver)) = (join(submitter), join(receiver));
        join(closer);
        format!("{}: {}", if accepted { "accepted" } else { "refused" }, told(found))
    });
}

/// The workers have left while a request is published that none of them has seen: its receiver ends
/// it, and does not sleep for ever.
fn late(order: Order) -> String {
    let workers = if order == Submission { 1 } else { 2 };
    let engine = engine(workers, 2);
    // The others have left already.
    (1..workers).for_each(|_| engine.worker_left());
    let (mut submitter, mut receiver) = open(&engine, order);
    // The group is hot when its worker leaves: nothing else would tell of the submission.
    engine.group(0).front.service.admit();
    let submitter = spawn(move || {
        submitter.try_submit(5).expect("nothing refuses it");
        submitter
    });
    let last = spawn({
        let engine = engine.clone();
        move || {
            let served = serve(&engine, 0);
            engine.worker_left();
            served.is_some()
        }
    });
    let receiver = spawn(move || {
        let found = wait_to_receive(&engine, &mut receiver);
        (found, receiver)
    });
    let _submitter = join(submitter);
    let served = join(last);
    let (found, _receiver) = join(receiver);
    assert_eq!(found.0, if served { "done" } else { "cancelled" });
    told(found)
}

#[test]
fn a_submission_after_the_workers_left() {
    for order in [Submission, Completion] {
        let name = "pipeline::a_submission_after_the_workers_left";
        let expected = ["cancelled", "cancelled, slept", "done", "done, slept"];
        explore(name, THREE, &expected, move || late(order));
    }
}

/// A receiver that polls, and so passes no barrier, does not end what the workers have ended.
#[test]
fn what_the_workers_ended_is_not_ended_again() {
    let expected = ["None None", "None Some(true)", "Some(true) None"];
    explore("pipeline::what_the_workers_ended_is_not_ended_again", ALL, &expected, || {
        let engine = engine(1, 2);
        let (mut submitter, mut receiver) = open(&engine, Submission);
        submitter.try_submit(5).expect("there is room");
        let last = spawn({
            let engine = engine.clone();
            move || {
                serve(&engine, 0).expect("it was submitted");
                engine.worker_left();
            }
        });
        let receiver = spawn(move || {
            let first = receive(&mut receiver);
            step();
            (first, receive(&mut receiver), receiver)
        });
        join(last);
        let (first, second, _receiver) = join(receiver);
        drop(submitter);
        format!("{first:?} {second:?}")
    });
}
