//! The end of a pipeline: close, close in time, abort, drop, and who is told.

mod common;

use common::{Act, Gate, LONG, Lab, ORDERS, assert_balanced, ending, eventually, job, lab};
use common::{lab_with, pass, threads_leave, watchdog};
use stageline::{
    Order, Pipeline, Receiver, RecvError, RecvTimeoutError, Request, Step, SubmitError,
    TryRecvError, TrySubmitError, state_machine,
};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[test]
fn a_pipeline_that_was_never_used_closes() {
    let _dog = watchdog(60);
    for workers in [1, 3] {
        let ledger = lab().workers(workers).build().unwrap().close();
        assert_eq!(ledger, stageline::Ledger::default());
        let aborted = lab().workers(workers).build().unwrap().abort();
        assert_eq!(aborted, stageline::Ledger::default());
        let in_time = lab().workers(workers).build().unwrap().close_timeout(LONG);
        assert_eq!(in_time, Ok(stageline::Ledger::default()));
        let pipeline = lab().workers(workers).build().unwrap();
        let _open = pipeline.open(Order::Submission).unwrap();
        assert_eq!(pipeline.close(), stageline::Ledger::default(), "opened, but never used");
    }
}

#[test]
fn close_waits_until_everything_is_received() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let gate = Gate::closed();
        let pipeline = lab_with(&gate).build().unwrap();
        let (mut submitter, mut receiver) = pipeline.open(order).unwrap().split();
        submitter.submit(job(Act::Wait, 0)).unwrap();
        (1..8).for_each(|value| assert!(submitter.submit(pass(value)).is_ok()));
        gate.wait_for(1);
        let closer = thread::spawn(move || pipeline.close());
        // The close is under way when a submit is refused, though nothing has been received.
        let refused = submitter.submit(pass(99));
        assert_eq!(refused, Err(SubmitError::Closed(pass(99))));
        gate.open();
        for _ in 0..7 {
            assert!(receiver.recv().unwrap().is_done());
        }
        thread::sleep(Duration::from_millis(20));
        assert!(!closer.is_finished(), "one result is left");
        assert!(receiver.recv().unwrap().is_done());
        let ledger = closer.join().unwrap();
        assert_balanced(&ledger);
        assert_eq!((ledger.submitted, ledger.done, ledger.received), (8, 8, 8));
        assert_eq!(receiver.recv().err(), Some(RecvError::Closed));
        assert_eq!(submitter.submit(pass(1)), Err(SubmitError::Closed(pass(1))));
    }
}

#[test]
fn close_does_not_wait_for_receivers_that_are_gone() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = lab().build().unwrap();
        let (mut submitter, receiver) = pipeline.open(order).unwrap().split();
        (0..8).for_each(|value| assert!(submitter.submit(pass(value)).is_ok()));
        drop(receiver);
        let ledger = pipeline.close();
        assert_balanced(&ledger);
        assert_eq!((ledger.done, ledger.received), (8, 0));
    }
}

#[test]
fn a_close_that_gives_up_names_what_kept_it() {
    let _dog = watchdog(60);
    let waited = Duration::from_millis(50);
    for order in ORDERS {
        let gate = Gate::closed();
        let pipeline = lab_with(&gate).name("stuck-close").build().unwrap();
        let mut idle = pipeline.open(order).unwrap();
        let mut group = pipeline.open(order).unwrap();
        group.submit(job(Act::Wait, 0)).unwrap();
        group.submit(pass(1)).unwrap();
        gate.wait_for(1);
        let error = pipeline.close_timeout(waited).unwrap_err();
        let busy = vec![(0, "end".to_owned(), 1)];
        assert_eq!((error.waited, &*error.groups, &error.busy), (waited, &[1][..], &busy));
        assert_eq!(
            error.to_string(),
            "the pipeline is not closed after 50ms; groups with requests not ended or not received: \
             [1]; worker 0 is in stage `end` for group 1"
        );
        assert_eq!(idle.try_submit(pass(0)), Err(TrySubmitError::Closed(pass(0))));
        assert_eq!(idle.try_recv().err(), Some(TryRecvError::Closed));
        // It ends by itself when the stage lets it, and what is in flight is still run.
        gate.open();
        for _ in 0..2 {
            assert!(group.recv().unwrap().is_done());
        }
        assert_eq!(group.try_recv().err(), Some(TryRecvError::Closed));
        threads_leave("stuck-close");
    }
}

