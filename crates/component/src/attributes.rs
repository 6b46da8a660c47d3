//! The attributes of one place in a pipeline, checked against the spec of its component.

use crate::nearest::nearest;
use crate::spec::{AttributeKind, AttributeSpec, Spec};
use crate::units;
use crate::value::{AttributeError, FunctionRef, Value};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The values of a component's attributes, each of the type that its kind says. A factory has one: it
/// [sets](Self::set) what it is given, [completes](Self::complete) it when it is prepared, and then asks by type.
///
/// To ask for a name that the spec does not have, or for another type, is a mistake of the program: it panics.
#[derive(Clone, Debug)]
pub struct Attributes {
    spec: &'static Spec,
    /// Beside the spec's.
    values: Vec<Option<Typed>>,
}

/// A value as its attribute takes it.
#[derive(Clone, Debug)]
pub(crate) enum Typed {
    Text(String),
    Integer(i64),
    Number(f64),
    Boolean(bool),
    Duration(Duration),
    Size(u64),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
    Function(FunctionRef),
}

impl Attributes {
    /// None is set.
    pub fn new(spec: &'static Spec) -> Self {
        Self { spec, values: vec![None; spec.attributes.len()] }
    }

    /// Checks a whole set of values, and finds all that is wrong with it.
    pub fn check<'a>(
        spec: &'static Spec,
        values: impl IntoIterator<Item = (&'a str, &'a Value)>,
    ) -> Result<Self, Vec<AttributeError>> {
        let mut attributes = Self::new(spec);
        let values = values.into_iter();
        let mut wrong: Vec<_> =
            values.filter_map(|(name, value)| attributes.set(name, value).err()).collect();
        // One that was given and is wrong is not missing, too.
        let given = |name: &str| wrong.iter().any(|error| error.is_of(name));
        wrong.extend(attributes.complete_but(given).err());
        if wrong.is_empty() { Ok(attributes) } else { Err(wrong) }
    }

    /// Sets an attribute, in place of an earlier value.
    pub fn set(&mut self, name: &str, value: &Value) -> Result<(), AttributeError> {
        let Some(index) = self.index(name) else { return Err(self.unknown(name)) };
        self.values[index] = Some(typed(&self.spec.attributes[index], value)?);
        Ok(())
    }

    /// Gives those that are not set their defaults, and names those that are missing.
    pub fn complete(&mut self) -> Result<(), AttributeError> {
        self.complete_but(|_| false)
    }

    fn complete_but(&mut self, given: impl Fn(&str) -> bool) -> Result<(), AttributeError> {
        let mut missing = Vec::new();
        for (attribute, value) in self.spec.attributes.iter().zip(&mut self.values) {
            match attribute.default {
                _ if value.is_some() || given(attribute.name) => {}
                Some(default) => *value = Some(typed(attribute, &default.into())?),
                None if attribute.required => missing.push(attribute.name.to_owned()),
                None => {}
            }
        }
        let component = self.spec.name.to_owned();
        let error = AttributeError::Missing { component, attributes: missing };
        if matches!(&error, AttributeError::Missing { attributes, .. } if attributes.is_empty()) {
            return Ok(());
        }
        Err(error)
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.spec.attributes.iter().position(|attribute| attribute.name == name)
    }

    fn unknown(&self, name: &str) -> AttributeError {
        let known = || self.spec.attributes.iter().map(|attribute| attribute.name);
        AttributeError::Unknown {
            component: self.spec.name.to_owned(),
            attribute: name.to_owned(),
            nearest: nearest(name, known()).map(str::to_owned),
            known: known().map(str::to_owned).collect(),
        }
    }

    /// Whether it has a value, set or by default.
    pub fn is_set(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    #[track_caller]
    pub(crate) fn get(&self, name: &str) -> Option<&Typed> {
        let Some(index) = self.index(name) else { panic!("{}", self.unknown(name)) };
        self.values[index].as_ref()
    }

    /// A whole number that must be in a range.
    #[track_caller]
    pub fn integer_in(
        &self,
        name: &str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, AttributeError> {
        let value = self.integer(name);
        match value.filter(|value| !range.contains(value)) {
            None => Ok(value),
            Some(value) => {
                let expected = format!("a number from {} to {}", range.start(), range.end());
                Err(AttributeError::invalid(name, &value.into(), expected))
            }
        }
    }
}

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident: $variant:ident($found:ident) -> $type:ty = $what:expr;)+) => {
        impl Attributes {
            $(
                $(#[$doc])*
                #[track_caller]
                pub fn $name(&self, name: &str) -> Option<$type> {
                    self.get(name).map(|value| match value {
                        Typed::$variant($found) => $what,
                        other => panic!("`{name}` is no {}: {other:?}", stringify!($name)),
                    })
                }
            )+
        }
    };
}

