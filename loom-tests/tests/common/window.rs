//! The three parties of a window, as the ends of a group and the workers use it. Each step looks
//! once and acts if there is something to do.

use super::stageline::slot::Phase;
use super::stageline::sync::Arc;
use super::stageline::window::{Claimed, Order, Place, Window};

/// A window of payloads that loom watches.
pub type Payloads = Window<u64, ()>;

/// What a worker adds to a payload.
pub const RUN: u64 = 1_000;

/// A window of this size, opened in this order, that starts at `position`.
pub fn window(size: usize, lanes: usize, position: u64, order: Order) -> Arc<Payloads> {
    let window = Window::try_new(size, lanes, position, false, &mut || 0).expect("little memory");
    window.reopen(order);
    Arc::new(window)
}

/// Runs `f` on a payload and touches its cold entry; loom fails the model if the slot is not this
/// thread's.
pub fn payload<R>(window: &Payloads, slot: usize, f: impl FnOnce(&mut u64) -> R) -> R {
    // SAFETY: the callers have just taken the slot; that it is theirs is what the model checks.
    unsafe {
        window.cold(slot, |cold| (*cold).submitted_ns += 1);
        window.value(slot, |value| f(&mut *value))
    }
}

/// A sole producer.
pub struct Producer {
    window: Arc<Payloads>,
    order: Order,
    tail: u64,
    received: u64,
}

impl Producer {
    pub fn new(window: &Arc<Payloads>) -> Self {
        let (tail, received) = (window.tail(), window.received());
        Self { window: window.clone(), order: window.order(), tail, received }
    }

    /// Submits its position, modulo 1000, as the value.
    pub fn submit(&mut self) -> bool {
        let Some(place) = self.window.vacant(self.order, self.tail, &mut self.received) else {
            return false;
        };
        self.tail = self.tail.wrapping_add(1);
        self.window.advance_tail(self.tail);
        fill(&self.window, place);
        true
    }

    /// Submits up to `most` as one batch; how many there was room for.
    pub fn submit_batch(&mut self, most: u64) -> u64 {
        let first = self.tail;
        let len = self.window.vacancies(first, most, &mut self.received);
        self.tail = first.wrapping_add(len);
        self.window.advance_tail(self.tail);
        for position in (0..len).map(|ahead| first.wrapping_add(ahead)) {
            let slot = self.window.place(self.order, position).slot();
            payload(&self.window, slot, |value| *value = position % RUN);
        }
        self.window.publish_batch(self.order, first, len);
        len
    }
}

/// One of several producers submits.
pub fn submit_shared(window: &Payloads, order: Order) -> Option<u64> {
    let place = window.take_vacant(order)?;
    fill(window, place);
    Some(place.position)
}

fn fill(window: &Payloads, place: Place) {
    payload(window, place.slot(), |value| *value = place.position % RUN);
    window.publish(place);
}

/// A claimed batch: position and slot of each request.
pub struct Batch {
    claimed: Claimed,
    slots: Vec<u32>,
}

impl Batch {
    /// The positions in it.
    pub fn positions(&self) -> Vec<u64> {
        (0..self.claimed.len as u64).map(|ahead| self.claimed.first.wrapping_add(ahead)).collect()
    }
}

/// A worker claims up to `limit` requests.
pub fn claim(window: &Payloads, limit: usize) -> Option<Batch> {
    let mut slots = vec![u32::MAX; limit];
    let claimed = window.claim(limit, &mut slots)?;
    Some(Batch { claimed, slots })
}

/// A worker runs and completes what it has claimed.
pub fn complete(window: &Payloads, lane: usize, batch: &Batch) {
    for (ahead, position) in batch.positions().into_iter().enumerate() {
        let slot = window.claimed_slot(batch.claimed, &batch.slots, ahead);
        payload(window, window.index_of(slot), |value| {
            assert_eq!(*value, position % RUN, "what was submitted as {position}");
            *value += RUN;
        });
    }
    window.complete(lane, batch.claimed, &batch.slots, None);
}

