//! The suite as a program: a run of as few requests as there can be, what it writes, and how two runs are
//! compared. No figure is judged here.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

fn perf(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_perf");
    Command::new(program).args(arguments).output().expect("the program starts")
}

/// What a run that must succeed printed.
#[track_caller]
fn printed(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().expect("plain text").to_owned()
}

fn read(path: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("it was written")).expect("JSON")
}

/// Ratios that must be there wherever two CPUs are.
const RATIOS: [&str; 62] = [
    "round_trip_submission_over_ping_pong",
    "round_trip_completion_over_ping_pong",
    "round_trip_spin_then_yield_over_ping_pong",
    "round_trip_spin_then_park_over_ping_pong",
    "stream_1_over_hand_ring",
    "stream_16_over_hand_ring",
    "stream_64_over_hand_ring",
    "stream_256_over_hand_ring",
    "stream_64_over_one_way",
    "stream_64_over_inline_table",
    "stream_64_completion_over_hand_ring",
    "stream_64_window_64_over_stream_64",
    "stream_64_window_4096_over_stream_64",
    "groups_16_over_stream_64",
    "idle_groups_1000_over_round_trip",
    "isolation_over_round_trip",
    "isolation_undrained_over_round_trip",
    "isolation_saturated_8_over_round_trip",
    "isolation_express_8_over_round_trip",
    "share_weight_1_of_10_light_beside_light_over_alone",
    "share_weight_9_of_10_light_beside_heavy_over_alone",
    "keeps_round_trip_submission_over_keeps_nothing",
    "keeps_stream_64_completion_over_keeps_nothing",
    "retry_stream_64_over_flow",
    "hold_stream_64_over_flow",
    "suspend_inside_stream_64_over_flow",
    "suspend_inside_round_trip_over_flow",
    "suspend_outside_stream_64_over_flow",
    "suspend_outside_round_trip_over_flow",
    "retry_late_busy_light_over_idle",
    "retry_late_busy_heavy_over_idle",
    "retry_late_asleep_over_idle",
    "hop_1_over_ping_pong",
    "hop_1_over_round_trip",
    "hop_64_over_stream_64",
    "hop_round_trip_shared_over_no_hop",
    "hop_stream_64_shared_over_no_hop",
    "open_close_over_round_trip",
    "open_trip_close_over_round_trip",
    "workers_10_over_workers_1",
    "payload_8_over_payload_56",
    "payload_4096_over_payload_56",
    "work_20ns_workers_1_over_inline",
    "work_10us_workers_1_over_inline",
    "work_1us_workers_shared_over_inline",
    "mixed_workers_1_over_inline",
    "stream_1_over_disruptor",
    "stream_64_over_disruptor",
    "stream_64_over_rtrb_chunks",
    "stream_64_over_array_queue",
    "stream_64_over_crossbeam_channel",
    "stream_64_over_kanal",
    "stream_64_over_flume",
    "stream_64_over_tokio_mpsc",
    "stream_64_over_rayon",
    "stream_64_over_thingbuf",
    "stream_256_over_disruptor",
    "groups_16_over_disruptor",
    "groups_16_over_rtrb_chunks",
    "round_trip_submission_over_disruptor",
    "round_trip_submission_over_rtrb_chunks",
    "allocations_per_request",
];

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[test]
fn a_whole_run_is_written_down() {
    let folder = TempDir::new().expect("a folder");
    let (json, html) = (path(&folder, "run.json"), path(&folder, "run.html"));
    let svg = path(&folder, "run.svg");
    // A folder without the jar: the virtual machine is left out, and named.
    let jars = folder.path().to_str().expect("plain text");
    let output = perf(&["--tiny", "--json", &json, "--html", &html, "--svg", &svg, "--jars", jars]);
    let image = std::fs::read_to_string(svg).expect("an image was written");
    assert!(image.starts_with("<svg xmlns") && image.contains("ring by hand"), "{image}");
    let text = printed(&output);
    let report = read(&json);
    assert_eq!(report["format"], 1);
    assert!(report["date"].as_str().expect("a date").ends_with('Z'));
    assert!(report["command"].as_str().expect("a command").contains("--tiny"));
    assert!(report["versions"]["disruptor"].as_str().expect("a version").starts_with('4'));
    let left_out = report["left_out"].as_object().expect("names");
    assert!(left_out.contains_key("lmax_disruptor_stream_64"), "{left_out:?}");
    assert!(text.contains("left out: lmax_disruptor_stream_64"), "{text}");
    let cores = report["audit"]["cores"].as_array().expect("CPUs").len();
    assert!(cores >= cpus(), "all CPUs of the process: {cores}, and a quota may leave fewer");
    assert!(report["audit"]["clock_ns"].as_f64().expect("a figure") > 0.0);
    if cores < 3 {
        assert!(left_out.contains_key("hop_round_trip"), "three threads spin");
    }
    if cores < 2 {
        assert!(left_out.contains_key("stream_64"), "two CPUs are needed");
        assert!(report["ratios"].get("stream_64_over_hand_ring").is_none(), "absent, not zero");
        return;
    }
    for name in RATIOS {
        let ratio = report["ratios"][name].as_f64();
        assert!(ratio.is_some_and(f64::is_finite), "{name}: {ratio:?}");
        assert!(text.contains(name) || name == "allocations_per_request", "{name} is not printed");
    }
    assert_eq!(report["ratios"]["allocations_per_request"], 0.0);
    assert!(report["ratios"].get("stream_64_over_lmax_disruptor").is_none(), "absent, not zero");
    every_scenario_is_whole(&report);
    every_latency_is_whole(&report);
    page_is_whole(&std::fs::read_to_string(html).expect("it was written"));
}

