//! Takes the bytes of a stream as they are read, and gives the messages in them, each with its position.

use super::csv::Csv;
use super::length_prefixed::LengthPrefixed;
use super::lines::Lines;
use super::ndjson::Ndjson;
use super::none::Chunks;
use super::{DELIMITER, FRAME_EXTRA, Framing, LENGTH, Length, MARK, NAMES, delimiter};
use crate::factory::defaulted;
use stageline_component::{AttributeError, AttributeKind, AttributeSpec, Attributes, TooLarge};
use std::fmt;
use std::ops::Range;

/// How a source parts what it reads.
pub(crate) const DECODE: [AttributeSpec; 6] = [
    defaulted(
        "codec",
        AttributeKind::OneOf(NAMES),
        "lines",
        "How bytes are parted into messages: `lines` that end with LF or CRLF; `ndjson`, lines of which empty ones are \
         skipped; `csv`, records, whose quoted fields may have several lines; `length_prefixed`; `none`, as they are \
         read. A byte order mark of UTF-8 before the first text of `ndjson` or record of `csv` is left out.",
    ),
    LENGTH,
    DELIMITER,
    defaulted(
        "csv_header",
        AttributeKind::Boolean,
        "true",
        "For `csv`: the first record is the header. It is no message; each message has it in the attribute \
         `csv.header`.",
    ),
    defaulted("message_max", AttributeKind::Size, "1MiB", "How many bytes a message has at most."),
    defaulted(
        "too_large",
        AttributeKind::OneOf(&["skip", "stop"]),
        "skip",
        "What becomes of a message that is larger: it is left out, which is said on stderr, or the run ends with an \
         error. The same holds of one that the stream breaks off in.",
    ),
];

/// How a source parts datagrams: as [`DECODE`], but that they are whole by themselves.
pub(crate) const DECODE_DATAGRAMS: [AttributeSpec; 6] = {
    let mut attributes = DECODE;
    attributes[0].default = Some("none");
    attributes
};

/// The bounds of `message_max`.
const MESSAGE_MAX_LEAST: u64 = 1;
const MESSAGE_MAX_MOST: u64 = 1 << 30;

/// Where in a stream a message begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// From 0.
    pub(crate) byte: u64,
    /// From 1, where there are lines.
    pub(crate) line: Option<u64>,
}

/// `line 3, byte 120`.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}, ")?;
        }
        write!(f, "byte {}", self.byte)
    }
}

/// Why a frame makes no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    TooLarge(TooLarge),
    /// Without the names of the fields the records say nothing.
    HeaderTooLarge(TooLarge),
    BrokenOff {
        bytes: u64,
        wanted: usize,
    },
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(error) => write!(f, "the message is too large: {error}"),
            Self::HeaderTooLarge(error) => write!(f, "the header is too large: {error}"),
            Self::BrokenOff { bytes, wanted } => {
                write!(f, "the stream breaks off after {bytes} of at least {wanted} bytes")
            }
        }
    }
}

/// A message, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) data: Result<&'a [u8], Bad>,
    pub(crate) at: Position,
    /// The header of the stream, if it has one and it has come.
    pub(crate) header: &'a [u8],
}

/// What decoders are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decoding {
    codec: usize,
    length: Length,
    delimiter: u8,
    has_header: bool,
    message_max: usize,
    /// Whether a message that is too large ends the run.
    pub(crate) is_strict: bool,
}

impl Decoding {
    pub(crate) fn of(attributes: &Attributes) -> Result<Self, AttributeError> {
        let message_max = attributes.size("message_max").unwrap_or(MESSAGE_MAX_LEAST);
        if !(MESSAGE_MAX_LEAST..=MESSAGE_MAX_MOST).contains(&message_max) {
            let value = attributes.size("message_max").unwrap_or(0) as i64;
            let expected = "1 byte to 1GiB";
            return Err(AttributeError::invalid("message_max", &value.into(), expected));
        }
        let codec = attributes.text("codec").unwrap_or_default();
        Ok(Self {
            codec: NAMES.iter().position(|name| *name == codec).unwrap_or_default(),
            length: Length::of(attributes),
            delimiter: delimiter(attributes)?,
            has_header: attributes.boolean("csv_header") == Some(true),
            message_max: message_max as usize,
            is_strict: attributes.text("too_large") == Some("stop"),
        })
    }

