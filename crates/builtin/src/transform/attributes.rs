//! Sets and removes attributes.

use super::{Setting, not_json, not_written};
use crate::expression::{Places, Reader, WriteError};
use crate::factory::{Plan, optional, texts, too_large};
use crate::json::Finder;
use stageline_component::{
    AttributeKind, Attributes, Buffer, Component, Error, Kind, Message, Report, Spec,
};
use std::sync::Arc;

static SPEC: Spec = Spec {
    name: "attributes",
    kind: Kind::Transform,
    summary: "Sets and removes attributes of messages",
    attributes: &[
        optional(
            "set",
            AttributeKind::Map,
            "Values of attributes: a text is an expression, a number or a boolean a constant.",
        ),
        optional("remove", AttributeKind::List, "The attributes to remove, before others are set."),
    ],
    doc: r#"
    s.attributes { set = { topic = "'flights.' + carrier", version = 2 }, remove = { "csv.header" } }

Expressions are those of `json`. One that reads fields makes it necessary that the message is a JSON object; one that does
not, such as `'a constant'` or `attributes["file.path"]`, does not. Where a value is null the attribute is not set, and keeps no
earlier value. Texts are set without quotes, other values as JSON. All expressions see the attributes as they came.

A message that is no JSON object, or has more than 128 levels, fails with the status 210, an expression without a value makes it fail with 211, and what is
more than the attributes of a message may have makes it fail with 201.
"#,
};

/// What is done with attributes.
pub(crate) struct Set(Arc<Shared>);

struct Shared {
    places: Places,
    /// The name, what it is called in messages about it, and the value.
    set: Vec<(String, String, Setting<String>)>,
    remove: Vec<String>,
}

impl Plan for Set {
    const SPEC: &'static Spec = &SPEC;

    fn new(attributes: &Attributes) -> Result<Self, Error> {
        let mut shared = Shared {
            places: Places::default(),
            set: Vec::new(),
            remove: texts(attributes, "remove")?,
        };
        for (name, value) in attributes.map("set").into_iter().flatten() {
            let attribute = format!("set.{name}");
            let setting = Setting::new(&attribute, value, &mut shared.places, |value| {
                value.to_text().ok_or("an expression, a number or a boolean")
            })?;
            shared.set.push((name.clone(), attribute, setting));
        }
        Ok(Self(Arc::new(shared)))
    }

    fn component(&self) -> Result<Box<dyn Component>, Error> {
        let finder = self.0.places.finder();
        let values = self.0.set.iter().map(|_| (Buffer::default(), false)).collect();
        Ok(Box::new(SetAttributes { shared: Arc::clone(&self.0), finder, values }))
    }
}

struct SetAttributes {
    shared: Arc<Shared>,
    finder: Finder,
    /// What the attributes are set to in the message at hand, and whether they are.
    values: Vec<(Buffer, bool)>,
}

impl SetAttributes {
    fn evaluate<'a>(
        shared: &'a Shared,
        reader: &Reader<'_>,
        values: &mut [(Buffer, bool)],
    ) -> Result<(), (&'a str, WriteError)> {
        for ((_, attribute, setting), (value, is_set)) in shared.set.iter().zip(values) {
            value.clear();
            *is_set = match setting {
                Setting::Constant(text) => value
                    .extend_from_slice(text.as_bytes())
                    .map(|()| true)
                    .map_err(WriteError::from),
                Setting::Expression(expression) => expression.write_text(reader, value),
            }
            .map_err(|error| (attribute.as_str(), error))?;
        }
        Ok(())
    }
}

