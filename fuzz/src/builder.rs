//! Any values for a builder: the problems that it must name, or one request that goes through.

use crate::{all_of, allow_asked_panics};
use arbitrary::{Arbitrary, Unstructured};
use stageline::{
    BuildError, Builder, Order, Outcome, Pipeline, Request, RuntimeStage, StageId, StageTable,
    StateMachine, Step, WaitStrategy, limits,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a pipeline may take that is built here.
const BYTES_MAX: usize = 16 << 20;
const WORKERS_MAX: usize = 4;
const STALL_MIN: Duration = Duration::from_millis(limits::STALL_MS_MIN);
const STALL_MAX: Duration = Duration::from_millis(limits::STALL_MS_MAX);
/// Stages that a request runs through at most, of those that go round for ever.
const STEPS_MAX: u32 = 40;

/// The values of a builder; `None` leaves the default.
#[derive(Arbitrary, Debug)]
struct Values {
    wild: Wild,
    name: Option<String>,
    workers: Option<Number>,
    cpus: Vec<Number>,
    reserve: Option<Number>,
    pin: Option<bool>,
    groups: Option<Number>,
    window: Option<Number>,
    batch_max: Option<Number>,
    wait: Option<u8>,
    hooks: u8,
    /// That many more stages, each the only successor of the one before it.
    more_stages: Option<Number>,
    dag: bool,
    visits_max: Option<Number>,
    sample_every: Option<Number>,
    stall_after: Option<Duration>,
    first_position: Option<u64>,
    by_completion: bool,
}

/// The values, and the stages, which take the rest of the bytes.
#[derive(Debug)]
struct Plan {
    values: Values,
    stages: Vec<Stage>,
}

/// Which values are left as they come. The others are brought into their ranges, since of values taken
/// at random one is always wrong.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Wild {
    None,
    One(u8),
    Some(u16),
}

impl Wild {
    fn has(self, field: u8) -> bool {
        match self {
            Self::None => false,
            Self::One(one) => one % 12 == field,
            Self::Some(bits) => bits >> field & 1 == 1,
        }
    }
}

/// A number of any size; small ones and those beside a power of two are the likely ones.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Number {
    Small(u8),
    Power { exponent: u8, less: u8 },
    Any(u64),
}

impl Number {
    fn get(self) -> u64 {
        match self {
            Self::Small(number) => number.into(),
            Self::Power { exponent, less } => {
                (1_u64 << (exponent % 64)).wrapping_add(1).wrapping_sub((less % 3).into())
            }
            Self::Any(number) => number,
        }
    }

    fn size(self) -> usize {
        self.get() as usize
    }

    fn count(self) -> u32 {
        self.get() as u32
    }
}

#[derive(Arbitrary, Debug)]
struct Stage {
    name: String,
    next: Option<Vec<u16>>,
}

impl Stage {
    fn entry(&self) -> RuntimeStage<Walker> {
        let ids = |next: &Vec<u16>| next.iter().copied().map(StageId::new).collect();
        RuntimeStage {
            name: self.name.clone(),
            run: walk,
            next: self.next.as_ref().map(ids),
            pool: None,
        }
    }
}

/// Goes to the first declared successor of each stage.
struct Walker {
    first_successors: Vec<Option<u16>>,
}

impl StateMachine for Walker {
    /// Stages left to run.
    type Data = u32;
    type Error = ();
    const STAGES: StageTable<Self> = StageTable::EMPTY;
}

fn walk(walker: &mut Walker, request: &mut Request<'_, Walker>) -> Step {
    **request -= 1;
    match walker.first_successors[request.stage().index()] {
        Some(next) if **request > 0 => request.next(StageId::new(next)),
        _ => request.done(),
    }
}

fn hook(_: &mut Walker, _: &mut Request<'_, Walker>) -> Result<(), ()> {
    Ok(())
}

/// Asks a builder for its memory, builds it, and sends a request through.
pub fn run(data: &[u8]) {
    allow_asked_panics();
    let mut bytes = Unstructured::new(data);
    let Ok(values) = Values::arbitrary(&mut bytes) else { return };
    let mut plan = Plan { values, stages: all_of(&mut bytes).collect() };
    plan.tame();
    plan.add_stages();
    let expected = plan.problems();
    let builder = plan.builder();
    let _ = format!("{builder:?}");
    let memory = builder.memory();
    if !expected.is_empty() {
        return check_refusal(builder, &expected);
    }
    if memory > BYTES_MAX || plan.workers_max() > WORKERS_MAX {
        return;
    }
    let pipeline = builder.build().unwrap_or_else(|error| panic!("{error}: {plan:?}"));
    assert_eq!(pipeline.report().memory_bytes, memory);
    plan.check_request(&pipeline);
    assert_eq!(pipeline.close().ended(), 1);
}

/// Complaints by field.
type Problems = BTreeMap<&'static str, usize>;

