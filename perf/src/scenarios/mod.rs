//! The scenarios. Each round runs all of them once, so that a slow minute of the machine falls on
//! all alike.

mod round_trip;
mod streaming;

use crate::cores::{Cores, pin};
use crate::limits::{hand_ring, ping_pong};
use crate::payload::Trivial;
use stageline::{Builder, Order, Pipeline, WaitStrategy};

/// Blocks and trips a block of the round-trip scenarios.
const BLOCKS: usize = 40;
const BLOCK: u64 = 2_000;
/// Requests of the streaming scenarios.
const STREAMED: u64 = 4_000_000;

type Scenario = (&'static str, fn(Cores) -> f64);

const SCENARIOS: [Scenario; 10] = [
    ("limit_ping_pong", |cores| ping_pong::round_trip_ns(cores, BLOCKS, BLOCK)),
    ("round_trip_submission", |cores| round_trip::ns(cores, Order::Submission, 0)),
    ("round_trip_completion", |cores| round_trip::ns(cores, Order::Completion, 0)),
    ("idle_groups_1000", |cores| round_trip::ns(cores, Order::Submission, 1_000)),
    ("limit_hand_ring_64", |cores| hand_ring::stream_ns(cores, 1024, 64, STREAMED)),
    ("stream_64", |cores| streaming::ns(cores, Order::Submission, 1, 64)),
    ("stream_64_completion", |cores| streaming::ns(cores, Order::Completion, 1, 64)),
    ("groups_16", |cores| streaming::ns(cores, Order::Submission, 16, 64)),
    ("workers_1", |_| streaming::crowded_ns(1)),
    ("workers_10", |_| streaming::crowded_ns(10)),
];

/// Measures and prints the samples.
pub fn measure(rounds: u32, only: &str) -> Result<(), String> {
    let cores = Cores::choose()?;
    for _ in 0..rounds {
        for (name, run) in SCENARIOS.iter().filter(|(name, _)| name.contains(only)) {
            println!("{name} {:.3}", run(cores));
        }
    }
    Ok(())
}

/// A pipeline of one spinning worker on its own CPU; the calling thread is pinned to the other.
fn pinned_pipeline(
    cores: Cores,
    configure: impl FnOnce(Builder<Trivial>) -> Builder<Trivial>,
) -> Pipeline<Trivial> {
    let builder = Pipeline::builder(|| Trivial).cpus([cores.worker]).wait(WaitStrategy::BusySpin);
    let pipeline = configure(builder).build().expect("a pipeline of one worker");
    assert!(pipeline.report().workers[0].pinned, "the worker is not pinned");
    pin(cores.submitter);
    pipeline
}
