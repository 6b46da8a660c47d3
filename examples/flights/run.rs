//! A run: opens everything, starts the threads, and agrees on the end.

use crate::cli::Args;
use crate::collect::Collector;
use crate::failure::{Failure, Failures};
use crate::flight::Flight;
use crate::input::{Source, progress_bar};
use crate::lookup::Lookup;
use crate::machine::{FlightMachine, SAMPLE_EVERY};
use crate::store::Store;
use crate::summary::Summary;
use crate::tally::Tally;
use indicatif::ProgressBar;
use stageline::{Order, Pipeline};
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

/// Reads the inputs into the database.
pub fn run(args: &Args) -> Result<Summary, Failures> {
    let started = Instant::now();
    let inputs = args.inputs();
    let lookup = Arc::new(Lookup::load()?);
    let pipeline = build(args, inputs.len(), &lookup)?;
    let sources = open_all(&inputs)?;
    let store = Mutex::new(Store::create(&args.database(), args.force, &inputs)?);

    let bar = progress_bar(&sources, args.quiet);
    let streamed = stream(&pipeline, &inputs, sources, &lookup, &store, &bar);
    bar.finish_and_clear();
    let (read, mut tally) = streamed?;

    let stats = pipeline.stats();
    let report = pipeline.report().clone();
    let ledger = pipeline.close();
    let received = tally.rows();
    if (read, read) != (received, ledger.submitted) {
        return Err(Failure::Lost { read, received, ledger }.into());
    }
    if args.strict && tally.malformed > 0 {
        return Err(strict(&tally));
    }
    let finishing = Instant::now();
    let store = store.into_inner().expect("all holders have returned");
    let written = store.finish()?;
    tally.storing += finishing.elapsed();
    Ok(Summary {
        tally,
        lookup,
        stats,
        report,
        ledger,
        written,
        database: args.database(),
        elapsed: started.elapsed(),
    })
}

/// A pipeline with a group for each file.
fn build(
    args: &Args,
    files: usize,
    lookup: &Arc<Lookup>,
) -> Result<Pipeline<FlightMachine>, Failure> {
    let lookup = Arc::clone(lookup);
    let machine = move || FlightMachine::new(Arc::clone(&lookup));
    let mut builder = Pipeline::builder_with(machine, Flight::with_buffer)
        .name("flights")
        .groups(files)
        .sample_every(SAMPLE_EVERY)
        .dag();
    if let Some(workers) = args.workers {
        builder = builder.workers(workers);
    }
    builder.build().map_err(Failure::Build)
}

/// All files, or every one that cannot be opened.
fn open_all(inputs: &[PathBuf]) -> Result<Vec<Source>, Failures> {
    all(inputs.iter().map(|path| Source::open(path)))
}

/// Streams each file through a group of its own, and returns how many rows were read and what
/// became of them.
fn stream(
    pipeline: &Pipeline<FlightMachine>,
    inputs: &[PathBuf],
    sources: Vec<Source>,
    lookup: &Lookup,
    store: &Mutex<Store>,
    bar: &ProgressBar,
) -> Result<(u64, Tally), Failures> {
    let mut groups =
        all(inputs.iter().map(|_| pipeline.open(Order::Submission).map_err(Failure::Group)))?;
    thread::scope(|scope| {
        let mut readers = Vec::new();
        let mut receivers = Vec::new();
        let files = groups.drain(..).zip(sources).zip(inputs).enumerate();
        for (input, ((group, source), path)) in files {
            let (submitter, receiver) = group.split();
            let collector = Collector { input, path, lookup, store };
            readers.push(scope.spawn(move || source.submit_to(submitter, bar)));
            receivers.push(scope.spawn(move || collector.collect(receiver)));
        }
        let read = all(readers.into_iter().map(join));
        let tallies = all(receivers.into_iter().map(join));
        match (read, tallies) {
            (Ok(read), Ok(tallies)) => {
                let mut tally = Tally::default();
                tallies.into_iter().for_each(|other| tally.add(other));
                Ok((read.iter().sum(), tally))
            }
            (read, tallies) => {
                let failed = [read.err(), tallies.err()].into_iter().flatten();
                Err(Failures(failed.flat_map(|failures| failures.0).collect()))
            }
        }
    })
}

/// The thread's result; a panic goes on here.
fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// All values, or all failures.
fn all<T>(results: impl Iterator<Item = Result<T, Failure>>) -> Result<Vec<T>, Failures> {
    let mut values = Vec::new();
    let mut failures = Vec::new();
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(failure) => failures.push(failure),
        }
    }
    if failures.is_empty() { Ok(values) } else { Err(Failures(failures)) }
}

fn strict(tally: &Tally) -> Failures {
    let mut failures: Vec<Failure> = tally.messages().map(Failure::Strict).collect();
    let rows = tally.malformed;
    failures.push(Failure::Strict(format!(
        "{rows} malformed rows with --strict: no database was written"
    )));
    Failures(failures)
}
