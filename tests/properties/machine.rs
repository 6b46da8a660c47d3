//! The machine, whose stages do as a request's script says and write down where they were; and the census
//! of what is alive.

use super::case::{Act, Job, Setting};
use stageline::{Request, RuntimeStage, Stage, StageId, StageTable, StateMachine, Step};
use std::mem;
use std::panic::panic_any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

/// Stages of the `const` table.
pub const STAGES: usize = 8;

/// What a message of a panic that was asked for begins with.
pub const PLANNED: &str = "planned: ";

/// A number of operations that no case comes to by itself.
pub const LAST_OPERATION: u64 = 1 << 32;

/// What the threads of a case have in common.
#[derive(Debug)]
pub struct World {
    pub census: Arc<Census>,
    pub setting: Setting,
    /// The next request's number: no two of a case have the same.
    pub numbers: AtomicU64,
    /// Operations begun by all streams.
    pub operations: AtomicU64,
    /// How often each stage was called.
    pub entered: [AtomicU64; STAGES],
    /// By index of a group, the position that its next opening starts at.
    pub tails: Vec<AtomicU64>,
    /// The pipeline ends while groups are open, without waiting for them: after so many operations, or at
    /// [`LAST_OPERATION`].
    pub ends_early: bool,
    /// The pipeline's end has begun; by an abort; and the call has returned.
    pub ending: AtomicBool,
    pub aborting: AtomicBool,
    pub ended: AtomicBool,
    /// Machines whose `close` was called.
    pub closes: AtomicU64,
}

impl World {
    /// One without streams.
    pub fn empty() -> Arc<Self> {
        Self::new(&Setting::smallest(), false)
    }

    pub fn new(setting: &Setting, ends_early: bool) -> Arc<Self> {
        let tail = |_| AtomicU64::new(setting.first_position);
        Arc::new(Self {
            census: Arc::default(),
            tails: (0..setting.groups).map(tail).collect(),
            setting: setting.clone(),
            numbers: AtomicU64::new(1),
            operations: AtomicU64::new(0),
            entered: Default::default(),
            ends_early,
            ending: AtomicBool::new(false),
            aborting: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            closes: AtomicU64::new(0),
        })
    }
}

/// How many payloads, errors and machines are alive; and the sum of their numbers, by which one that is
/// dropped twice does not make up for another that is leaked.
#[derive(Debug, Default)]
pub struct Census {
    count: AtomicI64,
    sum: AtomicU64,
    next: AtomicU64,
}

impl Census {
    pub fn count(&self) -> i64 {
        self.count.load(SeqCst)
    }

    pub fn is_empty(&self) -> bool {
        self.count() == 0 && self.sum.load(SeqCst) == 0
    }
}

/// One entry of the census. A default one is not counted.
#[derive(Debug, Default)]
pub struct Live(Option<(Arc<Census>, u64)>);

impl Live {
    pub fn new(census: &Arc<Census>) -> Self {
        let number = census.next.fetch_add(1, SeqCst) + 1;
        census.count.fetch_add(1, SeqCst);
        census.sum.fetch_add(number, SeqCst);
        Self(Some((Arc::clone(census), number)))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some((census, number)) = &self.0 {
            census.count.fetch_sub(1, SeqCst);
            census.sum.fetch_sub(*number, SeqCst);
        }
    }
}

/// What has been done to a group, for those who cannot see its handle.
#[derive(Debug, Default)]
pub struct Marks {
    /// Each is set before the call and, as `.._done`, after it.
    pub cancel: AtomicBool,
    pub cancel_done: AtomicBool,
    pub submitter_gone: AtomicBool,
    pub receiver_gone: AtomicBool,
    pub receiver_gone_done: AtomicBool,
}

/// The payload.
#[derive(Debug, Default)]
pub struct Parcel {
    pub number: u64,
    pub job: Job,
    marks: Arc<Marks>,
    /// Written by the stages.
    pub trace: Trace,
    _live: Live,
}

/// What the stages and hooks have seen of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    pub visited: Vec<u8>,
    pub hooked: usize,
    /// Its group, its position and whether it has a deadline.
    pub told: Option<(usize, u64, bool)>,
    /// Whether what they were told was the same each time, and of the stage that they were.
    pub confused: bool,
    /// Whether the cancelling of its group was over when it began.
    pub begun_late: bool,
}

impl Parcel {
    pub fn blank(census: &Arc<Census>) -> Self {
        Self { _live: Live::new(census), ..Self::default() }
    }

    pub fn new(census: &Arc<Census>, number: u64, job: Job, marks: &Arc<Marks>) -> Self {
        let (marks, trace) = (Arc::clone(marks), Trace::default());
        Self { number, job, marks, trace, _live: Live::new(census) }
    }

    /// Becomes another one, in place.
    pub fn refill(&mut self, mut other: Self) {
        mem::swap(&mut self.job, &mut other.job);
        mem::swap(&mut self.marks, &mut other.marks);
        self.number = other.number;
        let visited = mem::take(&mut self.trace.visited);
        self.trace = Trace { visited, ..Trace::default() };
        self.trace.visited.clear();
    }

    /// What comes next in its script.
    fn act(&self, visit: usize) -> Act {
        self.job.0.get(visit).copied().unwrap_or(Act::Next)
    }
}

/// The error: which request, and at which visit.
#[derive(Debug)]
pub struct Fault {
    pub number: u64,
    pub visit: usize,
    _live: Live,
}

