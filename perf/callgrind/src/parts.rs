//! What is counted: each part is a function of its own that is not inlined, so that valgrind can switch
//! counting on and off by its name. The payload and the stages are those of the perf suite.

use stageline_counts::model::{self, HandWorker, Sizes};
use stageline_counts::window::Order;
use stageline_counts::{Request, RequestGroup, Stage, StageId, StageTable, StateMachine, Step};
use std::convert::Infallible;

/// Requests of a burst.
const BURST: u64 = 64;
/// Times that each part is counted.
const ROUNDS: u64 = 200;
/// Rounds before: the engine's batches have then grown to a burst.
const WARM: u64 = 20;

/// Name, function, and the requests that it has served when all is played.
pub const PARTS: [(&str, &str, u64); 7] = [
    ("submit_64", "counted_submit_burst", ROUNDS * BURST),
    ("serve_64", "counted_serve_burst", ROUNDS * BURST),
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

impl StateMachine for Trivial {
    type Data = Payload;
    type Error = Infallible;
    const STAGES: StageTable<Self> = StageTable::new(&[
        Stage { name: "one", run: Self::one, next: None, pool: None },
        Stage { name: "two", run: Self::two, next: None, pool: None },
        Stage { name: "three", run: Self::three, next: None, pool: None },
    ]);
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
    // The bursts then begin at multiples of their length, so that none is cut in two at the end of the
    // array of slots. Position 0, which is the one whose times are sampled, is not reached.
    let sizes = Sizes { groups: 1, workers: 1, window: 1024, first_position: BURST - 1 };
    let mut shared = model::shared(sizes, || Trivial);
    model::set_batch_max(&mut shared, 128);
    let mut worker = HandWorker::new(&shared, 0);
    let mut group = model::open(&shared, Order::Submission).expect("one group");
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
    for _ in 0..ROUNDS {
        counted_submit_burst(&mut group);
        assert!(counted_serve_burst(&mut worker));
        assert_eq!(counted_receive_burst(&mut group), sum_of(BURST), "wrong results");
    }
    for _ in 0..ROUNDS {
        counted_submit_one(&mut group);
        assert!(counted_serve_one(&mut worker));
        assert_eq!(counted_receive_one(&mut group), expected(0), "a wrong result");
    }
    for _ in 0..ROUNDS {
        counted_submit_one(&mut group);
        assert!(counted_watch_one(&mut worker));
        assert_eq!(counted_receive_one(&mut group), expected(0), "a wrong result");
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
