//! Tables of SQLite.

use super::batch::{BATCH, Batched, FLUSH_EVERY, Failure, Limits, Target};
use super::row::{COLUMNS, Columns, Rows, VALUES};
use crate::factory::{Plan, THREADS, defaulted, optional, required, texts, threads};
use crate::status::{DATABASE_BUSY, ROWS_REFUSED};
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, ErrorCode, TransactionBehavior, params_from_iter};
use stageline_component::{
    AttributeError, AttributeKind, Attributes, Component, Error, Kind, Message, Report, Spec,
};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// A batch whose values take so many bytes is written.
const BYTES_MAX: usize = 4 << 20;

/// How long is waited before a database that another connection holds is opened again.
const PAUSE: Duration = Duration::from_millis(10);

/// How long may be waited for other connections.
const TIMEOUT_MOST: Duration = Duration::from_secs(3_600);

static SPEC: Spec = Spec {
    name: "sqlite",
    kind: Kind::Sink,
    summary: "Writes messages to a table of an SQLite database",
    attributes: &[
        required("path", AttributeKind::Text, "The file of the database."),
        required("table", AttributeKind::Text, "The table."),
        COLUMNS,
        VALUES,
        defaulted(
            "create",
            AttributeKind::Boolean,
            "false",
            "Whether to create the table, with columns of no type, if it is not there.",
        ),
        optional(
            "key",
            AttributeKind::List,
            "For `create`: the columns of the primary key. With it and `on_conflict = \"replace\"` a row that comes again \
             takes its own place.",
        ),
        defaulted(
            "on_conflict",
            AttributeKind::OneOf(&["fail", "ignore", "replace"]),
            "fail",
            "What becomes of a row that a constraint forbids: its whole batch fails, it is left out, or it takes the \
             place of the other one.",
        ),
        defaulted(
            "wal",
            AttributeKind::Boolean,
            "true",
            "Whether the database gets a write-ahead log, so that others can read while it is written.",
        ),
        defaulted(
            "timeout",
            AttributeKind::Duration,
            "5s",
            "How long other connections that write are waited for, up to 1h: with each batch, and when it is opened.",
        ),
        BATCH,
        FLUSH_EVERY,
        THREADS,
    ],
    doc: "\
Writes each message as a row. A batch of messages is a transaction: they are done when it is committed. If a row
cannot be written, nothing of the batch is, and all of it fails (status 226); while another connection holds the
database, or the disk is full, all of it is retried (status 124). A message that is no JSON object although columns
need fields, or one of more than 128 levels (status 210), or for which a column has no value (211), fails alone. A field that is not there is NULL.

Numbers, texts and booleans (as 0 and 1) are what they are; arrays and objects are JSON texts, whole numbers above
the 64 bits of SQLite texts. Where rows may come twice, after a crash, say, a key and `on_conflict = \"ignore\"` leave
one of them. The values of a batch are kept in memory of their own, which is allocated for each text.

```lua
local s = require(\"stageline\")
s.pipeline {
  s.stdin { codec = \"ndjson\" },
  s.sqlite {
    path = \"flights.db\", table = \"delays\", create = true,
    columns = { \"carrier\", \"delay\", \"file\" },
    values = { delay = \"dep_delay + arr_delay\", file = 'attributes[\"file.path\"]' },
  },
}
```
",
};

pub(super) struct Sqlite {
    path: PathBuf,
    table: String,
    columns: Columns,
    creates: bool,
    key: Vec<String>,
    insert: String,
    has_log: bool,
    timeout: Duration,
    limits: Limits,
    threads: usize,
}

/// A name as SQL has it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Plan for Sqlite {
    const SPEC: &'static Spec = &SPEC;

    fn new(attributes: &Attributes) -> Result<Self, Error> {
        let text = |name| {
            let text = attributes.text(name).unwrap_or_default();
            match text.is_empty() || text.contains('\0') {
                true => Err(AttributeError::invalid(name, &text.into(), "a name")),
                false => Ok(text.to_owned()),
            }
        };
        let (path, table) = (text("path")?.into(), text("table")?);
        let timeout = attributes.duration("timeout").unwrap_or_default();
        if timeout > TIMEOUT_MOST {
            let value = timeout.as_secs_f64().into();
            return Err(AttributeError::invalid("timeout", &value, "up to 1h").into());
        }
        let columns = Columns::of(attributes)?;
        let or = match attributes.text("on_conflict") {
            Some("ignore") => " OR IGNORE",
            Some("replace") => " OR REPLACE",
            _ => "",
        };
        let names: Vec<_> = columns.names().map(quoted).collect();
        let marks = vec!["?"; names.len()].join(", ");
        let insert =
            format!("INSERT{or} INTO {} ({}) VALUES ({marks})", quoted(&table), names.join(", "));
        let key = texts(attributes, "key")?;
        if let Some(name) =
            key.iter().find(|name| !columns.names().any(|column| column == name.as_str()))
        {
            return Err(AttributeError::invalid(
                "key",
                &name.as_str().into(),
                "columns of the table",
            )
            .into());
        }
        Ok(Self {
            path,
            table,
            key,
            columns,
            creates: attributes.boolean("create") == Some(true),
            insert,
            has_log: attributes.boolean("wal") == Some(true),
            timeout,
            limits: Limits::of(attributes)?,
            threads: threads(attributes)?,
        })
    }

    fn component(&self) -> Result<Box<dyn Component>, Error> {
        let database = self.open().map_err(|error| {
            let mut text = format!("sqlite: cannot write {:?} in {:?}", self.table, self.path);
            if is_held(&error) {
                text += &format!(": another connection has held it for {:?}", self.timeout);
            }
            Error::with_source(text, error)
        })?;
        let rows = self.columns.rows();
        let width = self.columns.names().len();
        let table = Table { database, insert: self.insert.clone(), rows, width };
        Ok(Box::new(Batched::new(table, self.limits)))
    }

    fn pool_size(&self) -> Option<usize> {
        Some(self.threads)
    }
}

