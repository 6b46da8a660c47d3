//! The command line.

use clap::Parser;
use std::path::{Path, PathBuf};

/// The files that are read if no other is named.
const SLICE: [&str; 3] = ["january-EWR.csv.gz", "january-JFK.csv.gz", "january-LGA.csv.gz"];

/// Reads flight records through a staged pipeline into an SQLite database.
#[derive(Debug, Parser)]
pub struct Args {
    /// Files to read: .csv, .csv.gz, or a .zip with one file in it; all are read at once [default:
    /// the flights of January 2013 that come with the example, in three files]
    #[arg(short, long = "input", value_name = "PATH", num_args = 1..)]
    inputs: Vec<PathBuf>,

    /// Database to write [default: stageline-flights.db in the directory for temporary files]
    #[arg(short, long, value_name = "PATH")]
    database: Option<PathBuf>,

    /// Replace the file at the database's place even if this example did not write it
    #[arg(long)]
    pub force: bool,

    /// Fail if any row is malformed, and write no database
    #[arg(long)]
    pub strict: bool,

    /// Workers of the pipeline [default: one for each CPU but one]
    #[arg(short, long, value_name = "N")]
    pub workers: Option<usize>,

    /// No progress bar and no warnings
    #[arg(short, long)]
    pub quiet: bool,

    /// Print how the pipeline was set up, and its ledger, to stderr
    #[arg(short, long)]
    pub verbose: bool,
}

impl Args {
    /// The files to read.
    pub fn inputs(&self) -> Vec<PathBuf> {
        if !self.inputs.is_empty() {
            return self.inputs.clone();
        }
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flights/data");
        SLICE.iter().map(|name| data.join(name)).collect()
    }

    /// The database to write.
    pub fn database(&self) -> PathBuf {
        self.database.clone().unwrap_or_else(|| std::env::temp_dir().join("stageline-flights.db"))
    }
}
