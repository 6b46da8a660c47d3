//! Any bytes as a file, plain or packed, that a source reads.

use super::Codec;
use super::frames::{Piece, Rules, pieces};
use crate::parts::{Collected, MESSAGE_MAX, prepared, unpacked};
use flate2::{Compression, Crc, write::GzEncoder};
use stageline_component::{Message, Value};
use std::fs;
use std::io::Write;

/// Members of a packed file, at most.
const MEMBERS_MAX: usize = 64;
/// What a message may have where the emitter has less room than the source gives it.
const ROOM: usize = 48;

/// What a message says, and its line.
type Said = (Vec<u8>, Option<u64>);

/// What the source is told, and what it reads.
struct Reading {
    rules: Rules,
    is_strict: bool,
    is_annotated: bool,
    /// What the emitter has room for, and how many it takes.
    room: usize,
    messages_max: usize,
}

impl Reading {
    fn of(codec: u8, flags: u8, max: u8) -> Self {
        let is_set = |bit: u32| flags >> bit & 1 == 1;
        let rules = Rules {
            codec: Codec::of(codec),
            message_max: if max == b'M' { MESSAGE_MAX } else { usize::from(max) % 64 + 1 },
            has_header: !is_set(1),
            delimiter: if is_set(3) { b';' } else { b',' },
            is_short: is_set(1),
        };
        Self {
            rules,
            is_strict: is_set(0),
            is_annotated: is_set(2),
            room: if is_set(4) { ROOM } else { MESSAGE_MAX },
            messages_max: if is_set(5) { 2 } else { usize::MAX },
        }
    }

    /// Reads a file of these bytes: the messages, and whether the source ended well.
    fn read(&self, file: &[u8]) -> (Vec<Message>, bool, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.log");
        fs::write(&path, file).expect("a file");
        let path = path.to_str().expect("a name that is text").to_owned();
        let Rules { codec, message_max, has_header, delimiter, is_short } = self.rules;
        let factory = prepared(
            "file_source",
            &[
                ("path", path.as_str().into()),
                ("codec", codec.name().into()),
                ("length", if is_short { "u16" } else { "u32" }.into()),
                ("delimiter", char::from(delimiter).to_string().into()),
                ("csv_header", has_header.into()),
                ("message_max", Value::from(message_max as i64)),
                ("too_large", if self.is_strict { "stop" } else { "skip" }.into()),
                ("annotate", self.is_annotated.into()),
            ],
        );
        let (bytes_max, messages_max) = (self.room, self.messages_max);
        let mut out = Collected { messages: Vec::new(), bytes_max, messages_max };
        let ended = factory.source().expect("it is one").run(&mut out);
        (out.messages, ended.is_ok(), path)
    }

    /// What is to come of the pieces of a stream: so many of them are messages, and then it ends well, or not, or
    /// nobody can say.
    fn expected(&self, pieces: Vec<Piece>) -> (Vec<Said>, Option<bool>) {
        let mut messages = Vec::new();
        for piece in pieces {
            let is_bad = match piece {
                Piece::BadHeader => return (messages, Some(false)),
                Piece::BrokenHeader if self.is_strict => return (messages, Some(false)),
                Piece::BrokenHeader => return (messages, None),
                Piece::Bad => true,
                Piece::Message { .. } if messages.len() == self.messages_max => {
                    return (messages, Some(true));
                }
                Piece::Message { data, .. } if data.len() > self.room => true,
                Piece::Message { data, line } => {
                    messages.push((data, line));
                    false
                }
            };
            if is_bad && self.is_strict {
                return (messages, Some(false));
            }
        }
        (messages, Some(true))
    }
}

