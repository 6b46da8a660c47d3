//! What runs a worker's batches: its machine, and what keeps a panic from going further.

use super::batch::Batch;
use super::clock::BatchClock;
use super::path::Path;
use crate::cold::{Failure, NEVER_NS};
use crate::common::Progress;
use crate::limits::BATCH_MAX;
use crate::panics;
use crate::request::{Request, Seat};
use crate::shared::Shared;
use crate::slot::Phase;
use crate::stage::StateMachine;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What one worker runs requests with.
pub(super) struct Runner<'s, M: StateMachine> {
    pub(super) shared: &'s Shared<M>,
    pub(super) progress: &'s Progress,
    pub(super) seat: Seat<'s, M>,
    /// None after a panic, until the factory has made another.
    pub(super) machine: Option<M>,
    factory_panic: Option<Box<str>>,
    path: Path,
    pub(super) ends: Ends,
    clock: BatchClock,
}

impl<'s, M: StateMachine> Runner<'s, M> {
    pub(super) fn new(
        shared: &'s Shared<M>,
        progress: &'s Progress,
        seat: Seat<'s, M>,
        machine: M,
    ) -> Self {
        Self {
            shared,
            progress,
            seat,
            machine: Some(machine),
            factory_panic: None,
            path: Path::with_capacity(shared.context.table.len()),
            ends: Ends::default(),
            clock: BatchClock::default(),
        }
    }

    /// Bytes that a runner for so many stages allocates.
    pub(super) fn bytes(stages: usize) -> usize {
        Path::bytes(stages)
    }

    /// Runs a claimed batch and hands it back; `full` if it has reached its bound, `ONE` if it is one request.
    #[inline(always)]
    pub(super) fn serve<const ONE: bool>(&mut self, batch: &Batch<'_, M>, full: bool) {
        let (claimed, context) = (batch.claimed::<ONE>(), &self.shared.context);
        let group = batch.group;
        let timing = self.clock.begin(claimed.len, full, || context.now_ns());
        self.run::<ONE>(batch);
        if M::KEEPS {
            self.finish_led(batch);
        }
        let phases = self.ends.phases(claimed.len);
        group.window.complete(self.seat.lane, claimed, batch.slots, phases);
        group.front.receive_event.notify();
        if let Some(elapsed_ns) = self.clock.end(timing, || context.now_ns()) {
            let batch_max = self.shared.rules.batch_max;
            group.window.pace().measured(claimed.len, elapsed_ns, batch_max);
        }
    }

    /// The worker found nothing to do.
    #[inline(always)]
    pub(super) fn pause(&mut self) {
        self.clock.pause();
    }

    /// Runs a claimed batch, and notes how its requests ended.
    #[inline(always)]
    fn run<const ONE: bool>(&mut self, batch: &Batch<'_, M>) {
        let len = batch.claimed::<ONE>().len;
        self.progress.begin_batch(batch.scope.group, len);
        self.ends.begin();
        let mut at = 0;
        while at < len {
            if self.machine.is_none() && !self.renew_machine() {
                self.give_up(batch, at, 0);
                break;
            }
            match self.run_from::<ONE>(batch, at) {
                Ok(()) => break,
                Err((panicked, message)) => {
                    self.end_panicked(batch, panicked, message);
                    at = panicked + 1;
                }
            }
        }
        self.progress.end_batch(len);
    }

    /// Runs the requests of a batch from the one at `from` on. If one of them panics: which, and its
    /// message.
    #[inline(always)]
    fn run_from<const ONE: bool>(
        &mut self,
        batch: &Batch<'_, M>,
        from: usize,
    ) -> Result<(), (usize, Box<str>)> {
        self.run_caught(batch, from, |batch, runner, request| {
            batch.run::<ONE>(from, runner.machine, runner.path, runner.ends, request);
        })
    }

