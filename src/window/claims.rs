//! The workers' part: from a filled slot to a finished one.

use super::{Claimed, Order, Window};
use crate::pace::Pace;
use crate::slot::{Phase, Slot};
use crate::sync::{self, Ordering};

/// A batch of at least this many requests is worth a look at the one behind it.
const AHEAD_MIN: usize = 8;
/// Slots that a claim looks at without a look at how many are left. (The windows of models are small.)
const ROW: usize = if cfg!(any(stageline_loom, stageline_shuttle)) { 2 } else { 4 };

impl<T, E> Window<T, E> {
    /// Whether the slot `ahead` positions behind the claim cursor can be claimed. A hint.
    #[inline(always)]
    pub fn has_ready(&self, ahead: usize) -> bool {
        let position = self.claim.cursor.position().wrapping_add(ahead as u64);
        self.slot(self.slot_of(self.order(), position)).is_ready(position)
    }

    /// Whether the next request can be claimed. Unlike [`has_ready`](Self::has_ready) it is not misled
    /// by a worker that claims that one and leaves others behind it: the Acquire that sees the slot
    /// used, or the slot of another position in its place, sees the cursor moved, and looks there.
    pub fn is_waiting(&self) -> bool {
        loop {
            let position = self.claim.cursor.position();
            let slot = match self.order() {
                order @ Order::Submission => self.slot_of(order, position),
                Order::Completion => self.posting.slot_before_the_cursor(position),
            };
            if self.slot(slot).is_ready(position) {
                return true;
            }
            if self.claim.cursor.position() == position {
                return false;
            }
        }
    }

    /// Takes up to `limit` requests. In [`Order::Completion`] it writes down their slots: once a
    /// position is claimed its posting may be overwritten, since the receiver posts for as many
    /// positions as it has released.
    #[inline(always)]
    pub fn claim(&self, limit: usize, slots: &mut [u32]) -> Option<Claimed> {
        // The order may be that of an earlier opening; the look is right all the same (rule 3 of
        // `ring::posting`). Who has found a slot ready knows the order of this one. No batch goes beyond the
        // end of the array, in either order, so that it may turn out to be of the other one.
        match self.order() {
            Order::Submission => {
                let mut claimed = self.claim_where(|first| self.ready_from(first, limit))?;
                if self.order() == Order::Completion {
                    claimed.order = Order::Completion;
                    self.write_down(claimed, slots);
                }
                Some(claimed)
            }
            Order::Completion => {
                let claimed = self.claim_where(|first| {
                    let is_ready = |(position, slot): (u64, &mut u32)| {
                        *slot = self.slot_of(Order::Completion, position) as u32;
                        self.slot(*slot as usize).is_ready(position)
                    };
                    let positions = (0..).map(|ahead| first.wrapping_add(ahead));
                    let in_a_row = self.stretch(first, limit).len();
                    let looks = positions.zip(&mut slots[..in_a_row]).map(is_ready);
                    looks.take_while(|ready| *ready).count()
                })?;
                Some(Claimed { order: self.order(), ..claimed })
            }
        }
    }

    /// What a worker will have claimed when it has claimed the next request and no more. (In either order
    /// its slot is written down.)
    #[inline(always)]
    pub fn expected(&self, slots: &mut [u32]) -> Claimed {
        let (order, first) = (self.order(), self.claim.cursor.position());
        slots[0] = self.slot_of(order, first) as u32;
        Claimed { first, len: 1, order }
    }

    /// Claims the request that was [`expected`](Self::expected) and has been seen ready in its slot,
    /// unless another worker was first, or the group has been opened anew in another order meanwhile.
    #[inline(always)]
    pub fn claim_expected(&self, expected: Claimed) -> bool {
        self.order() == expected.order
            && self.claim_where(|first| usize::from(first == expected.first)).is_some()
    }

    #[inline(always)]
    fn claim_where(&self, ready: impl FnOnce(u64) -> usize) -> Option<Claimed> {
        let cursor = &self.claim.cursor;
        let claimed =
            if self.lanes.len() == 1 { cursor.claim_alone(ready) } else { cursor.claim(ready) };
        let (first, len) = claimed?;
        Some(Claimed { first, len, order: Order::Submission })
    }

    /// How many slots from `first` on are ready, up to `limit`, in [`Order::Submission`].
    #[inline(always)]
    fn ready_from(&self, first: u64, limit: usize) -> usize {
        let (rows, rest) = self.stretch(first, limit).as_chunks::<ROW>();
        let mut ready = 0;
        for row in rows {
            let more = Self::ready_in(row, first.wrapping_add(ready as u64));
            ready += more;
            if more < ROW {
                return ready;
            }
        }
        ready + Self::ready_in(rest, first.wrapping_add(ready as u64))
    }

    /// How many of these slots are ready, one after the other, for the positions from `first` on.
    #[inline(always)]
    fn ready_in(slots: &[Slot<T>], first: u64) -> usize {
        let mut ready = 0;
        for slot in slots {
            if !slot.is_ready(first.wrapping_add(ready)) {
                break;
            }
            ready += 1;
        }
        ready as usize
    }

    /// Whether the batch was cut off by the end of the array.
    #[inline(always)]
    pub fn ends_the_array(&self, claimed: Claimed) -> bool {
        let behind = claimed.first.wrapping_add(claimed.len as u64);
        self.slot_of(Order::Submission, behind) == 0
    }

    /// The claim was made by the order of an earlier opening, and the group has been opened anew.
    #[cold]
    fn write_down(&self, claimed: Claimed, slots: &mut [u32]) {
        for (ahead, slot) in (0..).zip(&mut slots[..claimed.len]) {
            *slot = self.slot_of(Order::Submission, claimed.first.wrapping_add(ahead)) as u32;
        }
    }

