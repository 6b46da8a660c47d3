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

/// A ratio whose noise is more than this share of it can hide a change that matters.
const NOISY_SHARE: f64 = 0.2;

/// What makes two runs differ beside the engine.
pub fn differences(old: &Report, new: &Report) -> Vec<String> {
    let versions = |report: &Report| {
        let others = report.versions.iter().filter(|(name, _)| *name != "stageline");
        others.map(|(name, version)| format!("{name} {version}")).collect::<Vec<_>>().join(", ")
    };
    let facts = |report: &Report| {
        [
            ("size", format!("{:?}", report.size)),
            ("processor", report.audit.cpu_model.clone()),
            ("CPUs", format!("{:?}", report.audit.cores)),
            ("versions", versions(report)),
        ]
    };
    let pairs = facts(old).into_iter().zip(facts(new));
    let changed = pairs.filter(|((_, before), (_, after))| before != after);
    changed.map(|((fact, before), (_, after))| format!("{fact}: {before}; now {after}")).collect()
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

/// Prints the changes, and what stands in the way of a comparison; whether something became slower.
pub fn print(old: &Report, new: &Report) -> bool {
    let changes = compare(old, new);
    differences(old, new).iter().for_each(|what| println!("\nnote: not the same {what}"));
    println!("\n{:48} {:>9} {:>9}  {:10} verdict", "ratio", "old", "new", "noise");
    let same = changes.iter().filter(|change| change.verdict == Verdict::Same).count();
    for change in changes.iter().filter(|change| change.verdict != Verdict::Same) {
        println!("{change}");
    }
    println!("{same} of {} ratios are the same within the noise", changes.len());
    let is_noisy = |change: &&Change| {
        change.verdict == Verdict::Same
            && change.old.is_some_and(|old| change.bound > NOISY_SHARE * old)
    };
    let noisy: Vec<&str> = changes.iter().filter(is_noisy).map(|change| &*change.name).collect();
    if !noisy.is_empty() {
        println!(
            "{} of these may have changed by more than {:.0} % unseen: {}",
            noisy.len(),
            NOISY_SHARE * 100.0,
            noisy.join(", ")
        );
    }
    changes.iter().any(|change| change.verdict == Verdict::Slower)
}
