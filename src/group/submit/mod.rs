//! The submit end of a group, for one producer or for several.

mod fill;
mod overflow;

use crate::cold::{NEVER_NS, VOID_NS};
use crate::common::{Control, Overflow};
use crate::error::{SubmitError, SubmitTimeoutError, TrySubmitError};
use crate::shared::GroupHandle;
use crate::slot::Slot;
use crate::stage::StateMachine;
use crate::sync;
use crate::window::{Order, Place};
use fill::{Batch, Filling};
use overflow::Patience;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::needs_drop;
use std::time::{Duration, Instant};

/// The submit end of a group whose only producer is this handle. It takes positions by a plain
/// store.
pub type Submitter<M> = SubmitEnd<M, false>;

/// A handle of a submit end that several producers have, each its clone. They take positions by
/// compare-and-swap.
pub type SharedSubmitter<M> = SubmitEnd<M, true>;

/// The submit end of a group. Dropping the last handle closes it: the receive end then gets
/// what is in flight, and `Closed` after that.
///
/// Each submission returns the request's position: the number of requests submitted to the group
/// before it, counted from an arbitrary start, modulo 2^64.
pub struct SubmitEnd<M: StateMachine, const SHARED: bool> {
    group: GroupHandle<M>,
    /// How the window is filled.
    order: Order,
    /// The next position, where this is the only producer.
    tail: u64,
    /// What this producer has last seen of the window's `received` cursor.
    received: u64,
    deadline_ns: u64,
    /// What to do when the window is full.
    overflow: Overflow,
    /// One thread at a time: `Send`, but not `Sync`.
    _one_thread: PhantomData<Cell<()>>,
}

/// Why a position could not be taken.
#[derive(Clone, Copy)]
enum Refusal {
    Full,
    /// The window is full, and the value given up for that.
    Dropped,
    Cancelled,
    Closed,
}

impl Refusal {
    fn with<T>(self, value: T) -> TrySubmitError<T> {
        match self {
            Self::Full => TrySubmitError::Full(value),
            Self::Dropped => TrySubmitError::Dropped(value),
            Self::Cancelled => TrySubmitError::Cancelled(value),
            Self::Closed => TrySubmitError::Closed(value),
        }
    }
}

impl<M: StateMachine, const SHARED: bool> SubmitEnd<M, SHARED> {
    pub(super) fn new(group: GroupHandle<M>, overflow: Overflow) -> Self {
        let (order, tail) = (group.window.order(), group.window.tail());
        let (received, deadline_ns) = (group.window.received(), NEVER_NS);
        Self { group, order, tail, received, deadline_ns, overflow, _one_thread: PhantomData }
    }

    /// One more handle, for one more producer.
    fn another(&self) -> SharedSubmitter<M> {
        self.group.add_producer();
        SubmitEnd {
            group: self.group.clone(),
            order: self.order,
            tail: self.tail,
            received: self.received,
            deadline_ns: self.deadline_ns,
            overflow: self.overflow,
            _one_thread: PhantomData,
        }
    }

    /// Submits a value if the window has a free slot. Wait-free for a sole producer. The value that
    /// the slot held before is dropped.
    ///
    /// # Errors
    ///
    /// The value, if the window is full (or the value is given up for that, see
    /// [`Overflow::DropNewest`]), the group cancelled, or the pipeline or the receive end
    /// closed. (A submit that races with the close of the pipeline may be accepted; the request then
    /// ends as run or as cancelled.)
    #[inline(always)]
    pub fn try_submit(&mut self, value: M::Data) -> Result<u64, TrySubmitError<M::Data>> {
        match self.reserve() {
            Ok(place) => Ok(self.submit_at(place, value)),
            Err(refusal) => match self.make_room_or_settle(refusal) {
                Ok(place) => Ok(self.submit_late(place, value)),
                Err(refusal) => Err(refusal.with(value)),
            },
        }
    }

    /// Submits a value at a reserved place; the position.
    #[inline(always)]
    fn submit_at(&mut self, place: Place, value: M::Data) -> u64 {
        self.note(place, self.deadline_ns);
        let old = self.put(self.group.window.slot(place.slot()), value);
        self.publish(place);
        // Only now: a `Drop` that panics finds the request submitted.
        drop(old);
        place.position
    }

