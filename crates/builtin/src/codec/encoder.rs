//! Puts messages together to the bytes of a stream.

use super::{HEADER, LENGTH, Length, NAMES, csv, length_prefixed, lines, ndjson};
use crate::factory::{answer, defaulted};
use crate::status::{LENGTH_EXCEEDED, OTHER_HEADER};
use stageline_component::{AttributeKind, AttributeSpec, Attributes, Message, Report};

/// How a sink writes messages.
pub(crate) const ENCODE: [AttributeSpec; 3] = [
    defaulted(
        "codec",
        AttributeKind::OneOf(NAMES),
        "lines",
        "How messages are put together: `lines`, with LF behind each; `ndjson`, as lines, with blanks in place of the \
         ends of lines within one; `csv`, of messages that are records already, as a source with `codec = \"csv\"` gives them (nothing makes records of JSON but a template or a function); `length_prefixed`, where a message that is longer than `length` can say fails (status 220); `none`, one behind \
         the other.",
    ),
    LENGTH,
    defaulted(
        "csv_header",
        AttributeKind::Boolean,
        "true",
        "For `csv`: the header, from the attribute `csv.header` of the first message, is written first. A message with \
         another header, or with one where the first had none, fails (status 230); one without is written all the same.",
    ),
];

/// How many characters of a header an error shows.
const SHOWN_MAX: usize = 30;

pub(crate) struct Encoder {
    codec: &'static str,
    length: Length,
    wants_header: bool,
    /// What the stream begins with is known: the first message has come.
    has_begun: bool,
    header: Vec<u8>,
}

impl Encoder {
    pub(crate) fn of(attributes: &Attributes) -> Self {
        let name = attributes.text("codec").unwrap_or_default();
        let codec = NAMES.iter().find(|known| **known == name).copied().unwrap_or_default();
        let wants_header = codec == "csv" && attributes.boolean("csv_header") == Some(true);
        let length = Length::of(attributes);
        Self { codec, length, wants_header, has_begun: false, header: Vec::new() }
    }

    /// Appends a message. Where it cannot be told, nothing is appended.
    pub(crate) fn encode(
        &mut self,
        message: &mut Message,
        out: &mut Vec<u8>,
    ) -> Result<(), Report> {
        if self.wants_header {
            self.check_header(message)?;
        }
        let data = message.data();
        match self.codec {
            "ndjson" => ndjson::encode(data, out),
            "csv" => csv::encode(data, out),
            "none" => out.extend_from_slice(data),
            "length_prefixed" => {
                if !length_prefixed::encode(self.length, data, out) {
                    let (bytes, max) = (data.len(), self.length.max());
                    message.describe(&format!("{bytes} bytes: the length says at most {max}"));
                    return Err(LENGTH_EXCEEDED);
                }
            }
            _ => lines::encode(data, out),
        }
        Ok(())
    }

    /// The first message says the header, and the others must not say another one: their fields would stand under
    /// names that are not theirs.
    fn check_header(&mut self, message: &mut Message) -> Result<(), Report> {
        let said = message.attribute(HEADER).map(csv::text).filter(|header| !header.is_empty());
        if !std::mem::replace(&mut self.has_begun, true) {
            said.into_iter().for_each(|header| csv::encode(header, &mut self.header));
            return Ok(());
        }
        let Some(said) = said.filter(|header| *header != csv::text(&self.header)) else {
            return Ok(());
        };
        let said = shown(said);
        let text = match csv::text(&self.header) {
            [] => format!("its header is {said}, but that of what was written before is none"),
            written => format!("its header is {said}, but {} was written", shown(written)),
        };
        Err(answer(message, OTHER_HEADER, text))
    }

    /// What a stream begins with. Empty until the first message has come, and if that has no header.
    pub(crate) fn beginning(&self) -> &[u8] {
        &self.header
    }
}

