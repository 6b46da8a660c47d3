//! The counting allocator of the tests, switched on for the pass that counts only: its counters are one
//! more thing that threads would contend for.

#[path = "../../tests/common/counting.rs"]
#[allow(dead_code, reason = "the tests of the engine use more of it")]
mod counter;

use counter::{Counting, calls};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

pub struct Switched;

static COUNTS: AtomicBool = AtomicBool::new(false);

// SAFETY: every call is handed on to the system's allocator as it is, by way of the counter or not; so
// either may free what the other has allocated.
unsafe impl GlobalAlloc for Switched {
    // SAFETY: the caller's contract is that of the system's allocator.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTS.load(Ordering::Relaxed) {
            // SAFETY: by the caller's contract.
            return unsafe { Counting.alloc(layout) };
        }
        // SAFETY: by the caller's contract.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the caller's contract is that of the system's allocator.
    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        if COUNTS.load(Ordering::Relaxed) {
            // SAFETY: by the caller's contract.
            return unsafe { Counting.dealloc(start, layout) };
        }
        // SAFETY: by the caller's contract.
        unsafe { System.dealloc(start, layout) }
    }
}

/// Calls of the allocator, allocations and deallocations by all threads, while `body` runs.
pub fn calls_in(body: impl FnOnce()) -> usize {
    let before = calls();
    COUNTS.store(true, Ordering::SeqCst);
    body();
    COUNTS.store(false, Ordering::SeqCst);
    calls() - before
}

#[cfg(test)]
mod tests {
    use super::calls_in;

    #[test]
    fn what_is_allocated_is_counted() {
        // Other tests allocate meanwhile, so no exact figures.
        let boxes = calls_in(|| (0..1_000).for_each(|at| drop(std::hint::black_box(Box::new(at)))));
        assert!(boxes >= 2_000, "{boxes}");
    }
}