impl Component for SetAttributes {
    fn handle(&mut self, message: &mut Message) -> Report {
        let reader = match Reader::new(&self.shared.places, &mut self.finder, message) {
            Ok(reader) => reader,
            Err(error) => return not_json(message, error),
        };
        if let Err((attribute, error)) = Self::evaluate(&self.shared, &reader, &mut self.values) {
            return not_written(message, attribute, error);
        }
        for name in &self.shared.remove {
            message.remove_attribute(name);
        }
        for ((name, ..), (value, is_set)) in self.shared.set.iter().zip(&self.values) {
            if !*is_set {
                message.remove_attribute(name);
            } else if let Err(error) = message.set_attribute(name, value) {
                return too_large(message, error);
            }
        }
        Report::DONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::testing::{component, list, map, message, refused};
    use crate::status::TOO_LARGE;
    use crate::transform::{NO_VALUE, NOT_JSON};
    use stageline_component::{ATTRIBUTES_MAX, Value};

    fn set<const N: usize>(pairs: [(&str, Value); N]) -> (&'static str, Value) {
        ("set", map(pairs))
    }

    #[test]
    fn attributes_are_set_and_removed() {
        let values = [
            set([
                ("topic", "'flights.' + carrier".into()),
                ("version", 2.into()),
                ("live", true.into()),
                ("from", "attributes['path']".into()),
                ("gone", "missing".into()),
                ("raw", "user".into()),
            ]),
            ("remove", list(&["path", "none"])),
        ];
        let mut message = message(r#"{"carrier":"UA","user":{"a": 1}}"#);
        message.set_attribute("path", b"\xffa.csv").unwrap();
        message.set_attribute("gone", b"earlier").unwrap();
        message.set_attribute("other", b"kept").unwrap();
        assert_eq!(component::<Set>(&values).handle(&mut message), Report::DONE);
        let expected: [(&str, Option<&[u8]>); 8] = [
            ("topic", Some(b"flights.UA")),
            ("version", Some(b"2")),
            ("live", Some(b"true")),
            ("from", Some(b"\xffa.csv")),
            ("gone", None),
            ("raw", Some(b"{\"a\": 1}")),
            ("path", None),
            ("other", Some(b"kept")),
        ];
        for (name, value) in expected {
            assert_eq!(message.attribute(name), value, "{name}");
        }
    }

    #[test]
    fn only_expressions_that_read_fields_need_json() {
        let mut message = message("no JSON");
        let mut constant =
            component::<Set>(&[set([("a", "'x'".into()), ("b", "attributes.a".into())])]);
        assert_eq!(constant.handle(&mut message), Report::DONE);
        assert_eq!(message.attribute("a"), Some(&b"x"[..]));
        assert_eq!(message.attribute("b"), None, "it came without");
        let mut field = component::<Set>(&[set([("a", "x".into())])]);
        assert_eq!(field.handle(&mut message), NOT_JSON);
        assert_eq!(message.description(), "not a JSON object: expected an object at byte 0");
    }

    #[test]
    fn what_has_no_value_or_no_room_fails() {
        let mut of = message(r#"{"a":0}"#);
        let mut divides = component::<Set>(&[set([("x", "1 / a".into())])]);
        assert_eq!(divides.handle(&mut of), NO_VALUE);
        assert_eq!(of.description(), "`set.x`: Division by zero of Int(1)");
        let mut large = message(format!(r#"{{"a":"{}"}}"#, "x".repeat(ATTRIBUTES_MAX)));
        let mut copies = component::<Set>(&[set([("x", "a".into())])]);
        assert_eq!(copies.handle(&mut large), TOO_LARGE);
        assert!(large.description().contains("more than the 65536"), "{}", large.description());
    }

    #[test]
    fn wrong_attributes_are_named() {
        let error = refused::<Set>(&[set([("x", list(&["a"]))])]);
        assert_eq!(error, "`set.x` = {\"a\"}: expected an expression, a number or a boolean");
        let error = refused::<Set>(&[set([("x", "1 +".into())])]);
        assert!(
            error.starts_with("`set.x` = \"1 +\": expected an expression in CEL: line 1"),
            "{error}"
        );
        let error = refused::<Set>(&[("remove", Value::List(vec![map([])]))]);
        assert_eq!(error, "`remove` = {}: expected a list of texts");
    }
}
