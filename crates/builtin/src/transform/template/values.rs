//! Values of JSON as variables of a template.

use crate::json::{Scalar, elements, members, unescape};
use minijinja::Value as Variable;
use minijinja::value::{Object, ObjectRepr};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A number that is printed as it stands in the message.
struct Digits(String);

/// What is printed of it, alone and in an array or an object.
impl fmt::Debug for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Object for Digits {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

/// A number that there is no variable for.
#[derive(Debug, PartialEq)]
pub(super) struct NoNumber(pub(super) String);

/// A value that was checked. If it is only printed, numbers keep their digits; else they are such as can be computed
/// with. (The depth has a bound.)
pub(super) fn variable(raw: &str, is_printed: bool) -> Result<Variable, NoNumber> {
    Ok(match Scalar::read(raw) {
        Scalar::Null => Variable::from(()),
        Scalar::Boolean(is_true) => Variable::from(is_true),
        Scalar::Integer(number) if raw != "-0" => Variable::from(number),
        Scalar::Unsigned(number) => Variable::from(number),
        Scalar::Integer(_) | Scalar::Number(_) if is_printed => {
            Variable::from_object(Digits(raw.to_owned()))
        }
        Scalar::Integer(number) => Variable::from(number),
        Scalar::Number(number) => computed(raw, number).ok_or_else(|| NoNumber(raw.to_owned()))?,
        Scalar::Text(text) => Variable::from(text.into_owned()),
        Scalar::Array(raw) => {
            let all = elements(raw).into_iter().map(|raw| variable(raw, is_printed));
            Variable::from(all.collect::<Result<Vec<_>, _>>()?)
        }
        Scalar::Object(raw) => {
            let entry = |(name, raw): (&str, &str)| {
                Ok((unescape(name).into_owned(), variable(raw, is_printed)?))
            };
            Variable::from(
                members(raw).into_iter().map(entry).collect::<Result<BTreeMap<_, _>, _>>()?,
            )
        }
    })
}

/// A whole number of up to 128 bits, or one with a fraction; none that is too large for both.
fn computed(raw: &str, number: f64) -> Option<Variable> {
    if raw.contains(['.', 'e', 'E']) {
        return number.is_finite().then(|| Variable::from(number));
    }
    let whole = raw.parse::<i128>().map(Variable::from);
    whole.or_else(|_| raw.parse::<u128>().map(Variable::from)).ok()
}
