//! Random floods of a group whose latest values win.

use super::options;
use crate::common::{Gate, Job, Lab, ORDERS, Random, assert_quiet, ending, finish, lab_with, pass};
use stageline::{Order, Output, Overflow, Receiver, Submitter};
use std::thread;
use std::time::Duration;

/// Random runs of the test.
const RUNS: u32 = 30;
/// Requests of each producer in one of them.
const EACH: u64 = 300;

/// What a receiver of a random run has seen.
#[derive(Default)]
struct Count {
    done: u64,
    dropped: u64,
    positions: Vec<u64>,
}

impl Count {
    fn add(&mut self, output: &Output<'_, Lab>) {
        self.positions.push(output.position());
        match ending(output).as_str() {
            "done" => {
                assert_eq!(output.value % 2, 1, "it has been run once");
                self.done += 1;
            }
            "dropped" => {
                assert_eq!(output.value % 2, 0, "it has not been run");
                self.dropped += 1;
            }
            other => panic!("{other}"),
        }
    }
}

/// Random sizes, orders and numbers of workers and producers: what was accepted is received once, as done
/// or, if it was dropped, as it was submitted; and no more are dropped than have been accepted after them.
pub fn random() {
    let seed = std::env::var("STAGELINE_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("STAGELINE_SEED={seed}");
    let mut random = Random(seed);
    let mut dropped = 0;
    for _ in 0..RUNS {
        let starts = [0, u64::from(u32::MAX) - 9, u64::MAX - 9];
        let first = starts[random.below(3) as usize];
        let (workers, window) = (1 + random.below(3) as usize, 2 << random.below(5));
        let order = ORDERS[random.below(2) as usize];
        let gate = Gate::closed();
        gate.open();
        let builder = lab_with(&gate).workers(workers).window(window).drop_oldest(true);
        let pipeline = builder.first_position(first).build().unwrap();
        let group = pipeline.open(options(order, Overflow::DropOldest)).unwrap();
        let producers = 1 + random.below(3);
        let count = flood(group.split(), producers, random.next());
        let case = format!("{order:?}, {workers} workers, window {window}, {producers} producers");
        let sent = producers * EACH;
        assert_eq!(count.done + count.dropped, sent, "{case}");
        let mut from_start =
            Vec::from_iter(count.positions.iter().map(|at| at.wrapping_sub(first)));
        if order == Order::Submission {
            assert!(from_start.is_sorted(), "{case}");
        }
        from_start.sort_unstable();
        assert_eq!(from_start, Vec::from_iter(0..sent), "{case}");
        let ledger = finish(pipeline);
        assert_eq!((ledger.done, ledger.dropped), (count.done, count.dropped), "{case}");
        dropped += count.dropped;
    }
    assert!(dropped > 0, "no window was ever full");
}

/// Submits from so many producers as fast as it goes, and receives it.
fn flood(ends: (Submitter<Lab>, Receiver<Lab>), producers: u64, seed: u64) -> Count {
    let (submitter, mut receiver) = ends;
    let mut count = Count::default();
    thread::scope(|scope| {
        if producers == 1 {
            let mut sole = submitter;
            scope.spawn(move || send(|job| sole.submit(job).map_err(drop)));
        } else {
            let shared = submitter.share();
            for _ in 0..producers {
                let mut producer = shared.clone();
                scope.spawn(move || send(|job| producer.submit(job).map_err(drop)));
            }
        }
        let mut random = Random(seed);
        loop {
            // Now one, now what there is, and at times nothing for a while.
            if random.below(64) == 0 {
                thread::sleep(Duration::from_micros(random.below(300)));
            }
            match random.below(2) {
                0 => drop(receiver.drain(1 + random.below(9) as usize, |output| count.add(output))),
                _ => match receiver.recv() {
                    Ok(output) => count.add(&output),
                    Err(_) => break,
                },
            }
        }
    });
    let stats = receiver.stats();
    assert_quiet(&stats);
    assert_eq!(stats.dropped_oldest, stats.ledger.dropped);
    count
}

fn send(mut submit: impl FnMut(Job) -> Result<u64, ()>) {
    (0..EACH).for_each(|number| assert!(submit(pass(number * 2)).is_ok()));
}
