//! Filters, reshapes and computes fields of JSON objects.
//!
//! | what, of rows of 340 bytes with 20 fields | ns a row |
//! |---|---|
//! | each byte checked, nothing done | 510 |
//! | `filter = 'dep_delay > 30 && carrier == "UA"'`, a quarter passes | 590 |
//! | a filter of the same length that only `cel` evaluates | 1050 |
//! | the first filter, and a `select` of 5 | 630 |
//! | the `select` alone | 640 |
//! | a `rename` of one field | 850 |
//!
//! `benches/json.rs` prints them, here of two virtual CPUs that were shared with other builds. There, jq 1.6 took
//! 11,300 ns of CPU time for a row of the filter with the `select`, its reading and writing included.

use super::{Setting, no_value, not_json, not_written};
use crate::expression::{Expression, Places, Reader, WriteError};
use crate::factory::{Plan, optional, texts, too_large};
use crate::json::{Finder, write_string};
use stageline_component::{
    AttributeError, AttributeKind, Attributes, Buffer, Component, Error, Kind, Message, Report,
    Spec, Value,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

static SPEC: Spec = Spec {
    name: "json",
    kind: Kind::Transform,
    summary: "Filters JSON objects, and selects, renames, computes or removes their fields",
    attributes: &[
        optional(
            "filter",
            AttributeKind::Text,
            "A condition: messages for which it is not true are dropped.",
        ),
        optional("rename", AttributeKind::Map, "New names of fields, by the old ones."),
        optional(
            "set",
            AttributeKind::Map,
            "Values of fields: a text is an expression, everything else a constant.",
        ),
        optional("remove", AttributeKind::List, "The fields to remove."),
        optional(
            "select",
            AttributeKind::List,
            "The fields to keep, in this order. Those that a message does not have are left out.",
        ),
    ],
    doc: r#"
    s.json { filter = 'dep_delay > 30 && carrier == "UA"', select = { "flight", "dep_delay" } }
    s.json { rename = { dep_delay = "delay" }, set = { hours = "double(dep_delay) / 60.0", source = "'nyc'", version = 2 } }

Each message must be one JSON object, of at most 128 levels of arrays and objects, itself included. Anything else fails with the status 210, and the description says what is wrong
at which byte.

**Order.** `filter`, `rename`, `set`, `remove`, `select`. The last three take fields by their new names. Expressions see
the message as it came. A field takes the place of another one whose name it gets.

**Expressions** are CEL, the Common Expression Language: `==`, `<`, `&&`, `||`, `!`, `? :`, `in`, `+`, `-`, `*`, `/`, `%`,
`size()`, `startsWith()`, `endsWith()`, `contains()`, `matches()`, `int()`, `double()`, `string()`, and over lists `exists()`,
`all()`, `map()`, `filter()`.

- Fields are variables: `dep_delay`, nested ones `user.name`. `this` is the whole message: `this.int` is a field with the name
  of a type, `this["a b"]` one with a space, and `has(this.user)` says whether there is one.
- `attributes["file.path"]` is an attribute of the message.
- What is not there is null, and null is unknown, as in SQL: `dep_delay > 30` is not true, `dep_delay + 1` is null. But `==` and
  `!=` compare null as a value: `carrier == null` and `carrier != "UA"` are true where there is no carrier;
  `has(this.carrier) && carrier != "UA"` is not.
- An element of a list that is not there, as `tags[5]`, makes all of the expression unknown.
- Numbers are whole or not, as they are written, and arithmetic does not mix them: `double(distance) / 60.0`.
- An expression that has no value, as `carrier > 5` for a text, makes the message fail with the status 211.
- A result that is larger than a message may be fails with the status 201.
- `set = { name = "user.name" }` copies the value as it is written.

**Cost.** Values that are kept are copied as they stand. Nothing is allocated for a filter that compares fields with
constants, joined by `&&`, `||` and `!`, nor for `select`, `rename` and `remove`; other expressions allocate.
"#,
};

/// What is done with messages.
pub(crate) struct Json(Arc<Shared>);

struct Shared {
    places: Places,
    filter: Option<Expression>,
    output: Output,
}

/// What comes out.
enum Output {
    /// The message as it is.
    Same,
    /// These fields.
    Selected(Vec<(Head, From)>),
    /// All fields but for these changes.
    Edited(Edits),
}

/// `"name":`, the name, and what it is in messages about it.
struct Head {
    bytes: Vec<u8>,
    attribute: String,
}

enum From {
    /// The field of this path, or of the other one.
    Field(usize, Option<usize>),
    Set(Setting<Vec<u8>>),
}

struct Edits {
    /// By path; others are kept.
    by_path: Vec<Option<Edit>>,
    /// What is set, in the order of names, and at which path it replaces what is there.
    set: Vec<(Head, Setting<Vec<u8>>)>,
}

enum Edit {
    Drop,
    /// Its name goes to the field of this path, if there is one; else it is replaced by the setting of this number.
    Yield(usize, Option<usize>),
    /// Gets this name.
    Rename(Head),
    /// Is replaced by the setting of this number.
    Replace(usize),
}

impl Head {
    fn new(name: &str) -> Self {
        let mut bytes = Buffer::default();
        // (There is no limit.)
        let _ = write_string(name, &mut bytes).and_then(|()| bytes.push(b':'));
        Self { bytes: bytes.to_vec(), attribute: format!("set.{name}") }
    }
}

/// A constant as JSON.
fn constant(value: &Value) -> Result<Vec<u8>, &'static str> {
    let mut out = Buffer::default();
    write_constant(value, &mut out)?;
    Ok(out.to_vec())
}

