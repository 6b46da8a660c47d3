//! Takes texts apart by a regular expression.

use crate::factory::{Plan, answer, defaulted, required, too_large};
use crate::json::write_string;
use crate::pattern;
use crate::status::{MISMATCH, NOT_TEXT};
use regex::bytes::{CaptureLocations, Regex, RegexBuilder};
use stageline_component::{
    AttributeError, AttributeKind, Attributes, Buffer, Component, Error, Kind, Message, Report,
    Spec, TooLarge,
};
use std::sync::Arc;

/// How many bytes a compiled pattern takes at most.
const COMPILED_MAX: usize = 10 << 20;

static SPEC: Spec = Spec {
    name: "regex",
    kind: Kind::Transform,
    summary: "Takes texts apart by a regular expression with named groups",
    attributes: &[
        required(
            "pattern",
            AttributeKind::Text,
            "The expression. It need not match the whole message: `^` and `$` are its ends.",
        ),
        defaulted(
            "to",
            AttributeKind::OneOf(&["json", "attributes"]),
            "json",
            "Where the named groups go: to an object that takes the message's place, or to attributes.",
        ),
        defaulted(
            "on_mismatch",
            AttributeKind::OneOf(&["drop", "fail", "pass"]),
            "fail",
            "What becomes of a message that does not match.",
        ),
    ],
    doc: r#"
    s.regex { pattern = [=[^(?<host>\S+) \S+ \S+ \[(?<time>[^\]]+)\] "(?<request>[^"]*)" (?<status>\d+)]=] }

The syntax is that of the crate `regex`: no look-around, no references back, and time in proportion to the length of the
message, whatever the pattern. The values are texts. A group that took no part is null in JSON, and not set as an
attribute. With `to = "attributes"` the message stays as it is.

A message that does not match fails with the status 213, unless `on_mismatch` says something else; one in which a group is no
UTF-8, where JSON is to come out, fails with 214 and says at which byte, and one whose result is larger than a message
may be with 201. Nothing is allocated for a message.
"#,
};

/// The pattern, and what is done with its groups.
#[derive(Clone)]
pub(crate) struct Extract(Arc<Shared>);

struct Shared {
    regex: Regex,
    /// The numbers of the groups, and their names.
    groups: Vec<(usize, String)>,
    to_json: bool,
    on_mismatch: Report,
}

impl Plan for Extract {
    const SPEC: &'static Spec = &SPEC;

    fn new(attributes: &Attributes) -> Result<Self, Error> {
        let source = attributes.text("pattern").unwrap_or_default();
        let wrong = |what: &str| AttributeError::invalid("pattern", &source.into(), what);
        let regex =
            RegexBuilder::new(source).size_limit(COMPILED_MAX).build().map_err(|error| {
                wrong(&format!("a regular expression: {}", pattern::wrong_with(&error)))
            })?;
        let names = regex.capture_names().enumerate();
        let groups: Vec<_> =
            names.filter_map(|(number, name)| Some((number, name?.to_owned()))).collect();
        if groups.is_empty() {
            return Err(wrong("a regular expression with a named group, `(?<name>...)`").into());
        }
        let on_mismatch = match attributes.text("on_mismatch") {
            Some("drop") => Report::DROP,
            Some("pass") => Report::DONE,
            _ => MISMATCH,
        };
        let to_json = attributes.text("to") == Some("json");
        Ok(Self(Arc::new(Shared { regex, groups, to_json, on_mismatch })))
    }

    fn component(&self) -> Result<Box<dyn Component>, Error> {
        // A clone has memory of its own for the search, which others need not wait for.
        let regex = self.0.regex.clone();
        let found = regex.capture_locations();
        let shared = Arc::clone(&self.0);
        Ok(Box::new(Extracts {
            shared,
            regex,
            found,
            out: Buffer::default(),
            copy: Buffer::default(),
        }))
    }
}

struct Extracts {
    shared: Arc<Shared>,
    regex: Regex,
    found: CaptureLocations,
    /// The object.
    out: Buffer,
    /// What a group took, on its way to an attribute.
    copy: Buffer,
}

/// Why there is no object.
enum Bad {
    /// The offset of a byte that is none of UTF-8, and the group that it is in.
    NotText(usize, usize),
    TooLarge(TooLarge),
}

impl From<TooLarge> for Bad {
    fn from(error: TooLarge) -> Self {
        Self::TooLarge(error)
    }
}

impl Extracts {
    fn object(&mut self, data: &[u8]) -> Result<(), Bad> {
        let out = &mut self.out;
        out.clear();
        for (index, (number, name)) in self.shared.groups.iter().enumerate() {
            out.push(if index == 0 { b'{' } else { b',' })?;
            write_string(name, out)?;
            out.push(b':')?;
            match self.found.get(*number) {
                None => out.extend_from_slice(b"null")?,
                Some((start, end)) => {
                    let text = str::from_utf8(&data[start..end])
                        .map_err(|error| Bad::NotText(start + error.valid_up_to(), index))?;
                    write_string(text, out)?;
                }
            }
        }
        Ok(out.push(b'}')?)
    }

