//! The pinned-core measurements: the engine beside the physical limits and its peers, alternating in one
//! run and over several processes, since rings are bimodal (in lock-step or batched).
//!
//! `cargo run --release -p perf` prints, for each scenario, the median and the spread over all
//! repetitions, and the ratio of the medians to its reference; `README.md` says what is measured and how.

mod args;
mod audit;
mod cores;
mod counting;
mod driver;
mod engine;
mod histogram;
mod limits;
mod lost;
mod meter;
mod payload;
mod peers;
mod ratios;
mod report;
mod run;
mod scenarios;
mod summary;

use args::Args;
use clap::Parser;
use report::{Report, compare, page, table};
use std::path::Path;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: counting::Switched = counting::Switched;

/// Something became slower.
const SLOWER: u8 = 1;
/// Nothing could be measured or compared; wrong arguments, too (`clap`).
const FAILED: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.child {
        Some(orders) => measure(orders).map(|()| false),
        None => show(&args),
    };
    match done {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => ExitCode::from(SLOWER),
        Err(error) => {
            eprintln!("perf: {error}");
            ExitCode::from(FAILED)
        }
    }
}

/// What a measuring process does.
fn measure(orders: &str) -> Result<(), String> {
    let orders = serde_json::from_str(orders).map_err(|error| format!("--child: {error}"))?;
    // A wrong result in one thread must end the process: the others would wait for ever.
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        print(info);
        std::process::exit(i32::from(FAILED));
    }));
    scenarios::measure(&orders, |line| {
        println!("{}", serde_json::to_string(&line).expect("plain data"));
    });
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Measures, or reads what was measured, and shows it. Whether something became slower.
fn show(args: &Args) -> Result<bool, String> {
    // Before anything is measured: a file that cannot be read or written is known at once.
    let old = args.compare.as_deref().map(Report::read).transpose()?;
    for path in args.json.iter().chain(&args.html).chain(&args.svg) {
        let opened = std::fs::File::options().append(true).create(true).open(path);
        opened.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let report = match &args.from {
        Some(path) => Report::read(path)?,
        None => run::run(args)?,
    };
    table::print(&report);
    if let Some(path) = &args.json {
        report.write(path)?;
    }
    if let Some(path) = &args.html {
        write(path, &page::of(&report))?;
    }
    if let Some(path) = &args.svg {
        write(path, &page::image_of(&report).ok_or("no throughput was measured")?)?;
    }
    Ok(old.is_some_and(|old| compare::print(&old, &report)))
}
