//! A thread that is stopped holds up what it holds, and no more: five seconds of it.

#![cfg(target_os = "linux")]

use proof::child;
use proof::common::{Random, watchdog};
use proof::stalls::{Options, run};
use stageline::WaitStrategy;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// In a process of its own, whose signal handler it sets. The stalls are long enough to tell a group that
/// goes on from one that waits for the stall's end.
#[test]
fn a_stopped_thread_holds_up_no_other_group() {
    if !child::is_child() {
        print!("{}", child::run_again("a_stopped_thread_holds_up_no_other_group", |_| {}));
        return;
    }
    let _dog = watchdog(120);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let options = Options {
        time: Duration::from_secs(5),
        stall: Duration::from_millis(250),
        seed: Random(since.as_nanos() as u64).next(),
        workers: 2,
        wait: WaitStrategy::SpinThenPark,
    };
    println!("seed {}", options.seed);
    let report = run(&options).unwrap();
    println!("{report}");
    assert_eq!(report.contradictions(), [""; 0]);
    assert_eq!(report.rows.len(), 9, "each role was stopped");
    assert!(report.rows.iter().all(|row| row.results > 0), "the others went on");
}