    /// As [`submit_at`](Self::submit_at), apart from the usual way.
    #[cold]
    fn submit_late(&mut self, place: Place, value: M::Data) -> u64 {
        self.submit_at(place, value)
    }

    /// Submits a value, and waits for a free slot by the pipeline's wait strategy, unless the group was
    /// opened with another [`Overflow`] policy.
    ///
    /// # Errors
    ///
    /// The value, if the group is cancelled, or the pipeline or the receive end closed; and if the window
    /// is full, by the policy.
    #[inline(always)]
    pub fn submit(&mut self, value: M::Data) -> Result<u64, SubmitError<M::Data>> {
        match self.try_submit(value) {
            Ok(position) => Ok(position),
            Err(refused) => self.submit_slow(refused),
        }
    }

    #[cold]
    fn submit_slow(
        &mut self,
        mut refused: TrySubmitError<M::Data>,
    ) -> Result<u64, SubmitError<M::Data>> {
        let mut patience = Patience::default();
        loop {
            let value = match refused {
                TrySubmitError::Full(value) => value,
                refused => return Err(refused.into()),
            };
            if !self.wait_by_policy(&mut patience) {
                return Err(SubmitError::Full(value));
            }
            match self.try_submit(value) {
                Ok(position) => return Ok(position),
                Err(again) => refused = again,
            }
        }
    }

