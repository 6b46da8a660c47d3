//! What the models reach of the engine beside its public modules. It is a module of the engine as
//! compiled for the models (`src/lib.rs` names it), and no part of the shipped one.

use crate::bell::{Doorbell, GroupSet};
use crate::common::{
    Common, Group, GroupOptions, Hop, Keeper, LetterCell, Letters, Progress, Times, WorkerShared,
};
use crate::error::OpenError;
use crate::group::RequestGroup;
use crate::request::Context;
use crate::retry::Retry;
use crate::shared::{Rules, Shared};
use crate::slab::Slab;
use crate::stage::{RuntimeStage, StateMachine, Table};
use crate::stats::AtomicHistogram;
use crate::sync::{Arc, ArrayQueue, AtomicBool, AtomicU32, AtomicU64};
use crate::wait::{Event, WaitPlan, WaitStrategy};
use crate::window::Window;
use crate::worker::{PoolWorker, Worker};
use crossbeam_utils::CachePadded;
use std::time::{Duration, Instant};

// A second copy, since the worker's own is private to it.
#[path = "../src/worker/hot_set.rs"]
mod hot_set;

/// Longer than any run of a model.
const DAY: Duration = Duration::from_secs(86_400);

/// The sizes of a pipeline.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub groups: usize,
    pub workers: usize,
    pub window: usize,
    pub first_position: u64,
}

/// All that the threads of a pipeline share, without the threads: the model's own take their places.
pub fn shared<M: StateMachine<Data: Default>>(
    sizes: Sizes,
    factory: impl Fn() -> M + Send + Sync + 'static,
) -> Arc<Shared<M>> {
    shared_of(sizes, Extras::default(), factory)
}

/// As [`shared`], with pools of one thread each.
pub fn shared_with<M: StateMachine<Data: Default>>(
    sizes: Sizes,
    pools: &[&str],
    factory: impl Fn() -> M + Send + Sync + 'static,
) -> Arc<Shared<M>> {
    shared_of(sizes, Extras { pools, ..Extras::default() }, factory)
}

/// What a pipeline may be built with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras<'a> {
    /// Of one thread each.
    pub pools: &'a [&'a str],
    /// Groups may be opened so as to drop the oldest requests.
    pub drop_oldest: bool,
    /// Of each group.
    pub dead_letters: usize,
}

/// As [`shared`], with more.
pub fn shared_of<M: StateMachine<Data: Default>>(
    sizes: Sizes,
    extras: Extras<'_>,
    factory: impl Fn() -> M + Send + Sync + 'static,
) -> Arc<Shared<M>> {
    let pools = extras.pools;
    let threads = sizes.workers + pools.len();
    let lanes = threads + usize::from(extras.drop_oldest);
    let table = Table::from_const(pools.iter().copied());
    let hops = if M::KEEPS { pools.len() + 1 } else { 0 };
    let stage_hops = table.hops.clone();
    let group = |_| {
        let mut payload = M::Data::default;
        let window =
            Window::try_new(sizes.window, lanes, sizes.first_position, M::KEEPS, &mut payload);
        Group::new(window.expect("little memory"))
    };
    // Of a machine that keeps none, none.
    let stages = if M::KEEPS { M::STAGES.0.len() } else { 0 };
    let free = ArrayQueue::new(sizes.groups);
    (0..sizes.groups as u32).for_each(|index| free.push(index).expect("one place for each"));
    Arc::new(Shared {
        // The clock stands at zero: what it says must be the same in each run of a model.
        context: Context { table, epoch: Instant::now() + DAY },
        rules: Rules {
            hooks: Box::new([]),
            dag: false,
            visits_max: 64,
            plain_visits: Rules::<M>::plain_visits_of(64, false, M::STAGES.0.len()),
            retries: vec![Retry::attempts(2).first(Duration::ZERO); stages].into(),
            batch_max: 1,
            // Only position 0 is sampled: what the clock says would not be the same each time.
            sample_mask: u64::MAX,
        },
        factory: Box::new(factory),
        common: Arc::new(Common {
            groups: Slab::try_new(sizes.groups, group).expect("little memory"),
            letters: letters(sizes, extras.dead_letters),
            workers: Slab::try_new(threads, |_| worker(sizes)).expect("little memory"),
            drop_oldest: extras.drop_oldest,
            pollers: sizes.workers,
            hops: (0..hops).map(|_| Hop::new(sizes.groups * sizes.window)).collect(),
            stage_hops,
            keepers: Slab::try_new(if M::KEEPS { threads } else { 0 }, |_| {
                Keeper::try_new(stages, 0).expect("little memory")
            })
            .expect("little memory"),
            suspended: CachePadded::new(AtomicU64::new(0)),
            cancels: CachePadded::new(AtomicU64::new(0)),
            wait: WaitPlan { strategy: WaitStrategy::SpinThenPark, crowded: true },
            homes: sizes.workers,
            parked: CachePadded::new(AtomicU32::new(0)),
            stop: CachePadded::new(AtomicBool::new(false)),
            closed: AtomicBool::new(false),
            at_work: CachePadded::new(AtomicU32::new(threads as u32)),
            times: Times::default().into(),
            stalls: AtomicU64::new(0),
            free,
            retired: ArrayQueue::new(sizes.groups),
        }),
        stage_times: Slab::try_new(M::STAGES.0.len(), |_| AtomicHistogram::default())
            .expect("little memory"),
    })
}