/// A header, or its beginning, for who reads of an error.
pub(crate) fn shown(header: &[u8]) -> String {
    let text = String::from_utf8_lossy(header);
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::testing::message;
    use stageline_component::{Kind, Spec, Value};

    static SPEC: Spec =
        Spec { name: "it", kind: Kind::Sink, summary: "", attributes: &ENCODE, doc: "" };

    fn encoder(values: &[(&str, Value)]) -> Encoder {
        let values = values.iter().map(|(name, value)| (*name, value));
        Encoder::of(&Attributes::check(&SPEC, values).unwrap())
    }

    fn written(encoder: &mut Encoder, messages: &[&str]) -> String {
        let mut out = Vec::new();
        for text in messages {
            encoder.encode(&mut message(text), &mut out).unwrap();
        }
        out.escape_ascii().to_string()
    }

    #[test]
    fn each_codec_frames_its_messages() {
        let codec = |name: &str| encoder(&[("codec", name.into())]);
        assert_eq!(written(&mut encoder(&[]), &["a", "", "b\nc"]), r"a\n\nb\nc\n");
        let json = ["{\n\"a\":\r\n1}\n", "2"];
        assert_eq!(written(&mut codec("ndjson"), &json), r#"{ \"a\":  1}\n2\n"#);
        assert_eq!(written(&mut codec("csv"), &["a,\"b\nc\"\r\n", "d"]), r#"a,\"b\nc\"\nd\n"#);
        assert_eq!(written(&mut codec("none"), &["a", "b\n"]), r"ab\n");
        let mut prefixed = codec("length_prefixed");
        assert_eq!(written(&mut prefixed, &["ab", ""]), r"\x00\x00\x00\x02ab\x00\x00\x00\x00");
    }

    #[test]
    fn what_a_length_cannot_say_fails() {
        let mut prefixed =
            encoder(&[("codec", "length_prefixed".into()), ("length", "u16".into())]);
        assert_eq!(written(&mut prefixed, &["ab"]), r"\x00\x02ab");
        let mut out = vec![7];
        assert!(prefixed.encode(&mut message(vec![0; 65_535]), &mut out).is_ok());
        assert_eq!(out.len(), 1 + 2 + 65_535);
        let mut long = message(vec![0; 65_536]);
        assert_eq!(prefixed.encode(&mut long, &mut out), Err(LENGTH_EXCEEDED));
        assert_eq!(long.description(), "65536 bytes: the length says at most 65535");
        assert_eq!(out.len(), 1 + 2 + 65_535);
    }

    #[test]
    fn the_header_is_that_of_the_first_message() {
        for (wanted, expected) in [(true, "a,b\n"), (false, "")] {
            let mut csv = encoder(&[("codec", "csv".into()), ("csv_header", wanted.into())]);
            assert_eq!(csv.beginning(), b"");
            let mut out = Vec::new();
            for header in ["a,b\r\n", "", "a,b"] {
                csv.encode(&mut with_header(header), &mut out).unwrap();
            }
            csv.encode(&mut message("1,2"), &mut out).unwrap();
            assert_eq!(csv.beginning(), expected.as_bytes());
            assert_eq!(out, b"3,4\n3,4\n3,4\n1,2\n");
        }
    }

    fn with_header(header: &str) -> Message {
        let mut message = message("3,4");
        message.set_attribute(HEADER, header.as_bytes()).unwrap();
        message
    }

    #[test]
    fn a_message_with_another_header_fails() {
        let mut csv = encoder(&[("codec", "csv".into())]);
        let mut out = Vec::new();
        csv.encode(&mut with_header("a,b"), &mut out).unwrap();
        let mut other = with_header("b,a\r\n");
        assert_eq!(csv.encode(&mut other, &mut out), Err(OTHER_HEADER));
        assert_eq!(other.description(), "its header is \"b,a\", but \"a,b\" was written");
        assert_eq!((csv.beginning(), &out[..]), (&b"a,b\n"[..], &b"3,4\n"[..]));
        let mut long = with_header(&"x".repeat(SHOWN_MAX + 1));
        assert_eq!(csv.encode(&mut long, &mut out), Err(OTHER_HEADER));
        let shown = format!("its header is \"{}\"..., but ", "x".repeat(SHOWN_MAX));
        assert!(long.description().starts_with(&shown), "{}", long.description());
        let mut unnamed = encoder(&[("codec", "csv".into())]);
        unnamed.encode(&mut message("1,2"), &mut out).unwrap();
        let mut named = with_header("a,b");
        assert_eq!(unnamed.encode(&mut named, &mut out), Err(OTHER_HEADER));
        let text = "its header is \"a,b\", but that of what was written before is none";
        assert_eq!((named.description(), unnamed.beginning()), (text, &b""[..]));
    }
}
