//! Makes objects of records of comma-separated values.

use crate::codec::HEADER;
use crate::factory::{Plan, answer, defaulted, optional, texts, too_large};
use crate::json::{self, write_string};
use crate::status::{NO_HEADER, NO_RECORD, NOT_OF_TYPE};
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use stageline_component::{
    AttributeError, AttributeKind, Attributes, Buffer, Component, Error, Kind, Message, Report,
    Spec, TooLarge, Value,
};
use std::sync::Arc;

/// How many fields a record has at most.
const FIELDS_MAX: usize = 10_000;

static SPEC: Spec = Spec {
    name: "csv_to_json",
    kind: Kind::Transform,
    summary: "Makes JSON objects of records of comma-separated values",
    attributes: &[
        optional(
            "header",
            AttributeKind::List,
            "The names of the fields. Without it, each message has them in its attribute `csv.header`.",
        ),
        defaulted(
            "delimiter",
            AttributeKind::Text,
            ",",
            "What stands between two fields: one ASCII character.",
        ),
        optional(
            "types",
            AttributeKind::Map,
            "What fields are, by name: `text`, `integer`, `number` or `boolean`.",
        ),
        defaulted(
            "infer",
            AttributeKind::Boolean,
            "false",
            "Whether fields without a type that look like a number of JSON, `true` or `false` are one.",
        ),
        optional(
            "null",
            AttributeKind::List,
            "The texts that stand for no value. Without it, the empty one.",
        ),
        defaulted(
            "null_as",
            AttributeKind::OneOf(&["null", "absent"]),
            "null",
            "What such a field becomes: null, or none.",
        ),
    ],
    doc: r#"
    s.csv_to_json { header = { "carrier", "flight", "dep_delay" }, types = { dep_delay = "integer" }, null = { "", "NA" } }
    s.csv_to_json { infer = true }

Each message is one record, quoted as in RFC 4180; a line end behind it is left out. Fields are texts, unless `types` or
`infer` says something else. Numbers keep their digits: `1.50` stays `1.50`, and `007` is no number for `infer`, so that it
stays a text. Quotes make no difference to that.

A message without a header fails with the status 215. One whose record has another number of fields than the header,
that is more than one record or no UTF-8 fails with 216. A field that is not what its type says makes the message fail
with 217 and is named, and one whose result is larger than a message may be with 201. Nothing is allocated for a message, unless its header is another than that of the one before.
"#,
};

/// What becomes of records.
#[derive(Clone)]
pub(crate) struct CsvToJson(Arc<Shared>);

struct Shared {
    header: Option<Vec<String>>,
    delimiter: u8,
    types: Vec<(String, Type)>,
    infer: bool,
    null: Vec<String>,
    null_is_absent: bool,
}

/// What a field is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Type {
    Text,
    Integer,
    Number,
    Boolean,
    /// What it looks like.
    Inferred,
}

const TYPES: [(&str, Type); 4] = [
    ("text", Type::Text),
    ("integer", Type::Integer),
    ("number", Type::Number),
    ("boolean", Type::Boolean),
];

impl Plan for CsvToJson {
    const SPEC: &'static Spec = &SPEC;

    fn new(attributes: &Attributes) -> Result<Self, Error> {
        let header =
            attributes.is_set("header").then(|| texts(attributes, "header")).transpose()?;
        if let Some(header) = &header
            && !(1..=FIELDS_MAX).contains(&header.len())
        {
            let value = format!("{} names", header.len()).into();
            let expected = format!("1 to {FIELDS_MAX} names");
            return Err(AttributeError::invalid("header", &value, expected).into());
        }
        let delimiter = attributes.text("delimiter").unwrap_or(",");
        let (&[byte @ (b'\t' | b' '..=b'~')], false) = (delimiter.as_bytes(), delimiter == "\"")
        else {
            let expected = "one ASCII character that is no quote";
            return Err(AttributeError::invalid("delimiter", &delimiter.into(), expected).into());
        };
        let null = if attributes.is_set("null") {
            texts(attributes, "null")?
        } else {
            vec![String::new()]
        };
        Ok(Self(Arc::new(Shared {
            types: types(attributes, header.as_deref())?,
            header,
            delimiter: byte,
            infer: attributes.boolean("infer") == Some(true),
            null,
            null_is_absent: attributes.text("null_as") == Some("absent"),
        })))
    }

