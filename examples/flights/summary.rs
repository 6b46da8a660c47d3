//! What a run prints at its end: sections of lines that start with a name and a number.

use crate::flight::Bucket;
use crate::lookup::Lookup;
use crate::machine::SAMPLE_EVERY;
use crate::store::Written;
use crate::tally::{Delays, Tally};
use stageline::{Ledger, Report, Stats};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Airlines in the table of the largest mean delays.
const AIRLINES_SHOWN: usize = 5;

/// A run that has ended well.
pub struct Summary {
    pub tally: Tally,
    pub lookup: Arc<Lookup>,
    pub stats: Stats,
    pub report: Report,
    pub ledger: Ledger,
    pub written: Written,
    pub database: PathBuf,
    pub elapsed: Duration,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.outcomes(f)?;
        self.delays(f)?;
        self.airlines(f)?;
        self.stages(f)?;
        self.rate(f)
    }
}

impl Summary {
    fn outcomes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = &self.tally;
        writeln!(f, "rows by outcome")?;
        for (name, rows, note) in [
            ("read", tally.rows(), ""),
            ("written", tally.written, ""),
            ("cancelled", tally.cancelled, "no departure"),
            ("diverted", tally.diverted, "no arrival at the destination"),
            ("malformed", tally.malformed, "not a line of a flight"),
        ] {
            writeln!(f, "{}", format!("  {name:<16} {rows:>9}  {note}").trim_end())?;
        }
        writeln!(f, "\nwritten without a name (code not in the table)")?;
        writeln!(f, "  {:<16} {:>9}", "airline", tally.unnamed_airline)?;
        writeln!(f, "  {:<16} {:>9}", "airport", tally.unnamed_airport)
    }

    fn delays(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mean = self.tally.delays().mean();
        writeln!(f, "\nflights by delay on arrival (mean {mean:.2} min)")?;
        for (bucket, flights) in Bucket::ALL.iter().zip(self.tally.buckets) {
            writeln!(f, "  {:<16} {flights:>9}", bucket.name())?;
        }
        Ok(())
    }

    fn airlines(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut carriers: Vec<(&str, Delays)> = self
            .tally
            .carriers
            .iter()
            .map(|(carrier, delays)| (carrier.as_str(), *delays))
            .collect();
        carriers.sort_by(|(_, a), (_, b)| b.mean().total_cmp(&a.mean()));
        writeln!(f, "\n{:<18} {:>9} {:>10}", "most delayed", "flights", "mean min")?;
        for (carrier, delays) in carriers.iter().take(AIRLINES_SHOWN) {
            let airline = self.lookup.airline(carrier);
            let name = airline.map_or("(not in the table)", |id| self.lookup.airline_name(id));
            let (flights, mean) = (delays.flights, delays.mean());
            writeln!(f, "  {carrier:<16} {flights:>9} {mean:>10.2}  {name}")?;
        }
        Ok(())
    }

    fn stages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{:<18} {:>9} {:>10} {:>10}", "stages", "entered", "mean", "p99")?;
        for stage in &self.stats.stages {
            let micros = |time: Option<Duration>| match time {
                Some(time) => format!("{:.2} us", time.as_nanos() as f64 / 1e3),
                None => "-".into(),
            };
            let (mean, p99) = (micros(stage.run.mean()), micros(stage.run.quantile(0.99)));
            let (name, entered) = (&stage.name, stage.entered);
            writeln!(f, "  {name:<16} {entered:>9} {mean:>10} {p99:>10}")?;
        }
        writeln!(f, "  (mean and p99 are of one row in {SAMPLE_EVERY})")
    }

    fn rate(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        let rate = self.tally.rows() as f64 / seconds;
        let Written { rows, transactions } = self.written;
        writeln!(f, "\nrun")?;
        writeln!(f, "  {:<16} {seconds:>9.3} s", "elapsed")?;
        writeln!(f, "  {:<16} {rate:>9.0} rows/s", "rate")?;
        writeln!(f, "  {:<16} {:>9}", "workers", self.stats.workers.len())?;
        let storing = self.tally.storing.as_secs_f64();
        writeln!(f, "  {:<16} {storing:>9.3} s at the database", "storing")?;
        writeln!(f, "  {:<16} {transactions:>9}  of {rows} rows", "transactions")?;
        writeln!(f, "  {:<16} {}", "database", self.database.display())
    }
}
