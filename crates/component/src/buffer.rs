//! Bytes that grow, and that may be handed across a C interface.
//!
//! A buffer carries the two functions that grow and free it. So whoever holds it, on either side of the
//! interface, can make it larger, and the memory goes back to the allocator that it came from.

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::error::Error;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::{fmt, io, slice};

/// The least memory that a buffer takes when it grows.
const CAPACITY_MIN: usize = 64;

/// Bytes that grow up to a limit. The memory belongs to whoever made the buffer, and is kept for the next use.
#[repr(C)]
pub struct Buffer {
    /// The bytes. Never null; of no meaning while the capacity is 0.
    data: *mut u8,
    /// How many bytes there are.
    len: usize,
    /// How many bytes there is memory for.
    capacity: usize,
    /// How many bytes there may be.
    max: usize,
    /// Makes the capacity at least as large as is said, keeping the bytes; 0 if it did, else nothing has changed.
    grow: unsafe extern "C" fn(buffer: *mut Buffer, capacity: usize) -> i32,
    /// Gives the memory back, after which the buffer is empty. For who made the buffer.
    free: unsafe extern "C" fn(buffer: *mut Buffer),
}

// SAFETY: the buffer owns its bytes as a `Vec` does. The two functions are free of any thread: ours by the global
// allocator, others' by the contract of the C interface.
unsafe impl Send for Buffer {}

// SAFETY: what is shared can be read alone.
unsafe impl Sync for Buffer {}

/// More bytes than there may be, or than there is memory for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// How many bytes there would have been; `usize::MAX` where nobody counted.
    pub wanted: usize,
    /// How many there may be.
    pub max: usize,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wanted, max } = self;
        match wanted {
            &usize::MAX => write!(f, "more than the {max} bytes that there may be"),
            _ if wanted > max => {
                write!(f, "{wanted} bytes are more than the {max} that there may be")
            }
            _ => write!(f, "there is no memory for {wanted} bytes"),
        }
    }
}

impl Error for TooLarge {}

impl From<TooLarge> for io::Error {
    fn from(error: TooLarge) -> Self {
        Self::new(io::ErrorKind::FileTooLarge, error)
    }
}

impl Buffer {
    /// An empty buffer that has no memory yet, for at most so many bytes.
    pub const fn new(max: usize) -> Self {
        let data = NonNull::dangling().as_ptr();
        Self { data, len: 0, capacity: 0, max, grow: grow_by_allocator, free: free_by_allocator }
    }

    /// An empty buffer with memory for so many bytes, but not more than the limit. Where the memory cannot be had
    /// the buffer has none yet, and whatever is put into it asks again.
    pub fn with_capacity(capacity: usize, max: usize) -> Self {
        let mut buffer = Self::new(max);
        let _ = buffer.grow_to(capacity.min(max));
        buffer
    }

