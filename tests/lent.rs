//! The end of a pipeline whose outputs are lent, whose slots are being filled, or which is told to end
//! from inside: nobody waits for ever, and what was lent stays whole.

mod common;

use common::{Act, Gate, Job, LONG, Lab, ORDERS, assert_balanced, ending, eventually, job, lab};
use common::{lab_with, pass, watchdog};
use stageline::{
    CloseTimeout, Ledger, Order, Pipeline, Receiver, RecvError, RecvTimeoutError, Request, Step,
    SubmitError, TryRecvError, TrySubmitError, state_machine,
};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Long enough for a close to be under way, and for one that must not wait to end.
const MOMENT: Duration = Duration::from_millis(20);

fn each_order_and_workers() -> impl Iterator<Item = (Order, usize)> {
    ORDERS.into_iter().flat_map(|order| [(order, 1), (order, 3)])
}

fn pipeline(workers: usize) -> Pipeline<Lab> {
    lab().workers(workers).reserve(0).build().unwrap()
}

/// `close` would wait for the output for ever; that in time gives up and names the group.
#[test]
fn close_timeout_gives_up_on_an_output_of_its_own_thread() {
    let _dog = watchdog(60);
    for (order, workers) in each_order_and_workers() {
        let pipeline = pipeline(workers);
        let (mut submitter, mut receiver) = pipeline.open(order).unwrap().split();
        for value in 0..3 {
            submitter.submit(pass(value)).unwrap();
        }
        let output = receiver.recv_timeout(LONG).unwrap();
        let lent = output.value;
        let error = pipeline.close_timeout(MOMENT).unwrap_err();
        assert_eq!((error.waited, &*error.groups, error.busy.len()), (MOMENT, &[0][..], 0));
        assert_eq!(submitter.submit(pass(9)), Err(SubmitError::Closed(pass(9))));
        assert!((output.value, output.is_done()) == (lent, true), "it stays lent");
        drop(output);
        for _ in 0..2 {
            assert_eq!(ending(&receiver.recv_timeout(LONG).unwrap()), "done");
        }
        assert_eq!(receiver.recv().err(), Some(RecvError::Closed));
    }
}

/// `abort` and `drop` wait for no receiver, so the thread that holds an output may call them.
#[test]
fn abort_and_drop_leave_an_output_of_their_own_thread() {
    let _dog = watchdog(60);
    let ends: [fn(Pipeline<Lab>); 2] = [
        |pipeline| {
            let ledger = pipeline.abort();
            assert_balanced(&ledger);
            assert_eq!((ledger.submitted, ledger.received), (2, 0));
        },
        drop,
    ];
    for ((order, workers), end) in each_order_and_workers().flat_map(|case| ends.map(|e| (case, e)))
    {
        let pipeline = pipeline(workers);
        let (mut submitter, mut receiver) = pipeline.open(order).unwrap().split();
        submitter.submit(job(Act::Fail, 6)).unwrap();
        let output = receiver.recv_timeout(LONG).unwrap();
        submitter.submit(pass(1)).unwrap();
        end(pipeline);
        assert_eq!((output.value, &*ending(&output)), (7, "failed: failed at 7"));
        assert_eq!(output.into_error().ok().as_deref(), Some("failed at 7"));
        assert!(["done", "cancelled"].contains(&&*ending(&receiver.recv_timeout(LONG).unwrap())));
        assert_eq!(receiver.recv().err(), Some(RecvError::Closed));
    }
}

/// Submits until the pipeline says that it is closed. How many were accepted.
fn submit_until_closed(mut submit: impl FnMut() -> Result<u64, TrySubmitError<Job>>) -> u64 {
    let mut accepted = 0;
    eventually("the close is under way", || match submit() {
        Ok(_) => {
            accepted += 1;
            false
        }
        Err(refused) => matches!(refused, TrySubmitError::Closed(_)),
    });
    accepted
}