    /// As [`Decoding::of`], for datagrams. The first one has no header for the others: they may be of several
    /// senders, come in another order, or get lost.
    pub(crate) fn of_datagrams(attributes: &Attributes) -> Result<Self, AttributeError> {
        let decoding = Self::of(attributes)?;
        if NAMES[decoding.codec] == "csv" && decoding.has_header {
            let expected =
                "false for datagrams with `codec` = \"csv\": none has the header of the others";
            return Err(AttributeError::invalid("csv_header", &true.into(), expected));
        }
        Ok(decoding)
    }

    /// For a stream.
    pub(crate) fn decoder(&self) -> Decoder {
        self.decoder_of(self.message_max)
    }

    /// For datagrams, which are not parted where there is no framing.
    pub(crate) fn datagram_decoder(&self) -> Decoder {
        self.decoder_of(usize::MAX)
    }

    fn decoder_of(&self, chunk_max: usize) -> Decoder {
        let framing: Box<dyn Framing> = match NAMES[self.codec] {
            "ndjson" => Box::new(Ndjson::default()),
            "csv" => Box::new(Csv::new(self.delimiter)),
            "length_prefixed" => Box::new(LengthPrefixed::new(self.length)),
            "none" => Box::new(Chunks { bytes_max: chunk_max }),
            _ => Box::new(Lines),
        };
        let mut decoder = Decoder::new(framing, self.message_max);
        decoder.wants_header = NAMES[self.codec] == "csv" && self.has_header;
        decoder.skips_mark = matches!(NAMES[self.codec], "csv" | "ndjson");
        decoder.restart();
        decoder
    }
}

/// The bytes of one stream. What is begun in a chunk and ends in a later one is copied; what lies whole in a chunk is
/// lent from there.
pub(crate) struct Decoder {
    framing: Box<dyn Framing>,
    message_max: usize,
    wants_header: bool,
    header: Vec<u8>,
    /// Whether a stream may begin with a byte order mark, which is left out.
    skips_mark: bool,
    /// How many bytes of one have come, as long as all that has come may be one.
    mark: Option<usize>,
    /// The beginning of a frame, unless it is too large already.
    carry: Vec<u8>,
    /// The carry was lent as a whole frame.
    is_lent: bool,
    begun_bytes: u64,
    begun_lines: u64,
    /// The last two bytes of a frame that goes over several chunks.
    last: [u8; 2],
    /// Where the frame begins.
    byte: u64,
    line: u64,
}

/// A whole frame, before it is lent.
struct Cut {
    is_carried: bool,
    body: Result<Range<usize>, Bad>,
    at: Position,
}

impl Decoder {
    fn new(framing: Box<dyn Framing>, message_max: usize) -> Self {
        Self {
            framing,
            message_max,
            wants_header: false,
            header: Vec::new(),
            skips_mark: false,
            mark: None,
            carry: Vec::new(),
            is_lent: false,
            begun_bytes: 0,
            begun_lines: 0,
            last: [0; 2],
            byte: 0,
            line: 1,
        }
    }

    /// The first byte that comes is this one of the stream. (Lines are counted from there.)
    pub(crate) fn start_at(&mut self, byte: u64) {
        self.byte = byte;
        self.mark = self.mark.filter(|_| byte == 0);
    }

    /// Here begins a stream: positions count from here again.
    pub(crate) fn restart(&mut self) {
        (self.byte, self.line) = (0, 1);
        self.mark = self.skips_mark.then_some(0);
    }

    /// The header, if it has come.
    pub(crate) fn header(&self) -> &[u8] {
        &self.header
    }

    /// Whether the first record is to be the header.
    pub(crate) fn wants_header(&self) -> bool {
        self.wants_header
    }

    /// As if this header had come.
    pub(crate) fn set_header(&mut self, header: &[u8]) {
        self.wants_header = false;
        self.header = header.to_vec();
    }

    /// How many bytes have come of a message that is not whole yet.
    pub(crate) fn begun(&self) -> u64 {
        self.begun_bytes + self.mark.unwrap_or_default() as u64
    }

    /// The next message of which the end is in the chunk, whose beginning is cut off as it is read. `None` if all of
    /// the chunk was read.
    pub(crate) fn next<'a, 'c: 'a>(&'a mut self, chunk: &mut &'c [u8]) -> Option<Frame<'a>> {
        let (cut, head) = loop {
            self.take_back();
            if self.mark.is_some() {
                self.skip_mark(chunk);
            }
            if self.begun_bytes == 0 {
                self.skip_blank(chunk);
            }
            if chunk.is_empty() {
                return None;
            }
            let Some(end) = self.framing.end(chunk) else {
                self.begin(std::mem::take(chunk));
                return None;
            };
            let (head, rest) = chunk.split_at(end);
            *chunk = rest;
            let is_carried = self.begun_bytes > 0;
            if is_carried {
                self.begin(head);
            } else {
                self.count(head);
            }
            let Some(cut) = self.cut(head, is_carried, false) else { continue };
            if !self.takes_header(&cut, head) {
                break (cut, head);
            }
        };
        Some(self.lend(cut, head))
    }