fn write_constant(value: &Value, out: &mut Buffer) -> Result<(), &'static str> {
    const EXPECTED: &str = "an expression, or a constant that JSON has a place for";
    let part =
        |out: &mut Buffer, text: &str| out.extend_from_slice(text.as_bytes()).map_err(|_| EXPECTED);
    match value {
        Value::Text(text) => write_string(text, out).map_err(|_| EXPECTED)?,
        Value::Integer(number) => part(out, &number.to_string())?,
        Value::Number(number) if number.is_finite() => part(out, &format!("{number:?}"))?,
        Value::Boolean(is_true) => part(out, &is_true.to_string())?,
        Value::List(values) => {
            for (index, value) in values.iter().enumerate() {
                part(out, if index == 0 { "[" } else { "," })?;
                write_constant(value, out)?;
            }
            part(out, if values.is_empty() { "[]" } else { "]" })?;
        }
        Value::Map(values) => {
            for (index, (name, value)) in values.iter().enumerate() {
                part(out, if index == 0 { "{" } else { "," })?;
                write_string(name, out).map_err(|_| EXPECTED)?;
                part(out, ":")?;
                write_constant(value, out)?;
            }
            part(out, if values.is_empty() { "{}" } else { "}" })?;
        }
        Value::Number(_) | Value::Function(_) => return Err(EXPECTED),
    }
    Ok(())
}

/// The attributes, read.
struct Changes {
    rename: BTreeMap<String, String>,
    set: BTreeMap<String, Setting<Vec<u8>>>,
    remove: BTreeSet<String>,
    select: Option<Vec<String>>,
}

impl Changes {
    fn new(attributes: &Attributes, places: &mut Places) -> Result<Self, AttributeError> {
        let select =
            attributes.is_set("select").then(|| texts(attributes, "select")).transpose()?;
        let remove: BTreeSet<_> = texts(attributes, "remove")?.into_iter().collect();
        let mut changes = Self { rename: BTreeMap::new(), set: BTreeMap::new(), remove, select };
        for (old, value) in attributes.map("rename").into_iter().flatten() {
            let wrong = |what| AttributeError::invalid(&format!("rename.{old}"), value, what);
            let Value::Text(new) = value else { return Err(wrong("a name")) };
            if changes.rename.values().any(|other| other == new) {
                return Err(wrong("a name that no other field gets"));
            }
            changes.rename.insert(old.clone(), new.clone());
        }
        for (name, value) in attributes.map("set").into_iter().flatten() {
            let attribute = format!("set.{name}");
            if changes.remove.contains(name) {
                let expected = "a field that is not removed";
                return Err(AttributeError::invalid(&attribute, value, expected));
            }
            let setting = Setting::new(&attribute, value, places, constant)?;
            changes.set.insert(name.clone(), setting);
        }
        let mut selected = BTreeSet::new();
        for name in changes.select.iter().flatten() {
            let wrong = |what| AttributeError::invalid("select", &name.as_str().into(), what);
            if changes.remove.contains(name) {
                return Err(wrong("a field that is not removed"));
            }
            if !selected.insert(name) {
                return Err(wrong("each field once"));
            }
        }
        Ok(changes)
    }

