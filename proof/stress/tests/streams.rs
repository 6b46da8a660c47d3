//! Millions of requests through a window, on the system's threads, against a queue of what is on its
//! way: every request comes out once, as it was submitted, and in its order where order was asked for.

#[path = "../../../loom-tests/tests/common/mod.rs"]
mod common;

use common::setting;
use common::stageline::window::Order::{self, Completion, Submission};
use common::window::{Payloads, Producer, receive, submit_shared, window, work};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Requests of each stream, in thousands, in a quick run.
const QUICK: usize = 1_000;
/// Fruitless looks after which a thread lets others have the CPU.
const LOOKS: u32 = 64;

fn requests() -> u64 {
    setting("STAGELINE_THOUSANDS", QUICK) as u64 * 1_000
}

/// Looks until there is something; another thread may need the CPU to bring it about.
fn until<R>(mut look: impl FnMut() -> Option<R>) -> R {
    let mut looks = 0;
    loop {
        if let Some(found) = look() {
            return found;
        }
        looks += 1;
        if looks % LOOKS == 0 {
            thread::yield_now();
        }
    }
}

/// Workers that claim up to `limit` at once, until they are told to stop.
struct Workers {
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<u64>>,
}

impl Workers {
    fn start(window: &Arc<Payloads>, lanes: usize, limit: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let start = |lane| {
            let (window, stop) = (window.clone(), stop.clone());
            thread::spawn(move || {
                let (mut run, mut idle) = (0, 0_u32);
                while !stop.load(Ordering::Relaxed) {
                    let more = work(&window, lane, limit).len() as u64;
                    run += more;
                    idle = if more > 0 { 0 } else { idle + 1 };
                    if idle >= LOOKS {
                        thread::yield_now();
                    }
                }
                run
            })
        };
        Self { threads: (0..lanes).map(start).collect(), stop }
    }

    /// How many requests they have run.
    fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.threads
            .into_iter()
            .map(|thread| thread.join().expect("it has seen nothing wrong"))
            .sum()
    }
}

/// Takes a result and strikes it off the queue of what is on its way.
fn strike_off(order: Order, position: u64, on_its_way: &mut VecDeque<u64>) {
    match order {
        Submission => assert_eq!(on_its_way.pop_front(), Some(position), "in order"),
        Completion => {
            let at = on_its_way.iter().position(|other| *other == position);
            on_its_way.remove(at.expect("it is on its way, and comes once"));
        }
    }
}

/// One thread submits and receives by turns, singly or in batches.
fn driven(order: Order, size: usize, lanes: usize, batch: u64) {
    // Half of it before the positions wrap.
    let (count, first) = (requests(), 0_u64.wrapping_sub(requests() / 2));
    let window = window(size, lanes, first, order);
    let workers = Workers::start(&window, lanes, batch as usize);
    let (mut producer, mut on_its_way, mut sent, mut got) =
        (Producer::new(&window), VecDeque::new(), 0, 0);
    while got < count {
        let wanted = batch.min(count - sent);
        let more = match wanted {
            0 => 0,
            1 => u64::from(producer.submit()),
            _ => producer.submit_batch(wanted),
        };
        on_its_way.extend((sent..sent + more).map(|number| first.wrapping_add(number)));
        sent += more;
        let full = on_its_way.len() == size || sent == count;
        let mut next = if full { Some(until(|| receive(&window))) } else { receive(&window) };
        while let Some(position) = next {
            strike_off(order, position, &mut on_its_way);
            got += 1;
            next = receive(&window);
        }
    }
    assert_eq!((workers.end(), on_its_way.len()), (count, 0));
}

#[test]
fn one_by_one() {
    for order in [Submission, Completion] {
        driven(order, 2, 1, 1);
        driven(order, 64, 2, 1);
    }
}

#[test]
fn in_batches() {
    for order in [Submission, Completion] {
        driven(order, 2, 2, 2);
        driven(order, 64, 1, 16);
        driven(order, 64, 2, 5);
    }
}

/// Two producers and a receiver in threads of their own: each position comes once, and in its order where
/// order was asked for.
#[test]
fn by_two_producers() {
    for order in [Submission, Completion] {
        let (each, first) = (requests() / 2, 0_u64.wrapping_sub(requests() / 2));
        let window = window(32, 2, first, order);
        let workers = Workers::start(&window, 2, 4);
        let producers = [(); 2].map(|()| {
            let window = window.clone();
            thread::spawn(move || {
                let mut before = None;
                for _ in 0..each {
                    let position = until(|| submit_shared(&window, order)).wrapping_sub(first);
                    assert!(before < Some(position), "a producer's positions rise");
                    before = Some(position);
                }
            })
        });
        let (mut head, mut ahead) = (0, VecDeque::from([false; 32]));
        for _ in 0..each * 2 {
            let position = until(|| receive(&window)).wrapping_sub(first);
            let place = (position - head) as usize;
            assert!(order == Completion || place == 0, "in order");
            // One that was released makes room for one beyond the window, before the head moves on.
            if place >= ahead.len() {
                ahead.resize(place + 1, false);
            }
            assert!(!std::mem::replace(&mut ahead[place], true), "{position} came twice");
            while ahead.front() == Some(&true) {
                ahead.pop_front();
                ahead.push_back(false);
                head += 1;
            }
        }
        producers.into_iter().for_each(|producer| producer.join().expect("it has submitted all"));
        assert_eq!((workers.end(), head), (each * 2, each * 2));
    }
}
