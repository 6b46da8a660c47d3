//! Tickets: how a suspended request goes on, from any thread.

use crate::common::Common;
use crate::kept::{Link, Parked, Standing};
use crate::stage::{StageId, StateMachine, no_such_stage};
use crate::sync::{Arc, Ordering, thread};
use std::fmt;

/// The right to resume a request that a stage has suspended ([`Request::suspend`](crate::Request::suspend)).
///
/// It goes to any thread: to that of another system's completion, say. Dropped unused it ends the request as
/// [abandoned](crate::Outcome::Abandoned). When the pipeline has ended meanwhile the request has ended as cancelled,
/// and a ticket does nothing. Nor does one whose stage has answered otherwise than by its suspension, or has made
/// another ticket for the request. It keeps the pipeline's memory.
///
/// To make and to use one allocates nothing; to use it takes a queue's push, and wakes a worker that sleeps.
#[must_use = "dropping a ticket ends its request as abandoned"]
pub struct Ticket<M: StateMachine> {
    common: Arc<Common<M::Data, M::Error>>,
    link: Link,
    /// Its number among those of the slot.
    number: u64,
    maker: thread::ThreadId,
    is_used: bool,
}

impl<M: StateMachine> Ticket<M> {
    pub(crate) fn new(common: Arc<Common<M::Data, M::Error>>, link: Link, number: u64) -> Self {
        Self { common, link, number, maker: thread::current().id(), is_used: false }
    }

    /// Index of the request's group.
    pub fn group(&self) -> usize {
        self.link.group() as usize
    }

    /// The request goes on at this stage, run by a worker or by the stage's pool.
    ///
    /// # Panics
    ///
    /// If the machine has no such stage; the request is then abandoned.
    pub fn resume(mut self, stage: StageId<M>) {
        self.use_up(stage);
    }

    /// As [`resume`](Self::resume), after `fill` has been given the payload: so the answer of another system gets to
    /// the stage. If the stage that suspended the request has not returned yet, this waits until it has.
    ///
    /// # Panics
    ///
    /// As for `resume`; also inside of the stage that made the ticket, which would wait for itself: it has the
    /// payload at hand. A panic of `fill` abandons the request.
    pub fn resume_with(mut self, stage: StageId<M>, fill: impl FnOnce(&mut M::Data)) {
        let window = &self.common.group(self.link.group()).window;
        let parking = window.parking(self.link.slot());
        while parking.standing(self.number) == Standing::Runs {
            assert!(
                self.maker != thread::current().id(),
                "`resume_with` inside of the stage that suspends the request would wait for itself"
            );
            thread::yield_now();
        }
        if !parking.borrow(self.number) {
            // It is void, or the receiver has ended the request.
            self.is_used = true;
            return;
        }
        // SAFETY: the parking word says that the slot is lent to the ticket of this number, of which there is one.
        unsafe { window.value(self.link.slot(), |value| fill(&mut *value)) };
        self.use_up(stage);
    }

    fn use_up(&mut self, stage: StageId<M>) {
        let stages = self.common.stage_hops.len();
        if stage.index() >= stages {
            no_such_stage(stage.index(), stages);
        }
        self.send(Parked::Resumed(stage.index() as u16), self.common.stage_hops[stage.index()]);
    }

    fn send(&mut self, to: Parked, hop: u16) {
        self.is_used = true;
        let window = &self.common.group(self.link.group()).window;
        if window.parking(self.link.slot()).send(self.number, to) {
            self.common.suspended.fetch_sub(1, Ordering::Relaxed);
            self.common.send_late(usize::from(hop), self.link);
        }
    }
}

impl<M: StateMachine> Drop for Ticket<M> {
    fn drop(&mut self) {
        if !self.is_used {
            self.send(Parked::Dropped, 0);
        }
    }
}

impl<M: StateMachine> fmt::Debug for Ticket<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("group", &self.group()).finish_non_exhaustive()
    }
}
