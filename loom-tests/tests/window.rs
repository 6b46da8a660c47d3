//! `src/window/`: the three protocols together, in both orders: every request that is submitted is
//! run once and received once, in the slot that it was submitted in.
//!
//! Proven: for a window of one slot or two, one worker and one receiver with one producer or two, or
//! (in the ignored models) two workers with one producer, starting next to the wrap of a position, over up to two laps; for reopening with a change of order
//! while a worker still looks by the old one; and for requests that the receiver ends itself.
//! Bound: three preemptions, two with four threads.
//! Not proven: larger windows, more than two workers, more laps.

mod common;

use common::stageline::sync::Arc;
use common::stageline::window::Order::{self, Completion, Submission};
use common::window::{
    Payloads, Producer, claim, complete, expect, receive, receive_orphan, receive_row,
    submit_shared, window, work, work_expected,
};
use common::{ALL, THREE, TWO, explore, join, spawn, step};

/// Calls `look` so many times, and counts how often it found something.
fn looks(times: usize, mut look: impl FnMut() -> bool) -> usize {
    let found = |at| {
        if at > 0 {
            step();
        }
        usize::from(look())
    };
    (0..times).map(found).sum()
}

/// One thread in each role, with so many looks each; how many requests each has had.
fn round_trip(size: usize, order: Order, times: [usize; 3]) -> String {
    let window = window(size, 1, u64::MAX, order);
    let submitter = spawn({
        let mut producer = Producer::new(&window);
        move || looks(times[0], || producer.submit())
    });
    let worker = spawn({
        let window = window.clone();
        move || looks(times[1], || !work(&window, 0, 1).is_empty())
    });
    let receiver = spawn({
        let window = window.clone();
        move || {
            let mut next = u64::MAX;
            looks(times[2], || {
                let position = receive(&window);
                if let Some(position) = position {
                    assert_eq!(position, next);
                    next = next.wrapping_add(1);
                }
                position.is_some()
            })
        }
    });
    let counts = [join(submitter), join(worker), join(receiver)];
    assert_eq!(window.received(), u64::MAX.wrapping_add(counts[2] as u64));
    assert_eq!(window.tail(), u64::MAX.wrapping_add(counts[0] as u64));
    format!("{counts:?}")
}

const TWO_LAPS: [&str; 6] =
    ["[1, 0, 0]", "[1, 1, 0]", "[1, 1, 1]", "[2, 1, 1]", "[2, 2, 1]", "[2, 2, 2]"];

#[test]
fn two_laps_as_submitted() {
    explore("window::two_laps_as_submitted", THREE, &TWO_LAPS, || {
        round_trip(1, Submission, [2, 2, 2])
    });
}

#[test]
fn two_laps_as_finished() {
    explore("window::two_laps_as_finished", THREE, &TWO_LAPS, || {
        round_trip(1, Completion, [2, 2, 2])
    });
}

const BATCHES: [&str; 9] =
    ["1 0 0", "1 1 0", "1 1 1", "1 2 0", "1 2 1", "1 2 2", "2 1 1", "2 3 1", "2 3 2"];

const NEXT_LAP: [&str; 7] =
    ["[2, 0, 0]", "[2, 1, 0]", "[2, 1, 1]", "[2, 2, 0]", "[2, 2, 1]", "[3, 1, 1]", "[3, 2, 1]"];

#[test]
fn the_next_lap_of_two_slots() {
    for order in [Submission, Completion] {
        explore("window::the_next_lap_of_two_slots", TWO, &NEXT_LAP, move || {
            round_trip(2, order, [3, 2, 1])
        });
    }
}

/// A batch goes through as one: who finds its first request finds all of it.
#[test]
fn a_batch_goes_through_as_one() {
    for order in [Submission, Completion] {
        let expected = ["0 0", "2 0", "2 2"];
        explore("window::a_batch_goes_through_as_one", THREE, &expected, move || {
            let window = window(2, 1, 2, order);
            let submitter = spawn({
                let window = window.clone();
                move || assert_eq!(Producer::new(&window).submit_batch(2), 2)
            });
            let worker = spawn({
                let window = window.clone();
                move || work(&window, 0, 2).len()
            });
            let receiver = spawn({
                let window = window.clone();
                move || std::iter::from_fn(|| receive(&window)).count()
            });
            join(submitter);
            format!("{} {}", join(worker), join(receiver))
        });
    }
}

/// Batches that end where the array of slots does, one of them in slots that the receiver gives back
/// meanwhile.
#[test]
fn batches_go_round() {
    for order in [Submission, Completion] {
        explore("window::batches_go_round", THREE, &BATCHES, move || {
            let window = window(2, 1, u64::MAX, order);
            let submitter = spawn({
                let window = window.clone();
                move || {
                    let mut producer = Producer::new(&window);
                    assert_eq!(producer.submit_batch(2), 1, "up to the end");
                    step();
                    producer.submit_batch(2)
                }
            });
            let worker = spawn({
                let window = window.clone();
                move || {
                    let first = work(&window, 0, 2).len();
                    step();
                    first + work(&window, 0, 2).len()
                }
            });
            let receiver = spawn({
                let window = window.clone();
                move || looks(2, || receive(&window).is_some())
            });
            let submitted = join(submitter);
            format!("{submitted} {} {}", join(worker), join(receiver))
        });
    }
}

