//! Shuttle: schedules picked by chance, for models with too many to look at all of them.

use super::{Seen, setting};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::thread::{JoinHandle, yield_now};
use shuttle::{Config, Runner};
use std::sync::Arc;
use std::time::Instant;

/// Schedules of each kind that a quick run tries.
const QUICK: usize = 1_000;
/// Points at which PCT lets a thread of lower priority go first: enough for each fault that takes so
/// many switches in a certain order.
const PCT_DEPTH: usize = 3;
/// Bytes of stack of each thread.
const STACK: usize = 1 << 18;

/// Runs `body` by schedules picked at random and by PCT, as many each as `STAGELINE_SCHEDULES` says; no
/// outcome may be other than those expected. The bound is loom's.
pub fn explore(
    name: &'static str,
    _bound: Option<usize>,
    expected: &[&str],
    body: impl Fn() -> String + Send + Sync + 'static,
) {
    let schedules = setting("STAGELINE_SCHEDULES", QUICK);
    let seen = Seen::default();
    let start = Instant::now();
    let body = Arc::new({
        let seen = seen.clone();
        move || seen.add(body())
    });
    run(RandomScheduler::new(schedules), body.clone());
    run(PctScheduler::new(PCT_DEPTH, schedules), body);
    println!(
        "{name}: {} schedules, {} of {} outcomes, {:.1} s",
        seen.runs(),
        seen.outcomes().len(),
        expected.len(),
        start.elapsed().as_secs_f64(),
    );
    seen.assert_among(name, expected);
}

fn run(scheduler: impl Scheduler + 'static, body: Arc<impl Fn() + Send + Sync + 'static>) {
    let mut config = Config::new();
    // That it takes each ordering for the strongest is known; weak ones are loom's part.
    config.silence_warnings = true;
    // A worker holds a batch on its stack, and a debug build copies it.
    config.stack_size = STACK;
    Runner::new(scheduler, config).run(move || body());
}

/// A point at which another thread may go on.
pub fn step() {
    yield_now();
}

/// Starts a thread of the model.
pub fn spawn<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
    shuttle::thread::spawn(body)
}

/// The result of a thread of the model.
pub fn join<R>(thread: JoinHandle<R>) -> R {
    thread.join().expect("a failed thread fails the model first")
}
