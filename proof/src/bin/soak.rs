//! Runs everything that the engine does, at once and for long, and accounts for every request.

#[cfg(target_os = "linux")]
mod linux {
    use clap::Parser;
    use proof::common::watchdog;
    use proof::mill::quiet_panics;
    use proof::soak::{self, Options};
    use std::process::ExitCode;
    use std::time::Duration;

    /// Runs everything that the engine does, at once and for long, and accounts for every request.
    #[derive(Debug, Parser)]
    struct Args {
        /// How long to go on.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
        minutes: u64,
        /// Of the random numbers.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Workers of each pipeline, at most.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=64))]
        workers: u64,
    }

    pub fn main() -> ExitCode {
        let args = Args::parse();
        quiet_panics();
        let time = Duration::from_secs(60 * args.minutes);
        let _dog = watchdog(60 * args.minutes + 120);
        let options = Options { time, seed: args.seed, workers: args.workers as usize };
        match soak::run(&options) {
            Ok(summary) => {
                println!("{summary}");
                if summary.peaks.has_grown() {
                    eprintln!("soak: the second half took more memory than the first");
                }
                ExitCode::from(u8::from(summary.peaks.has_grown()))
            }
            Err(error) => {
                eprintln!("soak: {error} (seed {})", args.seed);
                ExitCode::FAILURE
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("soak: memory is read on Linux alone");
}
