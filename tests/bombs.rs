//! Closures of the user that panic half-way, with a payload that panics again whenever it is dropped:
//! each place at which the engine calls one.

mod common;

use common::values::{Bomb, defuse};
use common::{LONG, ORDERS, assert_balanced, ending, eventually, finish, handed_back, watchdog};
use stageline::{
    BuildError, Order, Pipeline, Receiver, Request, StateMachine, Step, Submitter, TryRecvError,
    state_machine,
};
use std::panic::panic_any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

const NO_TEXT: &str = "panicked: a panic whose payload is no string";

/// Two halves that belong together: who sees them differ sees an update that was left half-way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Pair(u64, u64);

impl Pair {
    /// Sets both halves, or panics between the two.
    fn set(&mut self, value: u64, panics: bool) {
        self.0 = value;
        if panics {
            panic_any(Bomb);
        }
        self.1 = value;
    }

    #[track_caller]
    fn look(self) -> u64 {
        assert_eq!(self.0, self.1, "half an update");
        self.0
    }
}

/// Panics at the value 13, in the middle of an update of itself.
#[derive(Default)]
struct Machine {
    own: Pair,
}

#[state_machine(data = Pair, error = String)]
impl Machine {
    #[stage]
    fn run(&mut self, request: &mut Request<'_, Self>) -> Step {
        let value = request.look();
        let before = self.own.look();
        self.own.set(before + 1, value == 13);
        request.done()
    }
}

fn pipeline(workers: usize) -> Pipeline<Machine> {
    let builder = Pipeline::builder(Machine::default).workers(workers).reserve(0);
    builder.groups(2).window(8).build().unwrap()
}

fn receive<M: StateMachine<Error = String>>(
    receiver: &mut Receiver<M>,
    expected: impl Fn(u64) -> &'static str,
) -> Vec<u64> {
    let mut positions = Vec::new();
    while receiver.in_flight() > 0 {
        let output = receiver.recv_timeout(LONG).unwrap();
        assert_eq!(ending(&output), expected(output.position()));
        positions.push(output.position());
    }
    positions.sort_unstable();
    positions
}

fn each_order_and_workers() -> impl Iterator<Item = (Order, usize)> {
    ORDERS.into_iter().flat_map(|order| [(order, 1), (order, 3)])
}

/// A machine that is left half-way is never used again.
#[test]
fn a_stage_leaves_its_machine_half_way() {
    let _dog = watchdog(60);
    for (order, workers) in each_order_and_workers() {
        let pipeline = pipeline(workers);
        let mut group = pipeline.open(order).unwrap();
        for lap in 0..6 {
            let values = (0..8).map(|at| if at == lap { Pair(13, 13) } else { Pair(1, 1) });
            assert_eq!(group.submit_batch(&mut values.into_iter()), 8);
            let ends = |position| if position == 9 * lap { NO_TEXT } else { "done" };
            assert_eq!(receive(group.receiver(), ends).len(), 8);
        }
        drop(group);
        assert_eq!(finish(pipeline).panicked, 6);
    }
}

/// Three stages, each with a hook before it that counts in the machine.
#[derive(Default)]
struct Hooked {
    calls: Pair,
}

#[state_machine(data = Pair, error = String)]
impl Hooked {
    #[stage]
    fn first(&mut self, request: &mut Request<'_, Self>) -> Step {
        request.next(Self::SECOND)
    }

    #[stage]
    fn second(&mut self, request: &mut Request<'_, Self>) -> Step {
        request.next(Self::THIRD)
    }

    #[stage]
    fn third(&mut self, request: &mut Request<'_, Self>) -> Step {
        request.done()
    }
}

impl Hooked {
    /// Panics before the stage that the value names, in the middle of its count.
    fn count(&mut self, request: &mut Request<'_, Self>) -> Result<(), String> {
        let panics = request.stage().index() as u64 == request.look();
        self.calls.set(self.calls.look() + 1, panics);
        Ok(())
    }
}

/// A machine that a hook has left half-way is never used again either.
#[test]
fn a_hook_panics_at_any_stage() {
    let _dog = watchdog(60);
    for (order, workers) in each_order_and_workers() {
        let builder = Pipeline::builder(Hooked::default).workers(workers).reserve(0);
        let builder = builder.before_stage(|_, _| Ok(())).before_stage(Hooked::count).window(8);
        let pipeline = builder.dag().build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        for _ in 0..3 {
            // The value 3 names none of them.
            assert_eq!(group.submit_batch(&mut (0..8).map(|at| Pair(at % 4, at % 4))), 8);
            let ends = |position| if position % 4 == 3 { "done" } else { NO_TEXT };
            assert_eq!(receive(group.receiver(), ends).len(), 8);
        }
        drop(group);
        assert_eq!(finish(pipeline).panicked, 18);
    }
}

