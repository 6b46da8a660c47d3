//! Stages that panic at every n-th request, and one that never ends.

use proof::common::{Act, LONG, ORDERS, Random, assert_balanced, eventually, watchdog};
use proof::mill::{self, Grain, Mill, quiet_panics};
use proof::oracle::Oracle;
use stageline::{Order, Outcome, Pipeline, Request, Step, Submitter, state_machine};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

/// Submits so many requests, of which every n-th panics if `nth` is not 0, and receives them on another
/// thread. How many panicked.
fn stream(pipeline: &Pipeline<Mill>, order: Order, tag: u64, total: u64, nth: u64) -> u64 {
    let act = |number: u64| match nth {
        0 => Act::Pass,
        _ if number % nth == nth - 1 => Act::Panic,
        _ => Act::Pass,
    };
    let (mut submitter, mut receiver) = pipeline.open(order).unwrap().split();
    thread::scope(|scope| {
        let submit = |submitter: &mut Submitter<Mill>, number| {
            submitter.submit(Grain::new(tag, 0, number, act(number))).unwrap()
        };
        let first = submit(&mut submitter, 0);
        scope.spawn(move || {
            (1..total).for_each(|number| {
                submit(&mut submitter, number);
            })
        });
        let (mut oracle, mut panicked) = (Oracle::new(order, first), 0);
        for _ in 0..total {
            let output = receiver.recv_timeout(LONG).expect("it goes on");
            mill::check(&output, tag).unwrap();
            oracle.take(output.position()).unwrap();
            panicked += u64::from(matches!(output.outcome(), Outcome::Panicked(_)));
        }
        oracle.finish(total).unwrap();
        let ledger = receiver.stats().ledger;
        assert_eq!((ledger.submitted, ledger.panicked), (total, panicked));
        panicked
    })
}

/// The others get all of their results, unharmed and in order, beside a group of which every n-th request
/// panics.
#[test]
fn a_stage_that_panics_at_every_nth_request_harms_no_other_group() {
    let _dog = watchdog(120);
    quiet_panics();
    const TOTAL: u64 = 2_000;
    for (order, workers) in ORDERS.into_iter().flat_map(|order| [(order, 1), (order, 2)]) {
        for nth in [1, 2, 3, 7, 64, 1_000] {
            let builder = Pipeline::builder(|| Mill).workers(workers).reserve(0);
            let pipeline = builder.groups(4).window(64).build().unwrap();
            let panicked: Vec<u64> = thread::scope(|scope| {
                let groups = [(order, nth), (order, 0), (Order::Submission, 0), (order, 0)];
                let streams = groups.into_iter().zip(1..).map(|((order, nth), tag)| {
                    let pipeline = &pipeline;
                    scope.spawn(move || stream(pipeline, order, tag, TOTAL, nth))
                });
                let streams: Vec<_> = streams.collect();
                streams.into_iter().map(|stream| stream.join().unwrap()).collect()
            });
            assert_eq!(panicked, [TOTAL / nth, 0, 0, 0], "{order:?}, every {nth}");
            let ledger = pipeline.close();
            assert_balanced(&ledger);
            assert_eq!((ledger.submitted, ledger.panicked), (4 * TOTAL, TOTAL / nth));
        }
    }
}

/// A stage that never ends, on the value 0.
struct Endless;

static ENTERED: AtomicU64 = AtomicU64::new(0);

#[state_machine(data = u64, error = String)]
impl Endless {
    #[stage]
    fn begin(&mut self, request: &mut Request<'_, Self>) -> Step {
        **request += 1;
        request.next(Self::HANG)
    }

    #[stage]
    fn hang(&mut self, request: &mut Request<'_, Self>) -> Step {
        if **request == 1 {
            ENTERED.fetch_add(1, SeqCst);
            loop {
                thread::park();
            }
        }
        request.done()
    }
}

/// It keeps its worker for ever. All other groups go on, those that were at home with the same worker too,
/// and who closes the pipeline is told which stage and which group keep it. (The thread stays behind: there
/// is no way to end it.)
#[test]
fn a_stage_that_never_ends_holds_up_no_other_group_and_is_named() {
    let _dog = watchdog(120);
    for (round, (order, stuck)) in
        ORDERS.into_iter().flat_map(|order| [(order, 0), (order, 1)]).enumerate()
    {
        let builder = Pipeline::builder(|| Endless).workers(2).reserve(0).groups(6).window(32);
        let pipeline = builder.name("endless").build().unwrap();
        let mut groups: Vec<_> = (0..6).map(|_| pipeline.open(order).unwrap()).collect();
        groups[stuck].submit(0).unwrap();
        eventually("it hangs", || ENTERED.load(SeqCst) == round as u64 + 1);
        let mut random = Random(round as u64);
        for number in 0..300 {
            for (index, group) in groups.iter_mut().enumerate().filter(|(at, _)| *at != stuck) {
                let burst = 1 + random.below(4);
                (0..burst).for_each(|ahead| assert!(group.submit(1 + number + ahead).is_ok()));
                for ahead in 0..burst {
                    let output = group.recv_timeout(LONG);
                    let output = output.unwrap_or_else(|error| panic!("group {index}: {error}"));
                    assert!(output.is_done());
                    assert!(order == Order::Completion || *output == 2 + number + ahead);
                }
            }
        }
        let error = pipeline.close_timeout(Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.groups, [stuck]);
        let busy: Vec<_> = error.busy.iter().map(|(_, stage, group)| (&**stage, *group)).collect();
        assert_eq!(busy, [("hang", stuck)], "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("is in stage `hang` for group {stuck}")), "{text}");
    }
}
