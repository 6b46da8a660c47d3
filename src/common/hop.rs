//! How a request gets from one thread to another: a queue for the workers, and one for each pool.
//!
//! A queue has a place for each slot of the pipeline, and a slot stands in one place at a time: so it is never full,
//! and a thread that does not come for its requests holds up those alone. The queue is crossbeam's bounded one.

use super::Common;
use crate::kept::Link;
use crate::sync::{self, ArrayQueue, Ordering};
use crate::wait::Event;

/// The queue of a pool, or of the workers.
pub struct Hop {
    /// Requests that wait for one of its threads.
    pub queue: ArrayQueue<Link>,
    /// Where its threads sleep. (Workers sleep at their own.)
    pub event: Event,
}

impl Hop {
    /// The index of the workers' queue.
    pub const WORKERS: usize = 0;

    /// An empty queue, in a pipeline of so many slots.
    pub fn new(slots: usize) -> Self {
        Self { queue: ArrayQueue::new(slots), event: Event::default() }
    }

    /// Bytes that such a queue allocates: crossbeam keeps a stamp beside each item.
    pub fn bytes(slots: usize) -> usize {
        slots.saturating_mul(size_of::<Link>() + size_of::<usize>())
    }
}

impl<T, E> Common<T, E> {
    /// Hands a slot that the caller owns to the threads of a queue, and wakes one.
    pub fn send(&self, hop: usize, link: Link) {
        let queue = &self.hops[hop].queue;
        queue.push(link).expect("a place for each slot");
        sync::light_barrier();
        if hop != Hop::WORKERS {
            self.hops[hop].event.notify_one_after_barrier();
            return;
        }
        let home = self.home(link.group());
        home.event.notify_after_barrier();
        // It may be inside a long request,
        self.wake_helper(home.wants_help.load(Ordering::Relaxed));
        // or have left, as all that was kept was suspended, while another sleeps.
        self.tell_leavers();
    }

    /// Whether a request waits in some queue.
    pub fn has_queued(&self) -> bool {
        self.hops.iter().any(|hop| !hop.queue.is_empty())
    }

    /// As [`send`](Self::send), by a thread that may outlive the workers: then the request's receiver ends it.
    pub fn send_late(&self, hop: usize, link: Link) {
        self.send(hop, link);
        // The threads of pools, where the workers have left.
        self.tell_leavers();
        let front = &self.group(link.group()).front;
        // After the barrier of `send`: who does not see that the workers are gone is seen by the receiver, whom the
        // last of them wakes.
        if front.service.is_gone() {
            front.receive_event.notify();
        }
    }
}
