//! Groups of different weight share a worker's time by weight, and express groups come first.
//!
//! Backlogs are put together while the worker is held at a gate, so that all groups are busy from then on and no
//! other thread runs. What each got is read from the log of the stage.

mod common;

use common::{Gate, LONG, ORDERS, Random, eventually, finish, watchdog};
use stageline::limits::{ORDINARY_PART, WEIGHT_MAX};
use stageline::{
    Builder, GroupOptions, OpenError, Order, Pipeline, Request, RequestGroup, Step, state_machine,
};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What a request does: it waits at the gate, or sleeps.
#[derive(Clone, Copy, Default)]
struct Task {
    waits: bool,
    sleep_us: u64,
}

const WAIT: Task = Task { waits: true, sleep_us: 0 };

fn sleep(sleep_us: u64) -> Task {
    Task { waits: false, sleep_us }
}

/// A request that has been run.
#[derive(Clone, Copy)]
struct Ran {
    group: usize,
    start: Instant,
    end: Instant,
}

#[derive(Default)]
struct Book {
    gate: Mutex<Arc<Gate>>,
    log: Mutex<Vec<Ran>>,
}

impl Book {
    fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate.lock().unwrap())
    }

    /// The log, and a new one and another gate for what comes.
    fn next(&self) -> Vec<Ran> {
        *self.gate.lock().unwrap() = Gate::closed();
        std::mem::take(&mut *self.log.lock().unwrap())
    }
}

struct Logged {
    book: Arc<Book>,
}

#[state_machine(data = Task)]
impl Logged {
    #[stage]
    fn run(&mut self, task: &mut Request<'_, Self>) -> Step {
        let start = Instant::now();
        if task.waits {
            self.book.gate().pass();
        } else if task.sleep_us > 0 {
            thread::sleep(Duration::from_micros(task.sleep_us));
        }
        let ran = Ran { group: task.group(), start, end: Instant::now() };
        self.book.log.lock().unwrap().push(ran);
        task.done()
    }
}

fn logged(book: &Arc<Book>) -> Builder<Logged> {
    let book = Arc::clone(book);
    Pipeline::builder(move || Logged { book: Arc::clone(&book) }).workers(1).reserve(0)
}

fn weighing(order: Order, weight: u32) -> GroupOptions {
    GroupOptions::new(order).weight(weight)
}

fn express(order: Order) -> GroupOptions {
    GroupOptions::new(order).express(true)
}

/// What one group is opened with, what each of its requests does, and how many there are.
type Backlog = (GroupOptions, Task, usize);

/// From one group to the next one that is at home with the same worker, if there are up to three.
const SAME_HOME: usize = 6;

/// Opens the groups, each with its backlog, while the workers are held; lets them go, and receives everything.
/// What was run while all groups had requests, each named by its place among them.
fn run_on(pipeline: &Pipeline<Logged>, book: &Book, backlogs: &[Backlog]) -> Vec<Ran> {
    let workers = pipeline.report().workers.len();
    let apart = if workers == 1 { 1 } else { SAME_HOME };
    let open_some = |count| -> Vec<_> {
        (0..count).map(|_| pipeline.open(Order::Submission).unwrap()).collect()
    };
    let mut holders = open_some(apart);
    for holder in &mut holders[..workers] {
        holder.submit(WAIT).unwrap();
    }
    // One whose home worker is held already is taken over by another.
    book.gate().wait_for(workers);
    let open = |(options, task, count): &Backlog| {
        let mut group = pipeline.open(options.clone()).unwrap();
        let others = open_some(apart - 1);
        assert_eq!(group.submit_batch(&mut std::iter::repeat_n(*task, *count)), *count);
        (group, others)
    };
    let mut groups: Vec<_> = backlogs.iter().map(open).collect();
    book.gate().open();
    wait_until_run(groups.iter().map(|(group, _)| group));
    for ((group, _), (.., count)) in groups.iter_mut().zip(backlogs) {
        for _ in 0..*count {
            assert!(group.recv_timeout(LONG).unwrap().is_done());
        }
    }
    holders[..workers].iter_mut().for_each(|holder| assert!(holder.recv().unwrap().is_done()));
    let indices: Vec<_> = groups.iter().map(|(group, _)| group.index()).collect();
    let mut log = book.next();
    log.retain(|ran| indices.contains(&ran.group));
    log.iter_mut().for_each(|ran| {
        ran.group = indices.iter().position(|index| *index == ran.group).unwrap();
    });
    let last = |group| log.iter().rposition(|ran| ran.group == group).unwrap();
    log.truncate((0..groups.len()).map(last).min().unwrap());
    log
}

