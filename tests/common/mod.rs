//! What the tests share: a watchdog, a gate for stages, a machine that ends requests in every way,
//! and the check that no request was lost or doubled.

// Each test binary uses a part of it.
#![allow(dead_code)]

pub mod counting;
pub mod values;

use stageline::{
    Builder, GroupStats, Ledger, Order, Output, Pipeline, Request, StateMachine, Step,
    state_machine,
};
use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

pub const ORDERS: [Order; 2] = [Order::Submission, Order::Completion];

/// Longer than anything here takes on a loaded machine; what takes longer hangs.
pub const LONG: Duration = Duration::from_secs(30);

/// Ends the process with a message unless it is dropped in time, so that a hang is a failure.
pub struct Watchdog(#[allow(dead_code, reason = "dropped to call the dog off")] Sender<()>);

pub fn watchdog(seconds: u64) -> Watchdog {
    watchdog_over(seconds, || String::from("it"))
}

/// As [`watchdog`], over something that is described if it hangs.
pub fn watchdog_over(seconds: u64, what: impl FnOnce() -> String + Send + 'static) -> Watchdog {
    let (alive, gone) = channel();
    let test = thread::current().name().unwrap_or("a test").to_owned();
    thread::spawn(move || {
        if gone.recv_timeout(Duration::from_secs(seconds)) == Err(RecvTimeoutError::Timeout) {
            // Not `eprintln`, which the test harness captures.
            let message = format!("\n{test}: still running after {seconds} s; {} hangs\n", what());
            let _ = std::io::stderr().write_all(message.as_bytes());
            std::process::abort();
        }
    });
    Watchdog(alive)
}

/// Waits until something holds that other threads bring about.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "not within {LONG:?}: {what}");
        thread::sleep(Duration::from_micros(200));
    }
}

/// Waits until no thread of this process has a name that starts so (Linux keeps 15 bytes of it, and elsewhere
/// none are looked for). The kernel lists a thread for a moment after it has been joined.
#[track_caller]
pub fn threads_leave(prefix: &str) {
    eventually("its threads leave", || {
        let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
        let mut names =
            tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        !names.any(|name| name.starts_with(prefix))
    });
}

/// Waits until something is so that the ledger tells, and all that has ended can be received: a worker counts what it
/// has run before it hands that back, and sleeps after.
#[track_caller]
pub fn handed_back<M: StateMachine>(pipeline: &Pipeline<M>, has_ended: impl FnMut() -> bool) {
    eventually("it has ended", has_ended);
    eventually("it is handed back", || pipeline.stats().workers.iter().all(|worker| worker.parked));
}

/// Where stages wait until a test lets them go on.
#[derive(Default)]
pub struct Gate {
    /// Whether it is open, and how many have come to it.
    state: Mutex<(bool, usize)>,
    changed: Condvar,
}

impl Gate {
    pub fn closed() -> Arc<Self> {
        Arc::default()
    }

    pub fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.1 += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| !state.0).unwrap());
    }

    pub fn open(&self) {
        self.state.lock().unwrap().0 = true;
        self.changed.notify_all();
    }

    /// Waits until so many have come to the gate.
    #[track_caller]
    pub fn wait_for(&self, arrived: usize) {
        let state = self.state.lock().unwrap();
        let (_state, timeout) =
            self.changed.wait_timeout_while(state, LONG, |state| state.1 < arrived).unwrap();
        assert!(!timeout.timed_out(), "nobody came to the gate");
    }
}

/// How a request is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Act {
    #[default]
    Pass,
    Fail,
    Drop,
    Panic,
    /// Back to the first stage, for ever.
    Loop,
    /// Done, once the gate is open.
    Wait,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Job {
    pub act: Act,
    pub value: u64,
}

pub fn job(act: Act, value: u64) -> Job {
    Job { act, value }
}

pub fn pass(value: u64) -> Job {
    job(Act::Pass, value)
}

/// Two stages: the first adds one, the second ends the request as it asks.
pub struct Lab {
    gate: Arc<Gate>,
}

#[state_machine(data = Job, error = String)]
impl Lab {
    #[stage]
    fn count(&mut self, job: &mut Request<'_, Self>) -> Step {
        job.value += 1;
        job.next(Self::END)
    }

    #[stage]
    fn end(&mut self, job: &mut Request<'_, Self>) -> Step {
        let value = job.value;
        match job.act {
            Act::Pass => job.done(),
            Act::Fail => job.fail(format!("failed at {value}")),
            Act::Drop => job.drop(),
            Act::Panic => panic!("panicked at {value}"),
            Act::Loop => job.next(Self::COUNT),
            Act::Wait => {
                self.gate.pass();
                job.done()
            }
        }
    }
}

pub fn lab() -> Builder<Lab> {
    lab_with(&Gate::closed())
}

pub fn lab_with(gate: &Arc<Gate>) -> Builder<Lab> {
    let gate = Arc::clone(gate);
    Pipeline::builder(move || Lab { gate: Arc::clone(&gate) })
        .workers(1)
        .groups(2)
        .window(8)
        .visits_max(6)
}

/// What a request ended as, in one word of the ledger and its text.
pub fn ending<M: StateMachine<Error = String>>(output: &Output<'_, M>) -> String {
    output.outcome().to_string()
}

/// Nothing is lost and nothing is in two counts.
#[track_caller]
pub fn assert_balanced(ledger: &Ledger) {
    assert_eq!(ledger.ended(), ledger.submitted, "{ledger}");
    assert_eq!(ledger.in_flight(), 0, "{ledger}");
    let parts = ledger.done + ledger.failed + ledger.dropped + ledger.cancelled;
    let parts = parts + ledger.expired + ledger.panicked + ledger.cyclic;
    assert_eq!(parts, ledger.submitted, "{ledger}");
}

/// Closes a pipeline whose groups have been received or dropped, and checks its ledger.
#[track_caller]
pub fn finish<M: StateMachine>(pipeline: Pipeline<M>) -> Ledger {
    let ledger = pipeline.close();
    assert_balanced(&ledger);
    ledger
}

/// A group whose requests have all been received.
#[track_caller]
pub fn assert_quiet(stats: &GroupStats) {
    assert_balanced(&stats.ledger);
    assert_eq!(stats.ledger.received, stats.ledger.submitted, "{}", stats.ledger);
}

/// A small generator of test data (Steele's SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
