//! What loom and shuttle have in common: each access is a step of their schedule.

use super::{Mutex, Ordering, fence};
use std::collections::VecDeque;

/// There is no asymmetric barrier here: both sides are full fences.
pub fn enable_asymmetric_barrier() -> bool {
    false
}

/// The hot side's barrier.
pub fn light_barrier() {
    fence(Ordering::SeqCst);
}

/// The rare side's barrier.
pub fn heavy_barrier() {
    fence(Ordering::SeqCst);
}

/// A hint, which a schedule has no use for.
pub fn prefetch_for_write<T>(_place: *const T) {}

/// Nothing.
pub fn prefetch_behind_for_write<T>(_place: *const T, _bytes: usize) {}

/// A hint, which a schedule has no use for.
pub fn prefetch_for_read<T>(_place: *const T) {}

/// A bounded queue whose steps are seen (those of crossbeam-queue are not).
#[derive(Debug)]
pub struct ArrayQueue<T> {
    items: Mutex<VecDeque<T>>,
    capacity: usize,
}

impl<T> ArrayQueue<T> {
    /// An empty queue for at most `capacity` items.
    pub fn new(capacity: usize) -> Self {
        Self { items: Mutex::new(VecDeque::new()), capacity }
    }

    /// Appends an item, or gives it back when the queue is full.
    pub fn push(&self, item: T) -> Result<(), T> {
        let mut items = self.items.lock().expect("never poisoned");
        if items.len() == self.capacity {
            return Err(item);
        }
        items.push_back(item);
        Ok(())
    }

    /// Takes the oldest item.
    pub fn pop(&self) -> Option<T> {
        self.items.lock().expect("never poisoned").pop_front()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of items held.
    pub fn len(&self) -> usize {
        self.items.lock().expect("never poisoned").len()
    }
}
