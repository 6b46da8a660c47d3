//! What the stalls did, by role, as a table.

use super::lane::Lane;
use super::{Options, Role};
use crate::signal::Stall;
use std::fmt;
use std::time::Duration;

/// Of so many gaps one may be as long as the stall.
const HELD_UP_PARTS: f64 = 10.0;
/// And so many in any case, in a short run: they are bad luck.
const HELD_UP_MAX: u64 = 2;

/// The groups whose gaps are told apart, for each role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    /// Of a submitter or receiver: the groups but its own; else all.
    All,
    /// Of a worker: the group that was held up longest, whose batch it may have had.
    Longest,
    /// Of a worker: the groups at home with it, but that one.
    AtHome,
    /// Of a worker: the groups at home with other workers, but that one.
    Elsewhere,
}

/// The rows of the table.
const ROWS: [(Role, Others, &str); 9] = [
    (Role::Nobody, Others::All, "nobody; all groups"),
    (Role::Submitter, Others::All, "sole submitter; other groups"),
    (Role::SharedSubmitter, Others::All, "shared submitter; other groups"),
    (Role::Receiver, Others::All, "receiver; other groups"),
    (Role::BothEnds, Others::All, "both ends; other groups"),
    (Role::Worker, Others::Longest, "worker; the group held up longest"),
    (Role::Worker, Others::AtHome, "worker; others at home with it"),
    (Role::Worker, Others::Elsewhere, "worker; others at home elsewhere"),
    (Role::Watch, Others::All, "watch; all groups"),
];

/// What is collected for one row.
#[derive(Debug, Default)]
struct Sums {
    stalls: u64,
    in_code: u64,
    results: u64,
    gaps_ns: Vec<u64>,
}

/// Collects the gaps.
#[derive(Debug)]
pub(super) struct Gaps {
    rows: [Sums; ROWS.len()],
    options: Options,
}

impl Gaps {
    pub(super) fn new(options: &Options) -> Self {
        Self { rows: Default::default(), options: *options }
    }

    /// A stall is over, and so are the gaps: `index` is the group or worker whose thread it was, and
    /// `during` the results that each group got.
    pub(super) fn note(
        &mut self,
        role: Role,
        index: Option<usize>,
        stall: Stall,
        lanes: &[Lane],
        during: &[u64],
    ) {
        let longest = lanes.iter().max_by_key(|lane| lane.gap_ns()).map(|lane| lane.index);
        for ((_, others, _), sums) in
            ROWS.iter().zip(&mut self.rows).filter(|((of, ..), _)| *of == role)
        {
            sums.stalls += 1;
            sums.in_code += u64::from(stall.in_code);
            for (lane, results) in lanes.iter().zip(during) {
                let is_longest = longest == Some(lane.index);
                let is_among = match others {
                    Others::All => {
                        matches!(role, Role::Nobody | Role::Watch) || index != Some(lane.index)
                    }
                    Others::Longest => is_longest,
                    Others::AtHome => !is_longest && index == Some(lane.home),
                    Others::Elsewhere => !is_longest && index != Some(lane.home),
                };
                if is_among {
                    sums.results += results;
                    sums.gaps_ns.push(lane.gap_ns());
                }
            }
        }
    }

    /// The table. `telling` if the stalls are long enough to see from the gaps who waited for their end.
    pub(super) fn report(self, elapsed: Duration, requests: u64, telling: bool) -> Report {
        let stall = self.options.stall;
        let rows = ROWS.iter().zip(self.rows).filter(|(_, sums)| sums.stalls > 0);
        let rows =
            rows.map(|((_, others, name), sums)| Row::new(name, *others, sums, stall)).collect();
        Report { rows, elapsed, requests, stall, seed: self.options.seed, telling }
    }
}

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    /// Who was stopped, and whose gaps these are.
    pub name: &'static str,
    /// How often.
    pub stalls: u64,
    /// How often in the middle of its code, and not asleep.
    pub in_code: u64,
    /// Requests of these groups that came back during the stalls.
    pub results: u64,
    /// The longest gap of each group at each stall: half of them are longer than this.
    pub median: Duration,
    /// One in a hundred is longer than this.
    pub p99: Duration,
    /// The longest of all.
    pub longest: Duration,
    /// How many gaps are as long as the stall, or nearly so.
    pub held_up: u64,
    gaps: u64,
    /// Whether these groups should go on during the stall.
    goes_on: bool,
}

