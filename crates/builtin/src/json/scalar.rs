//! What a value of JSON is.

use super::text::unescape;
use std::borrow::Cow;

/// A value that was checked. Arrays and objects are left as they stand.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean(bool),
    /// A number without a fraction and an exponent that fits.
    Integer(i64),
    /// One that is larger.
    Unsigned(u64),
    /// Any other number.
    Number(f64),
    /// A string.
    Text(Cow<'a, str>),
    /// An array.
    Array(&'a str),
    /// An object.
    Object(&'a str),
}

impl<'a> Scalar<'a> {
    /// Of the text of a value, without white space around it.
    pub(crate) fn read(raw: &'a str) -> Self {
        match raw.as_bytes().first() {
            Some(b't') => Self::Boolean(true),
            Some(b'f') => Self::Boolean(false),
            Some(b'"') => Self::Text(unescape(raw.get(1..raw.len() - 1).unwrap_or_default())),
            Some(b'[') => Self::Array(raw),
            Some(b'{') => Self::Object(raw),
            Some(b'-' | b'0'..=b'9') => Self::number(raw),
            _ => Self::Null,
        }
    }

    fn number(raw: &str) -> Self {
        if let Ok(number) = raw.parse() {
            return Self::Integer(number);
        }
        match raw.parse() {
            Ok(number) => Self::Unsigned(number),
            // A number that is too large for one is infinite.
            Err(_) => Self::Number(raw.parse().unwrap_or(f64::NAN)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_they_are() {
        let cases = [
            ("null", Scalar::Null),
            ("true", Scalar::Boolean(true)),
            ("false", Scalar::Boolean(false)),
            ("-9223372036854775808", Scalar::Integer(i64::MIN)),
            ("18446744073709551615", Scalar::Unsigned(u64::MAX)),
            ("18446744073709551616", Scalar::Number(18_446_744_073_709_551_616.0)),
            ("-1.5e3", Scalar::Number(-1500.0)),
            ("1.0", Scalar::Number(1.0)),
            ("1e999", Scalar::Number(f64::INFINITY)),
            (r#""a\n""#, Scalar::Text("a\n".into())),
            ("[1]", Scalar::Array("[1]")),
            ("{}", Scalar::Object("{}")),
        ];
        for (raw, value) in cases {
            assert_eq!(Scalar::read(raw), value, "{raw}");
        }
    }
}
