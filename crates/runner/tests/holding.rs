//! Messages that components hold: when they are let go, and what becomes of them.

mod common;

use common::*;
use stageline::Order;
use stageline_component::{Flush, Kind, Message, Report};
use stageline_runner::{Ended, Route, Target, When};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Joins what it gets, three at a time.
fn batch(texts: &mut Vec<String>, message: &mut Message) -> Report {
    if message.flush().is_none() {
        texts.push(text(message));
    }
    if texts.len() < 3 && message.flush().is_none() {
        return message.hold_for(Duration::from_secs(3600));
    }
    message.set_data(texts.join("+").as_bytes()).unwrap();
    texts.clear();
    Report::DONE
}

/// One that is let go at the end, and comes to be held again, does not go round for ever.
#[test]
fn what_is_held_in_a_circle_fails_at_the_end() {
    let acks = Acks::default();
    let mut texts = Vec::new();
    let join = transform("join", move |message| batch(&mut texts, message));
    let mut plan = line([slow_numbers(8, Some(Arc::clone(&acks)), Duration::ZERO), join]);
    plan.options.workers = Some(1);
    plan.nodes[0].otherwise = Some(Target::Node(plan.nodes[0].name.clone()));
    let warned = plan.check();
    assert!(
        warned[0].text.starts_with("no way leads from the stage `join` to an end"),
        "{warned:?}"
    );
    let summary = run(plan);
    assert_eq!((summary.progress.total().failed, summary.ended), (8, Ended::BySources));
    assert!(acks.lock().unwrap().iter().all(|(_, status)| *status == 295), "{acks:?}");
}

#[test]
fn a_batch_is_settled_together() {
    for fails in [false, true] {
        let (got, acks, letters) = (Got::default(), Acks::default(), Got::default());
        let mut texts = Vec::new();
        let join = transform("join", move |message| batch(&mut texts, message));
        let sink = {
            let got = Arc::clone(&got);
            sink("sink", move |message| {
                got.lock().unwrap().push(text(message));
                if fails && text(message).starts_with("3+") {
                    Report::fail(240 + 1)
                } else {
                    Report::DONE
                }
            })
        };
        let source = slow_numbers(8, Some(Arc::clone(&acks)), Duration::ZERO);
        let mut plan = line([source, join, sink]);
        plan.options.workers = Some(1);
        plan.dead_letter = vec![keep("letters", &letters)];
        let start = Instant::now();
        let summary = run(plan);
        assert!(start.elapsed() < Duration::from_secs(60), "what is held is let go at the end");
        assert_eq!(*got.lock().unwrap(), ["0+1+2", "3+4+5", "6+7"]);
        let mut told = acks.lock().unwrap().clone();
        told.sort_unstable();
        let status = |n: u64| if fails && (3..6).contains(&n) { 241 } else { 0 };
        assert_eq!(told, (0..8).map(|n| (n, status(n))).collect::<Vec<_>>());
        let expected: &[&str] = if fails { &["3+4+5"] } else { &[] };
        assert_eq!(*letters.lock().unwrap(), expected, "a batch is one letter");
        assert!(summary.is_clean(), "{summary:?}");
    }
}

/// What comes late is in the batch still: nothing is let go while something else is under way.
#[test]
fn what_is_held_waits_for_what_comes_late() {
    let got = Got::default();
    let mut texts = Vec::new();
    let late = transform("late", |message| match (number(message), message.attempt()) {
        (4, 1) => Report::retry(150),
        _ => Report::DONE,
    });
    let slow = handles("slow", Kind::Transform, Some(1), |message| {
        std::thread::sleep(Duration::from_millis(10 * (number(message) % 2)));
        Report::DONE
    });
    let join = transform("join", move |message| batch(&mut texts, message));
    let mut plan = line([numbers(5), late, slow, join, keep("keep", &got)]);
    plan.options.workers = Some(1);
    plan.options.retry.first = Duration::from_millis(300);
    assert!(run(plan).is_clean());
    assert_eq!(*got.lock().unwrap(), ["0+1+2", "3+4"]);
}

