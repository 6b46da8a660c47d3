//! The components that every message pipeline has at hand.
//!
//! ```text
//! source, sink ──► codec
//!            └──► factory ──► status, address
//! transform ────► factory
//!           └───► expression ──► json, pattern
//! ```

mod address;
mod codec;
mod condition;
mod expression;
mod factory;
mod json;
mod pattern;
mod sink;
mod source;
mod status;
mod transform;

pub use condition::{Condition, Judge};
pub use status::{STATUSES, Status};

use stageline_component::{Factory, Report, Spec};

/// The attribute by which a sink knows the batch of a message that it gets again; nobody else's business.
pub const SINK_MARK: &str = sink::MARK;

/// Whoever read the standard output has gone: the run may end, and nothing is wrong.
pub const STDOUT_CLOSED: Report = status::STDOUT_CLOSED;

/// A component by its name.
#[derive(Clone, Copy)]
pub struct Builtin {
    /// What it is called, and its attributes.
    pub spec: &'static Spec,
    /// Makes a factory of it.
    pub factory: fn() -> Box<dyn Factory>,
}

/// All of them: sources, transforms, sinks, in the order in which they are listed.
pub fn builtins() -> impl Iterator<Item = Builtin> {
    [source::ALL, transform::ALL, sink::ALL].into_iter().flatten().copied()
}

/// The one of this name.
pub fn builtin(name: &str) -> Option<Builtin> {
    builtins().find(|builtin| builtin.spec.name == name)
}
