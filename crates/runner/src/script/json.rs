//! JSON as values of a script, and back.
//!
//! Null is `mlua::Value::NULL`, since a field that is nil is none. Arrays have a metatable that tells them from objects
//! where they are empty.

use mlua::{Error, Lua, LuaSerdeExt, Result, Table, Value as LuaValue};
use serde_json::{Map, Number, Value};

/// How deep tables may be nested: components read no more.
const DEPTH_MAX: usize = 128;

/// What a message says.
pub(super) fn parse(json: &[u8]) -> Result<Value> {
    serde_json::from_slice(json).map_err(Error::external)
}

/// A value for a script. A whole number that Lua has no integer for becomes a float.
pub(super) fn to_lua(lua: &Lua, value: &Value) -> Result<LuaValue> {
    lua.to_value(value)
}

/// A value as JSON, the fields of objects by name.
pub(super) fn write(lua: &Lua, value: &LuaValue) -> Result<Vec<u8>> {
    let value = json_of(lua, value, 0)?;
    serde_json::to_vec(&value).map_err(Error::external)
}

fn json_of(lua: &Lua, value: &LuaValue, depth: usize) -> Result<Value> {
    let no_json =
        |what: &dyn std::fmt::Display| Err(Error::runtime(format!("JSON has no place for {what}")));
    Ok(match value {
        LuaValue::Nil => Value::Null,
        null if null.is_null() => Value::Null,
        LuaValue::Boolean(is_true) => Value::Bool(*is_true),
        LuaValue::Integer(number) => Value::from(*number),
        LuaValue::Number(number) => match Number::from_f64(*number) {
            Some(number) => Value::Number(number),
            None => return no_json(&format_args!("the number {number}")),
        },
        LuaValue::String(text) => match text.to_str() {
            Ok(text) => Value::String(text.to_owned()),
            Err(_) => return no_json(&"a text that is no UTF-8"),
        },
        LuaValue::Table(_) if depth == DEPTH_MAX => {
            return Err(Error::runtime(format!("tables are nested deeper than {DEPTH_MAX}")));
        }
        LuaValue::Table(table) => {
            let len = table.raw_len();
            let is_array =
                len > 0 || table.metatable().is_some_and(|meta| meta == lua.array_metatable());
            if is_array { array_of(lua, table, len, depth)? } else { object_of(lua, table, depth)? }
        }
        other => return no_json(&format_args!("a {}", other.type_name())),
    })
}

fn array_of(lua: &Lua, table: &Table, len: usize, depth: usize) -> Result<Value> {
    let mut array = Vec::with_capacity(len);
    for index in 1..=len {
        array.push(json_of(lua, &table.raw_get(index)?, depth + 1)?);
    }
    for pair in table.pairs::<LuaValue, LuaValue>() {
        let (key, _) = pair?;
        if !matches!(key, LuaValue::Integer(index) if (1..=len as i64).contains(&index)) {
            let text = format!("a table is an array, and has {}, too", shown(&key));
            return Err(Error::runtime(text));
        }
    }
    Ok(Value::Array(array))
}

fn object_of(lua: &Lua, table: &Table, depth: usize) -> Result<Value> {
    let mut object = Map::new();
    for pair in table.pairs::<LuaValue, LuaValue>() {
        let (key, value) = pair?;
        let LuaValue::String(name) = &key else {
            return Err(Error::runtime(format!("{} is no name of a field", shown(&key))));
        };
        let name = name.to_str().map_err(|_| Error::runtime("a name of a field is no UTF-8"))?;
        object.insert(name.to_owned(), json_of(lua, &value, depth + 1)?);
    }
    Ok(Value::Object(object))
}

/// A key, for who reads of an error.
fn shown(key: &LuaValue) -> String {
    match key {
        LuaValue::Integer(_) | LuaValue::Number(_) | LuaValue::String(_) => {
            let text = key.to_string().unwrap_or_default();
            format!("the key `{text}`")
        }
        other => format!("a {}", other.type_name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn again(json: &str) -> String {
        let lua = Lua::new();
        let value = to_lua(&lua, &parse(json.as_bytes()).unwrap()).unwrap();
        String::from_utf8(write(&lua, &value).unwrap()).unwrap()
    }

    #[test]
    fn what_is_read_is_written_as_it_was() {
        for json in [
            r#"{"a":null,"b":[null,1,null],"c":{}}"#,
            r#"[[],{},[[]],{"a":[]}]"#,
            "null",
            "true",
            r#"{"a":-9223372036854775808,"b":9223372036854775807,"c":1.0,"d":0.1,"e":-0.0}"#,
            r#""a\"\u0000b""#,
        ] {
            assert_eq!(again(json), json);
        }
        let deep = format!("{}{}", "[".repeat(127), "]".repeat(127));
        assert_eq!(again(&deep), deep);
        let error = parse(format!("[{deep}]").as_bytes()).unwrap_err().to_string();
        assert!(error.contains("recursion limit exceeded"), "{error}");
        // Each float has a shortest text, by which it is found again.
        let mut random = 1_u64;
        for _ in 0..2_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let number = f64::from_bits(random);
            if number.is_finite() {
                let json = serde_json::to_string(&number).unwrap();
                assert_eq!(again(&json), json);
            }
        }
    }

    #[test]
    fn whole_numbers_that_lua_has_not_become_floats() {
        assert_eq!(again("9223372036854775808"), "9.223372036854776e+18");
        assert_eq!(again("-9223372036854775809"), "-9.223372036854776e+18");
        assert_eq!(again("123456789012345678901"), "1.2345678901234568e+20");
        assert!(parse(b"1e400").unwrap_err().to_string().contains("out of range"));
    }

    #[test]
    fn what_json_has_no_place_for_is_an_error() {
        let lua = Lua::new();
        lua.globals().set("NULL", LuaValue::NULL).unwrap();
        let written = |source: &str| {
            let value = lua.load(source).eval::<LuaValue>().unwrap();
            match write(&lua, &value) {
                Ok(json) => String::from_utf8(json).unwrap(),
                Err(error) => error.to_string().lines().next().unwrap().to_owned(),
            }
        };
        let cases = [
            ("{ a = NULL, b = { NULL } }", r#"{"a":null,"b":[null]}"#),
            ("{ 1, nil, 3 }", "[1,null,3]"),
            ("nil", "null"),
            ("{}", "{}"),
            ("{ 0/0 }", "runtime error: JSON has no place for the number NaN"),
            ("-1/0", "runtime error: JSON has no place for the number -inf"),
            ("'\\xff'", "runtime error: JSON has no place for a text that is no UTF-8"),
            ("{ print }", "runtime error: JSON has no place for a function"),
            ("{ 1, 2, x = 3 }", "runtime error: a table is an array, and has the key `x`, too"),
            ("{ [7] = 1 }", "runtime error: the key `7` is no name of a field"),
            ("{ [true] = 1 }", "runtime error: a boolean is no name of a field"),
        ];
        for (source, expected) in cases {
            assert_eq!(written(source), expected, "{source}");
        }
        let nested = |depth: usize| format!("{}{}", "{ ".repeat(depth), " }".repeat(depth));
        assert!(written(&nested(128)).starts_with("[[["));
        assert_eq!(written(&nested(129)), "runtime error: tables are nested deeper than 128");
        let error = written("(function() local t = {} t.t = t return t end)()");
        assert_eq!(error, "runtime error: tables are nested deeper than 128");
    }
}
