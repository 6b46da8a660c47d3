//! When a worker reads the clock.
//!
//! To know how long requests take, and so how many to claim at once (`pace.rs`), it times batches, at
//! most one clock read a batch on average: the end of a batch serves as the start of the next if there
//! was no pause between them; after a pause only one batch in [`TIMED_EVERY`] is timed with two reads.

/// A batch of at least this many requests is worth a clock read each time.
const TIMED_LEN_MIN: usize = 16;
/// Of other batches one in this many is timed.
const TIMED_EVERY: u32 = 64;

/// What to do with the clock for one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timing {
    /// Nothing.
    Skip,
    /// Read it at the end, for the batch after this one.
    EndOnly,
    /// Read it at the end: the batch began at this time.
    Since(u64),
}

/// The state of one worker's clock.
#[derive(Debug, Default)]
pub(super) struct BatchClock {
    /// When the last batch ended, if it was timed and nothing has come between.
    last_end_ns: Option<u64>,
    untimed: u32,
}

impl BatchClock {
    /// A batch of `len` requests begins, which is `full` if it has reached its bound.
    #[inline(always)]
    pub(super) fn begin(&mut self, len: usize, full: bool, now_ns: impl FnOnce() -> u64) -> Timing {
        self.untimed += 1;
        if len < TIMED_LEN_MIN && !full && self.untimed < TIMED_EVERY {
            self.last_end_ns = None;
            return Timing::Skip;
        }
        self.begin_timed(len, full, now_ns)
    }

    fn begin_timed(&mut self, len: usize, full: bool, now_ns: impl FnOnce() -> u64) -> Timing {
        let last_end_ns = self.last_end_ns.take();
        // A small bound that a batch reaches is one that may have to grow, or that of long requests: one
        // read where the batch before was timed, else two for every other batch.
        let due = self.untimed >= TIMED_EVERY || (full && len < TIMED_LEN_MIN && self.untimed >= 2);
        let worth_one = len >= TIMED_LEN_MIN || (full && last_end_ns.is_some());
        if !due && !worth_one {
            return Timing::Skip;
        }
        match last_end_ns {
            Some(start_ns) => Timing::Since(start_ns),
            None if due => {
                self.untimed = 0;
                Timing::Since(now_ns())
            }
            None => Timing::EndOnly,
        }
    }

    /// The batch has ended; for one that is timed, how long it took.
    #[inline]
    pub(super) fn end(&mut self, timing: Timing, now_ns: impl FnOnce() -> u64) -> Option<u64> {
        if timing == Timing::Skip {
            return None;
        }
        let end_ns = now_ns();
        self.last_end_ns = Some(end_ns);
        match timing {
            Timing::Since(start_ns) => {
                self.untimed = 0;
                Some(end_ns.saturating_sub(start_ns))
            }
            _ => None,
        }
    }

    /// The worker found nothing to do.
    #[inline(always)]
    pub(super) fn pause(&mut self) {
        self.last_end_ns = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_to_back_batches_cost_one_read_each() {
        let mut clock = BatchClock::default();
        let mut reads = 0;
        let mut now_ns = || {
            reads += 1;
            reads * 100
        };
        for batch in 0..100 {
            let timing = clock.begin(64, true, &mut now_ns);
            let elapsed = clock.end(timing, &mut now_ns);
            assert_eq!(elapsed, (batch > 0).then_some(100), "batch {batch}");
        }
        assert_eq!(reads, 100);
    }

    /// Two groups whose batches are worth a read leave no batch of the third untimed for ever: its bound
    /// could not grow, nor its requests be found to be long.
    #[test]
    fn a_full_batch_between_those_of_busy_groups_is_timed() {
        for busy in 1..6 {
            let mut clock = BatchClock::default();
            let mut reads = 0;
            let mut now_ns = || {
                reads += 1;
                reads
            };
            let mut timed = 0;
            for _ in 0..100 {
                for _ in 0..busy {
                    let timing = clock.begin(64, true, &mut now_ns);
                    clock.end(timing, &mut now_ns);
                }
                let timing = clock.begin(1, true, &mut now_ns);
                timed += u64::from(clock.end(timing, &mut now_ns).is_some());
            }
            assert!(timed >= 99, "{timed} of 100 beside {busy}");
            assert!(reads <= 100 * (busy + 1), "{reads} reads beside {busy}");
        }
    }

    #[test]
    fn single_requests_after_pauses_cost_a_32nd_of_a_read() {
        let mut clock = BatchClock::default();
        let mut reads = 0;
        let mut now_ns = || {
            reads += 1;
            reads
        };
        for _ in 0..1600 {
            let timing = clock.begin(1, false, &mut now_ns);
            clock.end(timing, &mut now_ns);
            clock.pause();
        }
        assert_eq!(reads, 50);
    }
}
