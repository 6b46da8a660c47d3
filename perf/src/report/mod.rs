//! The results of a run, as they are written, read again, printed, plotted and compared.

pub mod compare;
pub mod date;
pub mod page;
mod plot;
pub mod table;

use crate::audit::Audit;
use crate::meter::Size;
use crate::summary::Spread;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Raised when the shape of the file changes.
pub const FORMAT: u32 = 1;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub format: u32,
    /// When the run began, in UTC.
    pub date: String,
    /// What was typed.
    pub command: String,
    pub size: Size,
    pub processes: u32,
    pub rounds: u32,
    pub audit: Audit,
    /// The engine, the peers, and the compiler.
    pub versions: BTreeMap<String, String>,
    /// Nanoseconds a request or a trip.
    pub scenarios: BTreeMap<String, Measured>,
    /// Round trips of a pass of their own, in which the time of each is taken.
    pub latencies: BTreeMap<String, Latency>,
    /// Calls of the allocator for each request, in a pass of their own.
    pub allocations: BTreeMap<String, f64>,
    /// What was not run, and why.
    pub left_out: BTreeMap<String, String>,
    /// Engine / reference, medians of this run. Below 1 the engine takes less time.
    pub ratios: BTreeMap<String, f64>,
    /// The spread of each ratio over pairs of samples of the same round.
    pub ratio_spreads: BTreeMap<String, Spread>,
}

/// A scenario's samples.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// How its threads stand.
    pub threads: String,
    pub cpus: usize,
    pub spread: Spread,
    /// In the order in which they were taken, process by process.
    pub samples: Vec<f64>,
    /// Repetitions that lost CPU time and were done again.
    pub rejected: u32,
    /// Samples that lost too much all the same, the bound on repetitions being reached.
    pub disturbed: u32,
}

/// Quantiles of single round trips, in nanoseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Latency {
    pub trips: u64,
    /// By the names of [`QUANTILES`](crate::histogram::QUANTILES).
    pub quantiles: BTreeMap<String, u64>,
    /// Passes that lost CPU time and were made again, and those that lost too much all the same: their
    /// uppermost quantiles are the scheduler's.
    pub rejected: u32,
    pub disturbed: u32,
}

impl Report {
    pub fn read(path: &Path) -> Result<Self, String> {
        let why = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| why(&error))?;
        let report: Self = serde_json::from_str(&text).map_err(|error| why(&error))?;
        if report.format != FORMAT {
            return Err(why(&format_args!("format {}, and this is {FORMAT}", report.format)));
        }
        Ok(report)
    }

    pub fn write(&self, path: &Path) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        std::fs::write(path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))
    }
}
