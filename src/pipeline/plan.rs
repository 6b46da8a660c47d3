//! From raw values to checked ones: what is wrong with a builder, and what it will allocate.

use super::builder::Builder;
use crate::bell::{Doorbell, GroupSet};
use crate::common::{Common, Group, Hop, Keeper, KeeperCell, Letters, WorkerShared};
use crate::error::Problem;
use crate::graph::Graph;
use crate::limits::{
    BATCH_MAX, CPU_ID_MAX, DEAD_LETTERS_MAX, GROUPS_MAX, HOOKS_MAX, POOL_THREADS_MAX, POOLS_MAX,
    STAGES_MAX, STALL_MS_MAX, STALL_MS_MIN, WINDOW_MAX, WINDOW_MIN, WORKERS_MAX,
};
use crate::shared::Shared;
use crate::slab::Slab;
use crate::stage::{RuntimeStage, StateMachine, Table};
use crate::stats::{AtomicHistogram, Flow};
use crate::topology::{self, PinPlan, PinWish, Topology};
use crate::window::Window;
use crate::worker::Worker;
use crossbeam_utils::CachePadded;

/// Everything that is wrong with a builder's values.
pub(super) fn problems<M: StateMachine>(builder: &Builder<M>) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut problem = |field, message| found.push(Problem { field, message });
    let workers = builder.workers_or_default();
    let ranges = [
        ("workers", workers, 1, WORKERS_MAX),
        ("groups", builder.groups, 1, GROUPS_MAX),
        ("window", builder.window, WINDOW_MIN, WINDOW_MAX),
        ("batch_max", builder.batch_max, 1, BATCH_MAX),
        ("dead_letters", builder.dead_letters, 0, DEAD_LETTERS_MAX),
    ];
    for (field, value, min, max) in ranges {
        if !(min..=max).contains(&value) {
            problem(field, format!("{value} is not in {min}..={max}"));
        }
    }
    if !builder.window.is_power_of_two() {
        let window = builder.window.clamp(WINDOW_MIN, WINDOW_MAX);
        let near = window.next_power_of_two();
        problem("window", format!("{} is not a power of two; {near} is", builder.window));
    }
    if !builder.cpus.is_empty() && builder.cpus.len() != workers {
        let named = builder.cpus.len();
        problem("cpus", format!("{named} CPUs are named for {workers} workers"));
    }
    for cpu in builder.cpus.iter().filter(|cpu| **cpu > CPU_ID_MAX) {
        problem("cpus", format!("{cpu} is not in 0..={CPU_ID_MAX}"));
    }
    if builder.hooks.len() > HOOKS_MAX {
        let hooks = builder.hooks.len();
        problem("before_stage", format!("{hooks} hooks are more than {HOOKS_MAX}"));
    }
    if builder.visits_max == 0 {
        problem("visits_max", String::from("0 is not in 1..=4294967295"));
    }
    if !builder.sample_every.is_power_of_two() {
        let value = builder.sample_every;
        problem("sample_every", format!("{value} is not a power of two from 1 to 2^63"));
    }
    if let Some(after) = builder.stall_after
        && !(u128::from(STALL_MS_MIN)..=u128::from(STALL_MS_MAX)).contains(&after.as_millis())
    {
        let message = format!("{after:?} is not in {STALL_MS_MIN}..={STALL_MS_MAX} milliseconds");
        problem("stall_after", message);
    }
    if builder.name.contains('\0') {
        let message =
            format!("{:?} has a zero byte, which a thread's name cannot have", builder.name);
        problem("name", message);
    }
    stage_problems(builder, &mut problem);
    pool_problems(builder, &mut problem);
    found
}

