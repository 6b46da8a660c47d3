//! `stageline run`.

use super::progress::Display;
use super::style::Style;
use super::{CONFIGURATION, FAILED};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use stageline_runner::{Ended, Run, RunError, Script, Summary};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Args {
    /// The script; `-` for stdin.
    file: PathBuf,
    /// The threads that run what computes, in place of what the script says.
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Neither progress nor a summary.
    #[arg(long, short)]
    quiet: bool,
    /// Write the summary as JSON to this file; `-` for stderr.
    #[arg(long, value_name = "FILE")]
    json_summary: Option<PathBuf>,
}

/// Between two looks whether a run is over.
const LOOK: Duration = Duration::from_millis(2);
/// Looks between two at how far it is.
const LOOKS_PER_PROGRESS: u32 = 10;

pub fn run(args: &Args, style: Style) -> ExitCode {
    let mut script = match Script::load(&args.file) {
        Ok(script) => script,
        Err(diagnosis) => {
            style.error(&diagnosis);
            return ExitCode::from(CONFIGURATION);
        }
    };
    if !script.warnings.is_empty() {
        style.warn(&script.warnings);
    }
    if args.workers.is_some() {
        script.plan.options.workers = args.workers;
    }
    let at_most = script.plan.options.drain_at_most;
    // Before the threads, so that none of them gets the signal.
    let signals = match Watch::new() {
        Ok(signals) => signals,
        Err(error) => {
            style.error(&format!("signals cannot be watched: {error}"));
            return ExitCode::from(FAILED);
        }
    };
    let run = match Run::start(script.plan, |text| stageline_runner::say!("stageline: {text}")) {
        Ok(run) => run,
        Err(error) => {
            style.error(&error);
            let is_script = matches!(error, RunError::Plan(_) | RunError::Build(_));
            return ExitCode::from(if is_script { CONFIGURATION } else { FAILED });
        }
    };
    watch(&run, &signals, Display::new(args.quiet), at_most, style);
    let summary = run.wait();
    tell(&summary, args, signals.first(), style)
}

/// Shows progress until the sources have ended.
fn watch(
    run: &Run,
    signals: &Watch,
    mut display: Display,
    at_most: Option<Duration>,
    style: Style,
) {
    let mut stopped: Option<Instant> = None;
    for look in 0_u32.. {
        if run.is_settled() {
            break;
        }
        thread::sleep(LOOK);
        if signals.first() != 0 && stopped.is_none() {
            run.stop();
            stopped = Some(Instant::now());
        }
        if !look.is_multiple_of(LOOKS_PER_PROGRESS) {
            continue;
        }
        let progress = run.progress();
        signals.left.store(progress.total().in_flight(), Ordering::Relaxed);
        if let (Some(stopped), Some(at_most)) = (stopped, at_most)
            && stopped.elapsed() > at_most
        {
            let left = progress.total().in_flight();
            style
                .error(&format!("the end took longer than {at_most:?}: {left} messages were left"));
            std::process::exit(128 + signals.first());
        }
        display.show(&progress);
    }
    display.clear();
}

/// The signals that end a run: the first drains it, the second ends it at once.
struct Watch {
    first: Arc<AtomicI32>,
    /// Messages under way, for who ends at once.
    left: Arc<AtomicU64>,
}

impl Watch {
    fn new() -> std::io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let (first, left) = (Arc::<AtomicI32>::default(), Arc::<AtomicU64>::default());
        let watch = Self { first: Arc::clone(&first), left: Arc::clone(&left) };
        thread::Builder::new().name(String::from("signals")).spawn(move || {
            for signal in signals.forever() {
                if first.swap(signal, Ordering::Relaxed) != 0 {
                    let left = left.load(Ordering::Relaxed);
                    stageline_runner::say!("stageline: ended at once; {left} messages were left");
                    std::process::exit(128 + signal);
                }
                stageline_runner::say!("stageline: ending; a second signal ends at once");
            }
        })?;
        Ok(watch)
    }

    /// The first signal, or 0.
    fn first(&self) -> i32 {
        self.first.load(Ordering::Relaxed)
    }
}

fn tell(summary: &Summary, args: &Args, signal: i32, style: Style) -> ExitCode {
    for trouble in &summary.troubles {
        style.error(trouble);
    }
    if !args.quiet {
        stageline_runner::say!("{}", super::progress::summary(summary));
    }
    if let Some(path) = &args.json_summary {
        let text = super::progress::json(summary);
        let written = match path.to_str() {
            Some("-") => {
                stageline_runner::say!("{text}");
                Ok(())
            }
            _ => std::fs::write(path, text + "\n"),
        };
        if let Err(error) = written {
            style.error(&format!("{}: {error}", path.display()));
            return ExitCode::from(FAILED);
        }
    }
    match &summary.ended {
        Ended::Asked if summary.is_clean() => ExitCode::from(128 + signal as u8),
        _ if summary.is_clean() => ExitCode::SUCCESS,
        _ => ExitCode::from(FAILED),
    }
}
