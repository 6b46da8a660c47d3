//! Values that the builder refuses: all of them at once, each with its field and what is accepted.

mod common;

use common::{Lab, lab, pass, watchdog};
use stageline::{
    BuildError, Builder, Pipeline, Request, RuntimeStage, StageFn, StageId, StateMachine, Step,
    limits, state_machine,
};
use std::time::Duration;

/// The problems of a builder, as text.
#[track_caller]
fn problems<M: StateMachine>(builder: Builder<M>) -> Vec<String> {
    match builder.build() {
        Err(BuildError::Invalid(problems)) => problems.iter().map(ToString::to_string).collect(),
        Ok(_) => panic!("it was built"),
        Err(other) => panic!("{other}"),
    }
}

fn hook(_: &mut Lab, _: &mut Request<'_, Lab>) -> Result<(), String> {
    Ok(())
}

#[test]
fn every_problem_is_told_at_once() {
    let mut builder = lab()
        .name("zero\0byte")
        .workers(0)
        .cpus([0, 1, 2])
        .groups(0)
        .window(1000)
        .batch_max(0)
        .visits_max(0)
        .sample_every(0)
        .stall_after(Duration::ZERO);
    for _ in 0..65 {
        builder = builder.before_stage(hook);
    }
    let expected = [
        "workers: 0 is not in 1..=256",
        "groups: 0 is not in 1..=65536",
        "batch_max: 0 is not in 1..=256",
        "window: 1000 is not a power of two; 1024 is",
        "cpus: 3 CPUs are named for 0 workers",
        "before_stage: 65 hooks are more than 64",
        "visits_max: 0 is not in 1..=4294967295",
        "sample_every: 0 is not a power of two from 1 to 2^63",
        "stall_after: 0ns is not in 1..=86400000 milliseconds",
        "name: \"zero\\0byte\" has a zero byte, which a thread's name cannot have",
    ];
    let error = builder.build().expect_err("nothing of it can be built");
    let text = format!("the pipeline cannot be built:\n  {}", expected.join("\n  "));
    assert_eq!(error.to_string(), text);
    assert!(std::error::Error::source(&error).is_none());
}

#[test]
fn each_range_has_two_ends() {
    let cases: [(Builder<Lab>, &str); 12] = [
        (lab().workers(257), "workers: 257 is not in 1..=256"),
        (lab().workers(usize::MAX), "workers: 18446744073709551615 is not in 1..=256"),
        (lab().groups(65_537), "groups: 65537 is not in 1..=65536"),
        (lab().window(1), "window: 1 is not in 2..=1048576"),
        (lab().window(1 << 21), "window: 2097152 is not in 2..=1048576"),
        (lab().dead_letters(1 << 21), "dead_letters: 2097152 is not in 0..=1048576"),
        (lab().batch_max(257), "batch_max: 257 is not in 1..=256"),
        (lab().sample_every(3), "sample_every: 3 is not a power of two from 1 to 2^63"),
        (
            lab().stall_after(Duration::from_millis(86_400_001)),
            "stall_after: 86400.001s is not in 1..=86400000 milliseconds",
        ),
        (
            lab().stall_after(Duration::from_micros(999)),
            "stall_after: 999µs is not in 1..=86400000 milliseconds",
        ),
        (lab().workers(2).cpus([0]), "cpus: 1 CPUs are named for 2 workers"),
        (lab().name("\0"), "name: \"\\0\" has a zero byte, which a thread's name cannot have"),
    ];
    for (builder, expected) in cases {
        assert_eq!(problems(builder), [expected]);
    }
}

#[test]
fn a_window_that_is_no_power_of_two_is_told_one_that_can_be_used() {
    let both = problems(lab().window(0));
    assert_eq!(both, ["window: 0 is not in 2..=1048576", "window: 0 is not a power of two; 2 is"]);
    let both = problems(lab().window((1 << 20) + 1));
    assert_eq!(
        both,
        [
            "window: 1048577 is not in 2..=1048576",
            "window: 1048577 is not a power of two; 1048576 is"
        ]
    );
    assert_eq!(problems(lab().window(3)), ["window: 3 is not a power of two; 4 is"]);
}

#[test]
fn the_ends_of_the_ranges_are_accepted() {
    let _dog = watchdog(60);
    let least = lab().groups(1).window(limits::WINDOW_MIN).batch_max(1).visits_max(2);
    let least = least.sample_every(1).stall_after(Duration::from_millis(limits::STALL_MS_MIN));
    let most = lab().groups(2).batch_max(limits::BATCH_MAX).visits_max(u32::MAX);
    let most = most.sample_every(1 << 63).stall_after(Duration::from_millis(limits::STALL_MS_MAX));
    let many = lab().workers(limits::WORKERS_MAX).groups(1).window(2);
    let wide = lab().groups(1).window(limits::WINDOW_MAX);
    for builder in [least, most, many, wide] {
        let pipeline = builder.build().unwrap();
        for order in common::ORDERS {
            let mut group = pipeline.open(order).unwrap();
            group.submit(pass(1)).unwrap();
            assert_eq!(group.recv().unwrap().value, 2);
        }
    }
}

/// CPU ids that no mask has room for must be refused, not take a worker down.
#[test]
fn a_cpu_that_cannot_exist_is_refused() {
    for cpu in [1024, usize::MAX] {
        assert_eq!(problems(lab().cpus([cpu])), [format!("cpus: {cpu} is not in 0..=1023")]);
    }
}

fn run(_: &mut Lab, job: &mut Request<'_, Lab>) -> Step {
    job.done()
}

