//! How a request ended, as its receiver sees it.

use crate::cold::{Failure, Trace};
use crate::slot::Phase;
use crate::stage::{StateMachine, Table};
use std::fmt;

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a, E> {
    /// Its last stage was done.
    Done,
    /// A stage, or a hook before it, failed with this error.
    Failed(&'a E),
    /// A stage dropped it.
    Dropped,
    /// Its group was cancelled, or the pipeline aborted, before it ran to its end; or the closure
    /// that should have filled it panicked in a shared submitter.
    Cancelled,
    /// Its deadline passed before its next stage.
    Expired,
    /// A stage panicked with this message.
    Panicked(&'a str),
    /// It came back to a stage of an acyclic machine or took a step that is not declared there, or ran
    /// through more stages than it may.
    Cyclic(Cycle<'a>),
}

impl<'a, E> Outcome<'a, E> {
    pub(crate) fn new<M: StateMachine>(
        phase: Phase,
        failure: &'a Failure<E>,
        table: &'a Table<M>,
    ) -> Self {
        match (phase, failure) {
            (Phase::Failed, Failure::Error(error)) => Self::Failed(error),
            (Phase::Panicked, Failure::Panic(message)) => Self::Panicked(message),
            (Phase::Cyclic, Failure::Cycle(trace)) => {
                Self::Cyclic(Cycle { trace, names: &table.names })
            }
            (Phase::Dropped, _) => Self::Dropped,
            (Phase::Cancelled, _) => Self::Cancelled,
            (Phase::Expired, _) => Self::Expired,
            (Phase::Done, _) => Self::Done,
            (phase, _) => unreachable!("a finished slot says {phase:?} and keeps no reason"),
        }
    }

    /// Whether the request was done.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }
}

impl<E: fmt::Display> fmt::Display for Outcome<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Failed(error) => write!(f, "failed: {error}"),
            Self::Dropped => f.write_str("dropped"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::Expired => f.write_str("expired"),
            Self::Panicked(message) => write!(f, "panicked: {message}"),
            Self::Cyclic(cycle) => write!(f, "cyclic: {cycle}"),
        }
    }
}

/// The way of a request that ended as cyclic. It displays as `a -> b -> a`; of a long way the
/// stages in the middle are only counted.
#[derive(Clone, Copy)]
pub struct Cycle<'a> {
    trace: &'a Trace,
    names: &'a [Box<str>],
}

impl fmt::Display for Cycle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, head, skipped, rest) = self.trace.parts();
        let name = |stage: &u16| self.names.get(usize::from(*stage)).map_or("?", |name| name);
        let mut arrow = "";
        if before > 0 {
            write!(f, "({before} stages)")?;
            arrow = " -> ";
        }
        for stage in head {
            write!(f, "{arrow}{}", name(stage))?;
            arrow = " -> ";
        }
        if skipped > 0 {
            write!(f, "{arrow}({skipped} more)")?;
        }
        rest.iter().try_for_each(|stage| write!(f, "{arrow}{}", name(stage)))
    }
}

impl fmt::Debug for Cycle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cycle({self})")
    }
}
