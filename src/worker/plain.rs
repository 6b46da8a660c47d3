//! The hot loop: requests through their stages one after the other.

use super::batch::Batch;
use crate::common::Control;
use crate::request::Request;
use crate::slot::{Phase, Slot};
use crate::stage::{Runs, StageFn, StateMachine, Step, StepKind, no_such_stage};
use crate::status;
use crate::sync::{self, AtomicU32, Ordering};

/// How the hot loop left a request.
pub(super) enum Ran {
    Done,
    /// Ended otherwise.
    Ended(Phase),
    /// After so many stages, to be run on by the checked loop.
    Unfinished(u32),
}

/// What the hot loop needs of a batch, apart, so that it is not loaded again after each call.
pub(super) struct Hot<'a, M: StateMachine> {
    runs: Runs<'a, M>,
    /// Where the worker says which stage it is in.
    stage: &'a AtomicU32,
    control: &'a AtomicU32,
    /// How many there are.
    stages: usize,
}

impl<M: StateMachine> Clone for Hot<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: StateMachine> Copy for Hot<'_, M> {}

impl<M: StateMachine> Hot<'_, M> {
    /// Whether the group says that its requests are to be looked at one by one.
    #[inline(always)]
    fn wants_a_closer_look(self) -> bool {
        self.control.load(Ordering::Relaxed) & Control::CHECK != 0
    }

    /// Runs a request from the first stage on, as far as the straight way goes: see [`run_straight`]. `OWN`:
    /// by the machine's own table, see [`Table::is_own`](crate::stage::Table::is_own).
    #[inline(always)]
    fn run<const OWN: bool>(self, machine: &mut M, request: &mut Request<'_, M>) -> (usize, Step) {
        if OWN {
            return self.run_direct(machine, request);
        }
        // SAFETY: the first stage is in the table.
        unsafe { run_straight(self.runs, self.stage, machine, request, 0) }
    }

    /// The same, with calls that the compiler sees through as far as the list of them goes: it puts small
    /// stages in their place, and then knows their answers.
    #[inline(always)]
    fn run_direct(self, machine: &mut M, request: &mut Request<'_, M>) -> (usize, Step) {
        macro_rules! direct {
            ($($stage:literal)*) => {{
                $(if let Some(run) = const { own_stage::<M>($stage) } {
                    self.stage.store($stage, Ordering::Relaxed);
                    let step = run(machine, request);
                    if !step.leads_to($stage + 1) {
                        return ($stage + 1, step);
                    }
                })*
                [$($stage),*].len()
            }};
        }
        let listed = direct!(0 1 2 3 4 5 6 7);
        let behind = M::STAGES.0.len().min(listed);
        // SAFETY: at most the number of stages, where the table has a sentinel.
        unsafe { run_straight(self.runs, self.stage, machine, request, behind) }
    }

    /// Whether a way has led straight to its end, done.
    #[inline(always)]
    fn is_straight<const OWN: bool>(self, behind: usize, step: Step) -> bool {
        step == Step::DONE && behind == if OWN { M::STAGES.0.len() } else { self.stages }
    }
}

