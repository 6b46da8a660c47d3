//! A `Drop` that panics, at every place at which the engine drops a payload or an error: the k-th drop of
//! a run panics, for every k. Whichever it is, nothing is dropped twice, nothing is left, no request is
//! lost, and the pipeline goes on.

mod common;

use common::values::{Value, Values};
use common::{LONG, ORDERS, assert_balanced, eventually, watchdog};
use stageline::{
    Order, Output, Pipeline, Receiver, RecvTimeoutError, Request, RequestGroup, SharedSubmitter,
    Step, Submitter, TryRecvError, state_machine,
};
use std::cell::Cell;

const WINDOW: u64 = 4;

/// Does by the position what a stage can do with a payload and an error.
struct Handler;

#[state_machine(data = Option<Value>, error = Value)]
impl Handler {
    #[stage]
    fn run(&mut self, request: &mut Request<'_, Self>) -> Step {
        let value = request.as_ref().expect("it was submitted with a value");
        value.look();
        let values = value.values();
        match request.position() % 6 {
            0 => request.done(),
            1 => request.fail(values.value()),
            2 => {
                // The slot's value is replaced inside the stage.
                **request = Some(values.value());
                request.done()
            }
            3 => {
                // So is the error of a request that has failed already.
                let _ = request.fail(values.value());
                request.fail(values.value())
            }
            4 => {
                let _ = request.fail(values.value());
                std::panic::resume_unwind(Box::new("after the error"))
            }
            _ => request.drop(),
        }
    }
}

/// A pipeline whose slots hold a counted value each.
struct Run {
    values: &'static Values,
    order: Order,
    pipeline: Pipeline<Handler>,
    /// Values that were to be submitted since the last look.
    offered: Cell<usize>,
}

impl Run {
    fn new(values: &'static Values, order: Order, workers: usize) -> Self {
        let payload = move || Some(values.value());
        let builder = Pipeline::builder_with(|| Handler, payload).workers(workers).reserve(0);
        let pipeline = builder.groups(2).window(WINDOW as usize).build().unwrap();
        Self { values, order, pipeline, offered: Cell::new(0) }
    }

    fn open(&self) -> RequestGroup<Handler> {
        let mut group = None;
        eventually("a group is free", || {
            group = self.values.attempt(|| self.pipeline.open(self.order).ok()).flatten();
            group.is_some()
        });
        group.unwrap()
    }

    fn value(&self) -> Option<Value> {
        self.offered.set(self.offered.get() + 1);
        Some(self.values.value())
    }

