//! What comes in by the standard input.

use super::feed::{CHUNK, Feed, Origin, Stop, ended};
use super::wait;
use crate::codec::{DECODE, Decoding};
use crate::factory::Plan;
use stageline_component::{Attributes, Emitter, Error, Kind, Source, Spec};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

static SPEC: Spec = Spec {
    name: "stdin",
    kind: Kind::Source,
    summary: "Reads messages from the standard input",
    attributes: &DECODE,
    doc: "\
Reads the standard input to its end, which is the end of the source.

When the run is to stop before, all messages that were read are emitted. The beginning of a message whose end has
not come is left, and that is said on stderr.

```lua
local s = require(\"stageline\")
s.pipeline { s.stdin { codec = \"ndjson\" }, s.stdout {} }
```
",
};

pub(super) struct Stdin {
    decoding: Decoding,
}

impl Plan for Stdin {
    const SPEC: &'static Spec = &SPEC;

    fn new(attributes: &Attributes) -> Result<Self, Error> {
        Ok(Self { decoding: Decoding::of(attributes)? })
    }

    fn source(&self) -> Result<Box<dyn Source>, Error> {
        let input = io::stdin().as_fd().try_clone_to_owned();
        let input = input.map_err(|error| Error::with_source("cannot read stdin", error))?;
        Ok(Box::new(Stream { input: input.into(), decoding: self.decoding }))
    }
}

struct Stream {
    /// Without the buffer of the standard library's own.
    input: File,
    decoding: Decoding,
}

impl Source for Stream {
    fn run(&mut self, out: &mut dyn Emitter) -> Result<(), Error> {
        let mut feed = Feed::new(SPEC.name, &self.decoding);
        let result = self.pump(&mut feed, out);
        feed.end();
        ended(result)
    }
}

impl Stream {
    fn pump(&mut self, feed: &mut Feed, out: &mut dyn Emitter) -> Result<(), Stop> {
        let mut decoder = self.decoding.decoder();
        let origin = Origin::plain("stdin");
        let mut chunk = vec![0; CHUNK];
        let failed = |error| Error::with_source("cannot read stdin", error);
        while !out.is_stopping() {
            if !wait::is_ready(&self.input).map_err(failed)? {
                continue;
            }
            match self.input.read(&mut chunk) {
                Ok(0) => return feed.finish(&mut decoder, &origin, out),
                Ok(read) => feed.push(&mut decoder, &chunk[..read], &origin, out)?,
                Err(error) if super::is_passing(&error) => {}
                Err(error) => return Err(failed(error).into()),
            }
        }
        feed.leave(&decoder, &origin);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::testing::{prepared, refused};
    use crate::source::testing::Collected;
    use std::io::Write;
    use std::os::fd::OwnedFd;
    use std::thread;
    use std::time::Duration;

    fn stream(codec: &str) -> (Stream, io::PipeWriter) {
        let (input, output) = io::pipe().unwrap();
        let values = [("codec".to_owned(), codec.into())];
        let values = values.iter().map(|(name, value)| (name.as_str(), value));
        let attributes = Attributes::check(&SPEC, values).unwrap();
        let input = OwnedFd::from(input).into();
        (Stream { input, decoding: Decoding::of(&attributes).unwrap() }, output)
    }

    #[test]
    fn the_end_of_the_input_ends_the_source() {
        let (mut stream, mut output) = stream("lines");
        let writer = thread::spawn(move || {
            output.write_all(b"one\ntw").unwrap();
            thread::sleep(Duration::from_millis(20));
            output.write_all(b"o\nthree").unwrap();
        });
        let mut out = Collected::default();
        stream.run(&mut out).unwrap();
        assert_eq!(out.texts(), ["one", "two", "three"]);
        writer.join().unwrap();
    }

    #[test]
    fn more_than_a_chunk_is_read_whole() {
        let (mut stream, mut output) = stream("lines");
        let lines: Vec<_> = (0..40_000).map(|line| format!("line {line}")).collect();
        let text = lines.join("\n");
        let writer = thread::spawn(move || output.write_all(text.as_bytes()).unwrap());
        let mut out = Collected::default();
        stream.run(&mut out).unwrap();
        assert_eq!(out.texts(), lines);
        writer.join().unwrap();
    }

    #[test]
    fn a_stop_leaves_no_message_that_was_read() {
        let (mut stream, mut output) = stream("lines");
        output.write_all(b"1\n2\n3\n4").unwrap();
        let mut out = Collected::after(1);
        stream.run(&mut out).unwrap();
        assert_eq!(out.texts(), ["1", "2", "3"], "of one chunk");
        assert!(out.looks.get() > 1);
    }

    #[test]
    fn what_is_no_codec_is_refused() {
        assert!(
            refused::<Stdin>(&[("codec", "xml".into())])
                .contains("`codec` = \"xml\": expected one of")
        );
        assert!(refused::<Stdin>(&[("delimiter", "xml".into())]).contains("one ASCII character"));
        let factory = prepared::<Stdin>(&[]).unwrap();
        assert!(factory.source().is_ok() && factory.component().is_err());
    }
}