getters! {
    /// A text, or one of several.
    text: Text(text) -> &str = text.as_str();
    /// A whole number.
    integer: Integer(number) -> i64 = *number;
    /// A number.
    number: Number(number) -> f64 = *number;
    /// True or false.
    boolean: Boolean(is_true) -> bool = *is_true;
    /// A time.
    duration: Duration(duration) -> Duration = *duration;
    /// A number of bytes.
    size: Size(bytes) -> u64 = *bytes;
    /// Values one after another.
    list: List(values) -> &[Value] = values.as_slice();
    /// Values by name.
    map: Map(values) -> &BTreeMap<String, Value> = values;
    /// A function of the script.
    function: Function(function) -> &FunctionRef = function;
}

impl AttributeError {
    /// Whether it speaks of the value of this attribute.
    fn is_of(&self, name: &str) -> bool {
        matches!(self, Self::Invalid { attribute, .. } if attribute == name)
    }
}

/// The value as the attribute takes it.
fn typed(attribute: &AttributeSpec, value: &Value) -> Result<Typed, AttributeError> {
    let typed = match attribute.kind {
        AttributeKind::Text => match value {
            Value::Boolean(_) => None,
            other => other.to_text().map(Typed::Text),
        },
        AttributeKind::OneOf(choices) => {
            value.to_text().filter(|text| choices.contains(&text.as_str())).map(Typed::Text)
        }
        AttributeKind::Integer => integer(value).map(Typed::Integer),
        AttributeKind::Number => number(value).map(Typed::Number),
        AttributeKind::Boolean => match value {
            Value::Boolean(is_true) => Some(Typed::Boolean(*is_true)),
            Value::Text(text) => text.parse().ok().map(Typed::Boolean),
            _ => None,
        },
        AttributeKind::Duration => value.to_duration().map(Typed::Duration),
        AttributeKind::Size => match value {
            Value::Text(text) => units::size(text).map(Typed::Size),
            other => integer(other).and_then(|size| size.try_into().ok()).map(Typed::Size),
        },
        AttributeKind::List => list(value).map(Typed::List),
        AttributeKind::Map => map(value).map(Typed::Map),
        AttributeKind::Function => match value {
            Value::Function(function) => Some(Typed::Function(function.clone())),
            _ => None,
        },
    };
    typed.ok_or_else(|| AttributeError::invalid(attribute.name, value, attribute.kind))
}

/// 2^63, above which no number is an integer of 64 bits.
const INTEGER_END: f64 = 9_223_372_036_854_775_808.0;

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        Value::Number(number) => {
            let is_whole = number.fract() == 0.0 && (-INTEGER_END..INTEGER_END).contains(number);
            is_whole.then_some(*number as i64)
        }
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Integer(number) => *number as f64,
        Value::Number(number) => *number,
        Value::Text(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

fn list(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::List(values) => Some(values.clone()),
        // (A script's empty table is either.)
        Value::Map(values) if values.is_empty() => Some(Vec::new()),
        Value::Text(text) => Some(text.split_terminator('\n').map(Value::from).collect()),
        _ => None,
    }
}

fn map(value: &Value) -> Option<BTreeMap<String, Value>> {
    match value {
        Value::Map(values) => Some(values.clone()),
        Value::List(values) if values.is_empty() => Some(BTreeMap::new()),
        Value::Text(text) => {
            let pairs = text.split_terminator('\n').map(|line| line.split_once('='));
            pairs.map(|pair| pair.map(|(name, value)| (name.to_owned(), value.into()))).collect()
        }
        _ => None,
    }
}

#[cfg(test)]
#[path = "attributes_tests.rs"]
mod tests;