/// Waits until these groups' requests have been run. (Who receives meanwhile is woken by the worker, at the
/// cost of the group.)
fn wait_until_run<'g>(groups: impl Iterator<Item = &'g RequestGroup<Logged>> + Clone) {
    let is_run = |group: &RequestGroup<Logged>| group.stats().ledger.in_flight() == 0;
    eventually("everything is run", || groups.clone().all(is_run));
}

fn built(book: &Arc<Book>, workers: usize, backlogs: &[Backlog]) -> Pipeline<Logged> {
    let window = backlogs.iter().map(|(.., count)| *count).max().unwrap().next_power_of_two();
    let groups = (1 + backlogs.len()) * if workers == 1 { 1 } else { SAME_HOME };
    logged(book).workers(workers).groups(groups).window(window).build().unwrap()
}

/// What a worker that is not stopped by the system does not take between two requests, in seconds.
const STOP: f64 = 0.001;

/// What is off by more than two batches of any group, and a few hundredths. If nothing is, whether these were
/// too long to tell. One worker has no time but that of requests and what lies before them.
fn wrong_shares(log: &[Ran], expected: &[f64], batch: usize) -> Result<bool, String> {
    let mut used = vec![0.0; expected.len()];
    let (mut longest, mut stops) = (0.0_f64, 0.0);
    let mut before = log[0].start;
    for batch in log.chunks(batch) {
        let mut batch_time = 0.0;
        for ran in batch {
            // There is none where the requests of several workers overlap.
            let between = ran.start.saturating_duration_since(before).as_secs_f64();
            let time = (ran.end - ran.start).as_secs_f64() + between;
            // Whether it fell on this request's group or on the one before is not known.
            stops += if between > STOP { between } else { 0.0 };
            batch_time += time;
            used[ran.group] += time;
            before = ran.end;
        }
        longest = longest.max(batch_time);
    }
    let total: f64 = used.iter().sum();
    let slack = 2.0 * longest + stops + 0.03 * total;
    if used.iter().zip(expected).any(|(used, share)| (used - share * total).abs() > slack) {
        let shares: Vec<_> = used.iter().map(|used| (used / total * 1e3).round() / 1e3).collect();
        let times = format!("{total:.4} s, the longest batch {longest:.4} s, stops {stops:.4} s");
        return Err(format!("{shares:?}, not {expected:?}; {times}"));
    }
    Ok(slack < 0.1 * total)
}

/// A machine that stops for long in a short run can hide anything: then once more, a few times.
const RUNS_MAX: usize = 5;

#[track_caller]
fn assert_shares_of(run: impl Fn() -> Vec<Ran>, expected: &[f64], batch: usize) {
    for _ in 0..RUNS_MAX {
        match wrong_shares(&run(), expected, batch) {
            Ok(true) => return,
            Ok(false) => {}
            Err(wrong) => panic!("{wrong}"),
        }
    }
}

#[track_caller]
fn assert_shares(backlogs: &[Backlog], expected: &[f64], batch: usize) {
    let run = || {
        let book = Arc::<Book>::default();
        let pipeline = built(&book, 1, backlogs);
        let log = run_on(&pipeline, &book, backlogs);
        finish(pipeline);
        log
    };
    assert_shares_of(run, expected, batch);
}

#[test]
fn busy_groups_share_the_time_by_weight() {
    let _dog = watchdog(120);
    let backlog = |weight, us, count| (weighing(Order::Submission, weight), sleep(us), count);
    assert_shares(&[backlog(1, 50, 512), backlog(9, 50, 512)], &[0.1, 0.9], 1);
    assert_shares(&[backlog(3, 50, 512), backlog(1, 50, 512)], &[0.75, 0.25], 1);
    let three = [backlog(1, 50, 256), backlog(2, 50, 256), backlog(5, 50, 512)];
    assert_shares(&three, &[0.125, 0.25, 0.625], 1);
}

