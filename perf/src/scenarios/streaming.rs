//! Many requests in flight: bursts submitted as far as the window has room, results received as they
//! come, at most a burst at a time.

use super::{STREAMED, pinned_pipeline};
use crate::cores::Cores;
use crate::payload::{Trivial, expected, payload};
use stageline::{Order, Pipeline, RequestGroup};
use std::time::Instant;

const WINDOW: usize = 1024;

/// Nanoseconds a request, through `groups` groups that take turns.
pub fn ns(cores: Cores, order: Order, groups: usize, burst: u64) -> f64 {
    let pipeline = pinned_pipeline(cores, |builder| builder.groups(groups).window(WINDOW));
    stream(&pipeline, order, groups, burst, STREAMED)
}

/// As [`ns`], with so many workers and everything else left to the defaults: what an unsuspecting
/// user gets on a small machine.
pub fn crowded_ns(workers: usize) -> f64 {
    let pipeline =
        Pipeline::builder(|| Trivial).workers(workers).build().expect("a default pipeline");
    stream(&pipeline, Order::Completion, 4, 64, STREAMED / 10)
}

fn stream(
    pipeline: &Pipeline<Trivial>,
    order: Order,
    groups: usize,
    burst: u64,
    requests: u64,
) -> f64 {
    let mut streams: Vec<Stream> = (0..groups)
        .map(|_| Stream {
            group: pipeline.open(order).expect("enough groups"),
            sent: 0,
            got: 0,
            sum: 0,
        })
        .collect();
    let share = requests / groups as u64;
    drive(&mut streams, burst, share / 10);
    let start = Instant::now();
    drive(&mut streams, burst, share / 10 + share);
    let elapsed = start.elapsed();
    for stream in &streams {
        let sum = (0..stream.sent).map(expected).fold(0, u64::wrapping_add);
        assert_eq!(stream.sum, sum, "wrong results");
    }
    elapsed.as_nanos() as f64 / (share * groups as u64) as f64
}

struct Stream {
    group: RequestGroup<Trivial>,
    sent: u64,
    got: u64,
    sum: u64,
}

/// Streams until each group has received `until` results in all.
fn drive(streams: &mut [Stream], burst: u64, until: u64) {
    let mut open = streams.len();
    while open > 0 {
        open = 0;
        for stream in streams.iter_mut() {
            let more = burst.min(until - stream.sent);
            let mut values = (stream.sent..stream.sent + more).map(payload);
            stream.sent += stream.group.submit_batch(&mut values) as u64;
            let sum = &mut stream.sum;
            stream.got += stream.group.drain(burst as usize, |output| {
                *sum = sum.wrapping_add(output[6]);
            }) as u64;
            open += usize::from(stream.got < until);
        }
    }
}
