//! Stages: the state machine, its table of plain function pointers, and what a stage answers.

use crate::limits::STATUS_MAX;
use crate::request::Request;
use crate::status::{self, ReservedStatus};
use std::fmt;
use std::marker::PhantomData;

/// A machine whose stages a pipeline runs requests through.
///
/// The attribute [`state_machine`](crate::state_machine) on an `impl` block writes this
/// implementation; by hand it is a `const` table:
///
/// ```
/// use stageline::{Request, Stage, StageId, StageTable, StateMachine, Step};
///
/// struct Double;
///
/// impl Double {
///     fn double(&mut self, request: &mut Request<'_, Self>) -> Step {
///         **request *= 2;
///         request.done()
///     }
/// }
///
/// impl StateMachine for Double {
///     type Data = u64;
///     type Error = std::convert::Infallible;
///     const STAGES: StageTable<Self> =
///         StageTable::new(&[Stage { name: "double", run: Self::double, next: Some(&[]), pool: None }]);
/// }
/// ```
pub trait StateMachine: Sized + 'static {
    /// What a request carries. It lives in the slot for ever; keep what every stage touches in the
    /// first 56 bytes, which share a cache line with the slot's turn word.
    type Data: Send + 'static;

    /// What a stage fails with.
    type Error: Send + 'static;

    /// The stages. A request starts at the first one. Empty for a machine whose table is put together
    /// at run time ([`Builder::stages`](crate::Builder::stages)).
    const STAGES: StageTable<Self>;

    /// Whether its stages may keep a request beyond their call: hold it, have it retried, suspend it, or say
    /// something of it ([`Request::describe`]); and whether some of them are run by pools.
    ///
    /// Such a pipeline has some 200 bytes more for each slot, a completion ring even for one worker, and its
    /// workers look after what they keep.
    const KEEPS: bool = false;

    /// Called with the payload of the request that comes after one which is about to run, where a worker has
    /// claimed both at once: a machine whose payloads point to more memory may [ask for it](crate::prefetch) here, so
    /// that it comes meanwhile. Not called for every request.
    #[inline(always)]
    fn prefetch(_next: &Self::Data) {}

    /// Called once for each instance when its worker ends, after its last request.
    fn close(&mut self) {}
}

/// A stage: a method of the machine.
pub type StageFn<M> = for<'r> fn(&mut M, &mut Request<'r, M>) -> Step;

/// A hook that runs before each stage. An error ends the request as failed.
pub type Hook<M> =
    for<'r> fn(&mut M, &mut Request<'r, M>) -> Result<(), <M as StateMachine>::Error>;

/// Index of a stage in the table of the machine `M`.
pub struct StageId<M>(u16, PhantomData<fn() -> M>);

impl<M> StageId<M> {
    /// The stage at this index of the table.
    pub const fn new(index: u16) -> Self {
        Self(index, PhantomData)
    }

    /// Index in the table.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl<M> Clone for StageId<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for StageId<M> {}

impl<M> PartialEq for StageId<M> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<M> Eq for StageId<M> {}

impl<M> fmt::Debug for StageId<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StageId({})", self.0)
    }
}

/// An entry of a machine's table.
#[derive(Debug)]
pub struct Stage<M: StateMachine> {
    /// Its name, for diagnostics.
    pub name: &'static str,
    /// The method.
    pub run: StageFn<M>,
    /// The stages that it may go to; `None` if it does not say, `Some(&[])` if it is a last stage.
    pub next: Option<&'static [StageId<M>]>,
    /// The pool whose threads run it ([`Builder::pool`](crate::Builder::pool)); `None` if the workers do.
    pub pool: Option<&'static str>,
}

