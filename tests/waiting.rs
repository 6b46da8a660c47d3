//! The wait strategies: each one waits, gives up in time and is woken, crowded or not.

mod common;

use common::{Act, Gate, LONG, ORDERS, finish, job, lab, lab_with, pass, watchdog};
use stageline::{Order, Pipeline, RecvError, RecvTimeoutError, SubmitTimeoutError, WaitStrategy};
use std::thread;
use std::time::{Duration, Instant};

const STRATEGIES: [WaitStrategy; 4] = [
    WaitStrategy::BusySpin,
    WaitStrategy::SpinThenYield,
    WaitStrategy::SpinThenPark,
    WaitStrategy::YieldThenPark,
];

/// Longer than any strategy polls before it changes its way of waiting.
const PAUSE: Duration = Duration::from_millis(30);

/// Nothing is kept free, so that one worker does not crowd a machine of one CPU.
fn pipeline(strategy: WaitStrategy, gate: &std::sync::Arc<Gate>) -> Pipeline<common::Lab> {
    let pipeline = lab_with(gate).wait(strategy).reserve(0).pin(false).build().unwrap();
    assert_eq!(pipeline.report().wait, strategy);
    assert!(!pipeline.report().crowded);
    pipeline
}

#[test]
fn receivers_give_up_in_time() {
    let _dog = watchdog(60);
    for (strategy, order) in STRATEGIES.into_iter().flat_map(|s| ORDERS.map(|order| (s, order))) {
        let pipeline = pipeline(strategy, &Gate::closed());
        let mut group = pipeline.open(order).unwrap();
        for timeout in [Duration::ZERO, Duration::from_micros(50), PAUSE] {
            let start = Instant::now();
            assert_eq!(group.recv_timeout(timeout).err(), Some(RecvTimeoutError::Timeout));
            assert!(start.elapsed() >= timeout, "{strategy:?}");
        }
        group.submit(pass(1)).unwrap();
        assert_eq!(group.recv_timeout(LONG).unwrap().value, 2);
    }
}

#[test]
fn submitters_give_up_in_time() {
    let _dog = watchdog(60);
    for (strategy, order) in STRATEGIES.into_iter().flat_map(|s| ORDERS.map(|order| (s, order))) {
        let pipeline = pipeline(strategy, &Gate::closed());
        let mut group = pipeline.open(order).unwrap();
        assert_eq!(group.submit_batch(&mut (0..).map(pass)), 8);
        for timeout in [Duration::ZERO, Duration::from_micros(50), PAUSE] {
            let start = Instant::now();
            let refused = group.submit_timeout(pass(9), timeout);
            assert_eq!(refused, Err(SubmitTimeoutError::Timeout(pass(9))), "{strategy:?}");
            assert!(start.elapsed() >= timeout, "{strategy:?}");
        }
        while group.recv().is_ok() {}
    }
}

#[test]
fn waiting_threads_are_woken_however_long_they_have_waited() {
    let _dog = watchdog(60);
    for (strategy, order) in STRATEGIES.into_iter().flat_map(|s| ORDERS.map(|order| (s, order))) {
        let gate = Gate::closed();
        let pipeline = pipeline(strategy, &gate);
        let (mut submitter, mut receiver) = pipeline.open(order).unwrap().split();
        submitter.submit(job(Act::Wait, 0)).unwrap();
        assert_eq!(submitter.submit_batch(&mut (1..).map(pass)), 7);
        thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(submitter.submit(pass(8)), Ok(8));
                thread::sleep(PAUSE);
                assert_eq!(submitter.submit(pass(9)), Ok(9));
                thread::sleep(PAUSE);
                drop(submitter);
            });
            scope.spawn(|| {
                thread::sleep(PAUSE);
                gate.open();
            });
            for _ in 0..10 {
                assert!(receiver.recv().unwrap().is_done());
            }
            // Closed while it waits, and nothing but that tells it.
            assert_eq!(receiver.recv().err(), Some(RecvError::Closed), "{strategy:?}");
        });
        drop(receiver);
        assert_eq!(finish(pipeline).done, 10);
    }
}

