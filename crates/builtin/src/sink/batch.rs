//! Sinks that write many messages at once.
//!
//! 1. A message is put into the batch, and held: it is not done before its batch was written.
//! 2. The batch is written when it is full, when its first message comes again because of its age, or because the run
//!    ends. The message that it is written with leads those that are held.
//! 3. If writing fails, the leader answers for all of them. If it is to be tried again, the batch is put aside, and
//!    the leader carries its number ([`MARK`]) until it comes again; meanwhile another batch is filled.
//! 4. When it comes again its batch is written alone, and the answer concerns nothing else: what is held meanwhile is a
//!    batch of its own, with its own attempts, and is held on.
//! 5. Nobody says that a leader does not come again, its attempts being spent. So of the batches put aside those that
//!    are the oldest are given up when there are too many. The leader of one, if it does come, fails.

use crate::factory::{answer, defaulted};
use crate::status::GIVEN_UP;
use stageline_component::{
    AttributeError, AttributeKind, AttributeSpec, Attributes, Component, Error, Message, Report,
};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The attribute of a message that leads a batch to be written again: the number of the batch.
pub(crate) const MARK: &str = "stageline.batch";

/// How many batches wait to be written again.
const ASIDE_MAX: usize = 1024;

/// How many messages a batch has at most.
const MESSAGES_MOST: i64 = 1_000_000;

/// How long a message is held at most.
const HELD_MOST: Duration = Duration::from_secs(3_600);

pub(super) const BATCH: AttributeSpec = defaulted(
    "batch",
    AttributeKind::Integer,
    "1000",
    "How many messages are written at once, at most, from 1 to 1000000. Of those that are to be written again, 1024 \
     batches are kept; the messages of an older one fail (status 221).",
);

pub(super) const FLUSH_EVERY: AttributeSpec = defaulted(
    "flush_every",
    AttributeKind::Duration,
    "50ms",
    "How long a message waits for others to be written with, up to 1h; with 0 it does not.",
);

/// How many messages are written at once, and how long they wait for each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) messages_max: usize,
    pub(super) flush_every: Duration,
}

impl Limits {
    pub(super) fn of(attributes: &Attributes) -> Result<Self, AttributeError> {
        let messages_max = attributes.integer_in(BATCH.name, 1..=MESSAGES_MOST)?.unwrap_or(1);
        let flush_every = attributes.duration(FLUSH_EVERY.name).unwrap_or_default();
        if flush_every > HELD_MOST {
            let value = flush_every.as_secs_f64().into();
            return Err(AttributeError::invalid(FLUSH_EVERY.name, &value, "up to 1h"));
        }
        Ok(Self { messages_max: messages_max as usize, flush_every })
    }
}

/// Why a batch was not written. If the report is a retry, it is written again from its beginning.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) report: Report,
    pub(super) text: String,
}

/// What batches are written to.
pub(super) trait Target: Send {
    /// What is kept of messages.
    type Batch: Default + Send;

    /// Appends a message. Where that fails nothing is appended, the message is described, and fails alone.
    fn add(&mut self, message: &mut Message, batch: &mut Self::Batch) -> Result<(), Report>;

    /// Whether it is full, however few messages it has.
    fn is_full(&self, batch: &Self::Batch) -> bool;

    /// Forgets the messages, and keeps the memory.
    fn clear(&self, batch: &mut Self::Batch);

    /// Hands all of it to the system.
    fn write(&mut self, batch: &mut Self::Batch) -> Result<(), Failure>;

    /// The end, after the last batch.
    fn close(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// A sink that writes batches.
pub(super) struct Batched<T: Target> {
    target: T,
    limits: Limits,
    batch: T::Batch,
    count: usize,
    /// Those to be written again, by number.
    aside: VecDeque<(u64, T::Batch)>,
}

/// The number of the next batch that is put aside, of all sinks: so that none is taken for another's.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The number that a leader carries.
fn mark(message: &Message) -> Option<u64> {
    let bytes = message.attribute(MARK)?.try_into().ok()?;
    (message.attempt() > 1).then(|| u64::from_le_bytes(bytes))
}

impl<T: Target> Batched<T> {
    pub(super) fn new(target: T, limits: Limits) -> Self {
        Self { target, limits, batch: T::Batch::default(), count: 0, aside: VecDeque::new() }
    }

    /// What was put aside, for another try.
    fn again(&mut self, message: &mut Message, number: u64) -> Report {
        message.remove_attribute(MARK);
        let Some(index) = self.aside.iter().position(|(known, _)| *known == number) else {
            // What is held now is none of its business.
            return answer(message, GIVEN_UP, "too many other batches failed meanwhile");
        };
        let (_, batch) = self.aside.remove(index).expect("it was found there");
        message.go_alone();
        self.write(message, batch)
    }

    /// Writes what is held, for which the message answers.
    fn write_held(&mut self, message: &mut Message) -> Report {
        self.count = 0;
        let batch = std::mem::take(&mut self.batch);
        let report = self.write(message, batch);
        if report != Report::DONE {
            message.lead();
        }
        report
    }

    fn write(&mut self, message: &mut Message, mut batch: T::Batch) -> Report {
        if let Err(failure) = self.target.write(&mut batch) {
            return self.failed(message, batch, failure);
        }
        if self.count == 0 {
            // Its memory is for those that come next.
            self.target.clear(&mut batch);
            self.batch = batch;
        }
        Report::DONE
    }

    /// The answer to a batch that was not written.
    fn failed(&mut self, message: &mut Message, batch: T::Batch, failure: Failure) -> Report {
        if matches!(failure.report.status(), 100..=199) {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = message.set_attribute(MARK, &number.to_le_bytes()) {
                return answer(message, GIVEN_UP, format_args!("{}; {error}", failure.text));
            }
            if self.aside.len() == ASIDE_MAX {
                self.aside.pop_front();
            }
            self.aside.push_back((number, batch));
        }
        answer(message, failure.report, failure.text)
    }
}

impl<T: Target> Component for Batched<T> {
    fn handle(&mut self, message: &mut Message) -> Report {
        if let Some(number) = mark(message) {
            return self.again(message, number);
        }
        if message.flush().is_none() {
            if let Err(report) = self.target.add(message, &mut self.batch) {
                return report;
            }
            self.count += 1;
            let is_full = self.count >= self.limits.messages_max
                || self.limits.flush_every.is_zero()
                || self.target.is_full(&self.batch);
            if !is_full {
                return message.hold_for(self.limits.flush_every);
            }
        }
        self.write_held(message)
    }

    fn close(&mut self) -> Result<(), Error> {
        // What is held comes again before the end. Should it not, it is written all the same.
        let written = match self.count {
            0 => Ok(()),
            _ => self.target.write(&mut self.batch).map_err(|failure| Error::new(failure.text)),
        };
        self.target.close().and(written)
    }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
