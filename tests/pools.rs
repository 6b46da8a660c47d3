//! Stages that threads of a pool run.

mod common;

use common::{Gate, ORDERS, assert_balanced, eventually, watchdog};
use stageline::{Order, Pipeline, Pool, Request, Retry, Step, state_machine};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A job, and the threads that it went through.
#[derive(Clone, Debug, Default)]
struct Job {
    number: u64,
    to_disk: bool,
    panics: bool,
    threads: Vec<String>,
}

#[derive(Clone)]
struct Office {
    disk: Arc<Gate>,
    /// The instances that have been closed.
    closed: Arc<Mutex<usize>>,
}

#[state_machine(data = Job, error = String, keeps)]
impl Office {
    #[stage]
    fn enter(&mut self, job: &mut Request<'_, Self>) -> Step {
        note(job);
        if job.to_disk { job.next(Self::WRITE) } else { job.next(Self::LEAVE) }
    }

    #[stage(pool = "disk")]
    fn write(&mut self, job: &mut Request<'_, Self>) -> Step {
        note(job);
        self.disk.pass();
        assert!(!job.panics, "the disk is full");
        if job.number.is_multiple_of(5) && job.attempt() == 1 {
            return job.retry("busy".into());
        }
        job.next(Self::SYNC)
    }

    #[stage(pool = "disk")]
    fn sync(&mut self, job: &mut Request<'_, Self>) -> Step {
        note(job);
        job.next(Self::INDEX)
    }

    #[stage(pool = "core")]
    fn index(&mut self, job: &mut Request<'_, Self>) -> Step {
        note(job);
        job.next(Self::LEAVE)
    }

    #[stage]
    fn leave(&mut self, job: &mut Request<'_, Self>) -> Step {
        note(job);
        job.done()
    }

    #[close]
    fn finish(&mut self) {
        *self.closed.lock().unwrap() += 1;
    }
}

fn note(job: &mut Job) {
    let name = thread::current().name().unwrap_or_default().to_owned();
    job.threads.push(name);
}

struct World {
    pipeline: Pipeline<Office>,
    disk: Arc<Gate>,
    closed: Arc<Mutex<usize>>,
}

fn office(workers: usize, window: usize) -> World {
    office_with(workers, window, Pool::threads("disk", 3))
}

fn office_with(workers: usize, window: usize, disk_pool: Pool) -> World {
    let office = Office { disk: Gate::closed(), closed: Arc::default() };
    let (disk, closed) = (Arc::clone(&office.disk), Arc::clone(&office.closed));
    let builder = Pipeline::builder(move || office.clone()).name("office").workers(workers);
    let builder = builder.groups(3).window(window).retry(Retry::attempts(2).first(Duration::ZERO));
    let cpu = stageline_cpu();
    let builder = builder.pool(disk_pool).pool(Pool::cores("core", [cpu]));
    World { pipeline: builder.build().unwrap(), disk, closed }
}

/// A CPU that this process may use.
fn stageline_cpu() -> usize {
    core_affinity::get_core_ids().expect("the system names its CPUs")[0].id
}

fn job(number: u64, to_disk: bool) -> Job {
    Job { number, to_disk, ..Job::default() }
}

#[test]
fn each_stage_runs_in_its_pool() {
    let _dog = watchdog(60);
    for workers in [1, 2] {
        let world = office(workers, 16);
        world.disk.open();
        for order in ORDERS {
            let mut group = world.pipeline.open(order).unwrap();
            let mut threads = BTreeSet::new();
            let (mut sent, mut back) = (0, 0);
            while back < 300 {
                while sent < 300 && group.try_submit(job(sent, sent % 4 != 0)).is_ok() {
                    sent += 1;
                }
                let output = group.recv().unwrap();
                assert!(output.is_done(), "{}", output.outcome());
                let pools = output.threads.iter().map(|name| name.split('-').nth(1).unwrap());
                let pools: Vec<_> = pools
                    .map(|pool| if pool.parse::<u32>().is_ok() { "worker" } else { pool })
                    .collect();
                let mut expected = vec!["worker"];
                if output.to_disk {
                    let writes = if output.number.is_multiple_of(5) { 2 } else { 1 };
                    expected.extend(["disk"].repeat(writes));
                    expected.extend(["disk", "core"]);
                }
                expected.push("worker");
                assert_eq!(pools, expected);
                threads.extend(output.threads.iter().cloned());
                back += 1;
            }
            assert!(threads.len() >= 3, "{threads:?}");
        }
        let entered: Vec<u64> =
            world.pipeline.stats().stages.iter().map(|stage| stage.entered).collect();
        // 150 of 600 stay away from the disk; of the others those that are a multiple of five go there twice.
        assert_eq!(entered, [600, 450 + 90, 450, 450, 600]);
        let closed = Arc::clone(&world.closed);
        assert_balanced(&world.pipeline.close());
        // One machine for each thread.
        assert_eq!(*closed.lock().unwrap(), workers + 3 + 1);
    }
}

