//! The system's own threads, on the machine's own memory: what no model of either knows.

use super::{Seen, setting};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Runs of each model in a quick run.
const QUICK: usize = 2_000;
/// A run that takes longer hangs.
const HANG: Duration = Duration::from_secs(60);
/// Most turns of an empty loop at a [`step`]: about as long as another thread takes to begin.
const TURNS_MAX: u64 = 4_096;

/// Runs `body` as often as `STAGELINE_RUNS` says; no outcome may be other than those expected, and none
/// may hang. The bound is loom's.
pub fn explore(
    name: &'static str,
    _bound: Option<usize>,
    expected: &[&str],
    body: impl Fn() -> String + Send + Sync + 'static,
) {
    let runs = setting("STAGELINE_RUNS", QUICK);
    // Loom and shuttle have fences in its place.
    super::stageline::sync::enable_asymmetric_barrier();
    let seen = Seen::default();
    let start = Instant::now();
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| abort_on_hang(name, &seen, &ended));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (0..runs).for_each(|_| seen.add(body()));
        }));
        ended.store(true, Ordering::Relaxed);
        watch.thread().unpark();
        result.unwrap_or_else(|payload| std::panic::resume_unwind(payload));
    });
    println!(
        "{name}: {} runs, {} of {} outcomes, {:.1} s",
        seen.runs(),
        seen.outcomes().len(),
        expected.len(),
        start.elapsed().as_secs_f64(),
    );
    seen.assert_among(name, expected);
}

/// A thread that hangs cannot be ended: the process is.
fn abort_on_hang(name: &str, seen: &Seen, ended: &AtomicBool) {
    let (mut runs, mut since) = (0, Instant::now());
    while !ended.load(Ordering::Relaxed) {
        thread::park_timeout(Duration::from_secs(1));
        let now = seen.runs();
        if now != runs {
            (runs, since) = (now, Instant::now());
        } else if since.elapsed() > HANG {
            eprintln!("{name}: run {runs} hangs");
            std::process::abort();
        }
    }
}

thread_local! {
    /// What the next number drawn in this thread follows from.
    static DRAWN: Cell<u64> = const { Cell::new(0) };
}

/// What the first number of the next thread follows from.
static THREADS: AtomicU64 = AtomicU64::new(0);

/// Waits for a while that differs from run to run, so that the threads meet in different orders.
pub fn step() {
    for _ in 0..draw() % TURNS_MAX {
        std::hint::spin_loop();
    }
}

/// The next number of SplitMix64 (Steele, Lea, Flood 2014).
fn draw() -> u64 {
    let next = DRAWN.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
    DRAWN.set(next);
    let mixed = (next ^ (next >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// Starts a thread of the model.
pub fn spawn<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
    let number = THREADS.fetch_add(1, Ordering::Relaxed);
    thread::spawn(move || {
        DRAWN.set(number);
        step();
        body()
    })
}

/// The result of a thread of the model.
pub fn join<R>(thread: JoinHandle<R>) -> R {
    thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}
