//! Any messages that a file sink writes: what is in its files then, and what a source reads there again.

use super::Codec;
use super::frames::is_one_record;
use crate::parts::{Collected, MESSAGE_MAX, Runner, prepared};
use stageline_component::{Message, Report, Value};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Messages of one input.
const MESSAGES_MAX: usize = 64;
/// Stands between two messages.
const BETWEEN: u8 = 0x1e;
/// Stands between the header that a message has and what it says.
const BEHIND_HEADER: u8 = 0x1f;
/// Begins a message that says what it says so many times: some lengths have two bytes.
const REPEATED: u8 = 0x1d;
const TIMES: usize = 100;

const OTHER_HEADER: u32 = 230;
const LENGTH_EXCEEDED: u32 = 220;

/// A message as the input has it.
struct Given {
    header: Option<Vec<u8>>,
    data: Vec<u8>,
}

impl Given {
    fn of(bytes: &[u8]) -> Self {
        let at = bytes.iter().position(|byte| *byte == BEHIND_HEADER);
        let (header, data) = match at {
            Some(at) => (Some(bytes[..at].to_vec()), &bytes[at + 1..]),
            None => (None, bytes),
        };
        let data = match data.strip_prefix(&[REPEATED]) {
            Some(data) => data.repeat(TIMES),
            None => data.to_vec(),
        };
        Self { header, data }
    }

    fn message(&self) -> Message {
        let mut message = Message::new(16, MESSAGE_MAX);
        message.set_data(&self.data).expect("it has room");
        if let Some(header) = &self.header {
            message.set_attribute("csv.header", header).expect("it has room");
        }
        message
    }
}

/// What the sink is told.
struct Writing {
    codec: Codec,
    is_short: bool,
    has_header: bool,
    rotate_size: Option<usize>,
    batch: usize,
}

/// A record without what ends it.
fn record(data: &[u8]) -> &[u8] {
    let ending = data.iter().rev().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    &data[..data.len() - ending]
}

impl Writing {
    /// The bytes of a message in the file.
    fn encoded(&self, data: &[u8]) -> Option<Vec<u8>> {
        Some(match self.codec {
            Codec::Lines => [data, b"\n"].concat(),
            Codec::Ndjson => {
                let blank = |byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte };
                data.trim_ascii_end().iter().map(blank).chain([b'\n']).collect()
            }
            Codec::Csv => [record(data), b"\n"].concat(),
            Codec::LengthPrefixed if self.is_short => {
                let length = u16::try_from(data.len()).ok()?;
                [&length.to_be_bytes(), data].concat()
            }
            Codec::LengthPrefixed => [&(data.len() as u32).to_be_bytes(), data].concat(),
            Codec::None => data.to_vec(),
        })
    }

    /// Writes messages to what is in a folder: how many ended with each status.
    fn write(&self, path: &Path, given: &[Given]) -> BTreeMap<u32, usize> {
        let path = path.to_str().expect("a name that is text");
        let mut attributes: Vec<(&str, Value)> = vec![
            ("path", path.into()),
            ("codec", self.codec.name().into()),
            ("length", if self.is_short { "u16" } else { "u32" }.into()),
            ("csv_header", self.has_header.into()),
            ("batch", Value::from(self.batch as i64)),
        ];
        if let Some(size) = self.rotate_size {
            attributes.push(("rotate_size", Value::from(size as i64)));
        }
        let factory = prepared("file_sink", &attributes);
        let mut runner = Runner::new("file_sink", factory.component().expect("a sink"));
        given.iter().for_each(|given| runner.give(given.message()));
        let mut ended = BTreeMap::new();
        for settled in runner.close() {
            *ended.entry(settled.report.status()).or_default() += settled.came.len();
        }
        ended
    }

    /// What a run appends to a file, the header that it begins one with, and how messages end.
    fn expected(&self, file: &[u8], given: &[Given]) -> (Vec<u8>, Vec<u8>, BTreeMap<u32, usize>) {
        let (mut bytes, mut ended) = (Vec::new(), BTreeMap::new());
        let said = |given: &Given| {
            let header = given.header.as_deref().map(record).filter(|header| !header.is_empty());
            header.filter(|_| self.codec == Codec::Csv && self.has_header).map(<[u8]>::to_vec)
        };
        let header = given.first().and_then(said).unwrap_or_default();
        for given in given {
            let is_other = said(given).is_some_and(|said| said != header);
            let status = match self.encoded(&given.data) {
                _ if is_other => OTHER_HEADER,
                None => LENGTH_EXCEEDED,
                Some(encoded) => {
                    bytes.extend(encoded);
                    Report::DONE.status()
                }
            };
            *ended.entry(status).or_default() += 1;
        }
        let begins = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file).strip_prefix(&header[..]);
        let begins = begins.is_some_and(|rest| matches!(rest.first(), Some(b'\r' | b'\n')));
        if !header.is_empty() && !file.is_empty() && !begins {
            let done = ended.remove(&Report::DONE.status()).unwrap_or_default();
            if done > 0 {
                *ended.entry(OTHER_HEADER).or_default() += done;
            }
            bytes.clear();
        }
        (bytes, header, ended)
    }

    /// Whether a source finds the message again; the first one may begin with what is taken for a mark.
    fn is_found(&self, (index, given): (usize, &Given)) -> bool {
        let is_marked = index == 0 && given.data.starts_with(b"\xef\xbb\xbf");
        match self.codec {
            Codec::Lines => !given.data.contains(&b'\n') && !given.data.ends_with(b"\r"),
            Codec::Ndjson => {
                let text = str::from_utf8(&given.data);
                text.is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok())
            }
            Codec::Csv => !is_marked && is_one_record(record(&given.data), b','),
            Codec::LengthPrefixed => !self.is_short || given.data.len() <= usize::from(u16::MAX),
            Codec::None => false,
        }
    }

    /// What a source finds in the files.
    fn read(&self, folder: &Path, header: &[u8]) -> Vec<Message> {
        let path = folder.join("out*.log");
        let factory = prepared(
            "file_source",
            &[
                ("path", path.to_str().expect("a name that is text").into()),
                ("codec", self.codec.name().into()),
                ("length", if self.is_short { "u16" } else { "u32" }.into()),
                ("csv_header", (!header.is_empty()).into()),
                ("too_large", "stop".into()),
            ],
        );
        let (bytes_max, messages_max) = (MESSAGE_MAX, usize::MAX);
        let mut out = Collected { messages: Vec::new(), bytes_max, messages_max };
        let ended = factory.source().expect("it is one").run(&mut out);
        ended.unwrap_or_else(|error| panic!("what was written cannot be read: {error:#}"));
        out.messages
    }
}

