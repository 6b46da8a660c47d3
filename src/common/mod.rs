//! What the handles and the threads of one pipeline have in common, whatever its machine: its groups, its workers'
//! shared parts, and the protocols between them: attention (`bell`), opening and closing a group (here), and the
//! end of the pipeline (`pipeline`).
//!
//! # A group's life
//!
//! ```text
//!  free ──► open, all ends ──► one end closed ──► all closed ──► free, if quiet
//!   ▲                                                    └──────► retired ──┐
//!   └─────────────── an opening finds it quiet ◄────────────────────────────┘
//! ```
//!
//! 1. An index is in one queue, or belongs to the handles of one opening. Who takes it out of a queue is the
//!    only one that has it: it prepares the group, and then makes the two ends, or three where it has a
//!    dead-letter end.
//! 2. Each end closes once: the receive and the dead-letter end as they are dropped, the submit end with the last
//!    of its handles, which are counted. To close is to set the end's bit in `ends`, with AcqRel; whoever sets the
//!    last one finds the others, and has seen all that the other ends did. It hands the index on.
//! 3. It goes to `free` if the group is quiet: everything submitted has been received, and no producer is
//!    between its look and its publication. Else it goes to `retired`: workers still run its requests.
//! 4. An opening that finds nothing free takes an index out of `retired`, throws away what has finished, and
//!    looks again. If the group is not quiet it puts the index back, and nobody else had it meanwhile.
//! 5. A worker may look at a group at any time, also between two openings. It finds no slot ready, for a
//!    slot's turn names its position, and positions go on from one opening to the next.
//! 6. An end that waits is told what ends its wait: a bit of the control word or of `ends`, set before
//!    the notification, which passes the barrier of `wait`.

mod group;
mod hop;
mod keeper;
mod letters;
mod options;
mod share;
mod worker;

pub use group::{Control, Group, Times};
pub use hop::Hop;
pub use keeper::{Flush, Keeper, KeeperCell, Owned};
pub use letters::{Letter, LetterCell, Letters};
pub use options::{GroupOptions, Overflow};
pub use share::pass_rounds;
pub use worker::{Help, Progress, WorkerShared};

