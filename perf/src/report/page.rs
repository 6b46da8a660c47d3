//! One page with plots and tables, that needs nothing else.

use super::Report;
use super::plot::{Series, chart, escape};
use crate::histogram::QUANTILES;
use crate::lost::{STEAL_TICKS_MAX, WAIT_SHARE_MAX};
use crate::ratios::PEERS;
use crate::scenarios::{BATCHES, lateness};
use std::fmt::Write;

const STYLE: &str = "body{font:15px/1.5 sans-serif;max-width:960px;margin:2em auto;padding:0 1em;color:#222}\
h1,h2{font-weight:600}svg{width:100%;height:auto;font-size:12px}svg path{stroke-width:2}\
svg .grid{stroke:#ddd;stroke-width:1}table{border-collapse:collapse;font-size:13px}\
td,th{padding:2px 10px;text-align:right;border-bottom:1px solid #eee}td:first-child,th:first-child{text-align:left}\
pre{font-size:12px;overflow-x:auto}";

/// What [`STYLE`] says of plots, for one that stands alone.
const PLOT_STYLE: &str =
    "text{font:12px sans-serif}path{stroke-width:2}.grid{stroke:#ddd;stroke-width:1}";

/// The plot of throughput as an image, if anything of it was measured.
pub fn image_of(report: &Report) -> Option<String> {
    let chart = chart_of_throughput(report)?;
    let (head, rest) = chart.strip_prefix("<svg")?.split_once('>')?;
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\"{head}><style>{PLOT_STYLE}</style>\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>{rest}\n"
    ))
}

/// The page of a report.
pub fn of(report: &Report) -> String {
    let mut page =
        String::from("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    let _ = write!(
        page,
        "<title>stageline, measured</title><style>{STYLE}</style></head><body>\n\
         <h1>stageline, measured</h1>\n<p>{}, {} processes of {} rounds: <code>{}</code></p>\n",
        escape(&report.date),
        report.processes,
        report.rounds,
        escape(&report.command)
    );
    section(&mut page, "Throughput by batch, one stream", chart_of_throughput(report));
    section(&mut page, "Round trips, one in flight", chart_of_latency(report));
    section(
        &mut page,
        "Workers against one thread that does the work itself",
        chart_of_scaling(report),
    );
    machine(&mut page, report);
    method(&mut page, report);
    ratios(&mut page, report);
    scenarios(&mut page, report);
    page.push_str("</body></html>\n");
    page
}

fn section(page: &mut String, title: &str, chart: Option<String>) {
    let chart = chart.unwrap_or_else(|| String::from("<p>Nothing of it was measured.</p>"));
    let _ = write!(page, "<h2>{}</h2>\n{chart}\n", escape(title));
}

fn chart_of_throughput(report: &Report) -> Option<String> {
    let million_a_second = |name: String| Some(1e3 / report.scenarios.get(&name)?.spread.median);
    let series = |name: &str, prefix: &str| Series {
        name: name.to_owned(),
        values: BATCHES.map(|batch| million_a_second(format!("{prefix}_{batch}"))).to_vec(),
    };
    let limit = series("limit: ring by hand", "limit_hand_ring");
    let mut all = vec![series("stageline", "stream"), limit];
    all.extend(PEERS.map(|peer| series(peer, &format!("{peer}_stream"))));
    all.retain(|series| series.values.iter().any(Option::is_some));
    let marks = BATCHES.map(|batch| format!("batch {batch}"));
    chart("million requests a second", &marks, &all)
}

fn chart_of_latency(report: &Report) -> Option<String> {
    // How late retries are is no round trip, and of another size.
    let trips = report.latencies.iter().filter(|(name, _)| !name.starts_with(lateness::PREFIX));
    let series = trips.map(|(name, latency)| Series {
        name: name.clone(),
        values: QUANTILES
            .map(|(quantile, _)| latency.quantiles.get(quantile).map(|ns| *ns as f64))
            .to_vec(),
    });
    let marks = QUANTILES.map(|(name, _)| name.to_owned());
    chart("nanoseconds, each trip timed", &marks, &series.collect::<Vec<_>>())
}

