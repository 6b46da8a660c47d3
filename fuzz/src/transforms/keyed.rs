//! Transforms that go by a key, and attributes, which are made of fields as keys are.

use super::messages;
use super::objects::{Fields, plain};
use crate::parts::{MESSAGE_MAX, answered, list, map, prepared};
use stageline_component::{Factory, Report, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::LazyLock;

const TOO_LARGE: u32 = 201;
const NOT_JSON: u32 = 210;
const NOT_FOUND: u32 = 218;

/// The table of keys: each with what it adds.
const TABLE: [(&str, &str); 6] =
    [("1", "one"), ("UA", "Un\"ited"), ("true", "yes"), ("[]", "none"), ("", "empty"), ("1e0", "")];
const MISSING: [&str; 4] = ["null", "drop", "fail", "pass"];

static LOOKUPS: LazyLock<Vec<Box<dyn Factory>>> = LazyLock::new(|| {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(file, "key,name").expect("it takes a line");
    for (key, name) in TABLE {
        let quoted = |text: &str| text.replace('"', "\"\"");
        writeln!(file, "\"{}\",\"{}\"", quoted(key), quoted(name)).expect("it takes a line");
    }
    let path = file.path().to_str().expect("a name that is text").to_owned();
    let lookup = |missing: &&str| {
        let attributes: [(&str, Value); 4] = [
            ("file", path.as_str().into()),
            ("column", "key".into()),
            ("key", "a".into()),
            ("missing", (*missing).into()),
        ];
        prepared("lookup", &attributes)
    };
    MISSING.iter().map(lookup).collect()
});

/// Objects with the field of a table at their ends.
pub fn lookups(variant: usize, max: usize, rest: &[u8]) {
    let variant = variant % MISSING.len();
    let mut component = LOOKUPS[variant].component().expect("a transform");
    let table = BTreeMap::from(TABLE);
    for data in messages(rest) {
        let answer = answered("lookup", &mut *component, data, &[], max);
        let Some((report, message)) = answer else { continue };
        let shown = data.escape_ascii();
        let Some(mut fields) = Fields::of(data) else {
            assert_eq!(report.status(), NOT_JSON, "{shown}");
            continue;
        };
        let found = plain(fields.get("a")).and_then(|key| table.get(&*key));
        let added = found.map(|name| serde_json::to_string(name).expect("a text"));
        match (report.status(), MISSING[variant], &added) {
            (NOT_FOUND, "fail", None) => {}
            (TOO_LARGE, ..) => assert!(max < MESSAGE_MAX, "{shown}"),
            (0, "pass", None) => assert_eq!(message.data(), data),
            (0, "null", _) | (0, _, Some(_)) => {
                fields.0.push(("name".to_owned(), added.as_deref().unwrap_or("null")));
                let made = Fields::of(message.data());
                assert_eq!(made.as_ref(), Some(&fields), "{shown}");
            }
            (status, missing, _) => {
                let is_dropped = missing == "drop" && added.is_none();
                assert!(is_dropped && status == Report::DROP.status(), "{status}: {shown}");
            }
        }
    }
}

static ATTRIBUTES: LazyLock<Box<dyn Factory>> = LazyLock::new(|| {
    let set = map(&[("k", "a".into()), ("n", 2.into()), ("e", "attributes['old']".into())]);
    prepared("attributes", &[("set", set), ("remove", list(&["old"]))])
});

/// Attributes that are set to a field, to a constant and to another attribute, which is removed.
pub fn attributes(max: usize, rest: &[u8]) {
    let mut component = ATTRIBUTES.component().expect("a transform");
    for data in messages(rest) {
        let before = [("old", &b"v\xff"[..]), ("k", b"earlier")];
        let answer = answered("attributes", &mut *component, data, &before, max);
        let Some((report, message)) = answer else { continue };
        let shown = data.escape_ascii();
        let Some(fields) = Fields::of(data) else {
            assert_eq!(report.status(), NOT_JSON, "{shown}");
            continue;
        };
        assert_eq!((report, message.data()), (Report::DONE, data), "{shown}");
        let key = plain(fields.get("a")).map(String::into_bytes);
        let got: BTreeMap<_, _> = message.attributes().collect();
        let mut wanted = BTreeMap::from([("n", &b"2"[..]), ("e", b"v\xff")]);
        wanted.extend(key.as_deref().map(|key| ("k", key)));
        assert_eq!(got, wanted, "{shown}");
    }
}

static DEDUPE: LazyLock<Box<dyn Factory>> =
    LazyLock::new(|| prepared("dedupe", &[("key", "a".into())]));

/// The first message of each key goes on.
pub fn dedupes(rest: &[u8]) {
    let mut component = DEDUPE.component().expect("a transform");
    let mut seen = BTreeSet::new();
    for data in messages(rest) {
        let answer = answered("dedupe", &mut *component, data, &[], MESSAGE_MAX);
        let (report, message) = answer.expect("there is room");
        let expected = match Fields::of(data).map(|fields| plain(fields.get("a"))) {
            None => NOT_JSON,
            Some(Some(key)) if !seen.insert(key.clone()) => Report::DROP.status(),
            Some(_) => Report::DONE.status(),
        };
        assert_eq!((report.status(), message.data()), (expected, data));
    }
}

/// One in so many.
const EVERY: usize = 3;

static SAMPLES: LazyLock<[Box<dyn Factory>; 3]> = LazyLock::new(|| {
    let rate = || ("rate", 0.5.into());
    [
        prepared("sample", &[("every", (EVERY as i64).into())]),
        prepared("sample", &[rate(), ("key", "a".into()), ("seed", 7.into())]),
        prepared("sample", &[rate(), ("seed", 7.into())]),
    ]
});

/// By number, by key and by chance.
pub fn samples(variant: usize, rest: &[u8]) {
    let variant = variant % SAMPLES.len();
    let mut component = SAMPLES[variant].component().expect("a transform");
    let mut ways = BTreeMap::new();
    for (index, data) in messages(rest).enumerate() {
        let answer = answered("sample", &mut *component, data, &[], MESSAGE_MAX);
        let (report, _) = answer.expect("there is room");
        let both = [Report::DONE, Report::DROP];
        if variant == 0 {
            assert_eq!(report, both[usize::from(!index.is_multiple_of(EVERY))]);
        } else if variant == 2 {
            assert!(both.contains(&report), "{report}");
        } else {
            match Fields::of(data).map(|fields| plain(fields.get("a"))) {
                None => assert_eq!(report.status(), NOT_JSON),
                Some(None) => assert_eq!(report, Report::DROP),
                Some(Some(key)) => {
                    let way = ways.entry(key).or_insert(report);
                    assert!(both.contains(&report) && *way == report, "{report}");
                }
            }
        }
    }
}
