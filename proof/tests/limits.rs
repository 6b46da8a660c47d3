//! Threads that the system refuses while a pipeline is built. (Memory that it refuses:
//! `tests/refused_memory.rs` and `tests/bad_input.rs` of the engine.)

#![cfg(target_os = "linux")]

use proof::child;
use proof::common::counting::{Counting, live, wait_for_others};
use proof::common::{LONG, eventually, watchdog};
use proof::threads;
use stageline::{BuildError, Builder, Order, Pipeline, Request, Step, state_machine};
use std::error::Error;
use std::io::ErrorKind;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Plain;

#[state_machine(data = u64, error = String)]
impl Plain {
    #[stage]
    fn only(&mut self, request: &mut Request<'_, Self>) -> Step {
        request.done()
    }
}

/// A user that nobody is, so that this process's threads are all that count.
const NOBODYS_ID: libc::uid_t = 61_234;
const WORKERS: usize = 3;
const NAME: &str = "scarce";
/// How often each is tried.
const TRIES: usize = 3;

fn builder() -> Builder<Plain> {
    Pipeline::builder(|| Plain).workers(WORKERS).reserve(0).groups(4).window(64).name(NAME)
}

/// Lets the user of this process have so many threads and processes.
fn allow(threads: usize) {
    let bound = threads as libc::rlim_t;
    // The hard limit stays: the next round may raise it again.
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a place for the answer.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NPROC, &mut limit) }, 0);
    limit.rlim_cur = bound.min(limit.rlim_max);
    // SAFETY: the limit is initialised.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &limit) }, 0);
}

/// Becomes a user of whom no other process is. `false` if this one may not.
fn become_nobody() -> bool {
    // SAFETY: it takes three numbers; the C library changes all threads of the process.
    unsafe { libc::setresuid(NOBODYS_ID, NOBODYS_ID, NOBODYS_ID) == 0 }
}

/// Builds with so few threads that the one with this number cannot be had. How many bytes that has left.
fn refused(threads: usize, number: usize) -> i64 {
    let before = (live() as i64, threads::all().len());
    allow(threads);
    let error = builder().build().expect_err("a thread is refused");
    allow(usize::MAX);
    let text = error.to_string();
    assert!(error.source().is_some_and(|source| source.is::<std::io::Error>()), "{text}");
    let BuildError::Spawn { thread, source } = error else { panic!("{text}") };
    let expected =
        if number < WORKERS { format!("{NAME}-{number}") } else { format!("{NAME}-watch") };
    assert_eq!(thread, expected);
    assert_eq!(source.kind(), ErrorKind::WouldBlock, "{source}");
    assert!(text.contains(&expected) && text.contains("could not be started"), "{text}");
    drop((thread, source, text, expected));
    eventually("its threads are gone", || threads::all().len() == before.1);
    live() as i64 - before.0
}

/// In a process of its own, which is not root and may have but so many threads: one fewer than the pipeline
/// needs, two fewer, and so on to none. Each time `build` says which thread could not be had, and leaves
/// neither threads nor memory; with all of them it works.
#[test]
fn a_thread_that_cannot_be_had_is_an_error_and_leaves_nothing() {
    if !child::is_child() {
        child::run_again("a_thread_that_cannot_be_had_is_an_error_and_leaves_nothing", |_| {});
        return;
    }
    let _dog = watchdog(60);
    wait_for_others();
    // What a process does once, it does before the count: looking at the CPUs, names of the standard library.
    assert_eq!(builder().build().unwrap().close().submitted, 0);
    eventually("its threads are gone", || {
        !threads::all().iter().any(|(_, name)| name.starts_with(NAME))
    });
    let alone = become_nobody();
    let own = threads::all().len();
    // Another process of the same user counts too, so without a user of its own there is one case only.
    let allowed = if alone { 0..=WORKERS } else { 0..=0 };
    for more in allowed {
        let threads = if alone { own + more } else { 1 };
        // What is left is left each time. The harness and the watchdog may allocate meanwhile, once each.
        let left: Vec<_> = (0..TRIES).map(|_| refused(threads, more)).collect();
        assert!(left.contains(&0), "{more}: bytes that were left: {left:?}");
    }
    allow(if alone { own + WORKERS + 1 } else { usize::MAX });
    let pipeline = builder().build().expect("all threads can be had");
    let mut group = pipeline.open(Order::Submission).unwrap();
    group.submit(1).unwrap();
    assert!(group.recv_timeout(LONG).unwrap().is_done());
    drop(group);
    assert_eq!(pipeline.close().done, 1);
    println!("refused threads: {}", if alone { WORKERS + 1 } else { 1 });
}
