//! What the handles and the threads of one pipeline share: its groups, its workers' shared parts,
//! and the protocols between them (attention, opening, closing).

use crate::bell::{Attention, Doorbell, GroupSet, Service};
use crate::error::OpenError;
use crate::panics;
use crate::request::Context;
use crate::stage::{Hook, StateMachine};
use crate::stats::AtomicHistogram;
use crate::sync::{self, Arc, ArrayQueue, AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::wait::{Event, WaitPlan};
use crate::window::{Order, Window};
use crate::slab::Slab;
use crate::slot::Phase;
use crate::stats::Ledger;
use crossbeam_utils::CachePadded;
use std::ops::Deref;
use std::ptr::NonNull;

/// The conditions of a group that stop or slow its requests: a set of bits in one word.
pub struct Control;

impl Control {
    /// Requests that have not run end as cancelled; submits are refused.
    pub const CANCELLED: u32 = 1;
    /// Some cold entries carry a deadline or the void mark, so each is looked at before it runs.
    pub const MARKED: u32 = 2;
    /// The pipeline takes no more requests.
    pub const CLOSED: u32 = 4;
    /// The receive end is gone; submits are refused.
    pub const UNRECEIVED: u32 = 8;

    /// What makes a submit refuse.
    pub const REFUSE: u32 = Self::CANCELLED | Self::CLOSED | Self::UNRECEIVED;
    /// What a worker looks at before each request.
    pub const CHECK: u32 = Self::CANCELLED | Self::MARKED;
}

/// One request group: its memory, and the words by which others learn about it.
pub struct Group<T, E> {
    pub front: CachePadded<Front>,
    pub window: Window<T, E>,
    pub times: Times,
    /// Counts at the opening, so that a group's statistics start with it.
    base: GroupBase,
    /// Found stalled so many times; written by the stall watch.
    pub stalls: AtomicU64,
    /// Found stalled now; written by the stall watch.
    pub stalled: AtomicBool,
}

/// The read-mostly words of a group, on lines that no request writes.
pub struct Front {
    /// Bits of [`Control`]. Written by whoever cancels, marks or closes (read-modify-write); read by
    /// the submit end before and by workers between requests. Relaxed, but for the mark, which the
    /// slot's publication orders.
    pub control: AtomicU32,
    pub service: Service,
    /// The submit end waits here for a free slot.
    pub submit_event: Event,
    /// The receive end waits here for results.
    pub receive_event: Event,
    /// Which ends are closed: [`SUBMIT_CLOSED`], [`RECEIVE_CLOSED`]. Written by the ends when they
    /// are dropped; AcqRel, so that who closes the second end sees all that the first one did.
    ends: AtomicU32,
    /// Handles of the submit end.
    producers: AtomicU32,
}

const SUBMIT_CLOSED: u32 = 1;
const RECEIVE_CLOSED: u32 = 2;
const BOTH_CLOSED: u32 = SUBMIT_CLOSED | RECEIVE_CLOSED;

#[derive(Default)]
pub struct Times {
    pub queue: AtomicHistogram,
    pub run: AtomicHistogram,
}

/// Written when the group is opened, when it is quiet; read by the statistics. Relaxed.
#[derive(Default)]
struct GroupBase {
    tail: AtomicU64,
    received: AtomicU64,
    outcomes: [AtomicU64; Phase::FINISHED.len()],
}

impl<T, E> Group<T, E> {
    pub fn new(window: Window<T, E>) -> Self {
        let group = Self {
            front: CachePadded::new(Front {
                control: AtomicU32::new(0),
                service: Service::default(),
                submit_event: Event::default(),
                receive_event: Event::default(),
                ends: AtomicU32::new(BOTH_CLOSED),
                producers: AtomicU32::new(0),
            }),
            window,
            times: Times::default(),
            base: GroupBase::default(),
            stalls: AtomicU64::new(0),
            stalled: AtomicBool::new(false),
        };
        group.base.tail.store(group.window.tail(), Ordering::Relaxed);
        group.base.received.store(group.window.received(), Ordering::Relaxed);
        group
    }

    #[inline(always)]
    pub fn control(&self) -> u32 {
        self.front.control.load(Ordering::Relaxed)
    }

    /// Sets bits of the control word, unless they are set.
    pub fn set_control(&self, bits: u32) {
        if self.control() & bits != bits {
            self.front.control.fetch_or(bits, Ordering::Relaxed);
        }
    }

    /// One end is open, at least.
    pub fn is_open(&self) -> bool {
        self.front.ends.load(Ordering::Acquire) != BOTH_CLOSED
    }

    /// No more can be submitted by this group's own doing. Acquire: pairs with the AcqRel of the
    /// dropped submit end, so that its last submits are visible.
    pub fn is_submit_closed(&self) -> bool {
        self.front.ends.load(Ordering::Acquire) & SUBMIT_CLOSED != 0
    }

    /// Nobody will receive any more.
    pub fn is_receive_closed(&self) -> bool {
        self.front.ends.load(Ordering::Acquire) & RECEIVE_CLOSED != 0
    }

    /// Everything submitted has been received.
    pub fn is_quiet(&self) -> bool {
        self.window.received() == self.window.tail()
    }

    /// One more handle of the submit end. Relaxed: it is made from one that exists.
    pub fn add_producer(&self) {
        self.front.producers.fetch_add(1, Ordering::Relaxed);
    }

    /// The requests since the group was opened.
    pub fn ledger(&self) -> Ledger {
        let mut ledger = self.ledger_of_all_openings();
        let base = |value: &AtomicU64| value.load(Ordering::Relaxed);
        for (phase, before) in Phase::FINISHED.into_iter().zip(&self.base.outcomes) {
            let ended = ledger.outcome_mut(phase);
            *ended = ended.wrapping_sub(base(before));
        }
        ledger.submitted = self.window.tail().wrapping_sub(base(&self.base.tail));
        ledger.received = self.window.received().wrapping_sub(base(&self.base.received));
        ledger
    }

    /// The requests since the pipeline was built, but for `submitted` and `received`.
    pub fn ledger_of_all_openings(&self) -> Ledger {
        let mut ledger = Ledger::default();
        for phase in Phase::FINISHED {
            *ledger.outcome_mut(phase) = self.window.ended(phase);
        }
        ledger
    }

    fn start_counting(&self) {
        for (phase, base) in Phase::FINISHED.into_iter().zip(&self.base.outcomes) {
            base.store(self.window.ended(phase), Ordering::Relaxed);
        }
        self.base.tail.store(self.window.tail(), Ordering::Relaxed);
        self.base.received.store(self.window.received(), Ordering::Relaxed);
        self.times.queue.clear();
        self.times.run.clear();
        self.stalls.store(0, Ordering::Relaxed);
        self.stalled.store(false, Ordering::Relaxed);
    }
}

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
    /// What it does, for the statistics; written by the worker, Relaxed.
    pub progress: CachePadded<Progress>,
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
}

