//! A run: the machine is looked at, processes measure one after the other, and their samples become a
//! report.

use crate::args::Args;
use crate::audit::Audit;
use crate::cores::Cores;
use crate::histogram::{Histogram, QUANTILES};
use crate::peers::{self, lmax};
use crate::ratios::{self, ALLOCATIONS};
use crate::report::{FORMAT, Latency, Measured, Report, date};
use crate::scenarios::{self, Line, Orders, passes, work};
use crate::summary::Spread;
use std::collections::BTreeMap;
use std::process::{Command, Stdio};

/// A scenario as the parent process knows it.
struct Known {
    name: String,
    cpus: usize,
    threads: String,
}

/// What is to be run, and what is left out.
struct Plan {
    known: Vec<Known>,
    left_out: BTreeMap<String, String>,
    /// Spinning threads of the widest scenario that is asked for, whether or not it can run here.
    threads_max: usize,
    lmax_jar: Option<std::path::PathBuf>,
}

impl Plan {
    /// The scenarios that are asked for, with their references; those for which there are too few CPUs, or
    /// for which something is missing, are left out.
    fn new(args: &Args, cores: &Cores) -> Result<Self, String> {
        let lmax = lmax::find(&args.jars);
        let mut known: Vec<Known> = scenarios::all(cores.count())
            .into_iter()
            .map(|found| Known { name: found.name, cpus: found.cpus, threads: found.threads })
            .collect();
        known.extend(lmax::names().into_iter().map(|name| Known {
            name,
            cpus: lmax::THREADS.0,
            threads: lmax::THREADS.1.to_owned(),
        }));
        let names: Vec<String> = known.iter().map(|known| known.name.clone()).collect();
        let chosen = ratios::with_references(&names, &args.only);
        if chosen.is_empty() {
            return Err(format!("--only: no scenario's name contains {}", args.only.join(" or ")));
        }
        known.retain(|known| chosen.contains(&known.name));
        let threads_max = known.iter().map(|known| known.cpus).max().unwrap_or(0);
        let mut left_out = BTreeMap::new();
        known.retain(|known| {
            let why = if known.cpus > cores.count() {
                Some(format!("{} CPUs are needed, and {} are there", known.cpus, cores.count()))
            } else if lmax::names().contains(&known.name) {
                lmax.as_ref().err().cloned()
            } else {
                None
            };
            let is_left_out = why.is_some();
            left_out.extend(why.map(|why| (known.name.clone(), why)));
            !is_left_out
        });
        Ok(Self { known, left_out, threads_max, lmax_jar: lmax.ok() })
    }

    fn orders(&self, args: &Args, cores: &Cores) -> Orders {
        let names: Vec<String> = self.known.iter().map(|known| known.name.clone()).collect();
        let among = |all: Vec<String>| {
            all.into_iter().filter(|name| names.contains(name)).collect::<Vec<_>>()
        };
        Orders {
            rounds: args.rounds(),
            size: args.size(),
            cores: cores.clone(),
            turns_per_us: work::calibrate(),
            latencies: among(passes::latencies().into_iter().map(|pass| pass.name).collect()),
            allocations: among(
                passes::allocator_calls().into_iter().map(|pass| pass.name).collect(),
            ),
            lmax_jar: self.lmax_jar.clone(),
            scenarios: names,
        }
    }
}

/// Measures.
pub fn run(args: &Args) -> Result<Report, String> {
    let cores = args.cores()?;
    let plan = Plan::new(args, &cores)?;
    let date = date::now();
    let mut orders = plan.orders(args, &cores);
    let mut audit = Audit::take(&cores, plan.threads_max);
    audit.lines().iter().for_each(|line| eprintln!("{line}"));
    let mut collected = Collected::default();
    for process in 1..=args.processes() {
        eprintln!("process {process} of {}: {} scenarios", args.processes(), plan.known.len());
        for line in measure(&orders).map_err(|error| format!("process {process}: {error}"))? {
            collected.take(process, line);
        }
        // One process counts what is allocated.
        orders.allocations.clear();
    }
    audit.finish();
    Ok(collected.report(args, plan, audit, date))
}

/// Runs a measuring process and reads what it says.
fn measure(orders: &Orders) -> Result<Vec<Line>, String> {
    let own =
        std::env::current_exe().map_err(|error| format!("no path of this program: {error}"))?;
    let orders = serde_json::to_string(orders).map_err(|error| error.to_string())?;
    let output = Command::new(own)
        .args(["--child", &orders])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("could not be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("failed: {}", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let read = |line: &str| {
        serde_json::from_str(line).map_err(|error| format!("not a sample: {line:?}: {error}"))
    };
    text.lines().map(read).collect()
}

/// A sample and where it was taken: process and round.
type Sample = ((u32, u32), f64);

#[derive(Default)]
struct Scenario {
    samples: Vec<Sample>,
    rejected: u32,
    disturbed: u32,
}

/// The passes over single trips of one scenario.
#[derive(Default)]
struct Passes {
    histogram: Histogram,
    rejected: u32,
    disturbed: u32,
}

/// What all processes have said.
#[derive(Default)]
struct Collected {
    scenarios: BTreeMap<String, Scenario>,
    latencies: BTreeMap<String, Passes>,
    allocations: BTreeMap<String, f64>,
    left_out: BTreeMap<String, String>,
}

