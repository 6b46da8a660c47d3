//! Files of flights, as the example reads them: through its own machine, in a pipeline.

use crate::flight::{Bucket, COLUMNS, Flight, check_header, line_buffer};
use crate::lookup::Lookup;
use crate::machine::{FlightMachine, Reject, SAMPLE_EVERY};
use csv::ByteRecord;
use stageline::{Order, Outcome, Output, Pipeline};
use std::sync::{Arc, LazyLock};

static LOOKUP: LazyLock<Arc<Lookup>> =
    LazyLock::new(|| Arc::new(Lookup::load().expect("the example's tables")));

/// Reads a file. Each row must end as a flight that says what the row says, or as rejected for a
/// reason that can be shown on one line.
pub fn check(file: &[u8]) {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(file);
    let mut line = line_buffer();
    reader.read_byte_record(&mut line).expect("a file in memory can be read");
    if let Err(malformed) = check_header(&line) {
        check_message(&malformed.to_string());
    }
    let machine = || FlightMachine::new(Arc::clone(&LOOKUP));
    let builder = Pipeline::builder_with(machine, Flight::with_buffer).sample_every(SAMPLE_EVERY);
    let pipeline = builder.workers(1).groups(1).window(4).build().expect("all values are valid");
    let mut group = pipeline.open(Order::Submission).expect("a new pipeline has a free group");
    while reader.read_byte_record(&mut line).expect("as above") {
        let row = line.clone();
        let swapped = group.submit_with(|flight| std::mem::swap(&mut flight.record, &mut line));
        swapped.expect("the window is empty");
        check_row(&row, &group.recv().expect("one is in flight"));
    }
}

fn check_message(message: &str) {
    assert!(!message.contains(char::is_control), "{message:?}");
}

fn check_row(row: &ByteRecord, output: &Output<'_, FlightMachine>) {
    match output.outcome() {
        Outcome::Done => check_flight(row, output),
        Outcome::Failed { error: reject, .. } => {
            check_message(&reject.to_string());
            match reject {
                Reject::Malformed(malformed) => assert!(malformed.column <= COLUMNS.len()),
                Reject::Cancelled => assert_eq!(text(row, "dep_time"), "NA"),
                Reject::Diverted => {
                    let missing = [text(row, "arr_delay"), text(row, "air_time")];
                    assert!(missing.contains(&"NA"), "{row:?}");
                }
            }
        }
        other => panic!("{other:?} of {row:?}"),
    }
}

fn text<'r>(row: &'r ByteRecord, column: &str) -> &'r str {
    let index = COLUMNS.iter().position(|name| *name == column).expect("a column");
    std::str::from_utf8(&row[index]).expect("a row that was accepted is text")
}

/// A row that was taken for a flight, read in another way.
fn check_flight(row: &ByteRecord, flight: &Flight) {
    assert_eq!(row.len(), COLUMNS.len());
    let number = |column| text(row, column).parse::<i64>().expect("a number");
    let (year, month, day) = (number("year"), number("month"), number("day"));
    let (hour, minute) = (number("hour"), number("minute"));
    let scheduled = format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}");
    assert_eq!(*flight.scheduled, *scheduled);
    let designator = format!("{}{}", text(row, "carrier"), number("flight"));
    assert_eq!(*flight.designator, *designator);
    let (late_by, in_air) = (number("arr_delay"), number("air_time"));
    assert_eq!((i64::from(flight.late_by), i64::from(flight.minutes_in_air)), (late_by, in_air));
    let (bucket, score) = match late_by {
        ..0 => (Bucket::Early, 0),
        0..15 => (Bucket::OnTime, 0),
        15..45 => (Bucket::Minor, late_by * 100 / in_air),
        45..180 => (Bucket::Major, late_by * 100 / in_air),
        180.. => (Bucket::Severe, late_by * 100 / in_air),
    };
    assert_eq!((flight.bucket, i64::from(flight.score)), (bucket, score));
}
