//! What a submission does when the window is full: wait, give up, or make room.

use super::{Refusal, SubmitEnd};
use crate::common::{Control, Overflow};
use crate::slot::Phase;
use crate::stage::StateMachine;
use crate::sync::Ordering;
use crate::wait::wait_for;
use crate::window::Place;
use std::time::Instant;

/// How long one submission waits, by its group's policy.
#[derive(Default)]
pub(super) struct Patience {
    /// Until when, once it has begun to wait for a limited time.
    until: Option<Instant>,
}

impl<M: StateMachine, const SHARED: bool> SubmitEnd<M, SHARED> {
    /// Takes the next position after all, if room can be made for it.
    #[cold]
    pub(super) fn make_room(&mut self, refusal: Refusal) -> Result<Place, Refusal> {
        let sheds = matches!(refusal, Refusal::Full) && self.overflow == Overflow::DropOldest;
        if sheds && self.shed() { self.reserve() } else { Err(refusal) }
    }

    /// Ends the oldest unclaimed request. Whether it did.
    fn shed(&self) -> bool {
        let group = &self.group;
        // The lane behind those of the workers, which an opening has made sure of.
        let ended = group.window.shed(group.shared().workers.len());
        // Another may have found this one at it, and wait for room.
        self.tell_producers();
        let Some(phase) = ended else { return false };
        if phase == Phase::Dropped {
            group.overflowed.oldest.fetch_add(1, Ordering::Relaxed);
        }
        group.front.receive_event.notify();
        true
    }

    /// Wakes the producers that wait for something to shed: there may be something now.
    #[inline(always)]
    pub(super) fn tell_producers(&self) {
        if SHARED && self.overflow == Overflow::DropOldest {
            self.group.front.submit_event.notify();
        }
    }

    /// As [`make_room`](Self::make_room), for a submission that does not wait.
    #[cold]
    pub(super) fn make_room_or_settle(&mut self, refusal: Refusal) -> Result<Place, Refusal> {
        if matches!(refusal, Refusal::Full) && self.overflow == Overflow::DropNewest {
            self.group.overflowed.newest.fetch_add(1, Ordering::Relaxed);
            return Err(Refusal::Dropped);
        }
        self.make_room(refusal)
    }

    /// Waits for as long as the group's policy says until there may be a free slot, or a refusal; `false` if
    /// neither came in time.
    #[cold]
    pub(super) fn wait_by_policy(&mut self, patience: &mut Patience) -> bool {
        let deadline = match self.overflow {
            Overflow::Reject | Overflow::DropNewest => return false,
            Overflow::Block | Overflow::DropOldest => None,
            Overflow::BlockFor(time) => {
                let now = Instant::now();
                // A time beyond what a clock can say is for ever.
                patience.until = patience.until.or_else(|| now.checked_add(time));
                if patience.until.is_some_and(|until| now >= until) {
                    return false;
                }
                patience.until
            }
        };
        self.wait_for_space(deadline)
    }

    /// Whether a further try has something to say other than `Full`, or could make room.
    fn is_worth_a_try(&self) -> bool {
        let window = &self.group.window;
        let tail = if SHARED { window.tail() } else { self.tail };
        window.vacant(self.order, tail, &mut window.received()).is_some()
            || self.group.control() & Control::REFUSE != 0
            // Among several producers another may have had the room.
            || self.overflow == Overflow::DropOldest && window.can_shed()
    }

    /// Waits until there may be a free slot, or a refusal; `false` if neither came in time.
    #[cold]
    pub(super) fn wait_for_space(&mut self, deadline: Option<Instant>) -> bool {
        let (plan, event) = (self.group.shared().wait, &self.group.front.submit_event);
        let ready = || self.is_worth_a_try().then_some(());
        wait_for(plan, event, deadline, ready, ready).is_some()
    }
}
