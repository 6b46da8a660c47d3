//! How far a run is, on a terminal, and what it has done.

use stageline_runner::{Ended, Progress, Summary};
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::time::{Duration, Instant};

/// A line at the bottom of the terminal.
pub struct Display {
    is_on: bool,
    last: Option<(Instant, u64)>,
    width: usize,
}

const BETWEEN: Duration = Duration::from_millis(200);

impl Display {
    pub fn new(quiet: bool) -> Self {
        Self { is_on: !quiet && io::stderr().is_terminal(), last: None, width: 0 }
    }

    /// Shows it anew, if it is time.
    pub fn show(&mut self, progress: &Progress) {
        let total = progress.total();
        let ended = total.emitted - total.in_flight();
        let (then, before) = *self.last.get_or_insert((Instant::now(), ended));
        if !self.is_on || then.elapsed() < BETWEEN {
            return;
        }
        let rate = (ended - before) as f64 / then.elapsed().as_secs_f64();
        self.last = Some((Instant::now(), ended));
        let mut text = format!(
            "{:.1} s  {ended} settled  {}/s  {} dropped  {} failed  {} under way",
            progress.elapsed.as_secs_f64(),
            short(rate),
            total.dropped,
            total.failed,
            total.in_flight(),
        );
        let nodes = progress
            .nodes
            .iter()
            .map(|(name, counts)| format!("{name} {}", short(counts.handled() as f64)));
        let _ = write!(text, "  | {}", nodes.collect::<Vec<_>>().join(", "));
        let cells: String = text.chars().take(COLUMNS).collect();
        eprint!("\r{cells:width$}", width = self.width);
        self.width = cells.chars().count();
        let _ = io::stderr().flush();
    }

    pub fn clear(&mut self) {
        if self.width > 0 {
            eprint!("\r{:width$}\r", "", width = self.width);
        }
    }
}

/// What fits beside a prompt on most terminals.
const COLUMNS: usize = 118;

fn short(number: f64) -> String {
    match number {
        n if n >= 1e9 => format!("{:.2}G", n / 1e9),
        n if n >= 1e6 => format!("{:.2}M", n / 1e6),
        n if n >= 1e4 => format!("{:.1}k", n / 1e3),
        n => format!("{n:.0}"),
    }
}

/// For people.
pub fn summary(summary: &Summary) -> String {
    let progress = &summary.progress;
    let total = progress.total();
    let seconds = progress.elapsed.as_secs_f64();
    let settled = total.emitted - total.in_flight();
    let rate = if seconds > 0.0 { settled as f64 / seconds } else { 0.0 };
    let mut text = format!(
        "{}: {} messages in {seconds:.3} s ({}/s): {} done, {} dropped, {} failed",
        summary.name,
        settled,
        short(rate),
        total.done,
        total.dropped,
        total.failed
    );
    if total.letters > 0 {
        let _ = write!(text, " ({} of them to the dead letter)", total.letters);
    }
    if total.cancelled > 0 {
        let _ = write!(text, ", {} left", total.cancelled);
    }
    for (name, counts) in &progress.nodes {
        let _ = write!(text, "\n  {name}: {} done", counts.done);
        for (count, word) in [
            (counts.held, "held"),
            (counts.retried, "retried"),
            (counts.dropped, "dropped"),
            (counts.failed, "failed"),
        ] {
            if count > 0 {
                let _ = write!(text, ", {count} {word}");
            }
        }
    }
    if let Ended::Failed(why) = &summary.ended {
        let _ = write!(text, "\nended because {why}");
    }
    text
}

/// For programs: one object.
pub fn json(summary: &Summary) -> String {
    let progress = &summary.progress;
    let source = |source: &stageline_runner::SourceCounts| {
        serde_json::json!({
            "name": source.name, "emitted": source.emitted, "done": source.done, "dropped": source.dropped,
            "failed": source.failed, "dead_letters": source.letters, "folded": source.folded,
            "cancelled": source.cancelled,
        })
    };
    let nodes = progress.nodes.iter().map(|(name, counts)| {
        serde_json::json!({
            "name": name, "done": counts.done, "held": counts.held, "retried": counts.retried,
            "failed": counts.failed, "dropped": counts.dropped,
        })
    });
    let ended = match &summary.ended {
        Ended::BySources => "sources",
        Ended::Asked => "asked",
        Ended::OutputClosed => "output closed",
        Ended::Failed(_) => "failed",
    };
    serde_json::json!({
        "pipeline": summary.name,
        "seconds": progress.elapsed.as_secs_f64(),
        "ended": ended,
        "clean": summary.is_clean(),
        "total": source(&progress.total()),
        "sources": progress.sources.iter().map(source).collect::<Vec<_>>(),
        "dead_letters": progress.letters.as_ref().map(source),
        "stages": nodes.collect::<Vec<_>>(),
        "troubles": summary.troubles,
    })
    .to_string()
}
