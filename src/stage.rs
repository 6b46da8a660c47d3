//! Stages: the state machine, its table of plain function pointers, and what a stage answers.

use crate::request::Request;
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
///         StageTable::new(&[Stage { name: "double", run: Self::double, next: Some(&[]) }]);
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
    /// Ended, with the error in the cold entry.
    Fail,
    /// Ended, dropped.
    Drop,
}

/// Steps below this are stage indices, so that the hot loop tells them with one comparison.
const ENDS: u32 = 1 << 16;

impl Step {
    pub(crate) const DONE: Self = Self(ENDS);
    pub(crate) const FAIL: Self = Self(ENDS + 1);
    pub(crate) const DROP: Self = Self(ENDS + 2);

    #[inline(always)]
    pub(crate) const fn next<M>(stage: StageId<M>) -> Self {
        Self(stage.0 as u32)
    }

    /// Whether the next stage is this one, of a table with at most [`ENDS`] stages.
    #[inline(always)]
    pub(crate) const fn leads_to(self, stage: usize) -> bool {
        self.0 == stage as u32
    }

    #[inline(always)]
    pub(crate) const fn kind(self) -> StepKind {
        match self {
            Self(index) if index < ENDS => StepKind::Next(index as u16),
            Self::DONE => StepKind::Done,
            Self::FAIL => StepKind::Fail,
            _ => StepKind::Drop,
        }
    }
}

/// The table as the workers use it: frozen, with the function pointers in one array.
pub(crate) struct Table<M: StateMachine> {
    /// One entry more than there are stages: [`beyond_the_table`], so that the stage behind the last
    /// one can be called without a look at how many there are.
    runs: Box<[StageFn<M>]>,
    pub(crate) names: Box<[Box<str>]>,
    pub(crate) next: Box<[Option<Box<[u16]>>]>,
}

impl<M: StateMachine> Table<M> {
    pub(crate) fn from_const() -> Self {
        let stages = M::STAGES.0;
        Self {
            runs: with_sentinel(stages.iter().map(|stage| stage.run)),
            names: stages.iter().map(|stage| stage.name.into()).collect(),
            next: stages.iter().map(|stage| stage.next.map(indices)).collect(),
        }
    }

    pub(crate) fn from_runtime(stages: Vec<RuntimeStage<M>>) -> Self {
        Self {
            runs: with_sentinel(stages.iter().map(|stage| stage.run)),
            next: stages.iter().map(|stage| stage.next.as_deref().map(indices)).collect(),
            names: stages.into_iter().map(|stage| stage.name.into_boxed_str()).collect(),
        }
    }

    /// The number of stages.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// The methods.
    #[inline(always)]
    pub(crate) fn runs(&self) -> Runs<'_, M> {
        Runs(&self.runs)
    }

    pub(crate) fn name(&self, stage: usize) -> &str {
        self.names.get(stage).map_or("?", |name| name)
    }
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

fn with_sentinel<M: StateMachine>(runs: impl Iterator<Item = StageFn<M>>) -> Box<[StageFn<M>]> {
    runs.chain([beyond_the_table as StageFn<M>]).collect()
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
        assert_eq!(Step::FAIL.kind(), StepKind::Fail);
        assert_eq!(Step::DROP.kind(), StepKind::Drop);
    }
}
