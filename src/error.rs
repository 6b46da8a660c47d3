//! What can go wrong, one type for each operation. An error of a submission gives the value back.

use crate::limits::WEIGHT_MAX;
use std::fmt;
use std::time::Duration;

/// One value that the builder refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The builder's field.
    pub field: &'static str,
    /// What is wrong: the value, and what is accepted.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Why a pipeline was not built. Nothing is left behind: no thread, no memory.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// Values out of range or at odds with each other: all of them.
    Invalid(Vec<Problem>),
    /// The memory for slots and rings could not be had.
    OutOfMemory {
        /// Size of the allocation that was refused.
        bytes: usize,
        /// What the whole pipeline needs.
        total: usize,
    },
    /// A thread could not be started.
    Spawn {
        /// The thread's name.
        thread: String,
        /// What the system answered.
        source: std::io::Error,
    },
    /// The machine's factory panicked in a worker.
    Factory {
        /// Index of the worker.
        worker: usize,
        /// The panic's message.
        message: String,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(problems) => {
                f.write_str("the pipeline cannot be built:")?;
                problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
            Self::OutOfMemory { bytes, total } => write!(
                f,
                "out of memory: {bytes} bytes refused, of {total} that the pipeline needs; use fewer \
                 groups, a smaller window or fewer workers"
            ),
            Self::Spawn { thread, source } => {
                write!(f, "the thread `{thread}` could not be started: {source}")
            }
            Self::Factory { worker, message } => {
                write!(f, "the machine's factory panicked in worker {worker}: {message}")
            }
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Spawn { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Why a group was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// All groups are open, or closed with requests still in flight.
    NoneFree {
        /// The pipeline's number of groups.
        groups: usize,
    },
    /// The group's weight is out of range.
    Weight {
        /// What was asked for.
        asked: u32,
    },
    /// The options need what the pipeline was not built with.
    NotBuilt {
        /// The option.
        option: &'static str,
        /// What the builder has to be told.
        builder: &'static str,
    },
    /// The pipeline is closed.
    Closed,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoneFree { groups } => write!(
                f,
                "none of the pipeline's {groups} groups is free: close one, or build it with more"
            ),
            Self::Weight { asked } => write!(f, "a weight of {asked} is not in 1..={WEIGHT_MAX}"),
            Self::NotBuilt { option, builder } => {
                write!(f, "{option} needs a pipeline that was built with {builder}")
            }
            Self::Closed => f.write_str("the pipeline is closed"),
        }
    }
}

impl std::error::Error for OpenError {}

/// Why nothing was submitted at once. `T` is what was to be submitted.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrySubmitError<T> {
    /// The group's window is full: receive first.
    Full(T),
    /// The group's window is full, and the value given up for that: it has been counted as such
    /// ([`Overflow::DropNewest`](crate::Overflow::DropNewest)), and is dropped with this error.
    Dropped(T),
    /// The group was cancelled.
    Cancelled(T),
    /// The pipeline, or the group's receive end, is closed.
    Closed(T),
}

/// Why nothing was submitted, after waiting. `T` is what was to be submitted.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubmitError<T> {
    /// The group's window is full, or stayed so for the time that the group's
    /// [`Overflow`](crate::Overflow) policy allows.
    Full(T),
    /// As [`TrySubmitError::Dropped`].
    Dropped(T),
    /// The group was cancelled.
    Cancelled(T),
    /// The pipeline, or the group's receive end, is closed.
    Closed(T),
}

/// Why nothing was submitted in time. `T` is what was to be submitted.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubmitTimeoutError<T> {
    /// The group's window stayed full.
    Timeout(T),
    /// The group was cancelled.
    Cancelled(T),
    /// The pipeline, or the group's receive end, is closed.
    Closed(T),
}

/// `into_inner`, and `Debug`, `Display` and `Error` that ask nothing of the value.
macro_rules! gives_back {
    ($error:ident { $($variant:ident => $text:literal),+ $(,)? }) => {
        impl<T> $error<T> {
            /// What was to be submitted.
            pub fn into_inner(self) -> T {
                match self {
                    $(Self::$variant(value) => value,)+
                }
            }
        }

        impl<T> fmt::Debug for $error<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant(_) => stringify!($variant),)+
                })
            }
        }

        impl<T> fmt::Display for $error<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant(_) => $text,)+
                })
            }
        }

        impl<T> std::error::Error for $error<T> {}
    };
}

gives_back!(TrySubmitError {
    Full => "the group's window is full",
    Dropped => "the group's window is full, and the value was given up for that",
    Cancelled => "the group is cancelled",
    Closed => "the pipeline or the group's receive end is closed",
});
gives_back!(SubmitError {
    Full => "the group's window is full",
    Dropped => "the group's window is full, and the value was given up for that",
    Cancelled => "the group is cancelled",
    Closed => "the pipeline or the group's receive end is closed",
});
gives_back!(SubmitTimeoutError {
    Timeout => "the group's window stayed full until the timeout",
    Cancelled => "the group is cancelled",
    Closed => "the pipeline or the group's receive end is closed",
});

/// What [`SubmitEnd::submit`](crate::SubmitEnd::submit) says where it does not wait any more.
impl<T> From<TrySubmitError<T>> for SubmitError<T> {
    fn from(refused: TrySubmitError<T>) -> Self {
        match refused {
            TrySubmitError::Full(value) => Self::Full(value),
            TrySubmitError::Dropped(value) => Self::Dropped(value),
            TrySubmitError::Cancelled(value) => Self::Cancelled(value),
            TrySubmitError::Closed(value) => Self::Closed(value),
        }
    }
}

/// Why nothing was received at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryRecvError {
    /// Nothing has finished.
    Empty,
    /// Everything submitted has been received, and no more can be submitted.
    Closed,
}

/// Why nothing was received, after waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// Nothing is in flight, and the caller holds the submit end itself: it would wait for ever.
    NothingInFlight,
    /// Everything submitted has been received, and no more can be submitted.
    Closed,
}

/// Why nothing was received in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvTimeoutError {
    /// Nothing has finished in time.
    Timeout,
    /// Everything submitted has been received, and no more can be submitted.
    Closed,
}

/// Why closing a pipeline gave up. Its threads go on; the pipeline has been told to end, and what is
/// in flight is still run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseTimeout {
    /// How long it waited.
    pub waited: Duration,
    /// The groups with requests that have not ended or have not been received.
    pub groups: Vec<usize>,
    /// The workers that were inside a stage: index, stage, group.
    pub busy: Vec<(usize, String, usize)>,
}

impl fmt::Display for CloseTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the pipeline is not closed after {:?}", self.waited)?;
        if !self.groups.is_empty() {
            write!(f, "; groups with requests not ended or not received: {:?}", self.groups)?;
        }
        self.busy.iter().try_for_each(|(worker, stage, group)| {
            write!(f, "; worker {worker} is in stage `{stage}` for group {group}")
        })
    }
}

macro_rules! plain_error {
    ($error:ident { $($variant:ident => $text:literal),+ $(,)? }) => {
        impl fmt::Display for $error {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $text,)+
                })
            }
        }

        impl std::error::Error for $error {}
    };
}

plain_error!(TryRecvError {
    Empty => "nothing has finished",
    Closed => "everything has been received, and no more can be submitted",
});
plain_error!(RecvError {
    NothingInFlight => "nothing is in flight, and only the caller could submit",
    Closed => "everything has been received, and no more can be submitted",
});
plain_error!(RecvTimeoutError {
    Timeout => "nothing has finished in time",
    Closed => "everything has been received, and no more can be submitted",
});

impl std::error::Error for CloseTimeout {}
