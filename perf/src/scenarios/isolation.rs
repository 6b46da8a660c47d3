//! The round trip of an interactive group, alone and beside one group or eight that are bad neighbours, all on
//! one worker; express, too. Each trip is timed by itself, since what the neighbour needs is done between the trips; so the
//! scenarios compare with each other and not with `round_trip_submission`, which reads the clock once a block.

use super::{List, PAIR, Setup};
use crate::driver::{Stream, WINDOW};
use crate::engine::pinned;
use crate::meter::Timed;
use crate::payload::{Trivial, expected, payload};
use stageline::{GroupOptions, Order, RequestGroup};
use std::time::Instant;

pub fn add(list: &mut List<Timed>) {
    list.add("isolation_alone", PAIR, |setup| ns(setup, (1, false), |_| {}, |_| {}));
    list.add("isolation_saturated", PAIR, |setup| ns(setup, (1, false), |_| {}, refill));
    list.add("isolation_undrained", PAIR, |setup| ns(setup, (1, false), fill, |_| {}));
    list.add("isolation_saturated_8", PAIR, |setup| ns(setup, (8, false), |_| {}, refill));
    list.add("isolation_express", PAIR, |setup| ns(setup, (1, true), |_| {}, refill));
    list.add("isolation_express_8", PAIR, |setup| ns(setup, (8, true), |_| {}, refill));
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

/// The median trip beside so many neighbours, express or not, with what is done to each neighbour at first and
/// before each trip.
fn ns(
    setup: &Setup,
    (neighbours, express): (usize, bool),
    at_first: fn(&mut RequestGroup<Trivial>),
    before_each: fn(&mut RequestGroup<Trivial>),
) -> Timed {
    let groups = neighbours + 1;
    let pipeline =
        pinned(&setup.cores, || Trivial, |builder| builder.groups(groups).window(WINDOW));
    let open = |express| {
        let options = GroupOptions::new(Order::Submission).express(express);
        pipeline.open(options).expect("enough groups")
    };
    let mut neighbours: Vec<_> = (0..neighbours).map(|_| open(false)).collect();
    let mut interactive = open(express);
    neighbours.iter_mut().for_each(at_first);
    let mut number = 0;
    setup.meter.timed_each(|| {
        neighbours.iter_mut().for_each(before_each);
        let start = Instant::now();
        let result = interactive.trip(payload(number));
        let elapsed = start.elapsed().as_nanos() as u64;
        assert_eq!(result, expected(number), "a wrong result");
        number += 1;
        elapsed
    })
}
