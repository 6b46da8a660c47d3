//! A request that outlives its stage's call: for machines that keep requests ([`StateMachine::KEEPS`]).

use super::{Request, Ticket};
use crate::common::{Flush, Keeper, Owned};
use crate::kept::{Entries, Kept, Link};
use crate::stage::{StageId, StateMachine, Step};
use crate::sync::Arc;
use std::time::Duration;

/// Refuses, as the program is compiled, what a machine that keeps no requests cannot do.
macro_rules! keeps {
    ($machine:ident) => {
        const {
            assert!(
                $machine::KEEPS,
                "the machine does not say that it keeps requests: `const KEEPS: bool = true`"
            );
        }
    };
}

impl<M: StateMachine> Request<'_, M> {
    /// The answer: run it again, later, by the [policy](crate::Retry) of the stage or of the pipeline. When the attempts
    /// are spent it fails with this error.
    #[inline]
    pub fn retry(&mut self, error: M::Error) -> Step {
        keeps!(M);
        self.set_error(error);
        Step::RETRY
    }

    /// Which attempt this is: 1, unless a stage has asked for retries of the request. They are counted as long as one
    /// stage asks, and anew when another one does.
    pub fn attempt(&self) -> u32 {
        let position = self.position();
        if !M::KEEPS { 1 } else { self.kept(|kept| kept.if_of(position).map_or(1, Kept::attempts)) }
    }

    /// As [`attempt`](Self::attempt), where only retries count that this stage has asked for.
    pub fn attempt_here(&self) -> u32 {
        let (position, stage) = (self.position(), self.stage().index());
        let attempts = |kept: &Kept| match usize::from(kept.retried_by) == stage {
            true => kept.attempts(),
            false => 1,
        };
        if !M::KEEPS { 1 } else { self.kept(|kept| kept.if_of(position).map_or(1, attempts)) }
    }

    /// Whether a stage has kept it before.
    pub(crate) fn was_kept(&self) -> bool {
        let position = self.position();
        M::KEEPS && self.kept(|kept| kept.if_of(position).is_some())
    }

    /// The answer: the request is held, and waits for more. It goes on when this stage makes another request the
    /// [leader](Self::lead) of those that it holds, and then shares what becomes of that one. Errors are shared by
    /// cloning them.
    ///
    /// No later than `at_most` after the first of them was held, and when the pipeline drains, the stage is called
    /// with that first one again, which then leads the others; [`flush`](Self::flush) says so. If it is held again,
    /// all of them are.
    ///
    /// Each worker's machine holds its own requests, of all groups. A machine that panics takes what it
    /// holds with it: they end as panicked.
    #[inline]
    pub fn hold(&mut self, at_most: Duration) -> Step
    where
        M::Error: Clone,
    {
        keeps!(M);
        self.keeper(|keeper| {
            keeper.share = Some(M::Error::clone);
            keeper.hold_ns = u64::try_from(at_most.as_nanos()).unwrap_or(u64::MAX).max(1);
        });
        Step::HOLD
    }

    /// How many requests this stage of this machine holds.
    pub fn held(&mut self) -> usize {
        keeps!(M);
        let stage = self.stage().index();
        self.keeper(|keeper| keeper.holds[stage].len)
    }

    /// Makes this request the leader of those that the stage holds: from now on they share what becomes of it,
    /// retries included. Returns how many follow it. (Of a batch that is [flushed](Self::flush) it leads already.)
    ///
    /// A leader is not stopped by a deadline or by the end of its group, since the others may be of other groups.
    pub fn lead(&mut self) -> usize {
        keeps!(M);
        let (stage, link) = (self.stage().index(), self.link());
        let at = self.position().wrapping_sub(self.first()) as u16;
        let position = self.position();
        // SAFETY: this thread owns the request and what its machine holds.
        let entries = unsafe { Owned::new(self.scope.seat.common) };
        self.keeper(|keeper| {
            if keeper.flush.is_some() {
                return entries.entry(link, |entry| entry.led as usize);
            }
            entries.entry(link, |entry| entry.of(position).led = 0);
            let led = keeper.lead(&entries, stage, link);
            if led > 0 && !keeper.leaders.contains(&at) {
                keeper.leaders.push(at);
            }
            led
        })
    }

    /// Why the stage is called with a request that it has held: none, if it is called with a new one.
    pub fn flush(&mut self) -> Option<Flush> {
        keeps!(M);
        self.keeper(|keeper| keeper.flush)
    }

    /// Calls `each` with the payload of every request that follows this one since it last [led](Self::lead), in the
    /// order in which they were held.
    pub fn for_each_follower(&mut self, mut each: impl FnMut(&mut M::Data)) {
        keeps!(M);
        // SAFETY: this thread owns the request and those that follow it.
        let entries = unsafe { Owned::new(self.scope.seat.common) };
        let position = self.position();
        let (mut link, led) = entries.entry(self.link(), |entry| {
            let entry = entry.of(position);
            (entry.followers, entry.led)
        });
        for _ in 0..led {
            let window = &self.scope.seat.common.group(link.group()).window;
            // SAFETY: as above; the exclusive borrow of the leader makes it the only reference.
            unsafe { window.value(link.slot(), |value| each(&mut *value)) };
            link = entries.entry(link, |entry| entry.next);
        }
    }

    /// Calls `goes` with the payload of every request that follows this one, in the order in which they follow. Those for
    /// which it is true follow no more: each goes on by itself, at this stage and on this thread, soon after this
    /// call of a stage. How many they are. (What follows one of them stays with it.)
    ///
    /// # Panics
    ///
    /// If there is no such stage, or `goes` panics; then all of them follow as before.
    pub fn part(&mut self, next: StageId<M>, mut goes: impl FnMut(&mut M::Data) -> bool) -> usize {
        keeps!(M);
        let common = self.scope.seat.common;
        let (stage, stages) = (next.index(), common.stage_hops.len());
        assert!(stage < stages, "there is no stage {stage} among {stages}");
        let (link, position) = (self.link(), self.position());
        // SAFETY: this thread owns the request and those that follow it.
        let entries = unsafe { Owned::new(common) };
        let first = entries.entry(link, |entry| entry.of(position).followers);
        // Nothing is moved before all have been asked. It goes on as one whose retry is due, or not at all.
        let mut asked = first;
        while let Some(one) = asked.some() {
            let window = &common.group(one.group()).window;
            // SAFETY: as above; the exclusive borrow of the leader makes it the only reference.
            let goes_on = unsafe { window.value(one.slot(), |value| goes(&mut *value)) };
            asked = entries.entry(one, |entry| {
                entry.due_ns = if goes_on { 0 } else { u64::MAX };
                entry.next
            });
        }
        let (mut one, mut last, mut at, mut parted) = (first, link, 0, 0);
        entries.entry(link, |entry| entry.followers = Link::NONE);
        let led = entries.entry(link, |entry| std::mem::take(&mut entry.led));
        while let Some(follower) = one.some() {
            let goes_on = entries.entry(follower, |entry| {
                one = std::mem::replace(&mut entry.next, Link::NONE);
                entry.due_ns == 0
            });
            if goes_on {
                entries.entry(follower, |entry| {
                    entry.stage = stage as u16;
                    entry.visits += 1;
                });
                self.keeper(|keeper| keeper.wheel.insert(&entries, follower));
                parted += 1;
            } else {
                entries.entry(last, |entry| match last == link {
                    true => entry.followers = follower,
                    false => entry.next = follower,
                });
                entries.entry(link, |entry| entry.led += u32::from(at < led));
                last = follower;
            }
            at += 1;
        }
        parted
    }

    /// The answer: the request waits, held by nobody, until the [`Ticket`] is used that `hand_out` is given. The ticket
    /// may be used at once, before the stage has returned. It is void if the stage answers otherwise after all, or hands
    /// out another one.
    pub fn suspend(&mut self, hand_out: impl FnOnce(Ticket<M>)) -> Step {
        keeps!(M);
        let position = self.position();
        let at = position.wrapping_sub(self.first()) as u16;
        self.kept_mut(|kept| kept.of(position).has_ticket = true);
        self.keeper(|keeper| {
            // Requests run one after the other: this one is the last, if it is there.
            if keeper.ticketed.last() != Some(&at) {
                keeper.ticketed.push(at);
            }
        });
        let link = self.link();
        let number = self.scope.window.parking(link.slot()).issue();
        hand_out(Ticket::new(Arc::clone(self.scope.seat.common), link, number));
        Step::SUSPEND
    }

    /// Says something of the request, for who receives it ([`Output::description`](crate::Output::description)):
    /// up to [`DESCRIPTION_MAX`](crate::limits::DESCRIPTION_MAX) bytes, cut off at the end of a character. What was
    /// said before is forgotten.
    pub fn describe(&mut self, text: &str) {
        keeps!(M);
        let position = self.position();
        self.kept_mut(|kept| kept.of(position).describe(text));
    }

    /// How many stages it had run through when it was kept.
    pub(crate) fn visits(&self) -> u32 {
        let position = self.position();
        self.kept(|kept| kept.if_of(position).map_or(0, |kept| kept.visits))
    }

    /// Whether others share its outcome.
    pub(crate) fn leads(&self) -> bool {
        let position = self.position();
        M::KEEPS
            && self.kept(|kept| {
                kept.if_of(position).is_some_and(|kept| kept.followers.some().is_some())
            })
    }

    /// Where it stands.
    pub(crate) fn link(&self) -> Link {
        Link::new(self.scope.group, self.scope.window.index_of(self.slot))
    }

    fn keeper<R>(&mut self, f: impl FnOnce(&mut Keeper<M::Error>) -> R) -> R {
        // SAFETY: the keeper of the thread that runs the request; the calls of this file do not nest.
        unsafe { self.scope.seat.common.keepers[self.scope.seat.lane].with(f) }
    }

    fn kept<R>(&self, f: impl FnOnce(&Kept) -> R) -> R {
        let window = self.scope.window;
        // SAFETY: by the contract of `new` the slot is owned, and `&self` excludes `kept_mut`.
        unsafe { window.kept(window.index_of(self.slot), |kept| f(&*kept)) }
    }

    fn kept_mut<R>(&mut self, f: impl FnOnce(&mut Kept) -> R) -> R {
        let window = self.scope.window;
        // SAFETY: as in `kept`; the exclusive borrow makes it the only reference.
        unsafe { window.kept(window.index_of(self.slot), |kept| f(&mut *kept)) }
    }
}
