//! Stops one thread at a time, at random points, and measures whom that holds up.
//!
//! 1. Groups of both orders, with sole and shared submitters, split and in one hand, stream through one
//!    pipeline. Each submitter pauses for some hundred microseconds between bursts.
//! 2. In turn a thread of each role is stopped by a signal ([`signal`](crate::signal)), and nobody for
//!    comparison. For each other group the longest gap between two results that touches the stall is
//!    noted.
//! 3. After each stall every group must go on: one that shows no result for [`SILENCE_MAX`] ends the run
//!    with an error, and so does one that is silent for so long while it should not be held up.
//! 4. At the end each request must have come back once, to its own group, in its order.
//!
//! Who may be held up is what RELIABILITY.md says of progress: a submitter or receiver holds up its
//! own group, a worker the batch that it has claimed, so one group at most. Which one that is cannot be
//! seen from outside; it is taken to be the one with the longest gap.

mod lane;
mod report;

pub use report::{Report, Row};

use crate::common::Random;
use crate::mill::Mill;
use crate::signal::{self, Stall};
use crate::threads;
use lane::{Kind, Lane, Lanes};
use report::Gaps;
use stageline::{Order, Pipeline, WaitStrategy};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

/// A group without a result for this long does not go on.
pub const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Between two stalls, at most.
const PAUSE_US_MAX: u64 = 2_000;
/// A worker's groups are served by others 5 to 10 ms after it has stopped. Stalls below this are too
/// short to tell a group that is served so from one that waits for the stall's end.
const TELLING: Duration = Duration::from_millis(50);
/// Name of the pipeline, and so of its threads.
const NAME: &str = "stalls";

/// The groups, in the order of their opening: each home worker of two gets both orders.
const LANES: [(Order, Kind); 6] = [
    (Order::Submission, Kind::Sole),
    (Order::Completion, Kind::Sole),
    (Order::Submission, Kind::Shared),
    (Order::Completion, Kind::Shared),
    (Order::Completion, Kind::Together),
    (Order::Submission, Kind::Together),
];

/// What thread is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// None, for comparison.
    Nobody,
    /// The only producer of a group.
    Submitter,
    /// One of two producers of a group.
    SharedSubmitter,
    /// The receiver of a group.
    Receiver,
    /// The thread that has both ends of a group.
    BothEnds,
    /// A worker.
    Worker,
    /// The thread that watches the workers.
    Watch,
}

/// All roles, in turn.
const ROLES: [Role; 8] = [
    Role::Nobody,
    Role::Submitter,
    Role::SharedSubmitter,
    Role::Worker,
    Role::Receiver,
    Role::BothEnds,
    Role::Worker,
    Role::Watch,
];

/// A thread that can be stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    role: Role,
    thread: i32,
    /// Of a submitter or receiver: its group. Of a worker: which one.
    index: usize,
}

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// For how long.
    pub time: Duration,
    /// How long each stall lasts.
    pub stall: Duration,
    /// Of the random numbers.
    pub seed: u64,
    /// Workers of the pipeline.
    pub workers: usize,
    /// What its idle threads do.
    pub wait: WaitStrategy,
}

/// Runs it.
///
/// # Errors
///
/// What was lost, doubled, out of order or foreign; who did not go on; or what could not be set up. The
/// threads are then left behind: the process has to end.
pub fn run(options: &Options) -> Result<Report, String> {
    signal::install(options.stall).map_err(|error| format!("no handler: {error}"))?;
    let builder = Pipeline::builder(|| Mill).name(NAME).workers(options.workers).reserve(0);
    let builder = builder.groups(LANES.len()).window(256).wait(options.wait);
    let pipeline = builder.build().map_err(|error| error.to_string())?;
    let homes = options.workers.min(pipeline.report().usable_cpus);
    let lanes = Lanes::start(&pipeline, &LANES, homes, options.seed)?;
    let targets = targets(&lanes, options.workers)?;
    let mut injector = Injector {
        gaps: Gaps::new(options),
        random: Random(options.seed),
        targets,
        workers: options.workers,
        lanes: Arc::clone(&lanes.lanes),
    };
    let start = Instant::now();
    while start.elapsed() < options.time {
        for role in ROLES {
            injector.stall(role, options.stall)?;
        }
    }
    let elapsed = start.elapsed();
    let (sent, received) = lanes.finish()?;
    let ledger = pipeline.close_timeout(SILENCE_MAX).map_err(|error| error.to_string())?;
    let is_whole = received == sent && ledger.done == sent && ledger.submitted == sent;
    if !is_whole || ledger.received != received {
        return Err(format!("{sent} were sent and {received} came; the pipeline says {ledger}"));
    }
    Ok(injector.gaps.report(elapsed, sent, options.workers > 1 && options.stall >= TELLING))
}

