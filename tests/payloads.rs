//! Payloads of every kind, and the number of them that are alive.

mod common;

use common::{LONG, ORDERS, finish, watchdog};
use stageline::{Order, Pipeline, Request, StateMachine, Step, state_machine};
use std::fmt::Debug;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

/// Hands each payload on as it came, after a look at it by `check`.
struct Through<T>(fn(&T));

#[state_machine(data = T, error = String)]
impl<T: Send + 'static> Through<T> {
    #[stage]
    fn look(&mut self, request: &mut Request<'_, Self>) -> Step {
        (self.0)(request);
        request.done()
    }
}

/// Where a group begins to count: at zero, and a lap or two before the end of 32 bits, of half of the turn's
/// positions, of all of them, and of 64 bits.
const STARTS: [u64; 5] = [0, u32::MAX as u64 - 5, (1 << 59) - 5, (1 << 60) - 5, u64::MAX - 5];

/// Sends every value through, over several laps that cross each edge, and gets the same back.
#[track_caller]
fn through<T>(default: fn() -> T, check: fn(&T), value: fn(u64) -> T)
where
    T: Send + Debug + PartialEq + 'static,
{
    let _dog = watchdog(120);
    let cases = ORDERS.into_iter().flat_map(|order| [(order, 1, 8), (order, 3, 8), (order, 3, 2)]);
    for (start, (order, workers, window)) in
        STARTS.into_iter().flat_map(|start| cases.clone().map(move |case| (start, case)))
    {
        let builder = Pipeline::builder_with(move || Through(check), default).groups(2);
        let builder = builder.workers(workers).window(window as usize).first_position(start);
        let pipeline = builder.build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        for lap in 0..40 / window {
            for ahead in 0..window {
                let position = start.wrapping_add(window * lap + ahead);
                assert_eq!(group.submit(value(position)).ok(), Some(position));
            }
            for taken in 0..window {
                let output = group.recv().unwrap();
                let expected = value(output.position());
                assert_eq!(*output, expected, "from {start:#x}");
                if taken % 2 == 0 {
                    assert_eq!(output.replace(default()), expected);
                }
            }
        }
        drop(group);
        assert_eq!(finish(pipeline).done, 40);
    }
}

#[derive(Debug, Default, PartialEq)]
struct Nothing;

#[derive(Debug, Default, PartialEq)]
#[repr(align(128))]
struct Aligned(u8);

/// More than the slots' slabs are aligned to.
#[derive(Debug, Default, PartialEq)]
#[repr(align(4096))]
struct PageAligned(u64);

/// Of different sizes, some with something to drop.
#[derive(Debug, Default, PartialEq)]
enum Mixed {
    #[default]
    Empty,
    Number(u64),
    Text(String),
    Large([u8; 100]),
    Nested(Box<Mixed>),
}

impl Mixed {
    fn of(position: u64) -> Self {
        match position % 5 {
            0 => Self::Empty,
            1 => Self::Number(position),
            2 => Self::Text(format!("number {position}")),
            3 => Self::Large([position as u8; 100]),
            _ => Self::Nested(Box::new(Self::of(position - 1))),
        }
    }
}

fn is_aligned<T>(value: &T) {
    assert_eq!((value as *const T).addr() % align_of::<T>(), 0);
}

#[test]
fn of_no_size() {
    through(|| (), |_| {}, |_| ());
    through(|| Nothing, is_aligned, |_| Nothing);
    through(|| [0_u64; 0], is_aligned, |_| []);
}

#[test]
fn over_aligned() {
    through(Aligned::default, is_aligned, |position| Aligned(position as u8));
    through(PageAligned::default, is_aligned, PageAligned);
}

#[test]
fn behind_pointers() {
    through(Box::default, |_| {}, Box::new);
    through(|| "", |_| {}, |position| ["one", "two", "three"][position as usize % 3]);
    through(String::new, |_| {}, |position| format!("number {position}"));
    through(|| None, |_| {}, |position| Some(Arc::new(position)));
    through(Vec::new, |_| {}, |position| vec![position; position as usize % 5]);
    through(Arc::default, |_| {}, Arc::new);
    static NUMBERS: [u64; 4] = [2, 3, 5, 7];
    through(|| &NUMBERS[0], is_aligned, |position| &NUMBERS[position as usize % 4]);
}

#[test]
fn with_niches_and_variants() {
    through(|| None, |_| {}, NonZero::<u64>::new);
    through(|| None, |_| {}, |position| (position % 2 == 0).then_some(Box::new(position)));
    through(|| false, |_| {}, |position| position % 3 == 0);
    through(Mixed::default, is_aligned, Mixed::of);
}

#[test]
fn of_many_bytes() {
    through(|| [0_u8; 4096], |_| {}, |position| [position as u8; 4096]);
    through(|| [0_u8; 65_536], |_| {}, |position| [position as u8; 65_536]);
    through(|| [0_u8; 3], |_| {}, |position| [position as u8; 3]);
    through(|| [0_u64; 7], is_aligned, |position| [position; 7]);
    through(|| u128::MAX, is_aligned, u128::from);
}

#[test]
fn that_are_not_sync() {
    through(|| std::cell::Cell::new(0), |_| {}, std::cell::Cell::new);
}

/// The vectors of the slots are used again, with the capacity that they have grown to.
#[test]
fn buffers_are_used_again() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let builder =
            Pipeline::builder_with(|| Through(|_: &Vec<u8>| {}), || Vec::with_capacity(100));
        let pipeline = builder.workers(1).groups(1).window(4).build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        let mut homes = std::collections::BTreeSet::new();
        for round in 0..40_u8 {
            let filled = group.submit_with(|buffer| {
                assert!(buffer.capacity() >= 100);
                homes.insert(buffer.as_ptr().addr());
                buffer.clear();
                buffer.extend([round; 100]);
            });
            assert!(filled.is_ok());
            let output = group.recv().unwrap();
            assert_eq!(*output, [round; 100]);
        }
        assert_eq!(homes.len(), 4, "one buffer for each slot, for ever");
    }
}

