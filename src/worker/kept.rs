//! How a thread goes on with requests that it has kept, or that others have handed to it (`crate::kept` says where
//! they are meanwhile).

use super::batch::Batch;
use super::checked::From;
use super::runner::Runner;
use crate::cold::{Failure, NEVER_NS};
use crate::common::{Control, Flush, Keeper, Owned};
use crate::kept::{Entries, Link, Parked};
use crate::panics;
use crate::shared::Shared;
use crate::slot::Phase;
use crate::stage::StateMachine;
use crate::sync::Ordering;
use crate::window::Claimed;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Requests that a thread takes out of its queue, or its wheel, before it looks at anything else.
const TURN_MAX: usize = 32;

impl<M: StateMachine> Runner<'_, M> {
    /// Goes on with requests that others have handed to this thread, or that are due. Whether there were any.
    #[inline(always)]
    pub(super) fn serve_kept(&mut self) -> bool {
        M::KEEPS && (self.serve_queue() | self.serve_due())
    }

    fn serve_queue(&mut self) -> bool {
        let shared = self.shared;
        let queue = &shared.hops[self.seat.hop].queue;
        if queue.is_empty() {
            return false;
        }
        (0..TURN_MAX).map_while(|_| queue.pop()).map(|link| self.go_on(link)).count() > 0
    }

    fn serve_due(&mut self) -> bool {
        // SAFETY: this thread owns what it keeps.
        let entries = unsafe { Owned::new(&self.shared.common) };
        let cancels = self.shared.cancels.load(Ordering::Acquire);
        let (next_ns, swept) = self.keeper(|keeper| {
            (keeper.next_ns(), std::mem::replace(&mut keeper.cancels, cancels) == cancels)
        });
        if next_ns == u64::MAX {
            return false;
        }
        if !swept {
            self.sweep(&entries);
        }
        let now_ns = self.shared.context.now_ns();
        if now_ns < next_ns {
            return !swept;
        }
        let mut any = false;
        for _ in 0..TURN_MAX {
            let Some(link) = self.keeper(|keeper| keeper.wheel.pop_due(&entries, now_ns)) else {
                break;
            };
            self.go_on(link);
            any = true;
        }
        any | self.flush(Flush::Age, &entries, |due_ns| due_ns <= now_ns)
    }

    /// Ends the requests of cancelled groups that wait for a retry; leaders only if all groups are.
    fn sweep(&mut self, entries: &impl Entries) {
        let (shared, is_aborted) = (self.shared, self.shared.is_aborted());
        let leads = |link: Link| entries.entry(link, |entry| entry.followers != Link::NONE);
        let is_cancelled = |link: Link| {
            shared.group(link.group()).control() & Control::CANCELLED != 0
                && (is_aborted || !leads(link))
        };
        while let Some(link) = self.keeper(|keeper| keeper.wheel.pop_where(entries, is_cancelled)) {
            if leads(link) {
                self.cancel(link);
            } else {
                self.go_on(link);
            }
        }
    }

    /// Calls the stages that hold requests which are due. Whether there were any.
    fn flush(&mut self, why: Flush, entries: &impl Entries, is_due: impl Fn(u64) -> bool) -> bool {
        let mut any = false;
        while let Some((stage, leader)) =
            self.keeper(|keeper| keeper.pop_held(entries, |hold| is_due(hold.due_ns)))
        {
            any = true;
            let is_cancelled =
                self.shared.group(leader.group()).control() & Control::CANCELLED != 0;
            if why == Flush::Drain && is_cancelled {
                self.cancel(leader);
                continue;
            }
            self.keeper(|keeper| {
                keeper.lead(entries, stage, leader);
                keeper.flush = Some(why);
            });
            self.go_on(leader);
            self.keeper(|keeper| keeper.flush = None);
        }
        any
    }

    /// The workers have left: ends as cancelled what waits in a queue, of the workers or of a pool whose threads may have
    /// left, too. Whether there was anything.
    #[cold]
    pub(super) fn cancel_queued(&mut self) -> bool {
        let queued = || self.shared.hops.iter().find_map(|hop| hop.queue.pop());
        let mut any = false;
        while let Some(link) = queued() {
            any = true;
            self.take_sent(link);
            self.cancel(link);
        }
        any
    }

    /// Ends a request that this thread owns as cancelled, with all that follow it.
    fn cancel(&self, link: Link) {
        let reason = Reason { failure: Failure::None, status: 0, stage: 0 };
        self.end_with_followers(link, Phase::Cancelled, reason);
    }

    /// As the pipeline closes: lets go of all that is held. Whether there was anything.
    #[cold]
    pub(super) fn drain(&mut self) -> bool {
        // SAFETY: this thread owns what it keeps.
        let entries = unsafe { Owned::new(&self.shared.common) };
        M::KEEPS && self.flush(Flush::Drain, &entries, |_| true)
    }

    /// Whether nothing is kept that this thread may have to go on with.
    pub(super) fn is_settled(&self) -> bool {
        !M::KEEPS || self.shared.is_settled()
    }

    /// When this thread has to look after what it keeps.
    pub(super) fn next_due(&self) -> Option<Instant> {
        if !M::KEEPS {
            return None;
        }
        let next_ns = self.keeper(|keeper| keeper.next_ns());
        (next_ns != u64::MAX)
            .then(|| self.shared.context.epoch.checked_add(Duration::from_nanos(next_ns)))
            .flatten()
    }

    /// Whether there is something for a thread that sleeps.
    pub(super) fn is_called(&self) -> bool {
        M::KEEPS
            && (!self.shared.hops[self.seat.hop].queue.is_empty()
                || self.keeper(|keeper| {
                    let cancels = self.shared.cancels.load(Ordering::Acquire);
                    let closed = self.shared.closed.load(Ordering::Acquire);
                    (!keeper.is_empty() && keeper.cancels != cancels)
                        || (keeper.holds_any() && closed)
                }))
    }

    /// Goes on with a request that this thread owns.
    fn go_on(&mut self, link: Link) {
        let shared = self.shared;
        let window = &shared.group(link.group()).window;
        let position = window.slot(link.slot()).position(window.tail());
        // SAFETY: this thread owns the request: it kept it, or has popped it.
        let entries = unsafe { Owned::new(&shared.common) };
        match self.take_sent(link) {
            Some(Parked::Dropped) => {
                let stage = entries.entry(link, |entry| entry.stage);
                let reason = Reason { failure: Failure::Abandoned, status: 0, stage };
                return self.end_with_followers(link, Phase::Failed, reason);
            }
            Some(Parked::Resumed(stage)) => entries.entry(link, |entry| entry.stage = stage),
            None => {}
        }
        let stage = usize::from(entries.entry(link, |entry| entry.stage));
        let claimed = Claimed { first: position, len: 1, order: window.order() };
        let slots = [link.slot() as u32];
        let seat = self.seat;
        let batch = Batch::new(shared, self.progress, link.group(), claimed, &slots, &seat);
        let phase = self.run_kept(&batch, stage);
        if phase == Phase::Ready {
            return;
        }
        finish_followers(shared, self.seat.lane, link, phase);
        if phase != Phase::Failed && phase != Phase::Panicked && phase != Phase::Cyclic {
            // What an earlier attempt has left.
            // SAFETY: as above.
            let before =
                unsafe { window.cold(link.slot(), |cold| std::mem::take(&mut (*cold).failure)) };
            panics::contain(|| drop(before));
        }
        window.complete(self.seat.lane, claimed, &slots, Some(&[phase]));
        self.progress.count_kept_ended();
        batch.group.front.receive_event.notify();
        shared.tell_leavers();
    }

    /// This thread has popped a request, which is no longer suspended, if it was: where it goes on then.
    fn take_sent(&self, link: Link) -> Option<Parked> {
        let shared = self.shared;
        let parking = |one: Link| shared.group(one.group()).window.parking(one.slot());
        let sent = parking(link).pop()?;
        // SAFETY: this thread owns the request, and what follows it.
        let entries = unsafe { Owned::new(&shared.common) };
        let led = entries.for_all_led(link, |one| parking(one).unpark_led());
        shared.suspended.fetch_sub(led, Ordering::Relaxed);
        Some(sent)
    }

    /// Runs a request on from a stage.
    fn run_kept(&mut self, batch: &Batch<'_, M>, stage: usize) -> Phase {
        self.progress.begin_batch(batch.scope.group, 1);
        self.progress.flow.reach(stage);
        self.ends.begin();
        if self.machine.is_none() && !self.renew_machine() {
            self.give_up(batch, 0, stage);
        } else {
            let ran = self.run_caught(batch, 0, |batch, runner, request| {
                let from = From::Kept(stage);
                let phase = batch.run_checked(runner.machine, runner.path, request, from);
                runner.ends.set_at(0, phase);
            });
            if let Err((_, message)) = ran {
                self.end_panicked(batch, 0, message);
            }
        }
        self.progress.end_kept();
        // A leader that is kept has its followers with it; one that has ended is about to share how.
        self.keeper(|keeper| keeper.leaders.clear());
        self.void_tickets(batch);
        self.ends.at(0)
    }

    /// Before a batch is handed back: the tickets of requests that have ended all the same are void.
    fn void_tickets(&self, batch: &Batch<'_, M>) {
        while let Some(at) = self.keeper(|keeper| keeper.ticketed.pop()) {
            let window = &batch.group.window;
            window.parking(window.index_of(batch.slot(usize::from(at)))).issue();
        }
    }

    /// Before a batch is handed back: what followed its requests ends as they did.
    #[cold]
    pub(super) fn finish_led(&mut self, batch: &Batch<'_, M>) {
        self.void_tickets(batch);
        while let Some(at) = self.keeper(|keeper| keeper.leaders.pop()) {
            let phase = self.ends.at(usize::from(at));
            if phase != Phase::Ready {
                let slot = batch.group.window.index_of(batch.slot(usize::from(at)));
                let leader = Link::new(batch.scope.group, slot);
                finish_followers(self.shared, self.seat.lane, leader, phase);
            }
        }
    }

    /// The machine has panicked: what it held ends with it.
    #[cold]
    pub(super) fn end_held(&mut self, message: &str) {
        // SAFETY: this thread owns what it keeps.
        let entries = unsafe { Owned::new(&self.shared.common) };
        while let Some((stage, link)) = self.keeper(|keeper| keeper.pop_held(&entries, |_| true)) {
            let message = format!("the machine that held it panicked: {message}");
            let failure = Failure::Panic(message.into());
            let reason = Reason { failure, status: 0, stage: stage as u16 };
            self.end_with_followers(link, Phase::Panicked, reason);
        }
    }

    /// Ends a request that this thread owns, and all that follow it, for the same reason.
    fn end_with_followers(&self, link: Link, phase: Phase, reason: Reason<M::Error>) {
        note_reason(self.shared, link, reason);
        finish_followers(self.shared, self.seat.lane, link, phase);
        complete_kept(self.shared, self.seat.lane, link, phase);
    }

    pub(super) fn keeper<R>(&self, f: impl FnOnce(&mut Keeper<M::Error>) -> R) -> R {
        // SAFETY: this thread's; calls do not nest.
        unsafe { self.shared.keepers[self.seat.lane].with(f) }
    }
}

