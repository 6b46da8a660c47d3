//! A plugin that panics where it is told to, and a source that emits what it is told to.

use stageline_component::{
    Acknowledge, AttributeError, AttributeKind, AttributeSpec, Attributes, Component, EmitError,
    Emitter, Error, Factory, Kind, Message, Report, Source, Spec, Value, export_component,
};
use std::panic::panic_any;
use std::sync::{Mutex, PoisonError};

/// What was acknowledged last. A component puts it into a message that says `told`.
static TOLD: Mutex<String> = Mutex::new(String::new());

static SPEC: Spec = Spec {
    name: "panics",
    kind: Kind::Transform,
    summary: "Panics",
    attributes: &[AttributeSpec {
        name: "at",
        kind: AttributeKind::Text,
        default: None,
        required: true,
        doc: "Where.",
    }],
    doc: "",
};

/// Makes what panics.
pub struct Panics(Attributes);

impl Default for Panics {
    fn default() -> Self {
        Self(Attributes::new(&SPEC))
    }
}

impl Panics {
    fn at(&self, place: &str) -> bool {
        self.0.text("at") == Some(place)
    }

    fn panic_at(&self, place: &str) {
        assert!(!self.at(place), "at {place}");
    }
}

impl Factory for Panics {
    fn spec(&self) -> &Spec {
        &SPEC
    }

    fn set_attribute(&mut self, name: &str, value: &Value) -> Result<(), AttributeError> {
        self.0.set(name, value)?;
        self.panic_at("set");
        Ok(())
    }

    fn prepare(&mut self) -> Result<(), Error> {
        self.panic_at("prepare");
        Ok(())
    }

    fn component(&self) -> Result<Box<dyn Component>, Error> {
        self.panic_at("component");
        Ok(Box::new(Panicky(self.0.clone())))
    }

    fn source(&self) -> Result<Box<dyn Source>, Error> {
        self.panic_at("source");
        Ok(Box::new(Panicky(self.0.clone())))
    }

    fn pool_size(&self) -> Option<usize> {
        self.panic_at("pool");
        Some(2)
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        self.panic_at("drop");
    }
}

struct Panicky(Attributes);

impl Panicky {
    fn panic_at(&self, place: &str) {
        assert!(self.0.text("at") != Some(place), "at {place}");
    }
}

impl Component for Panicky {
    fn handle(&mut self, message: &mut Message) -> Report {
        match message.data() {
            b"spare" => return Report::DONE,
            b"told" => {
                let told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = message.set_data(told.as_bytes());
                return Report::DONE;
            }
            _ => {}
        }
        self.panic_at("handle");
        if self.0.text("at") == Some("bomb") {
            panic_any(Bomb);
        }
        Report::DONE
    }

    fn close(&mut self) -> Result<(), Error> {
        self.panic_at("close");
        Err(Error::with_source("cannot close", std::io::Error::other("gone")))
    }
}

/// A payload whose drop panics, for ever.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic_any(Self);
    }
}

impl Source for Panicky {
    fn run(&mut self, out: &mut dyn Emitter) -> Result<(), Error> {
        self.panic_at("run");
        if self.0.text("at") == Some("emit") {
            let number = out.emit_data(b"first")?;
            let error = out.emit_data(b"more than ten bytes").unwrap_err();
            let stopping = (out.is_stopping(), out.emit_data(b"next"), out.is_stopping());
            assert_eq!(stopping, (false, Ok(number + 1), true));
            assert_eq!(out.emit_data(b"none"), Err(EmitError::Stopping));
            return Err(error.into());
        }
        out.emit(&mut |message| {
            self.panic_at("fill");
            message.set_attribute("a", b"b")
        })?;
        Ok(())
    }

    fn acknowledger(&mut self) -> Option<Box<dyn Acknowledge>> {
        self.panic_at("acknowledger");
        (self.0.text("at") != Some("nobody")).then(|| Box::new(Panicky(self.0.clone())) as _)
    }
}

impl Acknowledge for Panicky {
    fn settled(&mut self, number: u64, status: u32, description: &str) {
        self.panic_at("settled");
        let text = format!("{number} {status} {description}");
        *TOLD.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}

impl Drop for Panicky {
    fn drop(&mut self) {
        self.panic_at("drop");
    }
}

export_component!(Panics);