    /// Receives all that is in flight; each request once. How many there were.
    fn receive(
        &self,
        receiver: &mut Receiver<Handler>,
        mut with: impl FnMut(Output<'_, Handler>),
    ) -> usize {
        let mut positions = Vec::new();
        while receiver.in_flight() > 0 {
            self.values.attempt(|| {
                let output = receiver.recv_timeout(LONG).unwrap();
                positions.push(output.position());
                if let Some(value) = &*output {
                    value.look();
                }
                with(output);
            });
        }
        let count = positions.len();
        positions.sort_unstable();
        positions.dedup();
        assert_eq!(positions.len(), count, "nothing comes twice: {positions:?}");
        count
    }

    /// The end: what is left has ended once, and a new group still works.
    fn finish(self) {
        let mut group = self.open();
        for _ in 0..WINDOW {
            self.values.attempt(|| group.submit(self.value()).unwrap());
        }
        self.receive(group.receiver(), |output| drop(output));
        drop(group);
        let (values, pipeline) = (self.values, self.pipeline);
        assert_balanced(&pipeline.ledger());
        values.attempt(|| drop(pipeline));
    }
}

/// Runs `way` without a panic, then with a panic at each of the drops that it has made.
#[track_caller]
fn at_every_drop(name: &str, way: fn(Run)) {
    let _dog = watchdog(120);
    // With one worker both orders are the same.
    for (order, workers) in [(ORDERS[0], 1), (ORDERS[0], 3), (ORDERS[1], 3)] {
        let values = Values::new(0);
        way(Run::new(values, order, workers));
        values.assert_all_gone(name);
        let drops = values.drops();
        assert!(drops > 2 * WINDOW, "{name}: the slots, at least");
        let mut panics = 0;
        for panic_at in 1..=drops {
            let values = Values::new(panic_at);
            way(Run::new(values, order, workers));
            values.assert_all_gone(&format!("{name}, {order:?}, {workers}, drop {panic_at}"));
            panics += u64::from(values.has_panicked());
        }
        // What the workers do at what time moves the number of drops a little.
        assert!(panics > drops * 3 / 4, "{name}: {panics} of {drops} drops panicked");
    }
}

/// Submits and receives by turns for two laps: every slot's old value is dropped, and all kinds of
/// errors. What is submitted by value is accepted though the old value's drop panics: `accepts_all`.
fn laps(run: Run, accepts_all: bool, submit: impl Fn(&Run, &mut Submitter<Handler>)) {
    let (mut submitter, mut receiver) = run.open().split();
    for _ in 0..2 * WINDOW {
        run.offered.set(0);
        run.values.attempt(|| submit(&run, &mut submitter));
        let received = run.receive(&mut receiver, |output| drop(output));
        assert!(!accepts_all || received == run.offered.get(), "a value was lost");
    }
    drop((submitter, receiver));
    run.finish();
}

#[test]
fn of_values_that_are_submitted_over() {
    at_every_drop("submit", |run| laps(run, true, |run, end| _ = end.submit(run.value()).unwrap()));
    at_every_drop("try_submit", |run| {
        laps(run, true, |run, end| _ = end.try_submit(run.value()).unwrap());
    });
    at_every_drop("submit_timeout", |run| {
        laps(run, true, |run, end| _ = end.submit_timeout(run.value(), LONG).unwrap());
    });
}

#[test]
fn of_values_that_are_replaced_while_they_are_filled() {
    at_every_drop("submit_with", |run| {
        laps(run, false, |run, end| assert!(end.submit_with(|slot| *slot = run.value()).is_ok()));
    });
}

#[test]
fn of_values_that_a_batch_is_submitted_over() {
    at_every_drop("submit_batch", |run| {
        laps(run, true, |run, end| {
            let mut values = (0..WINDOW - 1).map(|_| run.value());
            assert_eq!(end.submit_batch(&mut values), WINDOW as usize - 1);
        });
    });
}

#[test]
fn of_values_that_shared_submitters_submit_over() {
    fn laps(run: Run, submit: impl Fn(&Run, &mut SharedSubmitter<Handler>)) {
        let (submitter, mut receiver) = run.open().split();
        let first = submitter.share();
        let mut ends = [first.clone(), first];
        for lap in 0..2 * WINDOW as usize {
            run.values.attempt(|| submit(&run, &mut ends[lap % 2]));
            run.receive(&mut receiver, |output| drop(output));
        }
        drop((ends, receiver));
        run.finish();
    }
    at_every_drop("shared submit", |run| {
        laps(run, |run, end| _ = end.submit(run.value()).unwrap());
    });
    at_every_drop("shared submit_with", |run| {
        laps(run, |run, end| assert!(end.submit_with(|slot| *slot = run.value()).is_ok()));
    });
}

/// Fills the window, and lets `with` have each output.
fn outputs(run: Run, with: impl Fn(&Run, Output<'_, Handler>)) {
    let (mut submitter, mut receiver) = run.open().split();
    for _ in 0..2 {
        for _ in 0..WINDOW {
            run.values.attempt(|| submitter.submit(run.value()).unwrap());
        }
        run.receive(&mut receiver, |output| with(&run, output));
    }
    drop((submitter, receiver));
    run.finish();
}

#[test]
fn of_values_that_are_taken_or_replaced() {
    at_every_drop("take", |run| outputs(run, |_, output| drop(output.take())));
    at_every_drop("replace", |run| {
        outputs(run, |run, output| drop(output.replace(run.value())));
    });
    at_every_drop("assign", |run| outputs(run, |run, mut output| *output = run.value()));
}

#[test]
fn of_errors() {
    at_every_drop("an output with an error", |run| outputs(run, |_, output| drop(output)));
    at_every_drop("into_error", |run| {
        outputs(run, |_, output| match output.into_error() {
            Ok(error) => error.look(),
            Err(output) => drop(output),
        });
    });
}

#[test]
fn of_what_a_drain_lends() {
    at_every_drop("drain", |run| {
        let mut group = run.open();
        for _ in 0..3 {
            for _ in 0..WINDOW {
                run.values.attempt(|| group.submit(run.value()).unwrap());
            }
            let mut seen = Vec::new();
            while group.in_flight() > 0 {
                run.values.attempt(|| {
                    group.drain(usize::MAX, |output| {
                        seen.push(output.position());
                        **output = run.value();
                    })
                });
            }
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), WINDOW as usize);
        }
        drop(group);
        run.finish();
    });
}