    fn component(&self) -> Result<Box<dyn Component>, Error> {
        let shared = Arc::clone(&self.0);
        let record = Record::new(shared.delimiter);
        let mut names = Names::default();
        if let Some(header) = &shared.header {
            names.set(header.iter().map(String::as_str), &shared);
        }
        Ok(Box::new(Converts { shared, record, names, out: Buffer::default() }))
    }
}

fn types(
    attributes: &Attributes,
    header: Option<&[String]>,
) -> Result<Vec<(String, Type)>, AttributeError> {
    let typed = |(name, value): (&String, &Value)| {
        let wrong = |what| AttributeError::invalid(&format!("types.{name}"), value, what);
        if header.is_some_and(|header| !header.contains(name)) {
            return Err(wrong("a field of the header"));
        }
        let text = value.to_text();
        let found = TYPES.iter().find(|(known, _)| Some(*known) == text.as_deref());
        let (_, of) = found.ok_or_else(|| wrong("`text`, `integer`, `number` or `boolean`"))?;
        Ok((name.clone(), *of))
    };
    attributes.map("types").into_iter().flatten().map(typed).collect()
}

/// The record of a message: its fields one behind another, and where each ends.
struct Record {
    reader: Reader,
    fields: Buffer,
    ends: Vec<usize>,
}

impl Record {
    fn new(delimiter: u8) -> Self {
        let reader = ReaderBuilder::new().delimiter(delimiter).build();
        Self { reader, fields: Buffer::default(), ends: vec![0; 64] }
    }

    /// How many fields there are.
    fn read(&mut self, data: &[u8]) -> Result<usize, String> {
        self.reader.reset();
        let no_memory = |error: TooLarge| error.to_string();
        self.fields.resize(data.len() + 1, 0).map_err(no_memory)?;
        let (mut read, mut written, mut count) = (0, 0, 0);
        loop {
            let (result, taken, made, fields) = self.reader.read_record(
                &data[read..],
                &mut self.fields[written..],
                &mut self.ends[count..],
            );
            (read, written, count) = (read + taken, written + made, count + fields);
            match result {
                // At the end of the data the next turn gets nothing, which ends the record.
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputEndsFull if count < FIELDS_MAX => {
                    self.ends.resize((count * 2).min(FIELDS_MAX + 1), 0);
                }
                ReadRecordResult::OutputEndsFull => {
                    return Err(format!("more than {FIELDS_MAX} fields"));
                }
                ReadRecordResult::OutputFull => {
                    self.fields.resize(written * 2, 0).map_err(no_memory)?
                }
                ReadRecordResult::Record | ReadRecordResult::End => break,
            }
        }
        let rest = data[read..].iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
        if let Some(more) = rest {
            return Err(format!("another record at byte {}", read + more));
        }
        self.fields.truncate(written);
        match str::from_utf8(&self.fields) {
            Ok(_) => Ok(count),
            // (Its place in the message, not behind quotes that were taken away.)
            Err(_) => {
                let at =
                    str::from_utf8(data).map_or_else(|error| error.valid_up_to(), |_| data.len());
                Err(format!("invalid UTF-8 at byte {at}"))
            }
        }
    }

    /// The field of this number. (`read` has checked that the whole is UTF-8, and fields end between characters.)
    fn field(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        str::from_utf8(&self.fields[start..self.ends[index]]).unwrap_or_default()
    }
}

/// What the fields are called.
#[derive(Default)]
struct Names {
    /// `"name":`, the name, and the type.
    fields: Vec<(Vec<u8>, String, Type)>,
    /// The attribute that they come from.
    raw: Vec<u8>,
}

