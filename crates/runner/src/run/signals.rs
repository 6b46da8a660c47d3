//! The wish to end the run: from a signal, from a failure, from a reader that has gone.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Why a run ends before its sources do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Somebody asked for it.
    Asked,
    /// A message failed, and the plan says that this ends the run; or a source failed.
    Failed(String),
    /// Nobody reads the output any more.
    OutputClosed,
}

/// Tells the sources to return.
#[derive(Debug, Default)]
pub struct Stop {
    is_set: AtomicBool,
    why: OnceLock<Why>,
}

impl Stop {
    /// The first reason counts.
    pub fn set(&self, why: Why) {
        let _ = self.why.set(why);
        // Release: pairs with the Acquire of `is_set`, for who then asks why.
        self.is_set.store(true, Ordering::Release);
    }

    pub fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }

    pub fn why(&self) -> Option<&Why> {
        self.why.get()
    }
}
