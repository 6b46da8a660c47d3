//! An allocator that counts what all threads of the process allocate, and that runs out of memory where
//! it is told to. A test binary that uses it declares it as its `#[global_allocator]`, and has one test,
//! so that nothing else allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

pub struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);
static LIVE: AtomicUsize = AtomicUsize::new(0);
/// Bytes that can be allocated at once.
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);
static REFUSED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed on to the system's allocator as it is, or refused as the trait allows.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: the caller's contract is that of the system's allocator.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if live().saturating_add(layout.size()) > LIMIT.load(SeqCst) {
            REFUSED.fetch_add(1, SeqCst);
            return std::ptr::null_mut();
        }
        // SAFETY: by the caller's contract.
        let start = unsafe { System.alloc(layout) };
        if !start.is_null() {
            CALLS.fetch_add(1, SeqCst);
            LIVE.fetch_add(layout.size(), SeqCst);
        }
        start
    }

    // SAFETY: the caller's contract is that of the system's allocator.
    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        CALLS.fetch_add(1, SeqCst);
        LIVE.fetch_sub(layout.size(), SeqCst);
        // SAFETY: by the caller's contract.
        unsafe { System.dealloc(start, layout) }
    }
}

/// Allocations and deallocations so far.
pub fn calls() -> usize {
    CALLS.load(SeqCst)
}

/// Bytes that are allocated now.
pub fn live() -> usize {
    LIVE.load(SeqCst)
}

/// Waits until the threads of the harness and the watchdog sleep: they allocate as they begin to wait, which is no
/// doing of what is counted. (Where there is no list of them it waits for a moment.)
pub fn wait_for_others() {
    let own = std::fs::read_link("/proc/thread-self").ok();
    let own = own.as_ref().and_then(|path| path.file_name());
    let sleeps = |task: std::fs::DirEntry| {
        // Behind the name in brackets stands the state.
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").map_or("S", |(_, rest)| rest);
        Some(task.file_name().as_os_str()) == own || state.starts_with('S')
    };
    let mut quiet = 0;
    while quiet < 3 {
        std::thread::sleep(std::time::Duration::from_millis(2));
        let mut tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        quiet = if tasks.all(sleeps) { quiet + 1 } else { 0 };
    }
}

/// Runs `f` while no more than so many bytes can be had beside those that are allocated now. Its result,
/// and how many allocations were refused.
pub fn with_bytes_left<R>(bytes: usize, f: impl FnOnce() -> R) -> (R, usize) {
    let before = REFUSED.load(SeqCst);
    LIMIT.store(live().saturating_add(bytes), SeqCst);
    let result = f();
    LIMIT.store(usize::MAX, SeqCst);
    (result, REFUSED.load(SeqCst) - before)
}