/// An entry of a table that is put together at run time.
#[derive(Debug)]
pub struct RuntimeStage<M: StateMachine> {
    /// Its name, for diagnostics.
    pub name: String,
    /// The method. It may serve several entries: [`Request::stage`] tells which one runs.
    pub run: StageFn<M>,
    /// The stages that it may go to, as for [`Stage::next`].
    pub next: Option<Vec<StageId<M>>>,
    /// The pool whose threads run it, as for [`Stage::pool`].
    pub pool: Option<String>,
}

/// The stages of a machine, the first being the one that requests start at.
#[derive(Debug)]
pub struct StageTable<M: StateMachine>(pub(crate) &'static [Stage<M>]);

impl<M: StateMachine> StageTable<M> {
    /// No stages: the table is given to the builder.
    pub const EMPTY: Self = Self(&[]);

    /// The table of these stages.
    pub const fn new(stages: &'static [Stage<M>]) -> Self {
        Self(stages)
    }
}

/// What a stage answers. One register: a failed request's error goes to the slot's cold entry.
///
/// It is made by the methods of [`Request`], or of a numeric status by [`from_status`](Self::from_status).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a stage returns the step; building one does nothing by itself"]
pub struct Step(u32);

/// A [`Step`], taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepKind {
    /// To the stage at this index.
    Next(u16),
    /// Ended, done.
    Done,
    /// Kept until the stage lets a batch go on.
    Hold,
    /// Kept until its ticket is used.
    Suspend,
    /// Not run here: the stage is another pool's.
    Hop,
    /// To be run again, with this status.
    Retry(u32),
    /// Ended, failed with this status, with the error in the cold entry.
    Fail(u32),
    /// Ended, dropped with this status.
    Drop(u32),
}

/// Steps below this are stage indices, so that the hot loop tells them with one comparison; the others are
/// this and a status, of which some reserved ones have a meaning of their own here.
const ENDS: u32 = 1 << 16;
const SUSPEND: u32 = 2;
const HOP: u32 = 3;

const _: () = assert!(!status::is_known(SUSPEND) && !status::is_known(HOP));
const _: () = assert!(STATUS_MAX <= u32::MAX - ENDS);

impl Step {
    pub(crate) const DONE: Self = Self(ENDS + status::DONE);
    pub(crate) const HOLD: Self = Self(ENDS + status::CONTINUE);
    pub(crate) const SUSPEND: Self = Self(ENDS + SUSPEND);
    pub(crate) const HOP: Self = Self(ENDS + HOP);
    pub(crate) const RETRY: Self = Self(ENDS + status::RETRY);
    pub(crate) const FAIL: Self = Self(ENDS + status::FAIL);
    pub(crate) const DROP: Self = Self(ENDS + status::DROP);

    #[inline(always)]
    pub(crate) const fn next<M>(stage: StageId<M>) -> Self {
        Self(stage.0 as u32)
    }

    /// The step of a numeric status: 0 done, 1 hold, 100 to 199 retry, 200 to 299 fail, 300 to
    /// [`STATUS_MAX`] drop. The request's outcome has the same [status](crate::Outcome::status).
    ///
    /// Hold and retry are for machines that say so ([`StateMachine::KEEPS`]); elsewhere such an answer ends
    /// the request as panicked.
    ///
    /// # Errors
    ///
    /// Any other status is reserved.
    pub const fn from_status(status: u32) -> Result<Self, ReservedStatus> {
        if status::is_known(status) { Ok(Self(ENDS + status)) } else { Err(ReservedStatus(status)) }
    }

    /// The status that this step stands for: `None` if it goes on to a stage, or suspends the request.
    pub const fn status(self) -> Option<u32> {
        match self.0.checked_sub(ENDS) {
            Some(status) if status::is_known(status) => Some(status),
            _ => None,
        }
    }

    /// Whether the next stage is this one, of a table with at most [`ENDS`] stages.
    #[inline(always)]
    pub(crate) const fn leads_to(self, stage: usize) -> bool {
        self.0 == stage as u32
    }

