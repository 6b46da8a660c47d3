//! Requests that hop from the worker to a thread of a pool that has a CPU of its own, and back: what classic
//! pipelines do, where each core does one thing.
//!
//! Three threads take part, and two CPUs serve only two that spin. So the hop is measured alone, between a worker
//! and a pool that spin on a CPU each, by requests that go to and fro many times while the submitter sleeps. With the
//! submitter there are two more arrangements: with three CPUs all three spin; with two the submitter and the pool
//! share one, and all of them sleep when they have nothing to do.

use super::round_trip::WINDOW as ROUND_TRIP_WINDOW;
use super::{List, Setup};
use crate::driver::{Stream, WINDOW, round_trip, stream};
use crate::engine::{Single, pinned};
use crate::meter::Timed;
use crate::payload::{Payload, expected, first, payload, second, third};
use crate::summary::median;
use stageline::{
    Builder, Order, Pipeline, Pool, Request, RequestGroup, StateMachine, Step, state_machine,
};
use std::convert::Infallible;
use std::time::{Duration, Instant};

/// What a hop there and back takes, about, with one request on its way and with 64.
const ABOUT_NS: (u64, u64) = (600, 250);
/// What a request takes, about, where threads share a CPU and sleep: streamed, and alone.
const ABOUT_SHARED_NS: u64 = 500;

/// Hops there and back between two reads of the clock, of all requests together.
const LAP: u64 = 256;

/// A request that goes to and fro.
#[derive(Default)]
struct Commuter {
    /// How often it goes in a lap.
    lap: u64,
    /// How often it has still to go in this lap.
    left: u64,
    /// When the lap began; none before the first one.
    started: Option<Instant>,
    /// Nanoseconds of each lap. It ends when there is no room for more.
    laps: Vec<f64>,
}

/// Sends requests to the pool and takes them back.
struct Ferry;

#[state_machine(data = Commuter, error = Infallible, keeps)]
impl Ferry {
    #[stage]
    fn there(&mut self, request: &mut Request<'_, Self>) -> Step {
        if request.left == 0 {
            let now = Instant::now();
            if let Some(started) = request.started.replace(now) {
                request.laps.push((now - started).as_nanos() as f64);
            }
            if request.laps.len() == request.laps.capacity() {
                return request.done();
            }
            request.left = request.lap;
        }
        request.left -= 1;
        request.next(Self::BACK)
    }

    #[stage(pool = "pool")]
    fn back(&mut self, request: &mut Request<'_, Self>) -> Step {
        request.next(Self::THERE)
    }
}

/// The trivial stages, of which a pool runs the second.
struct Hopping;

#[state_machine(data = Payload, error = Infallible, keeps)]
impl Hopping {
    #[stage]
    fn one(&mut self, request: &mut Request<'_, Self>) -> Step {
        first(request);
        // The straight way has all stages, too, and in the same table.
        if request[STRAIGHT_AT] == STRAIGHT {
            request.next(Self::STAY)
        } else {
            request.next(Self::HOP)
        }
    }

    #[stage(pool = "pool")]
    fn hop(&mut self, request: &mut Request<'_, Self>) -> Step {
        second(request);
        request.next(Self::THREE)
    }

    #[stage]
    fn stay(&mut self, request: &mut Request<'_, Self>) -> Step {
        second(request);
        request.next(Self::THREE)
    }

    #[stage]
    fn three(&mut self, request: &mut Request<'_, Self>) -> Step {
        third(request);
        request.done()
    }
}

/// A word of the payload that the stages leave as it is, and what it says of a request that does not hop.
const STRAIGHT_AT: usize = 5;
const STRAIGHT: u64 = u64::MAX;

/// Waits for results, as a thread must that shares its CPU with the one it waits for; and tells the stages
/// whether to hop.
struct Waiting {
    // The group goes first: what is in flight is then nobody's to wait for.
    group: RequestGroup<Hopping>,
    _pipeline: Pipeline<Hopping>,
    hops: bool,
}

fn marked(mut value: Payload, hops: bool) -> Payload {
    if !hops {
        value[STRAIGHT_AT] = STRAIGHT;
    }
    value
}

impl Waiting {
    /// The pool has the submitter's CPU, and as many CPUs are kept free as there are: so the pipeline is
    /// crowded, and no thread spins.
    fn new(setup: &Setup, window: usize, hops: bool) -> Self {
        let pipeline = piped(
            setup,
            || Hopping,
            setup.cores.submitter,
            |builder| builder.window(window).reserve(setup.cores.count()),
        );
        assert!(pipeline.report().crowded, "it would spin");
        let group = pipeline.open(Order::Completion).expect("one group");
        Self { group, _pipeline: pipeline, hops }
    }
}

impl Stream for Waiting {
    fn submit(&mut self, values: &mut impl ExactSizeIterator<Item = Payload>) -> usize {
        let hops = self.hops;
        self.group.submit_batch(&mut values.map(|value| marked(value, hops)))
    }

    /// The driver asks only when something is in flight.
    fn receive(&mut self, max: usize, each: &mut impl FnMut(&Payload)) -> usize {
        each(&self.group.recv().expect("some are in flight"));
        1 + self.group.drain(max - 1, |output| each(output))
    }

