//! flume: a bounded channel in and one out. Both ends drain what is there under one lock.

use super::Worker;
use crate::driver::Stream;
use crate::payload::{Payload, table, work};
use flume::{Drain, Receiver, Sender, bounded};
use std::collections::VecDeque;

pub struct Channels {
    requests: Sender<Payload>,
    results: Receiver<Payload>,
    /// What has been drained and not yet received.
    buffer: VecDeque<Payload>,
    _worker: Worker,
}

pub fn stream(cpu: usize, window: usize, _batch: usize) -> Channels {
    let (requests, inner) = bounded::<Payload>(window);
    let (outer, results) = bounded(window);
    let stages = table();
    let worker = Worker::spawn(cpu, move || {
        let drained: Drain<'_, Payload> = inner.drain();
        let any = drained.len() > 0;
        for mut value in drained {
            work(&stages, &mut value);
            outer.try_send(value).expect("there is room for all that is in flight");
        }
        any
    });
    Channels { requests, results, buffer: VecDeque::with_capacity(window), _worker: worker }
}

impl Stream for Channels {
    #[inline(always)]
    fn submit(&mut self, values: &mut impl ExactSizeIterator<Item = Payload>) -> usize {
        let count = values.len();
        for value in values {
            self.requests.try_send(value).expect("no more than a window is in flight");
        }
        count
    }

    #[inline(always)]
    fn receive(&mut self, max: usize, each: &mut impl FnMut(&Payload)) -> usize {
        if self.buffer.is_empty() {
            self.buffer.extend(self.results.drain());
        }
        let count = self.buffer.len().min(max);
        self.buffer.drain(..count).for_each(|value| each(&value));
        count
    }
}