    /// Submits a value, and waits for a free slot for no longer than `timeout`, whatever the group's
    /// [`Overflow`] policy. (With [`Overflow::DropOldest`] it makes room first.)
    ///
    /// # Errors
    ///
    /// The value, if the window stays full, the group is cancelled, or the pipeline or the receive
    /// end closed.
    pub fn submit_timeout(
        &mut self,
        value: M::Data,
        timeout: Duration,
    ) -> Result<u64, SubmitTimeoutError<M::Data>> {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            match self.reserve().or_else(|refusal| self.make_room(refusal)) {
                Ok(place) => return Ok(self.submit_late(place, value)),
                Err(Refusal::Cancelled) => return Err(SubmitTimeoutError::Cancelled(value)),
                Err(Refusal::Closed) => return Err(SubmitTimeoutError::Closed(value)),
                Err(Refusal::Full | Refusal::Dropped) => {}
            }
            if !self.wait_for_space(deadline) {
                return Err(SubmitTimeoutError::Timeout(value));
            }
        }
    }

    /// Asks for the first lines of the slot of the request so many after the next one: they leave the cache of whoever
    /// had them last while the requests before it are made. A hint, for payloads that take longer to make than a
    /// line takes to come. Nothing is asked for where the slot may be in use, nor by one of several producers.
    #[inline]
    pub fn prefetch(&self, ahead: u64) {
        let (window, position) = (&self.group.window, self.tail.wrapping_add(ahead));
        if !SHARED && let Some(place) = window.known_vacant(self.order, position, self.received) {
            window.prefetch_slot(place.slot());
        }
    }

    /// Fills a free slot's own value in place, so that its buffers are used again, and submits it.
    ///
    /// If `fill` panics, nothing is submitted; a shared submitter's request, whose position is
    /// already taken, ends as cancelled.
    ///
    /// # Errors
    ///
    /// The closure, uncalled, in the cases of [`try_submit`](Self::try_submit).
    #[inline]
    pub fn try_submit_with<F>(&mut self, fill: F) -> Result<u64, TrySubmitError<F>>
    where
        F: FnOnce(&mut M::Data),
    {
        match self.reserve().or_else(|refusal| self.make_room_or_settle(refusal)) {
            Ok(place) => {
                let mut filling = Filling { end: self, place, filled: false };
                // SAFETY: as in `put`. The reference ends before the slot is published.
                unsafe { filling.end.group.window.value(place.slot(), |slot| fill(&mut *slot)) };
                filling.filled = true;
                Ok(place.position)
            }
            Err(refusal) => Err(refusal.with(fill)),
        }
    }

    /// As [`try_submit_with`](Self::try_submit_with), but waits for a free slot as
    /// [`submit`](Self::submit) does.
    ///
    /// # Errors
    ///
    /// The closure, uncalled, in the cases of [`submit`](Self::submit).
    #[inline]
    pub fn submit_with<F>(&mut self, mut fill: F) -> Result<u64, SubmitError<F>>
    where
        F: FnOnce(&mut M::Data),
    {
        let mut patience = Patience::default();
        loop {
            fill = match self.try_submit_with(fill) {
                Ok(position) => return Ok(position),
                Err(TrySubmitError::Full(fill)) => fill,
                Err(refused) => return Err(refused.into()),
            };
            if !self.wait_by_policy(&mut patience) {
                return Err(SubmitError::Full(fill));
            }
        }
    }

    /// Gives each request submitted from now on this deadline, until another is set. A request whose
    /// deadline has passed is not run, or its remaining stages are skipped; it ends as expired. The
    /// worker reads the clock before each stage of such a request.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline_ns = deadline.map_or(NEVER_NS, |deadline| {
            let since_start = deadline.saturating_duration_since(self.group.shared().context.epoch);
            u64::try_from(since_start.as_nanos()).map_or(NEVER_NS - 1, |ns| {
                // Not one of the two marks.
                ns.clamp(VOID_NS + 1, NEVER_NS - 1)
            })
        });
    }

    /// Cancels the group: what has not begun to run ends as cancelled, and is received as such;
    /// further submits are refused. A request that has begun may run to its end.
    pub fn cancel(&self) {
        cancel(&self.group);
    }

    /// Index of the group in its pipeline.
    pub fn index(&self) -> usize {
        self.group.index() as usize
    }

    /// Takes the next position, if its slot is free and nothing forbids it.
    ///
    /// The new tail is stored (or, among several producers, this one counted) before the control word
    /// is looked at, and a pipeline that closes does the reverse with the heavy barrier between: so
    /// either this end sees the close, or the close sees the submission and waits for what becomes of
    /// it.
    #[inline(always)]
    fn reserve(&mut self) -> Result<Place, Refusal> {
        let window = &self.group.window;
        if SHARED {
            window.enter();
            sync::light_barrier();
            let place = match self.refusal() {
                None => window.take_vacant(self.order).ok_or(Refusal::Full),
                Some(refusal) => Err(refusal),
            };
            if place.is_err() {
                self.leave();
            }
            return place;
        }
        match window.vacant(self.order, self.tail, &mut self.received) {
            Some(place) => self.announce(1).map(|()| place),
            None => Err(self.refusal().unwrap_or(Refusal::Full)),
        }
    }

    /// A sole producer's announcement that it takes up to `more` positions. One for a whole batch: a store
    /// for each request would wait in the same queue as those that fetch the slots.
    #[inline(always)]
    fn announce(&mut self, more: u64) -> Result<(), Refusal> {
        self.group.window.advance_tail(self.tail.wrapping_add(more));
        sync::light_barrier();
        let Some(refusal) = self.refusal() else { return Ok(()) };
        self.take_back();
        Err(refusal)
    }

    /// Takes back what was announced beyond the tail. A receiver of a closing pipeline may have seen it
    /// and be waiting for it.
    #[inline(always)]
    fn take_back(&self) {
        self.group.window.advance_tail(self.tail);
        self.group.front.receive_event.notify();
    }

    #[inline(always)]
    fn refusal(&self) -> Option<Refusal> {
        let control = self.group.control();
        if control & Control::REFUSE == 0 {
            return None;
        }
        // An aborted pipeline has both, and is closed.
        let cancelled = control & (Control::CLOSED | Control::CANCELLED) == Control::CANCELLED;
        Some(if cancelled { Refusal::Cancelled } else { Refusal::Closed })
    }

    /// Moves a value into a reserved slot; returns the one that it held, if that has to be dropped.
    #[inline(always)]
    fn put(&self, slot: &Slot<M::Data>, value: M::Data) -> Option<M::Data> {
        // SAFETY: `reserve` or `vacancies` found the slot free for this position, which nobody else
        // takes: this is the only producer, or it won the position.
        unsafe {
            slot.value(|old| {
                if needs_drop::<M::Data>() {
                    Some(old.replace(value))
                } else {
                    old.write(value);
                    None
                }
            })
        }
    }

    /// Publishes a slot that has been filled, and calls the workers' attention.
    #[inline(always)]
    fn publish(&mut self, place: Place) {
        self.group.window.publish(place);
        if SHARED {
            self.group.window.leave();
            self.tell_producers();
        } else {
            self.tail = place.position.wrapping_add(1);
        }
        self.group.attend();
    }

    /// A producer among several takes no position after all.
    #[inline]
    fn leave(&self) {
        self.group.window.leave();
        self.group.front.receive_event.notify();
    }

    /// Hands on a position that was taken among several producers and will not be filled: the
    /// request ends as cancelled.
    #[cold]
    fn publish_void(&mut self, place: Place) {
        self.note(place, VOID_NS);
        self.publish(place);
    }

    /// Whether one of `more` requests from `first` on has something to be written down.
    #[inline(always)]
    fn has_notes(&self, first: u64, more: u64) -> bool {
        let next_sampled = first.wrapping_neg() & self.group.shared().rules.sample_mask;
        next_sampled < more || self.deadline_ns != NEVER_NS
    }

    /// Writes down what is rarely needed of a request that is about to be published.
    #[inline(always)]
    fn note(&self, place: Place, deadline_ns: u64) {
        let sampled = place.position & self.group.shared().rules.sample_mask == 0;
        if sampled || deadline_ns != NEVER_NS {
            self.note_down(place, sampled, deadline_ns);
        }
    }

    #[cold]
    fn note_down(&self, place: Place, sampled: bool, deadline_ns: u64) {
        let group = &self.group;
        let now_ns = if sampled { self.group.shared().context.now_ns() } else { 0 };
        // SAFETY: the slot is reserved and not yet published.
        unsafe {
            group.window.cold(place.slot(), |cold| {
                (*cold).submitted_ns = now_ns;
                (*cold).deadline_ns = deadline_ns;
            });
        }
        if deadline_ns != NEVER_NS {
            // Before the publication, whose Release orders it for the worker.
            group.set_control(Control::MARKED);
        }
    }
}