    /// Runs requests of a batch from the one at `from` on, by a function. If one of them panics: which, and its
    /// message.
    #[inline(always)]
    pub(super) fn run_caught<'b>(
        &mut self,
        batch: &'b Batch<'_, M>,
        from: usize,
        run: impl FnOnce(&'b Batch<'_, M>, Parts<'_, M>, &mut Request<'b, M>),
    ) -> Result<(), (usize, Box<str>)> {
        // SAFETY: the slots were claimed by this worker, and are completed after this function; the
        // request stands for one after the other.
        let mut request = unsafe { Request::new(batch.slot(from), &batch.scope) };
        let machine = self.machine.as_mut().expect("renewed before");
        let parts = Parts { machine, path: &mut self.path, ends: &mut self.ends };
        let result = catch_unwind(AssertUnwindSafe(|| run(batch, parts, &mut request)));
        result.map_err(|payload| {
            let at = request.position().wrapping_sub(batch.claimed.first) as usize;
            // What the panic left of the machine is not to be trusted.
            let broken = self.machine.take();
            panics::contain(|| drop(broken));
            let message = panics::message(payload);
            if M::KEEPS {
                self.end_held(&message);
            }
            (at, message)
        })
    }

    /// Makes a fresh machine in place of one that panicked. If the factory panics too it is asked
    /// again for the next batch.
    #[cold]
    pub(super) fn renew_machine(&mut self) -> bool {
        match catch_unwind(AssertUnwindSafe(|| (self.shared.factory)())) {
            Ok(machine) => self.machine = Some(machine),
            Err(payload) => self.factory_panic = Some(panics::message(payload)),
        }
        self.machine.is_some()
    }

    /// Ends the rest of a batch, which was to go on at this stage, for which there is no machine.
    #[cold]
    pub(super) fn give_up(&mut self, batch: &Batch<'_, M>, from: usize, stage: usize) {
        let cause = self.factory_panic.take().unwrap_or_default();
        for at in from..batch.claimed.len {
            self.progress.flow.turn_back(stage);
            let message = format!("the machine's factory panicked: {cause}");
            self.panicked(batch, at, stage, message.into_boxed_str());
        }
    }

    /// Ends the request that panicked inside a stage, or in a hook before it.
    #[cold]
    pub(super) fn end_panicked(&mut self, batch: &Batch<'_, M>, at: usize, message: Box<str>) {
        let place = self.progress.stage_and_group();
        if let Some((stage, _)) = place {
            match std::mem::replace(&mut self.path.has_entered, true) {
                true => self.progress.flow.leave(stage),
                false => self.progress.flow.turn_back(stage),
            }
        }
        self.panicked(batch, at, place.map_or(0, |(stage, _)| stage), message);
    }

    /// Ends one request as panicked in this stage.
    fn panicked(&mut self, batch: &Batch<'_, M>, at: usize, stage: usize, message: Box<str>) {
        let window = &batch.group.window;
        let slot = batch.slot(at);
        // SAFETY: the slot was claimed by this worker and is not yet completed; the panic has ended
        // the request that borrowed the entry.
        let before = unsafe {
            window.cold(window.index_of(slot), |cold| {
                (*cold).deadline_ns = NEVER_NS;
                (*cold).stage = stage as u16;
                std::mem::replace(&mut (*cold).failure, Failure::Panic(message))
            })
        };
        // A stage may have failed the request before it panicked.
        panics::contain(|| drop(before));
        self.ends.set_at(at, Phase::Panicked);
    }

    /// The worker ends, and its machine with it.
    pub(super) fn close(&mut self) {
        if let Some(machine) = &mut self.machine {
            panics::contain(|| machine.close());
        }
        let machine = self.machine.take();
        panics::contain(|| drop(machine));
    }
}

/// What running requests changes.
pub(super) struct Parts<'e, M: StateMachine> {
    pub(super) machine: &'e mut M,
    pub(super) path: &'e mut Path,
    pub(super) ends: &'e mut Ends,
}

/// How the requests of a batch ended. Most are done, so only the others are written down.
#[derive(Debug)]
pub(super) struct Ends {
    phases: [Phase; BATCH_MAX],
    /// Whether there are others than done ones among `phases`.
    mixed: bool,
}

impl Default for Ends {
    fn default() -> Self {
        Self { phases: [Phase::Done; BATCH_MAX], mixed: false }
    }
}

impl Ends {
    /// A new batch: all of them are done, unless something else is said.
    #[inline(always)]
    pub(super) fn begin(&mut self) {
        if self.mixed {
            self.mixed = false;
            self.phases.fill(Phase::Done);
        }
    }

    /// How a request of the batch has ended.
    pub(super) fn at(&self, at: usize) -> Phase {
        self.phases[at]
    }

    /// A request of the batch has ended so.
    #[cold]
    pub(super) fn set_at(&mut self, at: usize, phase: Phase) {
        self.mixed |= phase != Phase::Done;
        self.phases[at] = phase;
    }

    /// The phases; `None` if all of them are done.
    #[inline(always)]
    fn phases(&self, len: usize) -> Option<&[Phase]> {
        self.mixed.then(|| &self.phases[..len])
    }
}
