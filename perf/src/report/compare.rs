//! Two runs, compared by their ratios: nanoseconds drift with the machine, ratios of one run do not.
//!
//! The rule: a ratio has changed if its two medians differ by more than half of both spreads (10th to
//! 90th percentile) together, and by more than 5 % of the older one.

use super::Report;
use std::fmt;

/// Changes up to this share of the older median are noise, whatever the spreads say.
const SHARE_MIN: f64 = 0.05;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Same,
    Slower,
    Faster,
    OnlyOld,
    OnlyNew,
}

/// What became of one ratio.
#[derive(Clone, Debug)]
pub struct Change {
    pub name: String,
    pub old: Option<f64>,
    pub new: Option<f64>,
    /// What the medians must differ by.
    pub bound: f64,
    pub verdict: Verdict,
}

/// All ratios of both runs.
pub fn compare(old: &Report, new: &Report) -> Vec<Change> {
    let mut names: Vec<&String> = old.ratios.keys().chain(new.ratios.keys()).collect();
    names.sort();
    names.dedup();
    names.into_iter().map(|name| change(name, old, new)).collect()
}

fn change(name: &str, old: &Report, new: &Report) -> Change {
    let half = |report: &Report| report.ratio_spreads.get(name).map_or(0.0, |spread| spread.half());
    let (before, after) = (old.ratios.get(name).copied(), new.ratios.get(name).copied());
    let bound = (half(old) + half(new)).max(SHARE_MIN * before.unwrap_or(0.0));
    let verdict = match (before, after) {
        (Some(before), Some(after)) if after - before > bound => Verdict::Slower,
        (Some(before), Some(after)) if before - after > bound => Verdict::Faster,
        (Some(_), Some(_)) => Verdict::Same,
        (Some(_), None) => Verdict::OnlyOld,
        (None, _) => Verdict::OnlyNew,
    };
    Change { name: name.to_owned(), old: before, new: after, bound, verdict }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figure =
            |ratio: Option<f64>| ratio.map_or_else(|| "-".into(), |ratio| format!("{ratio:.3}"));
        let verdict = match self.verdict {
            Verdict::Same => "same",
            Verdict::Slower => "SLOWER",
            Verdict::Faster => "faster",
            Verdict::OnlyOld => "missing now",
            Verdict::OnlyNew => "new",
        };
        let (old, new) = (figure(self.old), figure(self.new));
        write!(f, "{:48} {old:>9} {new:>9}  +-{:<8.3} {verdict}", self.name, self.bound)
    }
}

/// Prints the changes; whether something became slower.
pub fn print(changes: &[Change]) -> bool {
    println!("\n{:48} {:>9} {:>9}  {:10} verdict", "ratio", "old", "new", "noise");
    let same = changes.iter().filter(|change| change.verdict == Verdict::Same).count();
    for change in changes.iter().filter(|change| change.verdict != Verdict::Same) {
        println!("{change}");
    }
    println!("{same} of {} ratios are the same within the noise", changes.len());
    changes.iter().any(|change| change.verdict == Verdict::Slower)
}