/// Its drop panics with another one, for ever.
pub struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic_any(Bomb);
    }
}

pub struct Machine {
    world: Arc<World>,
    is_closed: bool,
    _live: Live,
}

impl Machine {
    pub fn new(world: &Arc<World>) -> Self {
        Self { _live: Live::new(&world.census), world: Arc::clone(world), is_closed: false }
    }

    /// A stage of the `const` table, which knows its index by itself.
    fn at<const HERE: usize>(&mut self, request: &mut Request<'_, Self>) -> Step {
        self.stage(request, HERE)
    }

    /// A stage of a table made at run time.
    fn anywhere(&mut self, request: &mut Request<'_, Self>) -> Step {
        let here = request.stage().index();
        self.stage(request, here)
    }

    fn stage(&mut self, request: &mut Request<'_, Self>, here: usize) -> Step {
        self.world.entered[here].fetch_add(1, SeqCst);
        Self::note(request, here);
        request.trace.visited.push(here as u8);
        let (number, visit) = (request.number, request.trace.visited.len() - 1);
        let stages = self.world.setting.table.len();
        let to = |request: &Request<'_, Self>, stage| request.next(StageId::new(stage as u16));
        let act = request.act(visit);
        match act {
            Act::Next | Act::Pause(_) | Act::FailThenNext | Act::HookFail | Act::HookPanic => {
                if let Act::Pause(tens) = act {
                    pause(tens);
                }
                if act == Act::FailThenNext {
                    let _ = request.fail(self.fault(number, visit));
                }
                if here + 1 < stages { to(request, here + 1) } else { request.done() }
            }
            Act::Jump(stage) => to(request, usize::from(stage) % stages),
            Act::Off(beyond) => to(request, stages + usize::from(beyond)),
            Act::Done => request.done(),
            Act::Drop => request.drop(),
            Act::Fail => request.fail(self.fault(number, visit)),
            Act::Panic => panic!("{PLANNED}{number} at {visit}"),
            Act::Bomb => panic_any(Bomb),
            Act::FailThenPanic => {
                let _ = request.fail(self.fault(number, visit));
                panic!("{PLANNED}{number} at {visit}")
            }
        }
    }

    /// Writes down what a stage or the first hook before it is told.
    fn note(request: &mut Request<'_, Self>, here: usize) {
        let named = request.stage_name() == stage_name(here) && request.stage().index() == here;
        let told = (request.group(), request.position(), request.deadline().is_some());
        let is_late = request.marks.cancel_done.load(SeqCst);
        let trace = &mut request.trace;
        trace.begun_late |= trace.told.is_none() && is_late;
        trace.confused |= !named || *trace.told.get_or_insert(told) != told;
    }

    fn fault(&self, number: u64, visit: usize) -> Fault {
        Fault { number, visit, _live: Live::new(&self.world.census) }
    }

    /// Of [`hooks`](super::case::Setting::hooks) the first.
    pub fn first_hook(&mut self, request: &mut Request<'_, Self>) -> Result<(), Fault> {
        let here = request.stage().index();
        Self::note(request, here);
        request.trace.hooked += 1;
        let (number, visit) = (request.number, request.trace.visited.len());
        match request.act(visit) {
            Act::HookFail => Err(self.fault(number, visit)),
            Act::HookPanic => panic!("{PLANNED}{number} before {visit}"),
            _ => Ok(()),
        }
    }

    /// Of two the second, which only counts.
    pub fn second_hook(&mut self, request: &mut Request<'_, Self>) -> Result<(), Fault> {
        request.trace.hooked += 1;
        Ok(())
    }

    /// A table with these declarations.
    pub fn runtime_stages(next: &[Option<Vec<u8>>]) -> Vec<RuntimeStage<Self>> {
        let ids = |next: &Vec<u8>| next.iter().map(|to| StageId::new(u16::from(*to))).collect();
        let stage = |(here, next): (usize, &Option<Vec<u8>>)| RuntimeStage {
            name: stage_name(here).to_owned(),
            run: Self::anywhere,
            next: next.as_ref().map(ids),
            pool: None,
        };
        next.iter().enumerate().map(stage).collect()
    }
}

pub fn stage_name(stage: usize) -> &'static str {
    Machine::STAGE_LIST.get(stage).map_or("?", |stage| stage.name)
}

fn pause(tens: u8) {
    match tens {
        0 => thread::yield_now(),
        tens => thread::sleep(Duration::from_micros(10 * u64::from(tens))),
    }
}

const fn fixed(name: &'static str, run: stageline::StageFn<Machine>) -> Stage<Machine> {
    Stage { name, run, next: None, pool: None }
}

impl Machine {
    const STAGE_LIST: &'static [Stage<Self>] = &[
        fixed("a", Self::at::<0>),
        fixed("b", Self::at::<1>),
        fixed("c", Self::at::<2>),
        fixed("d", Self::at::<3>),
        fixed("e", Self::at::<4>),
        fixed("f", Self::at::<5>),
        fixed("g", Self::at::<6>),
        fixed("h", Self::at::<7>),
    ];
}

const _: () = assert!(Machine::STAGE_LIST.len() == STAGES);

impl StateMachine for Machine {
    type Data = Parcel;
    type Error = Fault;
    const STAGES: StageTable<Self> = StageTable::new(Self::STAGE_LIST);

    fn close(&mut self) {
        assert!(!mem::replace(&mut self.is_closed, true), "closed once");
        self.world.closes.fetch_add(1, SeqCst);
    }
}
