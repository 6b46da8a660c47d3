//! Values of JSON as values of `cel`, and back.

use super::{Failed, WriteError};
use crate::json::{Scalar, elements, members, unescape, write_string};
use cel::Value;
use cel::common::types::{CelBool, CelBytes, CelDouble, CelInt, CelNull, CelString, CelUInt};
use cel::common::value::{CowVal, Val};
use cel::objects::{Key, Map};
use stageline_component::Buffer;
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::sync::Arc;

/// How deep a value may be that is written, as that which is read.
const DEPTH_MAX: usize = crate::json::DEPTH_MAX;

/// A value as `cel` takes it. Strings without escapes are borrowed.
pub(super) fn value(scalar: Scalar<'_>) -> CowVal<'_, '_> {
    match scalar {
        Scalar::Null => CowVal::owned(CelNull),
        Scalar::Boolean(is_true) => CowVal::owned(CelBool::from(is_true)),
        Scalar::Integer(number) => CowVal::owned(CelInt::from(number)),
        Scalar::Unsigned(number) => CowVal::owned(CelUInt::from(number)),
        Scalar::Number(number) => CowVal::owned(CelDouble::from(number)),
        Scalar::Text(std::borrow::Cow::Borrowed(text)) => CowVal::owned(CelString::from(text)),
        Scalar::Text(std::borrow::Cow::Owned(text)) => CowVal::owned(CelString::from(text)),
        Scalar::Array(raw) | Scalar::Object(raw) => match Box::<dyn Val>::try_from(whole(raw)) {
            Ok(value) => CowVal::Owned(value),
            Err(_) => CowVal::owned(CelNull),
        },
    }
}

/// An attribute that is no UTF-8.
pub(super) fn bytes(bytes: &[u8]) -> CowVal<'_, '_> {
    CowVal::owned(CelBytes::from(bytes))
}

/// An array or an object with all that is in it. (The depth has a bound: it was checked.)
fn whole(raw: &str) -> Value {
    match Scalar::read(raw) {
        Scalar::Null => Value::Null,
        Scalar::Boolean(is_true) => Value::Bool(is_true),
        Scalar::Integer(number) => Value::Int(number),
        Scalar::Unsigned(number) => Value::UInt(number),
        Scalar::Number(number) => Value::Float(number),
        Scalar::Text(text) => Value::String(Arc::new(text.into_owned())),
        Scalar::Array(raw) => Value::List(Arc::new(elements(raw).into_iter().map(whole).collect())),
        Scalar::Object(raw) => {
            let entry = |(name, value): (&str, &str)| {
                (Key::String(Arc::new(unescape(name).into_owned())), whole(value))
            };
            let map: HashMap<_, _> = members(raw).into_iter().map(entry).collect();
            Value::Map(Map { map: Arc::new(map) })
        }
    }
}

pub(super) fn boolean(value: &dyn Val) -> Option<bool> {
    value.downcast_ref::<CelBool>().map(|is_true| *is_true.inner())
}

pub(super) fn is_null(value: &dyn Val) -> bool {
    value.downcast_ref::<CelNull>().is_some()
}

/// Writes a value as JSON.
pub(super) fn write_json(value: &dyn Val, out: &mut Buffer) -> Result<(), WriteError> {
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        return Ok(write_string(text.inner(), out)?);
    }
    if let Some(is_true) = boolean(value) {
        return Ok(out.extend_from_slice(if is_true { b"true" } else { b"false" })?);
    }
    write_whole(&owned(value)?, out, 0)
}

/// Writes a value as text: a string without quotes, bytes as they are, the others as JSON.
pub(super) fn write_text(value: &dyn Val, out: &mut Buffer) -> Result<(), WriteError> {
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        return Ok(out.extend_from_slice(text.inner().as_bytes())?);
    }
    match owned(value)? {
        Value::Bytes(bytes) => Ok(out.extend_from_slice(&bytes)?),
        other => write_whole(&other, out, 0),
    }
}

fn owned(value: &dyn Val) -> Result<Value, WriteError> {
    Value::try_from(value).map_err(|_| no_json(value.get_type().name()))
}

fn no_json(what: impl std::fmt::Display) -> WriteError {
    WriteError::Failed(Failed(format!("JSON has no place for {what}")))
}

/// Digits, appended in one piece.
fn write_number(number: impl std::fmt::Debug, out: &mut Buffer) -> Result<(), WriteError> {
    let max = out.max();
    let too_large = |_| stageline_component::TooLarge { wanted: usize::MAX, max };
    Ok(write!(out, "{number:?}").map_err(too_large)?)
}

fn write_whole(value: &Value, out: &mut Buffer, depth: usize) -> Result<(), WriteError> {
    if depth > DEPTH_MAX {
        return Err(no_json(format_args!("more than {DEPTH_MAX} levels")));
    }
    match value {
        Value::Null => out.extend_from_slice(b"null")?,
        Value::Bool(is_true) => out.extend_from_slice(is_true.to_string().as_bytes())?,
        Value::Int(number) => write_number(number, out)?,
        Value::UInt(number) => write_number(number, out)?,
        Value::Float(number) if number.is_finite() => write_number(number, out)?,
        Value::Float(number) => return Err(no_json(number)),
        Value::String(text) => write_string(text, out)?,
        Value::List(values) => {
            out.push(b'[')?;
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(b',')?;
                }
                write_whole(value, out, depth + 1)?;
            }
            out.push(b']')?;
        }
        Value::Map(map) => write_map(map, out, depth)?,
        other => return Err(no_json(other.type_of())),
    }
    Ok(())
}

/// By name, so that the same value is always the same text.
fn write_map(map: &Map, out: &mut Buffer, depth: usize) -> Result<(), WriteError> {
    let sorted: BTreeMap<String, &Value> =
        map.map.iter().map(|(key, value)| (key.to_string(), value)).collect();
    out.push(b'{')?;
    for (index, (name, value)) in sorted.into_iter().enumerate() {
        if index > 0 {
            out.push(b',')?;
        }
        write_string(&name, out)?;
        out.push(b':')?;
        write_whole(value, out, depth + 1)?;
    }
    Ok(out.push(b'}')?)
}
