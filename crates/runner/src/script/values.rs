//! Values of a script: as attributes, as statuses and texts, and for who reads of an error.

use super::Text;
use super::function::FunctionPlace;
use crate::limits::{VALUE_DEPTH_MAX, VALUE_ENTRIES_MAX};
use mlua::{Function, Lua, LuaString, Table, Value as LuaValue};
use stageline_component::{FunctionRef, Value};
use std::collections::BTreeMap;

/// The value, and the functions in it, in the order in which they are found: they are called elsewhere, on other
/// threads, in a Lua of their own that has run the same script. A table is a list if it has no keys but 1, 2, 3 and so on.
pub(super) fn value_of(
    value: &LuaValue,
    text: &Text,
    functions: &mut Vec<Function>,
    depth: usize,
) -> Result<Value, String> {
    if depth > VALUE_DEPTH_MAX {
        return Err(format!("tables are nested deeper than {VALUE_DEPTH_MAX}"));
    }
    Ok(match value {
        LuaValue::Boolean(is_true) => Value::Boolean(*is_true),
        LuaValue::Integer(number) => Value::Integer(*number),
        LuaValue::Number(number) => Value::Number(*number),
        LuaValue::String(text) => {
            Value::Text(text.to_str().map_err(|_| "a text must be UTF-8")?.to_owned())
        }
        LuaValue::Table(table) => return table_of(table, text, functions, depth),
        LuaValue::Function(function) => {
            functions.push(function.clone());
            let index = functions.len() - 1;
            Value::Function(FunctionRef::new(FunctionPlace { script: text.clone(), index }))
        }
        LuaValue::Nil => return Err(String::from("there is no value")),
        null if null.is_null() => {
            return Err("`NULL` is no value for an attribute: leave it out".to_owned());
        }
        other => return Err(format!("a {} is no value for an attribute", other.type_name())),
    })
}

fn table_of(
    table: &Table,
    text: &Text,
    functions: &mut Vec<Function>,
    depth: usize,
) -> Result<Value, String> {
    let len = table.raw_len();
    if len > VALUE_ENTRIES_MAX {
        return Err(format!("the table has more than {VALUE_ENTRIES_MAX} entries"));
    }
    let mut named = BTreeMap::new();
    for pair in table.pairs::<LuaValue, LuaValue>() {
        let (key, value) = pair.map_err(|error| error.to_string())?;
        match key {
            LuaValue::Integer(index) if (1..=len as i64).contains(&index) => continue,
            LuaValue::String(name) => {
                let name = name.to_str().map_err(|_| "a name must be UTF-8")?.to_owned();
                named.insert(name, value);
            }
            other => {
                return Err(format!("a {} is no name in a table of attributes", other.type_name()));
            }
        }
        if named.len() > VALUE_ENTRIES_MAX {
            return Err(format!("the table has more than {VALUE_ENTRIES_MAX} entries"));
        }
    }
    if len == 0 {
        let mut map = BTreeMap::new();
        for (name, value) in named {
            map.insert(name, value_of(&value, text, functions, depth + 1)?);
        }
        return Ok(Value::Map(map));
    }
    if let Some(name) = named.keys().next() {
        return Err(format!("the table is a list and has the name `{name}`, too"));
    }
    let mut list = Vec::with_capacity(len);
    for index in 1..=len {
        let value = table.raw_get(index).map_err(|error| error.to_string())?;
        list.push(value_of(&value, text, functions, depth + 1)?);
    }
    Ok(Value::List(list))
}

/// A status; a float is one where it is whole.
pub(super) fn status_of(value: &LuaValue) -> Option<u32> {
    match value {
        LuaValue::Integer(status) => u32::try_from(*status).ok(),
        LuaValue::Number(status) => {
            let is_status = status.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(status);
            is_status.then_some(*status as u32)
        }
        _ => None,
    }
}

/// A text; numbers are texts for Lua, too.
pub(super) fn text_of(lua: &Lua, value: LuaValue) -> Result<LuaString, String> {
    if let LuaValue::String(text) = value {
        return Ok(text);
    }
    let found = shown(&value);
    let text = lua.coerce_string(value).ok().flatten();
    text.ok_or_else(|| format!("expected a text, and found {found}"))
}

/// The letters of a text that are shown.
const SHOWN_MAX: usize = 40;

/// The value for a message. A table's is not asked for, since `__tostring` is the script's.
pub(super) fn shown(value: &LuaValue) -> String {
    match value {
        LuaValue::Nil => String::from("nil"),
        null if null.is_null() => String::from("`NULL`"),
        LuaValue::Boolean(is_true) => is_true.to_string(),
        LuaValue::Integer(number) => number.to_string(),
        // (Of a large one it would write all digits.)
        LuaValue::Number(number) => format!("{number:?}"),
        LuaValue::String(text) => {
            let text = text.to_string_lossy();
            let some: String = text.chars().take(SHOWN_MAX).collect();
            if some.len() < text.len() { format!("{some:?}...") } else { format!("{text:?}") }
        }
        // A component or a message: no others are made.
        LuaValue::UserData(data) => {
            let name =
                data.type_name().map_or_else(|_| String::new(), |name| name.to_string_lossy());
            format!("a {name}")
        }
        other => format!("a {}", other.type_name()),
    }
}
