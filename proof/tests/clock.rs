//! Clock jumps: the time of day goes back and forth by years while the pipeline runs, and nothing of the
//! engine notices. This binary has a `clock_gettime` of its own, which the standard library's calls come
//! to: the monotonic clock is the system's, the time of day jumps at each call and is counted.

#![cfg(target_os = "linux")]

use proof::child;
use proof::common::{LONG, ORDERS, ending, watchdog};
use stageline::{Pipeline, Request, RequestGroup, Step, state_machine};
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

static REAL_TIME_READS: AtomicU64 = AtomicU64::new(0);
static MONOTONIC_READS: AtomicU64 = AtomicU64::new(0);
/// Ten years.
const JUMP_SECONDS: i64 = 315_360_000;

/// In place of the C library's.
// SAFETY: no other function of this program has the name; it keeps the C library's contract.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(
    clock: libc::clockid_t,
    now: *mut libc::timespec,
) -> libc::c_int {
    // SAFETY: the caller hands over a place for the time, as for the C library's function.
    let result = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, now) } as libc::c_int;
    match clock {
        libc::CLOCK_REALTIME => {
            let reads = REAL_TIME_READS.fetch_add(1, SeqCst) as i64;
            // Forth, back, further forth, further back, five times.
            let jump = (1 + reads % 5) * JUMP_SECONDS;
            if result == 0 {
                // SAFETY: as above; the system has written to it.
                unsafe { (*now).tv_sec += if reads % 2 == 0 { jump } else { -jump } };
            }
        }
        libc::CLOCK_MONOTONIC => drop(MONOTONIC_READS.fetch_add(1, SeqCst)),
        _ => {}
    }
    result
}

/// Sleeps for as many milliseconds as the request says.
struct Sleeper;

#[state_machine(data = u64, error = String)]
impl Sleeper {
    #[stage]
    fn sleep(&mut self, request: &mut Request<'_, Self>) -> Step {
        thread::sleep(Duration::from_millis(**request));
        request.next(Self::END)
    }

    #[stage]
    fn end(&mut self, request: &mut Request<'_, Self>) -> Step {
        request.done()
    }
}

/// Deadlines, timeouts and statistics are right by the monotonic clock.
fn times_are_right() {
    for (order, workers) in ORDERS.into_iter().flat_map(|order| [(order, 1), (order, 2)]) {
        let builder = Pipeline::builder(|| Sleeper).workers(workers).sample_every(1).window(64);
        let pipeline = builder.groups(2).stall_after(Duration::from_secs(60)).build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        let mut run = |deadline: Option<Instant>, sleep_ms| {
            group.set_deadline(deadline);
            group.submit(sleep_ms).unwrap();
            ending(&group.recv_timeout(LONG).unwrap())
        };
        for _ in 0..5 {
            let now = Instant::now();
            assert_eq!(run(Some(now + Duration::from_secs(3600)), 1), "done");
            assert_eq!(run(Some(now), 1), "expired");
            // It runs into its deadline between the two stages, or has passed it before.
            assert_eq!(run(Some(Instant::now() + Duration::from_millis(5)), 20), "expired");
            assert_eq!(run(None, 0), "done");
        }
        waits_are_right(&mut group);
        let stats = pipeline.stats();
        assert_eq!((stats.ledger.done, stats.ledger.expired), (10 + 64, 10));
        // No jump of years, and not less than the stage has slept.
        for times in [&stats.queue, &stats.run, &stats.stages[0].run] {
            let longest = times.max().expect("each request is sampled");
            assert!(times.count() >= 10 && longest < LONG, "{times:?}");
        }
        assert!(stats.stages[0].run.max() >= Some(Duration::from_millis(1)), "{stats:?}");
        assert_eq!(stats.stalls, 0, "nothing was left for a minute");
        let start = Instant::now();
        group.submit(0).unwrap();
        let error = pipeline.close_timeout(Duration::from_millis(30)).unwrap_err();
        let waited = start.elapsed();
        assert!(waited >= Duration::from_millis(30) && waited < LONG, "{waited:?}: {error}");
        assert!(group.recv_timeout(LONG).unwrap().is_done());
    }
}