fn check_refusal(builder: Builder<Walker>, expected: &Problems) {
    match builder.build() {
        Err(BuildError::Invalid(problems)) => {
            let mut named = Problems::new();
            problems.iter().for_each(|problem| *named.entry(problem.field).or_default() += 1);
            assert_eq!(named, *expected, "{problems:?}");
            assert!(problems.iter().all(|problem| !problem.message.is_empty()));
        }
        Err(other) => panic!("{other}, in place of {expected:?}"),
        Ok(_) => panic!("built in spite of {expected:?}"),
    }
}

impl Plan {
    /// Brings into their ranges what is not to be wild.
    fn tame(&mut self) {
        let values = &mut self.values;
        let wild = values.wild;
        let fold = |field, number: &mut Option<Number>, into: fn(u64) -> u64| {
            if let Some(number) = number.as_mut().filter(|_| !wild.has(field)) {
                *number = Number::Any(into(number.get()));
            }
        };
        fold(0, &mut values.workers, |number| number % 4 + 1);
        fold(1, &mut values.groups, |number| number % 40 + 1);
        fold(2, &mut values.window, |number| 2 << (number % 10));
        fold(3, &mut values.batch_max, |number| number % 256 + 1);
        fold(4, &mut values.visits_max, |number| number % 50 + 1);
        fold(5, &mut values.sample_every, |number| 1 << (number % 64));
        fold(6, &mut values.more_stages, |number| number % 5);
        if !wild.has(7) {
            values.cpus.truncate(4);
            let small = |cpu: &mut Number| *cpu = Number::Any(cpu.get() % 5);
            values.cpus.iter_mut().for_each(small);
            values.workers = values.workers.filter(|_| values.cpus.is_empty());
        }
        if !wild.has(8) {
            values.hooks %= 65;
        }
        if !wild.has(9) {
            values.stall_after = values.stall_after.map(|after| after.clamp(STALL_MIN, STALL_MAX));
        }
        if !wild.has(10) {
            values.name = values.name.take().map(|name| name.replace('\0', ""));
        }
        if !wild.has(11) {
            self.tame_stages();
        }
    }

    /// Distinct names, and each stage leads to the one behind it.
    fn tame_stages(&mut self) {
        let stages = self.stages.len() as u16;
        for (index, stage) in (0..).zip(&mut self.stages) {
            stage.name += &index.to_string();
            let Some(next) = &mut stage.next else { continue };
            next.iter_mut().for_each(|id| *id %= stages);
            if index + 1 < stages {
                next.push(index + 1);
            }
        }
        if stages == 0 {
            self.stages.push(Stage { name: String::from("only"), next: None });
        }
    }

    /// The long table of stages, which no byte string would spell out.
    fn add_stages(&mut self) {
        let more = self.values.more_stages.map_or(0, Number::size).min(limits::STAGES_MAX + 1);
        let first = self.stages.len();
        for index in first..first + more {
            if let Some(stage) = self.stages.last_mut() {
                stage.next = Some(vec![index as u16]);
            }
            self.stages.push(Stage { name: format!("more {index}"), next: Some(Vec::new()) });
        }
    }

    fn builder(&self) -> Builder<Walker> {
        let first = |stage: &Stage| stage.next.as_ref()?.first().copied();
        let successors: Vec<_> = self.stages.iter().map(first).collect();
        let machine = move || Walker { first_successors: successors.clone() };
        let mut builder = Pipeline::builder_with(machine, || 0)
            .cpus(self.values.cpus.iter().map(|cpu| cpu.size()))
            .stages(self.stages.iter().map(Stage::entry));
        for _ in 0..self.values.hooks {
            builder = builder.before_stage(hook);
        }
        if self.values.dag {
            builder = builder.dag();
        }
        if let Some(strategy) = self.values.wait {
            use WaitStrategy::{BusySpin, SpinThenPark, SpinThenYield, YieldThenPark};
            let all = [BusySpin, SpinThenYield, SpinThenPark, YieldThenPark];
            builder = builder.wait(all[usize::from(strategy) % all.len()]);
        }
        /// Hands a value to the builder's method of its name, if there is one.
        macro_rules! set {
            ($($field:ident: $value:expr),+ $(,)?) => {
                $(if let Some(value) = $value {
                    builder = builder.$field(value);
                })+
            };
        }
        set! {
            name: self.values.name.clone(),
            workers: self.values.workers.map(Number::size),
            reserve: self.values.reserve.map(Number::size),
            pin: self.values.pin,
            groups: self.values.groups.map(Number::size),
            window: self.values.window.map(Number::size),
            batch_max: self.values.batch_max.map(Number::size),
            visits_max: self.values.visits_max.map(Number::count),
            sample_every: self.values.sample_every.map(Number::get),
            stall_after: self.values.stall_after,
            first_position: self.values.first_position,
        }
        builder
    }

    /// As many workers at most, by what was asked for.
    fn workers_max(&self) -> usize {
        let by_cpus =
            if self.values.cpus.is_empty() { WORKERS_MAX } else { self.values.cpus.len() };
        self.values.workers.map_or(by_cpus, Number::size)
    }

