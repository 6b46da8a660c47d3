//! The machine whose groups are driven, and its payloads, which are counted.

use crate::ASKED;
use arbitrary::Arbitrary;
use stageline::{Request, StageId, Step, state_machine};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// How a request is to end.
#[derive(Arbitrary, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Act {
    #[default]
    Pass,
    /// Past the order of the table.
    Jump,
    /// Done, after some microseconds.
    Slow,
    Fail,
    /// Leaves an error behind, and is done all the same.
    Waver,
    Drop,
    Panic,
    /// Leaves an error behind, and panics.
    FailAndPanic,
    /// To a stage that is not in the table: the one behind the last, and another.
    Beyond,
    FarBeyond,
    /// Back to the first stage, for ever.
    Loop,
    /// In the hook, where there is one.
    HookFails,
    HookPanics,
}

/// How one has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Done,
    Failed,
    Dropped,
    Cancelled,
    Expired,
    Panicked,
    Cyclic,
}

impl Act {
    /// How a request that is neither cancelled nor late ends.
    pub fn end(self, hooked: bool) -> End {
        match self {
            Self::Pass | Self::Jump | Self::Slow | Self::Waver => End::Done,
            Self::Fail => End::Failed,
            Self::Drop => End::Dropped,
            Self::Panic | Self::FailAndPanic | Self::Beyond | Self::FarBeyond => End::Panicked,
            Self::Loop => End::Cyclic,
            Self::HookFails if hooked => End::Failed,
            Self::HookPanics if hooked => End::Panicked,
            Self::HookFails | Self::HookPanics => End::Done,
        }
    }
}

/// Values that are alive in one run.
#[derive(Debug, Default)]
pub struct Counts {
    pub loads: AtomicI64,
    pub errors: AtomicI64,
}

thread_local! {
    /// Of the run of this thread: `Output::take` makes a payload out of nothing.
    static CURRENT: RefCell<Arc<Counts>> = RefCell::default();
}

/// Starts to count.
pub fn fresh_counts() -> Arc<Counts> {
    let counts = Arc::<Counts>::default();
    CURRENT.set(Arc::clone(&counts));
    counts
}

/// A payload. The box holds the id once more: a payload that is freed too early or torn shows it.
#[derive(Debug)]
pub struct Load {
    pub id: u64,
    pub act: Act,
    pub again: Box<u64>,
    counts: Arc<Counts>,
}

impl Load {
    pub fn new(id: u64, act: Act) -> Self {
        let counts = CURRENT.with_borrow(Arc::clone);
        counts.loads.fetch_add(1, SeqCst);
        Self { id, act, again: Box::new(id), counts }
    }

    /// Fills it anew, in its own box.
    pub fn fill(&mut self, id: u64, act: Act) {
        (self.id, self.act, *self.again) = (id, act, id);
    }

    pub fn is_whole(&self) -> bool {
        *self.again == self.id
    }
}

impl Default for Load {
    fn default() -> Self {
        Self::new(u64::MAX, Act::Pass)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.counts.loads.fetch_sub(1, SeqCst);
    }
}

/// What a stage fails with.
#[derive(Debug)]
pub struct Trouble {
    pub id: Box<u64>,
    counts: Arc<Counts>,
}

impl Trouble {
    fn of(load: &Load) -> Self {
        load.counts.errors.fetch_add(1, SeqCst);
        Self { id: Box::new(load.id), counts: Arc::clone(&load.counts) }
    }
}

impl Drop for Trouble {
    fn drop(&mut self) {
        self.counts.errors.fetch_sub(1, SeqCst);
    }
}

/// How long a slow stage takes: long enough for the driver to get between.
const SLOW: Duration = Duration::from_micros(20);

pub struct Driven;

#[state_machine(data = Load, error = Trouble)]
impl Driven {
    #[stage]
    fn first(&mut self, load: &mut Request<'_, Self>) -> Step {
        assert!(load.is_whole(), "a worker got half a payload");
        match load.act {
            Act::Jump => load.next(Self::THIRD),
            _ => load.next(Self::SECOND),
        }
    }

    #[stage]
    fn second(&mut self, load: &mut Request<'_, Self>) -> Step {
        match load.act {
            Act::Drop => load.drop(),
            Act::Loop => load.next(Self::FIRST),
            Act::Panic => panic!("{ASKED}{}", load.id),
            Act::Beyond => load.next(StageId::new(3)),
            Act::FarBeyond => load.next(StageId::new(u16::MAX)),
            Act::Fail | Act::Waver | Act::FailAndPanic => {
                let error = Trouble::of(load);
                let failed = load.fail(error);
                match load.act {
                    Act::Fail => failed,
                    Act::Waver => load.done(),
                    _ => panic!("{ASKED}{}", load.id),
                }
            }
            _ => load.next(Self::THIRD),
        }
    }

    #[stage]
    fn third(&mut self, load: &mut Request<'_, Self>) -> Step {
        if load.act == Act::Slow {
            let start = Instant::now();
            while start.elapsed() < SLOW {
                std::hint::spin_loop();
            }
        }
        load.done()
    }
}

/// Before each stage, where the pipeline has it.
pub fn hook(_: &mut Driven, load: &mut Request<'_, Driven>) -> Result<(), Trouble> {
    match load.act {
        Act::HookFails => Err(Trouble::of(load)),
        Act::HookPanics => panic!("{ASKED}{}", load.id),
        _ => Ok(()),
    }
}
