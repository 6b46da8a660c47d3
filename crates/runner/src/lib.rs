//! Message pipelines of components, on the engine `stageline`.
//!
//! A [`Plan`] says which components there are, in what order, and what becomes of what they report: a Lua script
//! makes one ([`Script`]), and so may a Rust program. [`Run`] carries it out.
//!
//! # Which module stands on which
//!
//! ```text
//! command (the binary) ──► script, run ──► plan
//!                          script ──► plan
//! ```
//!
//! `run` goes down to the engine: `run ──► settle, emit ──► machine ──► plan`.

pub mod limits;
mod plan;
mod run;
mod script;

pub use plan::{
    Component, Node, OnFailure, Options, Plan, Problem, RetryPolicy, Route, Target, View, When,
};
/// Writes a line to stderr. Where nobody reads it any more nothing is lost but this, and no thread panics.
#[macro_export]
#[doc(hidden)]
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

pub use run::{Ended, NodeCounts, Progress, Run, RunError, SourceCounts, Summary};
pub use script::{Diagnosis, Script, catalogue, lua_types};