/// What a worker is doing. Written by the worker with Relaxed stores, read for the statistics.
pub struct Progress {
    /// `group << 16 | stage` while it is inside a stage, else [`Progress::NOWHERE`].
    pub place: AtomicU64,
    /// Requests of the claimed batch.
    pub running: AtomicU32,
    /// Requests that have entered each stage.
    pub entered: Slab<AtomicU64>,
}

impl Progress {
    pub const NOWHERE: u64 = u64::MAX;

    /// The stage and group that the worker is in.
    pub fn stage_and_group(&self) -> Option<(usize, usize)> {
        let place = self.place.load(Ordering::Relaxed);
        (place != Self::NOWHERE).then_some(((place & 0xffff) as usize, (place >> 16) as usize))
    }
}

/// How the workers are to run requests, fixed at build.
pub struct Rules<M: StateMachine> {
    /// Run before each stage.
    pub hooks: Box<[Hook<M>]>,
    /// No request may come back to a stage.
    pub dag: bool,
    /// Stages that one request may run through.
    pub visits_max: u32,
    /// Requests that a worker claims at once, at most.
    pub batch_max: usize,
    /// A request's times are taken if its position has none of these bits.
    pub sample_mask: u64,
}

impl<M: StateMachine> Rules<M> {
    /// Whether a request needs more than its stages run one after the other.
    pub fn is_checked(&self) -> bool {
        self.dag || !self.hooks.is_empty()
    }
}

/// Makes the machine of a worker.
pub type Factory<M> = dyn Fn() -> M + Send + Sync;