/// Results in a row are looked at one by one and given back as one, for the next lap.
#[test]
fn a_row_of_results_goes_back_as_one() {
    let expected = [
        "0 0 0 0", "0 1 0 0", "0 1 0 1", "0 1 1 0", "0 2 0 0", "0 2 0 1", "0 2 0 2", "0 2 1 0",
        "0 2 1 1", "0 2 2 0", "1 1 0 1", "1 1 1 0", "1 2 0 1", "1 2 1 0", "1 2 1 1", "2 2 0 2",
        "2 2 1 1", "2 2 2 0",
    ];
    explore("window::a_row_of_results_goes_back_as_one", TWO, &expected, || {
        let window = window(2, 1, u64::MAX - 1, Submission);
        let submitter = spawn({
            let window = window.clone();
            move || {
                let mut producer = Producer::new(&window);
                assert_eq!(producer.submit_batch(2), 2);
                step();
                producer.submit_batch(2)
            }
        });
        let worker = spawn({
            let window = window.clone();
            move || looks(2, || !work(&window, 0, 1).is_empty())
        });
        let receiver = spawn({
            let window = window.clone();
            move || {
                let first = receive_row(&window, 2);
                step();
                (first, receive_row(&window, 2))
            }
        });
        let submitted = join(submitter);
        let (first, second) = join(receiver);
        format!("{submitted} {} {first} {second}", join(worker))
    });
}

/// A worker that still looks by the old order finds requests on both sides of the array's end: it takes
/// those of one side.
#[test]
fn reopened_where_the_array_ends() {
    for (before, after) in [(Completion, Submission), (Submission, Completion)] {
        let expected = ["0 0 0", "1 0 1", "1 1 0", "2 1 1"];
        explore("window::reopened_where_the_array_ends", THREE, &expected, move || {
            let window = window(2, 2, u64::MAX, before);
            let opener = spawn({
                let window = window.clone();
                move || {
                    window.reopen(after);
                    let mut producer = Producer::new(&window);
                    assert!(producer.submit() && producer.submit());
                }
            });
            let worker = spawn({
                let window = window.clone();
                move || [work(&window, 0, 2).len(), work(&window, 0, 2).len()]
            });
            join(opener);
            let [first, second] = join(worker);
            // What is left goes its way.
            let rest = spawn(move || {
                while !work(&window, 1, 2).is_empty() {}
                std::iter::from_fn(|| receive(&window)).count()
            });
            assert_eq!(join(rest), 2, "none is lost");
            format!("{} {first} {second}", first + second)
        });
    }
}

/// Two producers at a window with one free slot: one takes it.
#[test]
fn two_producers_one_vacancy() {
    for order in [Submission, Completion] {
        let expected = ["1 0", "1 1"];
        explore("window::two_producers_one_vacancy", THREE, &expected, move || {
            let window = window(1, 1, 0, order);
            let producers = [(); 2].map(|()| {
                let window = window.clone();
                spawn(move || usize::from(submit_shared(&window, order).is_some()))
            });
            let worker = spawn({
                let window = window.clone();
                move || work(&window, 0, 1).len()
            });
            let submitted: usize = producers.map(join).into_iter().sum();
            format!("{submitted} {}", join(worker))
        });
    }
}

/// Two producers, a worker and a receiver.
fn shared_producers(order: Order) -> String {
    let window = window(1, 1, u64::MAX, order);
    let producers = [(); 2].map(|()| {
        let window = window.clone();
        spawn(move || usize::from(submit_shared(&window, order).is_some()))
    });
    let worker = spawn({
        let window = window.clone();
        move || looks(1, || !work(&window, 0, 1).is_empty())
    });
    let receiver = spawn({
        let window = window.clone();
        move || looks(1, || receive(&window).is_some())
    });
    let submitted: usize = producers.map(join).into_iter().sum();
    format!("{submitted} {} {}", join(worker), join(receiver))
}

#[test]
fn two_producers_and_the_rest() {
    for order in [Submission, Completion] {
        let expected = ["1 0 0", "1 1 0", "1 1 1", "2 1 1"];
        explore("window::two_producers_and_the_rest", TWO, &expected, move || {
            shared_producers(order)
        });
    }
}

