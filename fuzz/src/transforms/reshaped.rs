//! Fields that `json` selects, renames, sets and removes.

use super::messages;
use super::objects::Fields;
use crate::parts::{MESSAGE_MAX, answered, list, map, prepared};
use stageline_component::{Factory, Report, Value};
use std::sync::LazyLock;

const TOO_LARGE: u32 = 201;
const NOT_JSON: u32 = 210;

/// What is done with the fields of an object, in a plain way. `None` where that is not said here.
type Shape = for<'a> fn(&Fields<'a>) -> Option<Vec<(String, &'a str)>>;

fn field<'a>(name: &str, raw: &'a str) -> (String, &'a str) {
    (name.to_owned(), raw)
}

fn selected<'a>(it: &Fields<'a>) -> Option<Vec<(String, &'a str)>> {
    let names = ["b", "a", "c d", "\u{e4}\"", "z"];
    Some(names.into_iter().filter_map(|name| Some(field(name, it.get(name)?))).collect())
}

/// `a` becomes `z`, and `b` becomes `a`.
fn renamed<'a>(it: &Fields<'a>) -> Option<Vec<(String, &'a str)>> {
    let has_a = it.get("a").is_some();
    let of = |(name, raw): &(String, &'a str)| match name.as_str() {
        "a" => Some(field("z", raw)),
        "b" => Some(field("a", raw)),
        "z" if has_a => None,
        name => Some(field(name, raw)),
    };
    Some(it.0.iter().filter_map(of).collect())
}

fn removed<'a>(it: &Fields<'a>) -> Option<Vec<(String, &'a str)>> {
    let is_kept = |(name, _): &&(String, &str)| !["a", "\u{e4}\"", ""].contains(&name.as_str());
    Some(it.0.iter().filter(is_kept).cloned().collect())
}

/// `n` is a constant; `e` and `x` are copies.
fn set<'a>(it: &Fields<'a>) -> Option<Vec<(String, &'a str)>> {
    let copy = |names: &[&str]| it.find(names).unwrap_or("null");
    let mut values = vec![("e", copy(&["a", "b"])), ("n", "5"), ("x", copy(&["a"]))];
    let mut all = Vec::new();
    for (name, raw) in &it.0 {
        let Some(at) = values.iter().position(|(set, _)| set == name) else {
            if !["e", "n", "x"].contains(&name.as_str()) {
                all.push(field(name, raw));
            }
            continue;
        };
        let (name, value) = values.remove(at);
        all.push(field(name, value));
    }
    all.extend(values.into_iter().map(|(name, raw)| field(name, raw)));
    Some(all)
}

fn all<'a>(_: &Fields<'a>) -> Option<Vec<(String, &'a str)>> {
    None
}

const SHAPES: [Shape; 5] = [selected, renamed, removed, set, all];

static FACTORIES: LazyLock<Vec<Box<dyn Factory>>> = LazyLock::new(|| {
    let names = list(&["b", "a", "c d", "\u{e4}\"", "z"]);
    let rename = map(&[("a", "z".into()), ("b", "a".into())]);
    let set = map(&[("x", "a".into()), ("n", 5.into()), ("e", "a.b".into())]);
    let both: Vec<(&str, Value)> = vec![
        ("rename", map(&[("a", "b".into()), ("c", "d".into())])),
        ("set", map(&[("b", "'\"' + string(size(this))".into()), ("e", "a == b".into())])),
        ("remove", list(&["f", "d"])),
    ];
    vec![
        prepared("json", &[("select", names)]),
        prepared("json", &[("rename", rename)]),
        prepared("json", &[("remove", list(&["a", "\u{e4}\"", ""]))]),
        prepared("json", &[("set", set)]),
        prepared("json", &both),
    ]
});

/// Messages through one of them. What comes out is JSON, with the fields that there are to be.
pub fn check(variant: usize, max: usize, rest: &[u8]) {
    let variant = variant % SHAPES.len();
    let mut component = FACTORIES[variant].component().expect("a transform");
    for data in messages(rest) {
        let answer = answered("json", &mut *component, data, &[], max);
        let Some((report, message)) = answer else { continue };
        let shown = data.escape_ascii();
        let Some(fields) = Fields::of(data) else {
            assert_eq!(report.status(), NOT_JSON, "{shown}");
            continue;
        };
        if report.status() == TOO_LARGE {
            assert!(max < MESSAGE_MAX, "{shown}");
            continue;
        }
        let expected = SHAPES[variant](&fields);
        if expected.is_none() && report != Report::DONE {
            continue;
        }
        assert_eq!(report, Report::DONE, "{shown}: {}", message.description());
        let made = Fields::of(message.data());
        let made = made.unwrap_or_else(|| panic!("{shown} becomes {message:?}"));
        assert_eq!(Some(made.0).filter(|_| expected.is_some()), expected, "{shown}");
    }
}
