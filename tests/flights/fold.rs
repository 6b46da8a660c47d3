//! The figures of the example `flights`, made in another way: one loop over the lines of each file,
//! which takes the columns by name and keeps all rows.

use csv::StringRecord;
use flate2::read::MultiGzDecoder;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Where the slice is that the example comes with.
pub const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/flights/data");

/// The same figures, from one loop over the lines.
#[derive(Default)]
pub struct Fold {
    pub read: u64,
    pub cancelled: u64,
    pub diverted: u64,
    pub unnamed: u64,
    pub scores: i64,
    pub buckets: BTreeMap<&'static str, u64>,
    /// Flights and minutes.
    pub carriers: BTreeMap<String, (u64, i64)>,
    /// The rows as the database has them.
    pub flights: Vec<String>,
    pub rejects: Vec<String>,
}

fn names(table: &str) -> HashMap<String, String> {
    let mut reader = csv::Reader::from_path(Path::new(DATA).join(table)).expect("a table");
    let pair = |row: StringRecord| (row[0].to_owned(), row[1].to_owned());
    reader.records().map(|row| pair(row.expect("a row"))).collect()
}

impl Fold {
    /// Reads the files one after the other.
    pub fn over(files: &[PathBuf]) -> Self {
        let (airlines, airports) = (names("airlines.csv"), names("airports.csv"));
        let mut fold = Self::default();
        for (file, path) in files.iter().enumerate() {
            let mut text = String::new();
            let mut gzip = MultiGzDecoder::new(File::open(path).expect("the slice is there"));
            gzip.read_to_string(&mut text).expect("gzip");
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            for (index, row) in reader.deserialize().enumerate() {
                let row: HashMap<String, String> = row.expect("a row");
                fold.row(file, index + 2, &row, &airlines, &airports);
            }
        }
        fold.flights.sort();
        fold.rejects.sort();
        fold
    }

    fn row(
        &mut self,
        file: usize,
        line: usize,
        row: &HashMap<String, String>,
        airlines: &HashMap<String, String>,
        airports: &HashMap<String, String>,
    ) {
        let text = |column: &str| row[column].as_str();
        let number = |column: &str| -> i64 { row[column].parse().expect("a number") };
        self.read += 1;
        if text("dep_time") == "NA" {
            self.cancelled += 1;
            return self.rejects.push(format!("{file}|{line}|cancelled"));
        }
        if text("arr_delay") == "NA" {
            self.diverted += 1;
            return self.rejects.push(format!("{file}|{line}|diverted"));
        }
        let delay = number("arr_delay");
        let bucket = match delay {
            180.. => "severe",
            45.. => "major",
            15.. => "minor",
            0.. => "on-time",
            _ => "early",
        };
        let score = if delay < 15 { 0 } else { 100 * delay / number("air_time") };
        *self.buckets.entry(bucket).or_default() += 1;
        self.scores += score;
        let dest = airports.get(text("dest"));
        self.unnamed += u64::from(dest.is_none());
        let carrier = self.carriers.entry(text("carrier").to_owned()).or_default();
        *carrier = (carrier.0 + 1, carrier.1 + delay);
        let or_null = |text: &str| if text == "NA" { "null".into() } else { text.to_owned() };
        self.flights.push(format!(
            "{file}|{line}|{}{}|{}|{}|{}|{}|{}|{}|{}|{}-{:02}-{:02} {:02}:{:02}|{}|{delay}|{}|{}|{bucket}|{score}",
            text("carrier"), text("flight"), text("carrier"), airlines[text("carrier")],
            or_null(text("tailnum")), text("origin"), airports[text("origin")], text("dest"),
            dest.map_or("null", String::as_str), text("year"), number("month"), number("day"),
            number("hour"), number("minute"), number("dep_delay"), text("air_time"), text("distance"),
        ));
    }
}
