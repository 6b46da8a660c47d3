//! The harness of the models.

// Each file of models uses its own part of it.
#![allow(dead_code)]

pub mod engine;
pub mod window;

use loom::sync::atomic::AtomicU32;
use loom::thread::JoinHandle;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// No bound: every interleaving is looked at.
pub const ALL: Option<usize> = None;

/// Switches away from a thread that could go on, at most, where not every interleaving can be looked
/// at in the time.
pub const THREE: Option<usize> = Some(3);
/// As [`THREE`], for the largest models.
pub const TWO: Option<usize> = Some(2);

/// Runs `body` once for each interleaving within the bound. Each run answers with its outcome; the
/// outcomes of all runs must be just the expected ones, so a model that no longer reaches a case
/// fails as one does that reaches a wrong one.
///
/// The body spawns every thread that matters and joins them: what the model's first thread does
/// itself is not fully interleaved with the others.
pub fn explore(
    name: &'static str,
    bound: Option<usize>,
    expected: &[&str],
    body: impl Fn() -> String + Send + Sync + 'static,
) {
    let seen = std::sync::Arc::new(Mutex::new(BTreeSet::new()));
    let count = std::sync::Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = bound;
    builder.max_branches = 20_000;
    builder.check({
        let (seen, count) = (seen.clone(), count.clone());
        move || {
            STEPS.with(|steps| *steps.borrow_mut() = Some(Rc::new(AtomicU32::new(0))));
            let outcome = body();
            STEPS.with(|steps| *steps.borrow_mut() = None);
            count.fetch_add(1, Ordering::Relaxed);
            seen.lock().expect("not poisoned").insert(outcome);
        }
    });
    let seen = seen.lock().expect("not poisoned");
    println!(
        "{name}: {} interleavings, {} outcomes, {:.1} s, bound {}",
        count.load(Ordering::Relaxed),
        seen.len(),
        start.elapsed().as_secs_f64(),
        bound.map_or("none".into(), |bound| bound.to_string()),
    );
    let expected: BTreeSet<String> = expected.iter().map(|outcome| (*outcome).into()).collect();
    assert_eq!(*seen, expected, "the outcomes reached (left) are not those expected (right)");
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