/// The files of a folder by their names, and what is in each.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("a file"));
    let file = |entry: fs::DirEntry| {
        let bytes = fs::read(entry.path()).expect("a file");
        (entry.file_name().into_string().expect("a name that is text"), bytes)
    };
    entries.map(file).collect()
}

/// The codec, flags, how many are written at once, when another file is begun, and the messages.
pub fn check(data: &[u8]) {
    let Some((&[codec, flags, batch, size], rest)) = data.split_first_chunk() else { return };
    let is_set = |bit: u32| flags >> bit & 1 == 1;
    let rotate_size = is_set(2).then_some(usize::from(size) + 1);
    let (codec, batch) = (Codec::of(codec), usize::from(batch) % 16 + 1);
    let writing =
        Writing { codec, is_short: is_set(0), has_header: !is_set(1), rotate_size, batch };
    let given: Vec<Given> =
        rest.split(|byte| *byte == BETWEEN).take(MESSAGES_MAX).map(Given::of).collect();
    // What is written by a run that comes later goes behind what is there. (Of several files each has its own header.)
    let second = if is_set(3) && rotate_size.is_none() { given.len() / 2 } else { given.len() };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.log");
    let (bytes, header, ended) = writing.expected(b"", &given[..second]);
    assert_eq!(writing.write(&path, &given[..second]), ended);
    if rotate_size.is_some() {
        check_parts(&writing, &files(folder.path()), &header, &given);
    } else {
        let beginning = if header.is_empty() { Vec::new() } else { [&header, &b"\n"[..]].concat() };
        let mut file = [beginning, bytes].concat();
        if second < given.len() {
            let (more, other, ended) = writing.expected(&file, &given[second..]);
            assert_eq!(writing.write(&path, &given[second..]), ended);
            if file.is_empty() && !other.is_empty() {
                file = [&other, &b"\n"[..]].concat();
            }
            file.extend(more);
        }
        let all = files(folder.path());
        assert_eq!(all.keys().collect::<Vec<_>>(), ["out.log"]);
        assert_eq!(all["out.log"].escape_ascii().to_string(), file.escape_ascii().to_string());
    }
    if second == given.len() {
        check_again(&writing, folder.path(), &header, &given);
    }
}

/// Each file begins with the header, and has more bytes than it may only if a single batch has.
fn check_parts(writing: &Writing, all: &BTreeMap<String, Vec<u8>>, header: &[u8], given: &[Given]) {
    let (bytes, ..) = writing.expected(b"", given);
    let encoded: Vec<_> = given.iter().filter_map(|given| writing.encoded(&given.data)).collect();
    let mut found = Vec::new();
    for (index, (name, file)) in all.iter().enumerate() {
        assert_eq!(*name, format!("out.{:06}.log", index + 1));
        let rest = match header {
            [] => &file[..],
            header => file
                .strip_prefix(header)
                .and_then(|rest| rest.strip_prefix(b"\n"))
                .expect("each file has the header"),
        };
        let is_large = writing.rotate_size.is_some_and(|size| file.len() > size);
        let is_one = || encoded.iter().any(|message| message == rest);
        assert!(!is_large || writing.batch > 1 || is_one(), "{name}");
        found.extend_from_slice(rest);
    }
    assert_eq!(found.escape_ascii().to_string(), bytes.escape_ascii().to_string());
}

/// A source reads what the sink has written, where the codec can say all that the messages say.
fn check_again(writing: &Writing, folder: &Path, header: &[u8], given: &[Given]) {
    let is_header =
        header.is_empty() || is_one_record(header, b',') && !header.starts_with(b"\xef\xbb\xbf");
    let is_same = |given: &Given| {
        given.header.as_deref().map(record).is_none_or(|said| said.is_empty() || said == header)
    };
    let are_all = given.iter().enumerate().all(|given| writing.is_found(given) && is_same(given.1));
    if !is_header || !are_all {
        return;
    }
    let got = writing.read(folder, header);
    let texts: Vec<String> = got.iter().map(|it| it.data().escape_ascii().to_string()).collect();
    let wanted = given.iter().map(|given| match writing.codec {
        Codec::Csv => record(&given.data).escape_ascii().to_string(),
        Codec::Ndjson => {
            let encoded = writing.encoded(&given.data).expect("it has no length");
            encoded[..encoded.len() - 1].escape_ascii().to_string()
        }
        _ => given.data.escape_ascii().to_string(),
    });
    assert_eq!(texts, wanted.collect::<Vec<_>>());
    for (message, given) in got.iter().zip(given) {
        let value = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).ok();
        if writing.codec == Codec::Ndjson {
            assert_eq!(value(message.data()), value(&given.data));
        }
        let expected = Some(header).filter(|header| !header.is_empty());
        assert_eq!(message.attribute("csv.header"), expected);
    }
}