impl Sqlite {
    /// A table or a column that is not there is found here. SQLite does not wait with each statement until another
    /// connection is done: not where a log is to be begun.
    fn open(&self) -> rusqlite::Result<Connection> {
        let started = Instant::now();
        loop {
            let rest = self.timeout.saturating_sub(started.elapsed());
            match self.try_open(rest) {
                Err(error) if is_held(&error) && !rest.is_zero() => thread::sleep(PAUSE.min(rest)),
                opened => return opened,
            }
        }
    }

    fn try_open(&self, at_most: Duration) -> rusqlite::Result<Connection> {
        let database = Connection::open(&self.path)?;
        database.busy_timeout(at_most)?;
        if self.has_log {
            database.pragma_update(None, "journal_mode", "wal")?;
        }
        if self.creates {
            let names: Vec<_> = self.columns.names().map(quoted).collect();
            let (table, names) = (quoted(&self.table), names.join(", "));
            let key: Vec<_> = self.key.iter().map(|name| quoted(name)).collect();
            let key = if key.is_empty() {
                String::new()
            } else {
                format!(", PRIMARY KEY ({})", key.join(", "))
            };
            database.execute(&format!("CREATE TABLE IF NOT EXISTS {table} ({names}{key})"), ())?;
        }
        database.prepare_cached(&self.insert)?;
        database.busy_timeout(self.timeout)?;
        Ok(database)
    }
}

struct Table {
    database: Connection,
    insert: String,
    rows: Rows,
    width: usize,
}

/// Rows to be written, one behind the other.
#[derive(Default)]
struct Cells {
    cells: Vec<Cell>,
    bytes: usize,
}

impl Target for Table {
    type Batch = Cells;

    fn add(&mut self, message: &mut Message, batch: &mut Cells) -> Result<(), Report> {
        batch.bytes += self.rows.add(message, &mut batch.cells)?;
        Ok(())
    }

    fn is_full(&self, batch: &Cells) -> bool {
        batch.bytes >= BYTES_MAX
    }

    fn clear(&self, batch: &mut Cells) {
        batch.cells.clear();
        batch.bytes = 0;
    }

    fn write(&mut self, batch: &mut Cells) -> Result<(), Failure> {
        let rows = batch.cells.chunks(self.width);
        let (mut row, mut has_all, count) = (0, false, rows.len());
        let insert = || {
            let behavior = TransactionBehavior::Immediate;
            // What is not committed is rolled back.
            let transaction = self.database.transaction_with_behavior(behavior)?;
            let mut statement = transaction.prepare_cached(&self.insert)?;
            for cells in rows {
                row += 1;
                statement.execute(params_from_iter(cells))?;
            }
            drop(statement);
            has_all = true;
            transaction.commit()
        };
        insert().map_err(|error| {
            let text = match row {
                0 => format!("cannot begin to write {}: {error}", rows_of(count)),
                _ if has_all => format!("cannot commit {}: {error}", rows_of(count)),
                _ => format!("row {row} of {count}: {error}"),
            };
            Failure { report: report(&error), text }
        })
    }

    /// Brings what the write-ahead log has into the database, as far as others let it: two connections that close at once
    /// both leave that to the other.
    fn close(&mut self) -> Result<(), Error> {
        let _ = self.database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        Ok(())
    }
}

fn rows_of(count: usize) -> String {
    format!("{count} row{}", if count == 1 { "" } else { "s" })
}

/// Whether it may be better later.
fn report(error: &rusqlite::Error) -> Report {
    let is_full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
    if is_full || is_held(error) { DATABASE_BUSY } else { ROWS_REFUSED }
}

/// Whether another connection holds the database.
fn is_held(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

#[cfg(test)]
#[path = "sqlite_tests.rs"]
mod tests;