/// How a request failed.
struct Reason<E> {
    failure: Failure<E>,
    /// Its status where that is not the usual one, else 0.
    status: u32,
    /// Where it failed, if it did.
    stage: u16,
}

/// Ends all that follow a request, which this thread owns, as that one has ended.
fn finish_followers<M: StateMachine>(shared: &Shared<M>, lane: usize, leader: Link, phase: Phase) {
    // SAFETY: who owns a leader owns what follows it.
    let entries = unsafe { Owned::new(&shared.common) };
    entries.for_all_led(leader, |_| {});
    let mut next =
        entries.entry(leader, |entry| std::mem::replace(&mut entry.followers, Link::NONE));
    while let Some(link) = next.some() {
        next = entries.entry(link, |entry| std::mem::replace(&mut entry.next, Link::NONE));
        note_reason(shared, link, reason(shared, lane, leader, phase));
        complete_kept(shared, lane, link, phase);
    }
}

/// How a request has failed, for one that shares its outcome.
fn reason<M: StateMachine>(
    shared: &Shared<M>,
    lane: usize,
    leader: Link,
    phase: Phase,
) -> Reason<M::Error> {
    let window = &shared.group(leader.group()).window;
    let position = window.slot(leader.slot()).position(window.tail());
    // SAFETY: this thread's own; calls do not nest.
    let share = unsafe { shared.keepers[lane].with(|keeper| keeper.share) };
    // SAFETY: this thread owns the leader.
    unsafe {
        window.cold(leader.slot(), |cold| {
            let cold = &*cold;
            let has_failed = matches!(phase, Phase::Failed | Phase::Panicked | Phase::Cyclic);
            let failure = match &cold.failure {
                // Else what an earlier attempt has left.
                _ if !has_failed => Failure::None,
                Failure::None => Failure::None,
                // The error's own `clone` may panic, or there is none.
                Failure::Error(error) => share
                    .and_then(|share| catch_unwind(AssertUnwindSafe(|| share(error))).ok())
                    .map_or(Failure::Status, Failure::Error),
                Failure::Status => Failure::Status,
                Failure::Abandoned => Failure::Abandoned,
                Failure::Panic(message) => Failure::Panic(message.clone()),
                Failure::Cycle(trace) => Failure::Cycle(trace.clone()),
            };
            Reason { failure, status: cold.status_of(position).unwrap_or(0), stage: cold.stage }
        })
    }
}

/// Takes note of the reason for which a kept request that this thread owns, and whose stages do not run, is to end.
fn note_reason<M: StateMachine>(shared: &Shared<M>, link: Link, reason: Reason<M::Error>) {
    let window = &shared.group(link.group()).window;
    let position = window.slot(link.slot()).position(window.tail());
    // SAFETY: this thread owns the request.
    let before = unsafe {
        window.cold(link.slot(), |cold| {
            let cold = &mut *cold;
            cold.deadline_ns = NEVER_NS;
            (cold.status, cold.status_at) = (reason.status, position);
            cold.stage = reason.stage;
            std::mem::replace(&mut cold.failure, reason.failure)
        })
    };
    panics::contain(|| drop(before));
}

/// Hands such a request to its receiver.
fn complete_kept<M: StateMachine>(shared: &Shared<M>, lane: usize, link: Link, phase: Phase) {
    let group = shared.group(link.group());
    let window = &group.window;
    let position = window.slot(link.slot()).position(window.tail());
    let claimed = Claimed { first: position, len: 1, order: window.order() };
    window.complete(lane, claimed, &[link.slot() as u32], Some(&[phase]));
    shared.workers[lane].progress.count_kept_ended();
    group.front.receive_event.notify();
    shared.tell_leavers();
}
