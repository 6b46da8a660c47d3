//! Stops one thread of a running pipeline at a time, and reports whom that holds up.

#[cfg(target_os = "linux")]
mod linux {
    use clap::{Parser, ValueEnum};
    use proof::stalls::{self, Options};
    use stageline::WaitStrategy;
    use std::process::ExitCode;
    use std::time::Duration;

    /// Stops one thread of a running pipeline at a time, and reports whom that holds up.
    #[derive(Debug, Parser)]
    struct Args {
        /// How long to go on.
        #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
        seconds: u64,
        /// How long each stall lasts.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=60_000))]
        stall_ms: u64,
        /// Of the random numbers.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Workers of the pipeline.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=64))]
        workers: u64,
        /// What idle threads do.
        #[arg(long, value_enum, default_value_t = Wait::Park)]
        wait: Wait,
    }

    /// Those that do not spin against the other threads of a small machine.
    #[derive(Clone, Copy, Debug, ValueEnum)]
    enum Wait {
        Park,
        Yield,
    }

    pub fn main() -> ExitCode {
        let args = Args::parse();
        let options = Options {
            time: Duration::from_secs(args.seconds),
            stall: Duration::from_millis(args.stall_ms),
            seed: args.seed,
            workers: args.workers as usize,
            wait: match args.wait {
                Wait::Park => WaitStrategy::SpinThenPark,
                Wait::Yield => WaitStrategy::SpinThenYield,
            },
        };
        match stalls::run(&options) {
            Ok(report) => {
                println!("{report}");
                let contradictions = report.contradictions();
                contradictions.iter().for_each(|what| eprintln!("stalls: {what}"));
                ExitCode::from(u8::from(!contradictions.is_empty()))
            }
            Err(error) => {
                eprintln!("stalls: {error} (seed {})", args.seed);
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
    eprintln!("stalls: threads are stopped on Linux alone");
}
