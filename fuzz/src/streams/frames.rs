//! What the messages of a stream are, found in other ways than the codecs' own.

use super::Codec;
use csv::{ByteRecord, ReaderBuilder};
use std::ops::Range;

/// What a text of UTF-8 may begin with.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The bytes of a frame beside its message, at most: a frame that is larger than the largest is not kept.
const FRAME_EXTRA: usize = 4;

/// What codecs are told.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub codec: Codec,
    pub message_max: usize,
    /// For csv: the first record is no message.
    pub has_header: bool,
    pub delimiter: u8,
    /// For prefixes of a length: two bytes in place of four.
    pub is_short: bool,
}

/// What becomes of a piece of a stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    Message {
        data: Vec<u8>,
        line: Option<u64>,
    },
    /// It is left out, or ends the run, as the source was told.
    Bad,
    /// It ends the run.
    BadHeader,
    /// It was no whole header: whether it is told as that, or as too large, says how large it was.
    BrokenHeader,
}

/// The pieces of a stream, and its header. (Of `none` there is nothing to say but what they are together.)
pub fn pieces(rules: &Rules, stream: &[u8]) -> (Vec<u8>, Vec<Piece>) {
    let of_line = |(line, text): (u64, &[u8])| piece(rules, text, Some(line));
    match rules.codec {
        Codec::Lines => (Vec::new(), lines(stream).map(of_line).collect()),
        Codec::Ndjson => {
            let stream = stream.strip_prefix(MARK).unwrap_or(stream);
            let texts = lines(stream).filter(|(_, text)| !text.trim_ascii().is_empty());
            (Vec::new(), texts.map(of_line).collect())
        }
        Codec::Csv => records(rules, stream),
        Codec::LengthPrefixed => (Vec::new(), prefixed(rules, stream)),
        Codec::None => (Vec::new(), Vec::new()),
    }
}

fn piece(rules: &Rules, data: &[u8], line: Option<u64>) -> Piece {
    match data.len() <= rules.message_max {
        true => Piece::Message { data: data.to_vec(), line },
        false => Piece::Bad,
    }
}

/// Each with its number.
fn lines(stream: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let whole = stream.strip_suffix(b"\n");
    let mut texts: Vec<&[u8]> = whole.unwrap_or(stream).split(|byte| *byte == b'\n').collect();
    if stream.is_empty() {
        texts.clear();
    }
    let last = texts.len();
    texts.into_iter().zip(1..).map(move |(text, line)| {
        // (Of a last line without an end, a CR is a letter.)
        let has_end = whole.is_some() || line < last;
        let text = Some(text).filter(|_| !has_end).or(text.strip_suffix(b"\r")).unwrap_or(text);
        (line as u64, text)
    })
}

fn prefixed(rules: &Rules, stream: &[u8]) -> Vec<Piece> {
    let (mut pieces, mut rest) = (Vec::new(), stream);
    while !rest.is_empty() {
        let prefix = if rules.is_short { 2 } else { 4 };
        let Some((length, behind)) = rest.split_at_checked(prefix) else {
            pieces.push(Piece::Bad);
            break;
        };
        let length = length.iter().fold(0, |length, byte| length * 256 + usize::from(*byte));
        let Some((data, behind)) = behind.split_at_checked(length) else {
            pieces.push(Piece::Bad);
            break;
        };
        pieces.push(piece(rules, data, None));
        rest = behind;
    }
    pieces
}

/// The records of a text by the crate `csv`, each with its place. It must not take a byte order mark for one: those
/// in the middle of a stream are text.
fn parsed(text: &[u8], delimiter: u8) -> Vec<(usize, ByteRecord)> {
    let behind = [b"\n", text].concat();
    let mut builder = ReaderBuilder::new();
    let builder = builder.has_headers(false).flexible(true).delimiter(delimiter);
    let mut reader = builder.from_reader(&behind[..]);
    let records = reader.byte_records().map(|record| {
        let record = record.expect("bytes in memory can be read");
        let start = record.position().expect("it was read").byte() as usize;
        (start.saturating_sub(1), record)
    });
    records.collect()
}

/// Where the records of a text stand, without what ends them.
fn places(text: &[u8], delimiter: u8) -> Vec<Range<usize>> {
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let starts: Vec<usize> = parsed(text, delimiter).iter().map(|(start, _)| *start).collect();
    let ends = starts.iter().copied().skip(1).chain([text.len()]);
    let place = |(start, end): (usize, usize)| {
        let blank = text[start..end].iter().take_while(|byte| is_end(byte)).count();
        let ending = text[start..end].iter().rev().take_while(|byte| is_end(byte)).count();
        start + blank..end - ending
    };
    starts.iter().copied().zip(ends).map(place).collect()
}

/// Whether what follows a text on the next line is a record of its own: no quote is open.
fn is_whole(text: &[u8], delimiter: u8) -> bool {
    let followed = [text, b"\n\x01\n"].concat();
    let last = parsed(&followed, delimiter).pop();
    last.is_some_and(|(_, record)| record.len() == 1 && record[0] == *b"\x01")
}

/// Whether a text is one record, that anything may follow.
pub fn is_one_record(text: &[u8], delimiter: u8) -> bool {
    let is_one = matches!(&places(text, delimiter)[..], [one] if *one == (0..text.len()));
    is_one && is_whole(text, delimiter)
}

fn records(rules: &Rules, stream: &[u8]) -> (Vec<u8>, Vec<Piece>) {
    let marked = stream.len();
    let stream = stream.strip_prefix(MARK).unwrap_or(stream);
    let mark = marked - stream.len();
    let (mut header, mut pieces) = (Vec::new(), Vec::new());
    let mut wants_header = rules.has_header;
    let places = places(stream, rules.delimiter);
    let is_whole = is_whole(stream, rules.delimiter);
    for (index, place) in places.iter().enumerate() {
        let text = &stream[place.clone()];
        if index + 1 == places.len() && !is_whole {
            let broken = stream.len() - place.start;
            let is_kept = broken <= rules.message_max + FRAME_EXTRA;
            pieces.push(match wants_header {
                true if is_kept && mark == 0 => Piece::Bad,
                true => Piece::BrokenHeader,
                false => Piece::Bad,
            });
        } else if !wants_header {
            let before = stream[..place.start].iter().filter(|byte| **byte == b'\n').count();
            pieces.push(piece(rules, text, Some(1 + before as u64)));
        } else if text.len() <= rules.message_max {
            (header, wants_header) = (text.to_vec(), false);
        } else {
            pieces.push(Piece::BadHeader);
            break;
        }
    }
    (header, pieces)
}