/// One source fills its window with messages that are held for an hour, while the other's go on and on.
#[test]
fn a_source_that_waits_for_what_is_held_gets_room_although_others_go_on() {
    let done = Arc::new(AtomicBool::new(false));
    let hold = {
        let done = Arc::clone(&done);
        transform("hold", move |message| match message.flush() {
            None => message.hold_for(Duration::from_secs(3600)),
            Some(_) => {
                done.store(number(message) == 8, Ordering::Relaxed);
                Report::DONE
            }
        })
    };
    let busy = transform("busy", |_| Report::DONE);
    let mut plan = line([numbers(9), numbers_until(&done), hold, busy]);
    plan.nodes[0].otherwise = Some(Target::End);
    plan.sources[1].1 = Some("busy".to_owned());
    (plan.options.window, plan.options.workers) = (8, Some(1));
    assert!(run(plan).is_clean());
}

/// A message that waits for those that are held has them go.
#[test]
fn a_retry_may_let_go_what_is_held() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let hold = {
        let seen = Arc::clone(&seen);
        transform("hold", move |message| {
            seen.lock().unwrap().push((number(message), message.flush()));
            match (number(message), message.flush()) {
                (0, None) => message.hold_for(Duration::from_secs(3600)),
                (1, None) if message.attempt() == 1 => {
                    message.let_go();
                    Report::retry(110)
                }
                _ => Report::DONE,
            }
        })
    };
    let mut plan = line([numbers(2), hold]);
    plan.options.workers = Some(1);
    plan.options.retry.first = Duration::from_millis(300);
    assert!(run(plan).is_clean());
    assert_eq!(*seen.lock().unwrap(), [(0, None), (1, None), (0, Some(Flush::Age)), (1, None)]);
}

#[test]
fn what_a_sink_holds_fails_each_by_itself() {
    let letters = Arc::new(Mutex::new(Vec::new()));
    let sink = sink("sink", |message| {
        if message.held() < 4 && message.flush().is_none() {
            return Report::CONTINUE;
        }
        message.lead();
        message.describe("the disk is full");
        Report::fail(250)
    });
    let mut plan = line([numbers(10), sink]);
    plan.dead_letter = vec![reasons(&letters)];
    let summary = run(plan);
    let reason = ("sink".to_owned(), "250".to_owned(), "the disk is full".to_owned());
    assert_eq!(*letters.lock().unwrap(), vec![reason; 10]);
    let total = summary.progress.total();
    assert_eq!((total.failed, total.letters), (10, 10));
    assert!(summary.is_clean());
}

#[test]
fn a_message_that_is_held_comes_again_by_age() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let hold = {
        let seen = Arc::clone(&seen);
        transform("hold", move |message| match message.flush() {
            None => message.hold_for(Duration::from_millis(50)),
            Some(flush) => {
                seen.lock().unwrap().push(flush);
                Report::DONE
            }
        })
    };
    let mut plan = line([slow_numbers(3, None, Duration::from_millis(150)), hold]);
    plan.options.workers = Some(1);
    assert!(run(plan).is_clean());
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0], Flush::Age);
}

/// Nothing comes any more where the source waits for room, and all that stands in the window is held for 20 s.
#[test]
fn a_window_that_is_full_of_held_messages_moves_on() {
    for order in [Order::Completion, Order::Submission] {
        let hold = transform("hold", |message| match message.flush() {
            None => message.hold_for(Duration::from_secs(20)),
            Some(_) => Report::DONE,
        });
        let mut plan = line([numbers(50), hold]);
        (plan.options.window, plan.options.order) = (4, order);
        let start = Instant::now();
        let summary = run(plan);
        assert_eq!(summary.progress.total().done, 50);
        assert!(start.elapsed() < Duration::from_secs(60), "it waits for no age");
    }
}

/// What a transform holds, and has not folded into another message, fails with it one by one.
#[test]
fn what_is_held_fails_with_the_one_that_fails() {
    for panics in [true, false] {
        let holds = transform("holds", move |message| match message.flush() {
            None => message.hold_for(Duration::from_secs(3600)),
            Some(_) if panics => panic!("it cannot go on"),
            Some(_) => Report::fail(207),
        });
        let letters = Got::default();
        let mut plan = line([numbers(10), holds]);
        plan.options.workers = Some(1);
        plan.dead_letter = vec![keep("letters", &letters)];
        let summary = run(plan);
        assert_eq!(sorted(&letters), (0..10).collect::<Vec<_>>());
        let total = summary.progress.total();
        assert_eq!((total.failed, total.letters, total.folded), (10, 10, 0), "{summary:?}");
        let node = summary.progress.nodes[0].1;
        assert_eq!((node.failed, node.held), (10, 0));
    }
}

