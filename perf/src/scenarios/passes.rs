//! Passes of their own, which would spoil the times of others: the time of each single round trip, for
//! which the clock is read twice a trip, and the calls of the allocator.

use super::peers::{Make, for_each_peer, made};
use super::round_trip::{WAYS, WINDOW as ROUND_TRIP_WINDOW};
use super::{List, PAIR, Scenario, Setup, lateness};
use crate::driver::{Stream, WINDOW, allocations, latency};
use crate::engine::Single;
use crate::histogram::Histogram;
use crate::limits::ping_pong;
use crate::meter::Timed;
use crate::peers::{
    array_queue, crossbeam_channel, disruptor, flume, kanal, rayon, rtrb, thingbuf, tokio_mpsc,
};
use stageline::{Order, WaitStrategy};

/// A histogram, and what was lost while it was taken.
pub(super) type Recorded = (Histogram, Timed);

/// The histograms: of round trips, and of how late retries are.
pub fn latencies() -> Vec<Scenario<Recorded>> {
    let mut list = List(Vec::new());
    list.add("limit_ping_pong", (2, "two threads, each on its own CPU"), |setup| {
        recorded(setup, |record| ping_pong::latency(&setup.meter, &setup.cores, record))
    });
    for (name, order, wait) in WAYS {
        list.add(name, PAIR, move |setup| {
            let mut group = Single::new(&setup.cores, ROUND_TRIP_WINDOW, order, wait);
            recorded(setup, |record| latency(&setup.meter, &mut group, record))
        });
    }
    for_each_peer!(add_latency(&mut list));
    lateness::add_latencies(&mut list);
    list.0
}

pub(super) fn recorded(setup: &Setup, run: impl FnOnce(&mut dyn FnMut(u64))) -> Recorded {
    let mut histogram = Histogram::default();
    let timed = setup.meter.whole(|| {
        run(&mut |ns| histogram.record(ns));
        histogram.quantile(0.5) as f64
    });
    (histogram, timed)
}

fn add_latency<S: Stream + 'static>(
    list: &mut List<Recorded>,
    name: &str,
    make: Make<S>,
    _about_ns: u64,
) {
    list.add(format!("{name}_round_trip"), PAIR, move |setup| {
        let mut peer = made(setup, make, ROUND_TRIP_WINDOW, 1);
        recorded(setup, |record| latency(&setup.meter, &mut peer, record))
    });
}

/// Calls of the allocator for each request, allocations and deallocations, streaming by 64.
pub fn allocator_calls() -> Vec<Scenario<f64>> {
    let mut list = List(Vec::new());
    for (name, order) in
        [("stream_64", Order::Submission), ("stream_64_completion", Order::Completion)]
    {
        list.add(name, PAIR, move |setup| {
            let group = Single::new(&setup.cores, WINDOW, order, WaitStrategy::BusySpin);
            allocations(&setup.meter, group)
        });
    }
    for_each_peer!(add_allocations(&mut list));
    list.0
}

fn add_allocations<S: Stream + 'static>(
    list: &mut List<f64>,
    name: &str,
    make: Make<S>,
    _about_ns: u64,
) {
    list.add(format!("{name}_stream_64"), PAIR, move |setup| {
        allocations(&setup.meter, made(setup, make, WINDOW, 64))
    });
}
