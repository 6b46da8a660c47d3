//! One request in flight: submitted, run and received before the next.

use super::{List, PAIR};
use crate::driver::round_trip;
use crate::engine::{Single, pinned};
use crate::meter::Timed;
use crate::payload::Trivial;
use stageline::{Order, WaitStrategy};

/// Slots of the group, and of the peers' rings and channels: each trip takes the next one, so all of them have
/// to stay in the first cache, or in none.
pub const WINDOW: usize = 64;

/// The round trips: name, order, wait strategy of the worker and of the receiver.
pub const WAYS: [(&str, Order, WaitStrategy); 4] = [
    ("round_trip_submission", Order::Submission, WaitStrategy::BusySpin),
    ("round_trip_completion", Order::Completion, WaitStrategy::BusySpin),
    ("round_trip_spin_then_yield", Order::Submission, WaitStrategy::SpinThenYield),
    ("round_trip_spin_then_park", Order::Submission, WaitStrategy::SpinThenPark),
];

pub fn add(list: &mut List<Timed>) {
    for (name, order, wait) in WAYS {
        list.add(name, PAIR, move |setup| {
            round_trip(&setup.meter, &mut Single::new(&setup.cores, WINDOW, order, wait))
        });
    }
    list.add("idle_groups_1000", PAIR, |setup| {
        let pipeline =
            pinned(&setup.cores, || Trivial, |builder| builder.groups(1_001).window(WINDOW));
        let open = || pipeline.open(Order::Submission).expect("enough groups");
        let _idle: Vec<_> = (0..1_000).map(|_| open()).collect();
        round_trip(&setup.meter, &mut open())
    });
}