/// Not one of them all that it has credit for, and then the next.
#[test]
fn groups_with_credit_take_turns() {
    let _dog = watchdog(60);
    let backlogs = [0; 3].map(|_| (weighing(Order::Submission, WEIGHT_MAX), sleep(50), 64));
    let book = Arc::<Book>::default();
    let pipeline = built(&book, 1, &backlogs);
    let log = run_on(&pipeline, &book, &backlogs);
    // A group whose request was stopped for long misses some; by credit alone there were ten turns in all.
    assert!(turns(&log) * 2 >= log.len(), "{} turns of {}", turns(&log), log.len());
    finish(pipeline);
}

/// How often another group's request was run than the one before.
fn turns(log: &[Ran]) -> usize {
    log.windows(2).filter(|two| two[0].group != two[1].group).count()
}

/// Of requests the groups get what their time is enough for.
#[test]
fn heavy_requests_take_no_more_time_than_their_weight() {
    let _dog = watchdog(120);
    let backlog = |weight, us, count| (weighing(Order::Completion, weight), sleep(us), count);
    assert_shares(&[backlog(1, 1_000, 64), backlog(9, 50, 1024)], &[0.1, 0.9], 1);
    assert_shares(&[backlog(9, 1_000, 128), backlog(1, 50, 512)], &[0.9, 0.1], 1);
    assert_shares(&[backlog(1, 1_000, 128), backlog(1, 50, 1024)], &[0.5, 0.5], 1);
    // One that was given no weight has 1.
    let plain = (GroupOptions::new(Order::Submission), sleep(1_000), 64);
    assert_shares(&[plain, backlog(4, 50, 1024)], &[0.2, 0.8], 1);
}

/// Requests that take next to nothing are claimed by the hundred.
#[test]
fn whole_batches_are_shared_by_weight() {
    let _dog = watchdog(120);
    let backlog = |weight, count| (weighing(Order::Submission, weight), sleep(0), count);
    assert_shares(&[backlog(1, 1 << 16), backlog(9, 1 << 16)], &[0.1, 0.9], 128);
    let heavy = (weighing(Order::Submission, 1), sleep(200), 128);
    assert_shares(&[heavy, backlog(4, 1 << 16)], &[0.2, 0.8], 128);
}

/// What another worker does is part of the shares. (The requests are long enough to be helped with.)
#[test]
fn helpers_go_by_weight_too() {
    let _dog = watchdog(120);
    for (order, workers) in ORDERS.into_iter().flat_map(|order| [(order, 2), (order, 3)]) {
        let backlog = |weight, us, count| (weighing(order, weight), sleep(us), count);
        for (one, other) in [(200, 200), (1_000, 200)] {
            let backlogs = [backlog(1, one, 128), backlog(9, other, 1024)];
            let run = || {
                let book = Arc::<Book>::default();
                let pipeline = built(&book, workers, &backlogs);
                let log = run_on(&pipeline, &book, &backlogs);
                finish(pipeline);
                log
            };
            assert_shares_of(run, &[0.1, 0.9], 1);
        }
    }
}

/// The same memory, opened with other weights, without any, and as another class.
#[test]
fn a_group_that_is_opened_again_has_its_new_weight() {
    let _dog = watchdog(120);
    let plain = || GroupOptions::new(Order::Completion);
    let pair = |one, other| [(one, sleep(500), 128), (other, sleep(50), 128)];
    let book = Arc::<Book>::default();
    // One group more than a run takes: they are opened in turn.
    let pipeline = logged(&book).groups(4).window(128).build().unwrap();
    let check = |one, other, expected: &[f64]| {
        let pair = pair(one, other);
        let run = || run_on(&pipeline, &book, &pair);
        assert_shares_of(run, expected, 1);
    };
    // In turns, as often as each other, although one takes longer.
    let in_turns = || {
        let log = run_on(&pipeline, &book, &pair(plain(), plain()));
        assert!(turns(&log) >= 240, "{} turns of {}", turns(&log), log.len());
    };
    in_turns();
    let weight = |weight| weighing(Order::Submission, weight);
    check(weight(1), weight(9), &[0.1, 0.9]);
    check(weight(9), weight(1), &[0.9, 0.1]);
    in_turns();
    check(express(Order::Submission), plain(), &[0.9, 0.1]);
    check(plain(), weight(3), &[0.25, 0.75]);
    in_turns();
    // A group that is closed counts no more, before it is opened again.
    drop(pipeline.open(weight(9)).unwrap());
    in_turns();
    drop(pipeline.open(express(Order::Submission)).unwrap());
    in_turns();
    finish(pipeline);
}

