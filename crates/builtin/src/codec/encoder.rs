//! Puts messages together to the bytes of a stream.

use super::{HEADER, LENGTH, Length, NAMES, csv, length_prefixed, lines, ndjson};
use crate::factory::defaulted;
use stageline_component::{AttributeKind, AttributeSpec, Attributes, Message, Report};

/// How a sink writes messages.
pub(crate) const ENCODE: [AttributeSpec; 3] = [
    defaulted(
        "codec",
        AttributeKind::OneOf(NAMES),
        "lines",
        "How messages are put together: `lines`, with LF behind each; `ndjson`, as lines, with blanks in place of the \
         ends of lines within one; `csv`, records; `length_prefixed`; `none`, one behind the other.",
    ),
    LENGTH,
    defaulted(
        "csv_header",
        AttributeKind::Boolean,
        "true",
        "For `csv`: the header, from the attribute `csv.header` of the first message that has it, is written first.",
    ),
];

/// A message is longer than `length` can say.
pub(crate) const TOO_LONG: Report = Report::fail(220);

pub(crate) struct Encoder {
    codec: &'static str,
    length: Length,
    wants_header: bool,
    header: Vec<u8>,
}

impl Encoder {
    pub(crate) fn of(attributes: &Attributes) -> Self {
        let name = attributes.text("codec").unwrap_or_default();
        let codec = NAMES.iter().find(|known| **known == name).copied().unwrap_or_default();
        let wants_header = codec == "csv" && attributes.boolean("csv_header") == Some(true);
        Self { codec, length: Length::of(attributes), wants_header, header: Vec::new() }
    }

    /// Appends a message. Where it cannot be told, nothing is appended.
    pub(crate) fn encode(
        &mut self,
        message: &mut Message,
        out: &mut Vec<u8>,
    ) -> Result<(), Report> {
        if self.wants_header
            && let Some(header) = message.attribute(HEADER)
        {
            csv::encode(header, &mut self.header);
            self.wants_header = false;
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
                    return Err(TOO_LONG);
                }
            }
            _ => lines::encode(data, out),
        }
        Ok(())
    }

    /// What a stream begins with. Empty until a message said it, if one does.
    pub(crate) fn beginning(&self) -> &[u8] {
        &self.header
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
        assert_eq!(prefixed.encode(&mut long, &mut out), Err(TOO_LONG));
        assert_eq!(long.description(), "65536 bytes: the length says at most 65535");
        assert_eq!(out.len(), 1 + 2 + 65_535);
    }

    #[test]
    fn the_header_is_that_of_the_first_message_that_has_one() {
        for (wanted, expected) in [(true, "a,b\n"), (false, "")] {
            let mut csv = encoder(&[("codec", "csv".into()), ("csv_header", wanted.into())]);
            let mut out = Vec::new();
            csv.encode(&mut message("1,2"), &mut out).unwrap();
            assert_eq!(csv.beginning(), b"");
            for header in ["a,b\r\n", "c,d"] {
                let mut message = message("3,4");
                message.set_attribute(HEADER, header.as_bytes()).unwrap();
                csv.encode(&mut message, &mut out).unwrap();
            }
            assert_eq!(csv.beginning(), expected.as_bytes());
            assert_eq!(out, b"1,2\n3,4\n3,4\n");
        }
    }
}