#[test]
fn a_factory_panics_at_any_call() {
    let _dog = watchdog(60);
    // At the build.
    for panicking in 0..3 {
        let calls = AtomicUsize::new(0);
        let factory = move || match calls.fetch_add(1, SeqCst) {
            call if call == panicking => panic_any(Bomb),
            _ => Machine::default(),
        };
        match Pipeline::builder(factory).workers(3).build() {
            Err(BuildError::Factory { message, .. }) => {
                assert_eq!(message, "a panic whose payload is no string");
            }
            other => panic!("{other:?}"),
        }
    }
    // In place of a machine that has panicked: the request after it finds none, the next one does.
    for order in ORDERS {
        let calls = AtomicUsize::new(0);
        let factory = move || match calls.fetch_add(1, SeqCst) {
            1 => panic_any(Bomb),
            _ => Machine::default(),
        };
        let pipeline = Pipeline::builder(factory).workers(1).build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        for value in [13, 1, 1] {
            group.submit(Pair(value, value)).unwrap();
            let expected = |position| match position {
                0 => NO_TEXT,
                1 => concat!(
                    "panicked: the machine's factory panicked: ",
                    "a panic whose payload is no string"
                ),
                _ => "done",
            };
            assert_eq!(receive(group.receiver(), expected).len(), 1);
        }
        drop(group);
        finish(pipeline);
    }
}

/// A filler that panics leaves its slot half filled: nobody gets to see that as a result.
#[test]
fn a_filler_panics_half_way() {
    let _dog = watchdog(60);
    for (order, workers) in each_order_and_workers() {
        let pipeline = pipeline(workers);
        let mut group = pipeline.open(order).unwrap();
        for round in 0..20 {
            for panics in [true, false] {
                let fill = |slot: &mut Pair| slot.set(100 + round, panics);
                if panics {
                    defuse(|| group.try_submit_with(fill).map_err(|_| "refused"));
                } else {
                    assert!(group.submit_with(fill).is_ok());
                }
            }
            assert_eq!(receive(group.receiver(), |_| "done"), [round], "the position is kept");
        }
        drop(group);
        let (submitter, mut receiver) = pipeline.open(order).unwrap().split();
        let mut shared = submitter.share();
        for round in 0..20 {
            defuse(|| {
                shared.submit_with(|slot| slot.set(100 + round, true)).map_err(|_| "refused")
            });
            let first = shared.submit_with(|slot| slot.set(100 + round, false)).ok().unwrap() - 1;
            let ends = |position| if position == first { "cancelled" } else { "done" };
            assert_eq!(receive(&mut receiver, ends), [first, first + 1]);
        }
        drop((shared, receiver));
        let ledger = finish(pipeline);
        assert_eq!((ledger.done, ledger.cancelled), (40, 20));
    }
}

/// Those before the `n`-th were submitted, those behind it were not, and the end goes on; for every `n`
/// from the first to the one that the window has no room for.
#[test]
fn the_iterator_of_a_batch_panics_at_the_nth() {
    let _dog = watchdog(120);
    for (order, workers) in each_order_and_workers() {
        let builder = Pipeline::builder(Machine::default).workers(workers).reserve(0);
        // More than two of the batches that are published together.
        let pipeline = builder.groups(1).window(256).build().unwrap();
        let (mut submitter, mut receiver) = pipeline.open(order).unwrap().split();
        let mut next = 0;
        for n in (0..130).chain([191, 192, 193, 255]) {
            let mut values = (0..).map(|index| if index == n { panic_any(Bomb) } else { index });
            defuse(|| submitter.submit_batch(&mut values.by_ref().map(|index| Pair(index, index))));
            assert_eq!(receiver.in_flight() as u64, n);
            let expected: Vec<_> = (next..next + n).collect();
            // The value 13 is one of them.
            let ends = |position| if position - next == 13 { NO_TEXT } else { "done" };
            assert_eq!(receive(&mut receiver, ends), expected, "{order:?}, {workers}, {n}");
            next += n;
            assert_eq!(submitter.submit(Pair(1, 1)), Ok(next));
            assert_eq!(receive(&mut receiver, |_| "done"), [next]);
            next += 1;
        }
        let full = submitter.submit_batch(&mut (0..).map(|index| {
            assert_ne!(index, 256, "asked for one that there is no slot for");
            Pair(1, 1)
        }));
        assert_eq!(full, 256);
        assert_eq!(receive(&mut receiver, |_| "done").len(), 256);
        drop((submitter, receiver));
        finish(pipeline);
    }
}

/// The output that a drain's closure panics at has been received, those behind it have not.
#[test]
fn the_closure_of_a_drain_panics_at_the_nth() {
    let _dog = watchdog(60);
    for (order, workers) in each_order_and_workers() {
        let builder = Pipeline::builder(Machine::default).workers(workers).reserve(0);
        let pipeline = builder.groups(1).window(128).build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        for n in 0..70 {
            assert_eq!(group.submit_batch(&mut (0..n + 3).map(|_| Pair(1, 1))), n + 3);
            handed_back(&pipeline, || pipeline.ledger().in_flight() == 0);
            let mut seen = Vec::new();
            defuse(|| {
                group.drain(usize::MAX, |output| {
                    seen.push(output.position());
                    output.set(7, seen.len() == n + 1);
                })
            });
            assert_eq!((seen.len(), group.in_flight()), (n + 1, 2), "{order:?}, {workers}, {n}");
            group.drain(usize::MAX, |output| seen.push(output.position()));
            seen.sort_unstable();
            seen.dedup();
            assert_eq!((seen.len(), group.in_flight()), (n + 3, 0), "each once");
        }
        drop(group);
        finish(pipeline);
    }
}

