//! What a pipeline allocates is what it says before it is built, and all of it is freed at its end.

mod common;

use common::counting::{Counting, live, wait_for_others};
use common::watchdog;
use stageline::{Builder, Order, Pipeline, Request, Step, state_machine};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Plain;

#[state_machine(data = [u64; 7], error = String)]
impl Plain {
    #[stage]
    fn only(&mut self, request: &mut Request<'_, Self>) -> Step {
        if request[0] == 13 { request.fail("unlucky".to_owned()) } else { request.done() }
    }
}

fn default() -> Builder<Plain> {
    Pipeline::builder(|| Plain)
}

const MIB: usize = 1 << 20;

/// Builds it, compares, uses it a little, drops it, and compares again.
#[track_caller]
fn check(what: &str, build: impl FnOnce() -> Builder<Plain>) {
    let start = live();
    let builder = build();
    let said = builder.memory();
    let before = live();
    let pipeline = builder.build().unwrap();
    let allocated = live() - before;
    let off = allocated.abs_diff(said) as f64 / said as f64;
    assert!(off <= 0.05, "{what}: {said} bytes were said, {allocated} allocated");
    assert_eq!(pipeline.report().memory_bytes, said);
    for order in common::ORDERS {
        let mut group = pipeline.open(order).unwrap();
        for value in [1, 13, 13] {
            group.submit([value; 7]).unwrap();
        }
        drop(group.recv().unwrap());
        // The errors of two are left to the pipeline.
    }
    assert_eq!(pipeline.ledger().submitted, 6);
    drop(pipeline);
    assert_eq!(live(), start, "{what}: bytes that were left");
}

/// What one pipeline takes more than the other is as said: too little to be seen in the whole.
#[track_caller]
fn check_more(what: &str, less: impl Fn() -> Builder<Plain>, more: impl Fn() -> Builder<Plain>) {
    let taken = |builder: Builder<Plain>| {
        let (said, before) = (builder.memory(), live());
        let _pipeline = builder.build().unwrap();
        (said, live() - before)
    };
    let (less, more) = (taken(less()), taken(more()));
    let (said, allocated) = (more.0 - less.0, more.1 - less.1);
    let off = allocated.abs_diff(said) as f64 / allocated as f64;
    assert!(off <= 0.05, "{what}: {said} bytes more were said, {allocated} allocated");
}

/// One test, since another would allocate meanwhile.
#[test]
fn memory_is_as_said_and_freed() {
    let _dog = watchdog(120);
    wait_for_others();
    // The first pipeline of a process leaves what it knows of the machine.
    drop(default().groups(1).build().unwrap().open(Order::Submission).unwrap());

    check("default", default);
    check("two small groups", || default().workers(1).groups(2).window(64));
    check("many small groups", || default().workers(4).groups(3_000).window(16));
    check("many workers", || default().workers(32).groups(8).window(512));
    check("many dead letters", || default().workers(1).groups(20).window(64).dead_letters(500));
    check("few dead letters", || default().workers(1).groups(500).window(16).dead_letters(2));
    let plain = || default().workers(1).groups(20).window(1 << 12);
    check_more("the oldest are dropped", plain, || plain().drop_oldest(true));
    check("a wide window", || default().workers(2).groups(2).window(1 << 16));

    let said = default().workers(1).memory();
    assert!(said <= 16 * MIB, "the default: {said}");
    let many = || default().workers(8).groups(1_000).window(256);
    assert!(many().memory() <= 64 * MIB, "1,000 groups on 8 workers: {}", many().memory());
    check("1,000 groups on 8 workers", many);
    a_build_that_fails_frees_everything();
}

fn a_build_that_fails_frees_everything() {
    // What the hook would print is kept by the test harness.
    std::panic::set_hook(Box::new(|_| {}));
    let start = live();
    let builder = Pipeline::<Plain>::builder(|| panic!("no machine")).workers(3).groups(4);
    let error = builder.build().expect_err("the factory panics");
    drop(error);
    let left = live() - start;
    drop(std::panic::take_hook());
    assert_eq!(left, 0, "bytes that were left");
}
