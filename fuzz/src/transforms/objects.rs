//! Objects of JSON as `serde_json` reads them, with what it does not say: the order, names that are there twice, and
//! values as they stand.

use serde::Deserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// How deep arrays and objects may stand in each other, for components.
const DEPTH_MAX: usize = 128;

/// The text, if it is one value of JSON that is not too deep. (`serde_json` is asked for no value, so that it has no
/// limit of its own on depth and numbers.)
pub fn json(data: &[u8]) -> Option<&str> {
    let text = str::from_utf8(data).ok()?;
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    (depth(text) <= DEPTH_MAX).then_some(text)
}

/// Of a text that is JSON.
pub fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_text, mut is_escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => depth += 1,
            b']' | b'}' if !in_text => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// The fields of an object, in their order: what they are called, and their values as they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields<'a>(pub Vec<(String, &'a str)>);

struct Listed;

impl<'a> Visitor<'a> for Listed {
    type Value = Vec<(&'a RawValue, &'a RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut all = Vec::new();
        while let Some(entry) = map.next_entry()? {
            all.push(entry);
        }
        Ok(all)
    }
}

impl<'a> Fields<'a> {
    /// Of a message that components take for an object.
    pub fn of(data: &'a [u8]) -> Option<Self> {
        let text = json(data)?;
        let mut reader = serde_json::Deserializer::from_str(text);
        let listed = reader.deserialize_map(Listed).ok()?;
        Some(Self(listed.iter().map(|(name, raw)| (text_of(name.get()), raw.get())).collect()))
    }

    /// The last one of this name.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, raw)| *raw)
    }

    /// At the end of these names, the outer one first.
    pub fn find(&self, names: &[&str]) -> Option<&'a str> {
        let (first, rest) = names.split_first()?;
        let raw = self.get(first)?;
        match rest.is_empty() {
            true => Some(raw),
            false => Fields::of(raw.as_bytes())?.find(rest),
        }
    }
}

/// The characters of a string, with its quotes. Half a pair of surrogates is U+FFFD.
pub fn text_of(raw: &str) -> String {
    let inner = &raw[1..raw.len() - 1];
    let (mut units, mut rest) = (Vec::new(), inner.chars());
    while let Some(char) = rest.next() {
        let unit = match char {
            '\\' => match rest.next() {
                Some('u') => {
                    let hex: String = rest.by_ref().take(4).collect();
                    u16::from_str_radix(&hex, 16).expect("four digits")
                }
                Some('b') => 8,
                Some('f') => 12,
                Some('n') => 10,
                Some('r') => 13,
                Some('t') => 9,
                other => other.expect("an escape") as u16,
            },
            char => {
                units.extend_from_slice(char.encode_utf16(&mut [0; 2]));
                continue;
            }
        };
        units.push(unit);
    }
    String::from_utf16_lossy(&units)
}

/// A value as text, as keys and attributes are made of it: a string without its quotes; none of null.
pub fn plain(raw: Option<&str>) -> Option<String> {
    match raw? {
        "null" => None,
        text if text.starts_with('"') => Some(text_of(text)),
        other => Some(other.to_owned()),
    }
}