/// Its drop panics with a bomb, if it is armed.
#[derive(Debug, Default)]
struct Charge {
    armed: bool,
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.armed {
            panic_any(Bomb);
        }
    }
}

/// Counts, and panics with bombs: when it is closed, and when it is dropped.
struct Sore {
    ends: Arc<[AtomicUsize; 2]>,
}

#[state_machine(data = u64, error = Charge)]
impl Sore {
    #[stage]
    fn run(&mut self, request: &mut Request<'_, Self>) -> Step {
        if **request == 0 {
            return request.done();
        }
        let step = request.fail(Charge { armed: true });
        if **request == 13 {
            panic_any(Bomb);
        }
        step
    }

    #[close]
    fn finish(&mut self) {
        self.ends[0].fetch_add(1, SeqCst);
        panic_any(Bomb)
    }
}

impl Drop for Sore {
    fn drop(&mut self) {
        self.ends[1].fetch_add(1, SeqCst);
        panic_any(Bomb)
    }
}

/// The stage, the error that it left, and its machine: all three panic with bombs, in a worker.
#[test]
fn a_worker_survives_bombs_in_everything_that_it_drops() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let ends = Arc::<[AtomicUsize; 2]>::default();
        let seen = Arc::clone(&ends);
        let factory = move || Sore { ends: Arc::clone(&seen) };
        let pipeline = Pipeline::builder(factory).workers(1).groups(1).window(8).build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        for value in [13, 0, 13, 13, 0] {
            group.submit(value).unwrap();
            let output = group.recv().unwrap();
            assert_eq!(output.is_done(), value == 0);
            // A panicked request keeps a message in place of the error.
            drop(output);
        }
        assert_eq!([0, 1].map(|end| ends[end].load(SeqCst)), [0, 3], "the broken ones are dropped");
        drop(group);
        assert_eq!(finish(pipeline).panicked, 3);
        assert_eq!([0, 1].map(|end| ends[end].load(SeqCst)), [1, 4], "the last one is closed");
    }
}

/// An error that is dropped with its output panics in the receiver's thread, and the next result comes
/// all the same; those of a group that is left are dropped where a group is opened.
#[test]
fn errors_that_are_bombs_cost_no_slot() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let ends = Arc::default();
        let factory = move || Sore { ends: Arc::clone(&ends) };
        let pipeline = Pipeline::builder(factory).workers(1).groups(1).window(2).build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        for position in 0..6 {
            assert_eq!(group.submit(1), Ok(position));
            defuse(|| drop(group.recv().unwrap()));
            assert_eq!(group.try_recv().err(), Some(TryRecvError::Empty));
        }
        for position in [6, 7] {
            assert_eq!(group.submit(1), Ok(position));
        }
        drop(group);
        let mut group = None;
        eventually("it is found again", || {
            group = pipeline.open(order).ok();
            group.is_some()
        });
        let mut group = group.unwrap();
        assert_eq!(group.submit(0), Ok(8));
        assert!(group.recv().unwrap().is_done());
        drop(group);
        assert_eq!(finish(pipeline).failed, 8);
    }
}

/// A payload that cannot be made: `take` leaves the output's slot as it was.
#[test]
fn a_default_that_panics_leaves_the_payload_in_its_slot() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = Pipeline::builder_with(|| Keeper, || Fussy(0)).workers(1).groups(1);
        let pipeline = pipeline.window(2).build().unwrap();
        let (mut submitter, mut receiver) = pipeline.open(order).unwrap().split();
        for position in 0..5 {
            submit(&mut submitter, position);
            defuse(|| receiver.recv_timeout(LONG).unwrap().take());
            assert_eq!(receiver.in_flight(), 0, "the output was dropped");
        }
        drop((submitter, receiver));
        assert_balanced(&pipeline.close());
    }

    fn submit(submitter: &mut Submitter<Keeper>, position: u64) {
        // The slot still holds what the output two before this one was to be taken out of.
        let submitted = submitter.submit_with(|slot| {
            assert_eq!(slot.0, position.saturating_sub(2));
            slot.0 = position;
        });
        assert_eq!(submitted.ok(), Some(position));
    }
}

/// A payload that has no default after all.
#[derive(Debug)]
struct Fussy(u64);

impl Default for Fussy {
    fn default() -> Self {
        panic_any(Bomb)
    }
}

struct Keeper;

#[state_machine(data = Fussy, error = String)]
impl Keeper {
    #[stage]
    fn run(&mut self, request: &mut Request<'_, Self>) -> Step {
        request.done()
    }
}