/// All threads that can be stopped.
fn targets(lanes: &Lanes, workers: usize) -> Result<Vec<Target>, String> {
    let mut targets = lanes.targets()?;
    let named = threads::all();
    let mut add = |role, name: String, index| match named.iter().find(|(_, is)| *is == name) {
        Some((thread, _)) => {
            targets.push(Target { role, thread: *thread, index });
            Ok(())
        }
        None => Err(format!("no thread is called {name}")),
    };
    (0..workers).try_for_each(|worker| add(Role::Worker, format!("{NAME}-{worker}"), worker))?;
    if workers > 1 {
        add(Role::Watch, format!("{NAME}-watch"), 0)?;
    }
    Ok(targets)
}

/// Who stops the threads, and notes what it does to the groups.
struct Injector {
    gaps: Gaps,
    random: Random,
    targets: Vec<Target>,
    workers: usize,
    lanes: Arc<[Lane]>,
}

impl Injector {
    /// Stops a random thread of a role, and waits until all groups have gone on after it.
    fn stall(&mut self, role: Role, time: Duration) -> Result<(), String> {
        thread::sleep(Duration::from_micros(self.random.below(PAUSE_US_MAX)));
        let of_role: Vec<_> = self.targets.iter().filter(|target| target.role == role).collect();
        let target = match of_role.len() as u64 {
            0 if role == Role::Nobody => None,
            0 => return Ok(()),
            choices => Some(*of_role[self.random.below(choices) as usize]),
        };
        let awake = self.random.below(4) > 0;
        let before: Vec<u64> = self.lanes.iter().map(Lane::begin_watch).collect();
        let stall = match target {
            None => self.no_stall(time),
            Some(target) => signal::stall(target.thread, awake, || {
                self.none_is_silent(target, signal::now_ns())
            })?,
        };
        let after: Vec<u64> = self.lanes.iter().map(|lane| lane.results.load(SeqCst)).collect();
        self.wait_until_all_go_on(role, stall)?;
        let during: Vec<u64> = after.iter().zip(before).map(|(after, now)| after - now).collect();
        self.gaps.note(role, target.map(|target| target.index), stall, &self.lanes, &during);
        Ok(())
    }

    fn no_stall(&self, time: Duration) -> Stall {
        let begun_ns = signal::now_ns();
        thread::sleep(time);
        Stall { begun_ns, ended_ns: signal::now_ns(), in_code: false }
    }

    /// While a thread is stopped: no group is silent for too long that it may not hold up.
    fn none_is_silent(&self, target: Target, now_ns: u64) -> Result<(), String> {
        let silent: Vec<_> = self.lanes.iter().filter(|lane| lane.is_silent(now_ns)).collect();
        let is_excused = match target.role {
            Role::Worker if self.workers == 1 => true,
            Role::Worker => silent.len() <= 1,
            Role::Nobody | Role::Watch => silent.is_empty(),
            _ => silent.iter().all(|lane| lane.index == target.index),
        };
        if is_excused { Ok(()) } else { Err(complaint(target.role, &silent)) }
    }

    /// Waits until each group has shown a result after the stall: then the gaps are over.
    fn wait_until_all_go_on(&self, role: Role, stall: Stall) -> Result<(), String> {
        loop {
            let mut waiting = self.lanes.iter().filter(|lane| lane.last_ns() <= stall.ended_ns);
            if waiting.next().is_none() {
                return Ok(());
            }
            let now_ns = signal::now_ns();
            if now_ns - stall.ended_ns > SILENCE_MAX.as_nanos() as u64 {
                let late = self.lanes.iter().filter(|lane| lane.last_ns() <= stall.ended_ns);
                return Err(complaint(role, &late.collect::<Vec<_>>()));
            }
            thread::sleep(Duration::from_micros(200));
        }
    }
}

fn complaint(role: Role, silent: &[&Lane]) -> String {
    let names: Vec<_> = silent.iter().map(|lane| lane.name.as_str()).collect();
    let failed = silent.iter().find_map(|lane| lane.failure());
    let why = failed.map_or(String::new(), |failure| format!(": {failure}"));
    format!("{role:?} stopped: no result for {SILENCE_MAX:?} in {}{why}", names.join(", "))
}