    fn attributes(&mut self, message: &mut Message) -> Result<(), TooLarge> {
        for (number, name) in &self.shared.groups {
            let Some((start, end)) = self.found.get(*number) else {
                message.remove_attribute(name);
                continue;
            };
            self.copy.set(&message.data()[start..end])?;
            message.set_attribute(name, &self.copy)?;
        }
        Ok(())
    }
}

impl Component for Extracts {
    fn handle(&mut self, message: &mut Message) -> Report {
        if self.regex.captures_read(&mut self.found, message.data()).is_none() {
            let report = self.shared.on_mismatch;
            if report == MISMATCH {
                message.describe("the pattern does not match");
            }
            return report;
        }
        let done = if self.shared.to_json {
            let made = self.object(message.data());
            made.and_then(|()| Ok(message.data_mut().swap(&mut self.out)?))
        } else {
            self.attributes(message).map_err(Bad::from)
        };
        match done {
            Ok(()) => Report::DONE,
            Err(Bad::TooLarge(error)) => too_large(message, error),
            Err(Bad::NotText(at, index)) => {
                let name = &self.shared.groups[index].1;
                answer(message, NOT_TEXT, format_args!("`{name}` is no UTF-8 at byte {at}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::testing::{component, message, refused};
    use crate::status::TOO_LARGE;
    use stageline_component::Value;

    const PATTERN: &str = r"(?<word>\w+)=(?<number>\d+)?";

    fn extracts(values: &[(&str, Value)]) -> Box<dyn Component> {
        let pattern = ("pattern", Value::from(PATTERN));
        component::<Extract>(&[&[pattern], values].concat())
    }

    #[test]
    fn groups_become_an_object() {
        let mut regex = extracts(&[]);
        let mut of = |data: &[u8]| {
            let mut message = message(data);
            assert_eq!(regex.handle(&mut message), Report::DONE);
            String::from_utf8(message.data().to_vec()).unwrap()
        };
        assert_eq!(of(b"-- abc=12 x=3"), r#"{"word":"abc","number":"12"}"#);
        assert_eq!(of(b"a="), r#"{"word":"a","number":null}"#);
        assert_eq!(of(b"\xff\xff a=5"), r#"{"word":"a","number":"5"}"#);
    }

    #[test]
    fn groups_become_attributes() {
        let mut regex = extracts(&[("to", "attributes".into())]);
        let mut message = message("abc=12");
        assert_eq!(regex.handle(&mut message), Report::DONE);
        let found = |message: &Message, name: &str| message.attribute(name).map(<[u8]>::to_vec);
        assert_eq!(found(&message, "word").unwrap(), b"abc");
        assert_eq!(found(&message, "number").unwrap(), b"12");
        assert_eq!(message.data(), b"abc=12");
        message.set_data(b"z=").unwrap();
        assert_eq!(regex.handle(&mut message), Report::DONE);
        assert_eq!(found(&message, "word").unwrap(), b"z");
        assert_eq!(found(&message, "number"), None);
    }

    #[test]
    fn a_mismatch_is_what_is_said() {
        let cases = [("drop", Report::DROP), ("pass", Report::DONE), ("fail", MISMATCH)];
        for (on_mismatch, report) in cases {
            let mut of = message("nothing");
            let mut regex = extracts(&[("on_mismatch", on_mismatch.into())]);
            assert_eq!(regex.handle(&mut of), report);
            assert_eq!(of.data(), b"nothing");
            let text = if report == MISMATCH { "the pattern does not match" } else { "" };
            assert_eq!(of.description(), text);
        }
        assert_eq!(extracts(&[]).handle(&mut message("")), MISMATCH, "by default");
    }

    #[test]
    fn what_is_no_text_or_too_large_fails() {
        let values = [("pattern", Value::from(r"a(?<all>(?s-u:.*))"))];
        let mut regex = component::<Extract>(&values);
        let mut bad = message(b"za\xc3\xa4\xff.");
        assert_eq!(regex.handle(&mut bad), NOT_TEXT);
        assert_eq!(bad.description(), "`all` is no UTF-8 at byte 4");
        let mut small = Message::new(8, 10);
        small.set_data(b"abcd").unwrap();
        assert_eq!(regex.handle(&mut small), TOO_LARGE);
        assert_eq!(small.data(), b"abcd");
    }

    #[test]
    fn wrong_attributes_are_named() {
        assert_eq!(refused::<Extract>(&[]), "`regex` needs the attribute `pattern`");
        let of = |pattern: &str| refused::<Extract>(&[("pattern", pattern.into())]);
        assert_eq!(of("(a"), "`pattern` = \"(a\": expected a regular expression: unclosed group");
        let named = "expected a regular expression with a named group, `(?<name>...)`";
        assert_eq!(of("(a)"), format!("`pattern` = \"(a)\": {named}"));
        let error = of(r"(?<a>\w{1000}){1000}");
        assert!(error.contains("exceeds size limit"), "{error}");
        for name in ["to", "on_mismatch"] {
            let error = refused::<Extract>(&[("pattern", PATTERN.into()), (name, "xml".into())]);
            assert!(error.contains("= \"xml\": expected one of "), "{error}");
        }
    }
}
