//! Transforms.
//!
//! One file each. Those that read fields or take expressions stand on `expression`. Statuses of failures are the
//! same for all, so that a count by status says what is wrong with messages.

mod attributes;
mod batch;
mod csv_to_json;
mod dedupe;
mod gunzip;
mod gzip;
mod json;
mod key;
mod lookup;
mod rate_limit;
mod regex;
mod sample;
mod template;

use crate::Builtin;
use crate::expression::{Expression, Places, WriteError};
use crate::factory::{answer, builtin, too_large};
use crate::json::Malformed;
use crate::status::{NO_VALUE, NOT_JSON};
use stageline_component::{AttributeError, Message, Report, Value};
use std::fmt;

pub(crate) const ALL: &[Builtin] = &[
    builtin::<attributes::Set>(),
    builtin::<batch::Batch>(),
    builtin::<csv_to_json::CsvToJson>(),
    builtin::<dedupe::Dedupe>(),
    builtin::<gunzip::Gunzip>(),
    builtin::<gzip::Gzip>(),
    builtin::<json::Json>(),
    builtin::<lookup::Lookup>(),
    builtin::<rate_limit::RateLimit>(),
    builtin::<regex::Extract>(),
    builtin::<sample::Sample>(),
    builtin::<template::Render>(),
];

#[cold]
fn not_json(message: &mut Message, error: Malformed) -> Report {
    answer(message, NOT_JSON, format_args!("not a JSON object: {error}"))
}

/// `attribute` is the one that the expression stands in.
#[cold]
fn no_value(message: &mut Message, attribute: &str, error: impl fmt::Display) -> Report {
    answer(message, NO_VALUE, format_args!("`{attribute}`: {error}"))
}

#[cold]
fn not_written(message: &mut Message, attribute: &str, error: WriteError) -> Report {
    match error {
        WriteError::Failed(error) => no_value(message, attribute, error),
        WriteError::TooLarge(error) => too_large(message, error),
    }
}

/// What a name is set to.
enum Setting<C> {
    Constant(C),
    Expression(Expression),
}

impl<C> Setting<C> {
    /// A text is an expression, everything else a constant, which `constant` makes of it or says what is expected.
    fn new(
        attribute: &str,
        value: &Value,
        places: &mut Places,
        constant: impl FnOnce(&Value) -> Result<C, &'static str>,
    ) -> Result<Self, AttributeError> {
        let wrong = |what: String| AttributeError::invalid(attribute, value, what);
        match value {
            Value::Text(source) => {
                Expression::new(source, places).map(Self::Expression).map_err(wrong)
            }
            other => constant(other).map(Self::Constant).map_err(|what| wrong(what.to_owned())),
        }
    }
}
