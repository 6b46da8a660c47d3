//! What is counted: each part is a function of its own that is not inlined, so that valgrind can switch
//! counting on and off by its name. The payload and the stages are those of the perf suite.

use stageline_counts::model::{self, HandWorker, Sizes};
use stageline_counts::shared::Shared;
use stageline_counts::window::Order;
use stageline_counts::{
    Request, RequestGroup, RuntimeStage, Stage, StageId, StageTable, StateMachine, Step,
};
use std::convert::Infallible;
use std::sync::Arc;

/// Requests of a burst.
const BURST: u64 = 64;
/// Times that each part is counted.
const ROUNDS: u64 = 200;
/// Rounds before: the engine's batches have then grown to a burst.
const WARM: u64 = 20;

/// Name, function, and the requests that it has served when all is played.
pub const PARTS: [(&str, &str, u64); 9] = [
    ("submit_64", "counted_submit_burst", ROUNDS * BURST),
    ("serve_64", "counted_serve_burst", ROUNDS * BURST),
    ("serve_64_runtime", "counted_serve_runtime_table", ROUNDS * BURST),
    ("serve_64_rings", "counted_serve_with_rings", ROUNDS * BURST),
    ("receive_64", "counted_receive_burst", ROUNDS * BURST),
    ("submit_1", "counted_submit_one", 2 * ROUNDS),
    ("serve_1", "counted_serve_one", ROUNDS),
    ("watch_1", "counted_watch_one", ROUNDS),
    ("receive_1", "counted_receive_one", 2 * ROUNDS),
];

type Payload = [u64; 7];

struct Trivial;

impl Trivial {
    fn one(&mut self, request: &mut Request<'_, Self>) -> Step {
        request[1] = request[0].wrapping_mul(3);
        request.next(StageId::new(1))
    }

    fn two(&mut self, request: &mut Request<'_, Self>) -> Step {
        request[2] = request[1] ^ request[3];
        request.next(StageId::new(2))
    }

    fn three(&mut self, request: &mut Request<'_, Self>) -> Step {
        request[6] = request[2].wrapping_add(request[0]);
        request.done()
    }
}

impl Trivial {
    /// The same stages in a table that the compiler cannot see through.
    fn stages_at_run_time() -> Vec<RuntimeStage<Self>> {
        let stages = std::hint::black_box(Self::STAGES_OF_ITS_OWN);
        let entry = |stage: &Stage<Self>| RuntimeStage {
            name: stage.name.to_owned(),
            run: stage.run,
            next: None,
            pool: None,
        };
        stages.iter().map(entry).collect()
    }

    const STAGES_OF_ITS_OWN: &'static [Stage<Self>] = &[
        Stage { name: "one", run: Self::one, next: None, pool: None },
        Stage { name: "two", run: Self::two, next: None, pool: None },
        Stage { name: "three", run: Self::three, next: None, pool: None },
    ];
}

impl StateMachine for Trivial {
    type Data = Payload;
    type Error = Infallible;
    const STAGES: StageTable<Self> = StageTable::new(Self::STAGES_OF_ITS_OWN);
}

fn payload(number: u64) -> Payload {
    [number, 1, 2, 3, 4, 5, 6]
}

fn expected(number: u64) -> u64 {
    (number.wrapping_mul(3) ^ 3).wrapping_add(number)
}

type Group = RequestGroup<Trivial>;
type Worker<'s> = HandWorker<'s, Trivial>;

#[inline(always)]
fn submit(group: &mut Group, count: u64) {
    if count == 1 {
        group.try_submit(payload(0)).expect("there is room");
    } else {
        assert_eq!(group.submit_batch(&mut (0..count).map(payload)), count as usize);
    }
}

/// Sums up the results, and compares with what was submitted.
#[inline(always)]
fn receive(group: &mut Group, count: u64) -> u64 {
    let mut sum = 0_u64;
    if count == 1 {
        return group.try_recv().expect("it has been run")[6];
    }
    let received = group.drain(count as usize, |output| sum = sum.wrapping_add(output[6]));
    assert_eq!(received, count as usize, "a burst was not served at once");
    sum
}

#[inline(never)]
fn counted_submit_burst(group: &mut Group) {
    submit(group, BURST);
}

