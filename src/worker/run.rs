//! Running one claimed batch: each request through its stages in place, panics contained.

use super::Worker;
use crate::cold::{Cold, Failure, NEVER_NS, Trace, VOID_NS};
use crate::limits::TRACE_LEN;
use crate::panics;
use crate::request::Request;
use crate::ring::claim::Claimed;
use crate::shared::{Control, Group, Progress, Shared};
use crate::slot::Phase;
use crate::stage::{StageFn, StateMachine, StepKind};
use crate::sync::{AtomicU64, Ordering};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Stages that the plain loop runs before it hands a request over to the checked one, which keeps a
/// trace of the last ones.
fn plain_visits(visits_max: u32) -> u32 {
    visits_max.saturating_sub(TRACE_LEN as u32)
}

/// The way of a request through the stages, for machines that must be acyclic. Its memory is made
/// with the worker.
#[derive(Debug)]
pub(super) struct Path {
    /// One bit for each stage.
    visited: Vec<u64>,
    /// The stages in the order of the visits.
    stages: Vec<u16>,
}

impl Path {
    pub(super) fn with_capacity(stages: usize) -> Self {
        Self {
            visited: vec![0; stages.div_ceil(u64::BITS as usize)],
            stages: Vec::with_capacity(stages),
        }
    }

    /// Bytes that a path through so many stages allocates.
    pub(super) fn bytes(stages: usize) -> usize {
        stages.div_ceil(u64::BITS as usize) * size_of::<u64>() + stages * size_of::<u16>()
    }

    /// Goes on to a stage; `false` if the way has been there before.
    fn enter(&mut self, stage: u16) -> bool {
        let bit = 1 << (stage % 64);
        let word = &mut self.visited[usize::from(stage / 64)];
        let new = *word & bit == 0;
        if new {
            *word |= bit;
            self.stages.push(stage);
        }
        new
    }

    fn clear(&mut self) {
        for stage in self.stages.drain(..) {
            self.visited[usize::from(stage / 64)] &= !(1 << (stage % 64));
        }
    }

    fn trace(&self, last: u16) -> Trace {
        let mut trace = Trace::default();
        self.stages.iter().for_each(|stage| trace.push(*stage));
        trace.push(last);
        trace
    }
}

impl<M: StateMachine> Worker<M> {
    /// Runs a claimed batch and leaves each request's phase in `self.phases`.
    #[inline(always)]
    pub(super) fn run_batch(&mut self, index: u32, claimed: Claimed) {
        self.progress().begin_batch(claimed.len);
        let mut at = 0;
        while at < claimed.len {
            if self.machine.is_none() && !self.renew_machine() {
                self.give_up(index, claimed, at);
                break;
            }
            let shared = &*self.shared;
            let batch = Batch {
                shared,
                group: shared.group(index),
                index,
                progress: &shared.workers[self.index].progress,
            };
            let machine = self.machine.as_mut().expect("renewed above");
            let (path, phases) = (&mut self.path, &mut self.phases[..claimed.len]);
            let slots = &self.slots[..claimed.len];
            let result = catch_unwind(AssertUnwindSafe(|| {
                batch.run(machine, path, claimed.first, slots, phases, &mut at);
            }));
            if let Err(payload) = result {
                self.panicked(index, at, panics::message(payload));
                // What the panic left of the machine is not to be trusted.
                let broken = self.machine.take();
                panics::contain(|| drop(broken));
                at += 1;
            }
        }
        self.progress().end_batch();
    }

    #[inline(always)]
    fn progress(&self) -> &Progress {
        &self.shared.workers[self.index].progress
    }

    /// Makes a fresh machine in place of one that panicked. If the factory panics too it is asked
    /// again for the next batch.
    #[cold]
    fn renew_machine(&mut self) -> bool {
        match catch_unwind(AssertUnwindSafe(|| (self.shared.factory)())) {
            Ok(machine) => self.machine = Some(machine),
            Err(payload) => self.factory_panic = Some(panics::message(payload)),
        }
        self.machine.is_some()
    }

    /// Ends the rest of a batch for which there is no machine.
    #[cold]
    fn give_up(&mut self, index: u32, claimed: Claimed, from: usize) {
        let cause = self.factory_panic.take().unwrap_or_default();
        for at in from..claimed.len {
            let message = format!("the machine's factory panicked: {cause}");
            self.panicked(index, at, message.into_boxed_str());
        }
    }