impl Names {
    fn set<'a>(&mut self, names: impl Iterator<Item = &'a str>, shared: &Shared) {
        let otherwise = if shared.infer { Type::Inferred } else { Type::Text };
        let field = |name: &str| {
            let typed = shared.types.iter().find(|(known, _)| known == name);
            let mut head = Buffer::default();
            // (There is no limit.)
            let _ = write_string(name, &mut head).and_then(|()| head.push(b':'));
            (head.to_vec(), name.to_owned(), typed.map_or(otherwise, |(_, of)| *of))
        };
        self.fields = names.map(field).collect();
    }
}

struct Converts {
    shared: Arc<Shared>,
    record: Record,
    names: Names,
    out: Buffer,
}

/// Why there is no object.
enum Bad {
    Fails(Report, String),
    TooLarge(TooLarge),
}

impl From<TooLarge> for Bad {
    fn from(error: TooLarge) -> Self {
        Self::TooLarge(error)
    }
}

impl Converts {
    /// Reads the header that came with the message.
    fn header(&mut self, raw: Option<&[u8]>) -> Result<(), Bad> {
        let fails = |what: String| Bad::Fails(NO_HEADER, what);
        let raw = raw.ok_or_else(|| fails(format!("no attribute `{HEADER}`")))?;
        if self.names.raw == raw && !raw.is_empty() {
            return Ok(());
        }
        let read = self.record.read(raw);
        let count = read.map_err(|what| fails(format!("the attribute `{HEADER}` has {what}")))?;
        if count == 0 {
            return Err(fails(format!("the attribute `{HEADER}` is empty")));
        }
        self.names.set((0..count).map(|index| self.record.field(index)), &self.shared);
        raw.clone_into(&mut self.names.raw);
        Ok(())
    }

    fn convert(&mut self, message: &Message) -> Result<(), Bad> {
        if self.shared.header.is_none() {
            self.header(message.attribute(HEADER))?;
        }
        let fails = |what: String| Bad::Fails(NO_RECORD, what);
        let count = self.record.read(message.data()).map_err(fails)?;
        let expected = self.names.fields.len();
        if count != expected {
            return Err(fails(format!("the record has {count} fields, the header {expected}")));
        }
        self.out.clear();
        self.out.push(b'{')?;
        for (index, (head, name, of)) in self.names.fields.iter().enumerate() {
            let field = self.record.field(index);
            let is_null = self.shared.null.iter().any(|null| null == field);
            if is_null && self.shared.null_is_absent {
                continue;
            }
            if self.out.len() > 1 {
                self.out.push(b',')?;
            }
            self.out.extend_from_slice(head)?;
            if is_null {
                self.out.extend_from_slice(b"null")?;
            } else if !write_typed(field, *of, &mut self.out)? {
                let what = format!("`{name}` = {field:?} is no {of:?}").to_lowercase();
                return Err(Bad::Fails(NOT_OF_TYPE, what));
            }
        }
        Ok(self.out.push(b'}')?)
    }
}

/// Whether the field is of its type.
fn write_typed(field: &str, of: Type, out: &mut Buffer) -> Result<bool, TooLarge> {
    let is_number = || {
        field.starts_with(|first: char| first == '-' || first.is_ascii_digit())
            && json::value(field.as_bytes()) == Ok(field)
    };
    let is_boolean = || matches!(field, "true" | "false");
    let as_it_stands = match of {
        Type::Text => false,
        Type::Boolean => is_boolean(),
        Type::Integer => is_number() && field.parse::<i64>().is_ok(),
        Type::Number => is_number(),
        Type::Inferred => is_boolean() || is_number(),
    };
    if as_it_stands {
        out.extend_from_slice(field.as_bytes())?;
    } else if matches!(of, Type::Text | Type::Inferred) {
        write_string(field, out)?;
    } else {
        return Ok(false);
    }
    Ok(true)
}

impl Component for Converts {
    fn handle(&mut self, message: &mut Message) -> Report {
        let made = self.convert(message);
        match made.and_then(|()| Ok(message.data_mut().swap(&mut self.out)?)) {
            Ok(()) => Report::DONE,
            Err(Bad::TooLarge(error)) => too_large(message, error),
            Err(Bad::Fails(report, what)) => answer(message, report, what),
        }
    }
}

#[cfg(test)]
#[path = "csv_to_json_tests.rs"]
mod tests;