fn every_scenario_is_whole(report: &Value) {
    for (name, scenario) in report["scenarios"].as_object().expect("scenarios") {
        let samples = scenario["samples"].as_array().expect("samples");
        assert_eq!(samples.len(), 1, "{name}: one process, one round");
        assert!(samples[0].as_f64().is_some_and(|ns| ns > 0.0), "{name}: {samples:?}");
        assert_eq!(scenario["spread"]["median"], samples[0], "{name}");
        assert!(scenario["threads"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
        assert!(scenario["rejected"].is_u64() && scenario["disturbed"].is_u64(), "{name}");
    }
}

fn every_latency_is_whole(report: &Value) {
    let latencies = report["latencies"].as_object().expect("latencies");
    let names =
        ["limit_ping_pong", "round_trip_submission", "disruptor_round_trip", "retry_late_idle"];
    for name in names {
        let latency = latencies.get(name).unwrap_or_else(|| panic!("{name} is not there"));
        assert!(latency["trips"].as_u64().expect("a count") > 0, "{name}");
        assert!(latency["rejected"].is_u64() && latency["disturbed"].is_u64(), "{name}");
        let quantiles: Vec<u64> = ["p50", "p90", "p99", "p99.9", "p99.99", "max"]
            .map(|quantile| latency["quantiles"][quantile].as_u64().expect("a figure"))
            .to_vec();
        assert!(quantiles[0] > 0 && quantiles.is_sorted(), "{name}: {quantiles:?}");
    }
}

/// Three plots, and nothing from elsewhere.
fn page_is_whole(page: &str) {
    assert_eq!(page.matches("<svg").count(), 3);
    assert_eq!(page.matches("</svg>").count(), 3);
    assert!(!page.contains("retry_late_idle</text>"), "how late a retry is is no round trip");
    for outside in ["http:", "https:", "src=", "<link", "<script", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    for part in
        ["Throughput by batch", "Round trips", "Workers against", "Method", "crossbeam_channel"]
    {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn only_what_is_asked_for_is_run_with_its_references() {
    let folder = TempDir::new().expect("a folder");
    let json = path(&folder, "run.json");
    printed(&perf(&["--tiny", "--only", "limit_inline", "--only", "open_close", "--json", &json]));
    let report = read(&json);
    let names: Vec<&String> = report["scenarios"].as_object().expect("scenarios").keys().collect();
    if report["audit"]["cores"].as_array().expect("CPUs").len() < 2 {
        assert_eq!(names, ["limit_inline_table"]);
    } else {
        assert_eq!(names, ["limit_inline_table", "open_close", "round_trip_submission"]);
        assert_eq!(report["ratios"].as_object().expect("ratios").len(), 1, "{}", report["ratios"]);
    }
}

/// A jar that is none: the virtual machine fails, and the others are measured all the same.
#[test]
fn a_virtual_machine_that_fails_is_left_out() {
    let folder = TempDir::new().expect("a folder");
    let json = path(&folder, "run.json");
    std::fs::write(folder.path().join("disruptor-0.jar"), "").expect("the folder is ours");
    let jars = folder.path().to_str().expect("plain text");
    let only = ["--only", "limit_inline", "--only", "lmax_disruptor_stream_64"];
    printed(&perf(&[&["--tiny", "--jars", jars, "--json", &json], &only[..]].concat()));
    let report = read(&json);
    assert!(report["scenarios"]["limit_inline_table"].is_object());
    // Why depends on the machine: there may be no Java at all.
    let why = report["left_out"]["lmax_disruptor_stream_64"].as_str();
    assert!(why.is_some_and(|why| !why.is_empty()), "{}", report["left_out"]);
}

/// A run of one scenario, as a file that can be changed.
fn a_run(folder: &TempDir) -> (PathBuf, Value) {
    let json = path(folder, "old.json");
    printed(&perf(&["--tiny", "--only", "limit_inline", "--json", &json]));
    let mut report = read(&json);
    report["ratios"] = json!({ "a_over_b": 1.0, "c_over_d": 2.0, "e_over_f": 0.5 });
    let spread =
        |median: f64| json!({ "median": median, "p10": median - 0.1, "p90": median + 0.1 });
    report["ratio_spreads"] = json!({ "a_over_b": spread(1.0), "c_over_d": spread(2.0) });
    write(Path::new(&json), &report);
    (PathBuf::from(json), report)
}

fn write(path: &Path, report: &Value) {
    std::fs::write(path, report.to_string()).expect("the folder is ours");
}

fn compared(old: &Path, new: &Path) -> Output {
    perf(&["--compare", old.to_str().expect("text"), "--from", new.to_str().expect("text")])
}

#[test]
fn two_runs_are_compared_by_their_ratios() {
    let folder = TempDir::new().expect("a folder");
    let (old, report) = a_run(&folder);
    assert!(printed(&compared(&old, &old)).contains("3 of 3 ratios are the same"));

    let new = folder.path().join("new.json");
    let mut slower = report.clone();
    // Within the halves of both spreads, 0.2 together; beyond them; and missing.
    slower["ratios"] = json!({ "a_over_b": 1.19, "c_over_d": 2.21, "g_over_h": 1.0 });
    write(&new, &slower);
    let output = compared(&old, &new);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let line = |name: &str| text.lines().rev().find(|line| line.starts_with(name)).unwrap_or("");
    assert!(line("c_over_d").ends_with("SLOWER"), "{text}");
    assert!(line("e_over_f").ends_with("missing now"), "{text}");
    assert!(line("g_over_h").ends_with("new"), "{text}");
    assert!(text.contains("1 of 4 ratios are the same"), "{text}");

    // Beside the engine nothing differs; then the size does, and one ratio is noisy.
    assert!(!text.contains("not the same"), "{text}");
    slower["ratio_spreads"]["a_over_b"]["p90"] = json!(2.0);
    slower["size"] = json!("quick");
    write(&new, &slower);
    let noisy = compared(&old, &new);
    let text = String::from_utf8_lossy(&noisy.stdout);
    assert!(
        text.contains("1 of these may have changed by more than 20 % unseen: a_over_b"),
        "{text}"
    );
    assert!(text.contains("not the same size: Tiny; now Quick"), "{text}");

    // The other way about: faster is no failure.
    let back = compared(&new, &old);
    assert!(printed(&back).contains("faster"));
}

#[test]
fn a_small_change_is_noise_even_without_a_spread() {
    let folder = TempDir::new().expect("a folder");
    let (old, mut report) = a_run(&folder);
    let new = folder.path().join("new.json");
    report["ratios"]["e_over_f"] = json!(0.524);
    write(&new, &report);
    printed(&compared(&old, &new));
    report["ratios"]["e_over_f"] = json!(0.526);
    write(&new, &report);
    assert_eq!(compared(&old, &new).status.code(), Some(1), "more than 5 %");
}

#[test]
fn bad_arguments_are_refused() {
    let folder = TempDir::new().expect("a folder");
    let garbage = path(&folder, "garbage.json");
    std::fs::write(&garbage, "{}").expect("the folder is ours");
    let (old, mut report) = a_run(&folder);
    report["format"] = json!(999);
    write(&old, &report);
    let of_another_format = old.to_str().expect("text");
    let absent = path(&folder, "absent.json");
    let nowhere = path(&folder, "no folder/new.json");
    let bad: [(&[&str], &str); 12] = [
        (&["--rounds", "0"], "--rounds"),
        (&["--processes", "many"], "--processes"),
        (&["--nonsense"], "--nonsense"),
        (&["--tiny", "--only", "no_such_scenario"], "no_such_scenario"),
        (&["--tiny", "--cores", "0,0"], "named twice"),
        (&["--tiny", "--cores", "9999"], "CPU 9999"),
        (&["--tiny", "--cores", "first"], "--cores"),
        (&["--compare", &absent, "--tiny"], "absent.json"),
        (&["--tiny", "--json", &nowhere], "new.json"),
        (&["--from", &garbage], "garbage.json"),
        (&["--from", of_another_format], "format 999"),
        (&["--from", &garbage, "--quick"], "--quick"),
    ];
    for (arguments, expected) in bad {
        let output = perf(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(expected), "{arguments:?}: {errors}");
    }
}
