//! After the build and a warm-up nothing is allocated or freed, by any thread: not by requests that go
//! round, by groups that are opened, closed and used again, by handles that are shared and cloned, by
//! cancelling, nor by threads that sleep and are woken.
//!
//! The long run, of a billion requests: `STAGELINE_ROUNDS=100 cargo test --release --test zero_alloc`

mod common;

use common::counting::{Counting, calls, wait_for_others};
use common::{LONG, ORDERS, watchdog};
use stageline::{
    Builder, GroupOptions, Order, Overflow, Pipeline, Receiver, Request, RequestGroup, Step,
    Submitter, TryRecvError, TrySubmitError, state_machine,
};
use std::thread;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Requests that stream through in each order and round.
const STREAMED: u64 = if cfg!(debug_assertions) { 200_000 } else { 5_000_000 };

struct Plain;

/// Every outcome that a stage can give without a heap.
#[state_machine(data = [u64; 7], error = u32)]
impl Plain {
    #[stage]
    fn first(&mut self, request: &mut Request<'_, Self>) -> Step {
        request[1] = request[0];
        request.next(Self::SECOND)
    }

    #[stage]
    fn second(&mut self, request: &mut Request<'_, Self>) -> Step {
        match request[0] % 1000 {
            997 => request.fail(7),
            998 => request.drop(),
            999 => request.next(Self::FIRST),
            _ => request.done(),
        }
    }
}

fn builder(workers: usize) -> Builder<Plain> {
    let builder = Pipeline::builder(|| Plain).workers(workers).reserve(0).groups(4);
    builder.window(256).visits_max(100).drop_oldest(true).dead_letters(16)
}

/// How often everything is run after the warm-up.
fn rounds() -> u64 {
    let rounds = std::env::var("STAGELINE_ROUNDS");
    rounds.map_or(1, |rounds| rounds.parse().expect("STAGELINE_ROUNDS is a number"))
}

/// Runs something once to warm up, and then checks that it neither allocates nor frees.
#[track_caller]
fn allocates_nothing(what: &str, mut run: impl FnMut()) {
    run();
    let rounds = rounds();
    let before = calls();
    (0..rounds).for_each(|_| run());
    let made = calls() - before;
    assert_eq!(made, 0, "{what}: allocations and deallocations");
}

/// One thread submits a window full and receives it.
fn stream(group: &mut RequestGroup<Plain>, count: u64) {
    let mut values = (0..count).map(|value| [value; 7]);
    let mut left = count;
    while left > 0 {
        let submitted = group.submit_batch(&mut values);
        for _ in 0..submitted {
            let output = group.recv().unwrap();
            assert_eq!(output[0], output[1]);
        }
        left -= submitted as u64;
    }
}

/// Two threads: the other one, made before, does what it is told.
struct Echo {
    tasks: std::sync::mpsc::SyncSender<u64>,
    done: std::sync::mpsc::Receiver<()>,
}

impl Echo {
    fn new(mut submitter: Submitter<Plain>) -> Self {
        let (tasks, inbox) = std::sync::mpsc::sync_channel(4);
        let (outbox, done) = std::sync::mpsc::sync_channel(4);
        thread::spawn(move || {
            for count in inbox {
                (0..count).for_each(|value| assert!(submitter.submit([value; 7]).is_ok()));
                outbox.send(()).unwrap();
            }
        });
        Self { tasks, done }
    }

    fn run(&self, receiver: &mut Receiver<Plain>, count: u64) {
        self.tasks.send(count).unwrap();
        for _ in 0..count {
            drop(receiver.recv().unwrap());
        }
        self.done.recv().unwrap();
    }
}

fn every_method(group: &mut RequestGroup<Plain>) {
    for value in 0..300 {
        assert!(group.submit([value; 7]).is_ok());
        assert!(group.submit_with(|slot| slot[0] = 995).is_ok());
        assert!(group.try_submit([value; 7]).is_ok());
        assert!(group.submit_timeout([997; 7], LONG).is_ok());
        assert_eq!(group.recv().unwrap().replace([1; 7])[0], value);
        assert_eq!(group.recv_timeout(LONG).unwrap().take()[0], 995);
        assert!(group.recv().unwrap().is_done());
        assert_eq!(group.recv().unwrap().into_error().ok(), Some(7));
    }
    assert_eq!(group.try_recv().err(), Some(TryRecvError::Empty));
    group.set_deadline(Some(std::time::Instant::now()));
    assert!(group.submit([1; 7]).is_ok());
    assert_eq!(group.recv().unwrap().outcome().to_string_len(), "expired".len());
    group.set_deadline(None);
    while group.try_submit([3; 7]).is_ok() {}
    assert!(matches!(group.try_submit([3; 7]), Err(TrySubmitError::Full(_))));
    let mut drained = 0;
    while drained < 256 {
        drained += group.drain(usize::MAX, |output| output[0] += 1);
    }
}