    /// How often the builder must complain of each field, by the documentation of its limits.
    fn problems(&self) -> Problems {
        let values = &self.values;
        let mut found = Problems::new();
        let mut check = |field, fits: bool| {
            if !fits {
                *found.entry(field).or_default() += 1;
            }
        };
        let within = |number: Option<Number>, default, min, max| {
            (min..=max).contains(&number.map_or(default, Number::size))
        };
        let window = values.window.map_or(limits::WINDOW_DEFAULT, Number::size);
        let millis = values.stall_after.map(|after| after.as_millis());
        let stalls = u128::from(limits::STALL_MS_MIN)..=u128::from(limits::STALL_MS_MAX);
        let named = values.cpus.len();
        check("workers", within(values.workers, named.max(1), 1, limits::WORKERS_MAX));
        check("groups", within(values.groups, limits::GROUPS_DEFAULT, 1, limits::GROUPS_MAX));
        check("window", (limits::WINDOW_MIN..=limits::WINDOW_MAX).contains(&window));
        check("window", window.is_power_of_two());
        check("batch_max", within(values.batch_max, limits::BATCH_DEFAULT, 1, limits::BATCH_MAX));
        check("cpus", named == 0 || values.workers.is_none_or(|workers| workers.size() == named));
        values.cpus.iter().for_each(|cpu| check("cpus", cpu.size() <= limits::CPU_ID_MAX));
        check("before_stage", usize::from(values.hooks) <= limits::HOOKS_MAX);
        check("visits_max", values.visits_max.is_none_or(|visits| visits.count() > 0));
        check(
            "sample_every",
            values.sample_every.is_none_or(|every| every.get().is_power_of_two()),
        );
        check("stall_after", millis.is_none_or(|millis| stalls.contains(&millis)));
        check("name", values.name.as_ref().is_none_or(|name| !name.contains('\0')));
        let (table, acyclic) = self.table_problems();
        (0..table).for_each(|_| check("stages", false));
        check("dag", acyclic);
        found
    }

    /// How much is wrong with the table, and whether it is acyclic if it must be.
    fn table_problems(&self) -> (usize, bool) {
        let stages = self.stages.len();
        if !(1..=limits::STAGES_MAX).contains(&stages) {
            return (1, true);
        }
        let names: BTreeSet<_> = self.stages.iter().map(|stage| &stage.name).collect();
        let twins = stages - names.len();
        let successors = self.stages.iter().flat_map(|stage| stage.next.iter().flatten());
        match successors.filter(|next| usize::from(**next) >= stages).count() {
            0 => (twins + self.unreachable(), !self.values.dag || self.is_acyclic()),
            unknown => (twins + unknown, true),
        }
    }

    /// Stages that the first one does not lead to: what it leads to grows until nothing is added.
    fn unreachable(&self) -> usize {
        let mut reached = BTreeSet::from([0_usize]);
        let mut fresh = vec![0_usize];
        while let Some(stage) = fresh.pop() {
            let Some(next) = &self.stages[stage].next else { return 0 };
            let next = next.iter().map(|id| usize::from(*id));
            fresh.extend(next.filter(|id| reached.insert(*id)));
        }
        self.stages.len() - reached.len()
    }

    /// Stages without a predecessor are taken away until none is left (Kahn's algorithm).
    fn is_acyclic(&self) -> bool {
        let next = |stage: usize| self.stages[stage].next.iter().flatten().copied();
        let mut before = vec![0; self.stages.len()];
        (0..before.len()).flat_map(next).for_each(|id| before[usize::from(id)] += 1);
        let mut free: Vec<usize> = (0..before.len()).filter(|stage| before[*stage] == 0).collect();
        let mut taken = 0;
        while let Some(stage) = free.pop() {
            taken += 1;
            for id in next(stage).map(usize::from) {
                before[id] -= 1;
                if before[id] == 0 {
                    free.push(id);
                }
            }
        }
        taken == self.stages.len()
    }

    /// Sends one request through. It must go the way that the table declares.
    fn check_request(&self, pipeline: &Pipeline<Walker>) {
        let order = if self.values.by_completion { Order::Completion } else { Order::Submission };
        let mut group = pipeline.open(order).expect("a new pipeline has a free group");
        let position = group.submit(STEPS_MAX).expect("a new group takes a request");
        assert_eq!(position, self.values.first_position.unwrap_or(0));
        let output = group.recv_timeout(Duration::from_secs(20)).expect("it ends");
        let (mut way, mut stage) = (Vec::new(), Some(0));
        while let Some(at) = stage {
            way.push(at);
            let next = self.stages[at].next.as_ref().and_then(|next| next.first());
            let more = way.len() < STEPS_MAX as usize;
            stage = next.filter(|_| more).map(|id| usize::from(*id));
        }
        let visits = self.values.visits_max.map_or(limits::VISITS_DEFAULT, Number::count) as usize;
        match output.outcome() {
            Outcome::Done => assert!(way.len() <= visits, "{way:?}"),
            Outcome::Cyclic(_) => assert!(way.len() > visits, "{way:?}"),
            other => panic!("{other:?} of {way:?}"),
        }
        assert_eq!(*output as usize, STEPS_MAX as usize - way.len().min(visits));
    }
}