/// All that the handles and threads of one pipeline share.
pub struct Shared<M: StateMachine> {
    pub context: Context<M>,
    pub rules: Rules<M>,
    pub factory: Box<Factory<M>>,
    pub groups: Slab<Group<M::Data, M::Error>>,
    pub workers: Slab<CachePadded<WorkerShared>>,
    pub wait: WaitPlan,
    /// Workers that have groups of their own: as many as there are CPUs for them. So many may be awake
    /// at once, but for those inside long requests.
    pub homes: usize,
    /// Workers that have not left. Written by each as it leaves; AcqRel, so that the last one has seen
    /// all that the others completed.
    pub at_work: CachePadded<AtomicU32>,
    /// Workers that sleep. Written by workers as they go to sleep and wake, read by who would wake
    /// one to help. A hint, Relaxed.
    pub parked: CachePadded<AtomicU32>,
    /// Set when the workers have to leave as soon as they find nothing to do. Written by who closes
    /// the pipeline, read by idle workers; Relaxed, since it orders nothing: the look at the groups
    /// that comes after it is what matters.
    pub stop: CachePadded<AtomicBool>,
    /// The pipeline takes no more openings.
    pub closed: AtomicBool,
    /// Written with each sampled request, so on lines of its own.
    pub times: CachePadded<Times>,
    pub stage_times: Slab<AtomicHistogram>,
    /// Stalls found in all groups. Written by the stall watch.
    pub stalls: AtomicU64,
    /// Indices of groups that are quiet and can be opened.
    pub free: ArrayQueue<u32>,
    /// Indices of groups that were closed with requests in flight.
    pub retired: ArrayQueue<u32>,
}

impl<M: StateMachine> Shared<M> {
    #[inline(always)]
    pub fn group(&self, index: u32) -> &Group<M::Data, M::Error> {
        &self.groups[index as usize]
    }

    /// The worker that polls a group first.
    #[inline(always)]
    pub fn home(&self, index: u32) -> &WorkerShared {
        &self.workers[index as usize % self.homes]
    }

    /// Makes sure that some worker sees what the caller has just published in this group.
    #[inline(always)]
    fn attend(&self, group: &Group<M::Data, M::Error>, index: u32) {
        sync::light_barrier();
        let attention = group.front.service.look();
        if attention != Attention::Polled {
            self.call_attention(index, attention);
        } else if self.workers.len() > 1 {
            self.wake_helper(self.home(index).wants_help.load(Ordering::Relaxed));
        }
    }

    #[cold]
    fn call_attention(&self, index: u32, attention: Attention) {
        if attention == Attention::MustRing {
            let home = self.home(index);
            home.bell.ring(index as usize / self.homes);
            home.event.notify();
        } else {
            self.group(index).front.receive_event.notify();
        }
    }

    /// Wakes one sleeping worker, if there is one and help is wanted: beyond the number of CPUs only
    /// where those that are awake are inside long requests, which may well be waiting for something.
    #[inline(always)]
    pub fn wake_helper(&self, wanted: u32) {
        if wanted != Help::NONE {
            self.wake_one(wanted);
        }
    }

    #[cold]
    fn wake_one(&self, wanted: u32) {
        let parked = self.parked.load(Ordering::Relaxed) as usize;
        let awake = self.workers.len().saturating_sub(parked);
        if parked == 0 || (wanted == Help::BACKLOG && awake >= self.homes) {
            return;
        }
        let asleep = self.workers.iter().find(|worker| {
            worker.event.is_awaited() && !worker.nudged.swap(true, Ordering::Relaxed)
        });
        if let Some(worker) = asleep {
            worker.event.notify();
        }
    }

    // ---- opening and closing groups ----