/// The length of a text, without making it.
trait ToStringLen: std::fmt::Display {
    fn to_string_len(&self) -> usize {
        use std::fmt::Write;
        struct Length(usize);
        impl Write for Length {
            fn write_str(&mut self, text: &str) -> std::fmt::Result {
                self.0 += text.len();
                Ok(())
            }
        }
        let mut length = Length(0);
        write!(length, "{self}").unwrap();
        length.0
    }
}

impl<T: std::fmt::Display> ToStringLen for T {}

/// Opens a group, uses it and drops it, quiet or not; in all of the ways in turn.
fn open_and_close(pipeline: &Pipeline<Plain>, rounds: u64) {
    for round in 0..rounds {
        let Ok(mut group) = pipeline.open(ORDERS[(round % 2) as usize]) else {
            thread::yield_now();
            continue;
        };
        let submitted = group.submit_batch(&mut (0..round % 9).map(|_| [997; 7]));
        match round % 4 {
            0 => (0..submitted).for_each(|_| drop(group.recv().unwrap())),
            1 => group.cancel(),
            2 => {
                let (submitter, receiver) = group.split();
                let mut shared = submitter.share();
                let mut clone = shared.clone();
                assert!(shared.submit([1; 7]).is_ok() && clone.submit([2; 7]).is_ok());
                drop((shared, receiver, clone));
            }
            _ => {}
        }
    }
}

/// Floods a group whose latest values win and whose failures are kept apart, more of them than there are
/// letters; and opens and drops it.
fn flood(pipeline: &Pipeline<Plain>, order: Order) {
    let options = GroupOptions::new(order).overflow(Overflow::DropOldest).dead_letters();
    let mut opened = pipeline.open(options.clone());
    while opened.is_err() {
        thread::yield_now();
        opened = pipeline.open(options.clone());
    }
    let mut group = opened.unwrap();
    let mut letters = group.dead_letters().unwrap();
    for value in 0..3_000 {
        // Where there is room at once, or is none: the request that was dropped for it is not yet received.
        if group.try_submit([if value % 3 == 0 { 997 } else { value }; 7]).is_err() {
            group.drain(2, |output| assert!(output[0] < 3_000));
        }
        if value % 100 == 0 {
            // Failed, or cyclic.
            letters.drain(8, |letter| assert!(matches!(letter[0] % 1_000, 997 | 999)));
        }
    }
    while group.recv().is_ok() {}
    assert!(letters.recv().is_ok());
    let stats = (letters.index(), group.in_flight());
    assert_eq!(stats, (group.index(), 0));
}

fn sleep_and_wake(group: &mut RequestGroup<Plain>) {
    for _ in 0..20 {
        // Long enough for the worker to fall asleep, and for this thread to do so too.
        thread::sleep(Duration::from_millis(1));
        assert!(group.submit([1; 7]).is_ok());
        drop(group.recv().unwrap());
        assert!(group.recv_timeout(Duration::from_micros(200)).is_err());
    }
}

/// One test, since another would allocate meanwhile.
#[test]
fn nothing_is_allocated_after_the_build() {
    let _dog = watchdog(rounds().saturating_mul(300));
    wait_for_others();
    let before = calls();
    drop(std::hint::black_box(Box::new(1)));
    // A thread that has just been started may allocate, too.
    assert!(calls() - before >= 2, "the allocator does not count");
    for (order, workers) in ORDERS.into_iter().flat_map(|order| [(order, 1), (order, 3)]) {
        let pipeline = builder(workers).build().unwrap();
        let what = |what| format!("{what}, {order:?}, {workers} workers");
        let mut group = pipeline.open(order).unwrap();
        allocates_nothing(&what("stream"), || stream(&mut group, STREAMED / 4));
        // Methods that expect their results in order.
        if order == Order::Submission || workers == 1 {
            allocates_nothing(&what("methods"), || every_method(&mut group));
        }
        allocates_nothing(&what("sleep"), || sleep_and_wake(&mut group));
        let (submitter, mut receiver) = pipeline.open(order).unwrap().split();
        let echo = Echo::new(submitter);
        allocates_nothing(&what("two threads"), || echo.run(&mut receiver, STREAMED / 4));
        allocates_nothing(&what("groups"), || open_and_close(&pipeline, 2_000));
        allocates_nothing(&what("flood"), || flood(&pipeline, order));
        drop((echo, receiver, group));
        common::finish(pipeline);
    }
}
