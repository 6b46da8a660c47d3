//! How often each stage is entered, counted where requests leave the straight way.
//!
//! Most stages answer with the stage behind them in the table, and a counter for every entry would
//! be the most frequent store of a worker. So only the exceptions are counted: how often a stage was
//! left for another one than the next in the table (or for good), and how often a stage was reached in
//! that way. What flows into a stage flows out of it, so that the entries follow:
//!
//! ```text
//! entered(0) = begun + reached(0)
//! entered(s) = entered(s - 1) - left(s - 1) + reached(s)
//! ```
//!
//! The idea to count some edges of a program's graph and infer the others is that of Knuth and
//! Stevenson, "Optimal measurement points for program frequency counts", BIT 13 (1973).

use crate::slab::{OutOfMemory, Slab};
use crate::sync::{self, AtomicU64, Ordering};

/// One worker's counts of the ways of its requests through the stages. Written by the worker with
/// Relaxed stores, read for the statistics: exact when the worker is between two batches.
#[derive(Debug)]
pub struct Flow {
    /// Requests that began to run, whole batches at a time.
    begun: AtomicU64,
    exceptions: Slab<Exceptions>,
}

/// Of one stage, modulo 2^64.
#[derive(Debug, Default)]
struct Exceptions {
    /// Left otherwise than for the next stage of the table.
    left: AtomicU64,
    /// Reached otherwise than from the stage before; less by one for each request that was to enter
    /// the stage and did not.
    reached: AtomicU64,
}

impl Flow {
    /// No requests yet, of a machine of so many stages.
    pub fn try_new(stages: usize) -> Result<Self, OutOfMemory> {
        let exceptions = Slab::try_new(stages, |_| Exceptions::default())?;
        Ok(Self { begun: AtomicU64::new(0), exceptions })
    }

    /// Bytes that the counts of so many stages take.
    pub fn bytes(stages: usize) -> usize {
        Slab::<Exceptions>::bytes(stages)
    }

    /// A batch has ended, whose requests began at the first stage, or were turned back there. For the
    /// worker itself.
    #[inline(always)]
    pub fn begin(&self, requests: usize) {
        sync::add_alone(&self.begun, requests as u64);
    }

    /// A request leaves this stage, and does not go on to the next one of the table; from the last
    /// one none does, and nothing is counted. For the worker itself.
    #[inline(always)]
    pub fn leave(&self, stage: usize) {
        if stage + 1 < self.exceptions.len() {
            sync::add_alone(&self.exceptions[stage].left, 1);
        }
    }

    /// A request goes to this stage, and not from the one before it. For the worker itself.
    #[inline(always)]
    pub fn reach(&self, stage: usize) {
        sync::add_alone(&self.exceptions[stage].reached, 1);
    }

    /// A request that was to enter this stage does not. For the worker itself.
    pub fn turn_back(&self, stage: usize) {
        sync::add_alone(&self.exceptions[stage].reached, u64::MAX);
    }

    /// How often each stage has been entered.
    pub fn entered(&self) -> impl Iterator<Item = u64> + '_ {
        let begun = self.begun.load(Ordering::Relaxed);
        self.exceptions.iter().scan(begun, |flow, stage| {
            let entered = flow.wrapping_add(stage.reached.load(Ordering::Relaxed));
            *flow = entered.wrapping_sub(stage.left.load(Ordering::Relaxed));
            // In the middle of a batch it may be less than nothing.
            Some(if entered > i64::MAX as u64 { 0 } else { entered })
        })
    }
}

#[cfg(all(test, not(stageline_models)))]
mod tests {
    use super::*;

    #[test]
    fn entries_follow_from_the_exceptions() {
        let flow = Flow::try_new(4).expect("little memory");
        flow.begin(10);
        // Three of ten end after stage 0; two of the seven others go from 1 to 3, one back to 0 and
        // on by the straight way; all end after 3, but for one that is turned back before it.
        (0..3).for_each(|_| flow.leave(0));
        for to in [3, 3, 0] {
            flow.leave(1);
            flow.reach(to);
        }
        flow.turn_back(3);
        (0..6).for_each(|_| flow.leave(3));
        assert_eq!(flow.entered().collect::<Vec<_>>(), [11, 8, 5, 6]);
    }

    #[test]
    fn less_than_nothing_is_nothing() {
        let flow = Flow::try_new(2).expect("little memory");
        flow.leave(0);
        assert_eq!(flow.entered().collect::<Vec<_>>(), [0, 0]);
    }
}
