//! What a component answers.
//!
//! | status | meaning | what is done with the message |
//! |---|---|---|
//! | 0 | done | the next component gets it |
//! | 1 | continue | the component keeps it and waits for more; it is settled with the batch that it ends up in |
//! | 2 to 99 | reserved | a mistake of the component: reported, and treated as fail |
//! | 100 to 199 | retry | it is handled again, later, a bounded number of times; then it fails |
//! | 200 to 299 | fail | it is not handled again: it goes to the dead letter, or is reported and counted |
//! | 300 and above | drop | it is dropped without a word, and settled as handled |

use std::fmt;
use std::time::Duration;

/// How long a component keeps a message that it answers with [`Report::CONTINUE`] for, where it does not say.
pub const HOLD_DEFAULT: Duration = Duration::from_secs(1);

/// A component's answer about one message: a status. What there is to say about it, the component
/// [describes](crate::Message::describe) in the message.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[must_use = "a report says what becomes of the message"]
pub struct Report {
    status: u32,
}

/// What a status means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReportKind {
    /// 0: the next component gets the message.
    Done,
    /// 1: the component keeps it.
    Continue,
    /// 2 to 99: nothing. Treated as a failure.
    Reserved,
    /// 100 to 199: it is handled again.
    Retry,
    /// 200 to 299: it has failed.
    Fail,
    /// 300 and above: it is dropped.
    Drop,
}

impl Report {
    /// The next component gets the message.
    pub const DONE: Self = Self { status: 0 };
    /// The component keeps the message, for [`HOLD_DEFAULT`] at most.
    /// [`Message::hold_for`](crate::Message::hold_for) says another time.
    pub const CONTINUE: Self = Self { status: 1 };
    /// The message is to be handled again, later.
    pub const RETRY: Self = Self { status: 100 };
    /// The message has failed.
    pub const FAIL: Self = Self { status: 200 };
    /// The message is to be dropped.
    pub const DROP: Self = Self { status: 300 };

    /// A retry with a status of its own, which stands in reports and counts.
    ///
    /// # Panics
    ///
    /// If the status is not in 100 to 199. In a constant that is an error of the compiler.
    pub const fn retry(status: u32) -> Self {
        assert!(matches!(status, 100..=199), "the status of a retry is in 100 to 199");
        Self { status }
    }

    /// A failure with a status of its own.
    ///
    /// # Panics
    ///
    /// If the status is not in 200 to 299. In a constant that is an error of the compiler.
    pub const fn fail(status: u32) -> Self {
        assert!(matches!(status, 200..=299), "the status of a failure is in 200 to 299");
        Self { status }
    }

    /// A drop with a status of its own.
    ///
    /// # Panics
    ///
    /// If the status is less than 300. In a constant that is an error of the compiler.
    pub const fn drop(status: u32) -> Self {
        assert!(status >= 300, "the status of a drop is 300 or above");
        Self { status }
    }

    /// The report of a status, whatever it is.
    #[inline]
    pub const fn from_status(status: u32) -> Self {
        Self { status }
    }

    /// The status.
    #[inline]
    pub const fn status(self) -> u32 {
        self.status
    }

    /// What the status means.
    #[inline]
    pub const fn kind(self) -> ReportKind {
        match self.status {
            0 => ReportKind::Done,
            1 => ReportKind::Continue,
            2..=99 => ReportKind::Reserved,
            100..=199 => ReportKind::Retry,
            200..=299 => ReportKind::Fail,
            300.. => ReportKind::Drop,
        }
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Report({}, {:?})", self.status, self.kind())
    }
}

/// The status and its word: `200 fail`.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.kind())
    }
}

/// The word of the table above.
impl fmt::Display for ReportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Continue => "continue",
            Self::Reserved => "reserved",
            Self::Retry => "retry",
            Self::Fail => "fail",
            Self::Drop => "drop",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    fn each_range_has_its_kind() {
        let ends = [
            (0, 0, ReportKind::Done),
            (1, 1, ReportKind::Continue),
            (2, 99, ReportKind::Reserved),
            (100, 199, ReportKind::Retry),
            (200, 299, ReportKind::Fail),
            (300, u32::MAX, ReportKind::Drop),
        ];
        for (first, last, kind) in ends {
            assert_eq!([first, last].map(|status| Report::from_status(status).kind()), [kind; 2]);
        }
        let constants = [Report::DONE, Report::CONTINUE, Report::RETRY, Report::FAIL, Report::DROP];
        assert_eq!(constants.map(Report::status), [0, 1, 100, 200, 300]);
        assert_eq!(Report::fail(204).to_string(), "204 fail");
    }

    #[test]
    fn a_status_out_of_its_range_panics() {
        const BUSY: Report = Report::retry(199);
        assert_eq!(BUSY.kind(), ReportKind::Retry);
        let _ = (Report::retry(100), Report::fail(200), Report::fail(299), Report::drop(u32::MAX));
        for status in [99, 200] {
            assert!(catch_unwind(|| Report::retry(status)).is_err(), "retry {status}");
        }
        for status in [199, 300] {
            assert!(catch_unwind(|| Report::fail(status)).is_err(), "fail {status}");
        }
        assert!(catch_unwind(|| Report::drop(299)).is_err());
    }
}
