//! Texts that are taken apart: records of comma-separated values, and what a pattern matches.

use super::messages;
use super::objects::{Fields, json, text_of};
use crate::parts::{MESSAGE_MAX, answered, list, map, prepared};
use csv::{ByteRecord, ReaderBuilder};
use stageline_component::{Factory, Report, Value};
use std::sync::LazyLock;

const TOO_LARGE: u32 = 201;
const MISMATCH: u32 = 213;
const NOT_TEXT: u32 = 214;
const NO_HEADER: u32 = 215;
const NO_RECORD: u32 = 216;
const NOT_OF_TYPE: u32 = 217;

const HEADER: [&str; 3] = ["a", "b\"", "a"];

static ROWS: LazyLock<[Box<dyn Factory>; 4]> = LazyLock::new(|| {
    let header = || ("header", list(&HEADER));
    let types = map(&[("a", "integer".into()), ("b\"", "number".into())]);
    let infers: Vec<(&str, Value)> = vec![("infer", true.into()), ("null_as", "absent".into())];
    [
        prepared("csv_to_json", &[header()]),
        prepared("csv_to_json", &[header(), ("infer", true.into())]),
        prepared("csv_to_json", &[header(), ("types", types), ("delimiter", ";".into())]),
        prepared("csv_to_json", &infers),
    ]
});

/// The fields of the one record that a text is, where it is one, and UTF-8.
fn record(data: &[u8], delimiter: u8) -> Option<Vec<String>> {
    let mut builder = ReaderBuilder::new();
    let builder = builder.has_headers(false).flexible(true).delimiter(delimiter);
    let records: Vec<ByteRecord> =
        builder.from_reader(data).byte_records().collect::<Result<_, _>>().expect("it is read");
    let fields: Vec<String> = match &records[..] {
        [] => Vec::new(),
        [one] => one
            .iter()
            .map(|it| str::from_utf8(it).ok().map(str::to_owned))
            .collect::<Option<_>>()?,
        _ => return None,
    };
    Some(fields)
}

/// Whether a field looks like a number of JSON, or a word of it.
fn is_scalar(field: &str) -> bool {
    let first = field.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    matches!(field, "true" | "false") || first && json(field.as_bytes()) == Some(field)
}

/// Records as objects. Without names of its own a row has those of its attribute, which is the message before it.
pub fn rows(variant: usize, max: usize, rest: &[u8]) {
    let variant = variant % ROWS.len();
    let mut component = ROWS[variant].component().expect("a transform");
    let delimiter = if variant == 2 { b';' } else { b',' };
    let mut before: &[u8] = b"a,b,c";
    for data in messages(rest) {
        let attributes = [("csv.header", before)];
        let answer = answered("csv_to_json", &mut *component, data, &attributes, max);
        let Some((report, message)) = answer else { continue };
        let names = match variant {
            3 => record(before, delimiter).filter(|names| !names.is_empty()),
            _ => Some(HEADER.map(str::to_owned).to_vec()),
        };
        let shown = format!("{} of {}", data.escape_ascii(), before.escape_ascii());
        before = data;
        let Some(names) = names else {
            assert_eq!(report.status(), NO_HEADER, "{shown}");
            continue;
        };
        let fields = record(data, delimiter).filter(|fields| fields.len() == names.len());
        let Some(fields) = fields else {
            assert_eq!(report.status(), NO_RECORD, "{shown}: {}", message.description());
            continue;
        };
        if report.status() == TOO_LARGE {
            assert!(max < MESSAGE_MAX, "{shown}");
            continue;
        }
        check_row(variant, &names, &fields, report, message.data(), &shown);
    }
}

