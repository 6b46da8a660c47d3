//! crossbeam-channel: a bounded channel in and one out, or one out for each stream; all polled.

use super::Worker;
use crate::driver::Stream;
use crate::payload::{Payload, table, work};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::Arc;

pub struct Channels {
    requests: Sender<Payload>,
    results: Receiver<Payload>,
    /// What the payloads of this stream carry, so that the worker finds its channel out.
    tag: u64,
    _worker: Arc<Worker>,
}

pub fn stream(cpu: usize, window: usize, _batch: usize) -> Channels {
    streams(cpu, 1, window).pop().expect("one")
}

/// So many streams: one channel in, from which one worker sends each result to the channel of its stream.
pub fn streams(cpu: usize, count: usize, window: usize) -> Vec<Channels> {
    let (requests, inner) = bounded::<Payload>(window * count);
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| bounded(window)).unzip();
    let stages = table();
    let worker = Arc::new(Worker::spawn(cpu, move || {
        let Ok(mut value) = inner.try_recv() else { return false };
        work(&stages, &mut value);
        senders[value[4] as usize].try_send(value).expect("there is room for all in flight");
        true
    }));
    let channels = receivers.into_iter().zip(0..).map(|(results, tag)| Channels {
        requests: requests.clone(),
        results,
        tag,
        _worker: Arc::clone(&worker),
    });
    channels.collect()
}

impl Stream for Channels {
    #[inline(always)]
    fn submit(&mut self, values: &mut impl ExactSizeIterator<Item = Payload>) -> usize {
        let count = values.len();
        for mut value in values {
            value[4] = self.tag;
            self.requests.try_send(value).expect("no more than a window is in flight");
        }
        count
    }

    #[inline(always)]
    fn receive(&mut self, max: usize, each: &mut impl FnMut(&Payload)) -> usize {
        (0..max).map_while(|_| self.results.try_recv().ok()).map(|value| each(&value)).count()
    }
}