/// A worker claims up to `limit` requests, runs and completes them; the positions.
pub fn work(window: &Payloads, lane: usize, limit: usize) -> Vec<u64> {
    claim(window, limit).map_or(Vec::new(), |batch| {
        complete(window, lane, &batch);
        batch.positions()
    })
}

/// What a worker gets ready for the next request, before it comes.
pub fn expect(window: &Payloads) -> Batch {
    let mut slots = vec![u32::MAX];
    let claimed = window.expected(&mut slots);
    Batch { claimed, slots }
}

/// A worker looks for the request that it expects; if that has come it claims, runs and completes it.
pub fn work_expected(window: &Payloads, lane: usize, expected: &Batch) -> Vec<u64> {
    let slot = window.claimed_slot(expected.claimed, &expected.slots, 0);
    if !slot.is_ready(expected.claimed.first) || !window.claim_expected(expected.claimed) {
        return Vec::new();
    }
    complete(window, lane, expected);
    expected.positions()
}

/// The receive end takes one result, which is done; its position.
pub fn receive(window: &Payloads) -> Option<u64> {
    let (position, phase) = receive_ended(window)?;
    assert_eq!(phase, Phase::Done);
    Some(position)
}

/// The submit end sheds one request, on the lane behind that of a sole worker; whether there was one.
pub fn shed(window: &Payloads) -> bool {
    window.shed(1).inspect(|phase| assert_eq!(*phase, Phase::Dropped)).is_some()
}

/// The receive end takes one result; its position, and how it ended.
pub fn receive_ended(window: &Payloads) -> Option<(u64, Phase)> {
    // SAFETY: one thread of the model at a time holds the receive end; the model checks the cursors' cell.
    unsafe {
        window.receive(|cursor| {
            let order = window.order();
            let finished = window.next_finished(order, cursor)?;
            let (slot, position, phase) = (finished.slot(), finished.position, finished.phase);
            payload(window, slot, |value| {
                let run = if phase == Phase::Done { RUN } else { 0 };
                assert_eq!(*value, position % RUN + run, "what was submitted as {position}");
                *value = 0;
            });
            window.consume(order, cursor, finished.receipt());
            window.publish_received(cursor);
            Some((position, phase))
        })
    }
}

/// The receive end takes up to `max` results in a row, in order of submission, and gives their slots back as
/// one; how many.
pub fn receive_row(window: &Payloads, max: usize) -> usize {
    // SAFETY: as in `receive`.
    unsafe {
        window.receive(|cursor| {
            let (first, done) = window.done_in_a_row(cursor, max);
            for position in (0..done as u64).map(|ahead| first.wrapping_add(ahead)) {
                let finished = window.done_at(position);
                assert_eq!((finished.phase, finished.position), (Phase::Done, position));
                payload(window, finished.slot(), |value| {
                    assert_eq!(*value, position % RUN + RUN, "what was run as {position}");
                    *value = 0;
                });
            }
            window.consume_done(cursor, done as u64);
            window.publish_received(cursor);
            done
        })
    }
}

/// The receive end of a group whose workers are gone ends one request; its position.
pub fn receive_orphan(window: &Payloads) -> Option<u64> {
    // SAFETY: as in `receive`.
    unsafe {
        window.receive(|cursor| {
            let orphan = window.next_orphan(cursor)?;
            assert_eq!(window.next_orphan(cursor), Some(orphan), "it stays the next one");
            let (slot, position) = (orphan.slot(), orphan.position);
            assert_eq!(orphan.phase, Phase::Cancelled);
            payload(window, slot, |value| assert_eq!(*value, position % RUN));
            window.consume(window.order(), cursor, orphan.receipt());
            window.publish_received(cursor);
            Some(position)
        })
    }
}