#[test]
fn a_component_that_holds_for_ever_fails_its_messages_at_the_end() {
    let holds = transform("holds", |message| message.hold_for(Duration::from_secs(3600)));
    let summary = run(line([numbers(10), holds]));
    assert_eq!(summary.progress.total().failed, 10);
    assert!(!summary.is_clean());
}

/// The second message is to be held for no longer than a moment, the first one for an hour.
#[test]
fn a_message_is_held_no_longer_than_it_may_be() {
    let let_go = Arc::new(AtomicBool::new(false));
    let holds = {
        let let_go = Arc::clone(&let_go);
        transform("holds", move |message| match message.flush() {
            Some(_) => {
                let_go.store(true, Ordering::Relaxed);
                Report::DONE
            }
            None if message.held() == 0 => message.hold_for(Duration::from_secs(3600)),
            None => message.hold_for(Duration::from_millis(20)),
        })
    };
    let mut plan = line([waits_for(2, &let_go), holds]);
    plan.options.workers = Some(1);
    let summary = run(plan);
    assert_eq!(summary.progress.total().done, 2);
}

/// Writes what it gets in batches of three, each at its second attempt; what is `bad` fails its batch.
fn batches(name: &'static str, got: &Got, bad: &'static str) -> stageline_runner::Component {
    let got = Arc::clone(got);
    let (mut texts, mut complete) = (Vec::new(), HashMap::new());
    sink(name, move |message| {
        if message.attempt() == 1 {
            if message.flush().is_none() {
                texts.push(text(message));
                if texts.len() < 3 {
                    return message.hold_for(Duration::from_secs(3600));
                }
            }
            complete.insert(text(message), std::mem::take(&mut texts));
            message.lead();
            return Report::retry(150);
        }
        let batch: Vec<String> = complete.remove(&text(message)).unwrap();
        if batch.iter().any(|text| text == bad) {
            message.describe("a bad one");
            return Report::fail(226);
        }
        // What it holds by now follows, too.
        got.lock().unwrap().extend(batch.into_iter().chain(std::mem::take(&mut texts)));
        Report::DONE
    })
}

#[test]
fn all_of_a_batch_go_on_behind_a_sink() {
    for fails in [false, true] {
        let (first, second, third) = (Got::default(), Got::default(), Got::default());
        let letters = Arc::new(Mutex::new(Vec::new()));
        let acks = Acks::default();
        let mut plan = line([
            slow_numbers(11, Some(Arc::clone(&acks)), Duration::ZERO),
            batches("first", &first, if fails { "4" } else { "" }),
            batches("second", &second, ""),
            keep("third", &third),
        ]);
        plan.options.workers = Some(1);
        plan.dead_letter = vec![reasons(&letters)];
        let summary = run(plan);
        assert!(summary.is_clean(), "{summary:?}");
        let total = summary.progress.total();
        let expected: Vec<u64> = (0..11).filter(|n| !fails || !(3..6).contains(n)).collect();
        for got in [&first, &second, &third] {
            assert_eq!(sorted(got), expected, "{summary:?}");
        }
        assert_eq!((total.done, total.failed), (expected.len() as u64, if fails { 3 } else { 0 }));
        assert_eq!(acks.lock().unwrap().len(), 11, "each is settled once");
        let reason = ("first".to_owned(), "226".to_owned(), "a bad one".to_owned());
        assert_eq!(*letters.lock().unwrap(), vec![reason; if fails { 3 } else { 0 }]);
        let counts = |node: usize| summary.progress.nodes[node].1;
        assert_eq!([0, 1].map(|node| counts(node).held), [0, 0]);
        assert_eq!(counts(1).done, expected.len() as u64);
    }
}

