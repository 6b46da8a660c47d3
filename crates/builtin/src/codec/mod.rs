//! How bytes are parted into messages, and put together again.
//!
//! ```text
//! decoder, encoder ──► lines, ndjson, csv, length_prefixed, none
//! ```

mod csv;
mod decoder;
mod encoder;
mod length_prefixed;
mod lines;
mod ndjson;
mod none;

pub(crate) use csv::{HEADER, text as record_text};
pub(crate) use decoder::{Bad, DECODE, DECODE_DATAGRAMS, Decoder, Decoding, Frame};
pub(crate) use encoder::{ENCODE, Encoder, shown};

use crate::factory::defaulted;
use stageline_component::{AttributeError, AttributeKind, AttributeSpec, Attributes};
use std::ops::Range;

/// How the bytes of a stream are parted into frames, each of which has a message in it.
trait Framing: Send {
    /// How many of the bytes before a frame belong to none.
    fn blank(&self, _bytes: &[u8]) -> usize {
        0
    }

    /// Looks at the next bytes of the frame that has begun: how many of them belong to it if it ends here, else all
    /// of them do.
    fn end(&mut self, bytes: &[u8]) -> Option<usize>;

    /// Where in a whole frame the message stands; `None` if there is none in it. The last frame of a stream may have
    /// no end: then `is_last`, and the error says how many bytes it should have.
    fn body(&self, frame: &[u8], is_last: bool) -> Result<Option<Range<usize>>, usize>;

    /// How many of the bytes of a frame that has ended are not of its message, by the last two of them.
    fn extra(&self, last: &[u8]) -> usize;

    /// How many lines end in these bytes of a frame; `None` where there is no such thing as a line.
    fn lines(&self, bytes: &[u8]) -> Option<u64>;

    /// Forgets a frame that has begun.
    fn reset(&mut self) {}
}

/// How many bytes a frame has beside its message, at most: a prefix, or the end of a line.
const FRAME_EXTRA: usize = 4;

/// What a text of UTF-8 may begin with: a byte order mark, which is no part of it.
pub(crate) const MARK: &[u8] = b"\xef\xbb\xbf";

const NAMES: &[&str] = &["lines", "ndjson", "csv", "length_prefixed", "none"];

const LENGTH: AttributeSpec = defaulted(
    "length",
    AttributeKind::OneOf(&["u32", "u16"]),
    "u32",
    "For `length_prefixed`: the number before each message, big endian.",
);

const DELIMITER: AttributeSpec = defaulted(
    "delimiter",
    AttributeKind::Text,
    ",",
    "For `csv`: what stands between two fields, one ASCII character.",
);

/// The bytes of a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    U16,
    U32,
}

impl Length {
    fn of(attributes: &Attributes) -> Self {
        if attributes.text("length") == Some("u16") { Self::U16 } else { Self::U32 }
    }

    fn bytes(self) -> usize {
        match self {
            Self::U16 => 2,
            Self::U32 => 4,
        }
    }

    fn max(self) -> usize {
        match self {
            Self::U16 => usize::from(u16::MAX),
            Self::U32 => u32::MAX as usize,
        }
    }
}

fn delimiter(attributes: &Attributes) -> Result<u8, AttributeError> {
    let text = attributes.text("delimiter").unwrap_or(",");
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n') => Ok(*byte),
        _ => {
            let expected = "one ASCII character, no quote and no end of a line";
            Err(AttributeError::invalid("delimiter", &text.into(), expected))
        }
    }
}

/// The attributes of several parts, one behind another. `N` is how many they are.
pub(crate) const fn joined<const N: usize>(parts: &[&[AttributeSpec]]) -> [AttributeSpec; N] {
    let mut all = [LENGTH; N];
    let (mut at, mut part) = (0, 0);
    while part < parts.len() {
        let mut index = 0;
        while index < parts[part].len() {
            all[at] = parts[part][index];
            at += 1;
            index += 1;
        }
        part += 1;
    }
    assert!(at == N, "`N` is the number of attributes");
    all
}