use crate::bell::Attention;
use crate::error::OpenError;
use crate::panics;
use crate::slab::Slab;
use crate::stats::Ledger;
use crate::sync::{self, ArrayQueue, AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::wait::WaitPlan;
use crate::window::Order;
use crossbeam_utils::CachePadded;
use group::{ALL_CLOSED, LETTERS_CLOSED, RECEIVE_CLOSED, SUBMIT_CLOSED};

/// What the handles and threads of one pipeline have in common, whatever its machine.
pub struct Common<T, E> {
    pub groups: Slab<Group<T, E>>,
    /// The dead letters of each group, or none at all.
    pub letters: Slab<Letters<T, E>>,
    /// All threads that run stages: those that poll groups, then those of each pool.
    pub workers: Slab<CachePadded<WorkerShared>>,
    /// Submit ends may claim too, and have a lane of their own.
    pub drop_oldest: bool,
    /// How many of them poll groups.
    pub pollers: usize,
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
    /// The pipeline takes no more openings. Written by who closes it (Release), read by who opens a group
    /// (Acquire): who is refused has all that went before the close.
    pub closed: AtomicBool,
    /// Written with each sampled request, so on lines of its own.
    pub times: CachePadded<Times>,
    /// Stalls found in all groups. Written by the stall watch.
    pub stalls: AtomicU64,
    /// The queue of the workers, and behind it that of each pool; none for machines that keep no requests.
    pub hops: Box<[Hop]>,
    /// For each stage, the queue of the threads that run it.
    pub stage_hops: Box<[u16]>,
    /// What each thread that runs stages keeps; none for machines that keep no requests.
    pub keepers: Slab<KeeperCell<E>>,
    /// Requests that are suspended. Written by workers before they park one and by who takes it on; read by
    /// workers that are to leave. [`Parking`](crate::kept::Parking) settles who goes on with one; but who counts one
    /// (Release) has counted it as kept, and who reads that it is suspended (Acquire) finds that it is kept, so that it
    /// does not stand for another one that is kept.
    pub suspended: CachePadded<AtomicU64>,
    /// Groups cancelled so far. Written by who cancels one (Release), read by workers that keep requests (Acquire).
    pub cancels: CachePadded<AtomicU64>,
    /// Indices of groups that are quiet and can be opened.
    pub free: ArrayQueue<u32>,
    /// Indices of groups that were closed with requests in flight.
    pub retired: ArrayQueue<u32>,
}

impl<T, E> Common<T, E> {
    #[inline(always)]
    pub fn group(&self, index: u32) -> &Group<T, E> {
        &self.groups[index as usize]
    }

    /// The worker that polls a group first.
    #[inline(always)]
    pub fn home(&self, index: u32) -> &WorkerShared {
        &self.workers[index as usize % self.homes]
    }

    /// Makes sure that some worker sees what the caller has just published in this group.
    #[inline(always)]
    pub fn attend(&self, group: &Group<T, E>, index: u32) {
        sync::light_barrier();
        let attention = group.front.service.look();
        if attention != Attention::Polled {
            self.call_attention(index, attention);
        } else if self.pollers > 1 {
            self.wake_helper(self.home(index).wants_help.load(Ordering::Relaxed));
        }
    }

    #[cold]
    fn call_attention(&self, index: u32, attention: Attention) {
        if attention == Attention::MustRing {
            let home = self.home(index);
            // It may be inside a long request, and another worker answers.
            let wanted = home.wants_help.load(Ordering::Relaxed);
            home.bell.ring(index as usize / self.homes);
            home.event.notify();
            self.wake_helper(wanted);
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
        let awake = self.pollers.saturating_sub(parked);
        if parked == 0 || (wanted == Help::BACKLOG && awake >= self.homes) {
            return;
        }
        let asleep = self.workers[..self.pollers].iter().find(|worker| {
            worker.event.is_awaited() && !worker.nudged.swap(true, Ordering::Relaxed)
        });
        if let Some(worker) = asleep {
            worker.event.notify();
        }
    }

    // ---- opening and closing groups ----

    /// Takes a quiet group and opens it, with both ends.
    pub fn open(&self, options: &GroupOptions) -> Result<u32, OpenError> {
        options.check()?;
        if self.closed.load(Ordering::Acquire) {
            return Err(OpenError::Closed);
        }
        self.is_built_for(options)?;
        let none_free = OpenError::NoneFree { groups: self.groups.len() };
        let index = self.free.pop().or_else(|| self.reclaim()).ok_or(none_free)?;
        let group = self.group(index);
        // One worker that keeps nothing finishes requests as they were submitted, and has no use for completion
        // rings, if nobody else ends requests.
        let one_ends = self.workers.len() == 1 && options.overflow != Overflow::DropOldest;
        let in_order = one_ends && self.hops.is_empty();
        group.window.reopen(if in_order { Order::Submission } else { options.order });
        self.tell_share(index, options.weight, options.express);
        group.start_counting();
        // A pipeline that closes at this moment has marked the group: the mark stays.
        group.front.control.fetch_and(Control::CLOSED, Ordering::Relaxed);
        group.front.producers.store(1, Ordering::Relaxed);
        let letters = self.letters.get(index as usize).filter(|_| options.dead_letters);
        if let Some(letters) = letters {
            // SAFETY: a quiet group has no open end, and the queue gave the index to this thread alone.
            unsafe { letters.reset() };
        }
        let ends = if letters.is_some() { 0 } else { LETTERS_CLOSED };
        group.front.ends.store(ends, Ordering::Release);
        Ok(index)
    }

    /// Whether the pipeline has what the options need.
    fn is_built_for(&self, options: &GroupOptions) -> Result<(), OpenError> {
        if options.overflow == Overflow::DropOldest && !self.drop_oldest {
            let (option, builder) = ("`Overflow::DropOldest`", "`Builder::drop_oldest(true)`");
            return Err(OpenError::NotBuilt { option, builder });
        }
        if options.dead_letters && self.letters.is_empty() {
            let (option, builder) =
                ("`GroupOptions::dead_letters`", "`Builder::dead_letters(capacity)`");
            return Err(OpenError::NotBuilt { option, builder });
        }
        Ok(())
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
                    let failure =
                        window.cold(finished.slot(), |cold| std::mem::take(&mut (*cold).failure));
                    window.consume(order, cursor, finished.receipt());
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
            self.retire_if(before | SUBMIT_CLOSED, index);
        }
    }

    /// The receive end is gone.
    pub fn drop_receiver(&self, index: u32) {
        let front = &self.group(index).front;
        self.group(index).set_control(Control::UNRECEIVED);
        front.submit_event.notify();
        let before = front.ends.fetch_or(RECEIVE_CLOSED, Ordering::AcqRel);
        self.retire_if(before | RECEIVE_CLOSED, index);
    }

    /// The dead-letter end is gone.
    pub fn drop_letters(&self, index: u32) {
        let before = self.group(index).front.ends.fetch_or(LETTERS_CLOSED, Ordering::AcqRel);
        self.retire_if(before | LETTERS_CLOSED, index);
    }

    /// If all ends are closed, the group can be opened again, at once or when its requests have ended.
    fn retire_if(&self, closed: u32, index: u32) {
        if closed == ALL_CLOSED {
            let quiet = self.group(index).is_quiet();
            if quiet {
                // Its worker has one group less to mind.
                self.tell_share(index, None, false);
            }
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
        self.tell_keepers();
        sync::heavy_barrier();
        self.wake_all_ends();
    }

    /// Whether all groups are cancelled, and no other can be opened.
    pub fn is_aborted(&self) -> bool {
        let is_cancelled = |group: &Group<T, E>| group.control() & Control::CANCELLED != 0;
        self.closed.load(Ordering::Acquire) && self.groups.iter().all(is_cancelled)
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
        self.wake_all_threads();
    }

    /// Whether no thread has a request that was kept, but for those that are suspended.
    pub fn is_settled(&self) -> bool {
        let sum = |count: fn(&Progress) -> u64| {
            self.workers.iter().fold(0_u64, |sum, worker| sum.wrapping_add(count(&worker.progress)))
        };
        // In this order: what has ended is then found begun.
        let ended = sum(Progress::kept_ended);
        let suspended = self.suspended.load(Ordering::Acquire);
        sum(Progress::kept).wrapping_sub(ended) <= suspended
    }

    /// Whether all workers have left. The threads of pools leave after them: a request may come until then.
    pub fn pollers_left(&self) -> bool {
        // Acquire: pairs with the AcqRel of who left, and so with all that it had kept.
        self.at_work.load(Ordering::Acquire) as usize <= self.workers.len() - self.pollers
    }

    /// A kept request has ended, was suspended, or was sent to the workers: threads that wait to leave are told. The
    /// caller has passed the light barrier since.
    pub fn tell_leavers(&self) {
        if self.stop.load(Ordering::Relaxed) {
            self.wake_all_threads();
        }
    }

    fn wake_all_threads(&self) {
        self.workers.iter().for_each(|worker| worker.event.notify());
        self.hops.iter().for_each(|hop| hop.event.notify());
    }

    /// A group was cancelled: who keeps requests of it is told.
    pub fn tell_keepers(&self) {
        if !self.hops.is_empty() {
            self.cancels.fetch_add(1, Ordering::Release);
            sync::heavy_barrier();
            self.wake_all_threads();
        }
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
        // Those of pools wait for the others.
        self.hops.iter().for_each(|hop| hop.event.notify());
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