impl<M: StateMachine> Submitter<M> {
    /// Submits values for as long as there are free slots, and returns how many: a value is taken
    /// from the iterator only when there is a slot for it. Fewer than the iterator holds means that
    /// the window is full, the group cancelled, or the pipeline or the receive end closed. Workers see
    /// the values in batches of up to 64, each published at once; so the iterator should not block.
    #[inline]
    pub fn submit_batch(&mut self, values: &mut impl Iterator<Item = M::Data>) -> usize {
        let mut submitted = 0;
        loop {
            let (filled, more) = Batch::announce(self).fill(values);
            submitted += filled as usize;
            // (An end that is known before it is reached spares an announcement that is taken back.)
            if !more || values.size_hint().1 == Some(0) {
                return submitted;
            }
        }
    }

    /// Makes a submit end for several producers of it; each clones its own handle.
    pub fn share(self) -> SharedSubmitter<M> {
        self.another()
    }
}

impl<M: StateMachine> Clone for SharedSubmitter<M> {
    fn clone(&self) -> Self {
        self.another()
    }
}

impl<M: StateMachine, const SHARED: bool> Drop for SubmitEnd<M, SHARED> {
    fn drop(&mut self) {
        self.group.shared().drop_producer(self.group.index());
    }
}

impl<M: StateMachine, const SHARED: bool> fmt::Debug for SubmitEnd<M, SHARED> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if SHARED { "SharedSubmitter" } else { "Submitter" };
        f.debug_struct(name).field("group", &self.index()).finish_non_exhaustive()
    }
}

/// Cancels a group and wakes who waits to submit to it.
pub(super) fn cancel<M: StateMachine>(group: &GroupHandle<M>) {
    group.set_control(Control::CANCELLED);
    group.front.submit_event.notify();
    group.front.receive_event.notify();
    group.shared().tell_keepers();
}
