//! Numeric codes of what a stage answers, for those who speak of answers across a wire, a script or a C interface.
//!
//! | status | meaning | the step |
//! |---|---|---|
//! | 0 | done | the request is done |
//! | 1 | continue | the request is held, and waits for more |
//! | 2 to 99 | reserved | none: [`ReservedStatus`] |
//! | 100 to 199 | retry | the request is run again, later |
//! | 200 to 299 | fail | the request has failed |
//! | 300 to [`STATUS_MAX`] | drop | the request is dropped |
//!
//! The table is that of gopiper's component reports.

use crate::limits::STATUS_MAX;
use std::fmt;

/// The request is done.
pub(crate) const DONE: u32 = 0;
/// It is held, and waits for more.
pub(crate) const CONTINUE: u32 = 1;
/// The lowest status of a retry.
pub(crate) const RETRY: u32 = 100;
/// The lowest status of a failure.
pub(crate) const FAIL: u32 = 200;
/// The lowest status of a dropped request.
pub(crate) const DROP: u32 = 300;

/// Whether a status stands for a step.
pub(crate) const fn is_known(status: u32) -> bool {
    matches!(status, DONE | CONTINUE | RETRY..=STATUS_MAX)
}

/// A status that stands for nothing: from 2 to 99, or above [`STATUS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservedStatus(pub u32);

impl fmt::Display for ReservedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "status {} is reserved: 0 is done, 1 continue, {RETRY} to 199 retry, {FAIL} to 299 fail, {DROP} to \
             {STATUS_MAX} drop",
            self.0
        )
    }
}

impl std::error::Error for ReservedStatus {}
