//! The one door for atomics, cells, locks, threads, fences and spin hints.
//!
//! Under `--cfg stageline_loom` every item is loom's, so that a model sees each access that the
//! engine makes; otherwise they are those of `std` and crossbeam. Nothing else in `src/` may name
//! an atomic type or a fence (`tests/tidy.rs` checks it).
//!
//! # The asymmetric barrier
//!
//! Several protocols here are of the form *publish, barrier, look* on a hot side and *announce,
//! barrier, look again* on a rare side. A full fence on the hot side would cost a drained store
//! buffer for each request. On Linux the rare side instead calls
//! `membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)`, which makes every running thread of the process
//! execute a full barrier, and the hot side needs only a compiler fence: [`light_barrier`] on the
//! hot side pairs with [`heavy_barrier`] on the rare one. Where the system call is not to be had,
//! and in the models, both are `fence(SeqCst)`.
//!
//! Why less than a full barrier fails: without one, both sides may read the value from before the
//! other's store (store buffering), and a wake-up is lost.

pub use imp::*;

/// Adds to a counter of which the calling thread is the only writer, modulo 2^64. Relaxed: counters
/// order nothing.
#[inline(always)]
pub fn add_alone(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

#[cfg(not(stageline_loom))]
mod imp {
    pub use crossbeam_queue::ArrayQueue;
    pub use std::hint::spin_loop;
    pub use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
    pub use std::sync::{Arc, Condvar, Mutex, MutexGuard};
    pub use std::thread;

    use std::sync::atomic::{compiler_fence, fence};

    /// `std`'s cell with the closure interface of loom's, so that one source serves both.
    #[derive(Debug)]
    #[repr(transparent)]
    pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        /// Wraps a value.
        pub const fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        /// Runs `f` with a pointer for writing.
        #[inline(always)]
        pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }

    /// Whether `membarrier` is registered for this process. Written once, before the first
    /// pipeline's threads exist, by [`enable_asymmetric_barrier`]; read by every barrier. Relaxed:
    /// a thread that still reads `false` issues the full fence, which is the stronger of the two.
    static ASYMMETRIC: AtomicBool = AtomicBool::new(false);

    /// Asks for the cache line at `place`, to be written soon: one transfer instead of two. A hint.
    #[inline(always)]
    pub fn prefetch_for_write<T>(place: *const T) {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        // SAFETY: a prefetch reads nothing and faults on no address.
        // The intrinsic becomes a prefetch for reading where the target's features do not name this
        // instruction; processors of this architecture without it do nothing.
        unsafe {
            std::arch::asm!(
                "prefetchw [{}]",
                in(reg) place,
                options(nostack, preserves_flags, readonly)
            );
        }
        #[cfg(any(not(target_arch = "x86_64"), miri))]
        let _ = place;
    }

    /// Asks for the cache line at `place`, to be read soon. A hint.
    #[inline(always)]
    pub fn prefetch_for_read<T>(place: *const T) {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        // SAFETY: as above.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(place.cast());
        }
        #[cfg(any(not(target_arch = "x86_64"), miri))]
        let _ = place;
    }

    /// Registers the process for the asymmetric barrier, once. Returns whether it is in force.
    pub fn enable_asymmetric_barrier() -> bool {
        static REGISTERED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
        *REGISTERED.get_or_init(|| {
            let registered = membarrier::register();
            ASYMMETRIC.store(registered, Ordering::Relaxed);
            registered
        })
    }

    /// The hot side's barrier. Pairs with [`heavy_barrier`].
    #[inline(always)]
    pub fn light_barrier() {
        if ASYMMETRIC.load(Ordering::Relaxed) {
            compiler_fence(Ordering::SeqCst);
        } else {
            fence(Ordering::SeqCst);
        }
    }

    /// The rare side's barrier. Pairs with [`light_barrier`]. Costs a system call.
    pub fn heavy_barrier() {
        if ASYMMETRIC.load(Ordering::Relaxed) {
            membarrier::barrier();
        }
        fence(Ordering::SeqCst);
    }

    #[cfg(target_os = "linux")]
    mod membarrier {
        use libc::{
            MEMBARRIER_CMD_PRIVATE_EXPEDITED, MEMBARRIER_CMD_QUERY,
            MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, SYS_membarrier, c_int, c_long,
        };

        fn call(command: c_int) -> c_long {
            // SAFETY: membarrier takes three integers, touches no memory of ours, and answers an
            // unknown command with an error code.
            unsafe { libc::syscall(SYS_membarrier, command, 0, 0) }
        }

        pub(super) fn register() -> bool {
            let known = call(MEMBARRIER_CMD_QUERY);
            known > 0
                && known & c_long::from(MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0
                && call(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0
        }

        pub(super) fn barrier() {
            // The hot side relies on this barrier; going on without it could lose a wake-up.
            assert_eq!(
                call(MEMBARRIER_CMD_PRIVATE_EXPEDITED),
                0,
                "membarrier failed after it was registered"
            );
        }
    }

    #[cfg(not(target_os = "linux"))]
    mod membarrier {
        pub(super) fn register() -> bool {
            false
        }

        pub(super) fn barrier() {}
    }
}

#[cfg(stageline_loom)]
mod imp {
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

    /// Loom knows no asymmetric barrier: both sides are full fences.
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

    /// A hint, which loom has no use for.
    pub fn prefetch_for_write<T>(_place: *const T) {}

    /// A hint, which loom has no use for.
    pub fn prefetch_for_read<T>(_place: *const T) {}

    /// A bounded queue that loom can see (it is blind to crossbeam-queue).
    #[derive(Debug)]
    pub struct ArrayQueue<T> {
        items: Mutex<std::collections::VecDeque<T>>,
        capacity: usize,
    }

    impl<T> ArrayQueue<T> {
        /// An empty queue for at most `capacity` items.
        pub fn new(capacity: usize) -> Self {
            Self { items: Mutex::new(std::collections::VecDeque::new()), capacity }
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

        /// The number of items held.
        pub fn len(&self) -> usize {
            self.items.lock().expect("never poisoned").len()
        }
    }
}
