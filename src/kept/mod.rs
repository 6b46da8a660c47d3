//! What a request that outlives its batch takes: one that is to be retried, is held, waits in a pool's queue, or is
//! suspended. One entry a slot, for machines that keep requests; whoever owns the slot owns its entry.
//!
//! ```text
//!                       retry: a worker's wheel ────┐
//!  run by a worker ───► hold: a worker's list ──────┼──► run on, by the worker that kept it
//!     ▲                 hop: a pool's queue ────────┼──► run on, by a thread of the pool
//!     └──────────────── suspended: nobody's ────────┘    (by ticket, then by a pool's queue)
//! ```
//!
//! 1. A slot whose request is kept stays Ready by its turn, behind the claim cursor: no other worker takes it, and
//!    its receiver does not see it as finished.
//! 2. A worker that keeps a request owns its slot as one that runs it does. Lists and wheels are linked through
//!    the entries, so that they need no memory of their own and are never full.
//! 3. A queue hands the slot on: what went before the push comes before the pop.
//! 4. Who owns the slot of a suspended request is said by [`Parking`].

mod parking;
mod wheel;

pub use parking::{Parked, Parking, Standing};
pub use wheel::Wheel;

use crate::limits::DESCRIPTION_MAX;
use arrayvec::ArrayString;

/// Which slot of which group: of the entries that lists, wheels and queues name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link(u64);

impl Link {
    /// No slot.
    pub const NONE: Self = Self(u64::MAX);

    /// A slot of a group. (Neither has so many bits that this could be [`NONE`](Self::NONE).)
    pub fn new(group: u32, slot: usize) -> Self {
        Self(u64::from(group) << 32 | slot as u64)
    }

    /// The group's index.
    pub fn group(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The slot's index in its window.
    pub fn slot(self) -> usize {
        self.0 as u32 as usize
    }

    /// This one, if it is a slot.
    pub fn some(self) -> Option<Self> {
        (self != Self::NONE).then_some(self)
    }
}

/// What is remembered of a request that is or has been kept. It is that of an earlier request of the slot until
/// it is [made that of](Self::of) the present one.
#[derive(Debug)]
#[repr(C)]
pub struct Kept {
    /// The request that it is about. With what else is asked of each request it stands first.
    position: u64,
    /// Retries that `retried_by` has asked for in a row.
    pub retries: u32,
    /// The stage that asked for the last retry.
    pub retried_by: u16,
    /// The stage to go on at.
    pub stage: u16,
    /// Whether it is counted as kept.
    pub is_counted: bool,
    /// Stages that it has run through, but for calls that held it; in an acyclic machine, since its last retry.
    pub visits: u32,
    /// The next in the list, or the bucket of a wheel, that it stands in.
    pub next: Link,
    /// How many of those that follow it were held where it last became a leader.
    pub led: u32,
    /// A ticket for it has been made, and the stage has not answered yet.
    pub has_ticket: bool,
    /// The first of those that share its outcome.
    pub followers: Link,
    /// When it is due, in nanoseconds since the pipeline's start.
    pub due_ns: u64,
    /// What a stage said of it.
    pub description: ArrayString<DESCRIPTION_MAX>,
}

impl Kept {
    /// An entry about no request; `position` is one that the slot will not stand for soon.
    pub fn new(position: u64) -> Self {
        Self {
            position,
            is_counted: false,
            stage: 0,
            retried_by: 0,
            retries: 0,
            visits: 0,
            next: Link::NONE,
            led: 0,
            has_ticket: false,
            followers: Link::NONE,
            due_ns: 0,
            description: ArrayString::new_const(),
        }
    }

    /// The entry as that of the request at this position: a fresh one, if it was about an earlier one.
    pub fn of(&mut self, position: u64) -> &mut Self {
        if self.position != position {
            *self = Self::new(position);
        }
        self
    }

    /// The entry, if it is about the request at this position.
    pub fn if_of(&self, position: u64) -> Option<&Self> {
        (self.position == position).then_some(self)
    }

    /// Which attempt of its stage this is.
    pub fn attempts(&self) -> u32 {
        self.retries.saturating_add(1)
    }

    /// Notes what is said of the request: as much as there is room for, up to the end of a character.
    pub fn describe(&mut self, text: &str) {
        self.description.clear();
        let fits =
            (0..=text.len().min(DESCRIPTION_MAX)).rev().find(|end| text.is_char_boundary(*end));
        self.description.push_str(&text[..fits.unwrap_or(0)]);
    }
}

/// The entries of the slots that a thread owns, by their links.
pub trait Entries {
    /// Runs `f` on an entry.
    fn entry<R>(&self, link: Link, f: impl FnOnce(&mut Kept) -> R) -> R;

    /// Calls `each` with all that follow a request. Those that follow its followers follow it itself from then on,
    /// behind the others, so that there is no tree to climb. How many they are.
    fn for_all_led(&self, leader: Link, mut each: impl FnMut(Link)) -> u64 {
        let next = |link| self.entry(link, |entry| entry.next);
        let last_from = |link| std::iter::successors(Some(link), |one| next(*one).some()).last();
        let first = self.entry(leader, |entry| entry.followers);
        let (mut link, mut last, mut count) = (first, first.some().and_then(last_from), 0);
        while let Some(one) = link.some() {
            each(one);
            count += 1;
            let own = self.entry(one, |entry| std::mem::replace(&mut entry.followers, Link::NONE));
            if let (Some(before), Some(_)) = (last, own.some()) {
                self.entry(before, |entry| entry.next = own);
                last = last_from(own);
            }
            link = next(one);
        }
        count
    }
}

#[cfg(all(test, not(stageline_models)))]
mod tests {
    use super::*;

    #[test]
    fn a_link_names_the_last_slot_of_the_last_group() {
        for (group, slot) in [(0, 0), (1, 7), (u32::MAX, (1 << 31) - 1)] {
            let link = Link::new(group, slot);
            assert_eq!((link.group(), link.slot()), (group, slot));
            assert_eq!(link.some(), Some(link));
        }
        assert_eq!(Link::NONE.some(), None);
    }

    #[test]
    fn a_description_ends_with_a_whole_character() {
        let mut kept = Kept::new(0);
        kept.describe(&"é".repeat(DESCRIPTION_MAX));
        assert_eq!(kept.description.as_str(), "é".repeat(DESCRIPTION_MAX / 2));
        kept.describe(&format!("x{}", "é".repeat(DESCRIPTION_MAX)));
        assert_eq!(kept.description.len(), DESCRIPTION_MAX - 1);
        kept.describe("short");
        assert_eq!(kept.description.as_str(), "short");
        assert!(kept.of(1).description.is_empty(), "that of an earlier request");
    }
}
