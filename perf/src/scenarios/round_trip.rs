//! One request in flight: submitted, run and received before the next.

use super::{BLOCK, BLOCKS, pinned_pipeline};
use crate::cores::Cores;
use crate::payload::{expected, payload};
use crate::summary::median;
use stageline::Order;
use std::time::Instant;

/// Nanoseconds a round trip, as the median over blocks, with so many idle groups open besides.
pub fn ns(cores: Cores, order: Order, idle_groups: usize) -> f64 {
    let pipeline = pinned_pipeline(cores, |builder| builder.groups(idle_groups + 1).window(64));
    let idle: Vec<_> =
        (0..idle_groups).map(|_| pipeline.open(order).expect("enough groups")).collect();
    let mut group = pipeline.open(order).expect("one group more");
    let mut number = 0;
    let mut trips = |count: u64| {
        for _ in 0..count {
            group.try_submit(payload(number)).expect("nothing is in flight");
            let result = group.recv().expect("one is in flight");
            assert_eq!(result[6], expected(number));
            number += 1;
        }
    };
    trips(BLOCK);
    let times = (0..BLOCKS).map(|_| {
        let start = Instant::now();
        trips(BLOCK);
        start.elapsed().as_nanos() as f64 / BLOCK as f64
    });
    let result = median(&mut times.collect::<Vec<_>>());
    drop(idle);
    result
}
