//! Lost wake-ups: threads that go to sleep and are woken, over and over, with nothing that would wake
//! them by chance. No wait may reach its deadline.
//!
//! The long run: `cargo test --release --test parks -- --ignored --nocapture`

mod common;

use common::{ORDERS, Random, finish, watchdog};
use core_affinity::CoreId;
use stageline::{Order, Pipeline, Request, Step, WaitStrategy, state_machine};
use std::thread;
use std::time::{Duration, Instant};

/// What a wait may take on a machine that is busy with something else. What was not woken waits longer.
const DEADLINE: Duration = Duration::from_secs(20);

/// A thread that finds nothing falls asleep within this, so that pauses of up to as long meet it awake,
/// asleep, and at any moment of falling asleep.
const DOZE: Duration = Duration::from_micros(if cfg!(debug_assertions) { 80 } else { 30 });

fn pause(random: &mut Random) {
    if random.below(8) == 0 {
        // Where two threads have one CPU, the other falls asleep only while this one does not run.
        thread::sleep(Duration::from_nanos(1));
        return;
    }
    let (start, pause) = (Instant::now(), random.below(DOZE.as_nanos() as u64));
    while start.elapsed() < Duration::from_nanos(pause) {
        std::hint::spin_loop();
    }
}

/// Adds one after a pause.
struct Echo(Random);

#[state_machine(data = u64)]
impl Echo {
    #[stage]
    fn run(&mut self, request: &mut Request<'_, Self>) -> Step {
        pause(&mut self.0);
        **request += 1;
        request.done()
    }
}

/// More workers than CPUs, so that whoever has nothing to do sleeps after a few looks.
fn pipeline(name: &str) -> Pipeline<Echo> {
    let builder = || Pipeline::builder(|| Echo(Random(20)));
    let machine = builder().build().unwrap();
    let (cpus, allowed) = (machine.report().usable_cpus, &machine.report().allowed_cpus);
    // This thread and the worker on two CPUs, if there are two: the engine leaves a builder's CPU to it.
    if let Some(id) = allowed.first() {
        core_affinity::set_for_current(CoreId { id: *id });
    }
    let builder = builder().workers((cpus + 1).min(256)).name(name);
    let pipeline = builder.wait(WaitStrategy::SpinThenPark).groups(2).window(2).build().unwrap();
    assert!(pipeline.report().crowded, "nobody spins");
    pipeline
}

/// The worker of this name has gone to sleep by itself, often enough for the test to mean something.
#[cfg(target_os = "linux")]
#[track_caller]
fn assert_slept(worker: &str, cycles: u64) {
    let sleeps = std::fs::read_dir("/proc/self/task").unwrap().find_map(|task| {
        let status = std::fs::read_to_string(task.ok()?.path().join("status")).ok()?;
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let is_worker = field("Name:")? == worker;
        is_worker.then(|| field("voluntary_ctxt_switches:")?.parse::<u64>().ok())?
    });
    let sleeps = sleeps.expect("the worker is there");
    println!("{worker}: slept {sleeps} times in {cycles} cycles");
    assert!(sleeps > cycles / 50, "slept {sleeps} times in {cycles} cycles");
}

#[cfg(not(target_os = "linux"))]
fn assert_slept(_: &str, _: u64) {}

/// One request at a time: the worker sleeps until it comes, the receiver until it is done. Nothing
/// else happens that would wake either. Returns how many cycles there were until `end`.
fn ping_pong(order: Order, max: u64, end: Instant) -> u64 {
    let pipeline = pipeline("park-ping");
    let mut group = pipeline.open(order).unwrap();
    let mut random = Random(21);
    let mut cycles = 0;
    while cycles < max && (cycles % 64 != 0 || Instant::now() < end) {
        assert_eq!(group.submit(cycles), Ok(cycles));
        match group.recv_timeout(DEADLINE) {
            Ok(output) => assert_eq!(*output, cycles + 1),
            Err(error) => panic!("seed 21, cycle {cycles}: {error}"),
        }
        pause(&mut random);
        cycles += 1;
    }
    assert_slept("park-ping-0", cycles);
    drop(group);
    assert_eq!(finish(pipeline).done, cycles);
    cycles
}

/// Two ends, a window of two: the submitter sleeps until a slot is free, the receiver until a result is
/// there, and at times the one waits for the other.
fn two_ends(order: Order, max: u64, end: Instant) -> u64 {
    let pipeline = pipeline("park-ends");
    let (mut submitter, mut receiver) = pipeline.open(order).unwrap().split();
    let cycles = thread::scope(|scope| {
        let submitter = scope.spawn(move || {
            let (mut random, mut cycles) = (Random(22), 0);
            while cycles < max && (cycles % 64 != 0 || Instant::now() < end) {
                let submitted = submitter.submit_timeout(cycles, DEADLINE);
                assert_eq!(submitted, Ok(cycles), "seed 22, cycle {cycles}");
                pause(&mut random);
                cycles += 1;
            }
            cycles
        });
        let (mut random, mut received) = (Random(23), 0);
        loop {
            match receiver.recv_timeout(DEADLINE) {
                Ok(output) => assert_eq!(*output, output.position() + 1),
                Err(stageline::RecvTimeoutError::Closed) => break,
                Err(error) => panic!("seed 23, result {received}: {error}"),
            }
            received += 1;
            pause(&mut random);
        }
        let cycles = submitter.join().unwrap();
        assert_eq!(received, cycles);
        cycles
    });
    assert_slept("park-ends-0", cycles);
    drop(receiver);
    assert_eq!(finish(pipeline).done, cycles);
    cycles
}

/// Runs both in both orders, up to `max` cycles and for `time` each.
fn run(max: u64, time: Duration) -> u64 {
    let mut cycles = 0;
    for order in ORDERS {
        cycles += ping_pong(order, max, Instant::now() + time);
        cycles += two_ends(order, max, Instant::now() + time);
    }
    cycles
}

#[test]
fn no_wait_reaches_its_deadline() {
    let _dog = watchdog(120);
    let cycles = run(u64::MAX, Duration::from_millis(2_500));
    println!("{cycles} cycles");
    assert!(cycles > 1_000, "{cycles} cycles");
}

#[test]
#[ignore = "ten million cycles: some minutes of both CPUs"]
fn no_wait_of_ten_million_reaches_its_deadline() {
    let _dog = watchdog(3_600);
    let start = Instant::now();
    let cycles = run(2_500_000, Duration::from_secs(900));
    println!("{cycles} cycles in {:?}", start.elapsed());
    assert_eq!(cycles, 10_000_000, "as many as 15 minutes allow for each quarter");
}
