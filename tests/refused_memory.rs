//! Memory that runs out during a build, at any of some hundred sizes: an error, not the end of the process,
//! and nothing is left behind.

mod common;

use common::counting::{Counting, live, wait_for_others, with_bytes_left};
use common::{finish, watchdog};
use stageline::{
    BuildError, Builder, Order, Pipeline, Request, RuntimeStage, Stage, StageTable, StateMachine,
    Step,
};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Plain;

impl StateMachine for Plain {
    type Data = [u64; 7];
    type Error = String;
    const STAGES: StageTable<Self> = StageTable::EMPTY;
}

const STAGES: usize = 400;

/// Names for the stages of a table in the code.
static NAMES: [[u8; 3]; STAGES] = {
    let mut names = [[b'a'; 3]; STAGES];
    let mut index = 0;
    while index < STAGES {
        names[index][1] += (index / 26) as u8;
        names[index][2] += (index % 26) as u8;
        index += 1;
    }
    names
};

/// A machine with a large table of its own.
struct Large;

impl Large {
    const STAGE: Stage<Self> =
        Stage { name: "", run: |_, request| request.done(), next: None, pool: None };
    const TABLE: [Stage<Self>; STAGES] = {
        let mut table = [Self::STAGE; STAGES];
        let mut index = 0;
        while index < STAGES {
            let Ok(name) = std::str::from_utf8(&NAMES[index]) else { panic!("letters") };
            table[index].name = name;
            index += 1;
        }
        table
    };
}

impl StateMachine for Large {
    type Data = [u64; 7];
    type Error = String;
    const STAGES: StageTable<Self> = StageTable::new(&Self::TABLE);
}

fn end(_: &mut Plain, request: &mut Request<'_, Plain>) -> Step {
    request.done()
}

fn hook(_: &mut Plain, _: &mut Request<'_, Plain>) -> Result<(), String> {
    Ok(())
}

fn builder(stages: usize) -> Builder<Plain> {
    let stage =
        |index| RuntimeStage { name: format!("stage-{index}"), run: end, next: None, pool: None };
    Pipeline::builder(|| Plain).stages((0..stages).map(stage)).name("refused").reserve(0)
}

/// Checking the values and planning the CPUs take less than this, before the first allocation that can be
/// refused; and this more for each stage.
const CHECKS: usize = 16 << 10;
const CHECKS_OF_A_STAGE: usize = 256;

/// Builds with every amount of memory in steps of `step` bytes, up to one that is enough.
#[track_caller]
fn build_with_every_amount<M: StateMachine<Data = [u64; 7]>>(
    what: &str,
    (stages, step): (usize, usize),
    build: impl Fn(usize) -> Builder<M>,
) {
    let total = build(stages).memory();
    let mut errors = 0;
    for bytes in (CHECKS + stages * CHECKS_OF_A_STAGE..).step_by(step) {
        let before = live();
        let builder = build(stages);
        let (result, refused) = with_bytes_left(bytes, || builder.build());
        match result {
            Err(BuildError::OutOfMemory { total: told, .. }) => {
                assert_eq!((told, refused), (total, 1), "{what}: {bytes} bytes");
                errors += 1;
            }
            Err(other) => panic!("{what}: {bytes} bytes: {other}"),
            Ok(pipeline) => {
                assert_eq!(refused, 0, "{what}: {bytes} bytes");
                // It works, and the process has not been hurt by the refusals.
                let mut group = pipeline.open(Order::Completion).unwrap();
                group.submit([3; 7]).unwrap();
                assert_eq!(*group.recv().unwrap(), [3; 7]);
                drop(group);
                finish(pipeline);
                assert!(bytes > total / 2, "{what}: {bytes} bytes of {total}");
                break;
            }
        }
        assert_eq!(live(), before, "{what}: {bytes} bytes: some were left");
    }
    assert!(errors > 20, "{what}: {errors} errors");
    println!("{what}: {errors} errors of a pipeline of {total} bytes");
}

/// One test, since another would allocate meanwhile.
#[test]
fn memory_that_runs_out_at_any_allocation_is_an_error() {
    let _dog = watchdog(120);
    wait_for_others();
    // The first pipeline of a process leaves what it knows of the machine.
    drop(builder(1).workers(1).build().unwrap());

    build_with_every_amount("one worker", (1, 112), |stages| {
        builder(stages).workers(1).groups(2).window(16)
    });
    build_with_every_amount("several workers", (3, 1_008), |stages| {
        builder(stages).workers(3).groups(20).window(8).before_stage(hook)
    });
    build_with_every_amount("many stages", (STAGES, 5_008), |stages| {
        builder(stages).workers(2).groups(2).window(8).dag()
    });
    build_with_every_amount("a large table", (STAGES, 3_008), |_| {
        Pipeline::builder(|| Large).workers(1).reserve(0).groups(2).window(8)
    });
    build_with_every_amount("dead letters", (1, 1_008), |stages| {
        builder(stages).workers(1).groups(20).window(8).dead_letters(5).drop_oldest(true)
    });
    build_with_every_amount("a watch of many groups", (1, 3_008), |stages| {
        let watched = builder(stages).stall_after(Duration::from_secs(1));
        watched.workers(1).groups(60).window(2)
    });
}
