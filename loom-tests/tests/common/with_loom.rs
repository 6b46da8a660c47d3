//! Loom: every interleaving within a bound, and every value that a load may answer with.

use super::{Seen, setting};
use loom::sync::atomic::AtomicU32;
use loom::thread::JoinHandle;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

/// Runs `body` once for each interleaving within the bound. Each run answers with its outcome; the
/// outcomes of all runs must be just the expected ones, so a model that no longer reaches a case
/// fails as one does that reaches a wrong one. `STAGELINE_MORE_SWITCHES` raises each bound.
///
/// The body spawns every thread that matters and joins them: what the model's first thread does
/// itself is not fully interleaved with the others.
pub fn explore(
    name: &'static str,
    bound: Option<usize>,
    expected: &[&str],
    body: impl Fn() -> String + Send + Sync + 'static,
) {
    let seen = Seen::default();
    let start = Instant::now();
    let bound = bound.map(|bound| bound + setting("STAGELINE_MORE_SWITCHES", 0));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = bound;
    builder.max_branches = 20_000;
    builder.check({
        let seen = seen.clone();
        move || {
            STEPS.with(|steps| *steps.borrow_mut() = Some(Rc::new(AtomicU32::new(0))));
            let outcome = body();
            STEPS.with(|steps| *steps.borrow_mut() = None);
            seen.add(outcome);
        }
    });
    let outcomes = seen.outcomes();
    println!(
        "{name}: {} interleavings, {} outcomes, {:.1} s, bound {}",
        seen.runs(),
        outcomes.len(),
        start.elapsed().as_secs_f64(),
        bound.map_or("none".into(), |bound| bound.to_string()),
    );
    let mut expected: Vec<String> = expected.iter().map(|outcome| (*outcome).into()).collect();
    expected.sort();
    assert_eq!(outcomes, expected, "the outcomes reached (left) are not those expected (right)");
}

thread_local! {
    /// See [`step`]. All threads of a model are of one thread of the system.
    static STEPS: RefCell<Option<Rc<AtomicU32>>> = const { RefCell::new(None) };
}

/// A point at which the threads of a model are taken in every order. Loom looks for the orders that
/// matter by the last access to each object, and so misses some in which a thread's own earlier load
/// hides another's; a common object on which every step depends brings them back. It orders nothing.
pub fn step() {
    let steps = STEPS.with(|steps| steps.borrow().clone()).expect("inside a model");
    steps.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
}

/// Starts a thread of the model.
pub fn spawn<R: 'static>(body: impl FnOnce() -> R + 'static) -> JoinHandle<R> {
    loom::thread::spawn(|| {
        step();
        body()
    })
}

/// The result of a thread of the model.
pub fn join<R>(thread: JoinHandle<R>) -> R {
    thread.join().expect("a failed thread fails the model first")
}
