//! Adds fields out of a table, by a key.

use super::key::{KEY, Key, KeyMaker};
use super::not_json;
use crate::factory::{Plan, answer, defaulted, optional, required, too_large};
use crate::json::{Finder, Paths, write_string};
use crate::status::NOT_FOUND;
use stageline_component::{
    AttributeError, AttributeKind, Attributes, Buffer, Component, Error, Kind, Message, Report,
    Spec, TooLarge, Value,
};
use std::collections::HashMap;
use std::sync::Arc;

/// How many rows a table has at most.
const ROWS_MAX: usize = 10_000_000;

/// How many columns an error names.
const COLUMNS_SHOWN: usize = 20;

/// How many bytes the fields of a row make at most.
const ROW_MAX: usize = 1 << 20;

static SPEC: Spec = Spec {
    name: "lookup",
    kind: Kind::Transform,
    summary: "Adds fields out of a table, by a key",
    attributes: &[
        required(
            "file",
            AttributeKind::Text,
            "The table: a file of comma-separated values whose first record has the names of the columns.",
        ),
        required("column", AttributeKind::Text, "The column of the table in which the keys are."),
        KEY,
        optional(
            "set",
            AttributeKind::Map,
            "Which fields the object gets, each with its column. Without it, all columns but that of the keys, as they \
             are called.",
        ),
        defaulted(
            "missing",
            AttributeKind::OneOf(&["null", "drop", "fail", "pass"]),
            "null",
            "What becomes of a message whose key the table does not have: its fields are null, it is dropped, it fails \
             with the status 218, or it goes on as it is.",
        ),
    ],
    doc: r#"
    s.lookup { file = "airlines.csv", column = "carrier", key = "carrier", set = { airline = "name" } }

The table is read once, when the script is, and kept in memory for all threads. Its values are texts; of rows with the
same key the last counts. The fields are put at the end of the object: one that it has already is there twice then, and
the last counts. Nothing is allocated for a message.

A message that is no JSON object, or has more than 128 levels, fails with the status 210, one whose key has no value with 211, and one that would be larger
than a message may be with 201.
"#,
};

/// What becomes of messages whose key is not there.
#[derive(Clone, Copy, PartialEq)]
enum Missing {
    Null,
    Drop,
    Fail,
    Pass,
}

/// What a row adds, by its key.
type Rows = Arc<HashMap<Box<[u8]>, Box<[u8]>>>;

/// A table, with the fields of each row as they are put at the end of an object.
pub(crate) struct Lookup {
    key: Key,
    rows: Rows,
    missing: Missing,
    /// Null for each field.
    nothing: Arc<[u8]>,
}

impl Plan for Lookup {
    const SPEC: &'static Spec = &SPEC;

    fn new(attributes: &Attributes) -> Result<Self, Error> {
        let path = attributes.text("file").unwrap_or_default();
        let failed = |what: String| Error::new(format!("`file` = {path:?}: {what}"));
        let mut table = csv::Reader::from_path(path).map_err(|error| failed(error.to_string()))?;
        let columns = table.byte_headers().map_err(|error| failed(error.to_string()))?.clone();
        let column_of = |attribute: &str, name: &Value| {
            let text = name.to_text();
            let at = text.and_then(|text| columns.iter().position(|it| it == text.as_bytes()));
            at.ok_or_else(|| AttributeError::invalid(attribute, name, one_of(&columns)))
        };
        let key_column =
            column_of("column", &attributes.text("column").unwrap_or_default().into())?;
        let fields = match attributes.map("set") {
            None => {
                let others = columns.iter().enumerate().filter(|(at, _)| *at != key_column);
                others.map(|(at, name)| (String::from_utf8_lossy(name).into_owned(), at)).collect()
            }
            Some(set) => {
                let field = |(name, column): (&String, &Value)| {
                    Ok::<_, Error>((name.clone(), column_of(&format!("set.{name}"), column)?))
                };
                set.iter().map(field).collect::<Result<Vec<_>, _>>()?
            }
        };
        let row_of = |values: &dyn Fn(usize) -> Option<Vec<u8>>| {
            let mut row = Buffer::new(ROW_MAX);
            for (name, column) in &fields {
                write_field(&mut row, name, values(*column).as_deref())
                    .map_err(|error| failed(error.to_string()))?;
            }
            Ok::<_, Error>(row.as_slice().into())
        };
        let mut rows = HashMap::new();
        for record in table.byte_records() {
            let record = record.map_err(|error| failed(error.to_string()))?;
            if rows.len() == ROWS_MAX {
                return Err(failed(format!("it has more than {ROWS_MAX} rows")));
            }
            let row = row_of(&|column| record.get(column).map(<[u8]>::to_vec))?;
            rows.insert(record.get(key_column).unwrap_or_default().into(), row);
        }
        let nothing: Box<[u8]> = row_of(&|_| None)?;
        Ok(Self {
            key: Key::new(attributes)?,
            rows: Arc::new(rows),
            nothing: nothing.into(),
            missing: match attributes.text("missing") {
                Some("drop") => Missing::Drop,
                Some("fail") => Missing::Fail,
                Some("pass") => Missing::Pass,
                _ => Missing::Null,
            },
        })
    }

