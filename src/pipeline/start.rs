//! Starting a pipeline, in numbered steps. Whatever fails, nothing is left behind.
//!
//! 1. The asymmetric barrier is registered, before any thread may rely on it.
//! 2. The CPUs are planned, from the snapshot of what the process may use.
//! 3. All memory is allocated and written.
//! 4. The workers are started. Each pins itself, makes its machine, and reports.
//! 5. The watch is started, if there is something for it to watch.

use super::builder::Builder;
use super::plan::pins;
use super::pool::Pool;
use super::report::{Report, WorkerReport};
use super::watch::Watch;
use super::{Pipeline, Plan};
use crate::bell::{Doorbell, GroupSet};
use crate::common::{
    Common, Group, Help, Hop, Keeper, KeeperCell, LetterCell, Letters, Progress, Times,
    WorkerShared,
};
use crate::error::BuildError;
use crate::panics;
use crate::request::Context;
use crate::shared::{Rules, Shared};
use crate::slab::{OutOfMemory, Slab};
use crate::stage::{StateMachine, Table};
use crate::stats::AtomicHistogram;
use crate::sync::{self, Arc, ArrayQueue, AtomicBool, AtomicU32, AtomicU64, thread};
use crate::topology::{self, PinPlan, Topology};
use crate::wait::{Event, WaitPlan, WaitStrategy};
use crate::window::Window;
use crate::worker::{PoolWorker, Worker};
use crossbeam_utils::CachePadded;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// Does now what the first build of a process would do once: it registers for the asymmetric barrier. For a program
/// that calls it before it has threads that takes microseconds; later the system waits until all CPUs have taken note of it, some 10 ms.
pub fn prepare() {
    sync::enable_asymmetric_barrier();
}

pub(super) fn start<M: StateMachine>(mut builder: Builder<M>) -> Result<Pipeline<M>, BuildError> {
    // 1.
    let asymmetric = sync::enable_asymmetric_barrier();
    // 2.
    let topology = Topology::snapshot();
    let threads = builder.threads();
    let pins = pins(&builder);
    let wait = wait_plan(builder.wait, pins.crowded);
    // 3.
    let memory = Plan::memory(&builder);
    let (name, first_position, asked) =
        (builder.name.clone(), builder.first_position, builder.wait);
    let stall_after = builder.stall_after;
    let pools = builder.pools.clone();
    let shared = allocate(&mut builder, threads, wait, &pins)
        .map(|parts| Arc::new(parts.with(builder)))
        .map_err(|refused| BuildError::OutOfMemory { bytes: refused.bytes, total: memory })?;
    // 4. and 5.
    let mut pipeline = Pipeline::unstarted(shared, first_position);
    let pinned = match pipeline.start_threads(&name, (&pins, &pools), stall_after) {
        Ok(pinned) => pinned,
        Err(error) => {
            // Here and not at the end of the function: there a `Drop` that panics would leak what is returned
            // (rust-lang/rust#47949).
            drop(pipeline);
            return Err(error);
        }
    };
    pipeline.report = Report {
        name,
        workers: pins.cpus.iter().zip(pinned).map(WorkerReport::new).collect(),
        placement: pins.reason,
        allowed_cpus: topology.allowed.clone(),
        usable_cpus: topology.usable(),
        crowded: pins.crowded,
        memory_bytes: memory,
        wait_asked: asked,
        wait: wait.strategy,
        asymmetric_barrier: asymmetric,
    };
    Ok(pipeline)
}

/// With more threads than CPUs a spinning thread keeps the one that it waits for from running.
fn wait_plan(asked: WaitStrategy, crowded: bool) -> WaitPlan {
    let sleeps = matches!(asked, WaitStrategy::SpinThenPark | WaitStrategy::YieldThenPark);
    let strategy = if crowded && !sleeps { WaitStrategy::SpinThenPark } else { asked };
    WaitPlan { strategy, crowded }
}

/// What can be refused, before anything is moved out of the builder.
struct Parts<M: StateMachine> {
    groups: Slab<Group<M::Data, M::Error>>,
    letters: Slab<Letters<M::Data, M::Error>>,
    workers: Slab<CachePadded<WorkerShared>>,
    pollers: usize,
    keepers: Slab<KeeperCell<M::Error>>,
    stage_times: Slab<AtomicHistogram>,
    wait: WaitPlan,
    homes: usize,
}

