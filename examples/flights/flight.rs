//! A flight: the payload of a request, and how its columns are parsed.

use crate::lookup::{AirlineId, AirportId};
use arrayvec::ArrayString;
use csv::ByteRecord;
use std::fmt::{self, Display};
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The columns of a file of flights, in their order.
pub const COLUMNS: [&str; 19] = [
    "year",
    "month",
    "day",
    "dep_time",
    "sched_dep_time",
    "dep_delay",
    "arr_time",
    "sched_arr_time",
    "arr_delay",
    "carrier",
    "flight",
    "tailnum",
    "origin",
    "dest",
    "air_time",
    "distance",
    "hour",
    "minute",
    "time_hour",
];

/// How the source marks a missing value.
const MISSING: &str = "NA";
/// Minutes that a flight can be late, or early: two weeks.
const DELAY: RangeInclusive<i16> = -20_160..=20_160;
/// Characters of a wrong value that a message shows.
const SHOWN_MAX: usize = 40;

/// How late a flight arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bucket {
    /// Before the scheduled time.
    Early,
    /// Less than 15 minutes late.
    #[default]
    OnTime,
    /// Less than 45 minutes late.
    Minor,
    /// Less than three hours late.
    Major,
    /// Three hours late or more.
    Severe,
}

impl Bucket {
    /// All of them, in the order of the delay.
    pub const ALL: [Self; 5] = [Self::Early, Self::OnTime, Self::Minor, Self::Major, Self::Severe];

    /// Its name, as it is stored and printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Early => "early",
            Self::OnTime => "on-time",
            Self::Minor => "minor",
            Self::Major => "major",
            Self::Severe => "severe",
        }
    }
}

/// A row on its way. It lives in its slot and keeps its buffers; each stage fills in its part.
#[derive(Debug)]
pub struct Flight {
    /// The line as it was read.
    pub record: ByteRecord,

    // From `parse`.
    pub year: u16,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub dep_time: Option<u16>,
    pub dep_delay: Option<i16>,
    pub arr_delay: Option<i16>,
    pub air_time: Option<u16>,
    pub distance: u16,
    pub number: u16,
    pub carrier: ArrayString<2>,
    pub tailnum: Option<ArrayString<6>>,
    pub origin: ArrayString<3>,
    pub dest: ArrayString<3>,

    // From `screen`: what only a flight that has arrived has.
    pub late_by: i16,
    pub minutes_in_air: u16,

    // From `join`; `None` if the table does not know the code.
    pub airline: Option<AirlineId>,
    pub origin_airport: Option<AirportId>,
    pub dest_airport: Option<AirportId>,

    // From `on_time` or `late`.
    pub bucket: Bucket,
    pub score: i32,

    // From `write`.
    pub designator: ArrayString<8>,
    pub scheduled: ArrayString<16>,
}

impl Flight {
    /// An empty flight whose buffer holds a usual line without growing.
    pub fn with_buffer() -> Self {
        Self {
            record: line_buffer(),
            year: 0,
            month: 0,
            day: 0,
            hour: 0,
            minute: 0,
            dep_time: None,
            dep_delay: None,
            arr_delay: None,
            air_time: None,
            distance: 0,
            number: 0,
            carrier: ArrayString::new(),
            tailnum: None,
            origin: ArrayString::new(),
            dest: ArrayString::new(),
            late_by: 0,
            minutes_in_air: 0,
            airline: None,
            origin_airport: None,
            dest_airport: None,
            bucket: Bucket::default(),
            score: 0,
            designator: ArrayString::new(),
            scheduled: ArrayString::new(),
        }
    }

    /// Number of the line in its file.
    pub fn line(&self) -> u64 {
        line_of(&self.record)
    }

    /// Takes the columns out of the line. Those that nothing is made of are checked all the same.
    pub fn parse_line(&mut self) -> Result<(), Malformed> {
        let mut columns = Columns::of(&self.record)?;
        self.year = columns.number(1987..=2999)?;
        self.month = columns.number(1..=12)?;
        self.day = columns.number(1..=31)?;
        self.dep_time = columns.optional(Columns::clock)?;
        let _sched_dep_time = columns.clock()?;
        self.dep_delay = columns.optional(|columns| columns.number(DELAY))?;
        let _arr_time = columns.optional(Columns::clock)?;
        let _sched_arr_time = columns.clock()?;
        self.arr_delay = columns.optional(|columns| columns.number(DELAY))?;
        self.carrier = columns.code()?;
        self.number = columns.number(1..=9999)?;
        self.tailnum = columns.optional(Columns::code)?;
        self.origin = columns.code()?;
        self.dest = columns.code()?;
        self.air_time = columns.optional(|columns| columns.number(1..=1440))?;
        self.distance = columns.number(1..=20_000)?;
        self.hour = columns.number(0..=24)?;
        self.minute = columns.number(0..=59)?;
        columns.time_stamp()
    }
}

