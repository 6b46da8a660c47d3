//! tokio's bounded mpsc: one channel in and one out. The worker is a task on a current-thread runtime of a
//! pinned thread. Neither parks: the worker takes what is there, and yields to its runtime where there is
//! nothing; the submitter uses the calls that do not wait, and so needs no runtime.

use crate::cores::pin;
use crate::driver::Stream;
use crate::payload::{Payload, table, work};
use std::thread::JoinHandle;
use tokio::runtime::Builder;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

pub struct Channels {
    /// None when it is dropped: that ends the worker.
    requests: Option<Sender<Payload>>,
    results: Receiver<Payload>,
    worker: Option<JoinHandle<()>>,
}

pub fn stream(cpu: usize, window: usize, _batch: usize) -> Channels {
    let (requests, inner) = channel(window);
    let (outer, results) = channel(window);
    let worker = std::thread::spawn(move || {
        pin(cpu);
        let runtime = Builder::new_current_thread().build().expect("a runtime of one thread");
        runtime.block_on(serve(inner, outer));
    });
    Channels { requests: Some(requests), results, worker: Some(worker) }
}

async fn serve(mut requests: Receiver<Payload>, results: Sender<Payload>) {
    let stages = table();
    loop {
        match requests.try_recv() {
            Ok(mut value) => {
                work(&stages, &mut value);
                results.try_send(value).expect("there is room for all that is in flight");
            }
            Err(TryRecvError::Empty) => tokio::task::yield_now().await,
            Err(TryRecvError::Disconnected) => return,
        }
    }
}

impl Stream for Channels {
    #[inline(always)]
    fn submit(&mut self, values: &mut impl ExactSizeIterator<Item = Payload>) -> usize {
        let (count, requests) = (values.len(), self.requests.as_ref().expect("until the drop"));
        for value in values {
            requests.try_send(value).expect("no more than a window is in flight");
        }
        count
    }

    #[inline(always)]
    fn receive(&mut self, max: usize, each: &mut impl FnMut(&Payload)) -> usize {
        (0..max).map_while(|_| self.results.try_recv().ok()).map(|value| each(&value)).count()
    }
}

impl Drop for Channels {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(worker) = self.worker.take() {
            worker.join().expect("the worker does not panic");
        }
    }
}
