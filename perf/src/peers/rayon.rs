//! rayon: a pool of one pinned thread; each burst is one spawned job, on a buffer that is used again, and
//! comes back by a queue. (A `scope` for each burst would make the submitter wait for each.)

use crate::cores::pin;
use crate::driver::Stream;
use crate::payload::{Payload, table, work};
use crossbeam_queue::ArrayQueue;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::Arc;

type Buffer = Vec<Payload>;

pub struct Pool {
    pool: ThreadPool,
    results: Arc<ArrayQueue<Buffer>>,
    free: Vec<Buffer>,
    /// The results that are being received.
    current: Buffer,
    at: usize,
}

pub fn stream(cpu: usize, window: usize, batch: usize) -> Pool {
    let builder = ThreadPoolBuilder::new().num_threads(1).start_handler(move |_| pin(cpu));
    Pool {
        pool: builder.build().expect("a pool of one thread"),
        results: Arc::new(ArrayQueue::new(window)),
        free: (0..=window / batch).map(|_| Vec::with_capacity(batch)).collect(),
        current: Vec::with_capacity(batch),
        at: 0,
    }
}

impl Stream for Pool {
    #[inline(always)]
    fn submit(&mut self, values: &mut impl ExactSizeIterator<Item = Payload>) -> usize {
        let count = values.len();
        if count == 0 {
            return 0;
        }
        let mut buffer = self.free.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend(values);
        let results = Arc::clone(&self.results);
        self.pool.spawn_fifo(move || {
            let stages = table();
            buffer.iter_mut().for_each(|value| work(&stages, value));
            results.push(buffer).expect("there is room for all that is in flight");
        });
        count
    }

    #[inline(always)]
    fn receive(&mut self, max: usize, each: &mut impl FnMut(&Payload)) -> usize {
        if self.at == self.current.len() {
            let Some(next) = self.results.pop() else { return 0 };
            self.free.push(std::mem::replace(&mut self.current, next));
            self.at = 0;
        }
        let rest = &self.current[self.at..];
        let count = rest.len().min(max);
        rest[..count].iter().for_each(each);
        self.at += count;
        count
    }
}
