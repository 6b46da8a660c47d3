//! What stands for a message when messages are compared: a value of it, an attribute, or all that it says.

use super::{not_json, not_written};
use crate::expression::{Expression, Places, Reader};
use crate::factory::optional;
use crate::json::Finder;
use stageline_component::{
    AttributeError, AttributeKind, AttributeSpec, Attributes, Buffer, Message, Report,
};
use std::sync::Arc;

/// The expression.
pub(super) const KEY: AttributeSpec = optional(
    "key",
    AttributeKind::Text,
    "An expression, such as a field or `attributes[\"name\"]`, whose value stands for the message. Without it, all \
     that the message says does.",
);

/// What keys are made of.
#[derive(Clone, Default)]
pub(super) struct Key(Arc<(Places, Option<Expression>)>);

impl Key {
    /// As [`KEY`] says.
    pub(super) fn new(attributes: &Attributes) -> Result<Self, AttributeError> {
        let mut places = Places::default();
        let expression = Expression::of(attributes, "key", &mut places)?;
        Ok(Self(Arc::new((places, expression))))
    }

    /// Makes keys, one after another.
    pub(super) fn maker(&self) -> KeyMaker {
        KeyMaker { key: self.clone(), finder: self.0.0.finder(), value: Buffer::default() }
    }
}

/// Makes the keys of messages, in memory that it keeps.
pub(super) struct KeyMaker {
    key: Key,
    finder: Finder,
    value: Buffer,
}

impl KeyMaker {
    /// The key of a message; none where it is null. What fails is described.
    pub(super) fn make<T>(
        &mut self,
        message: &mut Message,
        of: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, Report> {
        let (places, expression) = &*self.key.0;
        let Some(expression) = expression else { return Ok(Some(of(message.data()))) };
        self.value.clear();
        let written = match Reader::new(places, &mut self.finder, message) {
            Ok(reader) => expression.write_text(&reader, &mut self.value),
            Err(error) => return Err(not_json(message, error)),
        };
        match written {
            Ok(is_there) => Ok(is_there.then(|| of(&self.value))),
            Err(error) => Err(not_written(message, "key", error)),
        }
    }
}
