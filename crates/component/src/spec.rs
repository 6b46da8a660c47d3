//! What a component is called and which attributes it has: the one place that lists, checks and documentation are
//! made from.

use std::fmt;

/// What a factory makes.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// What scripts call it.
    pub name: &'static str,
    /// Where it stands in a pipeline.
    pub kind: Kind,
    /// What it does, in a line.
    pub summary: &'static str,
    /// Its attributes, in the order in which they are listed.
    pub attributes: &'static [AttributeSpec],
    /// All that there is to say, in Markdown.
    pub doc: &'static str,
}

/// Where a component stands in a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// At the beginning: it produces messages.
    Source,
    /// In the middle: it changes them.
    Transform,
    /// At the end: it takes them elsewhere.
    Sink,
}

/// One attribute of a component.
#[derive(Clone, Copy, Debug)]
pub struct AttributeSpec {
    /// What scripts call it.
    pub name: &'static str,
    /// What its values are.
    pub kind: AttributeKind,
    /// The value that it has if none is set, written as in a script.
    pub default: Option<&'static str>,
    /// Whether a value must be set.
    pub required: bool,
    /// What it is for.
    pub doc: &'static str,
}

/// What the values of an attribute are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeKind {
    /// Text. Numbers are taken as they are written.
    Text,
    /// A whole number, of 64 bits.
    Integer,
    /// A number that is finite.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A time: `250ms`, `1m30s`; a number is in seconds.
    Duration,
    /// A number of bytes: `4KiB`, `1.5MB`, `100`.
    Size,
    /// Values one after another. A text is a list of its lines.
    List,
    /// Values by name. A text is a map of its lines, each `name=value`.
    Map,
    /// A function of the script that configures the pipeline.
    Function,
    /// One of these texts.
    OneOf(&'static [&'static str]),
}

impl Spec {
    /// The attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&'static AttributeSpec> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }
}

/// `source`, `transform` or `sink`.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Transform => "transform",
            Self::Sink => "sink",
        })
    }
}

/// What to write: `a text`, `a duration such as "250ms"`, `one of "a", "b"`.
impl fmt::Display for AttributeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "a text",
            Self::Integer => "a whole number of 64 bits",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Duration => "a duration such as \"250ms\" or \"1m30s\"",
            Self::Size => "a number of bytes such as \"4KiB\"",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Function => "a function",
            Self::OneOf(choices) => {
                let choices: Vec<_> = choices.iter().map(|choice| format!("{choice:?}")).collect();
                return write!(f, "one of {}", choices.join(", "));
            }
        })
    }
}
