//! How the receive end waits.

use super::Receiver;
use crate::error::TryRecvError;
use crate::stage::StateMachine;
use crate::wait::wait_for;
use std::time::Instant;

/// How a wait ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Waited {
    Result,
    NothingInFlight,
    Closed,
    TimedOut,
}

impl<M: StateMachine> Receiver<M> {
    /// Waits for a result, or the end; see [`recv_as`](Self::recv_as) on `is_alone`.
    pub(super) fn wait(&self, deadline: Option<Instant>, is_alone: bool) -> Waited {
        if is_alone && self.next().is_none() && self.in_flight() == 0 {
            return Waited::NothingInFlight;
        }
        let (plan, event) = (self.group.shared().wait, &self.group.front.receive_event);
        let look = || self.next().map(|_| Waited::Result);
        wait_for(plan, event, deadline, look, || self.why(is_alone)).unwrap_or(Waited::TimedOut)
    }

    /// What ends a wait now, if anything does.
    #[cold]
    fn why(&self, is_alone: bool) -> Option<Waited> {
        match self.next_or_why() {
            Ok(_) => Some(Waited::Result),
            // What was in flight has been kept apart.
            Err(_) if is_alone && self.in_flight() == 0 => Some(Waited::NothingInFlight),
            Err(TryRecvError::Closed) => Some(Waited::Closed),
            Err(TryRecvError::Empty) => None,
        }
    }
}
