//! Loom's.

pub use super::scheduled::*;
pub use loom::cell::UnsafeCell;
pub use loom::hint::spin_loop;
pub use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
pub use loom::sync::{Arc, Condvar, Mutex, MutexGuard};

/// Loom's threads; it knows no time, so sleeping is yielding.
pub mod thread {
    pub use loom::thread::*;

    /// Lets the other threads run.
    pub fn sleep(_: std::time::Duration) {
        yield_now();
    }
}