#[inline(never)]
fn counted_serve_burst(worker: &mut Worker<'_>) -> bool {
    worker.serve_hot()
}

/// Where the stages are put together at run time.
#[inline(never)]
fn counted_serve_runtime_table(worker: &mut Worker<'_>) -> bool {
    std::hint::black_box(2_u8);
    worker.serve_hot()
}

/// By one of two workers, in a group whose results come as they finish.
#[inline(never)]
fn counted_serve_with_rings(worker: &mut Worker<'_>) -> bool {
    std::hint::black_box(3_u8);
    worker.serve_hot()
}

#[inline(never)]
fn counted_receive_burst(group: &mut Group) -> u64 {
    receive(group, BURST)
}

#[inline(never)]
fn counted_submit_one(group: &mut Group) {
    submit(group, 1);
}

/// What serves a request that comes while the worker waits for it: the way of a round trip.
#[inline(never)]
fn counted_watch_one(worker: &mut Worker<'_>) -> bool {
    worker.watch_only()
}

/// Unlike the other by a value, so that the linker does not make one function of the two.
#[inline(never)]
fn counted_serve_one(worker: &mut Worker<'_>) -> bool {
    std::hint::black_box(1_u8);
    worker.serve_hot()
}

#[inline(never)]
fn counted_receive_one(group: &mut Group) -> u64 {
    receive(group, 1)
}

/// One thread submits, works and receives in turn.
pub fn play() {
    play_in(Order::Submission, &mut shared(1), |worker, group| {
        for _ in 0..ROUNDS {
            counted_submit_burst(group);
            assert!(counted_serve_burst(worker));
            assert_eq!(counted_receive_burst(group), sum_of(BURST), "wrong results");
        }
        for serve in [counted_serve_one, counted_watch_one] {
            for _ in 0..ROUNDS {
                counted_submit_one(group);
                assert!(serve(worker));
                assert_eq!(counted_receive_one(group), expected(0), "a wrong result");
            }
        }
    });
    let mut at_run_time = shared(1);
    model::set_stages(&mut at_run_time, Trivial::stages_at_run_time());
    play_in(Order::Submission, &mut at_run_time, |worker, group| {
        bursts(worker, group, counted_serve_runtime_table);
    });
    play_in(Order::Completion, &mut shared(2), |worker, group| {
        bursts(worker, group, counted_serve_with_rings);
    });
}

fn shared(workers: usize) -> Arc<Shared<Trivial>> {
    // The bursts then begin at multiples of their length, so that none is cut in two at the end of the
    // array of slots. Position 0, which is the one whose times are sampled, is not reached.
    let sizes = Sizes { groups: 1, workers, window: 1024, first_position: BURST - 1 };
    let mut shared = model::shared(sizes, || Trivial);
    model::set_batch_max(&mut shared, 128);
    shared
}

/// Plays with a worker whose batches have grown, and a group of this order.
fn play_in(
    order: Order,
    shared: &mut Arc<Shared<Trivial>>,
    play: impl FnOnce(&mut Worker<'_>, &mut Group),
) {
    let mut worker = HandWorker::new(shared, 0);
    let mut group = model::open(shared, order).expect("one group");
    submit(&mut group, 1);
    worker.admit_rung();
    assert!(worker.serve_hot());
    assert_eq!(receive(&mut group, 1), expected(0));
    for round in 0..WARM {
        submit(&mut group, BURST);
        // Batches grow by doubling.
        while worker.serve_hot() {}
        assert_eq!(receive(&mut group, BURST), sum_of(BURST), "round {round}");
    }
    play(&mut worker, &mut group);
}

/// Rounds of which only the worker's part is counted.
fn bursts(worker: &mut Worker<'_>, group: &mut Group, serve: fn(&mut Worker<'_>) -> bool) {
    for _ in 0..ROUNDS {
        submit(group, BURST);
        assert!(serve(worker));
        assert_eq!(receive(group, BURST), sum_of(BURST), "wrong results");
    }
}

fn sum_of(count: u64) -> u64 {
    (0..count).map(expected).fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    /// A burst is served by one call, and nothing is lost.
    #[test]
    fn the_play_plays() {
        super::play();
    }
}