/// A pool that stands still, with more requests than it has threads, holds up nobody else.
/// Jobs come one by one, each after the last one's end: all but the first find their thread asleep by the clock, or come
/// later than that.
#[test]
fn a_thread_that_naps_takes_requests_after_its_nap() {
    let _dog = watchdog(60);
    let nap = Duration::from_millis(20);
    let world = office_with(1, 16, Pool::threads("disk", 1).nap(nap));
    world.disk.open();
    let mut group = world.pipeline.open(Order::Submission).unwrap();
    let start = Instant::now();
    for number in 1..4 {
        group.submit(job(number, true)).unwrap();
        assert!(group.recv().unwrap().is_done());
    }
    assert!(start.elapsed() >= 2 * nap, "{:?}", start.elapsed());
    assert!(group.submit(job(4, true)).is_ok());
    drop(group);
    world.pipeline.close();
    assert_eq!(*world.closed.lock().unwrap(), 3, "who naps comes to the end, too");
}

#[test]
fn a_pool_that_stands_still_holds_up_what_goes_through_it() {
    let _dog = watchdog(60);
    let world = office(1, 32);
    let mut stuck = world.pipeline.open(Order::Completion).unwrap();
    let mut mixed = world.pipeline.open(Order::Completion).unwrap();
    let mut other = world.pipeline.open(Order::Submission).unwrap();
    (0..32).for_each(|number| assert!(stuck.submit(job(number, true)).is_ok()));
    (0..16).for_each(|number| assert!(mixed.submit(job(number, true)).is_ok()));
    world.disk.wait_for(3);
    for number in 0..1000 {
        other.submit(job(number, false)).unwrap();
        assert_eq!(other.recv().unwrap().number, number);
        mixed.submit(job(100 + number, false)).unwrap();
        assert_eq!(mixed.recv().unwrap().number, 100 + number);
    }
    assert_eq!((stuck.in_flight(), mixed.in_flight()), (32, 16));
    world.disk.open();
    let numbers: BTreeSet<u64> = (0..32).map(|_| stuck.recv().unwrap().number).collect();
    assert_eq!(numbers, (0..32).collect());
    (0..16).for_each(|_| assert!(mixed.recv().unwrap().is_done()));
    drop((stuck, mixed, other));
    assert_balanced(&world.pipeline.close());
}

#[test]
fn a_stage_that_panics_costs_a_pool_no_thread() {
    let _dog = watchdog(60);
    let world = office(1, 16);
    world.disk.open();
    let mut group = world.pipeline.open(Order::Submission).unwrap();
    for number in 0..40 {
        let panics = number % 2 == 0;
        group.submit(Job { panics, ..job(number, true) }).unwrap();
        let output = group.recv().unwrap();
        let expected = if panics { "panicked: the disk is full" } else { "done" };
        assert_eq!(output.outcome().to_string(), expected);
    }
    let stats = world.pipeline.stats();
    assert_eq!(stats.workers.len(), 1 + 3 + 1);
    assert!(stats.workers.iter().all(|worker| worker.running == 0));
}

/// What is in a pool when the pipeline ends goes on to its end; after an abort it ends as cancelled.
#[test]
fn the_end_of_a_pipeline_waits_for_its_pools() {
    let _dog = watchdog(60);
    for aborts in [false, true] {
        let world = office(2, 16);
        let mut group = world.pipeline.open(Order::Completion).unwrap();
        (0..16).for_each(|number| assert!(group.submit(job(number, true)).is_ok()));
        world.disk.wait_for(3);
        let (disk, pipeline) = (world.disk, world.pipeline);
        let end = thread::spawn(move || {
            if aborts {
                let _ = pipeline.abort();
            }
        });
        eventually("no more is taken", || group.try_submit(job(99, true)).is_err());
        disk.open();
        end.join().unwrap();
        let mut ended = [0, 0];
        while let Ok(output) = group.recv() {
            ended[usize::from(output.is_done())] += 1;
        }
        assert_eq!(ended.iter().sum::<usize>(), 16);
        assert!(aborts || ended == [0, 16], "{ended:?}");
        assert!(!aborts || ended[0] > 0, "{ended:?}");
    }
}

#[test]
fn bad_pools_are_told_with_all_that_is_wrong() {
    let office = Office { disk: Gate::closed(), closed: Arc::default() };
    let builder = Pipeline::builder(move || office.clone()).workers(1);
    let builder = builder.pool(Pool::threads("disc", 0)).pool(Pool::cores("disc", [5000]));
    let error = builder.pool(Pool::threads("a\0b", usize::MAX)).build().unwrap_err().to_string();
    let expected = [
        "pools: 1026 threads or more are more than 1024",
        "pools: the name `disc` is given twice",
        "pools: `disc` has no threads",
        "pools: `disc`: CPU 5000 is not in 0..=1023",
        "pools: \"a\\0b\" has a zero byte",
        "pools: stage `write` names the pool `disk`; known: ",
        "pools: stage `index` names the pool `core`; known: ",
    ];
    for part in expected {
        assert!(error.contains(part), "{part}: {error}");
    }
}

/// Keeps nothing, and cannot have a pool.
struct Plain;

#[state_machine(data = u8)]
impl Plain {
    #[stage]
    fn only(&mut self, request: &mut Request<'_, Self>) -> Step {
        request.done()
    }
}

#[test]
fn a_machine_that_keeps_nothing_has_no_pools() {
    let error = Pipeline::builder(|| Plain).pool(Pool::threads("disk", 1)).build().unwrap_err();
    assert!(error.to_string().contains("does not say that it keeps requests"), "{error}");
}
