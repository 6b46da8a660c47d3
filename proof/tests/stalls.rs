//! A thread that is stopped holds up what it holds, and no more: five seconds of it.

#![cfg(target_os = "linux")]

use proof::common::{Act, ORDERS, Random, eventually, watchdog};
use proof::mill::{Grain, Mill};
use proof::stalls::{Options, run};
use proof::{child, signal, threads};
use stageline::{Pipeline, WaitStrategy};
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

/// A worker is stopped while it sleeps, so that its doorbell does not wake it: the watch has to notice, and
/// let the other worker serve its groups.
#[test]
fn a_worker_that_is_stopped_in_its_sleep_holds_up_none_of_its_groups() {
    if !child::is_child() {
        let test = "a_worker_that_is_stopped_in_its_sleep_holds_up_none_of_its_groups";
        child::run_again(test, |_| {});
        return;
    }
    let _dog = watchdog(120);
    let (stall, patience) = (Duration::from_secs(4), Duration::from_secs(2));
    signal::install(stall).unwrap();
    for order in ORDERS {
        let builder = Pipeline::builder(|| Mill).workers(2).reserve(0).groups(4).name("sleeper");
        let pipeline = builder.build().unwrap();
        let mut groups: Vec<_> = (0..4).map(|_| pipeline.open(order).unwrap()).collect();
        let named = threads::all().into_iter().find(|(_, name)| name == "sleeper-0");
        let (worker, _) = named.expect("the first worker has a thread");
        eventually("both sleep", || pipeline.stats().workers.iter().all(|worker| worker.parked));
        let mut number = 0;
        let mut go_on = || {
            for (index, group) in groups.iter_mut().enumerate() {
                group.submit(Grain::new(index as u64, 0, number, Act::Pass)).unwrap();
                let output = group.recv_timeout(patience);
                output.map(drop).map_err(|error| format!("group {index}, {order:?}: {error}"))?;
            }
            number += 1;
            Ok(())
        };
        let stopped = signal::stall(worker, false, &mut go_on).unwrap();
        assert!(!stopped.in_code, "it slept");
        go_on().unwrap();
    }
}