/// A record that holds a usual line without growing.
pub fn line_buffer() -> ByteRecord {
    ByteRecord::with_capacity(128, COLUMNS.len())
}

fn line_of(record: &ByteRecord) -> u64 {
    record.position().map_or(0, |position| position.line())
}

/// Compares the first line of a file with the expected one.
pub fn check_header(record: &ByteRecord) -> Result<(), Malformed> {
    for (column, name) in COLUMNS.iter().enumerate() {
        let found = record.get(column).unwrap_or_default();
        if found != name.as_bytes() {
            let expected = format!("the header `{name}`");
            return Err(Malformed::new(line_of(record).max(1), column, expected, found));
        }
    }
    Columns::of(record).map(|_| ())
}

/// The columns of a line, one after the other.
struct Columns<'r> {
    record: &'r ByteRecord,
    /// The next one.
    column: usize,
}

impl<'r> Columns<'r> {
    fn of(record: &'r ByteRecord) -> Result<Self, Malformed> {
        let (expected, found) = (COLUMNS.len(), record.len());
        if found == expected {
            return Ok(Self { record, column: 0 });
        }
        Err(Malformed {
            line: line_of(record),
            column: expected.min(found),
            expected: format!("{expected} columns"),
            found: found.to_string(),
        })
    }

    /// What is wrong with the column that was read last.
    fn malformed(&self, expected: impl Into<String>) -> Malformed {
        let column = self.column - 1;
        let line = line_of(self.record);
        Malformed::new(line, column, expected.into(), &self.record[column])
    }

    fn text(&mut self) -> Result<&'r str, Malformed> {
        self.column += 1;
        std::str::from_utf8(&self.record[self.column - 1]).map_err(|_| self.malformed("UTF-8 text"))
    }

    fn number<T>(&mut self, range: RangeInclusive<T>) -> Result<T, Malformed>
    where
        T: FromStr + PartialOrd + Display,
    {
        let parsed = self.text()?.parse().ok();
        parsed.filter(|value| range.contains(value)).ok_or_else(|| {
            self.malformed(format!("a number from {} to {}", range.start(), range.end()))
        })
    }

    /// A time of day, `HHMM` without leading zeros; 2400 is midnight at the day's end.
    fn clock(&mut self) -> Result<u16, Malformed> {
        let time = self.text()?.parse().ok();
        time.filter(|time| *time <= 2400 && *time % 100 < 60)
            .ok_or_else(|| self.malformed("a time from 0 to 2400"))
    }

    /// A code of up to `N` letters and digits.
    fn code<const N: usize>(&mut self) -> Result<ArrayString<N>, Malformed> {
        let text = self.text()?;
        let sound = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let code = sound.then(|| ArrayString::from(text).ok()).flatten();
        code.ok_or_else(|| self.malformed(format!("up to {N} letters and digits")))
    }

    /// An hour in UTC, `2013-01-01T10:00:00Z`.
    fn time_stamp(&mut self) -> Result<(), Malformed> {
        const SHAPE: &[u8; 20] = b"dddd-dd-ddTdd:dd:ddZ";
        let text = self.text()?.as_bytes();
        let fits = |(byte, shape): (&u8, &u8)| match shape {
            b'd' => byte.is_ascii_digit(),
            other => byte == other,
        };
        if text.len() == SHAPE.len() && text.iter().zip(SHAPE).all(fits) {
            return Ok(());
        }
        Err(self.malformed("a time such as 2013-01-01T10:00:00Z"))
    }

    /// What `read` reads, or `None` if the value is missing.
    fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        if &self.record[self.column] == MISSING.as_bytes() {
            self.column += 1;
            return Ok(None);
        }
        read(self).map(Some).map_err(|mut malformed| {
            malformed.expected.push_str(", or NA");
            malformed
        })
    }
}

/// What is wrong with a line. The file is known by the request's group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Number of the line in its file.
    pub line: u64,
    /// Index of the column.
    pub column: usize,
    /// What belongs there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl Malformed {
    fn new(line: u64, column: usize, expected: String, value: &[u8]) -> Self {
        let more = if value.len() > SHOWN_MAX { "..." } else { "" };
        let shown = value[..value.len().min(SHOWN_MAX)].escape_ascii();
        Self { line, column, expected, found: format!("\"{shown}{more}\"") }
    }
}

impl Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}", self.column + 1)?;
        if let Some(name) = COLUMNS.get(self.column) {
            write!(f, " ({name})")?;
        }
        write!(f, ": expected {}, found {}", self.expected, self.found)
    }
}
