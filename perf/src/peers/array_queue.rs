//! crossbeam-queue: an `ArrayQueue` in and one out, spinning.

use super::Worker;
use crate::driver::Stream;
use crate::payload::{Payload, table, work};
use crossbeam_queue::ArrayQueue;
use std::sync::Arc;

pub struct Queues {
    requests: Arc<ArrayQueue<Payload>>,
    results: Arc<ArrayQueue<Payload>>,
    _worker: Worker,
}

pub fn stream(cpu: usize, window: usize, _batch: usize) -> Queues {
    let requests = Arc::new(ArrayQueue::<Payload>::new(window));
    let results = Arc::new(ArrayQueue::new(window));
    let (inner, outer) = (Arc::clone(&requests), Arc::clone(&results));
    let stages = table();
    let worker = Worker::spawn(cpu, move || {
        let Some(mut value) = inner.pop() else { return false };
        work(&stages, &mut value);
        outer.push(value).expect("there is room for all that is in flight");
        true
    });
    Queues { requests, results, _worker: worker }
}

impl Stream for Queues {
    #[inline(always)]
    fn submit(&mut self, values: &mut impl ExactSizeIterator<Item = Payload>) -> usize {
        let count = values.len();
        for value in values {
            self.requests.push(value).expect("no more than a window is in flight");
        }
        count
    }

    #[inline(always)]
    fn receive(&mut self, max: usize, each: &mut impl FnMut(&Payload)) -> usize {
        (0..max).map_while(|_| self.results.pop()).map(|value| each(&value)).count()
    }
}
