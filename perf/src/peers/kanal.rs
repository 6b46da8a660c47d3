//! kanal: a bounded channel in and one out. Both ends drain what is there under one lock. Who has nothing
//! to do but wait does so inside of `recv`, which looks at a word of its own, and yields: polling takes the
//! channel's lock each time, and keeps the other thread from it.

use super::Worker;
use crate::driver::Stream;
use crate::payload::{Payload, table, work};
use kanal::{Receiver, Sender, bounded};

pub struct Channels {
    // Dropped before the worker, whose wait that ends.
    requests: Sender<Payload>,
    results: Receiver<Payload>,
    /// What has been drained and not yet received.
    buffer: Vec<Payload>,
    at: usize,
    _worker: Worker,
}

pub fn stream(cpu: usize, window: usize, _batch: usize) -> Channels {
    let (requests, inner) = bounded::<Payload>(window);
    let (outer, results) = bounded(window);
    let stages = table();
    let mut buffer = Vec::with_capacity(window);
    let worker = Worker::spawn(cpu, move || {
        let Ok(first) = inner.recv() else { return false };
        buffer.push(first);
        _ = inner.drain_into(&mut buffer);
        for mut value in buffer.drain(..) {
            work(&stages, &mut value);
            send(&outer, value);
        }
        true
    });
    Channels { requests, results, buffer: Vec::with_capacity(window), at: 0, _worker: worker }
}

/// The crate asks once how many CPUs there are, and never spins if there is one. Asked by a pinned thread,
/// the system says one; so this is to be called before.
pub fn look_at_cpus() {
    // A wait with a deadline asks.
    let (_sender, receiver) = bounded::<u8>(1);
    let waited = receiver.recv_timeout(std::time::Duration::from_nanos(1));
    assert!(waited.is_err(), "nothing was sent");
}

/// There is room for all that is in flight.
#[inline(always)]
fn send(channel: &Sender<Payload>, value: Payload) {
    assert_eq!(channel.try_send(value), Ok(true), "no room, or the other end has gone");
}

impl Stream for Channels {
    #[inline(always)]
    fn submit(&mut self, values: &mut impl ExactSizeIterator<Item = Payload>) -> usize {
        let count = values.len();
        values.for_each(|value| send(&self.requests, value));
        count
    }

    #[inline(always)]
    fn receive(&mut self, max: usize, each: &mut impl FnMut(&Payload)) -> usize {
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
            _ = self.results.drain_into(&mut self.buffer);
        }
        let rest = &self.buffer[self.at..];
        let count = rest.len().min(max);
        rest[..count].iter().for_each(each);
        self.at += count;
        count
    }

    #[inline(always)]
    fn trip(&mut self, value: Payload) -> u64 {
        send(&self.requests, value);
        self.results.recv().expect("the worker is there")[6]
    }
}