#[test]
fn a_close_that_gives_up_names_groups_that_nobody_receives() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = lab().build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        group.submit(pass(1)).unwrap();
        eventually("it has ended", || pipeline.ledger().done == 1);
        let waited = Duration::from_millis(20);
        let error = pipeline.close_timeout(waited).unwrap_err();
        assert_eq!((error.waited, &*error.groups, error.busy.len()), (waited, &[0][..], 0));
        assert_eq!(group.recv().unwrap().value, 2);
        assert_eq!(group.try_recv().err(), Some(TryRecvError::Closed));
    }
}

#[test]
fn close_in_time_returns_the_ledger() {
    let _dog = watchdog(60);
    for (order, timeout) in ORDERS.into_iter().flat_map(|o| [(o, LONG), (o, Duration::MAX)]) {
        let pipeline = lab().build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        let acts = [Act::Pass, Act::Fail, Act::Drop, Act::Panic, Act::Loop];
        acts.iter().for_each(|act| assert!(group.submit(job(*act, 0)).is_ok()));
        for _ in acts {
            drop(group.recv().unwrap());
        }
        let ledger = pipeline.close_timeout(timeout).unwrap();
        assert_balanced(&ledger);
        assert_eq!((ledger.submitted, ledger.received), (5, 5));
        let counts = [ledger.done, ledger.failed, ledger.dropped, ledger.panicked, ledger.cyclic];
        assert_eq!(counts, [1; 5]);
    }
}

#[test]
fn abort_cancels_what_has_not_run() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let gate = Gate::closed();
        let pipeline = lab_with(&gate).build().unwrap();
        let (mut submitter, mut receiver) = pipeline.open(order).unwrap().split();
        submitter.submit(job(Act::Wait, 0)).unwrap();
        gate.wait_for(1);
        (1..8).for_each(|value| assert!(submitter.submit(pass(value)).is_ok()));
        let aborter = thread::spawn(move || pipeline.abort());
        eventually("the group is told", || submitter.try_submit(pass(9)) != full(pass(9)));
        gate.open();
        let ledger = aborter.join().unwrap();
        assert_balanced(&ledger);
        assert_eq!((ledger.done, ledger.cancelled, ledger.received), (1, 7, 0));
        assert_eq!(submitter.try_submit(pass(9)), Err(TrySubmitError::Closed(pass(9))));
        let endings: Vec<_> = (0..8).map(|_| ending(&receiver.recv().unwrap())).collect();
        assert_eq!(endings[0], "done", "it was inside its stage");
        assert_eq!(endings[1..], vec!["cancelled"; 7]);
        assert_eq!(receiver.recv().err(), Some(RecvError::Closed));
    }

    fn full(job: common::Job) -> Result<u64, TrySubmitError<common::Job>> {
        Err(TrySubmitError::Full(job))
    }
}

/// `drop` lets what is in flight run, however many workers share it.
#[test]
fn drop_runs_what_is_in_flight() {
    let _dog = watchdog(120);
    for (order, workers) in ORDERS.into_iter().flat_map(|o| [(o, 1), (o, 2), (o, 4)]) {
        for _ in 0..40 {
            let builder = lab().workers(workers).reserve(0).batch_max(2).window(256);
            let pipeline = builder.name("drop-runs").build().unwrap();
            let mut group = pipeline.open(order).unwrap();
            assert_eq!(group.submit_batch(&mut (0..).map(pass)), 256);
            drop(pipeline);
            for _ in 0..256 {
                assert_eq!(ending(&group.recv().unwrap()), "done");
            }
            assert_eq!(group.try_recv().err(), Some(TryRecvError::Closed));
        }
    }
    // A thread that was joined may be listed for a moment longer.
    threads_leave("drop-runs");
}

/// Its stage drops the pipeline that runs it, on the value 1.
struct Owner {
    own: Arc<Mutex<Option<Pipeline<Owner>>>>,
}

#[state_machine(data = u64, error = String)]
impl Owner {
    #[stage]
    fn run(&mut self, request: &mut Request<'_, Self>) -> Step {
        if **request == 1 {
            let own = self.own.lock().unwrap().take();
            drop(own.expect("it is dropped once"));
        }
        request.done()
    }
}

