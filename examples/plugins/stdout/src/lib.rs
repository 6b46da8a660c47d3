//! A sink that writes lines to standard output, as a plugin.

use stageline_component::{
    AttributeError, Attributes, Component, Error, Factory, Kind, Message, Report, Spec, Value,
    export_component,
};
use std::io::{self, Write};

static SPEC: Spec = Spec {
    name: "stdout",
    kind: Kind::Sink,
    summary: "Lines on standard output",
    attributes: &[],
    doc: "Each message is a line. It is written when its report is given.",
};

/// Makes [`Stdout`].
pub struct Stdouts {
    attributes: Attributes,
}

impl Default for Stdouts {
    fn default() -> Self {
        Self { attributes: Attributes::new(&SPEC) }
    }
}

impl Factory for Stdouts {
    fn spec(&self) -> &Spec {
        &SPEC
    }

    fn set_attribute(&mut self, name: &str, value: &Value) -> Result<(), AttributeError> {
        self.attributes.set(name, value)
    }

    fn prepare(&mut self) -> Result<(), Error> {
        Ok(self.attributes.complete()?)
    }

    fn component(&self) -> Result<Box<dyn Component>, Error> {
        Ok(Box::new(Stdout { line: Vec::new() }))
    }

    /// What reads the other end may be slow; and one thread keeps the lines in order.
    fn pool_size(&self) -> Option<usize> {
        Some(1)
    }
}

struct Stdout {
    line: Vec<u8>,
}

impl Component for Stdout {
    fn handle(&mut self, message: &mut Message) -> Report {
        self.line.clear();
        self.line.extend_from_slice(message.data());
        self.line.push(b'\n');
        // (The standard output flushes at the end of a line.)
        match io::stdout().lock().write_all(&self.line) {
            Ok(()) => Report::DONE,
            Err(error) => {
                message.describe(&format!("cannot write to standard output: {error}"));
                Report::FAIL
            }
        }
    }

    fn close(&mut self) -> Result<(), Error> {
        io::stdout()
            .flush()
            .map_err(|error| Error::with_source("cannot flush standard output", error))
    }
}

export_component!(Stdouts);
