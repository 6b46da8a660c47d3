//! The receive end: takes the rows of a file as they come out of the pipeline, and stores them.

use crate::failure::Failure;
use crate::lookup::Lookup;
use crate::machine::FlightMachine;
use crate::store::Store;
use crate::tally::Tally;
use stageline::{Outcome, Output, Receiver};
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

/// Rows that a receive end stores before it gives the lock to another.
const TURN_ROWS: usize = 256;

/// The receive end of a file.
#[derive(Clone, Copy)]
pub struct Collector<'a> {
    /// Place of the file among the inputs.
    pub input: usize,
    pub path: &'a Path,
    pub lookup: &'a Lookup,
    pub store: &'a Mutex<Store>,
}

impl Collector<'_> {
    /// Stores all that comes out. On a failure the receive end is dropped, and so the submit end is
    /// refused its next line.
    pub fn collect(self, mut receiver: Receiver<FlightMachine>) -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        loop {
            let Ok(first) = receiver.recv() else {
                return Ok(tally);
            };
            let mut store = self.store.lock().expect("the holder does not panic");
            let started = Instant::now();
            self.take(&first, &mut store, &mut tally)?;
            drop(first);
            for _ in 1..TURN_ROWS {
                let Ok(next) = receiver.try_recv() else {
                    break;
                };
                self.take(&next, &mut store, &mut tally)?;
            }
            tally.storing += started.elapsed();
        }
    }

    /// Stores and counts one row.
    fn take(
        &self,
        row: &Output<'_, FlightMachine>,
        store: &mut Store,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        match row.outcome() {
            Outcome::Done => {
                store.insert_flight(self.input, row, self.lookup)?;
                tally.count_flight(row);
            }
            Outcome::Failed { error: reject, .. } => {
                store.insert_reject(self.input, row.line(), reject)?;
                tally.count_reject(self.path, reject);
            }
            // No deadline is set, nothing is cancelled, and no stage drops a row: this is a defect
            // in a stage, and its row must not get lost.
            other => {
                return Err(Failure::Row {
                    path: self.path.to_owned(),
                    line: row.line(),
                    outcome: other.to_string(),
                });
            }
        }
        Ok(())
    }
}
