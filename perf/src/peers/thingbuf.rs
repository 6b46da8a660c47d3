//! thingbuf: a `ThingBuf` in and one out, whose slots are written and read in place.

use super::Worker;
use crate::driver::Stream;
use crate::payload::{Payload, table, work};
use std::sync::Arc;
use thingbuf::ThingBuf;

pub struct Buffers {
    requests: Arc<ThingBuf<Payload>>,
    results: Arc<ThingBuf<Payload>>,
    _worker: Worker,
}

pub fn stream(cpu: usize, window: usize, _batch: usize) -> Buffers {
    let requests = Arc::new(ThingBuf::<Payload>::new(window));
    let results = Arc::new(ThingBuf::<Payload>::new(window));
    let (inner, outer) = (Arc::clone(&requests), Arc::clone(&results));
    let stages = table();
    let worker = Worker::spawn(cpu, move || {
        let Some(mut value) = inner.pop_ref() else { return false };
        work(&stages, &mut value);
        *outer.push_ref().expect("there is room for all that is in flight") = *value;
        true
    });
    Buffers { requests, results, _worker: worker }
}

impl Stream for Buffers {
    #[inline(always)]
    fn submit(&mut self, values: &mut impl ExactSizeIterator<Item = Payload>) -> usize {
        let count = values.len();
        for value in values {
            // The worker may still hold the slot of a request whose result is out already.
            let mut slot = loop {
                if let Ok(slot) = self.requests.push_ref() {
                    break slot;
                }
            };
            *slot = value;
        }
        count
    }

    #[inline(always)]
    fn receive(&mut self, max: usize, each: &mut impl FnMut(&Payload)) -> usize {
        (0..max).map_while(|_| self.results.pop_ref()).map(|value| each(&value)).count()
    }
}