    #[inline(always)]
    pub(crate) const fn kind(self) -> StepKind {
        if self.0 < ENDS {
            return StepKind::Next(self.0 as u16);
        }
        match self.0 - ENDS {
            status::DONE => StepKind::Done,
            status::CONTINUE => StepKind::Hold,
            SUSPEND => StepKind::Suspend,
            HOP => StepKind::Hop,
            status if status < status::FAIL => StepKind::Retry(status),
            status if status < status::DROP => StepKind::Fail(status),
            status => StepKind::Drop(status),
        }
    }
}

/// The table as the workers use it: frozen, with the function pointers in one array.
pub(crate) struct Table<M: StateMachine> {
    /// One entry more than there are stages: [`beyond_the_table`], so that the stage behind the last
    /// one can be called without a look at how many there are. In place of a pool's stage stands [`elsewhere`].
    runs: Box<[StageFn<M>]>,
    /// The same for each pool, whose own stages it has.
    pool_runs: Box<[Box<[StageFn<M>]>]>,
    pub(crate) names: Box<[Box<str>]>,
    pub(crate) next: Box<[Option<Box<[u16]>>]>,
    /// For each stage, the queue of the threads that run it: 0 is that of the workers.
    pub(crate) hops: Box<[u16]>,
    /// See [`is_own`](Self::is_own).
    is_own: bool,
}

impl<M: StateMachine> Table<M> {
    /// The machine's own table, in a pipeline with these pools.
    pub(crate) fn from_const<'p>(pools: impl Iterator<Item = &'p str> + Clone) -> Self {
        let stages = M::STAGES.0;
        let hops = stages.iter().map(|stage| hop_of(stage.pool, pools.clone())).collect();
        Self {
            names: stages.iter().map(|stage| stage.name.into()).collect(),
            next: stages.iter().map(|stage| stage.next.map(indices)).collect(),
            is_own: true,
            ..Self::with_runs(stages.iter().map(|stage| stage.run).collect(), hops, pools.count())
        }
    }

    pub(crate) fn from_runtime<'p>(
        stages: Vec<RuntimeStage<M>>,
        pools: impl Iterator<Item = &'p str> + Clone,
    ) -> Self {
        let hops =
            stages.iter().map(|stage| hop_of(stage.pool.as_deref(), pools.clone())).collect();
        let runs = stages.iter().map(|stage| stage.run).collect();
        Self {
            next: stages.iter().map(|stage| stage.next.as_deref().map(indices)).collect(),
            names: stages.into_iter().map(|stage| stage.name.into_boxed_str()).collect(),
            ..Self::with_runs(runs, hops, pools.count())
        }
    }

    fn with_runs(runs: Vec<StageFn<M>>, hops: Box<[u16]>, pools: usize) -> Self {
        let runs_of = |hop: usize| {
            let own = runs.iter().zip(&hops).map(|(run, at)| match usize::from(*at) == hop {
                true => *run,
                false => elsewhere as StageFn<M>,
            });
            own.chain([beyond_the_table as StageFn<M>]).collect()
        };
        let (own, pool_runs) = (runs_of(0), (1..=pools).map(runs_of).collect());
        Self {
            runs: own,
            pool_runs,
            names: Box::default(),
            next: Box::default(),
            hops,
            is_own: false,
        }
    }

    /// The number of stages.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether the workers run each stage of the machine's own table, which the compiler knows, and no others.
    #[inline(always)]
    pub(crate) fn is_own(&self) -> bool {
        self.is_own && const { has_own::<M>() }
    }

    /// The methods, as the workers run them.
    #[inline(always)]
    pub(crate) fn runs(&self) -> Runs<'_, M> {
        Runs(&self.runs)
    }

    /// The methods, as the threads of a queue run them.
    pub(crate) fn runs_of(&self, hop: usize) -> Runs<'_, M> {
        match hop.checked_sub(1) {
            None => self.runs(),
            Some(pool) => Runs(&self.pool_runs[pool]),
        }
    }

    pub(crate) fn name(&self, stage: usize) -> &str {
        self.names.get(stage).map_or("?", |name| name)
    }
}

