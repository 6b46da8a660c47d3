//! Once a run has warmed up, its message path allocates nothing, whatever thread is looked at, and its memory
//! stays as large as it is. (`STAGELINE_SECONDS` says for how long it is watched; RELIABILITY.md, how it came out.)

// (Memory does not run out here.)
#[allow(dead_code)]
#[path = "../../../tests/common/counting.rs"]
mod counting;

use counting::{Counting, calls, live};
use stageline_builtin::builtin;
use stageline_component::Value;
use stageline_runner::{Component as Place, Ended, Plan, Run};
use std::time::Duration;
use std::{fs, thread};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How long the run is watched.
const SECONDS: u64 = 2;
/// How long it warms up: all messages have been used, and buffers have the size that they need.
const WARM_UP: Duration = Duration::from_secs(1);
/// Messages that pass in a second, at least: far fewer than on the slowest machine.
const PASSED_MIN: u64 = 1000;
/// Calls of the allocator, in all: those of the harness, which says that a test takes long.
const HARNESS_MAX: usize = 8;
/// By how much the resident memory may grow: stacks, and pages of libraries.
const GROWTH_MAX: u64 = 512 * 1024;

fn place(name: &str, attributes: &[(&str, Value)]) -> Place {
    let mut factory = (builtin(name).unwrap().factory)();
    for (name, value) in attributes {
        factory.set_attribute(name, value).unwrap();
    }
    factory.prepare().unwrap();
    Place { factory, line: None }
}

/// Bytes of the process that stand in memory.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// One test, so that no other thread is counted.
#[test]
fn a_run_allocates_nothing_and_stays_as_large_as_it_is() {
    let seconds = std::env::var("STAGELINE_SECONDS").map_or(SECONDS, |text| text.parse().unwrap());
    let template = Value::from("{\"n\": {n}, \"text\": \"something\"}");
    let mut plan = Plan::line([
        place("generator", &[("template", template)]),
        place(
            "json",
            &[
                ("filter", "n != 1 && text != \"x\"".into()),
                ("select", Value::List(vec!["n".into()])),
            ],
        ),
        place("null", &[]),
    ]);
    plan.options.workers = Some(2);
    let run = Run::start(plan, |text| panic!("{text}")).unwrap();
    thread::sleep(WARM_UP);
    let emitted = || run.progress().total().emitted;
    let (emitted_before, resident_before) = (emitted(), resident());
    let (calls_before, live_before) = (calls(), live());
    thread::sleep(Duration::from_secs(seconds));
    let (made, grown) = (calls() - calls_before, live() as i64 - live_before as i64);
    let (passed, resident_now) = (emitted() - emitted_before, resident());
    run.stop();
    let summary = run.wait();
    println!(
        "{passed} messages in {seconds} s: {made} allocations and deallocations, {grown} bytes; resident {resident_before} \
         bytes before, {resident_now} after"
    );
    assert!(summary.is_clean() && summary.ended == Ended::Asked, "{summary:?}");
    assert!(passed > PASSED_MIN * seconds, "{passed} messages in {seconds} s");
    assert!(
        made <= HARNESS_MAX && grown == 0,
        "{made} allocations and deallocations, {grown} bytes"
    );
    let more = resident_now.saturating_sub(resident_before);
    assert!(more <= GROWTH_MAX, "{more} bytes more than {resident_before} are resident");
}