/// A pipeline that the stages hold too, its receiver, and the submitter for its only group.
fn owned(
    workers: usize,
    order: Order,
    name: &str,
) -> (stageline::Submitter<Owner>, Receiver<Owner>) {
    let own = Arc::new(Mutex::new(None));
    let machines = Arc::clone(&own);
    let builder = Pipeline::builder(move || Owner { own: Arc::clone(&machines) });
    let pipeline = builder.workers(workers).name(name).build().unwrap();
    let ends = pipeline.open(order).unwrap().split();
    *own.lock().unwrap() = Some(pipeline);
    ends
}

#[test]
fn a_stage_may_drop_its_own_pipeline() {
    let _dog = watchdog(60);
    for (order, workers) in ORDERS.into_iter().flat_map(|o| [(o, 1), (o, 3)]) {
        let (mut submitter, mut receiver) = owned(workers, order, "drop-own");
        // One batch, so that all of them are submitted before the pipeline is dropped.
        assert_eq!(submitter.submit_batch(&mut [0, 1, 2, 3].into_iter()), 4);
        for _ in 0..4 {
            assert_eq!(ending(&receiver.recv_timeout(LONG).unwrap()), "done");
        }
        threads_leave("drop-own");
        assert_eq!(receiver.recv_timeout(LONG).err(), Some(RecvTimeoutError::Closed));
        assert_eq!(submitter.submit(5), Err(SubmitError::Closed(5)));
    }
}

/// A submission that began before the pipeline was dropped, and ends when its workers have left.
/// Whoever dropped the pipeline, its receiver must not wait for ever.
#[test]
fn a_submission_that_comes_too_late_ends() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let (mut submitter, mut receiver) = owned(2, order, "late-own");
        submitter.submit(1).unwrap();
        let position = submitter.submit_with(|_| {
            threads_leave("late-own");
        });
        ends_once(position.ok(), &mut receiver, 1);

        let (submitter, mut receiver) = owned(2, order, "late-share");
        let mut submitter = submitter.share();
        submitter.submit(1).unwrap();
        let position = submitter.submit_with(|_| {
            threads_leave("late-share");
        });
        ends_once(position.ok(), &mut receiver, 1);
    }
}

#[test]
fn a_submission_that_comes_too_late_ends_after_a_close_that_gave_up() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let gate = Gate::closed();
        let pipeline = lab_with(&gate).name("late-close").build().unwrap();
        let (mut submitter, mut receiver) = pipeline.open(order).unwrap().split();
        submitter.submit(job(Act::Wait, 0)).unwrap();
        gate.wait_for(1);
        let position = submitter.submit_with(|_| {
            pipeline.close_timeout(Duration::from_millis(10)).unwrap_err();
            gate.open();
            threads_leave("late-close");
        });
        ends_once(position.ok(), &mut receiver, 1);
    }
}

#[test]
fn a_submission_that_comes_too_late_ends_after_a_drop() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = lab().build().unwrap();
        let (mut submitter, mut receiver) = pipeline.open(order).unwrap().split();
        let position = submitter.submit_with(|_| drop(pipeline));
        ends_once(position.ok(), &mut receiver, 0);
    }
}

/// The requests before it, and then this one if it was accepted, are received; then it is closed.
fn ends_once<M>(accepted: Option<u64>, receiver: &mut Receiver<M>, before: u64)
where
    M: stageline::StateMachine<Error = String>,
{
    let mut received = Vec::new();
    let end = loop {
        match receiver.recv_timeout(Duration::from_secs(5)) {
            Ok(output) => {
                assert!(["done", "cancelled"].contains(&ending(&output).as_str()));
                received.push(output.position());
            }
            Err(end) => break end,
        }
    };
    assert_eq!(end, RecvTimeoutError::Closed);
    assert_eq!(received, (0..before).chain(accepted).collect::<Vec<_>>());
    assert_eq!(receiver.in_flight(), 0);
}

/// The pipeline is dropped while its receiver holds an output, and while another thread waits.
#[test]
fn what_is_lent_stays_lent() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline: Pipeline<Lab> = lab().build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        group.submit(job(Act::Fail, 6)).unwrap();
        group.submit(pass(1)).unwrap();
        let output = group.recv().unwrap();
        drop(pipeline);
        assert_eq!(output.value, 7);
        assert_eq!(output.into_error().ok().as_deref(), Some("failed at 7"));
        assert_eq!(group.recv().unwrap().value, 2);
    }
}