fn allocate<M: StateMachine>(
    builder: &mut Builder<M>,
    threads: usize,
    wait: WaitPlan,
    pins: &PinPlan,
) -> Result<Parts<M>, OutOfMemory> {
    let stages = builder.stages.as_ref().map_or(M::STAGES.0.len(), Vec::len);
    let own_groups = builder.groups.div_ceil(pins.awake_max);
    // Now, since to know it takes memory too.
    let unchecked = Plan::unchecked(builder) + Plan::uncounted(builder);
    let mut windows = try_with_capacity(builder.groups)?;
    for _ in 0..builder.groups {
        let (size, lanes, first) = (builder.window, builder.lanes(threads), builder.first_position);
        windows.push(Window::try_new(size, lanes, first, M::KEEPS, &mut *builder.payload)?);
    }
    let mut windows = windows.into_iter();
    let groups = Slab::try_new(builder.groups, |_| {
        Group::new(windows.next().expect("one window for each group"))
    })?;
    let mut letters = try_with_capacity(builder.groups_with_letters())?;
    for _ in 0..builder.groups_with_letters() {
        let payload = &mut builder.payload;
        letters.push(Slab::try_new(builder.dead_letters, |_| LetterCell::new(payload()))?);
    }
    let pollers = pins.cpus.len();
    let mut shareds = try_with_capacity(threads)?;
    for thread in 0..threads {
        let own_groups = if thread < pollers { own_groups } else { 0 };
        shareds.push(WorkerShared {
            bell: Doorbell::try_new(own_groups)?,
            event: Event::default(),
            nudged: AtomicBool::new(false),
            wants_help: AtomicU32::new(Help::NONE),
            hot: GroupSet::try_new(own_groups)?,
            express: GroupSet::try_new(own_groups)?,
            special: AtomicU64::new(0),
            progress: CachePadded::new(Progress::try_new(stages)?),
        });
    }
    let mut shareds = shareds.into_iter();
    let workers =
        Slab::try_new(threads, |_| CachePadded::new(shareds.next().expect("one for each thread")))?;
    let mut keepers = try_with_capacity(if M::KEEPS { threads } else { 0 })?;
    for thread in 0..keepers.capacity() {
        keepers.push(Keeper::try_new(stages, thread as u64)?);
    }
    let mut keepers = keepers.into_iter();
    let keepers = Slab::try_new(keepers.len(), |_| keepers.next().expect("one for each thread"))?;
    let stage_times = Slab::try_new(stages, |_| AtomicHistogram::default())?;
    // What follows is allocated by collections that end the process if they get no memory. So it is
    // asked for here, when all else has been had, and given back.
    drop(try_with_capacity::<u8>(unchecked)?);
    let mut letters = letters.into_iter();
    let letters = Slab::try_new(letters.len(), |_| {
        Letters::new(letters.next().expect("letters for each group"))
    })?;
    Ok(Parts {
        groups,
        letters,
        workers,
        pollers,
        keepers,
        stage_times,
        wait,
        homes: pins.awake_max,
    })
}

/// An empty vector with room for so many elements.
fn try_with_capacity<T>(len: usize) -> Result<Vec<T>, OutOfMemory> {
    let mut elements = Vec::new();
    let refused = OutOfMemory { bytes: len.saturating_mul(size_of::<T>()) };
    elements.try_reserve_exact(len).map_err(|_| refused)?;
    Ok(elements)
}

impl<M: StateMachine> Parts<M> {
    /// The whole, with what the builder holds.
    fn with(self, builder: Builder<M>) -> Shared<M> {
        let (groups, workers) = (self.groups.len(), self.workers.len());
        let free = ArrayQueue::new(groups);
        (0..groups as u32).for_each(|index| {
            let _ = free.push(index);
        });
        let names = builder.pools.iter().map(|pool| pool.name.as_str());
        let table = match builder.stages {
            None => Table::from_const(names),
            Some(stages) => Table::from_runtime(stages, names),
        };
        let slots = self.groups.iter().map(|group| group.window.size()).sum();
        let hops = if M::KEEPS { builder.pools.len() + 1 } else { 0 };
        let mut retries = vec![builder.retry; if M::KEEPS { table.len() } else { 0 }];
        for (stage, policy) in builder.stage_retries {
            if let Some(of_stage) = retries.get_mut(stage.index()) {
                *of_stage = policy;
            }
        }
        let stage_hops = table.hops.clone();
        let (visits_max, stages) = (builder.visits_max, table.len());
        let is_checked = builder.dag || !builder.hooks.is_empty();
        Shared {
            context: Context { table, epoch: Instant::now() },
            rules: Rules {
                hooks: builder.hooks.into_boxed_slice(),
                dag: builder.dag,
                visits_max,
                plain_visits: Rules::<M>::plain_visits_of(visits_max, is_checked, stages),
                retries: retries.into_boxed_slice(),
                batch_max: builder.batch_max,
                sample_mask: builder.sample_every - 1,
            },
            factory: builder.machine,
            common: Arc::new(Common {
                groups: self.groups,
                letters: self.letters,
                workers: self.workers,
                drop_oldest: builder.drop_oldest,
                pollers: self.pollers,
                wait: self.wait,
                homes: self.homes,
                at_work: CachePadded::new(AtomicU32::new(workers as u32)),
                parked: CachePadded::new(AtomicU32::new(0)),
                stop: CachePadded::new(AtomicBool::new(false)),
                closed: AtomicBool::new(false),
                times: CachePadded::new(Times::default()),
                stalls: AtomicU64::new(0),
                hops: (0..hops).map(|_| Hop::new(slots)).collect(),
                stage_hops,
                keepers: self.keepers,
                suspended: CachePadded::new(AtomicU64::new(0)),
                cancels: CachePadded::new(AtomicU64::new(0)),
                free,
                retired: ArrayQueue::new(groups),
            }),
            stage_times: self.stage_times,
        }
    }
}

