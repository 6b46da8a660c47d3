//! Slots that are being filled, and what becomes of them if the user's code panics meanwhile.

use super::{SubmitEnd, Submitter};
use crate::stage::StateMachine;
use crate::window::Place;

/// Requests of a batch that are published together.
pub(super) const BATCH: u64 = 64;

/// Filled slots that are published together, even if the iterator panics: last to first, so that a
/// worker, which waits for the first, finds all of them ready and does not take the lines away while
/// they are written.
pub(super) struct Batch<'a, M: StateMachine> {
    pub(super) end: &'a mut Submitter<M>,
    pub(super) filled: u64,
}

impl<M: StateMachine> Batch<'_, M> {
    /// Fills slots from the iterator, as far as both go and at most [`BATCH`].
    #[inline(always)]
    pub(super) fn fill(&mut self, values: &mut impl Iterator<Item = M::Data>) {
        while self.filled < BATCH {
            let position = self.end.tail.wrapping_add(self.filled);
            let end = &mut *self.end;
            let vacant = end.group.window.vacant(end.order, position, &mut end.received);
            let Some(place) = vacant else { break };
            if end.announce(self.filled + 1).is_err() {
                break;
            }
            let Some(value) = values.next() else { break };
            let old = self.end.put(place, value);
            self.filled += 1;
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
        if self.filled < BATCH {
            end.take_back(0);
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
            self.end.take_back(0);
        }
    }
}
