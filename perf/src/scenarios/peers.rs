//! The peers, each as a stream by batch, in a round trip, and as 16 streams where that is natural.

use super::round_trip::WINDOW as ROUND_TRIP_WINDOW;
use super::{BATCHES, List, PAIR, Setup};
use crate::cores::pin;
use crate::driver::{Stream, WINDOW, round_trip, stream, tagged};
use crate::meter::Timed;
use crate::peers::{
    array_queue, crossbeam_channel, disruptor, flume, kanal, rayon, rtrb, thingbuf, tokio_mpsc,
};

/// Does something for each peer: its name, how it is made, and what a request takes about.
macro_rules! for_each_peer {
    ($do:ident($($argument:expr),*)) => {
        $do($($argument,)* "rtrb_chunks", rtrb::stream, 12);
        $do($($argument,)* "disruptor", disruptor::stream, 14);
        $do($($argument,)* "array_queue", array_queue::stream, 40);
        $do($($argument,)* "crossbeam_channel", crossbeam_channel::stream, 60);
        $do($($argument,)* "kanal", kanal::stream, 130);
        $do($($argument,)* "flume", flume::stream, 300);
        $do($($argument,)* "tokio_mpsc", tokio_mpsc::stream, 200);
        $do($($argument,)* "rayon", rayon::stream, 100);
        $do($($argument,)* "thingbuf", thingbuf::stream, 60);
    };
}
pub(super) use for_each_peer;

/// How a peer's stream is made: the worker's CPU, the window, the batch.
pub(super) type Make<S> = fn(usize, usize, usize) -> S;

/// A peer's stream, made for this setup.
pub(super) fn made<S>(setup: &Setup, make: Make<S>, window: usize, batch: u64) -> S {
    pin(setup.cores.submitter);
    make(setup.cores.worker(), window, batch as usize)
}

pub fn add(list: &mut List<Timed>) {
    for_each_peer!(add_peer(list));
    add_groups(list);
}

fn add_peer<S: Stream + 'static>(list: &mut List<Timed>, name: &str, make: Make<S>, about_ns: u64) {
    for batch in BATCHES {
        list.add(format!("{name}_stream_{batch}"), PAIR, move |setup| {
            let peer = made(setup, make, WINDOW, batch);
            // Some are ten times slower by single requests.
            let about_ns = if batch == 1 { about_ns * 3 } else { about_ns };
            stream(&setup.meter, [peer], (WINDOW, batch), setup.meter.requests(about_ns))
        });
    }
    list.add(format!("{name}_round_trip"), PAIR, move |setup| {
        round_trip(&setup.meter, &mut made(setup, make, ROUND_TRIP_WINDOW, 1))
    });
}

/// 16 streams, each of which gets its own results.
fn add_groups(list: &mut List<Timed>) {
    list.add("rtrb_chunks_groups_16", PAIR, |setup| {
        pin(setup.cores.submitter);
        let streams = rtrb::streams(setup.cores.worker(), 16, WINDOW, 64);
        stream(&setup.meter, streams, (WINDOW, 64), setup.meter.requests(14))
    });
    list.add("crossbeam_channel_groups_16", PAIR, |setup| {
        pin(setup.cores.submitter);
        let streams = crossbeam_channel::streams(setup.cores.worker(), 16, WINDOW);
        stream(&setup.meter, streams, (WINDOW, 64), setup.meter.requests(60))
    });
    add_tagged(list, "disruptor", disruptor::stream, 16);
    add_tagged(list, "array_queue", array_queue::stream, 60);
    add_tagged(list, "thingbuf", thingbuf::stream, 60);
}

/// 16 streams over one, with a tag and a demultiplexer.
fn add_tagged<S: Stream + 'static>(
    list: &mut List<Timed>,
    name: &str,
    make: Make<S>,
    about_ns: u64,
) {
    list.add(format!("{name}_groups_16"), PAIR, move |setup| {
        let requests = setup.meter.requests(about_ns);
        tagged(&setup.meter, &mut made(setup, make, WINDOW, 64), 16, 64, requests)
    });
}
