//! What ends a run, with the words for the user.

use crate::flight::Malformed;
use stageline::{BuildError, Ledger, OpenError};
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a run has failed.
#[derive(Debug)]
pub enum Failure {
    /// An input cannot be opened.
    Open { path: PathBuf, source: Box<dyn Error + Send + Sync> },
    /// An input cannot be read on, from this line.
    Read { path: PathBuf, line: u64, source: csv::Error },
    /// An input does not start as a file of flights does.
    Header { path: PathBuf, found: Malformed },
    /// One of the built-in tables cannot be read.
    Table { name: &'static str, source: csv::Error },
    /// The pipeline refuses a value, or cannot be had.
    Build(BuildError),
    /// The pipeline has no group for a file.
    Group(OpenError),
    /// A row ended in a way that no stage asks for.
    Row { path: PathBuf, line: u64, outcome: String },
    /// The three parties have not counted the same number of rows.
    Lost { read: u64, received: u64, ledger: Ledger },
    /// The place of the database is taken.
    Taken { path: PathBuf, by: &'static str },
    /// The database's file cannot be made or put in its place.
    Place { path: PathBuf, source: io::Error },
    /// SQLite has failed.
    Database { path: PathBuf, source: rusqlite::Error },
    /// A malformed row, with `--strict`.
    Strict(String),
    /// The summary cannot be printed.
    Print(io::Error),
}

impl Failure {
    /// Whether the arguments are to blame.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Build(BuildError::Invalid(_)))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Read { path, line, source } => write!(f, "{}:{line}: {source}", path.display()),
            Self::Header { path, found } => {
                write!(f, "{}:{}: {found}", path.display(), found.line)
            }
            Self::Table { name, source } => write!(f, "built-in table {name}: {source}"),
            Self::Build(error) => error.fmt(f),
            Self::Group(error) => error.fmt(f),
            Self::Row { path, line, outcome } => {
                write!(f, "{}:{line}: the row was {outcome}", path.display())
            }
            Self::Lost { read, received, ledger } => write!(
                f,
                "{read} rows were read and {received} received, but the pipeline says {ledger}"
            ),
            Self::Taken { path, by } => write!(
                f,
                "{} {by}; name another --database, or replace it with --force",
                path.display()
            ),
            Self::Place { path, source } => {
                write!(f, "cannot write the database {}: {source}", path.display())
            }
            Self::Database { path, source } => {
                write!(f, "cannot write the database {}: {source}", path.display())
            }
            Self::Strict(message) => f.write_str(message),
            Self::Print(error) => write!(f, "cannot print the summary: {error}"),
        }
    }
}

/// All that has gone wrong: files are read at once, so several can fail in one run.
#[derive(Debug)]
pub struct Failures(pub Vec<Failure>);

impl From<Failure> for Failures {
    fn from(failure: Failure) -> Self {
        Self(vec![failure])
    }
}
