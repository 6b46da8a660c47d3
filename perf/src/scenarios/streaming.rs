//! Many requests in flight: bursts submitted as far as the window has room, results received as they
//! come, at most a burst at a time.

use super::{BATCHES, List, PAIR, Setup};
use crate::driver::{WINDOW, stream};
use crate::engine::{Single, pinned};
use crate::meter::Timed;
use crate::payload::Trivial;
use stageline::{Order, Pipeline, WaitStrategy};

/// What a request takes, about.
const ABOUT_NS: u64 = 12;

pub fn add(list: &mut List<Timed>) {
    for batch in BATCHES {
        list.add(format!("stream_{batch}"), PAIR, move |setup| {
            single(setup, Order::Submission, WINDOW, batch)
        });
    }
    list.add("stream_64_completion", PAIR, |setup| single(setup, Order::Completion, WINDOW, 64));
    for window in [64, 256, 4096] {
        list.add(format!("stream_64_window_{window}"), PAIR, move |setup| {
            single(setup, Order::Submission, window, 64)
        });
    }
    list.add("stream_64_runtime_table", PAIR, |setup| {
        let pipeline = pinned(
            &setup.cores,
            || Trivial,
            |builder| builder.groups(1).window(WINDOW).stages(Trivial::at_run_time()),
        );
        let group = pipeline.open(Order::Submission).expect("one group");
        stream(&setup.meter, [group], (WINDOW, 64), setup.meter.requests(ABOUT_NS))
    });
    list.add("groups_16", PAIR, |setup| {
        let pipeline =
            pinned(&setup.cores, || Trivial, |builder| builder.groups(16).window(WINDOW));
        let open = |_| pipeline.open(Order::Submission).expect("enough groups");
        let requests = setup.meter.requests(ABOUT_NS);
        stream(&setup.meter, (0..16).map(open), (WINDOW, 64), requests)
    });
    for workers in [1, 10] {
        // The workers wait by the default, so they need no CPU each.
        let threads =
            format!("the submitter on its CPU, {workers} workers placed by default, which park");
        list.add(format!("workers_{workers}"), (2, &threads), move |setup| crowded(setup, workers));
    }
}

fn single(setup: &Setup, order: Order, window: usize, batch: u64) -> Timed {
    let group = Single::new(&setup.cores, window, order, WaitStrategy::BusySpin);
    stream(&setup.meter, [group], (window, batch), setup.meter.requests(ABOUT_NS))
}

/// So many workers and everything else left to the defaults: what an unsuspecting user gets on a small
/// machine.
fn crowded(setup: &Setup, workers: usize) -> Timed {
    crate::cores::pin(setup.cores.submitter);
    let pipeline =
        Pipeline::builder(|| Trivial).workers(workers).build().expect("a default pipeline");
    let open = |_| pipeline.open(Order::Completion).expect("enough groups");
    let requests = setup.meter.requests(100);
    stream(&setup.meter, (0..4).map(open), (WINDOW, 64), requests).of_sharing_threads()
}
