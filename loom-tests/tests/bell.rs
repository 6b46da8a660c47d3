//! `src/bell.rs`, with `src/worker/hot_set.rs`: a group that falls idle is never left with a request
//! that nobody was told of.
//!
//! Proven: of two producers that find a group Cold one rings; a ring is answered once, after what was
//! published before it, for one group, two of a word and two of two words; a submission beside a
//! demotion is either seen by the worker's second look or rung for, with one producer or two, and with
//! a helper that takes requests meanwhile.
//! Bound: none with two threads, three preemptions with more, one with a receiver, as each says.
//! Not proven: more than one word of summary (its bits are independent), more than two groups.

mod common;

use common::engine::{Engine, engine, open, receive, serve};
use common::stageline::bell::{Attention, Doorbell, GroupSet, Service};
use common::stageline::model::HotSet;
use common::stageline::sync::Arc;
use common::stageline::window::Order;
use common::{ALL, THREE, Watched, explore, join, spawn, step};

fn bell(groups: usize) -> Arc<Doorbell> {
    Arc::new(Doorbell::try_new(groups).expect("little memory"))
}

fn answer(bell: &Doorbell) -> Vec<usize> {
    let mut rang = Vec::new();
    if bell.is_rung() {
        bell.answer(|group| rang.push(group));
    }
    rang
}

/// What was published before the ring is the worker's when it has answered.
#[test]
fn a_ring_carries_what_was_published() {
    explore("bell::a_ring_carries_what_was_published", ALL, &["[0]", "[]"], || {
        let bell = bell(1);
        let payload = Arc::new(Watched::new());
        let submitter = spawn({
            let (bell, payload) = (bell.clone(), payload.clone());
            move || {
                // SAFETY: nobody has been rung for yet; the model checks it.
                unsafe { payload.set(7) };
                bell.ring(0);
            }
        });
        let worker = spawn(move || {
            let rang = answer(&bell);
            if !rang.is_empty() {
                // SAFETY: the ring was answered; that it handed the payload over, the model checks.
                assert_eq!(unsafe { payload.get() }, 7);
            }
            rang
        });
        join(submitter);
        format!("{:?}", join(worker))
    });
}

/// Two submitters ring while the worker answers twice; what it has not found by then is still rung.
/// Each has written something before, which is the worker's once it has found the group.
fn rings(groups: [usize; 2]) -> String {
    let bell = bell(128);
    let payloads = Arc::new([Watched::new(), Watched::new()]);
    let submitters = [0, 1].map(|at: usize| {
        let (bell, payloads) = (bell.clone(), payloads.clone());
        spawn(move || {
            // SAFETY: nobody has been rung for yet; the model checks it.
            unsafe { payloads[at].set(7) };
            bell.ring(groups[at]);
        })
    });
    let worker = spawn({
        let bell = bell.clone();
        move || {
            let look = || {
                let rang = answer(&bell);
                for group in &rang {
                    let at = usize::from(*group == groups[1]);
                    // SAFETY: the ring was answered; that it handed the payload over, the model checks.
                    assert_eq!(unsafe { payloads[at].get() }, 7);
                }
                rang
            };
            let first = look();
            step();
            (first, look())
        }
    });
    submitters.into_iter().for_each(join);
    let (first, second) = join(worker);
    let third = join(spawn(move || answer(&bell)));
    let mut all = [first.clone(), second.clone(), third].concat();
    all.sort_unstable();
    assert_eq!(all, groups, "each ring is answered once");
    format!("{} {}", first.len(), second.len())
}

const ANSWERS: [&str; 6] = ["0 0", "0 1", "0 2", "1 0", "1 1", "2 0"];

#[test]
fn two_rings_of_one_word() {
    explore("bell::two_rings_of_one_word", THREE, &ANSWERS, || rings([0, 1]));
}

#[test]
fn two_rings_of_two_words() {
    explore("bell::two_rings_of_two_words", THREE, &ANSWERS, || rings([1, 64]));
}

