//! The stages. What each does to a row, and where the row goes next, by its data.

use crate::flight::{Bucket, Flight, Malformed};
use crate::lookup::Lookup;
use stageline::{Request, Step, state_machine};
use std::fmt::{self, Write};
use std::sync::Arc;

/// From this many minutes on a flight counts as late: the US Department of Transportation's measure.
const LATE_FROM: i16 = 15;
const MAJOR_FROM: i16 = 45;
const SEVERE_FROM: i16 = 180;

/// One row in this many has its stages timed.
pub const SAMPLE_EVERY: u64 = 64;

/// One instance for each worker; the tables are shared.
#[derive(Debug)]
pub struct FlightMachine {
    lookup: Arc<Lookup>,
}

impl FlightMachine {
    pub fn new(lookup: Arc<Lookup>) -> Self {
        Self { lookup }
    }
}

#[state_machine(data = Flight, error = Reject)]
impl FlightMachine {
    /// Text to values; a malformed line ends here.
    #[stage(next = [screen])]
    fn parse(&mut self, flight: &mut Request<'_, Self>) -> Step {
        match flight.parse_line() {
            Ok(()) => flight.next(Self::SCREEN),
            Err(malformed) => flight.fail(Reject::Malformed(malformed)),
        }
    }

    /// Lets only flights through that arrived where they were to.
    #[stage(next = [join])]
    fn screen(&mut self, flight: &mut Request<'_, Self>) -> Step {
        if flight.dep_time.is_none() {
            return flight.fail(Reject::Cancelled);
        }
        let (Some(late_by), Some(minutes_in_air)) = (flight.arr_delay, flight.air_time) else {
            return flight.fail(Reject::Diverted);
        };
        flight.late_by = late_by;
        flight.minutes_in_air = minutes_in_air;
        flight.next(Self::JOIN)
    }

    /// Finds airline and airports, and parts late flights from the others.
    #[stage(next = [on_time, late])]
    fn join(&mut self, flight: &mut Request<'_, Self>) -> Step {
        flight.airline = self.lookup.airline(&flight.carrier);
        flight.origin_airport = self.lookup.airport(&flight.origin);
        flight.dest_airport = self.lookup.airport(&flight.dest);
        if flight.late_by < LATE_FROM {
            flight.next(Self::ON_TIME)
        } else {
            flight.next(Self::LATE)
        }
    }

    /// A flight that is not late has no score.
    #[stage(next = [write])]
    fn on_time(&mut self, flight: &mut Request<'_, Self>) -> Step {
        flight.bucket = if flight.late_by < 0 { Bucket::Early } else { Bucket::OnTime };
        flight.score = 0;
        flight.next(Self::WRITE)
    }

    /// A late flight's score: its delay in percent of the time that it was in the air.
    #[stage(next = [write])]
    fn late(&mut self, flight: &mut Request<'_, Self>) -> Step {
        flight.bucket = match flight.late_by {
            ..MAJOR_FROM => Bucket::Minor,
            MAJOR_FROM..SEVERE_FROM => Bucket::Major,
            SEVERE_FROM.. => Bucket::Severe,
        };
        flight.score = i32::from(flight.late_by) * 100 / i32::from(flight.minutes_in_air);
        flight.next(Self::WRITE)
    }

    /// Writes the columns that are stored as text into the slot's own buffers, ready to be inserted
    /// at the receive end.
    #[stage(next = [])]
    fn write(&mut self, flight: &mut Request<'_, Self>) -> Step {
        let row: &mut Flight = flight;
        row.designator.clear();
        row.scheduled.clear();
        let written = write!(row.designator, "{}{}", row.carrier, row.number).and_then(|()| {
            write!(
                row.scheduled,
                "{}-{:02}-{:02} {:02}:{:02}",
                row.year, row.month, row.day, row.hour, row.minute
            )
        });
        written.expect("the ranges that `parse` allows fit the buffers");
        flight.done()
    }
}

/// Why a row is not stored as a flight.
#[derive(Debug)]
pub enum Reject {
    /// The line is not one of a flight.
    Malformed(Malformed),
    /// The flight did not depart.
    Cancelled,
    /// The flight departed, but did not arrive where it was to.
    Diverted,
}

impl Reject {
    /// The reason in one word, as it is stored and printed.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Cancelled => "cancelled",
            Self::Diverted => "diverted",
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::Cancelled => f.write_str("no departure"),
            Self::Diverted => f.write_str("departed, but no arrival at the destination"),
        }
    }
}
