//! Slots that are being filled, and what becomes of them if the user's code panics meanwhile.

use super::{SubmitEnd, Submitter};
use crate::slot::Slot;
use crate::stage::StateMachine;
use crate::window::{Order, Place};

/// Requests of a batch that are published together.
pub(super) const BATCH: u64 = 64;

/// Filled slots that are published together, even if the iterator panics: last to first, so that a
/// worker, which waits for the first, finds all of them ready and does not take the lines away while
/// they are written.
pub(super) struct Batch<'a, M: StateMachine> {
    end: &'a mut Submitter<M>,
    /// Positions that other threads have been told of.
    announced: u64,
    /// Those of them that are filled.
    filled: u64,
}

impl<'a, M: StateMachine> Batch<'a, M> {
    /// Announces as many positions as there is room for, [`BATCH`] at most.
    #[inline(always)]
    pub(super) fn announce(end: &'a mut Submitter<M>) -> Self {
        let vacant = end.group.window.vacancies(end.tail, BATCH, &mut end.received);
        let announced = if vacant > 0 && end.announce(vacant).is_ok() { vacant } else { 0 };
        Self { end, announced, filled: 0 }
    }

    /// Fills the announced slots from the iterator, as far as it goes, and publishes them. Returns how
    /// many, and whether there may be room for more.
    #[inline(always)]
    pub(super) fn fill(mut self, values: &mut impl Iterator<Item = M::Data>) -> (u64, bool) {
        let (end, announced) = (&*self.end, self.announced as usize);
        let (window, first) = (&end.group.window, end.tail);
        // Apart, so that the order is looked at once, and for slots in a row where they are.
        match end.order {
            Order::Submission => {
                let slots = window.stretch(first, announced);
                end.fill(slots.iter(), values, &mut self.filled);
            }
            order @ Order::Completion => {
                let slot = |ahead| window.slot_of(order, first.wrapping_add(ahead as u64));
                let slots = (0..announced).map(|ahead| window.slot(slot(ahead)));
                end.fill(slots, values, &mut self.filled);
            }
        }
        (self.filled, self.filled > 0 && self.filled == self.announced)
    }
}

impl<M: StateMachine> Submitter<M> {
    /// Moves values into announced slots, the first of which is that of the tail.
    #[inline(always)]
    fn fill<'s>(
        &'s self,
        slots: impl ExactSizeIterator<Item = &'s Slot<M::Data>>,
        values: &mut impl Iterator<Item = M::Data>,
        filled: &mut u64,
    ) {
        let has_notes = self.has_notes(self.tail, slots.len() as u64);
        for slot in slots {
            let Some(value) = values.next() else { break };
            if has_notes {
                let position = self.tail.wrapping_add(*filled);
                self.note(self.group.window.place(self.order, position), self.deadline_ns);
            }
            let old = self.put(slot, value);
            *filled += 1;
            drop(old);
        }
    }
}

impl<M: StateMachine> Drop for Batch<'_, M> {
    #[inline(always)]
    fn drop(&mut self) {
        let end = &mut *self.end;
        let first = end.tail;
        end.tail = first.wrapping_add(self.filled);
        if self.filled < self.announced {
            end.take_back();
        }
        if self.filled > 0 {
            end.group.window.publish_batch(end.order, first, self.filled);
            end.group.attend();
        }
    }
}

/// Publishes a slot that has been filled. If the filler panicked instead, a sole producer takes its
/// announcement back; a shared one must hand the position on.
pub(super) struct Filling<'a, M: StateMachine, const SHARED: bool> {
    pub(super) end: &'a mut SubmitEnd<M, SHARED>,
    pub(super) place: Place,
    pub(super) filled: bool,
}

impl<M: StateMachine, const SHARED: bool> Drop for Filling<'_, M, SHARED> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.filled {
            self.end.note(self.place, self.end.deadline_ns);
            self.end.publish(self.place);
        } else if SHARED {
            self.end.publish_void(self.place);
        } else {
            self.end.take_back();
        }
    }
}
