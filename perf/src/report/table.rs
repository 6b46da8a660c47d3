//! The tables that are printed.

use super::Report;
use crate::histogram::QUANTILES;
use crate::ratios::{self, ALLOCATIONS, Ratio};

/// Prints the results.
pub fn print(report: &Report) {
    let names: Vec<String> = report.scenarios.keys().cloned().collect();
    let ratios = ratios::all(&names);
    println!("{} processes, {} rounds each, {}", report.processes, report.rounds, report.date);
    report.audit.lines().iter().for_each(|line| println!("{line}"));
    scenarios(report, &ratios);
    peers(report);
    latencies(report);
    allocations(report);
    for (name, why) in &report.left_out {
        println!("left out: {name}: {why}");
    }
}

/// Each scenario, and the first of its ratios.
fn scenarios(report: &Report, ratios: &[Ratio]) {
    println!(
        "\n{:32} {:>10} {:>22}   {:>24} {:>6} {:>6} {:>5} {:>5}",
        "ns a request", "median", "p10 .. p90", "reference", "ratio", "goal", "redo", "lost"
    );
    for (name, measured) in &report.scenarios {
        let spread = measured.spread;
        print!("{name:32} {:>10.1} {:>10.1} .. {:<8.1}", spread.median, spread.p10, spread.p90);
        let mut own = ratios.iter().filter(|ratio| ratio.scenario == *name);
        let ratio = own.find_map(|ratio| Some((ratio, report.ratios.get(&ratio.name)?)));
        match ratio {
            Some((Ratio { reference, goal, .. }, ratio)) => {
                let goal = goal.map_or_else(String::new, |goal| format!("{goal:.2}"));
                print!("   {reference:>24} {ratio:>6.2} {goal:>6}");
            }
            None => print!("   {:>24} {:>6} {:>6}", "", "", ""),
        }
        println!(" {:>5} {:>5}", measured.rejected, measured.disturbed);
    }
    println!(
        "redo: repetitions that lost CPU time and were done again; lost: samples that lost it all the same"
    );
}

/// The engine beside each peer: the peer's median, and engine / peer.
fn peers(report: &Report) {
    let names: Vec<String> = report.scenarios.keys().cloned().collect();
    let all = ratios::all(&names);
    let is_peer = |ratio: &&Ratio| {
        ratios::PEERS.iter().any(|peer| ratio.name.ends_with(&format!("_over_{peer}")))
    };
    println!(
        "\n{:44} {:>8} {:>18}",
        "engine / reference (below 1: the engine is faster)", "ratio", "p10 .. p90"
    );
    let (peers, others): (Vec<&Ratio>, Vec<&Ratio>) = all.iter().partition(is_peer);
    for Ratio { name, .. } in others.into_iter().chain(peers) {
        if let (Some(ratio), Some(spread)) =
            (report.ratios.get(name), report.ratio_spreads.get(name))
        {
            println!("{name:49} {ratio:>8.3} {:>8.3} .. {:<7.3}", spread.p10, spread.p90);
        }
    }
}

fn latencies(report: &Report) {
    if report.latencies.is_empty() {
        return;
    }
    let names = QUANTILES.map(|(name, _)| format!("{name:>9}")).concat();
    println!("\n{:32} {:>9} {names} {:>5} {:>5}", "each timed, ns", "trips", "redo", "lost");
    for (name, latency) in &report.latencies {
        let quantile = |(name, _): (&str, f64)| {
            format!("{:>9}", latency.quantiles.get(name).copied().unwrap_or_default())
        };
        println!(
            "{name:32} {:>9} {} {:>5} {:>5}",
            latency.trips,
            QUANTILES.map(quantile).concat(),
            latency.rejected,
            latency.disturbed
        );
    }
    println!(
        "two reads of the clock take {:.0} ns; about half of that is part of each trip",
        report.audit.clock_ns
    );
}

fn allocations(report: &Report) {
    if let Some(calls) = report.ratios.get(ALLOCATIONS) {
        println!("\ncalls of the allocator a request, streaming by 64: the engine {calls:.4}");
    }
    for (name, calls) in report.allocations.iter().filter(|(name, _)| !name.starts_with("stream")) {
        println!("{name:32} {calls:.4}");
    }
}
