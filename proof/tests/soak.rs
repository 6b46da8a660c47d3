//! Everything at once, for five seconds.

#![cfg(target_os = "linux")]

use proof::common::{Random, watchdog};
use proof::mill::quiet_panics;
use proof::soak::{Options, run};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[test]
fn every_request_is_accounted_for() {
    let _dog = watchdog(120);
    quiet_panics();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let seed = Random(since.as_nanos() as u64).next();
    println!("seed {seed}");
    let summary = run(&Options { time: Duration::from_secs(5), seed, workers: 3 }).unwrap();
    println!("{summary}");
    assert!(!summary.peaks.has_grown(), "memory: {:?}", summary.peaks);
    let (counts, ledger) = (&summary.counts, &summary.counts.ledger);
    assert_eq!(ledger.ended(), ledger.submitted);
    assert!(summary.pipelines >= 5, "each way to end one");
    assert!(summary.closed_pipelines >= 2, "so that ledgers were compared");
    let ends = [ledger.failed, ledger.dropped, ledger.expired, ledger.panicked, ledger.cyclic];
    assert!(ends.iter().all(|count| *count > 0), "{ledger}");
    assert!(counts.cancels > 0 && counts.abandoned > 0 && counts.filler_panics > 0);
}