/// Counts how many of it are alive.
#[derive(Debug)]
struct Counted(Arc<AtomicI64>);

impl Counted {
    fn new(live: &Arc<AtomicI64>) -> Self {
        live.fetch_add(1, SeqCst);
        Self(Arc::clone(live))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// Its requests and errors are counted values; every second request fails with one.
struct Census;

impl StateMachine for Census {
    type Data = Counted;
    type Error = Counted;
    const STAGES: stageline::StageTable<Self> = stageline::StageTable::new(&[stageline::Stage {
        name: "census",
        run: |_, request| {
            if request.position().is_multiple_of(2) {
                return request.done();
            }
            let error = Counted::new(&request.0);
            request.fail(error)
        },
        next: None,
        pool: None,
    }]);
}

#[test]
fn as_many_values_are_alive_as_there_are_slots_and_those_held() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let live = Arc::new(AtomicI64::new(0));
        let factory = Arc::clone(&live);
        let now = || live.load(SeqCst);
        let builder = Pipeline::builder_with(|| Census, move || Counted::new(&factory)).workers(1);
        let pipeline = builder.groups(2).window(8).build().unwrap();
        assert_eq!(now(), 16, "one for each slot");
        let mut group = pipeline.open(order).unwrap();
        for _ in 0..20 {
            group.submit(Counted::new(&live)).unwrap();
            group.submit(Counted::new(&live)).unwrap();
            assert!(group.recv().unwrap().is_done());
            let output = group.recv().unwrap();
            assert_eq!(now(), 17, "the slots and an error");
            drop(output);
            assert_eq!(now(), 16);
        }
        // Held by the user: what was taken, and errors by value.
        group.submit(Counted::new(&live)).unwrap();
        let taken = group.recv().unwrap().replace(Counted::new(&live));
        assert_eq!(now(), 17);
        drop(taken);
        group.submit(Counted::new(&live)).unwrap();
        let error = group.recv().unwrap().into_error().ok().unwrap();
        assert_eq!(now(), 17);
        drop(error);
        // A value that is refused comes back whole.
        assert_eq!(group.submit_batch(&mut (0..8).map(|_| Counted::new(&live))), 8);
        let refused = group.try_submit(Counted::new(&live)).unwrap_err();
        drop(refused.into_inner());
        // Dropped with results that nobody received: their errors go with the next opening.
        drop(group);
        let mut group = pipeline.open(order).or_else(|_| pipeline.open(order)).unwrap();
        assert!(now() <= 16 + 4, "{}", now());
        group.submit(Counted::new(&live)).unwrap();
        group.receiver().recv_timeout(LONG).map(drop).unwrap();
        drop(group);
        drop(pipeline);
        assert_eq!(now(), 0, "all are gone with the pipeline");
    }
}

/// Its drop panics.
struct Thorn;

impl Drop for Thorn {
    fn drop(&mut self) {
        panic!("the drop of a thorn");
    }
}

struct Rose;

#[state_machine(data = Counted, error = Thorn)]
impl Rose {
    #[stage]
    fn sting(&mut self, request: &mut Request<'_, Self>) -> Step {
        request.fail(Thorn)
    }
}

/// The payload has been taken out of its slot when the error's drop panics: it must not be lost between.
#[test]
fn a_payload_that_is_taken_is_dropped_though_its_error_panics() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let live = Arc::new(AtomicI64::new(0));
        let factory = Arc::clone(&live);
        let builder = Pipeline::builder_with(|| Rose, move || Counted::new(&factory)).workers(1);
        let pipeline = builder.groups(1).window(4).build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        for _ in 0..6 {
            assert!(group.submit(Counted::new(&live)).is_ok(), "there is room");
            let output = group.recv().unwrap();
            let taking = || drop(output.replace(Counted::new(&live)));
            assert!(catch_unwind(AssertUnwindSafe(taking)).is_err(), "the error's drop panics");
            assert_eq!(live.load(SeqCst), 4, "one for each slot");
            assert_eq!(group.in_flight(), 0);
        }
        drop(group);
        assert_eq!(finish(pipeline).failed, 6);
    }
}

#[test]
fn a_handle_keeps_the_values_alive() {
    let _dog = watchdog(60);
    let live = Arc::new(AtomicI64::new(0));
    let factory = Arc::clone(&live);
    let builder = Pipeline::builder_with(|| Census, move || Counted::new(&factory)).workers(1);
    let pipeline = builder.groups(1).window(4).build().unwrap();
    let (mut submitter, receiver) = pipeline.open(Order::Completion).unwrap().split();
    submitter.submit(Counted::new(&live)).unwrap();
    submitter.submit(Counted::new(&live)).unwrap();
    drop(receiver);
    drop(pipeline);
    assert_eq!(live.load(SeqCst), 4 + 1, "an error that nobody received");
    drop(submitter);
    assert_eq!(live.load(SeqCst), 0);
}

#[test]
fn a_factory_of_payloads_that_panics_leaves_none() {
    let live = Arc::new(AtomicI64::new(0));
    let (factory, mut made) = (Arc::clone(&live), 0);
    let payload = move || {
        made += 1;
        assert!(made < 11, "the eleventh");
        Counted::new(&factory)
    };
    let builder = Pipeline::builder_with(|| Census, payload).groups(2).window(8);
    let result = catch_unwind(AssertUnwindSafe(|| builder.build()));
    assert!(result.is_err());
    assert_eq!(live.load(SeqCst), 0);
}
