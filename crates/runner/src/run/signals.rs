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
    /// The output was closed, perhaps after another reason. Relaxed: asked for when the threads that set it have ended.
    output_closed: AtomicBool,
}

impl Stop {
    /// The first reason counts.
    pub fn set(&self, why: Why) {
        if why == Why::OutputClosed {
            self.output_closed.store(true, Ordering::Relaxed);
        }
        let _ = self.why.set(why);
        // Release: pairs with the Acquire of `is_set`, for who then asks why.
        self.is_set.store(true, Ordering::Release);
    }

    pub fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }

    pub fn is_output_closed(&self) -> bool {
        self.output_closed.load(Ordering::Relaxed)
    }

    pub fn why(&self) -> Option<&Why> {
        self.why.get()
    }
}