/// The dead letters of all groups, so many of each.
fn letters<T: Default, E>(sizes: Sizes, each: usize) -> Slab<Letters<T, E>> {
    let groups = if each > 0 { sizes.groups } else { 0 };
    let of_group = |_| Slab::try_new(each, |_| LetterCell::new(T::default()));
    Slab::try_new(groups, |group| Letters::new(of_group(group).expect("little memory")))
        .expect("little memory")
}

fn worker(sizes: Sizes) -> CachePadded<WorkerShared> {
    let own_groups = sizes.groups.div_ceil(sizes.workers);
    CachePadded::new(WorkerShared {
        bell: Doorbell::try_new(own_groups).expect("little memory"),
        event: Event::default(),
        nudged: AtomicBool::new(false),
        wants_help: AtomicU32::new(0),
        hot: GroupSet::try_new(own_groups).expect("little memory"),
        express: GroupSet::try_new(own_groups).expect("little memory"),
        special: AtomicU64::new(0),
        progress: CachePadded::new(Progress::try_new(4).expect("little memory")),
    })
}

/// Opens a group, as `Pipeline::open` does.
pub fn open<M: StateMachine>(
    shared: &Arc<Shared<M>>,
    options: impl Into<GroupOptions>,
) -> Result<RequestGroup<M>, OpenError> {
    let options = options.into();
    Ok(RequestGroup::new(shared, shared.open(&options)?, &options))
}

/// A worker's life, until it is told to stop.
pub fn work<M: StateMachine>(shared: Arc<Shared<M>>, index: usize) {
    let machine = (shared.factory)();
    Worker::new(&shared, index, machine).run();
}

/// The life of a pool's thread, whose index is among all threads that run stages.
pub fn work_in_pool<M: StateMachine>(shared: Arc<Shared<M>>, index: usize, hop: usize) {
    let machine = (shared.factory)();
    PoolWorker::new(&shared, (index, hop), (shared.wait, Duration::ZERO), machine).run();
}

/// Sets the bound on claimed batches, as long as nobody else has the memory.
pub fn set_batch_max<M: StateMachine>(shared: &mut Arc<Shared<M>>, batch_max: usize) {
    Arc::get_mut(shared).expect("not shared yet").rules.batch_max = batch_max;
}

/// Puts these stages in place of the machine's own table, as long as nobody else has the memory.
pub fn set_stages<M: StateMachine>(shared: &mut Arc<Shared<M>>, stages: Vec<RuntimeStage<M>>) {
    let context = &mut Arc::get_mut(shared).expect("not shared yet").context;
    context.table = Table::from_runtime(stages, std::iter::empty());
}

/// A worker whose turns the caller makes, one part at a time.
pub struct HandWorker<'s, M: StateMachine> {
    shared: &'s Shared<M>,
    worker: Worker<'s, M>,
}

impl<'s, M: StateMachine> HandWorker<'s, M> {
    /// The worker of this index, with a machine of its own.
    pub fn new(shared: &'s Shared<M>, index: usize) -> Self {
        Self { shared, worker: Worker::new(shared, index, (shared.factory)()) }
    }

    /// Takes in the groups that rang.
    pub fn admit_rung(&mut self) {
        self.worker.hot.admit_rung(self.shared);
    }

    /// Gives each hot group one batch. Whether there was any.
    pub fn serve_hot(&mut self) -> bool {
        self.worker.serve_hot()
    }

    /// Watches the next slot of its only hot group, as a worker does that waits. Whether there was a request.
    pub fn watch_only(&mut self) -> bool {
        self.worker.watch_only()
    }
}

/// A worker's hot set.
pub struct HotSet(hot_set::HotSet);

impl HotSet {
    /// The empty set of this worker.
    pub fn new(worker: usize) -> Self {
        Self(hot_set::HotSet::with_capacity(worker, 4))
    }

    /// Takes in the groups that rang.
    pub fn admit_rung<M: StateMachine>(&mut self, shared: &Shared<M>) {
        self.0.admit_rung(shared);
    }

    /// Lets go of all groups that have no request.
    pub fn demote_all<M: StateMachine>(&mut self, shared: &Shared<M>) {
        self.0.demote_all(shared);
    }

    /// How many groups it holds.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first group in it.
    pub fn first(&self) -> Option<u32> {
        self.0.group(0)
    }
}