    /// The stream has ended: the message that it ends with, if its end was to be seen nowhere else.
    pub(crate) fn finish(&mut self) -> Option<Frame<'_>> {
        self.take_back();
        self.keep_mark();
        if self.begun_bytes == 0 {
            return None;
        }
        let cut = self.cut(&[], true, true);
        self.framing.reset();
        let cut = cut.filter(|cut| !self.takes_header(cut, &[]))?;
        Some(self.lend(cut, &[]))
    }

    fn lend<'a>(&'a self, cut: Cut, head: &'a [u8]) -> Frame<'a> {
        let whole = if cut.is_carried { &self.carry } else { head };
        Frame { data: cut.body.map(|body| &whole[body]), at: cut.at, header: &self.header }
    }

    fn skip_mark(&mut self, chunk: &mut &[u8]) {
        while let (Some(seen), [next, rest @ ..]) = (self.mark, *chunk) {
            if *next != MARK[seen] {
                return self.keep_mark();
            }
            *chunk = rest;
            self.mark = Some(seen + 1);
            if seen + 1 == MARK.len() {
                self.mark = None;
                self.byte += MARK.len() as u64;
            }
        }
    }

    /// What might have been a mark is the beginning of a frame.
    fn keep_mark(&mut self) {
        let seen = &MARK[..self.mark.take().unwrap_or_default()];
        if !seen.is_empty() && self.framing.end(seen).is_none() {
            self.begin(seen);
        }
    }

    fn skip_blank(&mut self, chunk: &mut &[u8]) {
        let (blank, rest) = chunk.split_at(self.framing.blank(chunk));
        self.byte += blank.len() as u64;
        self.line += self.framing.lines(blank).unwrap_or_default();
        *chunk = rest;
    }

    fn take_back(&mut self) {
        if std::mem::take(&mut self.is_lent) {
            self.carry.clear();
        }
    }

    fn count(&mut self, bytes: &[u8]) {
        self.begun_bytes += bytes.len() as u64;
        self.begun_lines += self.framing.lines(bytes).unwrap_or_default();
    }

    /// Keeps bytes of a frame that goes on, unless it is too large.
    fn begin(&mut self, bytes: &[u8]) {
        let is_kept = self.carry.len() as u64 == self.begun_bytes;
        self.count(bytes);
        self.last = match *bytes {
            [.., one, two] => [one, two],
            [two] => [self.last[1], two],
            [] => self.last,
        };
        if is_kept && self.begun_bytes <= (self.message_max + FRAME_EXTRA) as u64 {
            self.carry.extend_from_slice(bytes);
        } else {
            self.carry.clear();
        }
    }

    /// What is in a frame, and goes behind it. `None` if there is nothing in it.
    fn cut(&mut self, head: &[u8], is_carried: bool, is_last: bool) -> Option<Cut> {
        let has_lines = self.framing.lines(&[]).is_some();
        let at = Position { byte: self.byte, line: has_lines.then_some(self.line) };
        let bytes = std::mem::take(&mut self.begun_bytes);
        self.byte += bytes;
        self.line += std::mem::take(&mut self.begun_lines);
        self.is_lent = is_carried;
        let whole = if is_carried { &self.carry[..] } else { head };
        let is_kept = whole.len() as u64 == bytes;
        let body = match self.framing.body(whole, is_last) {
            Err(wanted) if is_kept => Err(Bad::BrokenOff { bytes, wanted }),
            Ok(None) => return None,
            Ok(Some(body)) if is_kept && body.len() <= self.message_max => Ok(body),
            body => {
                let wanted = match body {
                    Ok(Some(body)) if is_kept => body.len() as u64,
                    _ => bytes.saturating_sub(self.framing.extra(&self.last) as u64),
                };
                let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
                let error = TooLarge { wanted, max: self.message_max };
                Err(if self.wants_header { Bad::HeaderTooLarge } else { Bad::TooLarge }(error))
            }
        };
        Some(Cut { is_carried, body, at })
    }

    /// Keeps the header, if this is it.
    fn takes_header(&mut self, cut: &Cut, head: &[u8]) -> bool {
        let (true, Ok(body)) = (self.wants_header, &cut.body) else { return false };
        let whole = if cut.is_carried { &self.carry } else { head };
        self.header.extend_from_slice(&whole[body.clone()]);
        self.wants_header = false;
        true
    }
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