#[test]
fn of_a_group_that_is_left_with_results() {
    at_every_drop("a group dropped", |run| {
        for _ in 0..4 {
            let mut group = run.open();
            for _ in 0..WINDOW {
                run.values.attempt(|| group.submit(run.value()).unwrap());
            }
            // Retired, and found again when its requests have ended: their errors are dropped then.
            run.values.attempt(|| drop(group));
        }
        eventually("all have ended", || run.pipeline.ledger().in_flight() == 0);
        run.finish();
    });
}

#[test]
fn of_a_cancelled_group() {
    at_every_drop("cancel", |run| {
        let (mut submitter, mut receiver) = run.open().split();
        for _ in 0..WINDOW {
            run.values.attempt(|| submitter.submit(run.value()).unwrap());
        }
        submitter.cancel();
        let refused = submitter.try_submit(run.value()).unwrap_err();
        run.values.attempt(|| drop(refused));
        run.receive(&mut receiver, |output| drop(output));
        assert_eq!(receiver.try_recv().err(), Some(TryRecvError::Closed));
        drop((submitter, receiver));
        run.finish();
    });
}

/// The pipeline goes first, then its handles: the last of them takes the values along, and the errors
/// that nobody received.
#[test]
fn of_a_pipeline_with_handles() {
    at_every_drop("the pipeline first", |run| {
        let (mut submitter, mut receiver) = run.open().split();
        let left = run.open();
        for _ in 0..WINDOW {
            run.values.attempt(|| submitter.submit(run.value()).unwrap());
        }
        let Run { values, pipeline, .. } = run;
        values.attempt(|| drop(pipeline));
        values.attempt(|| drop(receiver.recv_timeout(LONG).unwrap()));
        values.attempt(|| drop(submitter));
        values.attempt(|| drop(left));
        values.attempt(|| drop(receiver));
    });
    at_every_drop("abort", |run| {
        let (mut submitter, mut receiver) = run.open().split();
        for _ in 0..WINDOW {
            run.values.attempt(|| submitter.submit(run.value()).unwrap());
        }
        let Run { values, pipeline, .. } = run;
        let ledger = values.attempt(|| pipeline.abort());
        assert!(ledger.is_none_or(|ledger| ledger.ended() == ledger.submitted));
        while receiver.in_flight() > 0 {
            values.attempt(|| drop(receiver.recv_timeout(LONG).unwrap()));
        }
        assert_eq!(receiver.recv_timeout(LONG).err(), Some(RecvTimeoutError::Closed));
        values.attempt(|| drop(submitter));
        values.attempt(|| drop(receiver));
    });
}

/// The values that a pipeline was to have, when its build fails.
#[test]
fn of_a_build_that_fails() {
    let _dog = watchdog(60);
    let build = |values: &'static Values| {
        values.attempt(|| {
            let no_machine = || -> Handler { std::panic::resume_unwind(Box::new("no machine")) };
            let builder = Pipeline::builder_with(no_machine, || Some(values.value()));
            let failed = builder.workers(2).groups(2).window(WINDOW as usize).build();
            assert!(failed.is_err());
        });
        // A worker may be the last to let go of the values.
        eventually("the values are gone", || values.alive() == 0);
    };
    for panic_at in 0..=2 * WINDOW {
        let values = Values::new(panic_at);
        build(values);
        values.assert_all_gone("a failed build");
    }
}