    /// The slot of the request that is so far from the first of a claimed batch.
    pub fn claimed_slot(&self, claimed: Claimed, slots: &[u32], ahead: usize) -> &Slot<T> {
        self.slot(match claimed.order {
            order @ Order::Submission => {
                self.slot_of(order, claimed.first.wrapping_add(ahead as u64))
            }
            Order::Completion => slots[ahead] as usize,
        })
    }

    /// How many requests to claim at once, by what was measured of them.
    #[inline(always)]
    pub fn pace(&self) -> &Pace {
        &self.claim.pace
    }

    /// For one of several workers: asks for the lines that running and completing a batch will write, all at
    /// once and to be written: the look before the claim has brought them to be read.
    pub fn prepare(&self, lane_index: usize, claimed: Claimed, slots: &[u32]) {
        if claimed.len == 1 {
            // Its receiver polls it, and would take the line back before it is finished.
            return;
        }
        match claimed.order {
            Order::Submission => {
                let slots = self.stretch(claimed.first, claimed.len);
                slots.iter().for_each(|slot| sync::prefetch_for_write(slot));
            }
            Order::Completion => {
                for slot in &slots[..claimed.len] {
                    sync::prefetch_for_write(self.slot(*slot as usize));
                }
                self.completions(lane_index).prefetch_push(self.lanes[lane_index].pushed());
            }
        }
    }

    /// Which slot a sole worker asks for as each one of a batch begins, counted from that one: the one in
    /// its place in the next batch, if that is ready by now and follows in the array; else the slot itself.
    /// None for a single request: its receiver may poll the slot, and would take the line back before the
    /// request is done. None where there are more workers: see [`prepare`](Self::prepare).
    #[inline(always)]
    pub fn prefetch_distance(&self, claimed: Claimed) -> Option<usize> {
        let len = claimed.len;
        if len == 1 || self.lanes.len() > 1 {
            return None;
        }
        let first = self.slot_of(Order::Submission, claimed.first);
        if len < AHEAD_MIN || first + 2 * len > self.slots.len() {
            return Some(0);
        }
        let last = claimed.first.wrapping_add(2 * len as u64 - 1);
        Some(if self.slot(first + 2 * len - 1).is_ready(last) { len } else { 0 })
    }

    /// Hands a claimed batch to the receiver, each request with the phase that it ended in, or all of
    /// them as done; those that are still Ready are kept. For the worker that owns the lane.
    #[inline(always)]
    pub fn complete(
        &self,
        lane_index: usize,
        claimed: Claimed,
        slots: &[u32],
        phases: Option<&[Phase]>,
    ) {
        match phases {
            None => {
                self.lanes[lane_index].count(Phase::Done, claimed.len as u64);
                self.hand_back(lane_index, claimed, slots, |_| Phase::Done);
            }
            Some(phases) => self.complete_mixed(lane_index, claimed, slots, phases),
        }
    }

    fn complete_mixed(&self, lane_index: usize, claimed: Claimed, slots: &[u32], phases: &[Phase]) {
        if phases.contains(&Phase::Ready) {
            // Some are kept: each of the others by itself, the last one first as ever.
            for (ahead, phase) in phases.iter().enumerate().rev() {
                if *phase != Phase::Ready {
                    let first = claimed.first.wrapping_add(ahead as u64);
                    let one = Claimed { first, len: 1, order: claimed.order };
                    let slot = slots.get(ahead..).unwrap_or_default();
                    self.complete_mixed(lane_index, one, slot, &[*phase]);
                }
            }
            return;
        }
        phases.iter().for_each(|phase| self.lanes[lane_index].count(*phase, 1));
        self.hand_back(lane_index, claimed, slots, |ahead| phases[ahead]);
    }

    /// Last to first: the receiver, which waits for the first, finds all of them.
    #[inline(always)]
    fn hand_back(
        &self,
        lane_index: usize,
        claimed: Claimed,
        slots: &[u32],
        phase: impl Fn(usize) -> Phase,
    ) {
        let mut behind = claimed.len;
        let mut position = claimed.first.wrapping_add(behind as u64);
        let mut finish = |slot: &Slot<T>| {
            behind -= 1;
            position = position.wrapping_sub(1);
            slot.finish(position, phase(behind));
        };
        match claimed.order {
            Order::Submission if claimed.len == 1 => finish(self.claimed_slot(claimed, slots, 0)),
            Order::Submission => {
                self.stretch(claimed.first, claimed.len).iter().rev().for_each(&mut finish);
            }
            Order::Completion => {
                let (lane, ring) = (&self.lanes[lane_index], self.completions(lane_index));
                let pushed = lane.pushed().wrapping_add(claimed.len as u64);
                for (entry, slot) in (1..).zip(slots[..claimed.len].iter().rev()) {
                    finish(self.slot(*slot as usize));
                    ring.push(pushed.wrapping_sub(entry), *slot as usize);
                }
                lane.set_pushed(pushed);
            }
        }
        debug_assert_eq!(behind, 0, "a slot for each request");
    }

    /// Requests that ended with this outcome, since the window was made.
    pub fn ended(&self, phase: Phase) -> u64 {
        let by_workers: u64 = self.lanes.iter().map(|lane| lane.ended(phase)).sum();
        let by_receiver = match phase {
            Phase::Cancelled => self.orphaned.load(Ordering::Relaxed),
            _ => 0,
        };
        by_workers + by_receiver
    }
}