fn stage(name: &str, next: Option<&[u16]>) -> RuntimeStage<Lab> {
    let next = next.map(|next| next.iter().copied().map(StageId::new).collect());
    RuntimeStage { name: name.to_owned(), run: run as StageFn<Lab>, next, pool: None }
}

#[test]
fn a_table_of_stages_is_checked() {
    let cases: [(Vec<RuntimeStage<Lab>>, &[&str]); 6] = [
        (vec![], &["stages: 0 stages are not in 1..=4096"]),
        (
            (0..4097).map(|index| stage(&index.to_string(), None)).collect(),
            &["stages: 4097 stages are not in 1..=4096"],
        ),
        (
            vec![stage("a", None), stage("b", None), stage("a", None), stage("a", None)],
            &["stages: the name `a` is given twice", "stages: the name `a` is given twice"],
        ),
        (
            vec![stage("a", Some(&[1, 3])), stage("b", Some(&[65535]))],
            &[
                "stages: `a` declares stage 3 of 2 as its successor",
                "stages: `b` declares stage 65535 of 2 as its successor",
            ],
        ),
        (
            vec![stage("a", Some(&[0])), stage("b", Some(&[0])), stage("c", Some(&[]))],
            &["stages: `b` cannot be reached from `a`", "stages: `c` cannot be reached from `a`"],
        ),
        (
            vec![stage("a", Some(&[1])), stage("b", Some(&[])), stage("b", None)],
            &["stages: the name `b` is given twice", "stages: `b` cannot be reached from `a`"],
        ),
    ];
    for (stages, expected) in cases {
        assert_eq!(problems(lab().stages(stages)), expected);
    }
}

#[test]
fn a_declared_cycle_is_refused_only_where_none_may_be() {
    let cyclic = || [stage("a", Some(&[1])), stage("b", Some(&[2])), stage("c", Some(&[1]))];
    assert!(lab().stages(cyclic()).build().is_ok());
    let refused = problems(lab().stages(cyclic()).dag());
    assert_eq!(refused, ["dag: the declared stages have a cycle: b -> c -> b"]);
    let own = problems(lab().stages([stage("a", Some(&[0]))]).dag());
    assert_eq!(own, ["dag: the declared stages have a cycle: a -> a"]);
    // Nothing is declared, so nothing can be refused: the run will tell.
    assert!(lab().stages([stage("a", None), stage("b", None)]).dag().build().is_ok());
}

/// The same rules for a table in the code.
struct Lost;

#[state_machine(data = u8)]
impl Lost {
    #[stage(next = [])]
    fn first(&mut self, request: &mut Request<'_, Self>) -> Step {
        request.done()
    }

    #[stage(next = [first])]
    fn second(&mut self, request: &mut Request<'_, Self>) -> Step {
        request.next(Self::FIRST)
    }
}

#[test]
fn a_stage_that_cannot_be_reached_is_refused() {
    let refused = problems(Pipeline::builder(|| Lost));
    assert_eq!(refused, ["stages: `second` cannot be reached from `first`"]);
}

/// A payload of a mebibyte: a window of 2^20 of them is more than any machine has.
struct Huge;

#[state_machine(data = [u8; 1 << 20])]
impl Huge {
    #[stage]
    fn run(&mut self, request: &mut Request<'_, Self>) -> Step {
        request.done()
    }
}

#[test]
fn memory_that_cannot_be_had_is_an_error() {
    let overcommit = std::fs::read_to_string("/proc/sys/vm/overcommit_memory");
    if overcommit.is_ok_and(|mode| mode.trim() == "1") {
        return; // The system would promise any amount, and fail when it is written to.
    }
    let build = || {
        let builder = Pipeline::builder_with(|| Huge, || [0; 1 << 20]).workers(1).groups(65_536);
        let builder = builder.window(1 << 20);
        let memory = builder.memory();
        match builder.build() {
            Err(BuildError::OutOfMemory { bytes, total }) => {
                assert!(bytes > 1 << 40, "one window's slots: {bytes}");
                assert!(bytes < total && total == memory);
            }
            other => panic!("{other:?}"),
        }
    };
    // In an optimised build the payload stands on the stack of the function that would fill it.
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(build).unwrap();
    thread.join().unwrap();
}

/// Builds with every budget of address space from nothing to more than enough: each build succeeds or
/// says what is missing. In a process of its own, which an abort would end.
#[test]
#[cfg(target_os = "linux")]
fn too_little_memory_is_an_error_at_every_size() {
    let own = std::env::current_exe().unwrap();
    let child = std::process::Command::new(own)
        .args([
            "--exact",
            "builds_with_every_budget",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success(),
        "{}: {said}\n{}",
        child.status,
        String::from_utf8_lossy(&child.stderr)
    );
    assert!(said.contains("refused "), "{said}");
}

/// The address space that the process has now, in bytes.
#[cfg(target_os = "linux")]
fn address_space() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
#[ignore = "run by too_little_memory_is_an_error_at_every_size"]
#[cfg(target_os = "linux")]
fn builds_with_every_budget() {
    let set_limit = |bytes| {
        let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: the struct outlives the call.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
    };
    let builder = || lab().groups(500).window(8).workers(2).reserve(0);
    let enough = builder().memory() as u64 + (4 << 20);
    let (mut refused, mut built) = (0, 0);
    for budget in (0..enough).step_by(1 << 17) {
        set_limit(address_space() + budget);
        let result = builder().build();
        set_limit(libc::RLIM_INFINITY);
        match result {
            Ok(_) => built += 1,
            Err(BuildError::OutOfMemory { .. } | BuildError::Spawn { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    println!("refused {refused}, built {built}");
    assert!(refused > 0 && built > 0);
}
