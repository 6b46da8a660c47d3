//! The harness of the models. Each is one function, run by loom (package `loom-tests`), by shuttle
//! (`shuttle-tests`) and on the system's own threads (`stress-tests`).

// Each file of models uses its own part of it.
#![allow(dead_code, unused_imports)]

pub mod engine;
pub mod window;
#[cfg(stageline_loom)]
mod with_loom;
#[cfg(stageline_shuttle)]
mod with_shuttle;
#[cfg(not(any(stageline_loom, stageline_shuttle)))]
mod with_threads;

#[cfg(stageline_loom)]
pub use {stageline_loom as stageline, with_loom::*};
#[cfg(stageline_shuttle)]
pub use {stageline_shuttle as stageline, with_shuttle::*};
#[cfg(not(any(stageline_loom, stageline_shuttle)))]
pub use {stageline_stress as stageline, with_threads::*};

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// No bound: loom looks at every interleaving.
pub const ALL: Option<usize> = None;

/// Switches away from a thread that could go on, at most, where loom cannot look at every interleaving
/// in the time.
pub const THREE: Option<usize> = Some(3);
/// As [`THREE`], where one more can be afforded.
pub const FOUR: Option<usize> = Some(4);
/// As [`THREE`], for the largest models.
pub const TWO: Option<usize> = Some(2);

/// A payload that loom watches, and a thread sanitizer on the system's threads.
pub struct Watched(stageline::sync::UnsafeCell<u64>);

// SAFETY: whether no two threads reach it at once is what the models find out.
unsafe impl Sync for Watched {}

impl Watched {
    /// A payload of 0.
    pub fn new() -> Self {
        Self(stageline::sync::UnsafeCell::new(0))
    }

    /// Writes the payload.
    ///
    /// # Safety
    ///
    /// By the protocol that the model is of, it is the calling thread's.
    pub unsafe fn set(&self, value: u64) {
        // SAFETY: by this function's contract.
        self.0.with_mut(|payload| unsafe { *payload = value });
    }

    /// Reads the payload.
    ///
    /// # Safety
    ///
    /// As for [`set`](Self::set).
    pub unsafe fn get(&self) -> u64 {
        // SAFETY: by this function's contract.
        self.0.with_mut(|payload| unsafe { *payload })
    }
}

/// The outcomes that the runs of a model had, and how often.
#[derive(Clone, Debug, Default)]
pub struct Seen(Arc<Mutex<BTreeMap<String, u64>>>);

impl Seen {
    /// A run had this outcome.
    pub fn add(&self, outcome: String) {
        *self.0.lock().expect("not poisoned").entry(outcome).or_default() += 1;
    }

    /// Runs so far.
    pub fn runs(&self) -> u64 {
        self.0.lock().expect("not poisoned").values().sum()
    }

    /// The outcomes.
    pub fn outcomes(&self) -> Vec<String> {
        self.0.lock().expect("not poisoned").keys().cloned().collect()
    }

    /// Fails if there was an outcome that is not expected. A tool that picks runs by chance need not come
    /// upon each that is.
    pub fn assert_among(&self, name: &str, expected: &[&str]) {
        for outcome in self.outcomes() {
            assert!(expected.contains(&&*outcome), "{name}: the outcome {outcome} is not expected");
        }
    }
}

/// A whole number from the environment, or the value for a quick run.
pub fn setting(name: &str, quick: usize) -> usize {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text}: not a whole number")),
        Err(_) => quick,
    }
}
