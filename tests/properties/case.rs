//! What a case is: a pipeline's setting, the streams that use it, and how it ends. Its `Debug` is the
//! expression that makes it, so that a failing case can be pasted into `replayed.rs`; so no two variants
//! have the same name.

use stageline::{Order, WaitStrategy};
use std::fmt;

/// One random run of a whole pipeline.
#[derive(Clone)]
pub struct Case {
    pub setting: Setting,
    pub streams: Vec<Stream>,
    pub finish: Finish,
}

/// What the builder is told.
#[derive(Clone, Debug)]
pub struct Setting {
    pub table: Table,
    /// Hooks before each stage, up to 2. The first one does as the script says.
    pub hooks: usize,
    pub dag: bool,
    pub visits_max: u32,
    pub workers: usize,
    pub groups: usize,
    pub window: usize,
    pub batch_max: usize,
    pub sample_every: u64,
    pub first_position: u64,
    pub wait: WaitStrategy,
    pub pin: bool,
    pub watch: bool,
}

/// The stages.
#[derive(Clone, Debug)]
pub enum Table {
    /// The `const` table of the machine.
    Fixed,
    /// One made at run time; by stage, the declared successors.
    Runtime(Vec<Option<Vec<u8>>>),
}

/// Groups opened one after the other. Streams of one thread take turns.
#[derive(Clone, Debug)]
pub struct Stream {
    pub thread: u8,
    pub sessions: Vec<Session>,
}

/// A group from its opening to the drop of its ends.
#[derive(Clone, Debug)]
pub struct Session {
    pub order: Order,
    pub shape: Shape,
    pub ops: Vec<Op>,
    pub end: End,
}

/// How one thread holds a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Whole,
    Split,
    /// Two shared submitters, used in turn.
    Shared,
}

#[derive(Clone, Debug)]
pub enum Op {
    Put(Put),
    Get(Get),
}

/// What is done with a submit end.
#[derive(Clone, Debug)]
pub enum Put {
    Submit(Job, Wait),
    /// These jobs so many times; the iterator panics before it gives the one at `panics_at`.
    Batch {
        jobs: Vec<Job>,
        times: usize,
        panics_at: Option<usize>,
    },
    Fill(Job, Fill),
    Deadline(Due),
    Cancel,
}

#[derive(Clone, Copy, Debug)]
pub enum Wait {
    Try,
    /// Where the same thread receives, it does not wait for a full window.
    Block,
    Micros(u64),
}

/// What the closure of a submission in place does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Fills the slot's own value.
    Refill,
    /// Moves another value in.
    MoveIn,
    /// Fills it after the end of the pipeline, if that is early.
    Linger,
    PanicBefore,
    PanicAfter,
}

/// The deadline of what is submitted from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    Never,
    Past,
    Now,
    NearMicros(u64),
    Far,
}

/// What is done with a receive end.
#[derive(Clone, Debug)]
pub enum Get {
    Receive(Wait, Take),
    /// The closure panics at the result `panics_at`.
    Drain {
        max: usize,
        panics_at: Option<usize>,
    },
    CancelByReceiver,
    /// At the statistics.
    Look,
}

/// What becomes of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    Leave,
    Own,
    Replace,
    IntoError,
    Leak,
}

/// How the ends of a group go.
#[derive(Clone, Debug)]
pub enum End {
    /// The receive end first, and then these submissions are tried.
    ReceiverFirst(Vec<Put>),
    SubmitterFirst,
    /// The submit end first; then the rest is received.
    Drained,
    /// Each end goes on in a thread of its own: the submit end in one, or shared by several, the
    /// receive end in another, which at last receives the rest or goes.
    Threads {
        shared: bool,
        producers: Vec<Vec<Put>>,
        receiver: Vec<Get>,
        drains: bool,
    },
}

/// How the pipeline ends.
#[derive(Clone, Copy, Debug)]
pub struct Finish {
    /// After so many operations of all streams, though groups are open; or after all of them.
    pub after: Option<u64>,
    pub how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Close,
    CloseWithinMillis(u64),
    Abort,
    DropIt,
}

/// A request: what each stage that it visits is to do, in the order of the visits. When the script is at
/// its end the request goes on to the last stage of the table, and is done.
#[derive(Clone, Default)]
pub struct Job(pub Vec<Act>);

/// What a stage does, or the hook before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// To the next stage of the table; from the last one it is done.
    Next,
    /// The same, after some time: a yield, or so many times ten microseconds.
    Pause(u8),
    /// To this stage, modulo their number.
    Jump(u8),
    /// So far beyond the last stage.
    Off(u8),
    Done,
    Fail,
    Drop,
    Panic,
    /// Panics with a value whose drop panics.
    Bomb,
    FailThenPanic,
    /// Fails, and then answers as `Next`.
    FailThenNext,
    HookFail,
    HookPanic,
}

impl Setting {
    /// One worker, one group of two slots, the `const` table and no more rules.
    pub fn smallest() -> Self {
        Self {
            table: Table::Fixed,
            hooks: 0,
            dag: false,
            visits_max: 1_000_000,
            workers: 1,
            groups: 1,
            window: 2,
            batch_max: 128,
            sample_every: 1024,
            first_position: 0,
            wait: WaitStrategy::SpinThenPark,
            pin: false,
            watch: false,
        }
    }
}

impl Table {
    pub fn len(&self) -> usize {
        match self {
            Self::Fixed => super::machine::STAGES,
            Self::Runtime(next) => next.len(),
        }
    }

    /// The declared successors of a stage.
    pub fn declared(&self, stage: usize) -> Option<&[u8]> {
        match self {
            Self::Fixed => None,
            Self::Runtime(next) => next.get(stage)?.as_deref(),
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // On one line, also where the case is spread over many.
        write!(f, "Job({:?})", self.0)
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, streams, finish } = self;
        let text = if f.alternate() {
            format!("{setting:#?},\n    streams: {streams:#?},\n    finish: {finish:#?}")
        } else {
            format!("{setting:?}, streams: {streams:?}, finish: {finish:?}")
        };
        // Nothing in a case is a text, so that a bracket is always that of a vector.
        write!(f, "Case {{ setting: {} }}", text.replace('[', "vec!["))
    }
}
