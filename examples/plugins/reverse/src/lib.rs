//! A plugin in Rust: a transform that turns data round, by bytes or by lines, and gathers messages if it is told to.

use stageline_component::{
    AttributeError, AttributeKind, AttributeSpec, Attributes, Component, Error, Factory, Kind,
    Message, Report, Spec, Value, export_component,
};
use std::time::Duration;

static SPEC: Spec = Spec {
    name: "reverse",
    kind: Kind::Transform,
    summary: "Data the other way round",
    attributes: &[
        AttributeSpec {
            name: "by",
            kind: AttributeKind::OneOf(&["bytes", "lines"]),
            default: Some("bytes"),
            required: false,
            doc: "What changes places.",
        },
        AttributeSpec {
            name: "gather",
            kind: AttributeKind::Integer,
            default: Some("1"),
            required: false,
            doc: "How many messages become one, from 1 to 1000; the last comes first.",
        },
        AttributeSpec {
            name: "age",
            kind: AttributeKind::Duration,
            default: Some("250ms"),
            required: false,
            doc: "How long a message waits for others at most.",
        },
    ],
    doc: "Each message is turned round. With `gather`, several become one, each on a line of its own.",
};

/// Makes [`Reverse`].
pub struct Reverses {
    attributes: Attributes,
}

impl Default for Reverses {
    fn default() -> Self {
        Self { attributes: Attributes::new(&SPEC) }
    }
}

impl Factory for Reverses {
    fn spec(&self) -> &Spec {
        &SPEC
    }

    fn set_attribute(&mut self, name: &str, value: &Value) -> Result<(), AttributeError> {
        self.attributes.set(name, value)?;
        self.attributes.integer_in("gather", 1..=1000).map(|_| ())
    }

    fn prepare(&mut self) -> Result<(), Error> {
        Ok(self.attributes.complete()?)
    }

    fn component(&self) -> Result<Box<dyn Component>, Error> {
        let gather = self.attributes.integer("gather").and_then(|gather| gather.try_into().ok());
        Ok(Box::new(Reverse {
            by_lines: self.attributes.text("by") == Some("lines"),
            gather: gather.unwrap_or(1),
            age: self.attributes.duration("age").unwrap_or_default(),
            gathered: Vec::new(),
        }))
    }
}

/// Turns data round.
struct Reverse {
    by_lines: bool,
    /// How many messages become one.
    gather: usize,
    age: Duration,
    /// What the messages say that are held, the last one first.
    gathered: Vec<u8>,
}

impl Reverse {
    fn turn(&self, data: &mut [u8]) {
        data.reverse();
        if self.by_lines {
            data.split_mut(|byte| *byte == b'\n').for_each(<[u8]>::reverse);
        }
    }
}

impl Component for Reverse {
    fn handle(&mut self, message: &mut Message) -> Report {
        // One that comes again because it is old, or the last, is among what was gathered.
        if message.flush().is_none() {
            self.turn(message.data_mut());
            if self.gather == 1 {
                return Report::DONE;
            }
            if !self.gathered.is_empty() {
                self.gathered.insert(0, b'\n');
            }
            self.gathered.splice(..0, message.data().iter().copied());
            if message.held() + 1 < self.gather {
                return message.hold_for(self.age);
            }
        }
        // Those that are held follow this one, which is done.
        let gathered = std::mem::take(&mut self.gathered);
        match message.set_data(&gathered) {
            Ok(()) => Report::DONE,
            Err(error) => {
                message.describe(&error.to_string());
                message.lead();
                Report::FAIL
            }
        }
    }
}

export_component!(Reverses);
