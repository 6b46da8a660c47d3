//! `src/ring/posting.rs`: with outputs as they finish, submitter and workers find the slot that was
//! posted for a position, and never another.
//!
//! Proven: for a window of two, two workers, one or two producers and the receiver, over one lap and
//! the beginning of the next, each position has one slot at a time, whoever looks for it; a worker
//! keeps the slot that it claimed, although the receiver overwrites the posting meanwhile.
//! Bound: three or four preemptions, as each says.
//! Not proven: windows above two, a second overwriting.

mod common;

use common::stageline::window::Order::Completion;
use common::window::{Producer, claim, complete, receive, submit_shared, window, work};
use common::{FOUR, THREE, explore, join, spawn};

/// Two workers, and a receiver that releases what the faster one has ended: it posts that slot in the
/// entry of the position that the slower one still runs.
#[test]
fn a_slot_is_posted_beside_a_running_one() {
    let expected = [
        "[0, 1] None",
        "[0, 1] Some(0)",
        "[1, 0] None",
        "[1, 0] Some(0)",
        "[1, 1] None",
        "[1, 1] Some(0)",
        "[1, 1] Some(1)",
    ];
    explore("posting::a_slot_is_posted_beside_a_running_one", FOUR, &expected, || {
        let window = window(2, 2, 0, Completion);
        let mut producer = Producer::new(&window);
        assert!(producer.submit() && producer.submit());
        let workers = [0, 1].map(|lane| {
            let window = window.clone();
            spawn(move || work(&window, lane, 1).len())
        });
        let receiver = spawn(move || receive(&window));
        let run = workers.map(join);
        format!("{run:?} {:?}", join(receiver))
    });
}

/// The second request ends first; its slot is submitted and run again while the first one runs.
#[test]
fn the_next_lap_overtakes_a_slow_request() {
    let expected = ["None false []", "Some(1) false []", "Some(1) true []", "Some(1) true [2]"];
    explore("posting::the_next_lap_overtakes_a_slow_request", FOUR, &expected, || {
        let window = window(2, 2, 0, Completion);
        let mut producer = Producer::new(&window);
        assert!(producer.submit() && producer.submit());
        let slow = claim(&window, 1).expect("the first");
        let fast = claim(&window, 1).expect("the second");
        let worker = spawn({
            let window = window.clone();
            move || {
                complete(&window, 1, &fast);
                work(&window, 1, 1)
            }
        });
        let submitter = spawn(move || producer.submit());
        let receiver = spawn({
            let window = window.clone();
            move || receive(&window)
        });
        let (next, submitted, received) = (join(worker), join(submitter), join(receiver));
        // The slow one ends after all, in the slot that it began in.
        let slow = spawn(move || {
            complete(&window, 0, &slow);
            std::iter::from_fn(|| receive(&window)).count()
        });
        assert_eq!(join(slow), 2 + next.len() - usize::from(received.is_some()));
        format!("{received:?} {submitted} {next:?}")
    });
}

/// The worker looks for a position whose posting it may not have seen yet: it finds the posted slot,
/// Ready, or nothing.
#[test]
fn a_worker_finds_the_posted_slot() {
    let expected = ["false []", "true []", "true [2]"];
    explore("posting::a_worker_finds_the_posted_slot", FOUR, &expected, || {
        let window = window(2, 2, 0, Completion);
        let mut producer = Producer::new(&window);
        assert!(producer.submit() && producer.submit());
        let first = claim(&window, 1).expect("the first");
        let second = claim(&window, 1).expect("the second");
        complete(&window, 1, &second);
        complete(&window, 0, &first);
        let receiver = spawn({
            let window = window.clone();
            move || receive(&window)
        });
        let submitter = spawn(move || producer.submit());
        let worker = spawn(move || work(&window, 0, 2));
        assert!(join(receiver).is_some());
        format!("{} {:?}", join(submitter), join(worker))
    });
}

/// Two producers: the later position may be published while the earlier one is being filled, in a
/// slot that an old posting names for the earlier one.
#[test]
fn two_producers_after_a_permutation() {
    let expected = ["[2, 3] [2, 3]", "[2, 3] [2]", "[2, 3] []", "[2] [2]", "[2] []", "[] []"];
    explore("posting::two_producers_after_a_permutation", THREE, &expected, || {
        let window = window(2, 2, 0, Completion);
        let mut producer = Producer::new(&window);
        assert!(producer.submit() && producer.submit());
        let first = claim(&window, 1).expect("the first");
        let second = claim(&window, 1).expect("the second");
        complete(&window, 0, &second);
        complete(&window, 0, &first);
        let producers = [(); 2].map(|()| {
            let window = window.clone();
            spawn(move || submit_shared(&window, Completion))
        });
        let worker = spawn({
            let window = window.clone();
            move || {
                // The postings are new to the other threads.
                assert!(receive(&window).is_some() && receive(&window).is_some());
                work(&window, 0, 2)
            }
        });
        let mut taken: Vec<_> = producers.map(join).into_iter().flatten().collect();
        taken.sort_unstable();
        format!("{taken:?} {:?}", join(worker))
    });
}