    /// The bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the first `len` bytes are initialised, and `data` is never null.
        unsafe { slice::from_raw_parts(self.data, self.len) }
    }

    /// The bytes, to be changed in place.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the buffer is borrowed alone.
        unsafe { slice::from_raw_parts_mut(self.data, self.len) }
    }

    /// How many bytes there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes there is memory for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many bytes there may be.
    pub fn max(&self) -> usize {
        self.max
    }

    /// Forgets the bytes and keeps the memory.
    #[inline]
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Keeps the first `len` bytes, or all where there are fewer.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Makes room for so many bytes more. The memory at least doubles when it grows, so that what is put in one by
    /// one costs the same for each.
    #[inline]
    pub fn reserve(&mut self, additional: usize) -> Result<(), TooLarge> {
        let wanted = self.len.saturating_add(additional);
        if wanted <= self.capacity.min(self.max) { Ok(()) } else { self.make_room(wanted) }
    }

    #[cold]
    fn make_room(&mut self, wanted: usize) -> Result<(), TooLarge> {
        let error = TooLarge { wanted, max: self.max };
        if wanted > self.max {
            return Err(error);
        }
        let doubled = self.capacity.saturating_mul(2).max(CAPACITY_MIN);
        let generous = doubled.max(wanted).min(self.max);
        if self.grow_to(generous) || self.grow_to(wanted) { Ok(()) } else { Err(error) }
    }

    /// Whether there is memory for so many bytes now.
    fn grow_to(&mut self, capacity: usize) -> bool {
        // SAFETY: the function is of this buffer, which is borrowed alone.
        unsafe { (self.grow)(self, capacity) == 0 }
    }

    /// Appends a byte.
    #[inline]
    pub fn push(&mut self, byte: u8) -> Result<(), TooLarge> {
        self.extend_from_slice(&[byte])
    }

    /// Appends bytes: all, or none.
    #[inline]
    pub fn extend_from_slice(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        self.reserve(bytes.len())?;
        // SAFETY: there is room behind the last byte, and what is borrowed alone does not overlap with `bytes`.
        unsafe { self.data.add(self.len).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        self.len += bytes.len();
        Ok(())
    }

    /// Puts these bytes in place of those that there are. Where they are too many, nothing changes.
    #[inline]
    pub fn set(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        self.reserve(bytes.len().saturating_sub(self.len))?;
        self.len = 0;
        self.extend_from_slice(bytes)
    }

    /// Makes it so many bytes: cuts off what is more, and appends `byte` where there are fewer.
    pub fn resize(&mut self, len: usize, byte: u8) -> Result<(), TooLarge> {
        if let Some(additional) = len.checked_sub(self.len) {
            self.reserve(additional)?;
            // SAFETY: there is room for so many bytes behind the last one.
            unsafe { self.data.add(self.len).write_bytes(byte, additional) };
        }
        self.len = len;
        Ok(())
    }

    /// Exchanges bytes and memory with another buffer, at no cost for their number. Each keeps its limit; where one
    /// would have more bytes than it may, nothing changes.
    pub fn swap(&mut self, other: &mut Self) -> Result<(), TooLarge> {
        for (place, bytes) in [(&*self, &*other), (&*other, &*self)] {
            if bytes.len > place.max {
                return Err(TooLarge { wanted: bytes.len, max: place.max });
            }
        }
        std::mem::swap(self, other);
        std::mem::swap(&mut self.max, &mut other.max);
        Ok(())
    }
}

impl Default for Buffer {
    /// An empty one without a limit.
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the function is of this buffer, which nobody uses any more.
        unsafe { (self.free)(self) }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.as_mut_slice()
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.as_slice().escape_ascii();
        write!(f, "Buffer(\"{bytes}\", {} of {})", self.capacity, self.max)
    }
}