/// Whether a machine has stages of its own, all of which workers run.
const fn has_own<M: StateMachine>() -> bool {
    let (stages, mut at) = (M::STAGES.0, 0);
    while at < stages.len() {
        if stages[at].pool.is_some() {
            return false;
        }
        at += 1;
    }
    at > 0
}

/// The queue of the pool with this name; that of the workers for none.
fn hop_of<'p>(name: Option<&str>, mut pools: impl Iterator<Item = &'p str>) -> u16 {
    let pool = name.and_then(|name| pools.position(|pool| pool == name));
    pool.map_or(0, |pool| pool as u16 + 1)
}

/// The methods of a table's stages.
pub(crate) struct Runs<'a, M: StateMachine>(&'a [StageFn<M>]);

impl<M: StateMachine> Clone for Runs<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: StateMachine> Copy for Runs<'_, M> {}

impl<M: StateMachine> Runs<'_, M> {
    /// The method of a stage, or for the number of stages one that panics.
    ///
    /// # Safety
    ///
    /// `stage` is not greater than the number of stages.
    #[inline(always)]
    pub(crate) unsafe fn at(self, stage: usize) -> StageFn<M> {
        debug_assert!(stage < self.0.len());
        // SAFETY: there is one entry more than there are stages.
        unsafe { *self.0.get_unchecked(stage) }
    }
}

/// In place of a stage that other threads run.
fn elsewhere<M: StateMachine>(_: &mut M, _: &mut Request<'_, M>) -> Step {
    Step::HOP
}

/// In place of a stage: the one before it has answered with the index behind the last.
fn beyond_the_table<M: StateMachine>(_: &mut M, request: &mut Request<'_, M>) -> Step {
    no_such_stage(request.stage().index(), request.stages())
}

/// Ends a request whose stage has answered with an index that is not in the table.
#[cold]
pub(crate) fn no_such_stage(stage: usize, stages: usize) -> ! {
    panic!("a stage answered with stage id {stage}; the table has {stages} stages")
}

fn indices<M>(ids: &[StageId<M>]) -> Box<[u16]> {
    ids.iter().map(|id| id.0).collect()
}

#[cfg(all(test, not(stageline_models)))]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_a_register_and_loses_nothing() {
        assert_eq!(size_of::<Step>(), 4);
        for index in [0, 1, 4095, u16::MAX] {
            assert_eq!(Step::next(StageId::<()>::new(index)).kind(), StepKind::Next(index));
        }
        assert_eq!(Step::DONE.kind(), StepKind::Done);
        assert_eq!(Step::SUSPEND.kind(), StepKind::Suspend);
        assert_eq!(Step::HOP.kind(), StepKind::Hop);
    }

    #[test]
    fn a_status_goes_there_and_back() {
        let kinds = [
            (0, StepKind::Done),
            (1, StepKind::Hold),
            (100, StepKind::Retry(100)),
            (199, StepKind::Retry(199)),
            (200, StepKind::Fail(200)),
            (299, StepKind::Fail(299)),
            (300, StepKind::Drop(300)),
            (STATUS_MAX, StepKind::Drop(STATUS_MAX)),
        ];
        for (status, kind) in kinds {
            let step = Step::from_status(status).expect("a status that means something");
            assert_eq!((step.kind(), step.status()), (kind, Some(status)));
        }
        for status in (2..100).chain([STATUS_MAX + 1, u32::MAX]) {
            assert_eq!(Step::from_status(status), Err(ReservedStatus(status)));
        }
        let silent = [Step::next(StageId::<()>::new(0)), Step::SUSPEND, Step::HOP];
        assert!(silent.iter().all(|step| step.status().is_none()));
    }
}
