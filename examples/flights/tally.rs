//! What the receive ends count.

use crate::flight::{Bucket, Flight};
use crate::machine::Reject;
use arrayvec::ArrayString;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Messages about malformed rows that are kept; the others are counted.
const MESSAGES_MAX: usize = 20;

/// Rows by outcome, and sums over those that are stored.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub written: u64,
    pub cancelled: u64,
    pub diverted: u64,
    pub malformed: u64,
    /// Rows whose airline, or one of whose airports, is not in its table.
    pub unnamed_airline: u64,
    pub unnamed_airport: u64,
    /// By the bucket's place in [`Bucket::ALL`].
    pub buckets: [u64; Bucket::ALL.len()],
    pub carriers: BTreeMap<ArrayString<2>, Delays>,
    /// Time that the receive end has held the store.
    pub storing: Duration,
    messages: Vec<String>,
}

/// The delays of a set of flights.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delays {
    pub flights: u64,
    pub minutes: i64,
}

impl Delays {
    /// The mean delay in minutes; 0 of no flights.
    pub fn mean(self) -> f64 {
        self.minutes as f64 / self.flights.max(1) as f64
    }

    fn add(&mut self, other: Self) {
        self.flights += other.flights;
        self.minutes += other.minutes;
    }
}

impl Tally {
    /// Rows that were received.
    pub fn rows(&self) -> u64 {
        self.written + self.cancelled + self.diverted + self.malformed
    }

    /// The delays of all stored flights.
    pub fn delays(&self) -> Delays {
        let mut all = Delays::default();
        self.carriers.values().for_each(|delays| all.add(*delays));
        all
    }

    /// Counts a stored flight.
    pub fn count_flight(&mut self, flight: &Flight) {
        self.written += 1;
        self.unnamed_airline += u64::from(flight.airline.is_none());
        let airports = [flight.origin_airport, flight.dest_airport];
        self.unnamed_airport += u64::from(airports.iter().any(Option::is_none));
        self.buckets[flight.bucket as usize] += 1;
        self.carriers
            .entry(flight.carrier)
            .or_default()
            .add(Delays { flights: 1, minutes: i64::from(flight.late_by) });
    }

    /// Counts a rejected row of this file.
    pub fn count_reject(&mut self, path: &Path, reject: &Reject) {
        match reject {
            Reject::Cancelled => self.cancelled += 1,
            Reject::Diverted => self.diverted += 1,
            Reject::Malformed(malformed) => {
                self.malformed += 1;
                if self.messages.len() < MESSAGES_MAX {
                    let (path, line) = (path.display(), malformed.line);
                    self.messages.push(format!("{path}:{line}: {malformed}"));
                }
            }
        }
    }

    /// Adds another file's tally.
    pub fn add(&mut self, other: Self) {
        self.written += other.written;
        self.cancelled += other.cancelled;
        self.diverted += other.diverted;
        self.malformed += other.malformed;
        self.unnamed_airline += other.unnamed_airline;
        self.unnamed_airport += other.unnamed_airport;
        self.storing += other.storing;
        for (own, other) in self.buckets.iter_mut().zip(other.buckets) {
            *own += other;
        }
        for (carrier, delays) in other.carriers {
            self.carriers.entry(carrier).or_default().add(delays);
        }
        self.messages.extend(other.messages);
        self.messages.truncate(MESSAGES_MAX);
    }

    /// One message for each malformed row, up to a bound.
    pub fn messages(&self) -> impl Iterator<Item = String> + '_ {
        let more = self.malformed - self.messages.len() as u64;
        let rest = (more > 0).then(|| format!("{more} more malformed rows"));
        self.messages.iter().cloned().chain(rest)
    }
}