    fn output(mut self, places: &mut Places) -> Output {
        if let Some(select) = self.select.take() {
            let fields = select.iter().filter_map(|name| {
                let from = match self.set.remove(name) {
                    Some(setting) => From::Set(setting),
                    None => {
                        let origin = places.paths().add([self.origin(name)?]);
                        // Where what would get its name is not there, it keeps it.
                        let stays = !self.rename.contains_key(name);
                        From::Field(origin, stays.then(|| places.paths().add([name.as_str()])))
                    }
                };
                Some((Head::new(name), from))
            });
            return Output::Selected(fields.collect());
        }
        if self.rename.is_empty() && self.set.is_empty() && self.remove.is_empty() {
            return Output::Same;
        }
        Output::Edited(self.edits(places))
    }

    /// The field that has this name in the end; none, where another name was given to it.
    fn origin<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        let renamed = self.rename.iter().find(|(_, new)| *new == name);
        match renamed {
            Some((old, _)) => Some(old),
            None => (!self.rename.contains_key(name)).then_some(name),
        }
    }

    fn edits(self, places: &mut Places) -> Edits {
        let old: BTreeSet<&String> = self.rename.keys().collect();
        // Those that lose their place to another, or their own name.
        let all: BTreeSet<&String> = old
            .iter()
            .copied()
            .chain(self.rename.values())
            .chain(&self.remove)
            .chain(self.set.keys())
            .collect();
        let mut by_path = Vec::new();
        for name in all {
            let path = places.paths().add([name.as_str()]);
            if by_path.len() <= path {
                by_path.resize_with(path + 1, || None);
            }
            let new = self.rename.get(name).unwrap_or(name);
            let loses =
                self.rename.values().any(|new| new == name) && !self.rename.contains_key(name);
            let set = self.set.keys().position(|set| set == new);
            let taker = self.rename.iter().find(|(_, new)| loses && *new == name);
            by_path[path] = if self.remove.contains(new) {
                Some(Edit::Drop)
            } else if let Some((taker, _)) = taker {
                Some(Edit::Yield(places.paths().add([taker.as_str()]), set))
            } else if let Some(index) = set {
                Some(Edit::Replace(index))
            } else {
                (new != name).then(|| Edit::Rename(Head::new(new)))
            };
        }
        let set = self.set.into_iter().map(|(name, setting)| (Head::new(&name), setting)).collect();
        Edits { by_path, set }
    }
}

impl Plan for Json {
    const SPEC: &'static Spec = &SPEC;

    fn new(attributes: &Attributes) -> Result<Self, Error> {
        let mut places = Places::default();
        let filter = Expression::of(attributes, "filter", &mut places)?;
        let output = Changes::new(attributes, &mut places)?.output(&mut places);
        Ok(Self(Arc::new(Shared { places, filter, output })))
    }

    fn component(&self) -> Result<Box<dyn Component>, Error> {
        let finder = self.0.places.finder();
        let lists = matches!(self.0.output, Output::Edited(_));
        let finder = if lists { finder.listing() } else { finder };
        let shared = Arc::clone(&self.0);
        Ok(Box::new(Reshape { shared, finder, out: Buffer::default(), written: Vec::new() }))
    }
}

struct Reshape {
    shared: Arc<Shared>,
    finder: Finder,
    /// What comes out of the message at hand.
    out: Buffer,
    /// Which settings of it have replaced a field.
    written: Vec<bool>,
}

impl Component for Reshape {
    fn handle(&mut self, message: &mut Message) -> Report {
        if let Err(error) = self.finder.find(message.data()) {
            return not_json(message, error);
        }
        let shared = Arc::clone(&self.shared);
        let reader = Reader::found(&shared.places, &self.finder, message);
        match shared.filter.as_ref().map(|filter| filter.is_true(&reader)) {
            None | Some(Ok(true)) => {}
            Some(Ok(false)) => return Report::DROP,
            Some(Err(error)) => return no_value(message, "filter", error),
        }
        self.out.clear();
        let (out, finder) = (&mut self.out, &self.finder);
        let written = match &shared.output {
            Output::Same => return Report::DONE,
            Output::Selected(fields) => {
                write_selected(fields, &reader, finder, message.data(), out)
            }
            Output::Edited(edits) => {
                self.written.clear();
                self.written.resize(edits.set.len(), false);
                write_edited(edits, &reader, finder, message.data(), (out, &mut self.written))
            }
        };
        match written {
            Ok(()) => match message.data_mut().swap(&mut self.out) {
                Ok(()) => Report::DONE,
                Err(error) => too_large(message, error),
            },
            Err((attribute, error)) => not_written(message, attribute, error),
        }
    }
}