#[test]
fn one_of_two_producers_rings() {
    explore("bell::one_of_two_producers_rings", ALL, &["one"], || {
        let service = Arc::new(Service::default());
        let producers = [(); 2].map(|()| {
            let service = service.clone();
            spawn(move || service.look())
        });
        let looks = producers.map(join);
        let ringers = looks.iter().filter(|look| **look == Attention::MustRing).count();
        assert_eq!(ringers, 1, "{looks:?}");
        "one".into()
    });
}

/// The owner changes its set while a helper reads it: the helper finds groups that were in it.
#[test]
fn a_helper_reads_the_hot_set() {
    let expected = ["[0, 64]", "[0]", "[64]", "[]"];
    explore("bell::a_helper_reads_the_hot_set", ALL, &expected, || {
        let set = Arc::new(GroupSet::try_new(128).expect("little memory"));
        let owner = spawn({
            let set = set.clone();
            move || {
                set.set(0, true);
                set.set(64, true);
                set.set(0, false);
            }
        });
        let helper = spawn({
            let set = set.clone();
            move || set.iter().collect::<Vec<_>>()
        });
        join(owner);
        assert_eq!(set.iter().collect::<Vec<_>>(), [64]);
        format!("{:?}", join(helper))
    });
}

/// Whether a request is ready that no worker polls for and no bell has rung for.
fn is_forgotten(engine: &Engine, hot: &HotSet) -> bool {
    let group = engine.group(0);
    group.window.has_ready(0) && hot.is_empty() && !engine.home(0).bell.is_rung()
}

/// A worker that polls the group of this engine, which has nothing to do.
fn hot(engine: &Engine) -> HotSet {
    let mut hot = HotSet::new(0);
    engine.home(0).bell.ring(0);
    hot.admit_rung(engine);
    assert_eq!(hot.first(), Some(0));
    hot
}

#[test]
fn a_submission_beside_a_demotion() {
    let expected = ["kept", "kept, rung", "rung"];
    explore("bell::a_submission_beside_a_demotion", ALL, &expected, || {
        let engine = engine(1, 2);
        let (mut submitter, receiver) = open(&engine, Order::Submission);
        let mut hot = hot(&engine);
        let submitter = spawn(move || {
            submitter.try_submit(5).expect("there is room");
            submitter
        });
        let worker = spawn({
            let engine = engine.clone();
            move || {
                hot.demote_all(&engine);
                hot
            }
        });
        let (submitter, hot) = (join(submitter), join(worker));
        assert!(!is_forgotten(&engine, &hot));
        let outcome = match (hot.is_empty(), engine.home(0).bell.is_rung()) {
            (false, false) => "kept",
            (false, true) => "kept, rung",
            (true, true) => "rung",
            (true, false) => "forgotten",
        };
        drop((submitter, receiver));
        outcome.into()
    });
}

#[test]
fn two_producers_beside_a_demotion() {
    let expected = ["kept", "kept, rung", "rung"];
    explore("bell::two_producers_beside_a_demotion", THREE, &expected, || {
        let engine = engine(1, 2);
        let (submitter, receiver) = open(&engine, Order::Submission);
        let mut hot = hot(&engine);
        let first = submitter.share();
        let producers = [first.clone(), first].map(|mut producer| {
            spawn(move || {
                producer.try_submit(5).expect("there is room");
                producer
            })
        });
        let worker = spawn({
            let engine = engine.clone();
            move || {
                hot.demote_all(&engine);
                hot
            }
        });
        let producers = producers.map(join);
        let hot = join(worker);
        assert!(!is_forgotten(&engine, &hot));
        let outcome = match (hot.is_empty(), engine.home(0).bell.is_rung()) {
            (false, false) => "kept",
            (false, true) => "kept, rung",
            (true, true) => "rung",
            (true, false) => "forgotten",
        };
        drop(producers);
        drop(receiver);
        outcome.into()
    });
}

