//! What is written down of a group by those who use its ends, and what they share.

use super::case::{Due, Job};
use super::machine::{Bomb, PLANNED, Trace};
use super::model::Ending;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Instant;

/// A submission that was accepted.
#[derive(Debug)]
pub struct Sent {
    pub number: u64,
    pub job: Job,
    pub due: Due,
    pub deadline: Option<Instant>,
    pub position: u64,
    /// Though the group was known to be cancelled, or an end of it or the pipeline to be gone.
    pub too_late: bool,
}

/// A result that was received.
#[derive(Clone, Debug, PartialEq)]
pub struct Got {
    pub position: u64,
    pub number: u64,
    pub ending: Ending,
    pub trace: Trace,
    /// Whether the cancelling of the group, or the end of the pipeline, had begun by then.
    pub cancel_begun: bool,
    pub end_begun: bool,
    pub at: Instant,
}

pub fn is_set(mark: &AtomicBool) -> bool {
    mark.load(SeqCst)
}

/// Runs what may panic as the case says; `None` if it did.
pub fn planned<R>(f: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => Some(result),
        Err(payload) if is_planned(&*payload) => None,
        Err(payload) => resume_unwind(payload),
    }
}

/// Whether this is what a panic that was asked for throws.
pub fn is_planned(payload: &(dyn Any + Send)) -> bool {
    let text = payload.downcast_ref::<String>();
    text.is_some_and(|text| text.starts_with(PLANNED)) || payload.is::<Bomb>()
}

/// Whether it is what the engine throws for a step that was asked for.
pub fn is_off_the_table(payload: &(dyn Any + Send)) -> bool {
    let text = payload.downcast_ref::<String>();
    text.is_some_and(|text| text.starts_with("a stage answered with stage id "))
}
