//! How a stage's answer keeps a request (`crate::kept` says where it is then).

use super::batch::Batch;
use crate::cold::Failure;
use crate::common::{Control, Flush, Keeper, Owned};
use crate::kept::{Entries, Link, Parked};
use crate::limits::HOLD_DEFAULT;
use crate::request::Request;
use crate::slot::Phase;
use crate::stage::{StateMachine, StepKind};
use crate::sync::{self, Ordering};

impl<M: StateMachine> Batch<'_, M> {
    /// A stage's answer that the request is not to end, nor to go on at once. The stage to go on at after
    /// all, or how it is with the request: Ready if it is kept, and then it may be in other hands.
    #[cold]
    pub(super) fn keep(
        &self,
        stage: usize,
        kind: StepKind,
        request: &mut Request<'_, M>,
    ) -> Result<usize, Phase> {
        if !M::KEEPS {
            return Err(refused(
                request,
                "a stage answered that the request is to be kept, and its machine does not say that it keeps \
                 requests (`StateMachine::KEEPS`)",
            ));
        }
        let (link, position) = (request.link(), request.position());
        // SAFETY: this thread owns the request until it is handed on, below.
        let entries = unsafe { Owned::new(self.scope.seat.common) };
        let has_ticket = entries.entry(link, |entry| {
            let entry = entry.of(position);
            entry.stage = stage as u16;
            entry.visits = match kind {
                StepKind::Retry(_) if self.shared.rules.dag => 0,
                // Not called, or called again when the batch is old.
                StepKind::Hop | StepKind::Hold => self.visits.get(),
                _ => self.visits.get() + 1,
            };
            std::mem::take(&mut entry.has_ticket)
        });
        if has_ticket {
            self.keeper(|keeper| keeper.ticketed.pop());
            if kind != StepKind::Suspend {
                // Before another thread may make one.
                self.group.window.parking(link.slot()).issue();
            }
        }
        match kind {
            StepKind::Retry(status) => return self.retry(stage, status, request),
            StepKind::Hold => return self.hold(stage, request),
            StepKind::Suspend => return self.suspend(stage, has_ticket, request),
            _ => {}
        }
        self.progress.flow.turn_back(stage);
        self.count_kept(&entries, link);
        self.scope.seat.common.send(usize::from(self.scope.seat.common.stage_hops[stage]), link);
        Err(Phase::Ready)
    }

    fn retry(
        &self,
        stage: usize,
        status: u32,
        request: &mut Request<'_, M>,
    ) -> Result<usize, Phase> {
        let (link, position) = (request.link(), request.position());
        // SAFETY: as in `keep`.
        let entries = unsafe { Owned::new(self.scope.seat.common) };
        let policy = &self.shared.rules.retries[stage];
        let retries = entries.entry(link, |entry| {
            let entry = entry.of(position);
            if usize::from(entry.retried_by) != stage {
                (entry.retried_by, entry.retries) = (stage as u16, 0);
            }
            entry.retries
        });
        self.progress.flow.leave(stage);
        let failed = request.fails(status);
        if !policy.allows(retries) {
            return Err(failed);
        }
        let now_ns = self.shared.context.now_ns();
        self.keeper(|keeper| {
            let delay_ns = policy.delay_ns(retries, keeper.random.f64());
            let is_cancelled = self.group.control() & Control::CANCELLED != 0;
            let due_ns = match request.leads() {
                // What would end another at once does not end it, but with the whole pipeline.
                true if is_cancelled && self.scope.seat.common.is_aborted() => now_ns,
                true => now_ns.saturating_add(delay_ns),
                false if is_cancelled => now_ns,
                false => now_ns.saturating_add(delay_ns).min(request.cold().deadline_ns),
            };
            entries.entry(link, |entry| {
                entry.retries += 1;
                entry.stage = policy.stage_after(stage) as u16;
                entry.due_ns = due_ns;
            });
            self.count_kept(&entries, link);
            keeper.wheel.insert(&entries, link);
        });
        Err(Phase::Ready)
    }

    fn hold(&self, stage: usize, request: &mut Request<'_, M>) -> Result<usize, Phase> {
        let link = request.link();
        // SAFETY: as in `keep`.
        let entries = unsafe { Owned::new(self.scope.seat.common) };
        if self.keeper(|keeper| keeper.flush) == Some(Flush::Drain) {
            self.progress.flow.leave(stage);
            return Err(refused(request, "a stage held a batch back as the pipeline drained"));
        }
        self.progress.flow.leave(stage);
        self.count_kept(&entries, link);
        self.keeper(|keeper| {
            let is_first = keeper.holds[stage].len == 0;
            let hold_ns = match std::mem::take(&mut keeper.hold_ns) {
                0 => HOLD_DEFAULT.as_nanos() as u64,
                hold_ns => hold_ns,
            };
            let now_ns = if is_first { self.shared.context.now_ns() } else { 0 };
            let due_ns = now_ns.saturating_add(hold_ns);
            keeper.hold(&entries, stage, link, due_ns);
            if keeper.flush.is_some() {
                // Those that followed it for this call are held again, behind it.
                let (mut next, led) =
                    entries.entry(link, |entry| (entry.followers, std::mem::take(&mut entry.led)));
                for _ in 0..led {
                    let one = next;
                    next = entries.entry(one, |entry| entry.next);
                    keeper.hold(&entries, stage, one, due_ns);
                }
                entries.entry(link, |entry| entry.followers = next);
            }
        });
        Err(Phase::Ready)
    }

    fn suspend(
        &self,
        stage: usize,
        has_ticket: bool,
        request: &mut Request<'_, M>,
    ) -> Result<usize, Phase> {
        let (link, common) = (request.link(), self.scope.seat.common);
        // SAFETY: as in `keep`.
        let entries = unsafe { Owned::new(common) };
        if !has_ticket {
            self.progress.flow.leave(stage);
            return Err(refused(
                request,
                "a stage answered `suspend` without a ticket for this request",
            ));
        }
        let newly = self.count_kept(&entries, link);
        let parking = |one: Link| common.group(one.group()).window.parking(one.slot());
        let led = entries.for_all_led(link, |one| parking(one).park_led());
        // Release: who sees it suspended sees it kept.
        common.suspended.fetch_add(1 + led, Ordering::Release);
        let Some(sent) = self.group.window.parking(link.slot()).park() else {
            // It may be in other hands by now.
            self.progress.flow.leave(stage);
            sync::light_barrier();
            common.tell_leavers();
            return Err(Phase::Ready);
        };
        entries.for_all_led(link, |one| parking(one).unpark_led());
        common.suspended.fetch_sub(1 + led, Ordering::Relaxed);
        if newly {
            // It was not kept after all, and will not be counted as it ends.
            entries.entry(link, |entry| entry.is_counted = false);
            self.progress.count_kept_ended();
            // Who looked between the two counts may sleep by now.
            sync::light_barrier();
            common.tell_leavers();
        }
        match sent {
            Parked::Resumed(next) => {
                let next = usize::from(next);
                if next != stage + 1 {
                    self.progress.flow.leave(stage);
                    self.progress.flow.reach(next);
                }
                Ok(next)
            }
            Parked::Dropped => {
                self.progress.flow.leave(stage);
                request.cold_mut().failure = Failure::Abandoned;
                Err(Phase::Failed)
            }
        }
    }

    /// Counts the request as kept, once: whether it was not before.
    fn count_kept(&self, entries: &impl Entries, link: Link) -> bool {
        let newly = !entries.entry(link, |entry| std::mem::replace(&mut entry.is_counted, true));
        if newly {
            self.progress.count_kept();
        }
        newly
    }

    pub(super) fn keeper<R>(&self, f: impl FnOnce(&mut Keeper<M::Error>) -> R) -> R {
        // SAFETY: the keeper of the thread that runs this batch; calls do not nest.
        unsafe { self.scope.seat.common.keepers[self.scope.seat.lane].with(f) }
    }
}

/// Ends a request whose stage gave an answer that it may not give.
fn refused<M: StateMachine>(request: &mut Request<'_, M>, why: &str) -> Phase {
    request.cold_mut().failure = Failure::Panic(why.into());
    Phase::Panicked
}
