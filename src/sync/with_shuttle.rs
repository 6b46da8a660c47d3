//! Shuttle's. It takes every ordering for `SeqCst`, and does not watch plain memory.

pub use super::cell::UnsafeCell;
pub use super::scheduled::*;
pub use shuttle::hint::spin_loop;
pub use shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
pub use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard};
pub use shuttle::thread;
