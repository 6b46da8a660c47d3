//! What others see of a worker.

use crate::bell::{Doorbell, GroupSet};
use crate::slab::OutOfMemory;
use crate::stats::Flow;
use crate::sync::{self, AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::wait::Event;
use crossbeam_utils::CachePadded;

/// What others may touch of a worker.
pub struct WorkerShared {
    /// Rung by submitters of its groups.
    pub bell: Doorbell,
    /// Where it sleeps.
    pub event: Event,
    /// Set by who wakes it to help; cleared by itself.
    pub nudged: AtomicBool,
    /// One of [`Help`]. Written by the worker; read by helpers and, once a submission, by submitters.
    /// A hint, Relaxed.
    pub wants_help: AtomicU32,
    /// The groups that it polls, for helpers.
    pub hot: GroupSet,
    /// Those of its groups that are polled before the others. Written by who opens a group or hands it on.
    pub express: GroupSet,
    /// How many of its groups were given a weight, and [`EXPRESS`](Self::EXPRESS) for each that is express.
    /// Written by who opens and closes groups (read-modify-write); read by the worker and its helpers, Relaxed:
    /// the groups' own words say the rest, and `shared::share` why old ones do no harm.
    pub special: AtomicU64,
    /// What it does, for the statistics; written by the worker, Relaxed.
    pub progress: CachePadded<Progress>,
}

impl WorkerShared {
    /// An express group in [`special`](Self::special).
    pub const EXPRESS: u64 = 1 << 32;

    /// Whether its groups are not all alike.
    #[inline(always)]
    pub fn goes_by_share(&self) -> bool {
        self.special.load(Ordering::Relaxed) != 0
    }

    /// Whether some of its groups are express.
    pub fn has_express(&self) -> bool {
        self.special.load(Ordering::Relaxed) >= Self::EXPRESS
    }
}

/// Whether others may take requests of a worker's groups.
pub struct Help;

impl Help {
    /// The worker keeps up.
    pub const NONE: u32 = 0;
    /// A whole batch more is waiting than it has taken.
    pub const BACKLOG: u32 = 1;
    /// It is inside a long request.
    pub const LONG: u32 = 2;
    /// The watch finds that it does not go on: all of its groups are to be looked at.
    pub const STUCK: u32 = 3;
}

/// What a worker is doing. Written by the worker with Relaxed stores, read for the statistics.
pub struct Progress {
    /// The stage that it is in, while it runs a batch; else [`Progress::NOWHERE`].
    pub stage: AtomicU32,
    /// The group whose batch it runs, or has run last.
    group: AtomicU32,
    /// Requests of the batch that the worker runs, 0 between two batches.
    running: AtomicU32,
    /// How often it has begun to look at its groups, modulo 2^64: what goes on as long as the worker
    /// does.
    steps: AtomicU64,
    /// Whether it is a thread of a pool that waits to be woken: those of a pool wait at one event.
    waits_in_pool: AtomicBool,
    /// Requests that it began to keep, modulo 2^64, and requests ended that some thread had kept. The latter
    /// is written with Release: who reads it with Acquire, and then the former, finds each that ended begun.
    kept: AtomicU64,
    kept_ended: AtomicU64,
    /// How often its requests enter each stage.
    pub flow: Flow,
}

impl Progress {
    pub const NOWHERE: u32 = u32::MAX;

    /// A worker with a machine of so many stages that has not begun.
    pub fn try_new(stages: usize) -> Result<Self, OutOfMemory> {
        Ok(Self {
            stage: AtomicU32::new(Self::NOWHERE),
            group: AtomicU32::new(0),
            running: AtomicU32::new(0),
            steps: AtomicU64::new(0),
            waits_in_pool: AtomicBool::new(false),
            kept: AtomicU64::new(0),
            kept_ended: AtomicU64::new(0),
            flow: Flow::try_new(stages)?,
        })
    }

    /// The worker goes on. For the worker itself.
    #[inline(always)]
    pub fn step(&self) {
        sync::add_alone(&self.steps, 1);
    }

    /// A number that changes as long as the worker goes on.
    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// The thread of a pool begins to wait, or has been woken. For that thread itself.
    pub fn set_waits_in_pool(&self, waits: bool) {
        self.waits_in_pool.store(waits, Ordering::Relaxed);
    }

    /// Whether it is a thread of a pool that waits.
    pub fn waits_in_pool(&self) -> bool {
        self.waits_in_pool.load(Ordering::Relaxed)
    }

    /// The worker begins a batch. For the worker itself.
    #[inline(always)]
    pub fn begin_batch(&self, group: u32, len: usize) {
        self.group.store(group, Ordering::Relaxed);
        self.running.store(len as u32, Ordering::Relaxed);
    }

    /// The worker has ended its batch. For the worker itself.
    #[inline(always)]
    pub fn end_batch(&self, len: usize) {
        self.flow.begin(len);
        self.stage.store(Self::NOWHERE, Ordering::Relaxed);
        self.running.store(0, Ordering::Relaxed);
    }

    /// The worker ends its turn with one request that was kept. For the worker itself.
    pub fn end_kept(&self) {
        self.stage.store(Self::NOWHERE, Ordering::Relaxed);
        self.running.store(0, Ordering::Relaxed);
    }

    /// A request is kept that was not before. For the worker itself.
    pub fn count_kept(&self) {
        sync::add_alone(&self.kept, 1);
    }

    /// A request that was kept has ended. For the worker itself.
    pub fn count_kept_ended(&self) {
        let ended = self.kept_ended.load(Ordering::Relaxed).wrapping_add(1);
        self.kept_ended.store(ended, Ordering::Release);
    }

    /// Requests ended that had been kept.
    pub fn kept_ended(&self) -> u64 {
        self.kept_ended.load(Ordering::Acquire)
    }

    /// Requests that it began to keep.
    pub fn kept(&self) -> u64 {
        self.kept.load(Ordering::Relaxed)
    }

    /// Requests of the batch that the worker runs.
    pub fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed) as usize
    }

    /// The group whose batch the worker runs, or has run last.
    pub fn group(&self) -> usize {
        self.group.load(Ordering::Relaxed) as usize
    }

    /// The stage and group that the worker is in. (Between two batches the two may not belong
    /// together.)
    pub fn stage_and_group(&self) -> Option<(usize, usize)> {
        let stage = self.stage.load(Ordering::Relaxed);
        (stage != Self::NOWHERE).then_some((stage as usize, self.group()))
    }
}
