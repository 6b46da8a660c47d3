//! The pinned-core measurements: the engine beside the physical limits, alternating in one run and
//! over several processes, since rings are bimodal (in lock-step or batched).
//!
//! `cargo run --release -p perf` prints, for each scenario, the median and the spread over all
//! repetitions, and the ratio of the medians to its reference.

mod cores;
mod limits;
mod payload;
mod scenarios;
mod summary;

use clap::Parser;
use std::process::{Command, ExitCode, Stdio};
use summary::{Samples, print_table};

/// Measures stageline against the physical limits of this machine.
#[derive(Debug, Parser)]
struct Args {
    /// Processes to run one after the other.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    processes: u32,
    /// Rounds in each process; every round measures every scenario once.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Only the scenarios whose name contains this, and their references.
    #[arg(long)]
    only: Option<String>,
    /// Measure in this process and print one sample a line (what the parent process reads).
    #[arg(long, hide = true)]
    child: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let only = args.only.as_deref().unwrap_or("");
    if args.child {
        return match scenarios::measure(args.rounds, only) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("perf: {error}");
                ExitCode::FAILURE
            }
        };
    }
    match run_processes(&args, only) {
        Ok(samples) => {
            println!("{}", cores::describe());
            print_table(&samples);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("perf: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the measuring processes one after the other and collects what they print.
fn run_processes(args: &Args, only: &str) -> Result<Samples, String> {
    let own =
        std::env::current_exe().map_err(|error| format!("no path of this program: {error}"))?;
    let mut samples = Samples::default();
    for process in 1..=args.processes {
        let output = Command::new(&own)
            .args(["--child", "--rounds", &args.rounds.to_string(), "--only", only])
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("process {process} could not be started: {error}"))?;
        if !output.status.success() {
            return Err(format!("process {process} failed: {}", output.status));
        }
        samples.read(&String::from_utf8_lossy(&output.stdout))?;
    }
    Ok(samples)
}