    /// Takes a quiet group and opens it, with both ends.
    pub fn open(&self, order: Order) -> Result<u32, OpenError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(OpenError::Closed);
        }
        let none_free = OpenError::NoneFree { groups: self.groups.len() };
        let index = self.free.pop().or_else(|| self.reclaim()).ok_or(none_free)?;
        let group = self.group(index);
        // One worker finishes requests as they were submitted, and has no use for completion rings.
        let one_worker = self.workers.len() == 1;
        group.window.reopen(if one_worker { Order::Submission } else { order });
        group.start_counting();
        // A pipeline that closes at this moment has marked the group: the mark stays.
        group.front.control.fetch_and(Control::CLOSED, Ordering::Relaxed);
        group.front.producers.store(1, Ordering::Relaxed);
        group.front.ends.store(0, Ordering::Release);
        Ok(index)
    }

    /// Finds a closed group whose requests have all ended by now.
    fn reclaim(&self) -> Option<u32> {
        for _ in 0..self.retired.len() {
            let index = self.retired.pop()?;
            self.discard_results(index);
            if self.group(index).is_quiet() {
                return Some(index);
            }
            // Cannot be full: it holds one place for each group.
            let _ = self.retired.push(index);
        }
        None
    }

    /// Receives for a group that has no receiver any more. The caller holds its index.
    fn discard_results(&self, index: u32) {
        let window = &self.group(index).window;
        let order = window.order();
        loop {
            // SAFETY: both ends are closed, and the queue gave the index to this thread alone.
            let failure = unsafe {
                window.receive(|cursor| {
                    let finished = window.next_finished(order, cursor)?;
                    // SAFETY: a finished slot belongs to the receive end until it is released.
                    let failure = window.cold(finished.place.slot(), |cold| {
                        std::mem::take(&mut (*cold).failure)
                    });
                    window.consume(order, cursor, finished);
                    window.publish_received(cursor);
                    Some(failure)
                })
            };
            match failure {
                None => return,
                // A user's `Drop` that panics must not cost the group's index.
                Some(failure) => panics::contain(|| drop(failure)),
            }
        }
    }

    /// One handle of the submit end is gone.
    pub fn drop_producer(&self, index: u32) {
        let front = &self.group(index).front;
        // AcqRel: the last one sees all that the others submitted.
        if front.producers.fetch_sub(1, Ordering::AcqRel) == 1 {
            let before = front.ends.fetch_or(SUBMIT_CLOSED, Ordering::AcqRel);
            front.receive_event.notify();
            self.retire_if(before == RECEIVE_CLOSED, index);
        }
    }

    /// The receive end is gone.
    pub fn drop_receiver(&self, index: u32) {
        let front = &self.group(index).front;
        self.group(index).set_control(Control::UNRECEIVED);
        front.submit_event.notify();
        let before = front.ends.fetch_or(RECEIVE_CLOSED, Ordering::AcqRel);
        self.retire_if(before == SUBMIT_CLOSED, index);
    }

    /// Both ends are closed: the group can be opened again, at once or when its requests have ended.
    fn retire_if(&self, both_closed: bool, index: u32) {
        if both_closed {
            let quiet = self.group(index).is_quiet();
            let queue = if quiet { &self.free } else { &self.retired };
            // Cannot be full: it holds one place for each group.
            let _ = queue.push(index);
        }
    }

    // ---- closing the pipeline ----

    /// Refuses new groups and new requests, and wakes who waits for either end of a group.
    pub fn refuse_more(&self, more: u32) {
        self.closed.store(true, Ordering::Release);
        for group in self.groups.iter() {
            group.set_control(Control::CLOSED | more);
        }
        sync::heavy_barrier();
        self.wake_all_ends();
    }

    /// Wakes every thread that waits for an end of a group.
    fn wake_all_ends(&self) {
        for group in self.groups.iter() {
            group.front.submit_event.notify();
            group.front.receive_event.notify();
        }
    }

    /// Tells the workers to leave when they find nothing more to do.
    pub fn stop_workers(&self) {
        self.stop.store(true, Ordering::Relaxed);
        sync::heavy_barrier();
        self.workers.iter().for_each(|worker| worker.event.notify());
    }

    /// A worker will look at no group again. The last one marks every group as left: whatever is
    /// published from then on, its receiver ends. Whoever ends the pipeline may not wait for that (a
    /// stage that drops it, a close that gave up), so the workers do it.
    pub fn worker_left(&self) {
        if self.at_work.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.groups.iter().for_each(|group| group.front.service.leave());
            sync::heavy_barrier();
            self.wake_all_ends();
        }
    }

    /// The requests of all groups since the pipeline was built.
    pub fn ledger(&self, first_position: u64) -> Ledger {
        let mut total = Ledger::default();
        for group in self.groups.iter() {
            let mut ledger = group.ledger_of_all_openings();
            ledger.submitted = group.window.tail().wrapping_sub(first_position);
            ledger.received = group.window.received().wrapping_sub(first_position);
            total.add(&ledger);
        }
        total
    }
}

/// A group as its ends hold it: found once, and kept alive.
pub struct GroupHandle<M: StateMachine> {
    shared: Arc<Shared<M>>,
    group: NonNull<Group<M::Data, M::Error>>,
    index: u32,
}

// SAFETY: the handle is an `Arc<Shared<M>>` and a shared reference into it; `Shared` is Sync, since
// its groups are for payloads and errors that are Send.
unsafe impl<M: StateMachine> Send for GroupHandle<M> {}

impl<M: StateMachine> GroupHandle<M> {
    pub fn new(shared: Arc<Shared<M>>, index: u32) -> Self {
        let group = NonNull::from(shared.group(index));
        Self { shared, group, index }
    }

    pub fn shared(&self) -> &Shared<M> {
        &self.shared
    }

    #[inline(always)]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Makes sure that some worker sees what the caller has just published.
    #[inline(always)]
    pub fn attend(&self) {
        self.shared.attend(self, self.index);
    }
}

impl<M: StateMachine> Deref for GroupHandle<M> {
    type Target = Group<M::Data, M::Error>;

    #[inline(always)]
    fn deref(&self) -> &Self::Target {
        // SAFETY: the group stands in a slab that `shared` owns and never changes, and which this
        // handle keeps alive.
        unsafe { self.group.as_ref() }
    }
}

impl<M: StateMachine> Clone for GroupHandle<M> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), group: self.group, index: self.index }
    }
}
