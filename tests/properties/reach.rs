//! How often the cases of a run came to what they are made for.

use super::case::{Case, How};
use super::drive::Report;
use super::model::Ending;
use super::session::Record;
use std::collections::{BTreeMap, HashSet};
use std::fmt;

/// What every run of a few hundred cases comes to, however its threads meet.
const ALWAYS: [&str; 14] = [
    "requests received",
    "done",
    "failed",
    "dropped",
    "cancelled",
    "expired",
    "panicked",
    "cyclic",
    "never filled",
    "received by nobody",
    "groups opened",
    "groups opened again",
    "groups received to the end",
    "pipelines ended with groups open",
];

/// Counts of what was reached.
#[derive(Debug, Default)]
pub struct Reach(BTreeMap<&'static str, u64>);

impl Reach {
    pub fn add(&mut self, case: &Case, report: &Report) {
        self.count("cases", 1);
        let mut opened = HashSet::new();
        for record in &report.records {
            self.count("groups opened", 1);
            self.count("groups opened again", u64::from(!opened.insert(record.group)));
            self.count("groups received to the end", u64::from(record.books.is_some()));
            self.add_record(record);
        }
        let early = case.finish.after.is_some();
        self.count("pipelines ended with groups open", u64::from(early));
        let within = matches!(case.finish.how, How::CloseWithinMillis(_));
        let gave_up = within && report.ledger.is_none();
        self.count("closes that gave up", u64::from(gave_up));
    }

    fn add_record(&mut self, record: &Record) {
        let received = record.got.len() as u64;
        let submitted = record.sent.len() as u64 + record.voids;
        self.count("requests received", received);
        self.count("received by nobody", submitted.saturating_sub(received));
        self.count("never filled", record.voids);
        let in_row = record.got.windows(2).all(|two| {
            two[1].position.wrapping_sub(record.base) > two[0].position.wrapping_sub(record.base)
        });
        self.count("groups received out of order", u64::from(!in_row));
        for got in &record.got {
            let is_begun = !got.trace.visited.is_empty();
            let name = match &got.ending {
                Ending::Done => "done",
                Ending::Failed(..) => "failed",
                Ending::Dropped => "dropped",
                Ending::Cancelled => {
                    self.count("cancelled on the way", u64::from(is_begun));
                    self.count("cancelled with the pipeline", u64::from(!got.cancel_begun));
                    "cancelled"
                }
                Ending::Expired => {
                    self.count("expired on the way", u64::from(is_begun));
                    "expired"
                }
                Ending::Panicked(_) => "panicked",
                Ending::Cyclic(_) => "cyclic",
            };
            self.count(name, 1);
        }
    }

    fn count(&mut self, name: &'static str, more: u64) {
        *self.0.entry(name).or_default() += more;
    }

    /// What should have been reached and was not.
    pub fn missed(&self) -> Vec<&'static str> {
        ALWAYS.into_iter().filter(|name| self.0.get(name).is_none_or(|count| *count == 0)).collect()
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, count)| writeln!(f, "{count:>10} {name}"))
    }
}