/// Each by its own route, although the batch has one report.
#[test]
fn all_of_a_batch_take_their_routes() {
    let (first, other, even) = (Got::default(), Got::default(), Got::default());
    let mut mark = line([
        numbers(12),
        transform("mark", |message| {
            if number(message).is_multiple_of(2) {
                message.set_attribute("even", b"").unwrap();
            }
            Report::DONE
        }),
    ]);
    let mut plan =
        line([batches("first", &first, "7"), keep("even", &even), keep("other", &other)]);
    let to = |to: &str| Target::Node(to.to_owned());
    plan.nodes[0].routes = vec![
        Route { when: When::Status(226..=226), to: to("other") },
        Route { when: When::Attribute("even".to_owned(), None), to: to("even") },
    ];
    plan.nodes[0].otherwise = Some(Target::End);
    plan.nodes[1].otherwise = Some(Target::End);
    plan.sources.append(&mut mark.sources);
    plan.nodes.insert(0, mark.nodes.remove(0));
    let summary = run(plan);
    assert!(summary.is_clean(), "what was to fail went on: {summary:?}");
    let other = sorted(&other);
    assert!(other.len() == 3 && other.contains(&7), "{other:?}");
    let is_even = |n: &u64| n.is_multiple_of(2) && !other.contains(n);
    assert_eq!(sorted(&even), (0..12).filter(is_even).collect::<Vec<_>>());
}

/// The second message holds the first one, and leads no other by the time it is done: the third is held on.
#[test]
fn what_goes_alone_leaves_what_is_held() {
    let seen = Got::default();
    let sink = {
        let seen = Arc::clone(&seen);
        sink("sink", move |message| {
            let said = format!("{} {} {}", text(message), message.attempt(), message.held());
            seen.lock().unwrap().push(said);
            match (text(message).as_str(), message.attempt(), message.flush()) {
                ("0" | "2", 1, None) => message.hold_for(Duration::from_secs(3600)),
                ("1", 1, None) => {
                    message.lead();
                    Report::retry(150)
                }
                ("1", 2, None) => {
                    message.go_alone();
                    Report::DONE
                }
                (_, _, flush) => Report::fail(if flush.is_some() { 250 } else { 251 }),
            }
        })
    };
    let acks = Acks::default();
    let mut plan = line([slow_numbers(3, Some(Arc::clone(&acks)), Duration::ZERO), sink]);
    plan.options.workers = Some(1);
    plan.options.retry.first = Duration::from_millis(100);
    let summary = run(plan);
    assert_eq!(*seen.lock().unwrap(), ["0 1 0", "1 1 1", "2 1 0", "1 2 1", "2 1 1"]);
    let mut told = acks.lock().unwrap().clone();
    told.sort_unstable();
    assert_eq!(told, [(0, 0), (1, 0), (2, 250)]);
    let node = summary.progress.nodes[0].1;
    assert_eq!((node.done, node.failed, node.held), (2, 1, 0), "{summary:?}");
}

/// What is held may have followers of its own, and where results come in order, those behind wait: it goes at the end
/// all the same, long before it is old.
#[test]
fn what_is_held_goes_at_the_end_whatever_follows_it() {
    for order in [Order::Completion, Order::Submission] {
        let join = |count: usize| {
            let mut texts = Vec::new();
            transform("join", move |message| {
                if message.flush().is_none() {
                    texts.push(text(message));
                    if texts.len() < count {
                        return message.hold_for(Duration::from_secs(3600));
                    }
                }
                message.set_data(texts.join("+").as_bytes()).unwrap();
                texts.clear();
                Report::DONE
            })
        };
        let odd = transform("odd", |message| match number(message) % 2 {
            0 => Report::DROP,
            _ => Report::DONE,
        });
        let got = Got::default();
        let mut plan = line([numbers(45), odd, join(3), join(4), keep("keep", &got)]);
        (plan.options.order, plan.options.workers) = (order, Some(1));
        plan.dead_letter = vec![join(3), join(2), keep("letters", &got)];
        let start = Instant::now();
        let summary = run(plan);
        assert!(start.elapsed() < Duration::from_secs(60), "it waits for no age");
        assert!(summary.is_clean());
        let total = summary.progress.total();
        assert_eq!((total.done, total.dropped), (22, 23));
        assert_eq!(got.lock().unwrap().join("+").split('+').count(), 22);
    }
}
