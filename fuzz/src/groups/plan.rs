//! What a byte string stands for: how a pipeline is set up, and what is done with its groups.

use super::machine::Act;
use arbitrary::Arbitrary;

#[derive(Arbitrary, Debug)]
pub struct Setup {
    pub two_workers: bool,
    /// Of the window, by its logarithm.
    pub window: Small,
    /// Less one.
    pub groups: Small,
    pub small_batches: bool,
    pub sampled: bool,
    pub hooked: bool,
    pub dag: bool,
    pub start: Start,
}

/// A number from 0 to 2.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Small {
    Zero,
    One,
    Two,
}

/// Where positions start.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Start {
    Zero,
    /// The bits of a turn end.
    TurnEnds,
    /// The number ends.
    End,
}

impl Start {
    pub fn position(self) -> u64 {
        match self {
            Self::Zero => 0,
            Self::TurnEnds => (1 << 60) - 5,
            Self::End => u64::MAX - 4,
        }
    }
}

/// Which of the open groups, modulo their number.
pub type Pick = u8;

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Op {
    Open {
        by_completion: bool,
    },
    Submit {
        pick: Pick,
        how: How,
        act: Act,
    },
    Batch {
        pick: Pick,
        len: u8,
        act: Act,
        panics_at: Option<u8>,
    },
    Receive {
        pick: Pick,
        way: Way,
        then: Then,
    },
    Drain {
        pick: Pick,
        max: u8,
        panics_at: Option<u8>,
    },
    Cancel {
        pick: Pick,
        by_submitter: bool,
    },
    SetDeadline {
        pick: Pick,
        deadline: Deadline,
    },
    Split {
        pick: Pick,
    },
    Share {
        pick: Pick,
    },
    Clone {
        pick: Pick,
    },
    DropSubmitter {
        pick: Pick,
    },
    DropReceiver {
        pick: Pick,
    },
    DropGroup {
        pick: Pick,
    },
    Stats {
        pick: Pick,
    },
    /// Waits until every request has ended.
    Settle,
    Yield,
    End(Ending),
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Try,
    Wait,
    Timeout,
    InPlace,
    InPlaceWait,
    /// The filler panics, before it has written or in the middle.
    PanicFirst,
    PanicHalfway,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Way {
    Try,
    Wait,
    Timeout,
}

/// What is done with an output.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Look,
    Write,
    Take,
    Replace,
    IntoError,
    Forget,
}

#[derive(Arbitrary, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deadline {
    #[default]
    Never,
    Past,
    /// May or may not be met.
    Soon,
    Far,
}

/// How the pipeline ends.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Ending {
    Drop,
    Abort,
    /// Waits for receivers, or gives up if the model says that they are not done.
    Close,
}
