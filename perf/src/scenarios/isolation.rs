//! The round trip of an interactive group, alone and beside a group that is a bad neighbour, all on one
//! worker. Each trip is timed by itself, since what the neighbour needs is done between the trips; so the
//! three compare with each other and not with `round_trip_submission`, which reads the clock once a block.

use super::{List, PAIR, Setup};
use crate::driver::{Stream, WINDOW};
use crate::engine::pinned;
use crate::meter::Timed;
use crate::payload::{Trivial, expected, payload};
use stageline::{Order, RequestGroup};
use std::time::Instant;

pub fn add(list: &mut List<Timed>) {
    list.add("isolation_alone", PAIR, |setup| ns(setup, |_| {}, |_| {}));
    list.add("isolation_saturated", PAIR, |setup| ns(setup, |_| {}, refill));
    list.add("isolation_undrained", PAIR, |setup| ns(setup, fill, |_| {}));
}

/// Submits until the window is full.
fn fill(neighbour: &mut RequestGroup<Trivial>) {
    neighbour.submit_batch(&mut (0..).map(payload));
}

/// Receives what has finished, and fills the window again.
fn refill(neighbour: &mut RequestGroup<Trivial>) {
    neighbour.drain(WINDOW, |output| assert_eq!(output[6], expected(output[0]), "a wrong result"));
    fill(neighbour);
}

/// The median trip, with what is done to the neighbour at first and before each trip.
fn ns(
    setup: &Setup,
    at_first: fn(&mut RequestGroup<Trivial>),
    before_each: fn(&mut RequestGroup<Trivial>),
) -> Timed {
    let pipeline = pinned(&setup.cores, || Trivial, |builder| builder.groups(2).window(WINDOW));
    let open = || pipeline.open(Order::Submission).expect("two groups");
    let (mut neighbour, mut interactive) = (open(), open());
    at_first(&mut neighbour);
    let mut number = 0;
    setup.meter.timed_each(|| {
        before_each(&mut neighbour);
        let start = Instant::now();
        let result = interactive.trip(payload(number));
        let elapsed = start.elapsed().as_nanos() as u64;
        assert_eq!(result, expected(number), "a wrong result");
        number += 1;
        elapsed
    })
}
