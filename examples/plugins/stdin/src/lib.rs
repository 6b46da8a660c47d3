//! A source that reads lines from standard input, as a plugin.

use stageline_component::{
    AttributeError, AttributeKind, AttributeSpec, Attributes, EmitError, Emitter, Error, Factory,
    Kind, Source, Spec, Value, export_component,
};
use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

static SPEC: Spec = Spec {
    name: "stdin",
    kind: Kind::Source,
    summary: "Lines of standard input",
    attributes: &[AttributeSpec {
        name: "line_max",
        kind: AttributeKind::Size,
        default: Some("1MiB"),
        required: false,
        doc: "The longest line. A longer one ends the run with an error.",
    }],
    doc: "Each line is a message, without its line feed.",
};

/// How many lines are read ahead.
const AHEAD: usize = 64;

/// How often somebody looks whether the run ends, while there is no input.
const LOOK: Duration = Duration::from_millis(100);

/// Makes [`Stdin`].
pub struct Stdins {
    attributes: Attributes,
}

impl Default for Stdins {
    fn default() -> Self {
        Self { attributes: Attributes::new(&SPEC) }
    }
}

impl Factory for Stdins {
    fn spec(&self) -> &Spec {
        &SPEC
    }

    fn set_attribute(&mut self, name: &str, value: &Value) -> Result<(), AttributeError> {
        self.attributes.set(name, value)
    }

    fn prepare(&mut self) -> Result<(), Error> {
        Ok(self.attributes.complete()?)
    }

    fn source(&self) -> Result<Box<dyn Source>, Error> {
        Ok(Box::new(Stdin { line_max: self.attributes.size("line_max").unwrap_or(u64::MAX) }))
    }
}

struct Stdin {
    line_max: u64,
}

type Line = Result<Vec<u8>, Error>;

impl Source for Stdin {
    fn run(&mut self, out: &mut dyn Emitter) -> Result<(), Error> {
        let (sender, lines) = sync_channel(AHEAD);
        let line_max = self.line_max;
        // A read cannot be called off. Where the run ends before the input does, this thread stays in it.
        let reader = thread::Builder::new().name("stdin".into());
        reader.spawn(move || read(io::stdin().lock(), line_max, &sender))?;
        emit(out, &lines)
    }
}

/// Sends the lines of an input, up to its end, an error, or the end of who receives them.
fn read(mut input: impl BufRead, line_max: u64, lines: &SyncSender<Line>) {
    loop {
        let mut line = Vec::new();
        let limit = line_max.saturating_add(1);
        let sent = match input.by_ref().take(limit).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Err(error) => Err(Error::with_source("cannot read standard input", error)),
            Ok(_) => {
                let is_whole = line.pop_if(|last| *last == b'\n').is_some();
                match !is_whole && line.len() as u64 > line_max {
                    true => Err(Error::new(format!("a line of more than {line_max} bytes"))),
                    false => Ok(line),
                }
            }
        };
        let is_last = sent.is_err();
        if lines.send(sent).is_err() || is_last {
            return;
        }
    }
}

fn emit(out: &mut dyn Emitter, lines: &Receiver<Line>) -> Result<(), Error> {
    while !out.is_stopping() {
        match lines.recv_timeout(LOOK) {
            Ok(line) => send(out, line?)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
    // The run ends: what has been read ahead is not lost.
    lines.try_iter().take(AHEAD).try_for_each(|line| send(out, line?))
}

fn send(out: &mut dyn Emitter, line: Vec<u8>) -> Result<(), Error> {
    match out.emit_data(&line) {
        Ok(_) | Err(EmitError::Stopping) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

export_component!(Stdins);

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8], line_max: u64) -> Vec<Result<String, String>> {
        let (sender, lines) = sync_channel(AHEAD);
        read(input, line_max, &sender);
        drop(sender);
        let text = |line: Vec<u8>| String::from_utf8(line).unwrap();
        lines.iter().map(|line| line.map(text).map_err(|error| error.to_string())).collect()
    }

    #[test]
    fn lines_end_with_a_line_feed_or_with_the_input() {
        let whole =
            |expected: &[&str]| expected.iter().map(|line| Ok((*line).into())).collect::<Vec<_>>();
        assert_eq!(lines(b"a\n\nbc\n", 9), whole(&["a", "", "bc"]));
        assert_eq!(lines(b"a\nbc", 9), whole(&["a", "bc"]));
        assert_eq!(lines(b"", 9), []);
    }

    #[test]
    fn a_line_that_is_too_long_is_the_last() {
        let long = Err("a line of more than 2 bytes".to_owned());
        assert_eq!(lines(b"ab\nabc\na\n", 2), [Ok("ab".into()), long.clone()]);
        assert_eq!(lines(b"abc", 2), [long]);
    }
}
