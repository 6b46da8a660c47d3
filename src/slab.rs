//! A fixed array, aligned to a cache-line pair and allocated fallibly.
//!
//! `Vec` aligns to its element only, which would let a 64-byte slot straddle two cache lines, and
//! most of its constructors abort when memory cannot be had.

use std::alloc::{Layout, alloc, dealloc};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Two 64-byte lines: what the adjacent-line prefetcher of x86-64 moves together.
const ALIGN: usize = 128;

/// Memory that the allocator refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory {
    /// Size of the refused allocation.
    pub bytes: usize,
}

/// A boxed slice whose first element stands on a [`ALIGN`]-byte boundary.
#[derive(Debug)]
pub struct Slab<T> {
    start: NonNull<T>,
    len: usize,
}

// SAFETY: a slab owns its elements as a boxed slice does; it adds no sharing of its own.
unsafe impl<T: Send> Send for Slab<T> {}
// SAFETY: as above: `&Slab<T>` gives out only `&T`.
unsafe impl<T: Sync> Sync for Slab<T> {}

impl<T> Slab<T> {
    /// Allocates and fills `len` elements, in order. All of its pages have been written when it
    /// returns. A panic in `init` drops what was made so far.
    pub fn try_new(len: usize, init: impl FnMut(usize) -> T) -> Result<Self, OutOfMemory> {
        let Some(layout) = Self::layout(len) else {
            return Err(OutOfMemory { bytes: usize::MAX });
        };
        let start = if layout.size() == 0 {
            NonNull::dangling()
        } else {
            // SAFETY: the layout's size is not zero.
            let raw = unsafe { alloc(layout) };
            NonNull::new(raw.cast::<T>()).ok_or(OutOfMemory { bytes: layout.size() })?
        };
        let mut filling = Filling { start, done: 0, layout };
        (0..len).map(init).for_each(|value| {
            // SAFETY: `done < len`, so the place is inside the allocation and not yet initialised.
            unsafe { start.as_ptr().add(filling.done).write(value) };
            filling.done += 1;
        });
        std::mem::forget(filling);
        Ok(Self { start, len })
    }

    /// The element at `index`, without a check in release builds.
    ///
    /// # Safety
    ///
    /// `index` is less than the length.
    #[inline(always)]
    pub unsafe fn at(&self, index: usize) -> &T {
        debug_assert!(index < self.len);
        // SAFETY: by this function's contract, inside the initialised elements.
        unsafe { &*self.start.as_ptr().add(index) }
    }

    /// Bytes that a slab of `len` elements takes, `usize::MAX` if that is more than can be
    /// addressed.
    pub fn bytes(len: usize) -> usize {
        Self::layout(len).map_or(usize::MAX, |layout| layout.size())
    }

    fn layout(len: usize) -> Option<Layout> {
        Layout::array::<T>(len).ok()?.align_to(ALIGN).ok()
    }
}

/// Frees a half-filled allocation when the filler panics.
struct Filling<T> {
    start: NonNull<T>,
    done: usize,
    layout: Layout,
}

impl<T> Drop for Filling<T> {
    fn drop(&mut self) {
        // SAFETY: the first `done` elements are initialised and owned by this guard; the
        // allocation was made with this layout.
        unsafe { free(self.start, self.done, self.layout) }
    }
}

impl<T> Drop for Slab<T> {
    fn drop(&mut self) {
        let layout = Self::layout(self.len).expect("it was allocated with this layout");
        // SAFETY: all `len` elements are initialised and owned; the layout is the same function
        // of `len` as at the allocation.
        unsafe { free(self.start, self.len, layout) }
    }
}

/// Drops `len` elements and frees the allocation, the latter even if an element's drop panics.
///
/// # Safety
///
/// The first `len` elements are initialised and never used again; a non-empty `layout` is the one
/// that the allocation was made with.
unsafe fn free<T>(start: NonNull<T>, len: usize, layout: Layout) {
    struct Dealloc(NonNull<u8>, Layout);
    impl Drop for Dealloc {
        fn drop(&mut self) {
            if self.1.size() != 0 {
                // SAFETY: by the contract of `free`.
                unsafe { dealloc(self.0.as_ptr(), self.1) }
            }
        }
    }
    let _dealloc = Dealloc(start.cast(), layout);
    // SAFETY: by the contract of `free`. `drop_in_place` of a slice goes on to the remaining
    // elements when one of them panics.
    unsafe { std::ptr::slice_from_raw_parts_mut(start.as_ptr(), len).drop_in_place() }
}

impl<T> Deref for Slab<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: `start` points to `len` initialised elements (or dangles, aligned, for none).
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for Slab<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as for `deref`; the exclusive borrow makes it the only one.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn is_aligned_and_filled_in_order() {
        let slab = Slab::try_new(1000, |index| index as u64).expect("8 kB");
        assert_eq!(slab.as_ptr().addr() % ALIGN, 0);
        assert!(slab.iter().enumerate().all(|(index, value)| index as u64 == *value));
    }

    #[test]
    fn more_than_can_be_had_is_an_error() {
        let refused = Slab::<u64>::try_new(1 << 57, |_| 0);
        assert_eq!(refused.expect_err("2^60 bytes").bytes, 1 << 60);
        let overflow = Slab::<u64>::try_new(usize::MAX, |_| 0);
        assert_eq!(overflow.expect_err("overflow").bytes, usize::MAX);
    }

    #[test]
    fn a_panic_in_the_filler_drops_what_was_made() {
        struct Counted<'a>(&'a Cell<i32>);
        impl Drop for Counted<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() - 1);
            }
        }
        let live = Cell::new(0);
        let result = catch_unwind(AssertUnwindSafe(|| {
            Slab::try_new(10, |index| {
                assert_ne!(index, 7, "stop here");
                live.set(live.get() + 1);
                Counted(&live)
            })
        }));
        assert!(result.is_err());
        assert_eq!(live.get(), 0);
    }

    #[test]
    fn zero_sized_elements_are_dropped_too() {
        thread_local!(static DROPS: Cell<u32> = const { Cell::new(0) });
        struct Zero;
        impl Drop for Zero {
            fn drop(&mut self) {
                DROPS.set(DROPS.get() + 1);
            }
        }
        drop(Slab::try_new(5, |_| Zero).expect("no memory needed"));
        assert_eq!(DROPS.get(), 5);
    }
}
