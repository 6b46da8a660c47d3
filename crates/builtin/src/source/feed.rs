//! From the bytes that a source has read to the messages that it emits.

use crate::codec::{Bad, Decoder, Decoding, Frame, HEADER};
use crate::factory::defaulted;
use stageline_component::{
    AttributeKind, AttributeSpec, EmitError, Emitter, Error, Message, TooLarge,
};
use std::io::Write;

/// How much is read at once.
pub(super) const CHUNK: usize = 64 * 1024;

/// How many messages that were left out are described; the others are counted.
const DESCRIBED_MAX: u64 = 8;

/// Whether messages say where they come from. What they say, the documentation of the source tells.
pub(super) const ANNOTATE: AttributeSpec = defaulted(
    "annotate",
    AttributeKind::Boolean,
    "false",
    "Whether each message has attributes that say where it comes from.",
);

/// Why a source ends before its input does.
#[derive(Debug)]
pub(super) enum Stop {
    /// The run ends.
    Asked,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What a source answers.
pub(super) fn ended(result: Result<(), Stop>) -> Result<(), Error> {
    match result {
        Ok(()) | Err(Stop::Asked) => Ok(()),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// Where a stream comes from.
pub(super) struct Origin<'a> {
    /// For who reads of an error: the file, the peer.
    pub(super) name: &'a str,
    /// The attribute that names the origin, and its value.
    pub(super) attribute: Option<(&'static str, &'a str)>,
    /// The attribute for the line in which a message begins.
    pub(super) line: Option<&'static str>,
}

impl<'a> Origin<'a> {
    /// One that messages say nothing of.
    pub(super) fn plain(name: &'a str) -> Self {
        Self { name, attribute: None, line: None }
    }
}

/// Emits the messages of all streams of a source.
pub(super) struct Feed {
    source: &'static str,
    is_strict: bool,
    left_out: u64,
    /// The last that was said.
    said: String,
}

impl Feed {
    pub(super) fn new(source: &'static str, decoding: &Decoding) -> Self {
        Self { source, is_strict: decoding.is_strict, left_out: 0, said: String::new() }
    }

    /// Emits the messages of which the ends are in the chunk.
    pub(super) fn push(
        &mut self,
        decoder: &mut Decoder,
        mut chunk: &[u8],
        origin: &Origin<'_>,
        out: &mut dyn Emitter,
    ) -> Result<(), Stop> {
        while let Some(frame) = decoder.next(&mut chunk) {
            self.emit(&frame, origin, out)?;
        }
        Ok(())
    }

    /// The stream has ended: emits the message that it ends with.
    pub(super) fn finish(
        &mut self,
        decoder: &mut Decoder,
        origin: &Origin<'_>,
        out: &mut dyn Emitter,
    ) -> Result<(), Stop> {
        decoder.finish().map_or(Ok(()), |frame| self.emit(&frame, origin, out))
    }

    /// The run ends before the stream does. The beginning of a message is none: half a number is another number.
    pub(super) fn leave(&mut self, decoder: &Decoder, origin: &Origin<'_>) {
        let begun = decoder.begun();
        if begun > 0 {
            let name = origin.name;
            self.say(format_args!(
                "{name}: {begun} bytes of a message that has not ended are left"
            ));
        }
    }

    /// The source ends.
    pub(super) fn end(&mut self) {
        if self.left_out > DESCRIBED_MAX {
            let left_out = self.left_out;
            self.say(format_args!("{left_out} messages were left out"));
        }
    }

    fn emit(
        &mut self,
        frame: &Frame<'_>,
        origin: &Origin<'_>,
        out: &mut dyn Emitter,
    ) -> Result<(), Stop> {
        let bad = match frame.data {
            Ok(data) => match out.emit(&mut |message| fill(message, data, frame, origin)) {
                Ok(_) => return Ok(()),
                Err(EmitError::TooLarge(error)) => Bad::TooLarge(error),
                Err(_) => return Err(Stop::Asked),
            },
            Err(bad) => bad,
        };
        let text = format!("{}: {}: {bad}", origin.name, frame.at);
        if self.is_strict || matches!(bad, Bad::HeaderTooLarge(_)) {
            return Err(Error::new(format!("{}: {text}", self.source)).into());
        }
        self.leave_out(text);
        Ok(())
    }

    /// Counts what makes no message, and says why.
    pub(super) fn leave_out(&mut self, text: impl std::fmt::Display) {
        self.left_out += 1;
        if self.left_out <= DESCRIBED_MAX {
            self.say(format_args!("{text}; it is left out"));
        }
    }

    /// Says something to who runs the pipeline. (Where nobody can read it, nothing is lost but this.)
    pub(super) fn say(&mut self, text: impl std::fmt::Display) {
        self.said = format!("{}: {text}", self.source);
        let _ = writeln!(std::io::stderr(), "{}", self.said);
    }
}

fn fill(
    message: &mut Message,
    data: &[u8],
    frame: &Frame<'_>,
    origin: &Origin<'_>,
) -> Result<(), TooLarge> {
    message.set_data(data)?;
    if !frame.header.is_empty() {
        message.set_attribute(HEADER, frame.header)?;
    }
    if let Some((name, value)) = origin.attribute {
        message.set_attribute(name, value.as_bytes())?;
    }
    if let (Some(name), Some(line)) = (origin.line, frame.at.line) {
        let mut digits = Digits::default();
        message.set_attribute(name, digits.of(line))?;
    }
    Ok(())
}

/// A number as text, without memory of its own.
#[derive(Default)]
pub(super) struct Digits([u8; 20]);

impl Digits {
    pub(super) fn of(&mut self, number: u64) -> &[u8] {
        let mut rest = &mut self.0[..];
        // (20 digits are enough for 64 bits.)
        let _ = write!(rest, "{number}");
        let free = rest.len();
        let len = self.0.len() - free;
        &self.0[..len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::DECODE;
    use crate::source::testing::Collected;
    use stageline_component::{Attributes, Kind, Spec, Value};

    static SPEC: Spec =
        Spec { name: "it", kind: Kind::Source, summary: "", attributes: &DECODE, doc: "" };

    fn feed(values: &[(&str, Value)]) -> (Feed, Decoder) {
        let values = values.iter().map(|(name, value)| (*name, value));
        let decoding = Decoding::of(&Attributes::check(&SPEC, values).unwrap()).unwrap();
        (Feed::new("it", &decoding), decoding.decoder())
    }

    const ORIGIN: Origin<'_> =
        Origin { name: "a.log", attribute: Some(("file", "a")), line: Some("line") };

    #[test]
    fn messages_say_where_they_come_from() {
        let (mut feed, mut decoder) = feed(&[("codec", "csv".into())]);
        let mut out = Collected::default();
        feed.push(&mut decoder, b"a,b\n1,2\n3", &ORIGIN, &mut out).unwrap();
        feed.finish(&mut decoder, &ORIGIN, &mut out).unwrap();
        assert_eq!(out.texts(), ["1,2", "3"]);
        let attributes: Vec<_> = out.messages[1].attributes().collect();
        assert_eq!(attributes, [("csv.header", &b"a,b"[..]), ("file", b"a"), ("line", b"3")]);
        let mut out = Collected::default();
        let (mut feed, mut decoder) = self::feed(&[]);
        feed.push(&mut decoder, b"1\n", &Origin::plain("a"), &mut out).unwrap();
        assert_eq!(out.messages[0].attributes().count(), 0);
    }

    #[test]
    fn what_is_too_large_is_left_out_and_counted() {
        let (mut feed, mut decoder) = feed(&[("message_max", 4.into())]);
        let mut out = Collected::default();
        feed.push(&mut decoder, b"12345\nab\n", &ORIGIN, &mut out).unwrap();
        let error = "it: a.log: line 1, byte 0: the message is too large: 5 bytes are more than the 4 that there \
                     may be; it is left out";
        assert_eq!((feed.said.as_str(), feed.left_out), (error, 1));
        for _ in 0..DESCRIBED_MAX {
            feed.push(&mut decoder, b"123456\n", &ORIGIN, &mut out).unwrap();
        }
        assert!(feed.said.contains("line 9, byte 51"), "{}", feed.said);
        feed.end();
        assert_eq!(feed.said, "it: 9 messages were left out");
        assert_eq!(out.texts(), ["ab"]);
    }

    #[test]
    fn what_the_pipeline_has_no_room_for_is_left_out_too() {
        let (mut feed, mut decoder) = feed(&[]);
        let mut out = Collected::default();
        out.bytes_max = 3;
        feed.push(&mut decoder, b"1234\nab\n", &ORIGIN, &mut out).unwrap();
        assert!(feed.said.contains("line 1, byte 0: the message is too large: 4 bytes"));
        assert_eq!(out.texts(), ["ab"]);
    }

    #[test]
    fn too_large_ends_the_run_if_it_is_said_so() {
        let (mut feed, mut decoder) =
            feed(&[("message_max", 4.into()), ("too_large", "stop".into())]);
        let mut out = Collected::default();
        let result = feed.push(&mut decoder, b"ab\n12345\nab\n", &ORIGIN, &mut out);
        let Err(Stop::Failed(error)) = result else { panic!("{result:?}") };
        let start = "it: a.log: line 2, byte 3: the message is too large: 5 bytes";
        assert!(error.text().starts_with(start), "{error}");
        assert_eq!(out.texts(), ["ab"]);
    }

    #[test]
    fn a_header_that_is_too_large_ends_the_run() {
        let (mut feed, mut decoder) = feed(&[("message_max", 4.into()), ("codec", "csv".into())]);
        let result = feed.push(&mut decoder, b"12345\nab\n", &ORIGIN, &mut Collected::default());
        let Err(Stop::Failed(error)) = result else { panic!("{result:?}") };
        assert!(error.text().contains("line 1, byte 0: the header is too large"), "{error}");
    }

    #[test]
    fn the_end_of_the_run_ends_the_source_and_says_what_is_left() {
        let (mut feed, mut decoder) = feed(&[]);
        let mut out = Collected::default();
        out.messages_max = 1;
        let result = feed.push(&mut decoder, b"a\nb\nc\n", &ORIGIN, &mut out);
        assert!(matches!(result, Err(Stop::Asked)) && ended(result).is_ok());
        assert_eq!(out.texts(), ["a"]);
        feed.leave(&decoder, &ORIGIN);
        assert_eq!(feed.said, "");
        let mut out = Collected::default();
        feed.push(&mut decoder, b"bcd", &ORIGIN, &mut out).unwrap();
        feed.leave(&decoder, &ORIGIN);
        assert_eq!(feed.said, "it: a.log: 3 bytes of a message that has not ended are left");
        assert_eq!(out.messages.len(), 0);
    }

    #[test]
    fn numbers_are_written_whole() {
        for number in [0, 7, 10, u64::MAX] {
            assert_eq!(Digits::default().of(number), number.to_string().as_bytes());
        }
    }
}