/// Holds an output, tells so by the first gate, and lets go of it when the second one opens. Then it
/// receives the rest. How many there were.
fn hold(mut receiver: Receiver<Lab>, lent: &Gate, go_on: &Gate) -> u64 {
    let output = receiver.recv_timeout(LONG).unwrap();
    lent.open();
    go_on.pass();
    assert_eq!((output.value, output.is_done()), (2, true), "it stays lent");
    drop(output);
    let mut received = 1;
    while let Ok(output) = receiver.recv_timeout(LONG) {
        assert!(["done", "cancelled"].contains(&&*ending(&output)));
        received += 1;
    }
    assert_eq!(receiver.try_recv().err(), Some(TryRecvError::Closed));
    assert_eq!(receiver.in_flight(), 0);
    received
}

/// `close` waits for an output that another thread holds; all the other ends do not.
#[test]
fn an_output_of_another_thread_is_waited_for_by_close_alone() {
    let _dog = watchdog(120);
    let ends: [fn(Pipeline<Lab>) -> Option<Ledger>; 4] = [
        |pipeline| Some(pipeline.close()),
        |pipeline| pipeline.close_timeout(MOMENT).ok(),
        |pipeline| Some(pipeline.abort()),
        |pipeline| {
            drop(pipeline);
            None
        },
    ];
    for (order, workers) in each_order_and_workers() {
        for (index, end) in ends.into_iter().enumerate() {
            let pipeline = pipeline(workers);
            let (mut submitter, receiver) = pipeline.open(order).unwrap().split();
            submitter.submit(pass(1)).unwrap();
            let (lent, go_on) = (Gate::closed(), Gate::closed());
            thread::scope(|scope| {
                let holder = scope.spawn(|| hold(receiver, &lent, &go_on));
                lent.pass();
                let closer = scope.spawn(move || end(pipeline));
                let accepted = 1 + submit_until_closed(|| submitter.try_submit(pass(9)));
                if index == 0 {
                    thread::sleep(MOMENT);
                    assert!(!closer.is_finished(), "an output is lent");
                    go_on.open();
                }
                let received = closer.join().unwrap().map(|ledger| ledger.received);
                assert_eq!(received, [Some(accepted), None, Some(0), None][index]);
                go_on.open();
                assert_eq!(holder.join().unwrap(), accepted);
            });
        }
    }
}

/// A shared producer is inside its filler when the pipeline is closed by another thread: the request
/// was accepted, and is received.
#[test]
fn a_close_during_a_shared_submit_waits_for_it() {
    let _dog = watchdog(60);
    for (order, workers) in each_order_and_workers() {
        let pipeline = pipeline(workers);
        let (submitter, mut receiver) = pipeline.open(order).unwrap().split();
        let mut filling = submitter.share();
        let mut other = filling.clone();
        let (inside, go_on) = (Gate::closed(), Gate::closed());
        thread::scope(|scope| {
            let producer = scope.spawn(|| {
                let fill = |slot: &mut Job| {
                    inside.open();
                    go_on.pass();
                    *slot = pass(7);
                };
                filling.submit_with(fill).map_err(|_| "refused")
            });
            inside.pass();
            let closer = scope.spawn(move || pipeline.close());
            let accepted = 1 + submit_until_closed(|| other.try_submit(pass(8)));
            let nothing = receiver.recv_timeout(MOMENT).err();
            assert_eq!(nothing, Some(RecvTimeoutError::Timeout), "neither a result nor the end");
            assert!(!closer.is_finished());
            go_on.open();
            assert_eq!(producer.join().unwrap(), Ok(0));
            for _ in 0..accepted {
                let output = receiver.recv_timeout(LONG).unwrap();
                assert_eq!(output.value, if output.position() == 0 { 8 } else { 9 });
            }
            assert_eq!(receiver.recv().err(), Some(RecvError::Closed));
            assert_eq!(closer.join().unwrap().done, accepted);
        });
    }
}

/// What the stage is to do with the pipeline that runs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    #[default]
    No,
    CloseTimeout,
    Abort,
}

/// What an end inside a stage has answered.
#[derive(Debug, Default)]
struct Answers {
    timeout: Option<CloseTimeout>,
    ledger: Option<Ledger>,
}

/// Its stage ends the pipeline that runs it.
struct Own {
    pipeline: Arc<Mutex<Option<Pipeline<Own>>>>,
    answers: Arc<Mutex<Answers>>,
}