    fn component(&self) -> Result<Box<dyn Component>, Error> {
        let Self { key, rows, missing, nothing } = self;
        let (rows, nothing) = (Arc::clone(rows), Arc::clone(nothing));
        let finder = Finder::new(Paths::default());
        Ok(Box::new(Joiner { key: key.maker(), rows, missing: *missing, nothing, finder }))
    }
}

/// What is expected of the name of a column.
fn one_of(columns: &csv::ByteRecord) -> String {
    let shown = columns
        .iter()
        .take(COLUMNS_SHOWN)
        .map(|name| format!("`{}`", String::from_utf8_lossy(name)));
    let shown = shown.collect::<Vec<_>>().join(", ");
    match columns.len().saturating_sub(COLUMNS_SHOWN) {
        _ if columns.is_empty() => String::from("a column of the table, which is empty"),
        0 => format!("a column of the table, which has {shown}"),
        more => format!("a column of the table, which has {shown} and {more} more"),
    }
}

/// `,"name":"value"`; the first one begins with the comma, too.
fn write_field(out: &mut Buffer, name: &str, value: Option<&[u8]>) -> Result<(), TooLarge> {
    out.push(b',')?;
    write_string(name, out)?;
    out.push(b':')?;
    match value {
        Some(value) => write_string(&String::from_utf8_lossy(value), out),
        None => out.extend_from_slice(b"null"),
    }
}

struct Joiner {
    key: KeyMaker,
    rows: Rows,
    missing: Missing,
    nothing: Arc<[u8]>,
    finder: Finder,
}

impl Component for Joiner {
    fn handle(&mut self, message: &mut Message) -> Report {
        let rows = &self.rows;
        let found = match self.key.make(message, |key| rows.get(key)) {
            Ok(found) => found.flatten(),
            Err(report) => return report,
        };
        let fields: &[u8] = match (found, self.missing) {
            (Some(fields), _) => fields,
            (None, Missing::Null) => &self.nothing,
            (None, Missing::Drop) => return Report::DROP,
            (None, Missing::Pass) => return Report::DONE,
            (None, Missing::Fail) => {
                return answer(message, NOT_FOUND, format_args!("the table has no such key"));
            }
        };
        // The key may be an attribute: then nobody has looked at the data yet.
        if let Err(error) = self.finder.find(message.data()) {
            return not_json(message, error);
        }
        match append(message.data_mut(), fields) {
            Ok(()) => Report::DONE,
            Err(error) => too_large(message, error),
        }
    }
}