#[test]
fn a_waiting_receiver_learns_of_the_pipelines_end() {
    let _dog = watchdog(60);
    for strategy in STRATEGIES {
        let pipeline = pipeline(strategy, &Gate::closed());
        let (_submitter, mut receiver) = pipeline.open(Order::Completion).unwrap().split();
        let waiter = thread::spawn(move || receiver.recv_timeout(LONG).err());
        thread::sleep(PAUSE);
        drop(pipeline);
        assert_eq!(waiter.join().unwrap(), Some(RecvTimeoutError::Closed), "{strategy:?}");
    }
}

/// More threads than CPUs: no strategy may spin, the report says so, and the work gets done.
#[test]
fn a_crowded_pipeline_parks_whatever_was_asked_for() {
    let _dog = watchdog(120);
    for strategy in STRATEGIES {
        let cpus = lab().build().unwrap().report().usable_cpus;
        let workers = (cpus + 8).min(256);
        let pipeline = lab().workers(workers).groups(5).wait(strategy).build().unwrap();
        let report = pipeline.report();
        assert!(report.crowded);
        let sleeps = strategy == WaitStrategy::YieldThenPark;
        let in_force = if sleeps { strategy } else { WaitStrategy::SpinThenPark };
        assert_eq!((report.wait_asked, report.wait), (strategy, in_force));
        // One CPU is kept free, and the workers beyond the others only help.
        let mut helpers = report.workers.iter().skip((cpus - 1).max(1));
        assert!(helpers.all(|worker| !worker.pinned && worker.cpu.is_none()));
        let text = report.to_string();
        assert!(text.contains(": more threads than CPUs, so idle ones sleep at once"), "{text}");
        let instead = text.contains(&format!("instead of {strategy:?}"));
        assert_eq!(instead, strategy != in_force, "{text}");
        thread::scope(|scope| {
            for index in 0..5 {
                let order = ORDERS[index % 2];
                let mut group = pipeline.open(order).unwrap();
                scope.spawn(move || {
                    for round in 0..300 {
                        let submitted = group.submit_batch(&mut (0..8).map(pass));
                        assert_eq!(submitted, 8, "round {round}");
                        for _ in 0..8 {
                            assert!(group.recv_timeout(LONG).unwrap().is_done());
                        }
                    }
                });
            }
        });
        assert_eq!(finish(pipeline).done, 5 * 300 * 8);
    }
}

/// Time that the threads of this name have been on a CPU, in ticks of 10 ms.
#[cfg(target_os = "linux")]
fn ticks_of(prefix: &str) -> (usize, u64) {
    let stats = std::fs::read_dir("/proc/self/task").unwrap().filter_map(|task| {
        let stat = std::fs::read_to_string(task.ok()?.path().join("stat")).ok()?;
        let (name, rest) = stat.split_once(" (")?.1.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let ticks = fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?;
        name.starts_with(prefix).then_some(ticks)
    });
    stats.fold((0, 0), |(threads, sum), ticks| (threads + 1, sum + ticks))
}

#[cfg(target_os = "linux")]
#[test]
fn an_idle_pipeline_costs_less_than_a_hundredth_of_a_cpu() {
    let _dog = watchdog(60);
    let pipeline = Pipeline::builder(|| Idle).name("idle-cost").build().unwrap();
    let mut groups: Vec<_> = (0..32).map(|_| pipeline.open(Order::Completion).unwrap()).collect();
    for group in &mut groups {
        group.submit(1).unwrap();
        drop(group.recv().unwrap());
    }
    thread::sleep(Duration::from_secs(1));
    let (threads, before) = ticks_of("idle-cost");
    assert_eq!(threads, pipeline.report().workers.len());
    thread::sleep(Duration::from_secs(2));
    let spent = ticks_of("idle-cost").1 - before;
    assert!(spent <= 2, "{spent} ticks of 10 ms in 2 s");

    // And it wakes up from that.
    for group in &mut groups {
        group.submit(2).unwrap();
        assert_eq!(*group.recv_timeout(LONG).unwrap(), 2);
    }
}

struct Idle;

#[stageline::state_machine(data = u64)]
impl Idle {
    #[stage]
    fn only(&mut self, request: &mut stageline::Request<'_, Self>) -> stageline::Step {
        request.done()
    }
}
