//! Messages as rows of a table: what each column is taken from.

use crate::expression::{Expression, Places, Reader, WriteError};
use crate::factory::answer;
use crate::json::{Finder, Scalar};
use crate::status::{NO_VALUE, NOT_JSON};
use rusqlite::types::Value as Cell;
use stageline_component::{
    AttributeError, AttributeKind, AttributeSpec, Attributes, Buffer, Message, Report, Value,
};

/// What stands for the message itself.
const DATA: &str = "@data";

/// How many columns a row has at most.
const COLUMNS_MAX: usize = 1000;

pub(super) const COLUMNS: AttributeSpec = crate::factory::optional(
    "columns",
    AttributeKind::List,
    "The columns, in their order. Each has the field of its name, unless `values` says something else.",
);

pub(super) const VALUES: AttributeSpec = crate::factory::optional(
    "values",
    AttributeKind::Map,
    "What a column has, by its name: an expression over the fields of a JSON object and over `attributes`, or \
     `@data`, the message as it is. Without `columns` these are all columns.",
);

#[derive(Clone)]
enum From {
    Data,
    Expression(Expression),
}

#[derive(Clone)]
struct Column {
    name: String,
    from: From,
}

/// The columns of a table.
#[derive(Clone)]
pub(super) struct Columns {
    places: Places,
    columns: Vec<Column>,
}

impl Columns {
    pub(super) fn of(attributes: &Attributes) -> Result<Self, AttributeError> {
        let values = attributes.map(VALUES.name);
        let text = |name: &str, value: &Value| {
            let text = value.to_text().filter(|text| !text.is_empty());
            text.ok_or_else(|| AttributeError::invalid(name, value, "a text that is not empty"))
        };
        let names = match attributes.list(COLUMNS.name) {
            Some(list) => {
                list.iter().map(|name| text(COLUMNS.name, name)).collect::<Result<_, _>>()?
            }
            None => {
                values.into_iter().flat_map(|values| values.keys().cloned()).collect::<Vec<_>>()
            }
        };
        if names.is_empty() || names.len() > COLUMNS_MAX {
            let value = Value::List(names.into_iter().map(Value::from).collect());
            let expected = format!("1 to {COLUMNS_MAX} columns, or some in `values`");
            return Err(AttributeError::invalid(COLUMNS.name, &value, expected));
        }
        for (index, name) in names.iter().enumerate() {
            // (As SQLite compares them.)
            if names[..index].iter().any(|other| other.eq_ignore_ascii_case(name)) {
                let value = name.as_str().into();
                return Err(AttributeError::invalid(COLUMNS.name, &value, "each column once"));
            }
        }
        let strange = |(name, _): &(&String, &Value)| !names.contains(name);
        if let Some((name, value)) = values.into_iter().flatten().find(strange) {
            let attribute = format!("{}.{name}", VALUES.name);
            return Err(AttributeError::invalid(&attribute, value, "a name that is in `columns`"));
        }
        let mut places = Places::default();
        let mut columns = Vec::new();
        for name in names {
            let attribute = format!("{}.{name}", VALUES.name);
            let given = values.and_then(|values| values.get(&name));
            // A name alone is that of a field, whatever it would be in an expression.
            let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
            let field = || Ok(format!("this[\"{quoted}\"]"));
            let source = given.map_or_else(field, |value| text(&attribute, value))?;
            let from = match source.as_str() {
                DATA => From::Data,
                source => {
                    From::Expression(Expression::new(source, &mut places).map_err(|what| {
                        let attribute = if given.is_some() { &attribute } else { COLUMNS.name };
                        AttributeError::invalid(attribute, &source.into(), what)
                    })?)
                }
            };
            columns.push(Column { name, from });
        }
        Ok(Self { places, columns })
    }

    pub(super) fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    pub(super) fn rows(&self) -> Rows {
        Rows { finder: self.places.finder(), scratch: Buffer::default(), columns: self.clone() }
    }
}

/// Makes rows.
pub(super) struct Rows {
    columns: Columns,
    finder: Finder,
    scratch: Buffer,
}

/// How much memory a cell takes, about.
fn size(cell: &Cell) -> usize {
    size_of::<Cell>()
        + match cell {
            Cell::Text(text) => text.len(),
            Cell::Blob(bytes) => bytes.len(),
            _ => 0,
        }
}

fn cell(json: &str) -> Cell {
    match Scalar::read(json) {
        Scalar::Null => Cell::Null,
        Scalar::Boolean(is_true) => Cell::Integer(i64::from(is_true)),
        Scalar::Integer(number) => Cell::Integer(number),
        // More than an integer of SQLite has; as text it keeps its digits.
        Scalar::Unsigned(number) => Cell::Text(number.to_string()),
        Scalar::Number(number) => Cell::Real(number),
        Scalar::Text(text) => Cell::Text(text.into_owned()),
        Scalar::Array(text) | Scalar::Object(text) => Cell::Text(text.to_owned()),
    }
}

impl Rows {
    /// Appends the cells of a message, and says how much memory they take. Where it cannot be, nothing is appended.
    pub(super) fn add(
        &mut self,
        message: &mut Message,
        cells: &mut Vec<Cell>,
    ) -> Result<usize, Report> {
        let before = cells.len();
        match self.read(message, cells) {
            Ok(()) => Ok(cells[before..].iter().map(size).sum()),
            Err((report, text)) => {
                cells.truncate(before);
                Err(answer(message, report, text))
            }
        }
    }

    fn read(&mut self, message: &Message, cells: &mut Vec<Cell>) -> Result<(), (Report, String)> {
        let Self { columns: Columns { places, columns }, finder, scratch } = self;
        let reader = Reader::new(places, finder, message)
            .map_err(|error| (NOT_JSON, format!("no JSON object: {error}")))?;
        for Column { name, from } in columns {
            let From::Expression(expression) = from else {
                cells.push(match str::from_utf8(message.data()) {
                    Ok(text) => Cell::Text(text.to_owned()),
                    Err(_) => Cell::Blob(message.data().to_vec()),
                });
                continue;
            };
            scratch.clear();
            let wrong = |what: String| (NO_VALUE, format!("column `{name}`: {what}"));
            expression.write_json(&reader, scratch).map_err(|error| match error {
                WriteError::Failed(failed) => wrong(failed.to_string()),
                WriteError::TooLarge(error) => wrong(error.to_string()),
            })?;
            let json = str::from_utf8(scratch).map_err(|error| wrong(error.to_string()))?;
            cells.push(cell(json));
        }
        Ok(())
    }
}