/// Puts the fields at the end of an object.
fn append(data: &mut Buffer, fields: &[u8]) -> Result<(), TooLarge> {
    let end = data.iter().rposition(|byte| *byte == b'}').unwrap_or_default();
    let last = data[..end].iter().rposition(|byte| !byte.is_ascii_whitespace());
    let is_empty = last.is_some_and(|last| data[last] == b'{');
    let fields = if is_empty { fields.get(1..).unwrap_or_default() } else { fields };
    data.reserve(fields.len() + 1)?;
    data.truncate(end);
    data.extend_from_slice(fields)?;
    data.push(b'}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::testing::{component, refused};
    use std::collections::BTreeMap;
    use std::io::Write;

    fn table(text: &str) -> (tempfile::NamedTempFile, String) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        (file, path)
    }

    const AIRLINES: &str =
        "carrier,name,seat\nUA,United,1\nB6,\"Jet \"\"Blue\"\"\",2\nUA,Untied,3\n";

    fn looked_up(more: &[(&str, Value)], data: &str) -> (Report, String) {
        let (_file, path) = table(AIRLINES);
        let mut all = vec![
            ("file", path.as_str().into()),
            ("column", "carrier".into()),
            ("key", "code".into()),
        ];
        all.extend(more.iter().map(|(name, value)| (*name, value.clone())));
        let mut lookup = component::<Lookup>(&all);
        let mut message = Message::new(16, 1024);
        message.set_data(data.as_bytes()).unwrap();
        let report = lookup.handle(&mut message);
        (report, String::from_utf8(message.data().to_vec()).unwrap())
    }

    fn set(field: &str, column: &str) -> (&'static str, Value) {
        ("set", Value::Map(BTreeMap::from([(field.to_owned(), column.into())])))
    }

    #[test]
    fn fields_are_added() {
        let (report, data) = looked_up(&[], r#"{"code":"B6"} "#);
        assert_eq!(
            (report, data.as_str()),
            (Report::DONE, r#"{"code":"B6","name":"Jet \"Blue\"","seat":"2"}"#)
        );
        let (_, data) = looked_up(&[set("airline", "name")], r#"{"code":"UA"}"#);
        assert_eq!(data, r#"{"code":"UA","airline":"Untied"}"#, "the last row counts");
    }

    #[test]
    fn what_is_missing_is_as_it_is_said() {
        let missing =
            |how: &str, data: &str| looked_up(&[set("x", "seat"), ("missing", how.into())], data);
        let data = r#"{"code":"AA"}"#;
        assert_eq!(missing("null", data), (Report::DONE, r#"{"code":"AA","x":null}"#.to_owned()));
        assert_eq!(missing("null", "{ }"), (Report::DONE, r#"{ "x":null}"#.to_owned()));
        assert_eq!(missing("drop", data).0, Report::DROP);
        assert_eq!(missing("fail", data).0, NOT_FOUND);
        assert_eq!(missing("pass", data), (Report::DONE, data.to_owned()));
        assert_eq!(missing("null", "no object").0.status(), 210);
    }

    #[test]
    fn wrong_tables_are_told() {
        let (_file, path) = table(AIRLINES);
        let of = |path: &str, column: &str| {
            refused::<Lookup>(&[("file", path.into()), ("column", column.into())])
        };
        let absent = of("/absent.csv", "a");
        assert!(absent.starts_with("`file` = \"/absent.csv\": No such file"), "{absent}");
        let columns = "expected a column of the table, which has `carrier`, `name`, `seat`";
        assert_eq!(of(&path, "cod"), format!("`column` = \"cod\": {columns}"));
        let all = [("file", path.as_str().into()), ("column", "carrier".into()), set("x", "nmae")];
        assert_eq!(refused::<Lookup>(&all), format!("`set.x` = \"nmae\": {columns}"));
        let (_file, path) = table("a,b\n1\n");
        assert!(of(&path, "a").starts_with(&format!("`file` = {path:?}: CSV error: record 1")));
        let (_file, path) = table(&["a"; 30].join(","));
        let many = of(&path, "b");
        assert!(many.ends_with("`a`, `a` and 10 more"), "{many}");
        let (_file, path) = table("");
        let none = "`column` = \"a\": expected a column of the table, which is empty";
        assert_eq!(of(&path, "a"), none);
    }
}
