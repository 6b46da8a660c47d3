//! The one door for atomics, cells, locks, threads, fences and spin hints.
//!
//! Under `--cfg stageline_loom` every item is loom's, and under `--cfg stageline_shuttle` shuttle's, so
//! that a model sees each access that the engine makes; otherwise they are those of `std` and
//! crossbeam. Nothing outside of this folder may name an atomic type or a fence (`tests/tidy.rs`
//! checks it).
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

use crate::limits::PREFETCH_MAX;

#[cfg(not(stageline_loom))]
mod cell;
#[cfg(any(stageline_loom, stageline_shuttle))]
mod scheduled;
#[cfg(not(any(stageline_loom, stageline_shuttle)))]
mod system;
#[cfg(stageline_loom)]
mod with_loom;
#[cfg(stageline_shuttle)]
mod with_shuttle;

#[cfg(not(any(stageline_loom, stageline_shuttle)))]
pub use system::*;
#[cfg(stageline_loom)]
pub use with_loom::*;
#[cfg(stageline_shuttle)]
pub use with_shuttle::*;

/// Adds to a counter of which the calling thread is the only writer, modulo 2^64. Relaxed: counters
/// order nothing.
#[inline(always)]
pub fn add_alone(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

/// Asks for the cache lines of these bytes, up to [`PREFETCH_MAX`] bytes, so that they come while the caller goes
/// on: for [`StateMachine::prefetch`](crate::StateMachine::prefetch). A hint, of one instruction a line; nothing is
/// read.
#[inline]
pub fn prefetch(bytes: &[u8]) {
    lines(bytes).for_each(prefetch_for_read);
}

/// As [`prefetch`], of bytes that the caller will write: they leave the other CPU's cache at once, and not by a second transfer.
#[inline]
pub fn prefetch_to_write(bytes: &mut [u8]) {
    lines(bytes).for_each(prefetch_for_write);
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = *const u8> {
    bytes[..bytes.len().min(PREFETCH_MAX)].chunks(LINE).map(<[u8]>::as_ptr)
}

/// Bytes of a cache line.
pub const LINE: usize = 64;
