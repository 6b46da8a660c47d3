//! What a request of one group takes beside another group, both with as many requests as their windows hold, on
//! one worker. Over what it takes where the group is alone, that is one over its share of the worker's time:
//! 10 for a tenth.

use super::work::{Job, Worker, uniform};
use super::{List, PAIR, Setup};
use crate::engine::pinned;
use crate::meter::Timed;
use stageline::{GroupOptions, Order, RequestGroup};
use std::time::Instant;

/// Slots of each group. A submitter that is stopped for a while leaves enough: 33 ms of light requests.
const WINDOW: usize = 65_536;
/// What a request takes, and what the scenarios call it. The light ones take a multiple of what the submitter
/// needs for each, so that it keeps both windows full.
const LIGHT: (&str, u64) = ("light", 500);
const HEAVY: (&str, u64) = ("heavy", 10_000);
/// Weights of the group that is measured and of the other one, and what the scenarios call these. Without
/// any the two take turns.
const WEIGHTS: [(&str, Option<(u32, u32)>); 3] =
    [("turns", None), ("weight_1_of_10", Some((1, 9))), ("weight_9_of_10", Some((9, 1)))];

/// The scenarios, each with that of the same group alone.
pub fn names() -> Vec<(String, String)> {
    cases().map(|(name, (own, _), ..)| (name, format!("share_alone_{own}"))).collect()
}

type Kind = (&'static str, u64);

fn cases() -> impl Iterator<Item = (String, Kind, Kind, Option<(u32, u32)>)> {
    let pairs = [(LIGHT, LIGHT), (LIGHT, HEAVY), (HEAVY, LIGHT)];
    WEIGHTS.into_iter().flat_map(move |(how, weights)| {
        pairs.map(|(own, other)| {
            (format!("share_{how}_{}_beside_{}", own.0, other.0), own, other, weights)
        })
    })
}

pub fn add(list: &mut List<Timed>) {
    for (kind, ns) in [LIGHT, HEAVY] {
        list.add(format!("share_alone_{kind}"), PAIR, move |setup| {
            measure(setup, &mut [(GroupOptions::new(Order::Submission), ns)])
        });
    }
    for (name, (_, own_ns), (_, other_ns), weights) in cases() {
        list.add(name, PAIR, move |setup| {
            let plain = || GroupOptions::new(Order::Submission);
            let (own, other) = match weights {
                None => (plain(), plain()),
                Some((own, other)) => (plain().weight(own), plain().weight(other)),
            };
            measure(setup, &mut [(own, own_ns), (other, other_ns)])
        });
    }
}

/// A group whose window is filled as soon as there is room.
struct Busy {
    group: RequestGroup<Worker>,
    turns: u64,
    submitted: u64,
    received: u64,
    sum: u64,
}

impl Busy {
    fn turn(&mut self) {
        let (turns, first) = (self.turns, self.submitted);
        let jobs = |number| Job { number, turns, result: 0 };
        self.submitted += self.group.submit_batch(&mut (first..).map(jobs)) as u64;
        let sum = &mut self.sum;
        self.received += self.group.drain(WINDOW, |job| *sum += job.number) as u64;
    }
}

/// What a request of the first group takes.
fn measure(setup: &Setup, groups: &mut [(GroupOptions, u64)]) -> Timed {
    let configure = |builder: stageline::Builder<Worker>| builder.groups(2).window(WINDOW);
    let pipeline = pinned(&setup.cores, || Worker, configure);
    let mut busy: Vec<_> = groups
        .iter()
        .map(|(options, ns)| Busy {
            group: pipeline.open(options.clone()).expect("two groups"),
            turns: uniform(0, *ns, setup.turns_per_us),
            submitted: 0,
            received: 0,
            sum: 0,
        })
        .collect();
    // A tenth of the time that others are measured for is that of a group of this share.
    let requests = (setup.meter.requests(100) * 10 / groups[0].1).max(64);
    let mut until = |received| {
        while busy[0].received < received {
            busy.iter_mut().for_each(Busy::turn);
        }
        busy[0].received
    };
    let before = until(requests / 4);
    let timed = setup.meter.whole(|| {
        let start = Instant::now();
        let received = until(before + requests) - before;
        start.elapsed().as_nanos() as f64 / received as f64
    });
    for busy in &busy {
        assert_eq!(busy.sum, (0..busy.received).sum::<u64>(), "lost, doubled, or out of order");
    }
    timed
}
