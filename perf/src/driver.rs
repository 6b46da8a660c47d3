//! What the thread that submits and receives does: the same code for the engine and for every peer.

use crate::meter::{Meter, Timed};
use crate::payload::{Payload, expected, expected_sum, payload};

/// Requests that a stream has in flight at most, where nothing else is said.
pub const WINDOW: usize = 1024;

/// What a worker that can take several requests at a time takes at most, whatever the burst: the engine's
/// bound by default. Batches of its own form where single requests come, and bursts follow each other.
pub const WORKER_BATCH_MAX: usize = stageline::limits::BATCH_DEFAULT;

/// One stream of a contender, as the thread sees it that submits and receives.
pub trait Stream {
    /// Submits what the iterator gives, as far as there is room; how many. The driver never has more in
    /// flight than the window that the stream was made with.
    fn submit(&mut self, values: &mut impl ExactSizeIterator<Item = Payload>) -> usize;

    /// Hands up to `max` results to `each`, without waiting; how many.
    fn receive(&mut self, max: usize, each: &mut impl FnMut(&Payload)) -> usize;

    /// Submits one and waits for its result.
    fn trip(&mut self, value: Payload) -> u64 {
        let mut value = std::iter::once(value);
        while self.submit(&mut value) == 0 {}
        let mut result = 0;
        while self.receive(1, &mut |value| result = value[6]) == 0 {}
        result
    }
}

/// A stream and what has gone through it.
struct Lane<S> {
    stream: S,
    sent: u64,
    got: u64,
    sum: u64,
}

impl<S: Stream> Lane<S> {
    fn new(stream: S) -> Self {
        Self { stream, sent: 0, got: 0, sum: 0 }
    }

    /// Submits a burst, as far as the window has room, and receives up to as many.
    #[inline(always)]
    fn turn(&mut self, window: u64, burst: u64, until: u64) {
        let more = burst.min(until - self.sent).min(window - (self.sent - self.got));
        let mut values =
            (self.sent as usize..(self.sent + more) as usize).map(|number| payload(number as u64));
        self.sent += self.stream.submit(&mut values) as u64;
        let sum = &mut self.sum;
        self.got += self.stream.receive(burst as usize, &mut |value| {
            *sum = sum.wrapping_add(value[6]);
        }) as u64;
    }
}

/// Nanoseconds a request, through streams that take turns: bursts submitted as far as the window has
/// room, results received as they come, at most a burst at a time.
pub fn stream<S: Stream>(
    meter: &Meter,
    streams: impl IntoIterator<Item = S>,
    (window, burst): (usize, u64),
    requests: u64,
) -> Timed {
    let mut lanes: Vec<Lane<S>> = streams.into_iter().map(Lane::new).collect();
    let share = (requests / lanes.len() as u64).max(1);
    let warm = share / 10;
    drive(&mut lanes, window as u64, burst, warm);
    let timed = meter.timed(share * lanes.len() as u64, || {
        drive(&mut lanes, window as u64, burst, warm + share);
    });
    for lane in &lanes {
        assert_eq!(lane.sum, expected_sum(lane.sent), "wrong results");
    }
    timed
}

/// Streams until each lane has received `until` results in all.
fn drive<S: Stream>(lanes: &mut [Lane<S>], window: u64, burst: u64, until: u64) {
    let mut open = lanes.len();
    while open > 0 {
        open = 0;
        for lane in lanes.iter_mut() {
            lane.turn(window, burst, until);
            open += usize::from(lane.got < until);
        }
    }
}

/// Nanoseconds a round trip: one request in flight, submitted, run and received before the next.
pub fn round_trip(meter: &Meter, stream: &mut impl Stream) -> Timed {
    let mut number = 0;
    meter.timed_blocks(|_, count| {
        for _ in 0..count {
            assert_eq!(stream.trip(payload(number)), expected(number), "a wrong result");
            number += 1;
        }
    })
}

/// Calls `trip` for each round trip of a pass that keeps the time of each; a warm-up goes before.
pub fn latency(meter: &Meter, stream: &mut impl Stream, mut record: impl FnMut(u64)) {
    let trips = meter.latency_trips();
    let mut number = 0;
    let mut trip = || {
        let start = std::time::Instant::now();
        let result = stream.trip(payload(number));
        let elapsed = start.elapsed().as_nanos() as u64;
        assert_eq!(result, expected(number), "a wrong result");
        number += 1;
        elapsed
    };
    meter.each(trips / 10 + 1, &mut trip, |_| {});
    meter.each(trips, &mut trip, &mut record);
}

/// Calls of the allocator for each request of a stream, in bursts of 64.
pub fn allocations<S: Stream>(meter: &Meter, stream: S) -> f64 {
    let requests = meter.requests(100);
    let mut lanes = [Lane::new(stream)];
    drive(&mut lanes, WINDOW as u64, 64, requests / 10);
    let calls = crate::counting::calls_in(|| {
        drive(&mut lanes, WINDOW as u64, 64, requests + requests / 10)
    });
    assert_eq!(lanes[0].sum, expected_sum(lanes[0].sent), "wrong results");
    calls as f64 / requests as f64
}

/// As [`stream`], but of several streams that share one way in and out: each payload carries the number
/// of its stream, and each result is handed to its own.
pub fn tagged(
    meter: &Meter,
    stream: &mut impl Stream,
    lanes: usize,
    burst: u64,
    requests: u64,
) -> Timed {
    let mut tags = Tagged { lanes: vec![Counts::default(); lanes], in_flight: 0 };
    let share = (requests / lanes as u64).max(1);
    let warm = share / 10;
    tags.drive(stream, burst, warm);
    let timed = meter.timed(share * lanes as u64, || tags.drive(stream, burst, warm + share));
    for lane in &tags.lanes {
        assert_eq!(lane.sum, expected_sum(lane.sent), "wrong results");
    }
    timed
}

/// What has gone through one of several streams that share their way.
#[derive(Clone, Default)]
struct Counts {
    sent: u64,
    got: u64,
    sum: u64,
}

struct Tagged {
    lanes: Vec<Counts>,
    in_flight: u64,
}

impl Tagged {
    fn drive(&mut self, stream: &mut impl Stream, burst: u64, until: u64) {
        let mut open = self.lanes.len();
        while open > 0 {
            for tag in 0..self.lanes.len() {
                let lane = &mut self.lanes[tag];
                let more = burst.min(until - lane.sent).min(WINDOW as u64 - self.in_flight);
                let mut values = (lane.sent as usize..(lane.sent + more) as usize).map(|number| {
                    let mut value = payload(number as u64);
                    // The stages leave this word as it is.
                    value[4] = tag as u64;
                    value
                });
                let sent = stream.submit(&mut values) as u64;
                lane.sent += sent;
                let lanes = &mut self.lanes;
                let got = stream.receive(burst as usize, &mut |value| {
                    let lane = &mut lanes[value[4] as usize];
                    lane.sum = lane.sum.wrapping_add(value[6]);
                    lane.got += 1;
                });
                self.in_flight = self.in_flight + sent - got as u64;
            }
            open = self.lanes.iter().filter(|lane| lane.got < until).count();
        }
    }
}
