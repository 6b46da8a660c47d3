//! Expressions and templates that compute: what they write is JSON, or the text that it is to be.

use super::messages;
use super::objects::{Fields, json, plain};
use crate::parts::{answered, map, prepared};
use serde::de::IgnoredAny;
use stageline_component::{Factory, Report};
use std::sync::LazyLock;

const TOO_LARGE: u32 = 201;
const NOT_JSON: u32 = 210;
const NO_VALUE: u32 = 211;
const NOT_RENDERED: u32 = 212;

const EXPRESSIONS: [&str; 28] = [
    "a + 1",
    "-a",
    "a - b",
    "a * a",
    "a / b",
    "a % b",
    "a + 'x'",
    "b + b",
    "int(a)",
    "uint(a)",
    "double(a) / 3.0",
    "string(a)",
    "size(a)",
    "a in c",
    "c[a]",
    "a ? 1 : b",
    "[a, {'k': b}, this.c]",
    "c.map(x, x + a)",
    "c.filter(x, x > a)",
    "c.exists(x, x == a)",
    "c.all(x, x != a)",
    "a.matches('^[a-z]*$')",
    "b.matches(a)",
    "a.startsWith(b) || a.endsWith(b) || a.contains(b)",
    "[this, this]",
    "{a: 1}",
    "{'k': this}[b]",
    "a == b || a > b",
];

static COMPUTED: LazyLock<Vec<Box<dyn Factory>>> = LazyLock::new(|| {
    let set = |source: &&str| prepared("json", &[("set", map(&[("x", (*source).into())]))]);
    EXPRESSIONS.iter().map(set).collect()
});

/// A field is set to what an expression says of the others.
pub fn expressions(variant: usize, max: usize, rest: &[u8]) {
    let variant = variant % EXPRESSIONS.len();
    let mut component = COMPUTED[variant].component().expect("a transform");
    for data in messages(rest) {
        let answer = answered("json", &mut *component, data, &[], max);
        let Some((report, message)) = answer else { continue };
        let shown = data.escape_ascii();
        let source = EXPRESSIONS[variant];
        match report.status() {
            NOT_JSON => assert!(Fields::of(data).is_none(), "{shown}"),
            NO_VALUE | TOO_LARGE => assert!(Fields::of(data).is_some(), "{shown}"),
            status => {
                assert_eq!(status, Report::DONE.status(), "{source} of {shown}");
                let text = str::from_utf8(message.data()).expect("JSON is UTF-8");
                let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
                assert!(is_json && Fields::of(data).is_some(), "{source} of {shown}: {text}");
            }
        }
    }
}

/// What a template writes, if that is said here.
type Writes = fn(&[u8]) -> Option<Vec<u8>>;

const TEMPLATES: [(&str, bool, Writes); 5] = [
    ("{{ data }}|", true, |data| Some([String::from_utf8_lossy(data).as_bytes(), b"|"].concat())),
    ("{{ a }};{{ b.c }}", false, |data| {
        let fields = Fields::of(data)?;
        let printed = |names: &[&str]| {
            let raw = fields.find(names);
            // Arrays, objects, booleans and null are Jinja's to write.
            let is_plain = raw.is_none_or(|raw| {
                raw.starts_with(['"', '-']) || raw.as_bytes()[0].is_ascii_digit()
            });
            is_plain.then(|| plain(raw).unwrap_or_default())
        };
        // (What is in a text or in a number, nobody looks for.)
        let inner = fields.get("b").is_none_or(|raw| raw.starts_with('{'));
        Some(
            format!("{};{}", printed(&["a"])?, printed(&["b", "c"]).filter(|_| inner)?)
                .into_bytes(),
        )
    }),
    ("{{ this | tojson }}", true, |_| None),
    ("{% for x in c %}{{ x }}{% if a > x %},{% endif %}{% endfor %}{{ a + 1 }}", false, |_| None),
    ("{{ attributes['k'] }}{{ a | length }}{{ range(3) }}{{ b[a] }}", true, |_| None),
];

static RENDERED: LazyLock<Vec<Box<dyn Factory>>> = LazyLock::new(|| {
    let template = |(source, is_strict, _): &(&str, bool, Writes)| {
        prepared("template", &[("source", (*source).into()), ("strict", (*is_strict).into())])
    };
    TEMPLATES.iter().map(template).collect()
});

/// Messages through one of the templates.
pub fn templates(variant: usize, max: usize, rest: &[u8]) {
    let variant = variant % TEMPLATES.len();
    let (source, _, writes) = TEMPLATES[variant];
    let mut component = RENDERED[variant].component().expect("a transform");
    for data in messages(rest) {
        let answer = answered("template", &mut *component, data, &[("k", b"v\xff")], max);
        let Some((report, message)) = answer else { continue };
        let shown = data.escape_ascii();
        let expected = writes(data);
        match report.status() {
            NOT_JSON => assert!(variant > 0 && Fields::of(data).is_none(), "{shown}"),
            TOO_LARGE => assert!(expected.is_none_or(|text| text.len() > max), "{shown}"),
            NOT_RENDERED => {
                assert!(expected.is_none(), "{source} of {shown}: {}", message.description());
            }
            status => {
                assert_eq!(status, Report::DONE.status());
                assert!(variant == 0 || Fields::of(data).is_some(), "{shown}");
                let text = String::from_utf8(message.data().to_vec()).expect("it is text");
                assert!(variant != 2 || json(text.as_bytes()).is_some(), "{shown}: {text}");
                if let Some(expected) = expected {
                    assert_eq!(message.data(), expected, "{source} of {shown}");
                }
            }
        }
    }
}