fn pool_problems<M: StateMachine>(
    builder: &Builder<M>,
    problem: &mut impl FnMut(&'static str, String),
) {
    let pools = builder.pools.len();
    if pools > POOLS_MAX {
        problem("pools", format!("{pools} pools are more than {POOLS_MAX}"));
    }
    let threads: usize = builder.pools.iter().map(|pool| pool.threads.len()).sum();
    if threads > POOL_THREADS_MAX {
        problem("pools", format!("{threads} threads or more are more than {POOL_THREADS_MAX}"));
    }
    if pools > 0 && !M::KEEPS {
        problem("pools", String::from("the machine does not say that it keeps requests (`KEEPS`)"));
    }
    let mut names: Vec<&str> = builder.pool_names().collect();
    names.sort_unstable();
    for twins in names.windows(2).filter(|twins| twins[0] == twins[1]) {
        problem("pools", format!("the name `{}` is given twice", twins[0]));
    }
    for pool in &builder.pools {
        pool.problems().for_each(|text| problem("pools", text));
        if pool.name.contains('\0') {
            problem(
                "pools",
                format!("{:?} has a zero byte, which a thread's name cannot have", pool.name),
            );
        }
    }
    let own = M::STAGES.0.iter().map(|stage| (stage.name, stage.pool));
    let runtime = builder.stages.as_deref().unwrap_or_default().iter();
    let runtime = runtime.map(|stage| (stage.name.as_str(), stage.pool.as_deref()));
    let named: Vec<_> = if builder.stages.is_some() { runtime.collect() } else { own.collect() };
    for (stage, pool) in named.iter().filter_map(|(stage, pool)| pool.map(|pool| (stage, pool))) {
        if !names.contains(&pool) {
            let known =
                if names.is_empty() { String::from("there is none") } else { names.join("`, `") };
            problem("pools", format!("stage `{stage}` names the pool `{pool}`; known: `{known}`"));
        }
    }
    let stages = named.len();
    builder.retry.problems(stages).for_each(|text| problem("retry", text));
    for (stage, policy) in &builder.stage_retries {
        if stage.index() >= stages {
            problem("retry_stage", format!("stage {} is not one of the {stages}", stage.index()));
        }
        policy.problems(stages).for_each(|text| problem("retry_stage", text));
    }
}

fn stage_problems<M: StateMachine>(
    builder: &Builder<M>,
    problem: &mut impl FnMut(&'static str, String),
) {
    let (names, graph) = match &builder.stages {
        None => {
            let table = Table::<M>::from_const(builder.pool_names());
            let graph = Graph::new(&table);
            (table.names.iter().map(|name| name.to_string()).collect::<Vec<_>>(), graph)
        }
        Some(stages) => {
            let names = stages.iter().map(|stage| stage.name.clone()).collect::<Vec<_>>();
            let next = stages.iter().map(|stage| {
                let ids = stage.next.as_ref()?;
                Some(ids.iter().map(|id| id.index()).collect())
            });
            let graph = Graph::from_parts(names.clone(), next.collect());
            (names, graph)
        }
    };
    if names.is_empty() || names.len() > STAGES_MAX {
        problem("stages", format!("{} stages are not in 1..={STAGES_MAX}", names.len()));
        return;
    }
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort_unstable();
    for twins in sorted.windows(2).filter(|twins| twins[0] == twins[1]) {
        problem("stages", format!("the name `{}` is given twice", twins[0]));
    }
    let unknown = graph.unknown();
    for (stage, next) in &unknown {
        let count = names.len();
        problem("stages", format!("`{stage}` declares stage {next} of {count} as its successor"));
    }
    if !unknown.is_empty() {
        return;
    }
    for stage in graph.unreachable() {
        problem("stages", format!("`{stage}` cannot be reached from `{}`", names[0]));
    }
    if builder.dag
        && let Some(cycle) = graph.cycle()
    {
        problem("dag", format!("the declared stages have a cycle: {}", cycle.join(" -> ")));
    }
}

/// Where the workers are to run.
pub(super) fn pins<M: StateMachine>(builder: &Builder<M>) -> PinPlan {
    let wish = PinWish {
        workers: builder.workers_or_default(),
        cpus: &builder.cpus,
        reserve: builder.reserve,
        pin: builder.pin,
        caller: &topology::allowed_now(),
    };
    topology::plan(Topology::snapshot(), wish)
}

/// For each stage, beside its names: its entries of the tables.
const STAGE_BYTES: usize = 128;
/// For each thread, beside its names: what it takes to start one, to pin it and to hear of it.
const THREAD_BYTES: usize = 2048;
/// Copies of the pipeline's name that one thread's start makes, at most.
const NAMES_OF_A_THREAD: usize = 4;
/// Hooks, the channel by which workers report, the report.
const REST_BYTES: usize = 8192;

/// What a pipeline allocates.
pub(super) struct Plan;

impl Plan {
    /// The sum of the allocations that `start` makes, by the same sizes.
    pub(super) fn memory<M: StateMachine>(builder: &Builder<M>) -> usize {
        let (workers, threads) = (builder.workers_or_default(), builder.threads());
        let stages = Self::stages(builder);
        let own_groups = Self::own_groups(builder);
        let window =
            Window::<M::Data, M::Error>::bytes(builder.window, builder.lanes(threads), M::KEEPS);
        let worker = Doorbell::bytes(own_groups)
            .saturating_add(GroupSet::bytes(own_groups).saturating_mul(2))
            .saturating_add(Flow::bytes(stages));
        let letters = Letters::<M::Data, M::Error>::bytes(builder.dead_letters);
        let lettered = builder.groups_with_letters();
        Slab::<Group<M::Data, M::Error>>::bytes(builder.groups)
            .saturating_add(lettered.saturating_mul(letters))
            .saturating_add(builder.groups.saturating_mul(window))
            .saturating_add(Slab::<CachePadded<WorkerShared>>::bytes(threads))
            .saturating_add(workers.saturating_mul(worker))
            .saturating_add((threads - workers).saturating_mul(Flow::bytes(stages)))
            .saturating_add(Self::keepers::<M>(threads, stages))
            .saturating_add(Slab::<AtomicHistogram>::bytes(stages))
            .saturating_add(Self::unchecked(builder))
    }

    /// What the threads keep, but for what collections allocate.
    fn keepers<M: StateMachine>(threads: usize, stages: usize) -> usize {
        if !M::KEEPS {
            return 0;
        }
        let keeper = Keeper::<M::Error>::bytes(stages);
        Slab::<KeeperCell<M::Error>>::bytes(threads).saturating_add(threads.saturating_mul(keeper))
    }

    /// The part of it that is allocated by collections which end the process if they get no memory.
    pub(super) fn unchecked<M: StateMachine>(builder: &Builder<M>) -> usize {
        let worker = Worker::<M>::bytes(Self::own_groups(builder), Self::stages(builder));
        // A crossbeam `ArrayQueue` keeps a stamp beside each item.
        let queues = builder.groups.saturating_mul(2 * 2 * size_of::<usize>());
        let slots = builder.groups.saturating_mul(builder.window);
        let hops = if M::KEEPS { builder.pools.len() + 1 } else { 0 };
        let hops = hops.saturating_mul(size_of::<Hop>().saturating_add(Hop::bytes(slots)));
        let of_letters = Letters::<M::Data, M::Error>::queue_bytes(builder.dead_letters);
        let lettered = builder.groups_with_letters();
        let queues = queues
            .saturating_add(lettered.saturating_mul(of_letters))
            .saturating_add(Slab::<Letters<M::Data, M::Error>>::bytes(lettered));
        size_of::<Shared<M>>()
            .saturating_add(size_of::<Common<M::Data, M::Error>>())
            .saturating_add(builder.workers_or_default().saturating_mul(worker))
            .saturating_add(queues)
            .saturating_add(hops)
    }

    /// What such collections take beside that, too little to be counted: tables, names, and what the
    /// standard library keeps of a thread. (What the watch remembers of each group is less than was given
    /// back when the windows moved into their groups.) Of values that have been checked.
    pub(super) fn uncounted<M: StateMachine>(builder: &Builder<M>) -> usize {
        let entry = |name: usize, next: usize| STAGE_BYTES + name + next * size_of::<u16>();
        let stages: usize = match &builder.stages {
            None => {
                let entries = M::STAGES.0.iter();
                entries.map(|stage| entry(stage.name.len(), stage.next.map_or(0, <[_]>::len))).sum()
            }
            Some(stages) => {
                let next = |stage: &RuntimeStage<M>| stage.next.as_ref().map_or(0, Vec::len);
                stages.iter().map(|stage| entry(stage.name.len(), next(stage))).sum()
            }
        };
        // One more than the workers: the watch.
        let threads = builder.threads() + 1;
        let pools: usize =
            builder.pools.iter().map(|pool| pool.name.len() * pool.threads.len()).sum();
        let names = NAMES_OF_A_THREAD * (threads * builder.name.len() + pools);
        stages + threads * THREAD_BYTES + names + REST_BYTES
    }

    fn stages<M: StateMachine>(builder: &Builder<M>) -> usize {
        builder.stages.as_ref().map_or(M::STAGES.0.len(), Vec::len)
    }

    /// Groups of one worker, at most.
    fn own_groups<M: StateMachine>(builder: &Builder<M>) -> usize {
        // Asked before the values are checked, too.
        let is_checked = (1..=WORKERS_MAX).contains(&builder.workers_or_default());
        builder.groups.div_ceil(if is_checked { pins(builder).awake_max } else { 1 })
    }
}
