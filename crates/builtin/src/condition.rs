//! Expressions for who runs components: whether something is true of a message.

use crate::expression::{Expression, Places, Reader};
use crate::json::Finder;
use stageline_component::Message;
use std::sync::Arc;

/// An expression, as the attribute `filter` of `json` takes it, of which each thread makes a [`Judge`].
pub struct Condition(Arc<Compiled>);

struct Compiled {
    text: String,
    places: Places,
    expression: Expression,
}

/// One thread's way to tell whether a [`Condition`] holds.
pub struct Judge {
    compiled: Arc<Compiled>,
    finder: Finder,
}

impl Condition {
    /// Compiles it; an error says what is wrong, and where.
    pub fn new(text: &str) -> Result<Self, String> {
        let mut places = Places::default();
        let expression = Expression::new(text, &mut places)?;
        Ok(Self(Arc::new(Compiled { text: text.to_owned(), places, expression })))
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// For a thread.
    pub fn judge(&self) -> Judge {
        Judge { finder: self.0.places.finder(), compiled: Arc::clone(&self.0) }
    }
}

impl Judge {
    /// Whether it is true of the message. It is not, of one that is no JSON object where it reads fields, or where
    /// it comes to no answer.
    pub fn holds(&mut self, message: &Message) -> bool {
        let Compiled { places, expression, .. } = &*self.compiled;
        let Ok(reader) = Reader::new(places, &mut self.finder, message) else { return false };
        expression.is_true(&reader).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_holds_or_not() {
        let condition = Condition::new("delay > 30 && attributes[\"kind\"] == \"x\"").unwrap();
        assert_eq!(condition.text(), "delay > 30 && attributes[\"kind\"] == \"x\"");
        let mut judge = condition.judge();
        let mut message = Message::new(64, 1024);
        let mut holds = |data: &[u8], kind: &[u8]| {
            message.set_data(data).unwrap();
            message.set_attribute("kind", kind).unwrap();
            judge.holds(&message)
        };
        assert!(holds(b"{\"delay\":31}", b"x"));
        assert!(!holds(b"{\"delay\":31}", b"y"));
        assert!(!holds(b"{\"delay\":30}", b"x"));
        assert!(!holds(b"{}", b"x"));
        assert!(!holds(b"no JSON", b"x"));
        assert!(Condition::new("delay >").is_err());
    }
}
