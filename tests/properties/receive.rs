//! What a case does with the receive end of a group.

use super::case::{Get, Take, Wait};
use super::log::{Got, is_set, planned};
use super::machine::{Machine, Marks, PLANNED, Parcel, World};
use super::model::Ending;
use stageline::{Outcome, Output, Receiver, RecvError, RecvTimeoutError, TryRecvError};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// One receive end's user.
pub struct Consumer {
    world: Arc<World>,
    marks: Arc<Marks>,
    /// The same thread submits, so it must not wait for nothing.
    pub is_alone: bool,
    pub got: Vec<Got>,
    /// The output that was leaked last: it has to come again.
    leaked: Option<(u64, u64)>,
    /// It was told so.
    pub is_closed: bool,
    pub odd: Vec<String>,
}

impl Consumer {
    pub fn new(world: &Arc<World>, marks: &Arc<Marks>) -> Self {
        Self {
            world: Arc::clone(world),
            marks: Arc::clone(marks),
            is_alone: true,
            got: Vec::new(),
            leaked: None,
            is_closed: false,
            odd: Vec::new(),
        }
    }

    pub fn get(&mut self, end: &mut Receiver<Machine>, get: &Get) {
        self.world.operations.fetch_add(1, SeqCst);
        match get {
            Get::Receive(wait, take) => self.receive(end, *wait, *take),
            Get::Drain { max, panics_at } => self.drain(end, *max, *panics_at),
            Get::CancelByReceiver => {
                self.marks.cancel.store(true, SeqCst);
                end.cancel();
                self.marks.cancel_done.store(true, SeqCst);
            }
            Get::Look => {
                let ledger = end.stats().ledger;
                let received = self.got.len() as u64;
                if ledger.received != received || ledger.ended() < received {
                    self.odd.push(format!("books: received {received}, but {ledger}"));
                }
            }
        }
    }

    /// Receives all that is left. The submit end is gone, or will be.
    pub fn receive_rest(&mut self, end: &mut Receiver<Machine>) {
        while !self.is_closed {
            match end.recv() {
                Ok(output) => self.take(output, Take::Leave),
                Err(RecvError::Closed) => self.closed(),
                Err(error) => self.odd.push(format!("closed: {error}, of a receive end alone")),
            }
        }
    }

    fn receive(&mut self, end: &mut Receiver<Machine>, wait: Wait, take: Take) {
        let in_flight = end.in_flight();
        match wait {
            Wait::Block if !self.is_alone || in_flight > 0 => match end.recv() {
                Ok(output) => self.take(output, take),
                Err(error) => {
                    if self.is_alone {
                        self.odd.push(format!("recv: {error}, with {in_flight} in flight"));
                    }
                    self.closed();
                }
            },
            Wait::Micros(micros) => match end.recv_timeout(Duration::from_micros(micros)) {
                Ok(output) => self.take(output, take),
                Err(RecvTimeoutError::Closed) => self.closed(),
                Err(_) => {}
            },
            _ => match end.try_recv() {
                Ok(output) => self.take(output, take),
                Err(TryRecvError::Closed) => self.closed(),
                Err(_) => {}
            },
        }
    }

    fn drain(&mut self, end: &mut Receiver<Machine>, max: usize, panics_at: Option<usize>) {
        let before = self.got.len();
        let drained = planned(|| {
            end.drain(max, |output| {
                let got = self.look(output);
                self.received(got);
                if panics_at == Some(self.got.len() - 1 - before) {
                    panic!("{PLANNED}in the drain");
                }
            })
        });
        let seen = self.got.len() - before;
        if seen > max || drained.is_some_and(|drained| drained != seen) {
            self.odd.push(format!("drain: {seen} lent, {drained:?} said, {max} asked for"));
        }
    }

    fn closed(&mut self) {
        let (marks, world) = (&self.marks, &self.world);
        let is_due = [&marks.submitter_gone, &marks.cancel, &world.ending].map(is_set);
        if !is_due.contains(&true) {
            self.odd.push("closed: but more can be submitted".to_owned());
        }
        self.is_closed = true;
    }

    fn look(&self, output: &Output<'_, Machine>) -> Got {
        let ending = match output.outcome() {
            Outcome::Done => Ending::Done,
            Outcome::Failed { error: fault, .. } => Ending::Failed(fault.number, fault.visit),
            Outcome::Dropped { .. } => Ending::Dropped,
            Outcome::Cancelled => Ending::Cancelled,
            Outcome::Expired => Ending::Expired,
            Outcome::Panicked(text) => Ending::Panicked(text.to_owned()),
            Outcome::Cyclic(cycle) => Ending::Cyclic(cycle.to_string()),
            Outcome::FailedAs { .. } | Outcome::Abandoned => {
                unreachable!("no stage here answers so")
            }
        };
        Got {
            position: output.position(),
            number: output.number,
            ending,
            trace: output.trace.clone(),
            cancel_begun: is_set(&self.marks.cancel),
            end_begun: is_set(&self.world.ending),
            at: Instant::now(),
        }
    }

    /// Writes a result down, which is the one that was leaked, if one was.
    fn received(&mut self, got: Got) {
        let this = (got.position, got.number);
        if let Some(leaked) = self.leaked.take()
            && leaked != this
        {
            self.odd.push(format!("leak: {leaked:?} was leaked, and {this:?} came"));
        }
        if self.is_closed {
            self.odd.push(format!("closed: and then {this:?} came"));
        }
        self.got.push(got);
    }

    fn take(&mut self, output: Output<'_, Machine>, take: Take) {
        let got = self.look(&output);
        let (number, ending) = (got.number, got.ending.clone());
        self.received(got);
        let is_own = match take {
            Take::Leave => return drop(output),
            Take::Leak => {
                let got = self.got.pop().expect("the one above");
                self.leaked = Some((got.position, got.number));
                return mem::forget(output);
            }
            Take::Own => output.take().number == number,
            Take::Replace => output.replace(Parcel::blank(&self.world.census)).number == number,
            Take::IntoError => match output.into_error() {
                Ok(fault) => ending == Ending::Failed(fault.number, fault.visit),
                Err(output) => !matches!(ending, Ending::Failed(..)) && output.number == number,
            },
        };
        if !is_own {
            self.odd.push(format!("taken: {take:?} of {number}, {ending:?}, gave another one"));
        }
    }
}
