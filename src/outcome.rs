//! How a request ended, as its receiver sees it.

use crate::cold::{Failure, Trace};
use crate::slot::Phase;
use crate::stage::{StateMachine, Table};
use crate::status;
use std::fmt;

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a, E> {
    /// Its last stage was done.
    Done,
    /// A stage, or a hook before it, failed with this error; or one asked for a retry with it, and there
    /// are none left.
    Failed {
        /// The stage's own error.
        error: &'a E,
        /// The status of its answer: 200 unless it named another.
        status: u32,
    },
    /// A stage failed it by this status ([`Step::from_status`](crate::Step::from_status)), without an error.
    FailedAs {
        /// The status.
        status: u32,
    },
    /// The ticket was dropped while it was suspended.
    Abandoned,
    /// A stage dropped it, or its group's submit end to make room.
    Dropped {
        /// The status: 300 unless a stage named another.
        status: u32,
    },
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
        status: Option<u32>,
        failure: &'a Failure<E>,
        table: &'a Table<M>,
    ) -> Self {
        match (phase, failure) {
            (Phase::Failed, Failure::Error(error)) => {
                Self::Failed { error, status: status.unwrap_or(status::FAIL) }
            }
            (Phase::Failed, Failure::Status) => {
                Self::FailedAs { status: status.unwrap_or(status::FAIL) }
            }
            (Phase::Failed, Failure::Abandoned) => Self::Abandoned,
            (Phase::Panicked, Failure::Panic(message)) => Self::Panicked(message),
            (Phase::Cyclic, Failure::Cycle(trace)) => {
                Self::Cyclic(Cycle { trace, names: &table.names })
            }
            (Phase::Dropped, _) => Self::Dropped { status: status.unwrap_or(status::DROP) },
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

    /// The status of the step that ended it, or for an outcome that no step asked for that of a failure:
    /// 0 for done, 100 to 199 where the retries are spent, 200 to 299 for failed, from 300 on for dropped.
    pub fn status(&self) -> u32 {
        match self {
            Self::Done => status::DONE,
            Self::Failed { status, .. } | Self::FailedAs { status } | Self::Dropped { status } => {
                *status
            }
            Self::Abandoned
            | Self::Cancelled
            | Self::Expired
            | Self::Panicked(_)
            | Self::Cyclic(_) => status::FAIL,
        }
    }
}

impl<E: fmt::Display> fmt::Display for Outcome<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Failed { error, .. } => write!(f, "failed: {error}"),
            Self::FailedAs { status } => write!(f, "failed with status {status}"),
            Self::Abandoned => f.write_str("abandoned"),
            Self::Dropped { .. } => f.write_str("dropped"),
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
