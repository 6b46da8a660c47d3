//! `stageline run`.

use super::progress::Display;
use super::style::Style;
use super::{CONFIGURATION, FAILED};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use stageline_runner::{Ended, Run, RunError, Script, Summary};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
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
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=WORKERS_MAX))]
    workers: Option<u16>,
    /// Neither progress nor a summary.
    #[arg(long, short)]
    quiet: bool,
    /// Write the summary as JSON to this file; `-` for stderr.
    #[arg(long, value_name = "FILE")]
    json_summary: Option<PathBuf>,
}

impl Args {
    /// Whether the summary can be written: to learn it at the end of a long run is too late. What is no file, such as
    /// a pipe, is opened once, at the end.
    fn can_tell(&self) -> Result<(), String> {
        let Some(path) = self.json_summary.as_deref().filter(|path| *path != Path::new("-")) else {
            return Ok(());
        };
        if path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            return Ok(());
        }
        // What an earlier run has told is not this one's, however it ends.
        let opened = OpenOptions::new().write(true).truncate(true).create(true).open(path);
        opened.map(drop).map_err(|error| {
            format!("--json-summary {}: it cannot be written: {error}", path.display())
        })
    }
}

/// The most workers that the engine has.
const WORKERS_MAX: i64 = stageline::limits::WORKERS_MAX as i64;
/// Between two looks whether a run is over.
const LOOK: Duration = Duration::from_millis(2);
/// Looks between two at how far it is.
const LOOKS_PER_PROGRESS: u32 = 10;

pub fn run(args: &Args, style: Style) -> ExitCode {
    let mut script = match Script::load(&args.file) {
        Ok(script) => script,
        Err(diagnosis) => {
            style.tell(&diagnosis);
            return ExitCode::from(CONFIGURATION);
        }
    };
    style.tell(&script.warnings);
    if let Some(workers) = args.workers {
        script.plan.options.workers = Some(usize::from(workers));
    }
    if let Err(error) = args.can_tell() {
        style.error(&error);
        return ExitCode::from(FAILED);
    }
    let at_most = script.plan.options.drain_at_most;
    // Before the threads, so that none of them gets the signal.
    let signals = match Watch::new(at_most) {
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
    watch(&run, &signals, Display::new(args.quiet), at_most);
    let summary = run.wait();
    tell(&summary, args, signals.first(), style)
}

/// Shows progress until the sources have ended and all is settled.
fn watch(run: &Run, signals: &Watch, mut display: Display, at_most: Option<Duration>) {
    let mut at_most = at_most;
    for look in 0_u32.. {
        if run.is_settled() {
            break;
        }
        thread::sleep(LOOK);
        if signals.first() != 0 {
            run.stop();
        }
        if run.is_stopping()
            && signals.first() == 0
            && let Some(at_most) = at_most.take()
        {
            end_within(at_most, &signals.state);
        }
        signals.state.tell(run.in_flight());
        if look.is_multiple_of(LOOKS_PER_PROGRESS) {
            display.show(&run.progress());
        }
    }
    signals.state.tell_the_last();
    display.clear();
}

/// The signals that end a run: the first drains it, the second ends it at once.
struct Watch {
    state: Arc<State>,
}

/// What is known to those who may end the process before the run has.
#[derive(Default)]
struct State {
    first: AtomicI32,
    /// Messages under way at the last look. Written by who watches the run, read by who ends it.
    left: AtomicU64,
    /// The looks, or `OVER`. Written after `left`, with release; who reads it with acquire sees what was left then.
    looks: AtomicU64,
}

/// What follows a signal so closely is the same one: who sends it to a process and to its group, as `timeout` does,
/// sends it twice.
const ECHO: Duration = Duration::from_millis(100);
/// There are no more looks: nothing is under way.
const OVER: u64 = u64::MAX;
/// How long a process that ends at once waits for somebody to read why, and for a look at what is left.
const LAST_WORDS: Duration = Duration::from_millis(100);

impl State {
    fn tell(&self, left: u64) {
        self.left.store(left, Ordering::Relaxed);
        self.looks.fetch_add(1, Ordering::Release);
    }

    fn tell_the_last(&self) {
        self.left.store(0, Ordering::Relaxed);
        self.looks.store(OVER, Ordering::Release);
    }

    /// Messages under way by a look that began after this call.
    fn left(&self) -> u64 {
        let (start, looks) = (Instant::now(), || self.looks.load(Ordering::Acquire));
        let before = looks();
        while looks() - before < 2 && looks() != OVER && start.elapsed() < LAST_WORDS {
            thread::sleep(LOOK);
        }
        self.left.load(Ordering::Relaxed)
    }
}

impl Watch {
    fn new(at_most: Option<Duration>) -> std::io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let state = Arc::<State>::default();
        let watch = Self { state: Arc::clone(&state) };
        thread::Builder::new().name(String::from("signals")).spawn(move || {
            let mut last = None;
            for signal in signals.forever() {
                if is_echo(&mut last, Instant::now()) {
                    continue;
                }
                if state.first.swap(signal, Ordering::Relaxed) != 0 {
                    let left = state.left();
                    exit(128 + signal, format!("ended at once; {left} messages were left"));
                }
                say_aside(String::from("ending; a second signal ends at once"));
                if let Some(at_most) = at_most {
                    end_within(at_most, &state);
                }
            }
        })?;
        Ok(watch)
    }

    /// The first signal, or 0.
    fn first(&self) -> i32 {
        self.state.first.load(Ordering::Relaxed)
    }
}

/// Whether a signal that comes now is the last one once more; else it is the last one from now on.
fn is_echo(last: &mut Option<Instant>, now: Instant) -> bool {
    let is_echo = last.is_some_and(|last| now.saturating_duration_since(last) < ECHO);
    if !is_echo {
        *last = Some(now);
    }
    is_echo
}

/// Ends the process if that has not come to its end by itself meanwhile. Not waited for.
fn end_within(at_most: Duration, state: &Arc<State>) {
    let state = Arc::clone(state);
    thread::spawn(move || {
        thread::sleep(at_most);
        let why = match state.left() {
            0 => String::from("a component or a source did not come to its end"),
            left => format!("{left} messages were left"),
        };
        let status = match state.first.load(Ordering::Relaxed) {
            0 => i32::from(FAILED),
            signal => 128 + signal,
        };
        exit(status, format!("the end took longer than {at_most:?}: {why}"));
    });
}

/// On a thread of its own: where nobody reads stderr, who says something waits.
fn say_aside(text: String) -> thread::JoinHandle<()> {
    thread::spawn(move || stageline_runner::say!("stageline: {text}"))
}

fn exit(status: i32, text: String) {
    let said = say_aside(text);
    let start = Instant::now();
    while !said.is_finished() && start.elapsed() < LAST_WORDS {
        thread::sleep(LOOK);
    }
    std::process::exit(status);
}

fn tell(summary: &Summary, args: &Args, signal: i32, style: Style) -> ExitCode {
    // What ended the run the summary says.
    let is_said =
        |trouble: &String| matches!(&summary.ended, Ended::Failed(text) if text == trouble);
    for trouble in summary.troubles.iter().filter(|trouble| args.quiet || !is_said(trouble)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_comes_twice_at_once_is_one() {
        let start = Instant::now();
        let mut last = None;
        let of = [0, 1, 99, 100, 150, 199, 200];
        let echoes = of.map(|ms| is_echo(&mut last, start + Duration::from_millis(ms)));
        assert_eq!(echoes, [false, true, true, false, true, true, false]);
    }
}