fn check_row(
    variant: usize,
    names: &[String],
    fields: &[String],
    report: Report,
    made: &[u8],
    shown: &str,
) {
    let is_number = |field: &str| is_scalar(field) && !field.starts_with(['t', 'f']);
    let is_right = |(name, field): (&String, &String)| match (variant, name.as_str()) {
        _ if field.is_empty() => true,
        (2, "a") => is_number(field) && field.parse::<i64>().is_ok(),
        (2, _) => is_number(field),
        _ => true,
    };
    if !names.iter().zip(fields).all(is_right) {
        assert_eq!(report.status(), NOT_OF_TYPE, "{shown}");
        return;
    }
    assert_eq!(report, Report::DONE, "{shown}");
    let made = Fields::of(made).unwrap_or_else(|| panic!("{shown}: {}", made.escape_ascii())).0;
    let wanted = names.iter().zip(fields).filter(|(_, field)| variant != 3 || !field.is_empty());
    let wanted: Vec<_> = wanted.collect();
    assert_eq!(made.len(), wanted.len(), "{shown}");
    for ((name, raw), (wanted_name, field)) in made.iter().zip(wanted) {
        assert_eq!(name, wanted_name, "{shown}");
        let is_bare = variant == 2 || variant != 0 && is_scalar(field);
        match field.as_str() {
            "" => assert_eq!(*raw, "null", "{shown}"),
            field if is_bare => assert_eq!(*raw, field, "{shown}"),
            field => assert!(raw.starts_with('"') && text_of(raw) == field, "{shown}: {raw}"),
        }
    }
}

const PATTERN: &str = r"(?s-u)^(?<key>[a-z]+)=(?<value>[^;]*)(?:;(?<rest>.*))?$";

static PATTERNS: LazyLock<[Box<dyn Factory>; 3]> = LazyLock::new(|| {
    let with = |to: &str, on_mismatch: &str| {
        prepared(
            "regex",
            &[("pattern", PATTERN.into()), ("to", to.into()), ("on_mismatch", on_mismatch.into())],
        )
    };
    [with("json", "fail"), with("json", "drop"), with("attributes", "pass")]
});

/// The groups of [`PATTERN`], found without it.
fn groups(data: &[u8]) -> Option<[Option<&[u8]>; 3]> {
    let equals = data.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (&data[..equals], &data[equals + 1..]);
    if key.is_empty() || !key.iter().all(u8::is_ascii_lowercase) {
        return None;
    }
    Some(match value.iter().position(|byte| *byte == b';') {
        Some(end) => [Some(key), Some(&value[..end]), Some(&value[end + 1..])],
        None => [Some(key), Some(value), None],
    })
}

/// Texts through the pattern, to JSON and to attributes.
pub fn patterns(variant: usize, max: usize, rest: &[u8]) {
    let variant = variant % PATTERNS.len();
    let mut component = PATTERNS[variant].component().expect("a transform");
    for data in messages(rest) {
        let attributes = [("rest", &b"before"[..])];
        let answer = answered("regex", &mut *component, data, &attributes, max);
        let Some((report, message)) = answer else { continue };
        let shown = data.escape_ascii();
        let Some(groups) = groups(data) else {
            let expected = [MISMATCH, Report::DROP.status(), Report::DONE.status()][variant];
            assert_eq!(report.status(), expected, "{shown}");
            continue;
        };
        let names = ["key", "value", "rest"];
        if variant == 2 {
            assert_eq!((report, message.data()), (Report::DONE, data));
            let attributes = names.map(|name| message.attribute(name));
            assert_eq!(attributes, groups, "{shown}");
            continue;
        }
        let texts = groups.map(|group| group.map(str::from_utf8).transpose());
        match report.status() {
            NOT_TEXT => assert!(texts.iter().any(Result::is_err), "{shown}"),
            TOO_LARGE => assert!(max < MESSAGE_MAX, "{shown}"),
            status => {
                assert_eq!(status, Report::DONE.status(), "{shown}");
                let made = Fields::of(message.data()).expect("an object");
                let value = |raw: &str| (raw != "null").then(|| text_of(raw));
                let made = made.0.iter().map(|(name, raw)| (name.as_str(), value(raw)));
                let texts = texts.map(|text| text.expect("UTF-8").map(str::to_owned));
                assert_eq!(
                    made.collect::<Vec<_>>(),
                    names.into_iter().zip(texts).collect::<Vec<_>>()
                );
            }
        }
    }
}
