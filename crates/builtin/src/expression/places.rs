//! What expressions read: fields of the message, and attributes.

use crate::expression::values;
use crate::json::{Finder, Malformed, Paths, Scalar};
use cel::common::ast::Expr;
use cel::common::value::CowVal;
use cel::context::VariableResolver;
use cel::parser::Expression as Tree;
use stageline_component::Message;

/// Begins the names of places in a compiled expression. No name that is written begins so.
const MARK: char = '#';

/// Everything that the expressions of one component read, each once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    paths: Paths,
    kinds: Vec<Kind>,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    /// The field at this path.
    Field(usize),
    /// Whether there is one.
    HasField(usize),
    /// The attribute of this name.
    Attribute(String),
    /// Whether there is one.
    HasAttribute(String),
}

/// What stands at a place.
pub(super) enum Place<'a> {
    /// A value of JSON; null, where there is none.
    Value(Scalar<'a>),
    /// An attribute that is no UTF-8.
    Bytes(&'a [u8]),
    /// Whether there is something.
    Is(bool),
}

impl Places {
    fn add(&mut self, kind: Kind) -> usize {
        self.kinds.iter().position(|known| *known == kind).unwrap_or_else(|| {
            self.kinds.push(kind);
            self.kinds.len() - 1
        })
    }

    /// The number of a field, of the message as a whole where there are no names, or of whether it is there.
    pub(super) fn field(&mut self, names: &[&str], tests: bool) -> usize {
        let path = self.paths.add(names.iter().copied());
        self.add(if tests { Kind::HasField(path) } else { Kind::Field(path) })
    }

    /// The number of an attribute, or of whether it is there.
    pub(super) fn attribute(&mut self, name: &str, tests: bool) -> usize {
        let name = name.to_owned();
        self.add(if tests { Kind::HasAttribute(name) } else { Kind::Attribute(name) })
    }

    /// Whether any field is read, so that the message must be JSON.
    pub(crate) fn reads_fields(&self) -> bool {
        self.kinds.iter().any(|kind| matches!(kind, Kind::Field(_) | Kind::HasField(_)))
    }

    /// The paths, to which others may be added.
    pub(crate) fn paths(&mut self) -> &mut Paths {
        &mut self.paths
    }

    /// What finds the fields.
    pub(crate) fn finder(&self) -> Finder {
        Finder::new(self.paths.clone())
    }
}

/// The name of a place in a compiled expression.
pub(super) fn name(place: usize) -> String {
    format!("{MARK}{place}")
}

fn number(name: &str) -> Option<usize> {
    name.strip_prefix(MARK)?.parse().ok()
}

/// The place that an expression is.
pub(super) fn named(tree: &Tree) -> Option<usize> {
    if let Expr::Ident(name) = &tree.expr { number(name) } else { None }
}

/// One message, as expressions read it.
pub(crate) struct Reader<'a> {
    places: &'a Places,
    finder: &'a Finder,
    message: &'a Message,
}

impl<'a> Reader<'a> {
    /// Finds what is needed in a message: that which reads fields must be a JSON object.
    pub(crate) fn new(
        places: &'a Places,
        finder: &'a mut Finder,
        message: &'a Message,
    ) -> Result<Self, Malformed> {
        if places.reads_fields() {
            finder.find(message.data())?;
        }
        Ok(Self::found(places, finder, message))
    }

    /// Of a message in which the finder has found what it finds.
    pub(crate) fn found(places: &'a Places, finder: &'a Finder, message: &'a Message) -> Self {
        Self { places, finder, message }
    }

    /// The value at a place as it is written.
    pub(super) fn raw(&self, place: usize) -> Option<&'a str> {
        match self.places.kinds[place] {
            Kind::Field(path) => self.finder.get(path, self.message.data()),
            _ => None,
        }
    }

    pub(super) fn get(&self, place: usize) -> Place<'a> {
        match &self.places.kinds[place] {
            Kind::Field(path) => {
                let raw = self.finder.get(*path, self.message.data());
                Place::Value(raw.map_or(Scalar::Null, Scalar::read))
            }
            Kind::HasField(path) => {
                Place::Is(self.finder.get(*path, self.message.data()).is_some())
            }
            Kind::Attribute(name) => match self.message.attribute(name).map(str::from_utf8) {
                Some(Ok(text)) => Place::Value(Scalar::Text(text.into())),
                Some(Err(_)) => Place::Bytes(self.message.attribute(name).unwrap_or_default()),
                None => Place::Value(Scalar::Null),
            },
            Kind::HasAttribute(name) => Place::Is(self.message.attribute(name).is_some()),
        }
    }
}

impl VariableResolver for Reader<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        Some(match self.get(number(name)?) {
            Place::Value(scalar) => values::value(scalar),
            Place::Bytes(bytes) => values::bytes(bytes),
            Place::Is(is_there) => values::value(Scalar::Boolean(is_there)),
        })
    }
}
