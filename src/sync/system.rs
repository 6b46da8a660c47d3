//! The standard library's and crossbeam's, and the system's asymmetric barrier.

pub use super::cell::UnsafeCell;
pub use crossbeam_queue::ArrayQueue;
pub use std::hint::spin_loop;
pub use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
pub use std::sync::{Arc, Condvar, Mutex, MutexGuard};
pub use std::thread;

use std::sync::atomic::{compiler_fence, fence};

/// Whether `membarrier` is registered for this process. Written once, before the first
/// pipeline's threads exist, by [`enable_asymmetric_barrier`]; read by every barrier. Relaxed:
/// a thread that still reads `false` issues the full fence, which is the stronger of the two.
static ASYMMETRIC: AtomicBool = AtomicBool::new(false);

/// Asks for the cache line at `place`, to be written soon: one transfer instead of two. A hint.
#[inline(always)]
pub fn prefetch_for_write<T>(place: *const T) {
    prefetch_behind_for_write(place, 0);
}

/// The same of the line so many bytes behind `place`.
#[inline(always)]
pub fn prefetch_behind_for_write<T>(place: *const T, bytes: usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch reads nothing and faults on no address.
    // The intrinsic becomes a prefetch for reading where the target's features do not name this
    // instruction; processors of this architecture without it do nothing.
    unsafe {
        std::arch::asm!(
            "prefetchw [{} + {}]",
            in(reg) place,
            in(reg) bytes,
            options(nostack, preserves_flags, readonly)
        );
    }
    #[cfg(any(not(target_arch = "x86_64"), miri))]
    let _ = (place, bytes);
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
