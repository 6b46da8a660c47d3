//! What stands in a table of a script, and what is wrong with it. Nothing here calls the script: metamethods are passed
//! by, since the draft is locked while a table is read.

use super::super::values::shown;
use mlua::{Table, Value as LuaValue};
use stageline_component::nearest;

/// What is wrong with a part of a pipeline: each with the field that it is about.
#[derive(Default)]
pub(super) struct Wrong {
    /// The field that is read: `routes[2]`.
    path: String,
    /// What was found.
    pub found: Vec<String>,
}

impl Wrong {
    /// Something about this field of what is read, or about all of it.
    pub fn add(&mut self, field: &str, text: impl AsRef<str>) {
        let (path, text) = (self.join(field), text.as_ref());
        self.found.push(if path.is_empty() { text.to_owned() } else { format!("{path}: {text}") });
    }

    /// Reads a field.
    pub fn within<R>(&mut self, field: &str, read: impl FnOnce(&mut Self) -> R) -> R {
        let path = self.join(field);
        let before = std::mem::replace(&mut self.path, path);
        let result = read(self);
        self.path = before;
        result
    }

    fn join(&self, field: &str) -> String {
        match (self.path.is_empty(), field.is_empty()) {
            (true, _) => field.to_owned(),
            (false, true) => self.path.clone(),
            (false, false) => format!("{}.{field}", self.path),
        }
    }
}

/// A field; `None` if it is not set, or cannot be read.
pub(super) fn get(table: &Table, name: &str) -> Option<LuaValue> {
    table.raw_get(name).ok().filter(|value: &LuaValue| !value.is_nil())
}

/// A field that is a text.
pub(super) fn text(table: &Table, name: &str, wrong: &mut Wrong) -> Option<String> {
    let text = match get(table, name)? {
        LuaValue::String(text) => match text.to_str() {
            Ok(text) => return Some(text.to_owned()),
            Err(_) => String::from("the text is not UTF-8"),
        },
        other => format!("expected a text, and found {}", shown(&other)),
    };
    wrong.add(name, text);
    None
}

/// A field that is a list: its entries, with their places.
pub(super) fn list(table: &Table, name: &str, wrong: &mut Wrong) -> Vec<(String, LuaValue)> {
    match get(table, name) {
        None => Vec::new(),
        Some(LuaValue::Table(list)) => {
            if let Some(key) = names(&list).first() {
                let text =
                    format!("expected a list, `{{ {{ ... }}, {{ ... }} }}`, and found `{key}`");
                wrong.add(name, text);
            }
            entries(&list, wrong, |index| format!("{name}[{index}]"))
        }
        Some(other) => {
            let text = format!("expected a list, `{{ ... }}`, and found {}", shown(&other));
            wrong.add(name, text);
            Vec::new()
        }
    }
}

/// The entries without names, in their order, each with its place. A list ends for Lua where the first one is nil:
/// what stands behind that would be lost without a word.
pub(super) fn entries(
    table: &Table,
    wrong: &mut Wrong,
    place: impl Fn(i64) -> String,
) -> Vec<(String, LuaValue)> {
    let mut found: Vec<(i64, LuaValue)> = Vec::new();
    for (key, value) in table.pairs::<LuaValue, LuaValue>().flatten() {
        if let LuaValue::Integer(index) = key {
            found.push((index, value));
        }
    }
    found.sort_by_key(|(index, _)| *index);
    let mut expected = 1;
    for (index, _) in &found {
        if *index < 1 {
            wrong.add(&place(*index), "the first place of a list is 1");
        } else if *index > expected {
            wrong.add(&place(expected), "found nil: is it a variable that is not set?");
        }
        expected = index.saturating_add(1).max(1);
    }
    found.into_iter().map(|(index, value)| (place(index), value)).collect()
}

/// The names in a table, in the order of the alphabet: the table has none.
pub(super) fn names(table: &Table) -> Vec<String> {
    let keys = table.pairs::<LuaValue, LuaValue>().flatten().map(|(key, _)| key);
    let mut names: Vec<_> = keys
        .filter_map(|key| match key {
            LuaValue::String(name) => Some(name.to_string_lossy()),
            _ => None,
        })
        .collect();
    names.sort_unstable();
    names
}

/// Tells of names that the table must not have.
pub(super) fn known(table: &Table, what: &str, known: &[&str], wrong: &mut Wrong) {
    for name in names(table).iter().filter(|name| !known.contains(&name.as_str())) {
        wrong.add("", unknown(what, name, known));
    }
    no_other_keys(table, what, wrong);
}

/// Tells of keys that are neither names nor places in a list.
pub(super) fn no_other_keys(table: &Table, what: &str, wrong: &mut Wrong) {
    for (key, _) in table.pairs::<LuaValue, LuaValue>().flatten() {
        if !matches!(key, LuaValue::Integer(_) | LuaValue::String(_)) {
            wrong.add("", format!("{what} has {}, which is no name", shown(&key)));
        }
    }
}

/// Names of other tables, and what they are meant for where they have no place: sources and routes have `to`.
const ELSEWHERE: [(&str, &str); 1] = [("to", "otherwise")];

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let of_elsewhere = ELSEWHERE.into_iter().find(|(other, _)| *other == name);
    let meant = of_elsewhere.map(|(_, meant)| meant).filter(|meant| known.contains(meant));
    match meant.or_else(|| nearest(name, known.iter().copied())) {
        Some(nearest) => format!("{what} has no `{name}`; did you mean `{nearest}`?"),
        None => format!("{what} has no `{name}`; it has {}", known.join(", ")),
    }
}
