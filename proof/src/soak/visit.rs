//! One opening of a group: what is submitted, what comes back, and that both agree.

use super::counts::{Counts, agree};
use crate::common::{Act, LONG, Random};
use crate::mill::{self, Grain, INJECTED, Mill};
use crate::oracle::Oracle;
use stageline::{
    GroupStats, Order, Outcome, Output, Receiver, RecvTimeoutError, SubmitEnd, SubmitTimeoutError,
    Submitter, TryRecvError, TrySubmitError,
};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::time::Duration;

/// Most results that are drained at once.
const DRAIN_MAX: u64 = 40;

/// One producer of a group.
pub(super) struct Feed {
    tag: u64,
    producer: u32,
    /// Requests that were accepted, by how they are to end if nothing intervenes.
    pub(super) sent: Counts,
    number: u64,
    random: Random,
    /// One in so many requests does not simply pass.
    spice: u64,
}

/// Why no more can be submitted.
pub(super) enum Stop {
    /// Not now: the window is full.
    Full,
    /// Never again: cancelled or closed.
    Refused,
}

impl Feed {
    pub(super) fn new(tag: u64, producer: u32, mut random: Random) -> Self {
        let spice = [2, 8, 64, 1 << 20][random.below(4) as usize];
        Self { tag, producer, sent: Counts::default(), number: 0, random, spice }
    }

    fn act(&mut self) -> Act {
        if self.random.below(self.spice) > 0 {
            return Act::Pass;
        }
        let acts = [Act::Fail, Act::Fail, Act::Drop, Act::Drop, Act::Panic, Act::Loop];
        acts[self.random.below(acts.len() as u64) as usize]
    }

    fn accepted(&mut self, act: Act) {
        let ledger = &mut self.sent.ledger;
        ledger.submitted += 1;
        *match act {
            Act::Pass | Act::Wait => &mut ledger.done,
            Act::Fail => &mut ledger.failed,
            Act::Drop => &mut ledger.dropped,
            Act::Panic => &mut ledger.panicked,
            Act::Loop => &mut ledger.cyclic,
        } += 1;
        self.number += 1;
    }

    /// Submits one, by value or in place; its position.
    pub(super) fn one<const SHARED: bool>(
        &mut self,
        end: &mut SubmitEnd<Mill, SHARED>,
    ) -> Result<u64, Stop> {
        let (tag, producer, number, act) = (self.tag, self.producer, self.number, self.act());
        let refused = |is_full| if is_full { Stop::Full } else { Stop::Refused };
        let position = if self.random.below(2) == 0 {
            let grain = Grain::new(tag, producer, number, act);
            let result = end.try_submit(grain);
            result.map_err(|error| refused(matches!(error, TrySubmitError::Full(_))))
        } else {
            let fill = |grain: &mut Grain| grain.refill(tag, producer, number, act);
            let result = end.try_submit_with(fill);
            result.map_err(|error| refused(matches!(error, TrySubmitError::Full(_))))
        };
        match position {
            Ok(position) => {
                self.accepted(act);
                Ok(position)
            }
            Err(stop) => {
                self.sent.full += u64::from(matches!(stop, Stop::Full));
                Err(stop)
            }
        }
    }

    /// As [`one`](Self::one), but waits while the window is full.
    pub(super) fn one_in_time<const SHARED: bool>(
        &mut self,
        end: &mut SubmitEnd<Mill, SHARED>,
    ) -> Result<(), Stop> {
        let (tag, producer, number, act) = (self.tag, self.producer, self.number, self.act());
        let grain = || Grain::new(tag, producer, number, act);
        let fill = |grain: &mut Grain| grain.refill(tag, producer, number, act);
        let submitted = match self.random.below(4) {
            0 => end.submit(grain()).is_ok(),
            1 => end.submit_with(fill).is_ok(),
            2 => end.submit_timeout(grain(), LONG).is_ok(),
            _ => match end.submit_timeout(grain(), Duration::ZERO) {
                Ok(_) => true,
                Err(SubmitTimeoutError::Timeout(_)) => return Err(Stop::Full),
                Err(_) => false,
            },
        };
        if !submitted {
            return Err(Stop::Refused);
        }
        self.accepted(act);
        Ok(())
    }

    /// Submits up to so many; how many.
    pub(super) fn some<const SHARED: bool>(
        &mut self,
        end: &mut SubmitEnd<Mill, SHARED>,
        most: u64,
    ) -> u64 {
        (0..most).take_while(|_| self.one(end).is_ok()).count() as u64
    }

    /// Submits up to so many as a batch; how many.
    pub(super) fn batch(&mut self, end: &mut Submitter<Mill>, most: u64) -> u64 {
        let (tag, producer, first) = (self.tag, self.producer, self.number);
        let acts: Vec<Act> = (0..most).map(|_| self.act()).collect();
        let grains = acts.iter().zip(first..);
        let mut grains = grains.map(|(act, number)| Grain::new(tag, producer, number, *act));
        let submitted = end.submit_batch(&mut grains);
        acts[..submitted].iter().for_each(|act| self.accepted(*act));
        submitted as u64
    }