/// A producer, two workers and a receiver: what two lanes hand back goes round.
fn two_workers_and_the_rest(order: Order, submissions: u64) -> String {
    let window = window(2, 2, u64::MAX, order);
    let producer = spawn({
        let window = window.clone();
        move || {
            let mut producer = Producer::new(&window);
            looks(submissions as usize, || producer.submit())
        }
    });
    let workers = [0, 1].map(|lane| {
        let window = window.clone();
        spawn(move || work(&window, lane, 1).len())
    });
    let receiver = spawn({
        let window = window.clone();
        move || looks(2, || receive(&window).is_some())
    });
    let submitted = join(producer);
    let run: usize = workers.map(join).into_iter().sum();
    format!("{submitted} {run} {}", join(receiver))
}

#[test]
#[ignore = "long: see loom-tests/README.md"]
fn two_workers_hand_back() {
    for order in [Submission, Completion] {
        let expected = ["2 0 0", "2 1 0", "2 1 1", "2 2 0", "2 2 1", "2 2 2"];
        explore("window::two_workers_hand_back", TWO, &expected, move || {
            two_workers_and_the_rest(order, 2)
        });
    }
}

#[test]
#[ignore = "long: see loom-tests/README.md"]
fn two_workers_and_the_next_lap() {
    for order in [Submission, Completion] {
        let expected =
            ["2 0 0", "2 1 0", "2 1 1", "2 2 0", "2 2 1", "2 2 2", "3 1 1", "3 2 1", "3 2 2"];
        explore("window::two_workers_and_the_next_lap", TWO, &expected, move || {
            two_workers_and_the_rest(order, 3)
        });
    }
}

/// A window with its slots permuted, quiet, as a group is between two openings.
fn permuted() -> Arc<Payloads> {
    let window = window(2, 2, 0, Completion);
    let mut producer = Producer::new(&window);
    assert!(producer.submit() && producer.submit() && !producer.submit());
    let first = claim(&window, 1).expect("the first");
    let second = claim(&window, 1).expect("the second");
    complete(&window, 0, &second);
    complete(&window, 0, &first);
    assert_eq!((receive(&window), receive(&window)), (Some(1), Some(0)));
    window
}

/// The next opening in another order, while a worker looks by either.
#[test]
fn reopened_in_another_order() {
    for (before, after) in [(Completion, Submission), (Submission, Completion)] {
        let expected = ["[]", "[2, 3]", "[2]"];
        explore("window::reopened_in_another_order", THREE, &expected, move || {
            let window = if before == Completion { permuted() } else { window(2, 2, 2, before) };
            let opener = spawn({
                let window = window.clone();
                move || {
                    window.reopen(after);
                    let mut producer = Producer::new(&window);
                    assert!(producer.submit() && producer.submit());
                    receive(&window)
                }
            });
            let worker = spawn({
                let window = window.clone();
                move || {
                    let mut run = work(&window, 0, 1);
                    step();
                    run.extend(work(&window, 0, 1));
                    run
                }
            });
            let received = join(opener);
            let run = join(worker);
            assert!(received.is_none() || !run.is_empty());
            // What is left goes its way.
            let rest = spawn(move || {
                while !work(&window, 1, 2).is_empty() {}
                std::iter::from_fn(|| receive(&window)).count()
            });
            assert_eq!(join(rest), 2 - usize::from(received.is_some()));
            format!("{run:?}")
        });
    }
}

/// The next opening in another order, while a worker is prepared for a request of the old one.
#[test]
fn expected_in_another_order() {
    for (before, after) in [(Completion, Submission), (Submission, Completion)] {
        let expected = ["[]", "[2]"];
        explore("window::expected_in_another_order", ALL, &expected, move || {
            let window = if before == Completion { permuted() } else { window(2, 2, 2, before) };
            let opener = spawn({
                let window = window.clone();
                move || {
                    window.reopen(after);
                    assert!(Producer::new(&window).submit());
                }
            });
            let worker = spawn({
                let window = window.clone();
                move || work_expected(&window, 0, &expect(&window))
            });
            join(opener);
            let run = join(worker);
            // What is left goes its way.
            let rest = spawn(move || {
                while !work(&window, 1, 2).is_empty() {}
                std::iter::from_fn(|| receive(&window)).count()
            });
            assert_eq!(join(rest), 1, "it is received, whoever ran it");
            format!("{run:?}")
        });
    }
}

/// The workers are gone: the receiver ends what is submitted late, each request once.
#[test]
fn orphans_are_ended_by_the_receiver() {
    for order in [Submission, Completion] {
        let expected = ["[]", "[0, 1]", "[0]"];
        explore("window::orphans_are_ended_by_the_receiver", ALL, &expected, move || {
            let window = window(2, 1, 0, order);
            let submitter = spawn({
                let mut producer = Producer::new(&window);
                move || assert!(producer.submit() && producer.submit())
            });
            let receiver = spawn(move || {
                let found = [receive_orphan(&window), receive_orphan(&window)];
                found.into_iter().flatten().collect::<Vec<_>>()
            });
            join(submitter);
            format!("{:?}", join(receiver))
        });
    }
}
