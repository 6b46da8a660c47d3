//! The values of attributes as a script gives them, and what can be wrong with them.

use crate::units;
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use std::{error, fmt};

/// A value as the script gives it. What an attribute takes it for, its
/// [kind](crate::AttributeKind) says.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// True or false.
    Boolean(bool),
    /// Values one after another.
    List(Vec<Value>),
    /// Values by name.
    Map(BTreeMap<String, Value>),
    /// A function of the script.
    Function(FunctionRef),
}

/// A function of the script that configures the pipeline. What is behind it, only the runner and the components
/// that were built with it know.
#[derive(Clone)]
pub struct FunctionRef(Arc<dyn Any + Send + Sync>);

impl FunctionRef {
    /// A reference to something of the runner's.
    pub fn new<T: Any + Send + Sync>(function: T) -> Self {
        Self(Arc::new(function))
    }

    /// What is behind it, if it is of this type.
    pub fn downcast<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        Arc::clone(&self.0).downcast().ok()
    }
}

/// Two references to the same function.
impl PartialEq for FunctionRef {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for FunctionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("function")
    }
}

impl Value {
    /// A text, a number or a boolean as text; `None` for the others.
    pub fn to_text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Integer(number) => Some(number.to_string()),
            Self::Number(number) => Some(number.to_string()),
            Self::Boolean(is_true) => Some(is_true.to_string()),
            Self::List(_) | Self::Map(_) | Self::Function(_) => None,
        }
    }

    /// A time, as attributes of [that kind](crate::AttributeKind::Duration) take it: a number of seconds, or a text
    /// such as `250ms`.
    pub fn to_duration(&self) -> Option<Duration> {
        match self {
            Self::Integer(seconds) => u64::try_from(*seconds).ok().map(Duration::from_secs),
            Self::Number(seconds) => Duration::try_from_secs_f64(*seconds).ok(),
            Self::Text(text) => units::duration(text),
            Self::Boolean(_) | Self::List(_) | Self::Map(_) | Self::Function(_) => None,
        }
    }
}

/// As a script would write it, and in a line.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Integer(number) => number.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Boolean(is_true) => is_true.fmt(f),
            Self::List(values) => {
                let values: Vec<_> = values.iter().map(Self::to_string).collect();
                write!(f, "{{{}}}", values.join(", "))
            }
            Self::Map(values) => {
                let values: Vec<_> = values.iter().map(|(k, v)| format!("{k} = {v}")).collect();
                write!(f, "{{{}}}", values.join(", "))
            }
            Self::Function(_) => f.write_str("a function"),
        }
    }
}

macro_rules! from {
    ($($from:ty => $variant:ident),+) => {
        $(impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        })+
    };
}

from!(&str => Text, String => Text, i64 => Integer, i32 => Integer, f64 => Number, bool => Boolean,
      Vec<Value> => List, BTreeMap<String, Value> => Map, FunctionRef => Function);

/// What is wrong with an attribute.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AttributeError {
    /// The component has no such attribute.
    Unknown {
        /// The name of the component.
        component: String,
        /// The attribute.
        attribute: String,
        /// What was probably meant.
        nearest: Option<String>,
        /// The attributes that there are.
        known: Vec<String>,
    },
    /// The value is none for this attribute.
    Invalid {
        /// The attribute.
        attribute: String,
        /// The value, as a script would write it.
        value: String,
        /// What is expected: `a number from 1 to 64`.
        expected: String,
    },
    /// Attributes that must be set are not.
    Missing {
        /// The name of the component.
        component: String,
        /// The attributes.
        attributes: Vec<String>,
    },
    /// A plugin does not take the value.
    Refused {
        /// The attribute.
        attribute: String,
        /// The value, as a script would write it.
        value: String,
        /// What the plugin says.
        reason: String,
    },
}

impl AttributeError {
    /// A value that an attribute does not take, and what it takes: `a number from 1 to 64`.
    pub fn invalid(attribute: &str, value: &Value, expected: impl fmt::Display) -> Self {
        let (value, expected) = (value.to_string(), expected.to_string());
        Self::Invalid { attribute: attribute.to_owned(), value, expected }
    }
}

/// Names, each between backquotes.
fn listed(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

impl fmt::Display for AttributeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { component, attribute, nearest, known } => {
                write!(f, "`{component}` has no attribute `{attribute}`")?;
                match (nearest, known.is_empty()) {
                    (Some(nearest), _) => write!(f, "; did you mean `{nearest}`?"),
                    (None, true) => f.write_str(": it has none"),
                    (None, false) => write!(f, ": it has {}", listed(known)),
                }
            }
            Self::Invalid { attribute, value, expected } => {
                write!(f, "`{attribute}` = {value}: expected {expected}")
            }
            Self::Refused { attribute, value, reason } => {
                write!(f, "`{attribute}` = {value}: {reason}")
            }
            Self::Missing { component, attributes } => {
                let what = if attributes.len() == 1 { "attribute" } else { "attributes" };
                write!(f, "`{component}` needs the {what} {}", listed(attributes))
            }
        }
    }
}

impl error::Error for AttributeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_in_a_script() {
        let map = BTreeMap::from([("a".to_owned(), Value::from(1)), ("b".to_owned(), true.into())]);
        let list = Value::List(vec!["x\n".into(), 1.5.into(), map.into()]);
        assert_eq!(list.to_string(), r#"{"x\n", 1.5, {a = 1, b = true}}"#);
        assert_eq!(Value::from(-3).to_text().as_deref(), Some("-3"));
        assert_eq!(list.to_text(), None);
    }

    #[test]
    fn a_function_is_what_it_was_made_of() {
        let function = FunctionRef::new(7_u8);
        assert_eq!(function.downcast::<u8>().as_deref(), Some(&7));
        assert!(function.downcast::<u16>().is_none());
        assert_eq!(function, function.clone());
        assert_ne!(function, FunctionRef::new(7_u8));
    }
}