    /// Submits with a filler that panics. A shared end's request then ends as cancelled.
    pub(super) fn broken<const SHARED: bool>(
        &mut self,
        end: &mut SubmitEnd<Mill, SHARED>,
    ) -> Result<(), String> {
        let fill = |_: &mut Grain| panic_any(format!("{INJECTED} while filling"));
        let result = catch_unwind(AssertUnwindSafe(|| end.try_submit_with(fill).map(drop)));
        match result {
            Ok(Ok(())) => Err("a filler that panicked was accepted".to_owned()),
            Ok(Err(_)) => Ok(()),
            Err(_) => {
                self.sent.filler_panics += 1;
                if SHARED {
                    self.sent.ledger.submitted += 1;
                }
                Ok(())
            }
        }
    }

    pub(super) fn random(&mut self) -> &mut Random {
        &mut self.random
    }
}

/// The receiving side of a group.
pub(super) struct Sink {
    tag: u64,
    positions: Oracle,
    numbers: Vec<Oracle>,
    /// Whether cancelled results may carry the payload of an earlier request, and so no number of this
    /// group: their fillers panicked.
    has_voids: bool,
    pub(super) came: Counts,
    pub(super) received: u64,
    random: Random,
}

impl Sink {
    /// Of a group whose first request has the position `first`.
    pub(super) fn new(tag: u64, producers: u32, order: Order, first: u64, random: Random) -> Self {
        let numbers = (0..producers).map(|_| Oracle::new(order, 0)).collect();
        let (positions, came) = (Oracle::new(order, first), Counts::default());
        Self { tag, positions, numbers, has_voids: false, came, received: 0, random }
    }

    pub(super) fn expect_voids(&mut self) {
        self.has_voids = true;
    }

    fn take(&mut self, output: &Output<'_, Mill>) -> Result<(), String> {
        let outcome = output.outcome();
        self.received += 1;
        self.came.ended(&outcome);
        self.positions.take(output.position())?;
        if self.has_voids && matches!(outcome, Outcome::Cancelled) {
            return Ok(());
        }
        mill::check(output, self.tag)?;
        if self.has_voids {
            return Ok(());
        }
        let of_producer = self.numbers.get_mut(output.producer as usize);
        of_producer.ok_or("a producer that there is not")?.take(output.number)
    }

    /// Receives what has finished, in one of the ways that there are. How many came.
    pub(super) fn some(&mut self, receiver: &mut Receiver<Mill>) -> Result<u64, String> {
        if self.random.below(2) == 0 {
            return match receiver.try_recv() {
                Ok(output) => self.take(&output).map(|()| 1),
                // Closed: the pipeline has ended, and everything has been received.
                Err(TryRecvError::Empty | TryRecvError::Closed) => Ok(0),
                Err(error) => Err(error.to_string()),
            };
        }
        let mut result = Ok(());
        let most = 1 + self.random.below(DRAIN_MAX);
        let drained = receiver.drain(most as usize, |output| {
            if result.is_ok() {
                result = self.take(output);
            }
        });
        result.map(|()| drained as u64)
    }

    /// Waits for one; `false` if no more will come.
    pub(super) fn next(&mut self, receiver: &mut Receiver<Mill>) -> Result<bool, String> {
        if self.random.below(4) == 0 {
            return match receiver.recv() {
                Ok(output) => self.take(&output).map(|()| true),
                Err(_) => Ok(false),
            };
        }
        match receiver.recv_timeout(LONG) {
            Ok(output) => self.take(&output).map(|()| true),
            Err(RecvTimeoutError::Closed) => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Waits until so many have come in all.
    pub(super) fn until(
        &mut self,
        receiver: &mut Receiver<Mill>,
        total: u64,
    ) -> Result<(), String> {
        while self.received < total {
            if self.random.below(4) == 0 {
                self.some(receiver)?;
            } else if !self.next(receiver)? {
                return Err(format!("closed after {} of {total}", self.received));
            }
        }
        Ok(())
    }

    /// Everything has come back that was sent, as it should, and the engine says so too.
    pub(super) fn finish(&mut self, sent: &Counts, stats: &GroupStats) -> Result<(), String> {
        let (own, said) = (&mut self.came, &stats.ledger);
        own.ledger.submitted = self.received;
        let total = sent.ledger.submitted;
        self.positions.finish(total)?;
        if self.received != total || !agree(&own.ledger, said) || said.received != total {
            return Err(format!("sent {total}; came {}; the engine says {said}", own.ledger));
        }
        let undisturbed = own.ledger.cancelled + own.ledger.expired == 0;
        if undisturbed && !agree(&own.ledger, &sent.ledger) {
            return Err(format!("sent to end as {}; came {}", sent.ledger, own.ledger));
        }
        Ok(())
    }
}