/// What a worker says when it has started: whether it is pinned, or how its factory panicked.
type Started = (usize, Result<bool, Box<str>>);

impl<M: StateMachine> Pipeline<M> {
    /// Starts the workers, and the watch where it has something to do. Returns which workers are pinned.
    /// After an error, dropping the pipeline ends the threads that did start.
    fn start_threads(
        &mut self,
        name: &str,
        (pins, pools): (&PinPlan, &[Pool]),
        stall_after: Option<Duration>,
    ) -> Result<Vec<bool>, BuildError> {
        let pinned = self.start_workers(name, pins, pools)?;
        if pins.cpus.len() > 1 || stall_after.is_some() {
            self.watch = Some(Watch::start(name, Arc::clone(&self.shared), stall_after)?);
        }
        Ok(pinned)
    }

    /// Starts the workers and waits until each has its machine. Returns which are pinned.
    fn start_workers(
        &mut self,
        name: &str,
        pins: &PinPlan,
        pools: &[Pool],
    ) -> Result<Vec<bool>, BuildError> {
        let (sender, receiver) = channel();
        let workers = pins.cpus.iter().copied().enumerate();
        let workers = workers.map(|(index, cpu)| (format!("{name}-{index}"), cpu, Role::Worker));
        let of_pools = pools.iter().enumerate().flat_map(|(at, pool)| {
            let role = Role::Pool { hop: at + 1, wait: pool.wait(self.shared.wait), nap: pool.nap };
            let threads = pool.threads.iter().copied().enumerate();
            threads.map(move |(index, cpu)| (format!("{name}-{}-{index}", pool.name), cpu, role))
        });
        let threads: Vec<_> = workers.chain(of_pools).collect();
        for (index, (thread, cpu, role)) in threads.into_iter().enumerate() {
            let (shared, sender) = (Arc::clone(&self.shared), sender.clone());
            let handle = thread::Builder::new()
                .name(thread.clone())
                .spawn(move || work(shared, (index, role), cpu, sender))
                .map_err(|source| BuildError::Spawn { thread, source });
            match handle {
                Ok(handle) => self.workers.push(handle),
                Err(error) => {
                    // Those that did start do not wait for the others.
                    (index..self.shared.workers.len()).for_each(|_| self.shared.worker_left());
                    return Err(error);
                }
            }
        }
        drop(sender);
        let mut pinned = vec![false; self.shared.workers.len()];
        for (worker, started) in receiver {
            match started {
                Ok(is_pinned) => pinned[worker] = is_pinned,
                Err(message) => {
                    return Err(BuildError::Factory { worker, message: message.into() });
                }
            }
        }
        Ok(pinned)
    }
}

/// What a thread is started for.
#[derive(Clone, Copy)]
enum Role {
    Worker,
    Pool { hop: usize, wait: WaitPlan, nap: Duration },
}

/// A worker thread: it pins itself, makes its machine, reports, and works.
fn work<M: StateMachine>(
    shared: Arc<Shared<M>>,
    (index, role): (usize, Role),
    cpu: Option<usize>,
    sender: Sender<Started>,
) {
    let is_pinned = match cpu {
        Some(cpu) => topology::pin_to(cpu),
        None => {
            topology::unpin(&Topology::snapshot().allowed);
            false
        }
    };
    let machine = match catch_unwind(AssertUnwindSafe(|| (shared.factory)())) {
        Ok(machine) => machine,
        Err(payload) => {
            // The builder may have given up on another worker already, and then nobody listens.
            let _ = sender.send((index, Err(panics::message(payload))));
            shared.worker_left();
            return;
        }
    };
    // The sender goes with it: the builder listens until there is none.
    let started = move || {
        let _ = sender.send((index, Ok(is_pinned)));
        drop(sender);
    };
    match role {
        Role::Worker => {
            let worker = Worker::new(&shared, index, machine);
            started();
            worker.run();
        }
        Role::Pool { hop, wait, nap } => {
            let worker = PoolWorker::new(&shared, (index, hop), (wait, nap), machine);
            started();
            worker.run();
        }
    }
}
