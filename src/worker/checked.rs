//! The checked loop: a request with everything that is not needed for most of them.

use super::batch::Batch;
use super::path::Path;
use crate::cold::{Cold, Failure, NEVER_NS, Trace, VOID_NS};
use crate::common::Control;
use crate::request::Request;
use crate::slot::Phase;
use crate::stage::{StateMachine, Step, StepKind};

impl<M: StateMachine> Batch<'_, M> {
    /// Runs a request to its end with regard to cancellation, deadlines,
    /// hooks, the acyclic mode, traces and times. The request has run through `before` stages.
    #[cold]
    pub(super) fn run_checked(
        &self,
        machine: &mut M,
        path: &mut Path,
        request: &mut Request<'_, M>,
        before: u32,
    ) -> Phase {
        let sampled = before == 0 && request.position() & self.shared.rules.sample_mask == 0;
        let start_ns = if sampled { self.shared.context.now_ns() } else { 0 };
        // A way that panicked has left its marks.
        path.clear();
        let phase = self.run_stages(machine, path, request, before, sampled.then_some(start_ns));
        path.has_entered = true;
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
        before: u32,
        mut sampled_ns: Option<u64>,
    ) -> Phase {
        let shared = self.shared;
        let (table, flow) = (&shared.context.table, &self.progress.flow);
        let mut trace = Trace::after(before);
        // The plain loop has left the request before the stage that it would have run next.
        let mut stage = if before == 0 { 0 } else { request.stage().index() };
        for _ in before..shared.rules.visits_max {
            // Failures are written down before what they count: the one before, which is dropped, may
            // panic.
            path.has_entered = false;
            self.enter(stage);
            if let Some(phase) = self.interrupted(request.cold()) {
                flow.turn_back(stage);
                return phase;
            }
            if shared.rules.dag && !path.enter(stage as u16) {
                request.cold_mut().failure = Failure::Cycle(path.trace(stage as u16));
                flow.turn_back(stage);
                return Phase::Cyclic;
            }
            trace.push(stage as u16);
            for hook in &shared.rules.hooks {
                if let Err(error) = hook(machine, request) {
                    request.cold_mut().failure = Failure::Error(error);
                    flow.turn_back(stage);
                    return Phase::Failed;
                }
            }
            path.has_entered = true;
            // SAFETY: `follow` answers with stages of the table.
            let run = unsafe { table.runs().at(stage) };
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
            match self.follow(stage, step, request) {
                Ok(next) => stage = next,
                Err(phase) => return phase,
            }
        }
        path.has_entered = false;
        self.enter(stage);
        trace.push(stage as u16);
        request.cold_mut().failure = Failure::Cycle(trace);
        flow.turn_back(stage);
        Phase::Cyclic
    }

    /// Whether the request must end before its next stage.
    fn interrupted(&self, cold: &Cold<M::Error>) -> Option<Phase> {
        let control = self.group.control();
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
