//! Reads flight records, runs them through a pipeline of six stages, and writes an SQLite database.
//!
//! ```text
//! cargo run --release --example flights                      # the slice in examples/flights/data
//! cargo run --release --example flights -- --input flights.csv.zip --database year.db --strict
//! ```
//!
//! # The way of a row
//!
//! ```text
//!  reader thread            workers of the pipeline                          receiver thread
//!  (one a file)             (shared by all files)                            (one a file)
//!  gzip, CSV ──► slot ──► parse ─► screen ─► join ─┬► on_time ─┬► write ──► INSERT, COMMIT
//!                           │        │             └► late ────┘              counts
//!                           ▼        ▼                                        ▲
//!                       malformed  cancelled, diverted ───────────────────────┘
//! ```
//!
//! Each file is a request group of its own: one thread submits its lines, another receives its rows,
//! in the order of the file. All groups share the workers.
//!
//! - [`input`] reads a line into a buffer and swaps it with the one that the slot holds, so that
//!   after the first lap around the window no row allocates.
//! - [`machine`] has the stages, [`flight`] the payload and its parser, [`lookup`] the joined tables.
//! - [`collect`] receives, [`store`] writes, [`summary`] prints; [`run`] puts all of it together.
//!
//! # Who writes
//!
//! The stage `write` writes a row's columns as the database stores them, into the slot. The receive
//! end inserts them. A worker serves every file and polls for work, so one that waits for a disk or
//! for the lock of SQLite's only writer would hold up all of them. At the receive end it holds up
//! nobody but the reader of the same file, by a full window; and every row comes out there exactly
//! once, however it ended.
//!
//! # What holds at the end
//!
//! The database is made beside its place and moved there when it is whole: all rows committed, the
//! counts of reader, receiver and pipeline in agreement, and the file synced. After any failure, or
//! a malformed row with `--strict`, nothing is moved, and what was in its place is left as it was.
//!
//! # Exit codes
//!
//! 0: done. 1: a failure, or malformed rows with `--strict`. 2: arguments that cannot be used.

mod cli;
mod collect;
mod failure;
mod flight;
mod input;
mod lookup;
mod machine;
mod run;
mod store;
mod summary;
mod tally;

use clap::Parser;
use cli::Args;
use failure::Failure;
use std::io::{self, Write};
use std::process::ExitCode;
use summary::Summary;

fn main() -> ExitCode {
    let args = Args::parse();
    match run::run(&args).and_then(|summary| Ok(print(&args, &summary)?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failures) => {
            for failure in &failures.0 {
                eprintln!("error: {failure}");
            }
            ExitCode::from(if failures.0.iter().all(Failure::is_usage) { 2 } else { 1 })
        }
    }
}

/// The summary on stdout; what is wrong with rows, and details that were asked for, on stderr.
fn print(args: &Args, summary: &Summary) -> Result<(), Failure> {
    if !args.quiet {
        for message in summary.tally.messages() {
            eprintln!("warning: {message}");
        }
    }
    if args.verbose {
        eprintln!("{}\n{}", summary.report, summary.ledger);
    }
    match write!(io::stdout().lock(), "{summary}") {
        // A reader such as `head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(Failure::Print),
    }
}