impl<M: StateMachine> Batch<'_, M> {
    /// The hot loop: the requests in these slots one after the other, up to one that is not done.
    /// How many are, and what is with the one behind them.
    ///
    /// A function of its own, so that what it needs at each call of a stage stays in registers.
    ///
    /// # Safety
    ///
    /// `request` may go to each of the slots (see [`Request::go_to`]).
    #[inline(never)]
    pub(super) unsafe fn run_plain<'r, E, const PREFETCH: bool, const OWN: bool>(
        &self,
        machine: &mut M,
        request: &mut Request<'r, M>,
        (entries, slot_of): (&'r [E], impl Fn(&'r E) -> &'r Slot<M::Data>),
        ahead: usize,
    ) -> (usize, Ran) {
        let hot = self.hot();
        let mut rest = entries.iter();
        // How many are done is known from what is left: a count would be one store more for each.
        let done = |rest: &std::slice::Iter<'_, E>| entries.len() - rest.len() - 1;
        let mut standing = Standing::new(request);
        while let Some(entry) = rest.next() {
            let slot = slot_of(entry);
            if PREFETCH {
                sync::prefetch_behind_for_write(slot, ahead * size_of::<Slot<M::Data>>());
            }
            // SAFETY: by this function's contract; the one before it is used no more.
            unsafe { standing.now.go_to(slot) };
            if let Some(next) = rest.as_slice().first() {
                // SAFETY: a slot of the claimed batch, which no request stands for yet.
                unsafe { slot_of(next).value(|value| M::prefetch(&*value)) };
                if M::KEEPS {
                    let window = &self.group.window;
                    window.prefetch_kept(window.index_of(slot_of(next)));
                }
            }
            // As in `run_one`, but with no value in between that is made and looked at for each request.
            if hot.wants_a_closer_look() {
                return (done(&rest), Ran::Unfinished(0));
            }
            let (behind, step) = hot.run::<OWN>(machine, &mut standing.now);
            if hot.is_straight::<OWN>(behind, step) {
                continue;
            }
            // (Another one: the one that a call is handed by reference has to be in memory.)
            // SAFETY: as above; the other one is not used meanwhile.
            let mut again = unsafe { standing.now.twin() };
            match self.run_on(machine, &mut again, behind, step) {
                Ran::Done => {}
                ran => return (done(&rest), ran),
            }
        }
        (entries.len(), Ran::Done)
    }

    /// Runs the request that `request` stands for, unless its group says that it needs a closer look.
    #[inline(always)]
    pub(super) fn run_one(&self, machine: &mut M, request: &mut Request<'_, M>) -> Ran {
        match self.shared.context.table.is_own() {
            true => self.run_one_by::<true>(machine, request),
            false => self.run_one_by::<false>(machine, request),
        }
    }

    #[inline(always)]
    fn run_one_by<const OWN: bool>(&self, machine: &mut M, request: &mut Request<'_, M>) -> Ran {
        let hot = self.hot();
        if hot.wants_a_closer_look() {
            return Ran::Unfinished(0);
        }
        let (behind, step) = hot.run::<OWN>(machine, request);
        if hot.is_straight::<OWN>(behind, step) {
            return Ran::Done;
        }
        self.run_on(machine, request, behind, step)
    }

    /// What the hot loop needs of the batch.
    #[inline(always)]
    fn hot(&self) -> Hot<'_, M> {
        let table = &self.shared.context.table;
        let (stage, control) = (&self.progress.stage, &self.group.front.control);
        Hot { runs: table.runs(), stage, control, stages: table.len() }
    }

    /// The rest of a request's way, when it has left the straight one by a step from the stage before
    /// `behind`. A way that has led elsewhere after more stages than the rules say is left to the checked loop.
    fn run_on(
        &self,
        machine: &mut M,
        request: &mut Request<'_, M>,
        mut behind: usize,
        mut step: Step,
    ) -> Ran {
        let (runs, visits_max) = (self.shared.context.table.runs(), self.shared.rules.plain_visits);
        let (mut straight_from, mut visits) = (0, 0);
        loop {
            visits += (behind - straight_from) as u32;
            if M::KEEPS {
                self.visits.set(visits - 1);
            }
            match self.follow(behind - 1, step, request) {
                Err(Phase::Done) => return Ran::Done,
                Err(phase) => {
                    note_where(request, phase);
                    return Ran::Ended(phase);
                }
                Ok(next) if visits_max.is_none_or(|max| visits > max) => {
                    self.enter(next);
                    return Ran::Unfinished(visits);
                }
                Ok(next) => {
                    straight_from = next;
                    // SAFETY: `follow` answers with a stage of the table.
                    (behind, step) =
                        unsafe { run_straight(runs, &self.progress.stage, machine, request, next) };
                }
            }
        }
    }

    /// Says where the worker is, to others and to the request.
    #[inline(always)]
    pub(super) fn enter(&self, stage: usize) {
        self.progress.stage.store(stage as u32, Ordering::Relaxed);
    }

    /// The stage that a step goes to, or the phase in which it ends the request. Takes note of ways
    /// other than the straight one.
    #[inline(always)]
    pub(super) fn follow(
        &self,
        stage: usize,
        step: Step,
        request: &mut Request<'_, M>,
    ) -> Result<usize, Phase> {
        let stages = self.shared.context.table.len();
        let phase = match step.kind() {
            StepKind::Next(next) => {
                let next = usize::from(next);
                if next >= stages {
                    no_such_stage(next, stages);
                }
                if next != stage + 1 {
                    self.progress.flow.leave(stage);
                    self.progress.flow.reach(next);
                }
                return Ok(next);
            }
            StepKind::Done => Phase::Done,
            StepKind::Fail(status) => request.fails(status),
            StepKind::Drop(status) => {
                if M::KEEPS || status != status::DROP {
                    request.note_status(status, status::DROP);
                }
                Phase::Dropped
            }
            kind => return self.keep(stage, kind, request),
        };
        self.progress.flow.leave(stage);
        Err(phase)
    }
}

/// A request has ended so in the stage that the worker is in: takes note of that where it may be asked for. (One that is
/// kept may be in other hands.)
pub(super) fn note_where<M: StateMachine>(request: &mut Request<'_, M>, phase: Phase) {
    if phase.is_dead() {
        request.cold_mut().stage = request.stage().index() as u16;
    }
}

/// The request that the hot loop runs, of which the runner's is told when the loop ends, by a panic too. So where
/// all stages stand in the loop itself, none is stored as it begins.
struct Standing<'e, 'r, M: StateMachine> {
    told: &'e mut Request<'r, M>,
    now: Request<'r, M>,
}

impl<'e, 'r, M: StateMachine> Standing<'e, 'r, M> {
    #[inline(always)]
    fn new(told: &'e mut Request<'r, M>) -> Self {
        // SAFETY: the other one is not used as long as this one is there.
        let now = unsafe { told.twin() };
        Self { told, now }
    }
}

impl<M: StateMachine> Drop for Standing<'_, '_, M> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: this one is used no more.
        *self.told = unsafe { self.now.twin() };
    }
}

/// A stage of the machine's own table.
const fn own_stage<M: StateMachine>(stage: usize) -> Option<StageFn<M>> {
    let stages = M::STAGES.0;
    if stage < stages.len() { Some(stages[stage].run) } else { None }
}

/// Runs from one stage of the table to the next, up to a step that leads elsewhere. The stage behind the last
/// one that ran, and its step.
///
/// # Safety
///
/// `stage` is not greater than the number of stages of the table that `runs` belongs to.
#[inline(always)]
unsafe fn run_straight<M: StateMachine>(
    runs: Runs<M>,
    current: &AtomicU32,
    machine: &mut M,
    request: &mut Request<'_, M>,
    mut stage: usize,
) -> (usize, Step) {
    loop {
        current.store(stage as u32, Ordering::Relaxed);
        // SAFETY: it begins with a stage of the table, and goes on to at most the one behind the last,
        // where the sentinel does not return.
        let run = unsafe { runs.at(stage) };
        let step = run(machine, request);
        stage += 1;
        if !step.leads_to(stage) {
            return (stage, step);
        }
    }
}