/// How many times as fast as one thread that does the same work itself.
fn chart_of_scaling(report: &Report) -> Option<String> {
    let mut marks: Vec<&str> =
        report.scenarios.keys().filter_map(|name| Some(name.split_once("_workers_")?.1)).collect();
    // Numbers first, in their order; then the case in which a worker shares the submitter's CPU.
    marks.sort_by_key(|mark| (mark.parse::<usize>().unwrap_or(usize::MAX), *mark));
    marks.dedup();
    let speed = |work: &str, workers: &str| {
        let ns = |name: String| Some(report.scenarios.get(&name)?.spread.median);
        Some(ns(format!("{work}_inline"))? / ns(format!("{work}_workers_{workers}"))?)
    };
    let kinds = report.scenarios.keys().filter_map(|name| name.strip_suffix("_inline"));
    let series = kinds.map(|work| Series {
        name: work.to_owned(),
        values: marks.iter().map(|workers| speed(work, workers)).collect(),
    });
    let labels: Vec<String> = marks.iter().map(|workers| format!("{workers} workers")).collect();
    chart("times as fast as one thread", &labels, &series.collect::<Vec<_>>())
}

fn machine(page: &mut String, report: &Report) {
    let versions = report.versions.iter().map(|(name, version)| format!("{name} {version}"));
    let _ = write!(
        page,
        "<h2>Machine and environment</h2>\n<pre>{}</pre>\n<p>{}</p>\n",
        escape(&report.audit.lines().join("\n")),
        escape(&versions.collect::<Vec<_>>().join(", "))
    );
}

fn method(page: &mut String, report: &Report) {
    let (rejected, disturbed) = report
        .scenarios
        .values()
        .fold((0, 0), |(all, lost), one| (all + one.rejected, lost + one.disturbed));
    let _ = write!(
        page,
        "<h2>Method</h2>\n<p>Every round measures every scenario once, the engine, the limits and the peers in \
         turn; several processes do so one after the other. Threads are pinned; results are checked. Figures are \
         medians of all samples, spreads their 10th to 90th percentile; a ratio is that of two medians of this run. \
         A repetition whose threads waited for a CPU for more than {:.1} % of its time, or whose CPUs lost more than \
         {STEAL_TICKS_MAX} ticks to the hypervisor, was done again: {rejected} were, and {disturbed} samples are \
         disturbed all the same. Single round trips were timed in a pass of their own, so that reading the clock \
         is no part of the medians.</p>\n",
        WAIT_SHARE_MAX * 100.0
    );
    for (name, why) in &report.left_out {
        let _ = writeln!(page, "<p>Left out: {}: {}</p>", escape(name), escape(why));
    }
}

fn ratios(page: &mut String, report: &Report) {
    page.push_str(
        "<h2>Ratios</h2>\n<p>Below 1 the engine takes less time.</p>\n\
         <table><tr><th>ratio</th><th>median</th><th>p10</th><th>p90</th></tr>\n",
    );
    for (name, ratio) in &report.ratios {
        let spread = report.ratio_spreads.get(name);
        let figure =
            |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.3}"));
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{ratio:.3}</td><td>{}</td><td>{}</td></tr>",
            escape(name),
            figure(spread.map(|spread| spread.p10)),
            figure(spread.map(|spread| spread.p90))
        );
    }
    page.push_str("</table>\n");
}

fn scenarios(page: &mut String, report: &Report) {
    page.push_str(
        "<h2>Scenarios</h2>\n<table><tr><th>ns a request</th><th>median</th><th>p10</th><th>p90</th>\
         <th>rejected</th><th>threads</th></tr>\n",
    );
    for (name, one) in &report.scenarios {
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{:.1}</td><td>{:.1}</td><td>{:.1}</td><td>{}</td><td>{}</td></tr>",
            escape(name),
            one.spread.median,
            one.spread.p10,
            one.spread.p90,
            one.rejected,
            escape(&one.threads)
        );
    }
    page.push_str("</table>\n");
}