/// A wait for nothing ends when its time is over, neither before nor years after.
fn waits_are_right(group: &mut RequestGroup<Sleeper>) {
    let timeout = Duration::from_millis(30);
    let start = Instant::now();
    assert!(group.recv_timeout(timeout).is_err());
    let waited = start.elapsed();
    assert!(waited >= timeout && waited < LONG, "{waited:?}");
    let start = Instant::now();
    group.set_deadline(None);
    let mut accepted = 0;
    while group.submit_timeout(0, timeout).is_ok() {
        accepted += 1;
    }
    let waited = start.elapsed();
    assert!(accepted == 64 && waited >= timeout && waited < LONG, "{accepted}, {waited:?}");
    assert_eq!(group.drain(64, |output| assert!(output.is_done())), 64);
}

#[test]
fn a_time_of_day_that_jumps_by_years_changes_nothing() {
    let _dog = watchdog(120);
    let jumps =
        || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |t| t.as_secs());
    let (one, other) = (jumps(), jumps());
    assert!(one.abs_diff(other) > JUMP_SECONDS as u64, "the clock jumps: {one}, {other}");
    let before = (REAL_TIME_READS.load(SeqCst), MONOTONIC_READS.load(SeqCst));
    times_are_right();
    assert!(MONOTONIC_READS.load(SeqCst) > before.1, "the engine's reads come here");
    assert_eq!(REAL_TIME_READS.load(SeqCst), before.0, "nobody asks for the time of day");
}

/// The same where the monotonic clock is near where a machine comes that has been up for a century, in a
/// time namespace of its own. Where the system allows none, the child says so and has nothing to show.
#[test]
fn a_monotonic_clock_a_century_ahead_changes_nothing() {
    const CENTURY_SECONDS: f64 = 3_153_600_000.0;
    const OFFSETS: &str = "monotonic 3153600000 0\nboottime 3153600000 0\n";
    if child::is_child() {
        let _dog = watchdog(120);
        let up = fs::read_to_string("/proc/uptime").unwrap();
        println!("uptime {}", up.trim_end());
        times_are_right();
        return;
    }
    let test = "a_monotonic_clock_a_century_ahead_changes_nothing";
    let enter = || {
        // SAFETY: it takes a number. What is asked for is a time namespace for the program that follows.
        if unsafe { libc::unshare(libc::CLONE_NEWTIME) } != 0 {
            return Err(io::Error::last_os_error());
        }
        fs::write("/proc/self/timens_offsets", OFFSETS)
    };
    if !is_allowed(enter) {
        println!("no time namespace is to be had here");
        return;
    }
    // SAFETY: between fork and exec it makes a system call and writes a file, without allocating.
    let printed = child::run_again(test, |command| unsafe {
        command.pre_exec(enter);
    });
    let up = printed.lines().find_map(|line| line.split("uptime ").nth(1)).expect("it says");
    let up: f64 = up.split_whitespace().next().unwrap().parse().unwrap();
    assert!(up > CENTURY_SECONDS, "{up}");
}

/// Whether a process that does so can be started.
fn is_allowed(enter: impl FnMut() -> io::Result<()> + Send + Sync + 'static) -> bool {
    let mut command = std::process::Command::new("true");
    // SAFETY: as for the child that is started so.
    unsafe { command.pre_exec(enter) };
    command.status().is_ok_and(|status| status.success())
}

/// No source of the engine names the time of day.
#[test]
fn the_engine_knows_no_time_of_day() {
    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { sources(&entry, found) } else { found.push(entry) }
        }
    }
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../src"), &mut found);
    assert!(found.len() > 30, "the sources are found");
    let names = ["SystemTime", "UNIX_EPOCH", "CLOCK_REALTIME", "gettimeofday"];
    for path in found {
        let text = fs::read_to_string(&path).unwrap();
        let named: Vec<_> = names.iter().filter(|name| text.contains(*name)).collect();
        assert!(named.is_empty(), "{}: {named:?}", path.display());
    }
}
