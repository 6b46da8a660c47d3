//! CPUs that are taken away while the pipeline runs, and given back.

use proof::child;
use proof::common::{Act, LONG, ORDERS, watchdog};
use proof::mill::{self, Grain, Mill};
use proof::oracle::Oracle;
use proof::threads;
use stageline::{Pipeline, RequestGroup, WaitStrategy};
use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

/// The CPUs that a thread may run on.
fn cpus_of(thread: i32) -> Vec<usize> {
    // SAFETY: a `cpu_set_t` of zeros is an empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the set is of the size that is given.
    unsafe { libc::sched_getaffinity(thread, size_of::<libc::cpu_set_t>(), &mut set) };
    // SAFETY: each id is within the set.
    let is_in = |cpu: &usize| unsafe { libc::CPU_ISSET(*cpu, &set) };
    (0..libc::CPU_SETSIZE as usize).filter(is_in).collect()
}

/// Moves each thread of this process to these CPUs, as `taskset -ap` does: pinned ones too.
fn move_all_to(cpus: &[usize]) {
    // SAFETY: a `cpu_set_t` of zeros is an empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the ids are those of CPUs, so within the set.
    cpus.iter().for_each(|cpu| unsafe { libc::CPU_SET(*cpu, &mut set) });
    for (thread, name) in threads::all() {
        // SAFETY: the set is initialised and of the size that is given.
        let result = unsafe { libc::sched_setaffinity(thread, size_of::<libc::cpu_set_t>(), &set) };
        // A thread may have ended meanwhile.
        let error = io::Error::last_os_error();
        assert!(result == 0 || error.raw_os_error() == Some(libc::ESRCH), "{name}: {error}");
    }
}

/// Submits and receives until it is told to stop, and says how far it has come.
fn stream(mut group: RequestGroup<Mill>, tag: u64, came: &AtomicU64, stop: &AtomicBool) {
    let (mut oracle, mut sent) = (Oracle::new(group.order(), 0), 0);
    while !stop.load(SeqCst) {
        while sent % 64 != 63 {
            group.submit(Grain::new(tag, 0, sent, Act::Pass)).unwrap();
            sent += 1;
        }
        group.submit(Grain::new(tag, 0, sent, Act::Pass)).unwrap();
        sent += 1;
        while group.in_flight() > 0 {
            let output = group.recv_timeout(LONG).expect("it goes on");
            mill::check(&output, tag).unwrap();
            oracle.take(output.position()).unwrap();
            came.fetch_add(1, SeqCst);
        }
    }
    oracle.finish(sent).unwrap();
}

/// In a process of its own, whose threads are moved while four groups stream: to one CPU, which spinning
/// workers, submitters and receivers then share, and back.
#[test]
fn cpus_that_are_taken_away_and_given_back_stop_nothing() {
    if !child::is_child() {
        let test = "cpus::cpus_that_are_taken_away_and_given_back_stop_nothing";
        child::run_again(test, |_| {});
        return;
    }
    let _dog = watchdog(120);
    let all = cpus_of(0);
    for wait in [WaitStrategy::SpinThenPark, WaitStrategy::SpinThenYield, WaitStrategy::BusySpin] {
        let builder = Pipeline::builder(|| Mill).workers(2).reserve(0).name("cpus").wait(wait);
        let pipeline = builder.groups(4).window(64).build().unwrap();
        let (came, stop) = ([const { AtomicU64::new(0) }; 4], AtomicBool::new(false));
        thread::scope(|scope| {
            for (index, came) in came.iter().enumerate() {
                let group = pipeline.open(ORDERS[index % 2]).unwrap();
                let stop = &stop;
                scope.spawn(move || stream(group, index as u64, came, stop));
            }
            let halves = [&all[..1], &all[all.len() - 1..]];
            for cpus in [&all[..], halves[0], halves[1], &all[..], halves[0], &all[..]] {
                move_all_to(cpus);
                let workers = threads::all().into_iter().filter(|(_, name)| name == "cpus-0");
                workers.for_each(|(worker, _)| assert_eq!(cpus_of(worker), cpus));
                goes_on(&came, cpus);
            }
            stop.store(true, SeqCst);
        });
        let ledger = pipeline.close();
        let came: u64 = came.iter().map(|came| came.load(SeqCst)).sum();
        assert_eq!((ledger.done, ledger.received), (came, came));
        move_all_to(&all);
    }
    // Built while but one CPU is left: what is asked for is more than there is, and it works all the same.
    move_all_to(&all[..1]);
    let pipeline = Pipeline::builder(|| Mill).workers(2).reserve(0).build().unwrap();
    let mut group = pipeline.open(ORDERS[0]).unwrap();
    for number in 0..200 {
        group.submit(Grain::new(1, 0, number, Act::Pass)).unwrap();
        mill::check(&group.recv_timeout(LONG).unwrap(), 1).unwrap();
    }
    drop(group);
    assert_eq!(pipeline.close().done, 200);
}

/// Each group gets several rounds of results.
#[track_caller]
fn goes_on(came: &[AtomicU64; 4], cpus: &[usize]) {
    let before = came.each_ref().map(|came| came.load(SeqCst));
    let start = Instant::now();
    while came.iter().zip(before).any(|(came, before)| came.load(SeqCst) < before + 256) {
        assert!(start.elapsed() < LONG, "no group may stop on the CPUs {cpus:?}: {came:?}");
        thread::sleep(Duration::from_millis(1));
    }
}