/// How the bytes stand in the file: as they are, or packed, in pieces or damaged.
fn packed(packing: u8, stream: &[u8]) -> Vec<u8> {
    if packing == b'P' {
        return stream.to_vec();
    }
    let size = (usize::from(packing) % 32 + 1).max(stream.len() / MEMBERS_MAX + 1);
    let mut file: Vec<u8> = stream.chunks(size).flat_map(member).collect();
    let middle = file.len() / 2;
    match packing >> 5 {
        0 | 1 => {}
        2 => file.extend_from_slice(&[0; 40]),
        3 => file.extend_from_slice(b"\0\0\x1f\x8b"),
        4 => file.truncate(file.len() - (size % 20).min(file.len())),
        5 => file.iter_mut().skip(middle).take(1).for_each(|byte| *byte ^= 1 << (size % 8)),
        6 => file.extend_from_slice(stream),
        _ => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(stream).expect("memory takes it");
            file.extend(encoder.finish().expect("memory takes it"));
        }
    }
    file
}

/// A gzip file whose bytes are not compressed: each is read by itself, so that its bytes are a chunk.
fn member(bytes: &[u8]) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(bytes);
    let length = (bytes.len() as u16).to_le_bytes();
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    file.extend_from_slice(&length);
    file.extend(length.map(|byte| !byte));
    file.extend_from_slice(bytes);
    file.extend_from_slice(&crc.sum().to_le_bytes());
    file.extend_from_slice(&crc.amount().to_le_bytes());
    file
}

/// The codec, flags, the largest message, how it is packed, and the bytes.
pub fn check(data: &[u8]) {
    let Some((&[codec, flags, max, packing], stream)) = data.split_first_chunk() else { return };
    let reading = Reading::of(codec, flags, max);
    let file = packed(packing, stream);
    let (stream, is_sound) = match file.starts_with(&[0x1f, 0x8b]) {
        true => unpacked(&file),
        false => (file.clone(), true),
    };
    let (got, is_well, path) = reading.read(&file);
    if reading.rules.codec == Codec::None {
        return check_chunks(&reading, &got, is_well, &stream, is_sound);
    }
    let (header, pieces) = pieces(&reading.rules, &stream);
    let (mut expected, mut ends_well) = reading.expected(pieces);
    if !is_sound {
        // Where it ends, only the unpacker knows: what came before is right.
        assert!(got.len() <= expected.len(), "{got:?}: {expected:?}");
        let is_ended = got.len() == reading.messages_max;
        ends_well = if is_ended { None } else { Some(false) };
        expected.truncate(got.len());
    }
    let texts = |message: &Message| message.data().escape_ascii().to_string();
    let texts: Vec<String> = got.iter().map(texts).collect();
    let wanted = expected.iter().map(|(data, _)| data.escape_ascii().to_string());
    assert_eq!(texts, wanted.collect::<Vec<_>>());
    assert!(ends_well.is_none_or(|well| well == is_well), "{ends_well:?}, {is_well}");
    for (message, (_, line)) in got.iter().zip(expected) {
        let mut attributes = Vec::new();
        if !header.is_empty() {
            attributes.push(("csv.header", header.clone()));
        }
        if reading.is_annotated {
            attributes.push(("file.path", path.clone().into_bytes()));
            attributes.extend(line.map(|line| ("file.line", line.to_string().into_bytes())));
        }
        let got: Vec<_> =
            message.attributes().map(|(name, value)| (name, value.to_vec())).collect();
        assert_eq!(got, attributes);
    }
}

/// Together they are the stream, and each has at most so many bytes.
fn check_chunks(reading: &Reading, got: &[Message], is_well: bool, stream: &[u8], is_sound: bool) {
    let max = reading.rules.message_max;
    assert!(got.iter().all(|message| (1..=max).contains(&message.data().len())));
    let all = got.iter().flat_map(Message::data).copied().collect::<Vec<u8>>();
    let is_cut = got.len() == reading.messages_max;
    if max > reading.room {
        // Some may have been left out.
        return;
    }
    assert!(stream.starts_with(&all));
    assert!(is_cut || !is_sound || all.len() == stream.len());
    assert!(is_cut || is_well == is_sound, "{is_well}, {is_sound}");
}