    /// Ends one request as panicked.
    #[cold]
    fn panicked(&mut self, index: u32, at: usize, message: Box<str>) {
        let window = &self.shared.group(index).window;
        let slot = self.slots[at] as usize;
        // SAFETY: the slot was claimed by this worker and is not yet completed; the panic has ended
        // the request that borrowed the entry.
        let before = unsafe {
            window.cold(slot, |cold| {
                (*cold).deadline_ns = NEVER_NS;
                std::mem::replace(&mut (*cold).failure, Failure::Panic(message))
            })
        };
        // A stage may have failed the request before it panicked.
        panics::contain(|| drop(before));
        self.phases[at] = Phase::Panicked;
    }
}

/// What the requests of one batch have in common. Copied into the functions that use it, so that the
/// compiler need not load it again after each call of a stage.
struct Batch<'a, M: StateMachine> {
    shared: &'a Shared<M>,
    group: &'a Group<M::Data, M::Error>,
    index: u32,
    progress: &'a Progress,
}

impl<M: StateMachine> Clone for Batch<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: StateMachine> Copy for Batch<'_, M> {}

impl<M: StateMachine> Batch<'_, M> {
    /// Runs the requests from the one at `*at` on, each to its end. `*at` is the one that runs.
    #[inline(always)]
    fn run(
        self,
        machine: &mut M,
        path: &mut Path,
        first: u64,
        slots: &[u32],
        phases: &mut [Phase],
        at: &mut usize,
    ) {
        let rules = &self.shared.rules;
        let checked = rules.is_checked();
        let (sample_mask, visits) = (rules.sample_mask, plain_visits(rules.visits_max));
        let stages = Stages::new(self.shared, self.progress, self.index);
        let (value, cold) = self.claimed(slots[0]);
        let (context, place, group) = (&self.shared.context, stages.place, self.index);
        let mut request = Request { value, cold, context, place, group, position: first };
        let requests = phases.iter_mut().zip(slots);
        for (ahead, (phase, slot)) in requests.enumerate().skip(*at) {
            *at = ahead;
            let position = first.wrapping_add(ahead as u64);
            (request.value, request.cold) = self.claimed(*slot);
            request.position = position;
            let special = self.group.control() & Control::CHECK != 0 || position & sample_mask == 0;
            let plain = match checked | special {
                true => None,
                false => stages.run(machine, &mut request, visits),
            };
            *phase = match plain {
                Some(phase) => phase,
                None => {
                    let before = if checked | special { 0 } else { visits };
                    self.run_checked(machine, path, &mut request, before)
                }
            };
        }
        *at = slots.len();
    }

    /// Payload and cold entry of a claimed slot.
    #[inline(always)]
    fn claimed<'r>(&self, slot: u32) -> (&'r mut M::Data, &'r mut Cold<M::Error>)
    where
        Self: 'r,
    {
        let slot = slot as usize;
        // SAFETY: the slot was claimed by this worker and is not yet completed, so it owns both the
        // payload and the cold entry. `run` asks for each position and replaces the references
        // before it makes others; the stages cannot keep them, being functions for every lifetime.
        unsafe {
            let value = self.group.window.value(slot, |value| &mut *value);
            (value, self.group.window.cold(slot, |cold| &mut *cold))
        }
    }

    /// The loop with everything that is not needed for most requests: cancellation, deadlines,
    /// hooks, the acyclic mode, traces and times. The request has run through `before` stages.
    #[cold]
    fn run_checked(
        self,
        machine: &mut M,
        path: &mut Path,
        request: &mut Request<'_, M>,
        before: u32,
    ) -> Phase {
        let sampled = before == 0 && request.position & self.shared.rules.sample_mask == 0;
        let start_ns = if sampled { self.shared.context.now_ns() } else { 0 };
        // A way that panicked has left its marks.
        path.clear();
        let phase = self.run_stages(machine, path, request, before, sampled.then_some(start_ns));
        request.cold.deadline_ns = NEVER_NS;
        if sampled {
            let queue_ns = start_ns.saturating_sub(request.cold.submitted_ns);
            let run_ns = self.shared.context.now_ns().saturating_sub(start_ns);
            for times in [&*self.shared.times, &self.group.times] {
                times.queue.record(queue_ns);
                times.run.record(run_ns);
            }
        }
        phase
    }

    fn run_stages(
        self,
        machine: &mut M,
        path: &mut Path,
        request: &mut Request<'_, M>,
        before: u32,
        mut sampled_ns: Option<u64>,
    ) -> Phase {
        let shared = self.shared;
        let stages = Stages::new(shared, self.progress, self.index);
        let mut trace = Trace::after(before);
        // The plain loop has left the request before the stage that it would have run next.
        let mut stage = if before == 0 { 0 } else { request.stage().index() as u16 };
        for _ in before..shared.rules.visits_max {
            if let Some(phase) = self.interrupted(request.cold) {
                return phase;
            }
            if usize::from(stage) >= stages.runs.len() {
                no_such_stage(usize::from(stage), stages.runs.len());
            }
            if shared.rules.dag && !path.enter(stage) {
                request.cold.failure = Failure::Cycle(path.trace(stage));
                return Phase::Cyclic;
            }
            trace.push(stage);
            stages.enter(usize::from(stage));
            for hook in &shared.rules.hooks {
                if let Err(error) = hook(machine, request) {
                    request.cold.failure = Failure::Error(error);
                    return Phase::Failed;
                }
            }
            let step = stages.call(machine, request, usize::from(stage));
            if let Some(start_ns) = &mut sampled_ns {
                let now_ns = shared.context.now_ns();
                let run_ns = now_ns.saturating_sub(*start_ns);
                shared.stage_times[usize::from(stage)].record(run_ns);
                *start_ns = now_ns;
            }
            match step {
                StepKind::Next(next) => {
                    self.check_declared(stage, next);
                    stage = next;
                }
                end => return ended(end, request.cold),
            }
        }
        trace.push(stage);
        request.cold.failure = Failure::Cycle(trace);
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

    /// In an acyclic machine, a step that the table does not declare ends the request by a panic:
    /// the declarations are what `build()` has proved acyclic.
    fn check_declared(&self, from: u16, to: u16) {
        if !self.shared.rules.dag {
            return;
        }
        let table = &self.shared.context.table;
        if let Some(Some(declared)) = table.next.get(usize::from(from))
            && !declared.contains(&to)
        {
            let (from, to) = (table.name(from.into()), table.name(to.into()));
            panic!("stage `{from}` went to `{to}`, which it does not declare");
        }
    }
}

