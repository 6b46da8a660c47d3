//! rtrb: a ring in and a ring out, both read and written in chunks: the submitter's of up to the batch, the
//! worker's of what it finds.

use super::Worker;
use crate::driver::{Stream, WORKER_BATCH_MAX};
use crate::payload::{Payload, table, work};
use rtrb::chunks::ChunkError;
use rtrb::{Consumer, Producer, RingBuffer};

pub struct Rings {
    requests: Producer<Payload>,
    results: Consumer<Payload>,
    _worker: Option<Worker>,
}

/// The worker's ends of one stream.
struct Ends {
    requests: Consumer<Payload>,
    results: Producer<Payload>,
}

impl Ends {
    /// Moves up to `batch_max` requests through the stages. The ring of the results has room for all that
    /// is in flight.
    #[inline(always)]
    fn serve(&mut self, stages: &[fn(&mut Payload); 3], batch_max: usize) -> bool {
        let len = available(&mut self.requests, batch_max);
        if len == 0 {
            return false;
        }
        let requests = self.requests.read_chunk(len).expect("they are there");
        let results = self.results.write_chunk_uninit(len).expect("there is room");
        results.fill_from_iter(requests.into_iter().map(|mut value| {
            work(stages, &mut value);
            value
        }));
        true
    }
}

/// How many of up to `max` can be read. Looks anew where the last look showed fewer.
#[inline(always)]
fn available(ring: &mut Consumer<Payload>, max: usize) -> usize {
    match ring.read_chunk(max) {
        Ok(_) => max,
        Err(ChunkError::TooFewSlots(len)) => len,
    }
}

fn rings(window: usize) -> (Rings, Ends) {
    let (requests_in, requests_out) = RingBuffer::new(window);
    let (results_in, results_out) = RingBuffer::new(window);
    let outer = Rings { requests: requests_in, results: results_out, _worker: None };
    (outer, Ends { requests: requests_out, results: results_in })
}

/// One stream.
pub fn stream(cpu: usize, window: usize, batch: usize) -> Rings {
    let (rings, mut ends) = rings(window);
    let (stages, batch_max) = (table(), batch.max(WORKER_BATCH_MAX));
    let worker = Worker::spawn(cpu, move || ends.serve(&stages, batch_max));
    Rings { _worker: Some(worker), ..rings }
}

/// So many streams, each with rings of its own, and one worker that takes them in turn. The first of
/// them holds the worker.
pub fn streams(cpu: usize, count: usize, window: usize, batch: usize) -> Vec<Rings> {
    let (mut outer, mut inner): (Vec<Rings>, Vec<Ends>) = (0..count).map(|_| rings(window)).unzip();
    let (stages, batch_max) = (table(), batch.max(WORKER_BATCH_MAX));
    outer[0]._worker = Some(Worker::spawn(cpu, move || {
        inner.iter_mut().fold(false, |any, ends| ends.serve(&stages, batch_max) | any)
    }));
    outer
}

impl Stream for Rings {
    #[inline(always)]
    fn submit(&mut self, values: &mut impl ExactSizeIterator<Item = Payload>) -> usize {
        // The worker may not yet have given back the slots of requests whose results are out already.
        match self.requests.write_chunk_uninit(values.len()) {
            Ok(chunk) => chunk.fill_from_iter(values),
            Err(ChunkError::TooFewSlots(_)) => 0,
        }
    }

    #[inline(always)]
    fn receive(&mut self, max: usize, each: &mut impl FnMut(&Payload)) -> usize {
        let len = available(&mut self.results, max);
        if len > 0 {
            let chunk = self.results.read_chunk(len).expect("they are there");
            let (first, second) = chunk.as_slices();
            first.iter().chain(second).for_each(each);
            chunk.commit_all();
        }
        len
    }
}