#[test]
fn a_group_that_does_nothing_gathers_no_time() {
    let _dog = watchdog(60);
    let book = Arc::<Book>::default();
    let pipeline = logged(&book).groups(2).window(1024).build().unwrap();
    let mut busy = pipeline.open(weighing(Order::Submission, 1)).unwrap();
    let mut idle = pipeline.open(weighing(Order::Submission, 9)).unwrap();
    idle.submit(sleep(0)).unwrap();
    assert!(idle.recv().unwrap().is_done());
    // The one that has the worker for itself gets all of it.
    let mut tasks: Vec<_> = vec![sleep(50); 601];
    tasks[300] = WAIT;
    assert_eq!(busy.submit_batch(&mut tasks.into_iter()), 601);
    book.gate().wait_for(1);
    let before = book.log.lock().unwrap().len();
    assert!(before >= 300, "{before} requests were run");
    assert_eq!(idle.submit_batch(&mut std::iter::repeat_n(sleep(50), 512)), 512);
    book.gate().open();
    wait_until_run([&busy, &idle].into_iter());
    let mut log = book.next();
    log.drain(..=before);
    let last = log.iter().rposition(|ran| ran.group == idle.index()).unwrap();
    log.truncate(last);
    let shares = wrong_shares(&log, &[0.1, 0.9], 1);
    assert!(shares.is_ok(), "{shares:?}");
    for (group, count) in [(&mut busy, 601), (&mut idle, 512)] {
        assert_eq!(group.drain(count, |output| assert!(output.is_done())), count);
    }
    drop((busy, idle));
    finish(pipeline);
}

/// A worker is inside a batch of one of many busy groups: the next that it runs is the express request, whether
/// it polls the group or has let go of it.
#[test]
fn an_express_request_waits_for_one_batch() {
    let _dog = watchdog(120);
    for (order, polled) in ORDERS.into_iter().flat_map(|order| [(order, false), (order, true)]) {
        for (ordinary, express_groups) in [(1, 1), (16, 1), (16, 3)] {
            let book = Arc::<Book>::default();
            let pipeline = logged(&book).batch_max(1).groups(20).window(32).build().unwrap();
            let mut busy: Vec<_> = (0..ordinary).map(|_| pipeline.open(order).unwrap()).collect();
            let open = |_| pipeline.open(express(order)).unwrap();
            let mut fast: Vec<_> = (0..express_groups).map(open).collect();
            for group in fast.iter_mut().filter(|_| polled) {
                group.submit(sleep(0)).unwrap();
                assert!(group.recv().unwrap().is_done());
            }
            busy[0].submit(WAIT).unwrap();
            book.gate().wait_for(1);
            for group in &mut busy {
                assert_eq!(group.submit_batch(&mut std::iter::repeat_n(sleep(0), 16)), 16);
            }
            for group in &mut fast {
                group.submit(sleep(0)).unwrap();
            }
            let before = book.log.lock().unwrap().len();
            book.gate().open();
            for group in busy.iter_mut().chain(&mut fast) {
                while group.in_flight() > 0 {
                    assert!(group.recv_timeout(LONG).unwrap().is_done());
                }
            }
            let log: Vec<_> = book.next().iter().map(|ran| ran.group).collect();
            let mut next = log[before + 1..][..express_groups].to_vec();
            next.sort_unstable();
            let express: Vec<_> = fast.iter().map(RequestGroup::index).collect();
            assert_eq!(next, express, "{ordinary} busy groups, polled before: {polled}: {log:?}");
            drop((busy, fast));
            finish(pipeline);
        }
    }
}

