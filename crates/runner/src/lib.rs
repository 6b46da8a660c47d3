//! Message pipelines of components, on the engine `stageline`.
//!
//! A [`Plan`] says which components there are, in what order, and what becomes of what they report: a Lua script
//! makes one ([`Script`]), and so may a Rust program. [`Run`] carries it out.
//!
//! ```
//! use stageline_builtin::builtin;
//! use stageline_component::{Factory, Value};
//! use stageline_runner::{Component, Ended, Plan, Run};
//!
//! fn component(name: &str, attributes: &[(&str, Value)]) -> Result<Component, Box<dyn std::error::Error>> {
//!     let mut factory = (builtin(name).ok_or("there is no such component")?.factory)();
//!     for (name, value) in attributes {
//!         factory.set_attribute(name, value)?;
//!     }
//!     factory.prepare()?;
//!     Ok(Component { factory, line: None })
//! }
//!
//! let mut plan = Plan::line([
//!     component("generator", &[("count", 1000.into()), ("template", r#"{"n":{n}}"#.into())])?,
//!     component("json", &[("filter", "n >= 990".into())])?,
//!     component("null", &[])?,
//! ]);
//! plan.options.workers = Some(1);
//! let run = Run::start(plan, |trouble| eprintln!("{trouble}"))?;
//! let summary = run.wait();
//! assert!(summary.is_clean() && summary.ended == Ended::BySources);
//! let total = summary.progress.total();
//! assert_eq!((total.done, total.dropped), (10, 990));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which module stands on which
//!
//! ```text
//! command (the binary) ──► script, run ──► plan
//!                          script ──► plan
//! ```
//!
//! `run` goes down to the engine: `run ──► settle, emit ──► machine ──► parcel, plan`.

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
pub use script::{Diagnosis, Script, catalogue, lua_types, spec_of};
