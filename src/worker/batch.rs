//! A claimed batch while it runs: each request in place, by the hot loop as far as that goes.

use super::checked::From;
use super::path::Path;
use super::plain::Ran;
use super::runner::Ends;
use crate::common::{Group, Progress};
use crate::request::{Request, Scope, Seat};
use crate::shared::Shared;
use crate::slot::Slot;
use crate::stage::StateMachine;
use crate::window::{Claimed, Order};
use std::cell::Cell;

/// A claimed batch, and all that running it needs but the worker's machine.
pub(super) struct Batch<'a, M: StateMachine> {
    pub(super) shared: &'a Shared<M>,
    pub(super) group: &'a Group<M::Data, M::Error>,
    pub(super) progress: &'a Progress,
    pub(super) claimed: Claimed,
    /// The slots, where the order says that they are needed.
    pub(super) slots: &'a [u32],
    /// What its requests are told of it.
    pub(super) scope: Scope<'a, M>,
    /// Stages that the present request had run through before the one that answers: for one that is kept.
    pub(super) visits: Cell<u32>,
}

impl<'a, M: StateMachine> Batch<'a, M> {
    #[inline(always)]
    pub(super) fn new(
        shared: &'a Shared<M>,
        progress: &'a Progress,
        index: u32,
        claimed: Claimed,
        slots: &'a [u32],
        seat: &'a Seat<'a, M>,
    ) -> Self {
        let group = shared.group(index);
        let scope = Scope {
            window: &group.window,
            context: &shared.context,
            seat,
            stage: &progress.stage,
            group: index,
            first: claimed.first,
        };
        Self { shared, group, progress, claimed, slots, scope, visits: Cell::new(0) }
    }

    /// The slot of the request that is so far from the first one.
    pub(super) fn slot(&self, ahead: usize) -> &Slot<M::Data> {
        self.group.window.claimed_slot(self.claimed, self.slots, ahead)
    }

    /// What is claimed; `ONE` if that is one request, so that the compiler knows.
    #[inline(always)]
    pub(super) fn claimed<const ONE: bool>(&self) -> Claimed {
        let Claimed { first, len, order } = self.claimed;
        debug_assert!(!ONE || len == 1);
        Claimed { first, len: if ONE { 1 } else { len }, order }
    }

    /// Runs the requests from the one at `from` on, each to its end; `request` stands for that one.
    #[inline(always)]
    pub(super) fn run<'r, const ONE: bool>(
        &'r self,
        from: usize,
        machine: &mut M,
        path: &mut Path,
        ends: &mut Ends,
        request: &mut Request<'r, M>,
    ) {
        let (claimed, window) = (self.claimed::<ONE>(), &self.group.window);
        let position = claimed.first.wrapping_add(from as u64);
        if claimed.len == 1 {
            let ran = match self.is_plain() && self.next_sampled(position) > 0 {
                true => self.run_one(machine, request),
                false => Ran::Unfinished(0),
            };
            match ran {
                Ran::Done => {}
                Ran::Ended(phase) => ends.set_at(from, phase),
                Ran::Unfinished(visits) => {
                    let phase = self.run_checked(machine, path, request, From::plain(visits));
                    ends.set_at(from, phase);
                }
            }
            return;
        }
        let mut row = Row { machine, path, ends, request, at: from };
        match claimed.order {
            Order::Submission => {
                let slots = window.stretch(position, claimed.len - from);
                row.run(self, slots, |slot| slot, window.prefetch_distance(claimed));
            }
            Order::Completion => {
                let slots = &self.slots[from..claimed.len];
                row.run(self, slots, |slot| window.slot(*slot as usize), None);
            }
        }
    }

    /// Whether requests need no more than their stages run one after the other, unless they are sampled.
    #[inline(always)]
    fn is_plain(&self) -> bool {
        self.shared.rules.plain_visits.is_some()
    }

    /// How many requests from `position` on come before one whose times are taken.
    #[inline(always)]
    fn next_sampled(&self, position: u64) -> usize {
        (position.wrapping_neg() & self.shared.rules.sample_mask) as usize
    }
}

/// What running a row of requests changes.
struct Row<'e, 'r, M: StateMachine> {
    machine: &'e mut M,
    path: &'e mut Path,
    ends: &'e mut Ends,
    request: &'e mut Request<'r, M>,
    /// Of the next one: which of the batch.
    at: usize,
}

impl<'r, M: StateMachine> Row<'_, 'r, M> {
    /// Runs the requests in these slots of the batch; `slot_of` finds the slot of an entry, and `ahead` is
    /// that of [`Window::prefetch_distance`](crate::window::Window::prefetch_distance).
    #[inline(always)]
    fn run<E>(
        &mut self,
        batch: &'r Batch<'_, M>,
        mut entries: &'r [E],
        slot_of: impl Fn(&'r E) -> &'r Slot<M::Data>,
        ahead: Option<usize>,
    ) {
        while !entries.is_empty() {
            let position = batch.claimed.first.wrapping_add(self.at as u64);
            let special = if batch.is_plain() { batch.next_sampled(position) } else { 0 };
            let plain = &entries[..special.min(entries.len())];
            let (machine, request) = (&mut *self.machine, &mut *self.request);
            let slots = (plain, &slot_of);
            // SAFETY: slots of the claimed batch; `request` goes from one to the next.
            let (done, ran) = unsafe {
                match (ahead, batch.shared.context.table.is_own()) {
                    (Some(ahead), true) => {
                        batch.run_plain::<_, true, true>(machine, request, slots, ahead)
                    }
                    (Some(ahead), false) => {
                        batch.run_plain::<_, true, false>(machine, request, slots, ahead)
                    }
                    (None, true) => batch.run_plain::<_, false, true>(machine, request, slots, 0),
                    (None, false) => batch.run_plain::<_, false, false>(machine, request, slots, 0),
                }
            };
            let Some((next, rest)) = entries[done..].split_first() else { return };
            let phase = match ran {
                Ran::Ended(phase) => phase,
                Ran::Unfinished(visits) => {
                    batch.run_checked(self.machine, self.path, self.request, From::plain(visits))
                }
                Ran::Done => {
                    // SAFETY: as above.
                    unsafe { self.request.go_to(slot_of(next)) };
                    batch.run_checked(self.machine, self.path, self.request, From::Start)
                }
            };
            // (By its place: a request that is kept may be in other hands.)
            self.ends.set_at(self.at + done, phase);
            self.at += done + 1;
            entries = rest;
        }
    }
}