impl Collected {
    fn take(&mut self, process: u32, line: Line) {
        match line {
            Line::Sample { name, round, ns, rejected, disturbed } => {
                let scenario = self.scenarios.entry(name).or_default();
                scenario.samples.push(((process, round), ns));
                scenario.rejected += rejected;
                scenario.disturbed += u32::from(disturbed);
            }
            Line::Latency { name, histogram, rejected, disturbed } => {
                let passes = self.latencies.entry(name).or_default();
                passes.histogram.add(&histogram);
                passes.rejected += rejected;
                passes.disturbed += u32::from(disturbed);
            }
            Line::Allocations { name, calls } => {
                self.allocations.insert(name, calls);
            }
            Line::LeftOut { name, why } => {
                self.left_out.insert(name, why);
            }
        }
    }

    fn report(self, args: &Args, plan: Plan, audit: Audit, date: String) -> Report {
        let (ratios, ratio_spreads) = self.ratios();
        let measured = |known: Known| {
            let found = self.scenarios.get(&known.name)?;
            let samples: Vec<f64> = found.samples.iter().map(|(_, ns)| *ns).collect();
            let measured = Measured {
                threads: known.threads,
                cpus: known.cpus,
                spread: Spread::of(&samples),
                samples,
                rejected: found.rejected,
                disturbed: found.disturbed,
            };
            Some((known.name, measured))
        };
        let latency = |(name, passes): (&String, &Passes)| {
            let Passes { histogram, rejected, disturbed } = passes;
            let quantiles = QUANTILES.map(|(name, q)| (name.to_owned(), histogram.quantile(q)));
            let latency = Latency {
                trips: histogram.count(),
                quantiles: quantiles.into(),
                rejected: *rejected,
                disturbed: *disturbed,
            };
            (name.clone(), latency)
        };
        Report {
            format: FORMAT,
            date,
            // Where the program stands is nobody's business.
            command: std::iter::once(String::from("perf"))
                .chain(std::env::args().skip(1))
                .collect::<Vec<_>>()
                .join(" "),
            size: args.size(),
            processes: args.processes(),
            rounds: args.rounds(),
            audit,
            versions: versions(plan.lmax_jar.as_deref()),
            scenarios: plan.known.into_iter().filter_map(measured).collect(),
            latencies: self.latencies.iter().map(latency).collect(),
            allocations: self.allocations,
            left_out: plan.left_out.into_iter().chain(self.left_out).collect(),
            ratios,
            ratio_spreads,
        }
    }

    /// The ratios of which both sides are there, and their spreads over the rounds.
    fn ratios(&self) -> (BTreeMap<String, f64>, BTreeMap<String, Spread>) {
        let names: Vec<String> = self.scenarios.keys().cloned().collect();
        let (mut ratios, mut spreads) = (BTreeMap::new(), BTreeMap::new());
        for ratio in ratios::all(&names) {
            let found = (self.scenarios.get(&ratio.scenario), self.scenarios.get(&ratio.reference));
            if let (Some(over), Some(under)) = found {
                let (value, spread) = divided(&over.samples, &under.samples);
                ratios.insert(ratio.name.clone(), value);
                spreads.insert(ratio.name, spread);
            }
        }
        if let Some(calls) = self.allocations.get("stream_64") {
            ratios.insert(ALLOCATIONS.to_owned(), *calls);
        }
        (ratios, spreads)
    }
}

/// The ratio of the medians, and the spread of the ratios of samples of the same round.
fn divided(over: &[Sample], under: &[Sample]) -> (f64, Spread) {
    let median = |samples: &[Sample]| {
        Spread::of(&samples.iter().map(|(_, ns)| *ns).collect::<Vec<_>>()).median
    };
    let pairs: Vec<f64> = over
        .iter()
        .filter_map(|(place, ns)| {
            let (_, other) = under.iter().find(|(other, _)| other == place)?;
            Some(ns / other)
        })
        .collect();
    let ratio = median(over) / median(under);
    (ratio, if pairs.is_empty() { Spread::of(&[ratio]) } else { Spread::of(&pairs) })
}

fn versions(lmax_jar: Option<&std::path::Path>) -> BTreeMap<String, String> {
    let mut versions: BTreeMap<String, String> =
        peers::versions().into_iter().map(|(name, version)| (name.to_owned(), version)).collect();
    versions.insert(String::from("stageline"), peers::version_of("stageline"));
    let compiler = Command::new("rustc").arg("--version").output().ok();
    let compiler = compiler.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    versions.extend(compiler.map(|version| (String::from("rustc"), version)));
    versions.extend(lmax_jar.map(|jar| (String::from("lmax_disruptor"), lmax::version(jar))));
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_pair_samples_of_the_same_round() {
        let over = [((1, 0), 10.0), ((1, 1), 30.0), ((2, 0), 20.0)];
        let under = [((1, 0), 5.0), ((2, 0), 20.0), ((1, 1), 10.0)];
        let (ratio, spread) = divided(&over, &under);
        assert_eq!(ratio, 2.0);
        assert_eq!((spread.p10, spread.median, spread.p90), (1.2, 2.0, 2.8));
        let (_, alone) = divided(&over, &[((9, 9), 10.0)]);
        assert_eq!(alone.half(), 0.0, "no pairs, no spread");
    }
}