/// A helper claims and ends the request at the cursor while the home worker looks at it: the next one,
/// for which nobody rings, must not be overlooked.
#[test]
fn a_demotion_beside_a_helper() {
    let expected = ["helped 1, kept", "helped 1, kept, rung", "helped 1, rung"];
    explore("bell::a_demotion_beside_a_helper", THREE, &expected, || {
        let engine = engine(2, 2);
        let (mut submitter, receiver) = open(&engine, Order::Submission);
        let mut hot = hot(&engine);
        submitter.try_submit(5).expect("there is room");
        let submitter = spawn(move || {
            submitter.try_submit(6).expect("there is room");
            submitter
        });
        let helper = spawn({
            let engine = engine.clone();
            move || usize::from(serve(&engine, 1).is_some())
        });
        let worker = spawn({
            let engine = engine.clone();
            move || {
                hot.demote_all(&engine);
                hot
            }
        });
        let (submitter, helped, hot) = (join(submitter), join(helper), join(worker));
        assert!(!is_forgotten(&engine, &hot), "helped {helped}");
        let kept = if hot.is_empty() { "" } else { ", kept" };
        let rung = if engine.home(0).bell.is_rung() { ", rung" } else { "" };
        drop((submitter, receiver));
        format!("helped {helped}{kept}{rung}")
    });
}

/// The same where the position at the cursor has the slot of another one by now, which was claimed before it
/// and received after it.
#[test]
fn a_demotion_beside_a_receiver() {
    let expected = [
        "received 0, kept",
        "received 0, kept, rung",
        "received 0, rung",
        "received 1, kept",
        "received 1, kept, rung",
        "received 1, rung",
        "received 2, kept",
        "received 2, kept, rung",
        "received 2, rung",
    ];
    explore("bell::a_demotion_beside_a_receiver", Some(1), &expected, || {
        let engine = engine(2, 4);
        let (mut submitter, mut receiver) = open(&engine, Order::Completion);
        let mut hot = hot(&engine);
        submitter.try_submit(5).expect("there is room");
        submitter.try_submit(6).expect("there is room");
        let mut slots = [0];
        let slow = engine.group(0).window.claim(1, &mut slots).expect("the first");
        let home = spawn({
            let engine = engine.clone();
            move || {
                submitter.try_submit(7).expect("there is room");
                engine.group(0).window.complete(1, slow, &slots, None);
                submitter
            }
        });
        let helper = spawn({
            let engine = engine.clone();
            // The receiver looks at this lane first.
            move || assert!(serve(&engine, 0).is_some())
        });
        let receiver = spawn(move || {
            let received = receive(&mut receiver).is_some();
            step();
            (usize::from(received) + usize::from(receive(&mut receiver).is_some()), receiver)
        });
        let worker = spawn({
            let engine = engine.clone();
            move || {
                hot.demote_all(&engine);
                hot
            }
        });
        let (submitter, (received, receiver)) = (join(home), join(receiver));
        join(helper);
        let hot = join(worker);
        assert!(!is_forgotten(&engine, &hot), "received {received}");
        let kept = if hot.is_empty() { "" } else { ", kept" };
        let rung = if engine.home(0).bell.is_rung() { ", rung" } else { "" };
        drop((submitter, receiver));
        format!("received {received}{kept}{rung}")
    });
}

/// The bit of a group that was taken back comes late: the worker ignores it, and the group is polled
/// once.
#[test]
fn a_late_ring_for_a_hot_group() {
    let expected = ["polled", "rung"];
    explore("bell::a_late_ring_for_a_hot_group", ALL, &expected, || {
        let engine = engine(1, 2);
        let (mut submitter, receiver) = open(&engine, Order::Submission);
        let mut hot = hot(&engine);
        let submitter = spawn(move || {
            submitter.try_submit(5).expect("there is room");
            submitter
        });
        let worker = spawn({
            let engine = engine.clone();
            move || {
                hot.demote_all(&engine);
                hot.admit_rung(&engine);
                assert!(hot.len() <= 1);
                hot
            }
        });
        let (submitter, hot) = (join(submitter), join(worker));
        assert!(!is_forgotten(&engine, &hot));
        let outcome = if hot.is_empty() { "rung" } else { "polled" };
        drop((submitter, receiver));
        outcome.into()
    });
}
