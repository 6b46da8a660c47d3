//! Stages that take a while, by one worker and more, against one thread that does the same work by itself;
//! and a mix of heavy and light requests.
//!
//! The work is a loop of so many turns, each of which needs the one before; its length is calibrated once a
//! run (by the parent process, so that all processes do the same), and no clock is read in it.

use super::{ALONE, List, Setup};
use crate::cores::pin;
use crate::driver::WINDOW;
use crate::engine::started;
use crate::meter::Timed;
use stageline::{Order, Pipeline, Request, RequestGroup, Step, WaitStrategy, state_machine};
use std::convert::Infallible;
use std::time::Instant;

/// What a stage takes, and what the scenarios call it.
const LENGTHS: [(&str, u64); 4] = [("20ns", 20), ("100ns", 100), ("1us", 1_000), ("10us", 10_000)];
/// One request in this many of the mix takes [`HEAVY_NS`], the others [`LIGHT_NS`].
const MIX: u64 = 64;
const HEAVY_NS: u64 = 10_000;
const LIGHT_NS: u64 = 20;

/// The work: so many turns, from this seed.
#[inline(never)]
pub(super) fn work(turns: u64, seed: u64) -> u64 {
    (0..turns).fold(seed, |value, _| {
        std::hint::black_box(value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1))
    })
}

/// Turns that take a microsecond on this machine at its best.
pub fn calibrate() -> u64 {
    const TURNS: u64 = 100_000;
    let times = (0..20).map(|seed| {
        let start = Instant::now();
        std::hint::black_box(work(TURNS, seed));
        start.elapsed().as_nanos().max(1) as u64
    });
    (TURNS * 1_000 / times.min().expect("twenty")).max(1)
}

/// A job: its number, its turns, and then its result.
#[derive(Clone, Copy, Default)]
pub(super) struct Job {
    pub(super) number: u64,
    pub(super) turns: u64,
    pub(super) result: u64,
}

pub(super) struct Worker;

#[state_machine(data = Job, error = Infallible)]
impl Worker {
    #[stage(next = [])]
    fn work(&mut self, job: &mut Request<'_, Self>) -> Step {
        job.result = work(job.turns, job.number);
        job.done()
    }
}

/// The turns of a request of this number.
type Turns = fn(number: u64, of: u64, turns_per_us: u64) -> u64;

pub(super) fn uniform(_: u64, ns: u64, turns_per_us: u64) -> u64 {
    (ns * turns_per_us / 1_000).max(1)
}

fn mixed(number: u64, _: u64, turns_per_us: u64) -> u64 {
    let is_heavy = number % MIX == MIX - 1;
    uniform(0, if is_heavy { HEAVY_NS } else { LIGHT_NS }, turns_per_us)
}

pub fn add(list: &mut List<Timed>, cpus: usize) {
    for (length, ns) in LENGTHS {
        add_one(list, &format!("work_{length}"), ns, uniform, cpus);
    }
    add_one(list, "mixed", (HEAVY_NS + LIGHT_NS * (MIX - 1)) / MIX, mixed, cpus);
}

fn add_one(list: &mut List<Timed>, name: &str, ns: u64, turns: Turns, cpus: usize) {
    list.add(format!("{name}_inline"), ALONE, move |setup| inline(setup, ns, turns));
    for workers in worker_counts(cpus.saturating_sub(1).max(1)) {
        let threads =
            format!("submitter and receiver on one CPU, {workers} spinning workers on a CPU each");
        list.add(format!("{name}_workers_{workers}"), (1 + workers, &threads), move |setup| {
            spread(setup, workers, false, ns, turns)
        });
    }
    let threads = "a worker on each CPU, the submitter's among them; all of them, and the submitter, \
                   sleep when they have nothing to do";
    list.add(format!("{name}_workers_shared"), (2, threads), move |setup| {
        spread(setup, setup.cores.count(), true, ns, turns)
    });
}

/// 1, 2, 4, .. and all of them.
fn worker_counts(most: usize) -> Vec<usize> {
    let mut counts: Vec<usize> =
        std::iter::successors(Some(1), |count| Some(count * 2)).take_while(|n| *n < most).collect();
    counts.push(most);
    counts
}