/// They are left a part of the time, and share that by weight.
#[test]
fn busy_express_groups_leave_a_part_to_the_others() {
    let _dog = watchdog(120);
    let part = 1.0 / ORDINARY_PART as f64;
    let backlog = |options, us, count| (options, sleep(us), count);
    let plain = || GroupOptions::new(Order::Completion);
    let one = || backlog(express(Order::Completion), 50, 1024);
    assert_shares(&[one(), backlog(plain(), 50, 256)], &[1.0 - part, part], 1);
    assert_shares(&[one(), backlog(plain(), 1_000, 64)], &[1.0 - part, part], 1);
    let others = [(1, 0.25), (3, 0.75)];
    let [low, high] =
        others.map(|(weight, _)| backlog(weighing(Order::Submission, weight), 50, 256));
    let shares = [1.0 - part, others[0].1 * part, others[1].1 * part];
    assert_shares(&[one(), low, high], &shares, 1);
}

/// Whatever their weight, and whatever their requests take.
#[test]
fn express_groups_take_turns_among_themselves() {
    let _dog = watchdog(60);
    let heavy = (express(Order::Submission).weight(9), sleep(200), 256);
    let light = (express(Order::Completion), sleep(50), 256);
    let rest = (GroupOptions::new(Order::Submission), sleep(50), 256);
    let backlogs = [heavy, light, rest];
    let book = Arc::<Book>::default();
    let pipeline = built(&book, 1, &backlogs);
    let log = run_on(&pipeline, &book, &backlogs);
    let count = |group| log.iter().filter(|ran| ran.group == group).count();
    let counts = [0, 1, 2].map(count);
    // Batches have one request each as soon as their length is known.
    assert!(counts[0].abs_diff(counts[1]) < 8 && counts[2] < counts[0] + 8, "{counts:?}");
    finish(pipeline);
}

#[test]
fn a_weight_out_of_range_is_refused() {
    let book = Arc::<Book>::default();
    let pipeline = logged(&book).groups(2).build().unwrap();
    for asked in [0, WEIGHT_MAX + 1, u32::MAX] {
        let refused = pipeline.open(weighing(Order::Submission, asked)).err();
        assert_eq!(refused, Some(OpenError::Weight { asked }));
        let said = refused.unwrap().to_string();
        assert_eq!(said, format!("a weight of {asked} is not in 1..={WEIGHT_MAX}"));
    }
    // No group was lost by that.
    let open = |weight| pipeline.open(weighing(Order::Submission, weight));
    let both = (open(1).unwrap(), open(WEIGHT_MAX).unwrap());
    drop(both);
    finish(pipeline);
}

/// Groups of random weight and class come and go, on several workers: everything is run, in its order.
#[test]
fn whatever_the_shares_nothing_is_lost() {
    let _dog = watchdog(120);
    for seed in [1, 2, 3] {
        println!("seed {seed}");
        let book = Arc::<Book>::default();
        let workers = seed as usize;
        let pipeline = logged(&book).workers(workers).groups(8).window(64).build().unwrap();
        thread::scope(|scope| {
            for stream in 0..4 {
                let pipeline = &pipeline;
                scope.spawn(move || stream_of_groups(pipeline, Random(seed << 8 | stream)));
            }
        });
        assert_eq!(finish(pipeline).done, 4 * GROUPS * REQUESTS);
    }
}

const GROUPS: u64 = 40;
const REQUESTS: u64 = 300;

/// One group after the other, with what chance says.
fn stream_of_groups(pipeline: &Pipeline<Logged>, mut random: Random) {
    for _ in 0..GROUPS {
        let mut options = GroupOptions::new(Order::Submission).express(random.below(4) == 0);
        if random.below(2) == 0 {
            options = options.weight(1 + random.below(u64::from(WEIGHT_MAX)) as u32);
        }
        let mut group = pipeline.open(options).unwrap();
        let (mut left, mut next) = (REQUESTS, None);
        while left > 0 || group.in_flight() > 0 {
            let burst = left.min(random.below(40)) as usize;
            left -= group.submit_batch(&mut std::iter::repeat_n(sleep(0), burst)) as u64;
            if group.in_flight() > 0 {
                let position = group.recv_timeout(LONG).unwrap().position();
                assert!(next.is_none_or(|next| next == position));
                next = Some(position + 1);
            }
        }
    }
}