#[state_machine(data = End, error = String)]
impl Own {
    #[stage]
    fn run(&mut self, request: &mut Request<'_, Self>) -> Step {
        if **request == End::No {
            return request.done();
        }
        let pipeline = self.pipeline.lock().unwrap().take().expect("it is ended once");
        let mut answers = self.answers.lock().unwrap();
        match **request {
            End::CloseTimeout => answers.timeout = pipeline.close_timeout(MOMENT).err(),
            _ => answers.ledger = Some(pipeline.abort()),
        }
        request.done()
    }
}

/// `close` must not be called from inside a stage, by its documentation: it would wait for the request
/// that calls it. The others may: one gives up and names that very stage, the other does not wait.
#[test]
fn a_stage_may_end_its_own_pipeline_but_by_close() {
    let _dog = watchdog(60);
    let ends = [End::CloseTimeout, End::Abort];
    for ((order, workers), end) in each_order_and_workers().flat_map(|case| ends.map(|e| (case, e)))
    {
        let (pipeline, answers) = (Arc::new(Mutex::new(None)), Arc::default());
        let (own, told) = (Arc::clone(&pipeline), Arc::clone(&answers));
        let factory = move || Own { pipeline: Arc::clone(&own), answers: Arc::clone(&told) };
        let builder = Pipeline::builder(factory).workers(workers).reserve(0).groups(2).window(8);
        let built = builder.build().unwrap();
        let other = built.open(order).unwrap();
        let (mut submitter, mut receiver) = built.open(order).unwrap().split();
        *pipeline.lock().unwrap() = Some(built);
        // In one batch, so that all of them are submitted before the end.
        let batch = [End::No, end, End::No, End::No];
        assert_eq!(submitter.submit_batch(&mut batch.into_iter()), 4);
        let mut endings = vec![String::new(); 4];
        for _ in 0..4 {
            let output = receiver.recv_timeout(LONG).unwrap();
            endings[output.position() as usize] = ending(&output);
        }
        assert_eq!(receiver.recv_timeout(LONG).err(), Some(RecvTimeoutError::Closed));
        assert_eq!(submitter.submit(End::No), Err(SubmitError::Closed(End::No)));
        assert_eq!(endings[1], "done", "it was inside its stage");
        let answers: &Mutex<Answers> = &answers;
        let answers = std::mem::take(&mut *answers.lock().unwrap());
        if end == End::Abort {
            let ledger = answers.ledger.expect("it answered");
            assert!(endings.iter().all(|end| ["done", "cancelled"].contains(&end.as_str())));
            assert_eq!(ledger.submitted, 4);
            assert!(ledger.ended() < 4, "the one that called it has not ended: {ledger}");
        } else {
            let error = answers.timeout.expect("it gave up");
            assert_eq!(error.groups, [other.index() + 1], "the group that called it");
            let stages: Vec<_> = error.busy.iter().map(|(_, stage, _)| stage.as_str()).collect();
            assert_eq!(stages, ["run"]);
            assert_eq!(endings, ["done"; 4]);
        }
    }
}

/// A `close` that gave up is not the end of it: what is left of the pipeline goes by itself, and the
/// group that kept it is told once, not twice.
#[test]
fn a_close_that_gave_up_and_the_end_after_it_tell_the_receiver_once() {
    let _dog = watchdog(60);
    for (order, workers) in each_order_and_workers() {
        let gate = Gate::closed();
        let pipeline = lab_with(&gate).workers(workers).reserve(0).build().unwrap();
        let (mut submitter, mut receiver) = pipeline.open(order).unwrap().split();
        submitter.submit(job(Act::Wait, 0)).unwrap();
        gate.wait_for(1);
        pipeline.close_timeout(Duration::ZERO).unwrap_err();
        assert_eq!(receiver.recv_timeout(MOMENT).err(), Some(RecvTimeoutError::Timeout));
        gate.open();
        assert_eq!(ending(&receiver.recv_timeout(LONG).unwrap()), "done");
        for _ in 0..3 {
            assert_eq!(receiver.recv_timeout(LONG).err(), Some(RecvTimeoutError::Closed));
        }
    }
}