fn inline(setup: &Setup, ns: u64, turns: Turns) -> Timed {
    pin(setup.cores.submitter);
    let requests = setup.meter.requests(ns);
    let mut checks = Checks::of(requests);
    setup.meter.timed(requests, || {
        for number in 0..requests {
            let turns = turns(number, ns, setup.turns_per_us);
            checks.take(&Job { number, turns, result: work(turns, number) });
        }
    })
}

fn spread(setup: &Setup, workers: usize, shared: bool, ns: u64, turns: Turns) -> Timed {
    let mut cpus = setup.cores.workers.clone();
    cpus.truncate(workers);
    let wait = if shared { WaitStrategy::SpinThenPark } else { WaitStrategy::BusySpin };
    if shared {
        cpus.push(setup.cores.submitter);
    }
    let builder = Pipeline::builder(|| Worker).workers(workers).cpus(cpus).wait(wait);
    let pipeline = started(&setup.cores, builder.groups(1).window(WINDOW));
    let mut group = pipeline.open(Order::Completion).expect("one group");
    let job = |number| Job { number, turns: turns(number, ns, setup.turns_per_us), result: 0 };
    let requests = setup.meter.requests(ns);
    let mut checks = Checks::of(requests + requests / 10);
    drive(&mut group, 0..requests / 10, &job, &mut checks);
    let timed = setup.meter.timed(requests, || {
        drive(&mut group, requests / 10..requests / 10 + requests, &job, &mut checks);
    });
    assert_eq!(checks.numbers, (0..requests / 10 + requests).sum::<u64>(), "lost or doubled");
    checks.verify();
    if shared { timed.of_sharing_threads() } else { timed }
}

/// Streams these jobs, and waits for results by the pipeline's wait strategy: where a worker shares the
/// CPU, spinning here would keep it from running.
fn drive(
    group: &mut RequestGroup<Worker>,
    numbers: std::ops::Range<u64>,
    job: &impl Fn(u64) -> Job,
    checks: &mut Checks,
) {
    let mut left = numbers.end - numbers.start;
    let mut jobs = numbers.map(job);
    while left > 0 {
        group.submit_batch(&mut jobs);
        checks.take(&group.recv().expect("some are in flight"));
        left -= 1 + group.drain(63, |output| checks.take(output)) as u64;
    }
}

/// One result in this many is checked: heavy ones of the mix are among them.
const SAMPLED: u64 = MIX - 1;

/// What was received: all numbers, and some results to be checked after the time has been taken.
struct Checks {
    numbers: u64,
    sampled: Vec<Job>,
}

impl Checks {
    fn of(requests: u64) -> Self {
        Self { numbers: 0, sampled: Vec::with_capacity((requests / SAMPLED) as usize + 1) }
    }

    fn take(&mut self, job: &Job) {
        self.numbers += job.number;
        if job.number.is_multiple_of(SAMPLED) {
            self.sampled.push(*job);
        }
    }

    fn verify(&self) {
        for job in &self.sampled {
            assert_eq!(job.result, work(job.turns, job.number), "a wrong result");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_double_up_to_all() {
        assert_eq!(worker_counts(1), [1]);
        assert_eq!(worker_counts(2), [1, 2]);
        assert_eq!(worker_counts(7), [1, 2, 4, 7]);
        assert_eq!(worker_counts(8), [1, 2, 4, 8]);
    }

    #[test]
    fn one_request_of_the_mix_is_heavy() {
        let heavy = (0..MIX).filter(|number| mixed(*number, 0, 1_000) == HEAVY_NS).count();
        assert_eq!(heavy, 1);
        assert_eq!(mixed(0, 0, 1_000), LIGHT_NS);
    }

    #[test]
    fn a_wrong_result_is_found() {
        let checks = Checks {
            numbers: 3,
            sampled: vec![Job { number: 3, turns: 5, result: work(5, 3) ^ 1 }],
        };
        assert!(std::panic::catch_unwind(|| checks.verify()).is_err());
    }
}