/// The stage table as the hot loop uses it, with what is written down at each call.
struct Stages<'a, M: StateMachine> {
    runs: &'a [StageFn<M>],
    /// Of the same length.
    entered: &'a [AtomicU64],
    place: &'a AtomicU64,
    /// The place of the first stage.
    first_place: u64,
}

impl<'a, M: StateMachine> Stages<'a, M> {
    #[inline(always)]
    fn new(shared: &'a Shared<M>, progress: &'a Progress, group: u32) -> Self {
        let runs = &*shared.context.table.runs;
        let entered = &progress.entered[..runs.len()];
        Self { runs, entered, place: &progress.place, first_place: u64::from(group) << 16 }
    }

    /// The hot loop: one indirect call a stage. `None` after `visits` stages.
    #[inline(always)]
    fn run(&self, machine: &mut M, request: &mut Request<'_, M>, visits: u32) -> Option<Phase> {
        let mut stage = 0;
        for _ in 0..visits {
            match self.call(machine, request, stage) {
                StepKind::Next(next) => stage = usize::from(next),
                end => return Some(ended(end, request.cold)),
            }
        }
        self.enter(stage);
        None
    }

    /// Says where the worker is, to others and to the request.
    #[inline(always)]
    fn enter(&self, stage: usize) {
        self.place.store(self.first_place | stage as u64, Ordering::Relaxed);
    }

    /// Calls a stage.
    #[inline(always)]
    fn call(&self, machine: &mut M, request: &mut Request<'_, M>, stage: usize) -> StepKind {
        let Some(run) = self.runs.get(stage) else { no_such_stage(stage, self.runs.len()) };
        self.enter(stage);
        let entered = &self.entered[stage];
        entered.store(entered.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        run(machine, request).kind()
    }
}

#[inline(always)]
fn ended<E>(step: StepKind, cold: &mut Cold<E>) -> Phase {
    match step {
        StepKind::Done => Phase::Done,
        StepKind::Fail => failed(cold),
        StepKind::Drop | StepKind::Next(_) => Phase::Dropped,
    }
}

/// A stage answered that the request has failed. The answer may have been kept from another request.
#[cold]
fn failed<E>(cold: &mut Cold<E>) -> Phase {
    if matches!(cold.failure, Failure::Error(_)) {
        return Phase::Failed;
    }
    cold.failure =
        Failure::Panic("a stage answered `fail` without an error for this request".into());
    Phase::Panicked
}

#[cold]
fn no_such_stage(stage: usize, stages: usize) -> ! {
    panic!("a stage answered with stage id {stage}; the table has {stages} stages")
}
