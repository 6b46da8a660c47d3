//! The scenarios: what each measures, how its threads stand, and how many CPUs it needs. Each round runs
//! all of them once, so that a slow minute of the machine falls on all alike.

pub mod flow;
mod groups;
pub mod hops;
mod isolation;
pub mod lateness;
pub mod passes;
mod payloads;
mod peers;
mod round_trip;
mod rounds;
pub mod shares;
mod streaming;
pub mod work;

pub use rounds::{Line, Orders, measure};

use crate::cores::Cores;
use crate::limits::{hand_ring, inline, one_way, ping_pong};
use crate::meter::{Meter, Timed};

/// Batches that the streams are measured with.
pub const BATCHES: [u64; 4] = [1, 16, 64, 256];

/// What a scenario is run with.
#[derive(Debug)]
pub struct Setup {
    pub cores: Cores,
    pub meter: Meter,
    /// Turns of the work's loop that take a microsecond (see [`work::calibrate`]).
    pub turns_per_us: u64,
}

/// One thing that is measured; `T` is what a repetition gives.
pub struct Scenario<T> {
    pub name: String,
    /// Threads that spin at the same time, and so CPUs needed.
    pub cpus: usize,
    /// How the threads stand.
    pub threads: String,
    pub run: Box<dyn Fn(&Setup) -> T>,
}

/// The scenarios of one kind.
pub struct List<T>(pub Vec<Scenario<T>>);

impl<T> List<T> {
    pub fn add(
        &mut self,
        name: impl Into<String>,
        (cpus, threads): (usize, &str),
        run: impl Fn(&Setup) -> T + 'static,
    ) {
        let threads = threads.to_owned();
        self.0.push(Scenario { name: name.into(), cpus, threads, run: Box::new(run) });
    }
}

const ALONE: (usize, &str) = (1, "one thread");
const PAIR: (usize, &str) = (2, "submitter and receiver on one CPU, one worker on another");

/// All scenarios whose samples are times; those of the engine that depend on the number of workers, for
/// so many CPUs.
pub fn all(cpus: usize) -> Vec<Scenario<Timed>> {
    let mut list = List(Vec::new());
    limits(&mut list);
    round_trip::add(&mut list);
    streaming::add(&mut list);
    payloads::add(&mut list);
    work::add(&mut list, cpus);
    isolation::add(&mut list);
    shares::add(&mut list);
    groups::add(&mut list);
    flow::add(&mut list);
    hops::add(&mut list);
    lateness::add(&mut list);
    peers::add(&mut list);
    list.0
}

fn limits(list: &mut List<Timed>) {
    list.add("limit_ping_pong", (2, "two threads, each on its own CPU"), |setup| {
        ping_pong::round_trip(&setup.meter, &setup.cores)
    });
    list.add("limit_inline_table", ALONE, |setup| inline::ns(&setup.meter, &setup.cores));
    for batch in BATCHES {
        list.add(format!("limit_hand_ring_{batch}"), PAIR, move |setup| {
            hand_ring::stream(&setup.meter, &setup.cores, 1024, batch)
        });
        let threads = (2, "the producer on one CPU, the consumer on another");
        list.add(format!("limit_one_way_{batch}"), threads, move |setup| {
            one_way::ns(&setup.meter, &setup.cores, batch)
        });
    }
}