impl Row {
    fn new(name: &'static str, others: Others, sums: Sums, stall: Duration) -> Self {
        let Sums { stalls, in_code, results, mut gaps_ns } = sums;
        gaps_ns.sort_unstable();
        let at = |part: f64| {
            let index = (gaps_ns.len() as f64 * part) as usize;
            let gap_ns = gaps_ns.get(index.min(gaps_ns.len().saturating_sub(1)));
            Duration::from_nanos(gap_ns.copied().unwrap_or(0))
        };
        let (median, p99, longest) = (at(0.5), at(0.99), at(1.0));
        let nearly_ns = stall.as_nanos() as u64 / 10 * 9;
        let held_up =
            (gaps_ns.len() - gaps_ns.partition_point(|gap_ns| *gap_ns < nearly_ns)) as u64;
        let (gaps, goes_on) = (gaps_ns.len() as u64, others != Others::Longest);
        Self { name, stalls, in_code, results, median, p99, longest, held_up, gaps, goes_on }
    }
}

/// What the stalls did.
#[derive(Debug)]
pub struct Report {
    /// By who was stopped.
    pub rows: Vec<Row>,
    /// How long it took.
    pub elapsed: Duration,
    /// Requests that were sent, and came back once, in order, to their own group.
    pub requests: u64,
    stall: Duration,
    seed: u64,
    telling: bool,
}

impl Report {
    /// All stalls.
    pub fn stalls(&self) -> u64 {
        let first = |row: &&Row| row.goes_on && !row.name.starts_with("nobody");
        // A worker's stalls are in several rows.
        let rows = self.rows.iter().filter(first).filter(|row| !row.name.ends_with("elsewhere"));
        rows.map(|row| row.stalls).sum()
    }

    /// What contradicts the table of progress in RELIABILITY.md: groups that should have gone on during
    /// the stalls, and of which more than one in [`HELD_UP_PARTS`] waited for their end, with twice the
    /// share that does so when nobody is stopped allowed for the machine.
    pub fn contradictions(&self) -> Vec<String> {
        if !self.telling {
            return Vec::new();
        }
        let share = |row: &Row| row.held_up as f64 / row.gaps as f64;
        let nobody = self.rows.iter().find(|row| row.name.starts_with("nobody")).map_or(0.0, share);
        let bound = 1.0 / HELD_UP_PARTS + 2.0 * nobody;
        let is_long = |row: &Row| row.held_up > HELD_UP_MAX && share(row) > bound;
        let waited = self.rows.iter().filter(|row| row.goes_on && is_long(row));
        let name = |row: &Row| format!("{}: {} of {} held up", row.name, row.held_up, row.gaps);
        waited.map(name).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let head = ["stalls", "in code", "results", "median ms", "p99 ms", "longest ms", "held up"];
        write!(f, "| {:34} |", "stopped; whose gaps")?;
        head.iter().try_for_each(|name| write!(f, " {name:>10} |"))?;
        write!(f, "\n|{}|", "-".repeat(36))?;
        head.iter().try_for_each(|_| write!(f, "{}:|", "-".repeat(11)))?;
        for row in &self.rows {
            let (median, p99, longest) = (ms(row.median), ms(row.p99), ms(row.longest));
            write!(f, "\n| {:34} | {:10} | {:10} |", row.name, row.stalls, row.in_code)?;
            write!(f, " {:10} | {median:10.2} | {p99:10.2} | {longest:10.2} |", row.results)?;
            write!(f, " {:10} |", row.held_up)?;
        }
        write!(
            f,
            "\n{} stalls of {:?} in {:.1} s; {} requests, each back once, in its order, in its group; \
             seed {}",
            self.stalls(),
            self.stall,
            self.elapsed.as_secs_f64(),
            self.requests,
            self.seed
        )
    }
}