    fn trip(&mut self, value: Payload) -> u64 {
        self.group.try_submit(marked(value, self.hops)).expect("nothing is in flight");
        self.group.recv().expect("one is in flight")[6]
    }
}

const SPINNING: (usize, &str) =
    (2, "a worker and a thread of a pool spin on a CPU each; the submitter sleeps meanwhile");
const THREE: (usize, &str) =
    (3, "submitter and receiver, a worker, and a thread of a pool spin on a CPU each");
const SHARED: (usize, &str) = (
    2,
    "a worker on one CPU, submitter and a thread of a pool on another; all of them sleep when they have nothing to do",
);

pub fn add(list: &mut List<Timed>) {
    for (name, requests, about_ns) in [("hop_1", 1, ABOUT_NS.0), ("hop_64", 64, ABOUT_NS.1)] {
        list.add(name, SPINNING, move |setup| to_and_fro(setup, requests, about_ns));
    }
    list.add("hop_round_trip", THREE, |setup| {
        let cpu = setup.cores.workers[1];
        let pipeline = piped(setup, || Hopping, cpu, |builder| builder.window(ROUND_TRIP_WINDOW));
        round_trip(&setup.meter, &mut Single::of(pipeline, Order::Completion))
    });
    list.add("hop_stream_64", THREE, |setup| {
        let cpu = setup.cores.workers[1];
        let pipeline = piped(setup, || Hopping, cpu, |builder| builder.window(WINDOW));
        let requests = setup.meter.requests(ABOUT_NS.1);
        stream(&setup.meter, [Single::of(pipeline, Order::Completion)], (WINDOW, 64), requests)
    });
    for (name, hops) in [("hop", true), ("no_hop", false)] {
        list.add(format!("{name}_round_trip_shared"), SHARED, move |setup| {
            let (mut shared, mut number) = (Waiting::new(setup, ROUND_TRIP_WINDOW, hops), 0);
            // Each by itself: on a busy machine a sleep and a wake can take milliseconds, and a block of them for ever.
            let timed = setup.meter.timed_each(|| {
                let start = Instant::now();
                let result = shared.trip(payload(number));
                let elapsed = start.elapsed().as_nanos() as u64;
                assert_eq!(result, expected(number), "a wrong result");
                number += 1;
                elapsed
            });
            timed.of_sharing_threads()
        });
        list.add(format!("{name}_stream_64_shared"), SHARED, move |setup| {
            let requests = setup.meter.requests(ABOUT_SHARED_NS);
            let shared = Waiting::new(setup, WINDOW, hops);
            stream(&setup.meter, [shared], (WINDOW, 64), requests).of_sharing_threads()
        });
    }
}

/// The ratios: scenario, what it is divided by in short, and its name.
pub const RATIOS: [(&str, &str, &str); 7] = [
    ("hop_1", "ping_pong", "limit_ping_pong"),
    ("hop_1", "round_trip", "round_trip_completion"),
    ("hop_64", "stream_64", "stream_64_completion"),
    ("hop_round_trip", "round_trip", "round_trip_completion"),
    ("hop_stream_64", "stream_64", "stream_64_completion"),
    ("hop_round_trip_shared", "no_hop", "no_hop_round_trip_shared"),
    ("hop_stream_64_shared", "no_hop", "no_hop_stream_64_shared"),
];

/// A pipeline of one pinned worker and of a pool with one thread, on this CPU.
fn piped<M: StateMachine<Data: Default>>(
    setup: &Setup,
    machine: impl Fn() -> M + Send + Sync + 'static,
    cpu: usize,
    configure: impl FnOnce(Builder<M>) -> Builder<M>,
) -> Pipeline<M> {
    let pool = Pool::cores("pool", [cpu]);
    pinned(&setup.cores, machine, |builder| configure(builder.groups(1).pool(pool)))
}

/// Nanoseconds for a hop there and back, of so many requests that do so at once: the median over laps.
fn to_and_fro(setup: &Setup, requests: u64, about_ns: u64) -> Timed {
    let pipeline = piped(setup, || Ferry, setup.cores.submitter, |builder| builder.window(64));
    let mut group = pipeline.open(Order::Completion).expect("one group");
    let laps = (setup.meter.requests(about_ns) / LAP).max(3) as usize;
    let about = Duration::from_nanos(laps as u64 * LAP * about_ns);
    let mut lap_ns = |laps: usize| {
        for _ in 0..requests {
            let commuter = Commuter {
                lap: LAP / requests,
                laps: Vec::with_capacity(laps),
                ..Commuter::default()
            };
            assert!(group.try_submit(commuter).is_ok(), "the window has room");
        }
        let (mut back, mut times) = (0, Vec::new());
        while back < requests {
            // This thread's CPU is the pool's: it looks seldom.
            std::thread::sleep(about / 4);
            back += group.drain(requests as usize, |commuter| times.extend(&commuter.laps)) as u64;
        }
        median(&mut times)
    };
    lap_ns(laps.div_ceil(10));
    setup.meter.whole(|| lap_ns(laps) / LAP as f64)
}
