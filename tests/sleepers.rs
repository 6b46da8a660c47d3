//! Threads that stop for random times, each where it holds something: a worker inside a stage, a receiver
//! with an output, a shared producer inside its filler. What they hold stays theirs, and only that.

mod common;

use common::{LONG, ORDERS, Random, assert_quiet, finish, watchdog};
use stageline::{Builder, Order, Pipeline, Request, Step, state_machine};
use std::thread;
use std::time::Duration;

/// What every slot carries: whoever writes to a slot that another holds breaks the sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Page {
    words: [u64; 24],
    sum: u64,
}

impl Page {
    fn of(number: u64) -> Self {
        let mut random = Random(number);
        let words = std::array::from_fn(|_| random.next());
        Self { words, sum: words.iter().fold(0, |sum, word| sum ^ word) }
    }

    #[track_caller]
    fn check(&self) {
        let sum = self.words.iter().fold(0, |sum, word| sum ^ word);
        assert_eq!(sum, self.sum, "another has written to this slot");
    }
}

/// One thread in so many stops, for up to a millisecond.
fn stop(random: &mut Random, one_in: u64) {
    if random.below(one_in) == 0 {
        thread::sleep(Duration::from_micros(random.below(1_000)));
    }
}

/// Stops between two looks at its request.
struct Sleeper(Random);

#[state_machine(data = Page)]
impl Sleeper {
    #[stage]
    fn run(&mut self, page: &mut Request<'_, Self>) -> Step {
        page.check();
        let before = **page;
        stop(&mut self.0, 64);
        assert_eq!(**page, before, "changed while the stage slept");
        **page = Page { words: before.words.map(|word| !word), ..before };
        page.done()
    }
}

fn sleepers(workers: usize, window: usize) -> Builder<Sleeper> {
    Pipeline::builder(|| Sleeper(Random(31))).workers(workers).reserve(0).window(window).groups(4)
}

/// How many requests a group gets through.
const COUNT: u64 = if cfg!(debug_assertions) { 2_000 } else { 10_000 };

/// Receives them all, and stops with an output now and then.
fn receive(receiver: &mut stageline::Receiver<Sleeper>, order: Order, seed: u64) {
    let mut random = Random(seed);
    let mut seen = vec![false; COUNT as usize];
    for next in 0..COUNT {
        let output = receiver.recv_timeout(LONG).unwrap();
        assert!(output.is_done());
        let page = Page::of(output.position());
        let expected = Page { words: page.words.map(|word| !word), ..page };
        assert_eq!(*output, expected, "seed {seed}");
        stop(&mut random, 32);
        assert_eq!(*output, expected, "changed while it was lent, seed {seed}");
        assert!(order == Order::Completion || output.position() == next);
        assert!(!std::mem::replace(&mut seen[output.position() as usize], true), "twice");
    }
}

#[test]
fn what_a_stopped_thread_holds_is_left_alone() {
    let _dog = watchdog(240);
    for (order, workers) in ORDERS.into_iter().flat_map(|order| [(order, 1), (order, 3)]) {
        let pipeline = sleepers(workers, 4).build().unwrap();
        thread::scope(|scope| {
            for seed in 0..3 {
                let (mut submitter, mut receiver) = pipeline.open(order).unwrap().split();
                scope.spawn(move || {
                    let mut random = Random(seed);
                    for number in 0..COUNT {
                        let fill = |page: &mut Page| {
                            stop(&mut random, 64);
                            *page = Page::of(number);
                        };
                        assert_eq!(submitter.submit_with(fill).ok(), Some(number));
                    }
                });
                scope.spawn(move || {
                    receive(&mut receiver, order, 100 + seed);
                    assert_quiet(&receiver.stats());
                });
            }
        });
        assert_eq!(finish(pipeline).done, 3 * COUNT);
    }
}

/// A producer that has taken a position and stops holds up those behind it in its own group, whether the
/// window is empty or full, and no other group.
#[test]
fn a_producer_that_stops_with_a_position_holds_up_its_group_alone() {
    let _dog = watchdog(120);
    let cases = ORDERS.into_iter().flat_map(|order| [(order, 1), (order, 3)]);
    for ((order, workers), behind) in cases.flat_map(|case| [(case, 0), (case, 3), (case, 7)]) {
        let pipeline = sleepers(workers, 8).build().unwrap();
        let (submitter, mut receiver) = pipeline.open(order).unwrap().split();
        let (mut stopped, mut live) = (submitter.share(), pipeline.open(order).unwrap());
        let mut others = stopped.clone();
        let (inside, go_on) = (common::Gate::closed(), common::Gate::closed());
        thread::scope(|scope| {
            scope.spawn(|| {
                let fill = |page: &mut Page| {
                    inside.open();
                    go_on.pass();
                    *page = Page::of(0);
                };
                assert_eq!(stopped.submit_with(fill).ok(), Some(0));
            });
            inside.pass();
            for number in 1..=behind {
                assert_eq!(others.submit(Page::of(number)), Ok(number));
            }
            let full = others.try_submit(Page::of(8)).is_err();
            assert_eq!(full, behind == 7, "a window of eight");
            let count = behind + 1 + u64::from(!full);
            // The other group goes on, for many laps.
            for number in 0..200 {
                assert_eq!(live.submit(Page::of(number)), Ok(number));
                assert!(live.recv_timeout(LONG).unwrap().is_done());
            }
            assert!(receiver.try_recv().is_err(), "nothing overtakes the position");
            go_on.open();
            let mut positions: Vec<_> =
                (0..count).map(|_| receiver.recv_timeout(LONG).unwrap().position()).collect();
            positions.sort_unstable();
            assert_eq!(positions, (0..count).collect::<Vec<_>>());
        });
        drop((stopped, others));
        assert_quiet(&receiver.stats());
    }
}

/// Nobody can take the window of a group whose receiver stops with an output, when it is full; the
/// other groups do not notice.
#[test]
fn a_receiver_that_stops_with_an_output_holds_up_its_group_alone() {
    let _dog = watchdog(120);
    for (order, workers) in ORDERS.into_iter().flat_map(|order| [(order, 1), (order, 3)]) {
        let pipeline = sleepers(workers, 4).build().unwrap();
        let (mut submitter, mut receiver) = pipeline.open(order).unwrap().split();
        let mut live = pipeline.open(order).unwrap();
        assert_eq!(submitter.submit_batch(&mut (0..).map(Page::of)), 4);
        let output = receiver.recv_timeout(LONG).unwrap();
        let held = *output;
        assert!(submitter.try_submit(Page::of(4)).is_err(), "the slot is lent");
        for number in 0..200 {
            assert_eq!(live.submit(Page::of(number)), Ok(number));
            assert!(live.recv_timeout(LONG).unwrap().is_done());
        }
        assert_eq!(*output, held);
        drop(output);
        assert_eq!(submitter.submit(Page::of(4)), Ok(4));
        for _ in 0..4 {
            assert!(receiver.recv_timeout(LONG).unwrap().is_done());
        }
    }
}
