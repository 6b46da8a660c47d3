//! The SQLite database: rows inserted in batched transactions, into a file that gets its name when
//! it is whole.
//!
//! Until then the file is `.flights-*.partial` beside its place, and is removed if the run fails (one
//! that is killed leaves it). So a transaction need not survive a crash, and its settings are:
//!
//! - `journal_mode = MEMORY`: what a rollback needs is kept in memory, not in a second file;
//! - `synchronous = OFF`: a commit does not wait for the disk; the file is synced once, at the end;
//! - `locking_mode = EXCLUSIVE`: nobody else knows the file.

use crate::failure::Failure;
use crate::flight::Flight;
use crate::lookup::Lookup;
use crate::machine::Reject;
use rusqlite::{Connection, OpenFlags, ToSql, params};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Rows of a transaction.
const BATCH_ROWS: u64 = 4096;
/// Marks a database as written by this example: "flts".
const APPLICATION_ID: i32 = 0x666c_7473;

const SCHEMA: &str = "
    CREATE TABLE inputs (id INTEGER PRIMARY KEY, path TEXT NOT NULL);
    CREATE TABLE flights (
        input INTEGER NOT NULL REFERENCES inputs,
        line INTEGER NOT NULL,
        designator TEXT NOT NULL,
        carrier TEXT NOT NULL,
        airline TEXT,
        tailnum TEXT,
        origin TEXT NOT NULL,
        origin_name TEXT,
        dest TEXT NOT NULL,
        dest_name TEXT,
        scheduled TEXT NOT NULL,
        dep_delay INTEGER,
        arr_delay INTEGER NOT NULL,
        air_time INTEGER NOT NULL,
        distance INTEGER NOT NULL,
        bucket TEXT NOT NULL,
        score INTEGER NOT NULL
    );
    CREATE TABLE rejects (
        input INTEGER NOT NULL REFERENCES inputs,
        line INTEGER NOT NULL,
        reason TEXT NOT NULL,
        message TEXT NOT NULL
    );";

// Values go by position, in the order of the schema: looking names up would take longer than
// inserting.
const INSERT_FLIGHT: &str = "INSERT INTO flights VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
const INSERT_REJECT: &str = "INSERT INTO rejects VALUES (?,?,?,?)";

/// The database's only writer.
pub struct Store {
    connection: Connection,
    file: NamedTempFile,
    target: PathBuf,
    /// Rows of the open transaction.
    pending: u64,
    written: Written,
}

/// What a store has done.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// Rows, rejected ones included.
    pub rows: u64,
    /// Transactions that were committed.
    pub transactions: u64,
}

impl Store {
    /// Starts a database that is to replace `target`, if that may be replaced.
    pub fn create(target: &Path, force: bool, inputs: &[PathBuf]) -> Result<Self, Failure> {
        if let Some(by) = taken_by(target, force) {
            let path = target.to_owned();
            return Err(Failure::Taken { path, by });
        }
        let file = partial_file(target)
            .map_err(|source| Failure::Place { path: target.to_owned(), source })?;
        let failed = |source| Failure::Database { path: target.to_owned(), source };
        let connection = Connection::open(file.path()).map_err(failed)?;
        prepare(&connection, inputs).map_err(failed)?;
        Ok(Self {
            connection,
            file,
            target: target.to_owned(),
            pending: 0,
            written: Written::default(),
        })
    }

    /// Inserts a flight. Text is bound where it lies.
    pub fn insert_flight(
        &mut self,
        input: usize,
        flight: &Flight,
        lookup: &Lookup,
    ) -> Result<(), Failure> {
        let airport = |id| lookup.airport_name(id);
        self.insert(
            INSERT_FLIGHT,
            params![
                input as i64,
                flight.line() as i64,
                flight.designator.as_str(),
                flight.carrier.as_str(),
                flight.airline.map(|id| lookup.airline_name(id)),
                flight.tailnum.as_ref().map(|tailnum| tailnum.as_str()),
                flight.origin.as_str(),
                flight.origin_airport.map(airport),
                flight.dest.as_str(),
                flight.dest_airport.map(airport),
                flight.scheduled.as_str(),
                flight.dep_delay,
                flight.late_by,
                flight.minutes_in_air,
                flight.distance,
                flight.bucket.name(),
                flight.score,
            ],
        )
    }

    /// Inserts the reason why a line is not stored as a flight.
    pub fn insert_reject(
        &mut self,
        input: usize,
        line: u64,
        reject: &Reject,
    ) -> Result<(), Failure> {
        self.insert(
            INSERT_REJECT,
            params![input as i64, line as i64, reject.reason(), reject.to_string(),],
        )
    }

    fn insert(&mut self, sql: &str, values: &[&dyn ToSql]) -> Result<(), Failure> {
        self.try_insert(sql, values).map_err(|source| self.failed(source))
    }

    fn try_insert(&mut self, sql: &str, values: &[&dyn ToSql]) -> rusqlite::Result<()> {
        if self.pending == 0 {
            self.connection.execute_batch("BEGIN")?;
        }
        self.connection.prepare_cached(sql)?.execute(values)?;
        self.pending += 1;
        if self.pending == BATCH_ROWS {
            self.commit()?;
        }
        Ok(())
    }

    fn commit(&mut self) -> rusqlite::Result<()> {
        self.connection.execute_batch("COMMIT")?;
        self.written.rows += self.pending;
        self.written.transactions += 1;
        self.pending = 0;
        Ok(())
    }

    /// Commits the last rows and puts the database in its place.
    pub fn finish(mut self) -> Result<Written, Failure> {
        if self.pending > 0 {
            self.commit().map_err(|source| self.failed(source))?;
        }
        let Self { connection, file, target, written, .. } = self;
        connection
            .close()
            .map_err(|(_, source)| Failure::Database { path: target.clone(), source })?;
        let placed = file.as_file().sync_all().and_then(|()| Ok(file.persist(&target)?));
        placed.map_err(|source| Failure::Place { path: target, source })?;
        Ok(written)
    }

    fn failed(&self, source: rusqlite::Error) -> Failure {
        Failure::Database { path: self.target.clone(), source }
    }
}

/// What stands in the target's place and may not be replaced.
fn taken_by(target: &Path, force: bool) -> Option<&'static str> {
    if target.is_dir() {
        return Some("is a directory");
    }
    if force || fs::symlink_metadata(target).is_err() || is_own(target).unwrap_or(false) {
        return None;
    }
    Some("is there already, and was not written by this example")
}

fn is_own(target: &Path) -> rusqlite::Result<bool> {
    let connection = Connection::open_with_flags(target, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    Ok(id == APPLICATION_ID)
}

/// An empty file in the target's directory, so that it can be moved there in one step.
fn partial_file(target: &Path) -> io::Result<NamedTempFile> {
    let directory = target.parent().filter(|parent| *parent != Path::new(""));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".flights-").suffix(".partial");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // What any new file gets: all that the umask leaves.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(directory.unwrap_or(Path::new(".")))
}

fn prepare(connection: &Connection, inputs: &[PathBuf]) -> rusqlite::Result<()> {
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "journal_mode", "MEMORY")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.execute_batch(SCHEMA)?;
    let mut insert = connection.prepare("INSERT INTO inputs VALUES (?1, ?2)")?;
    for (id, path) in inputs.iter().enumerate() {
        insert.execute((id as i64, path.to_string_lossy()))?;
    }
    Ok(())
}