/// What was written, or the attribute whose expression has no value.
type Written<'a> = Result<(), (&'a str, WriteError)>;

/// Between the braces of an object.
struct Object<'a> {
    out: &'a mut Buffer,
    is_empty: bool,
}

impl<'a> Object<'a> {
    fn begin(out: &'a mut Buffer) -> Result<Self, WriteError> {
        out.push(b'{')?;
        Ok(Self { out, is_empty: true })
    }

    fn comma(&mut self) -> Result<(), WriteError> {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(b',')?;
        }
        Ok(())
    }

    fn raw(&mut self, head: &[u8], value: &[u8]) -> Result<(), WriteError> {
        self.comma()?;
        self.out.extend_from_slice(head)?;
        Ok(self.out.extend_from_slice(value)?)
    }

    fn set<'h>(
        &mut self,
        head: &'h Head,
        setting: &Setting<Vec<u8>>,
        reader: &Reader<'_>,
    ) -> Written<'h> {
        let write = || match setting {
            Setting::Constant(json) => self.raw(&head.bytes, json),
            Setting::Expression(expression) => {
                self.raw(&head.bytes, b"")?;
                expression.write_json(reader, self.out)
            }
        };
        let mut write = write;
        write().map_err(|error| (head.attribute.as_str(), error))
    }

    fn end(self) -> Result<(), WriteError> {
        Ok(self.out.push(b'}')?)
    }
}

/// An error that is no expression's.
fn no_attribute(error: WriteError) -> (&'static str, WriteError) {
    ("", error)
}

fn write_selected<'h>(
    fields: &'h [(Head, From)],
    reader: &Reader<'_>,
    finder: &Finder,
    json: &[u8],
    out: &mut Buffer,
) -> Written<'h> {
    let mut object = Object::begin(out).map_err(no_attribute)?;
    for (head, from) in fields {
        match from {
            From::Field(path, own) => {
                let find = |path: &usize| finder.get(*path, json);
                if let Some(raw) = find(path).or_else(|| find(own.as_ref()?)) {
                    object.raw(&head.bytes, raw.as_bytes()).map_err(no_attribute)?;
                }
            }
            From::Set(setting) => object.set(head, setting, reader)?,
        }
    }
    object.end().map_err(no_attribute)
}

fn write_edited<'h>(
    edits: &'h Edits,
    reader: &Reader<'_>,
    finder: &Finder,
    json: &[u8],
    (out, written): (&mut Buffer, &mut [bool]),
) -> Written<'h> {
    let mut object = Object::begin(out).map_err(no_attribute)?;
    for field in finder.fields() {
        let edit = field.place.and_then(|path| edits.by_path.get(path)?.as_ref());
        let value = &json[field.value.clone()];
        match edit {
            Some(Edit::Drop) => {}
            Some(Edit::Yield(taker, _)) if finder.get(*taker, json).is_some() => {}
            None | Some(Edit::Yield(_, None)) => {
                // From its quote to the end of its value, as it stands.
                let whole = &json[field.name.start - 1..field.value.end];
                object.raw(whole, b"").map_err(no_attribute)?;
            }
            Some(Edit::Rename(head)) => object.raw(&head.bytes, value).map_err(no_attribute)?,
            Some(&Edit::Replace(index) | &Edit::Yield(_, Some(index))) => {
                // (One whose name is there twice is set once.)
                if !std::mem::replace(&mut written[index], true) {
                    object.set(&edits.set[index].0, &edits.set[index].1, reader)?;
                }
            }
        }
    }
    for ((head, setting), _) in edits.set.iter().zip(&*written).filter(|(_, written)| !**written) {
        object.set(head, setting, reader)?;
    }
    object.end().map_err(no_attribute)
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
