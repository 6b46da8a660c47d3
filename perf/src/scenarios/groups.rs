//! Opening and closing groups.

use super::{List, PAIR};
use crate::engine::pinned;
use crate::meter::Timed;
use crate::payload::{Trivial, expected, payload};
use stageline::Order;

pub fn add(list: &mut List<Timed>) {
    list.add("open_close", PAIR, |setup| {
        let pipeline = pinned(&setup.cores, || Trivial, |builder| builder.groups(32).window(64));
        let pairs = setup.meter.requests(300);
        setup.meter.timed(pairs, || {
            for _ in 0..pairs {
                drop(pipeline.open(Order::Submission).expect("a group is free"));
            }
        })
    });
    list.add("open_trip_close", PAIR, |setup| {
        let pipeline = pinned(&setup.cores, || Trivial, |builder| builder.groups(32).window(64));
        let pairs = setup.meter.requests(2_000);
        setup.meter.timed(pairs, || {
            for number in 0..pairs {
                let mut group = pipeline.open(Order::Submission).expect("a group is free");
                group.try_submit(payload(number)).expect("it is open");
                assert_eq!(group.recv().expect("one is in flight")[6], expected(number));
            }
        })
    });
}