/// Appends; what is too large is an error of the kind `FileTooLarge`, and nothing is appended.
impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend_from_slice(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        Ok(self.extend_from_slice(bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Grows by the global allocator of whoever this code was compiled for.
///
/// # Safety
///
/// The buffer's memory is of this allocator, and nobody else uses it.
unsafe extern "C" fn grow_by_allocator(buffer: *mut Buffer, capacity: usize) -> i32 {
    // SAFETY: by the contract.
    let buffer = unsafe { &mut *buffer };
    if capacity <= buffer.capacity {
        return 0;
    }
    let (layout, true) = (Layout::array::<u8>(capacity), capacity <= buffer.max) else { return 1 };
    let Ok(layout) = layout else { return 1 };
    let data = match buffer.capacity {
        // SAFETY: the size is not 0.
        0 => unsafe { alloc(layout) },
        // SAFETY: the memory was had with this layout, and the new size is a layout's.
        old => unsafe {
            realloc(buffer.data, Layout::array::<u8>(old).unwrap_unchecked(), capacity)
        },
    };
    if data.is_null() {
        return 1;
    }
    (buffer.data, buffer.capacity) = (data, capacity);
    0
}

/// Gives the memory back to the allocator of [`grow_by_allocator`].
///
/// # Safety
///
/// As there.
unsafe extern "C" fn free_by_allocator(buffer: *mut Buffer) {
    // SAFETY: by the contract.
    let buffer = unsafe { &mut *buffer };
    let capacity = std::mem::take(&mut buffer.capacity);
    buffer.len = 0;
    if capacity > 0 {
        // SAFETY: the memory was had with this layout, and is freed once, since the capacity is 0 now.
        unsafe { dealloc(buffer.data, Layout::array::<u8>(capacity).unwrap_unchecked()) };
        buffer.data = NonNull::dangling().as_ptr();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn it_grows_up_to_its_limit_and_not_beyond() {
        let mut buffer = Buffer::new(100);
        assert_eq!((buffer.len(), buffer.capacity(), buffer.max()), (0, 0, 100));
        (0..100).for_each(|byte| buffer.push(byte).unwrap());
        assert_eq!(buffer.as_slice(), Vec::from_iter(0..100));
        assert_eq!(buffer.push(1), Err(TooLarge { wanted: 101, max: 100 }));
        assert_eq!(buffer.extend_from_slice(&[0; 7]), Err(TooLarge { wanted: 107, max: 100 }));
        assert_eq!(buffer.set(&[0; 101]), Err(TooLarge { wanted: 101, max: 100 }));
        assert_eq!(buffer.resize(101, 0), Err(TooLarge { wanted: 101, max: 100 }));
        assert_eq!(buffer.reserve(usize::MAX), Err(TooLarge { wanted: usize::MAX, max: 100 }));
        assert_eq!((buffer.len(), buffer[99], buffer.capacity()), (100, 99, 100));
    }

    #[test]
    fn its_memory_is_kept_and_grows_seldom() {
        let mut buffer = Buffer::with_capacity(16, usize::MAX);
        assert_eq!(buffer.capacity(), 16);
        let mut growths = 0;
        for _ in 0..100_000 {
            let before = buffer.capacity();
            buffer.push(1).unwrap();
            growths += usize::from(buffer.capacity() != before);
        }
        assert!(growths <= 14, "{growths} growths");
        let (place, capacity) = (buffer.as_slice().as_ptr(), buffer.capacity());
        buffer.clear();
        assert!(buffer.is_empty());
        buffer.set(&[7; 50_000]).unwrap();
        assert_eq!((buffer.as_slice().as_ptr(), buffer.capacity()), (place, capacity));
    }

    #[test]
    fn memory_that_cannot_be_had_is_an_error() {
        let mut buffer = Buffer::with_capacity(usize::MAX, usize::MAX);
        assert_eq!(buffer.capacity(), 0);
        buffer.set(b"kept").unwrap();
        let wanted = isize::MAX as usize;
        let error = buffer.reserve(wanted - 4).unwrap_err();
        assert_eq!(error, TooLarge { wanted, max: usize::MAX });
        assert_eq!(error.to_string(), format!("there is no memory for {wanted} bytes"));
        assert_eq!(&buffer[..], b"kept");
    }

    #[test]
    fn bytes_are_cut_and_filled() {
        let mut buffer = Buffer::default();
        buffer.set(b"abcdef").unwrap();
        buffer.truncate(9);
        assert_eq!(&*buffer, b"abcdef");
        buffer.truncate(2);
        buffer.resize(4, b'.').unwrap();
        assert_eq!(&*buffer, b"ab..");
        buffer.resize(1, 0).unwrap();
        buffer.as_mut_slice()[0] = b'z';
        assert_eq!(&*buffer, b"z");
        write!(buffer, "{}-{}", 1, 2).unwrap();
        assert_eq!(format!("{buffer:?}"), format!("Buffer(\"z1-2\", 64 of {})", usize::MAX));
    }

    #[test]
    fn what_is_written_beyond_the_limit_is_an_error() {
        let mut buffer = Buffer::new(3);
        buffer.write_all(b"ab").unwrap();
        let error = buffer.write_all(b"cd").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "4 bytes are more than the 3 that there may be");
        assert_eq!(&*buffer, b"ab");
    }

    #[test]
    fn a_swap_leaves_each_its_limit() {
        let (mut small, mut large) = (Buffer::new(4), Buffer::new(1000));
        small.set(b"abc").unwrap();
        large.set(b"defg").unwrap();
        let places = (small.as_ptr(), large.as_ptr());
        small.swap(&mut large).unwrap();
        assert_eq!((&*small, &*large), (&b"defg"[..], &b"abc"[..]));
        assert_eq!((large.as_ptr(), small.as_ptr()), places);
        assert_eq!((small.max(), large.max()), (4, 1000));
        // There is memory for 64 bytes, and leave for 4.
        assert_eq!(small.push(b'h'), Err(TooLarge { wanted: 5, max: 4 }));
        large.set(b"12345").unwrap();
        assert_eq!(small.swap(&mut large), Err(TooLarge { wanted: 5, max: 4 }));
        assert_eq!(large.swap(&mut small), Err(TooLarge { wanted: 5, max: 4 }));
        assert_eq!((&*small, &*large), (&b"defg"[..], &b"12345"[..]));
    }
}
