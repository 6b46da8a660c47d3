//! The checked loop: a request with everything that is not needed for most of them.

use super::batch::Batch;
use super::path::Path;
use super::plain::note_where;
use crate::cold::{Failure, NEVER_NS, Trace, VOID_NS};
use crate::common::Control;
use crate::request::Request;
use crate::slot::Phase;
use crate::stage::{StateMachine, Step, StepKind};
use crate::status;

/// Where the checked loop begins with a request.
#[derive(Clone, Copy)]
pub(super) enum From {
    /// At the first stage.
    Start,
    /// Behind so many stages, at the one before which the plain loop has left it.
    Plain(u32),
    /// At this stage: it was kept.
    Kept(usize),
}

impl From {
    /// Behind so many stages of the plain loop.
    pub(super) fn plain(visits: u32) -> Self {
        if visits == 0 { Self::Start } else { Self::Plain(visits) }
    }
}

impl<M: StateMachine> Batch<'_, M> {
    /// Runs a request to its end with regard to cancellation, deadlines,
    /// hooks, the acyclic mode, traces and times. One that is kept may be in other hands when it returns.
    #[cold]
    pub(super) fn run_checked(
        &self,
        machine: &mut M,
        path: &mut Path,
        request: &mut Request<'_, M>,
        from: From,
    ) -> Phase {
        let sampled =
            matches!(from, From::Start) && request.position() & self.shared.rules.sample_mask == 0;
        let start_ns = if sampled { self.shared.context.now_ns() } else { 0 };
        // A way that panicked has left its marks.
        path.clear();
        let phase = self.run_stages(machine, path, request, from, sampled.then_some(start_ns));
        path.has_entered = true;
        if phase == Phase::Ready {
            return phase;
        }
        note_where(request, phase);
        request.cold_mut().deadline_ns = NEVER_NS;
        if sampled {
            let queue_ns = start_ns.saturating_sub(request.cold().submitted_ns);
            let run_ns = self.shared.context.now_ns().saturating_sub(start_ns);
            for times in [&*self.shared.times, &self.group.times] {
                times.queue.record(queue_ns);
                times.run.record(run_ns);
            }
        }
        phase
    }

    fn run_stages(
        &self,
        machine: &mut M,
        path: &mut Path,
        request: &mut Request<'_, M>,
        from: From,
        mut sampled_ns: Option<u64>,
    ) -> Phase {
        let shared = self.shared;
        let (table, flow) = (&shared.context.table, &self.progress.flow);
        let runs = table.runs_of(self.scope.seat.hop);
        let (before, mut stage) = match from {
            From::Start => (0, 0),
            From::Plain(visits) => (visits, request.stage().index()),
            From::Kept(stage) => (request.visits(), stage),
        };
        let mut trace = Trace::after(before);
        for visits in before..self.visits_max() {
            self.visits.set(visits);
            // Failures are written down before what they count: the one before, which is dropped, may
            // panic.
            path.has_entered = false;
            self.enter(stage);
            if let Some(phase) = self.interrupted(request) {
                flow.turn_back(stage);
                return phase;
            }
            if M::KEEPS && usize::from(table.hops[stage]) != self.scope.seat.hop {
                let hopped = self.keep(stage, StepKind::Hop, request);
                return hopped.expect_err("a request that hops is kept");
            }
            if shared.rules.dag && !path.enter(stage as u16) {
                request.cold_mut().failure = Failure::Cycle(path.trace(stage as u16));
                flow.turn_back(stage);
                return Phase::Cyclic;
            }
            trace.push(stage as u16);
            if let Err(phase) = self.run_hooks(machine, request) {
                flow.turn_back(stage);
                return phase;
            }
            path.has_entered = true;
            // SAFETY: `follow` answers with stages of the table.
            let run = unsafe { runs.at(stage) };
            let step = run(machine, request);
            if let Some(start_ns) = &mut sampled_ns {
                let now_ns = shared.context.now_ns();
                shared.stage_times[stage].record(now_ns.saturating_sub(*start_ns));
                *start_ns = now_ns;
            }
            if shared.rules.dag
                && let Some(to) = self.undeclared(stage, step)
            {
                request.cold_mut().failure = Failure::Cycle(path.trace(to));
                flow.leave(stage);
                return Phase::Cyclic;
            }
            stage = match self.follow(stage, step, request) {
                Ok(next) => next,
                Err(phase) => return phase,
            };
            self.end_flush();
        }
        path.has_entered = false;
        self.enter(stage);
        trace.push(stage as u16);
        request.cold_mut().failure = Failure::Cycle(trace);
        flow.turn_back(stage);
        Phase::Cyclic
    }

    /// Stages that a request may run through. A way without a cycle is no longer than the table; `path` knows but the
    /// part of it since the request was kept.
    fn visits_max(&self) -> u32 {
        let (rules, stages) = (&self.shared.rules, self.shared.context.table.len() as u32);
        if M::KEEPS && rules.dag { rules.visits_max.min(stages) } else { rules.visits_max }
    }

    /// The request goes on to another stage, to which it is new.
    fn end_flush(&self) {
        if M::KEEPS {
            self.keeper(|keeper| keeper.flush = None);
        }
    }

    /// Runs the hooks before a stage, up to one that fails the request.
    fn run_hooks(&self, machine: &mut M, request: &mut Request<'_, M>) -> Result<(), Phase> {
        for hook in &self.shared.rules.hooks {
            if let Err(error) = hook(machine, request) {
                request.cold_mut().failure = Failure::Error(error);
                if M::KEEPS {
                    // An earlier attempt may have noted another.
                    request.note_status(status::FAIL, status::FAIL);
                }
                return Err(Phase::Failed);
            }
        }
        Ok(())
    }

    /// Whether the request must end before its next stage.
    fn interrupted(&self, request: &Request<'_, M>) -> Option<Phase> {
        let control = self.group.control();
        if control & Control::CHECK == 0 || request.leads() {
            return None;
        }
        let cold = request.cold();
        if control & Control::CANCELLED != 0 {
            return Some(Phase::Cancelled);
        }
        if control & Control::MARKED == 0 {
            return None;
        }
        match cold.deadline_ns {
            NEVER_NS => None,
            VOID_NS => Some(Phase::Cancelled),
            deadline_ns => (self.shared.context.now_ns() >= deadline_ns).then_some(Phase::Expired),
        }
    }

    /// The stage that a step leads to without the table's saying so. In an acyclic machine the
    /// declarations are what `build()` has proved acyclic.
    fn undeclared(&self, from: usize, step: Step) -> Option<u16> {
        match (step.kind(), self.shared.context.table.next.get(from)) {
            (StepKind::Next(to), Some(Some(declared))) => (!declared.contains(&to)).then_some(to),
            _ => None,
        }
    }
}
