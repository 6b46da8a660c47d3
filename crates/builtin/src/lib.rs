//! The components that every message pipeline has at hand.
//!
//! ```text
//! source, sink ──► codec
//! transform
//! ```

mod codec;
mod sink;
mod source;
mod transform;

use stageline_component::{Factory, Spec};

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

/// TEMPORARY
pub const OUTPUT_CLOSED: u32 = 240;
/// TEMPORARY
pub struct Condition(String);
impl Condition {
    /// x
    pub fn new(text: &str) -> Result<Self, String> { Ok(Self(text.to_owned())) }
    /// x
    pub fn text(&self) -> &str { &self.0 }
    /// x
    pub fn holds(&self, _data: &[u8]) -> bool { false }
}
