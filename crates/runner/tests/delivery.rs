//! What becomes of messages: each is settled once, as its components report.

mod common;

use common::*;
use stageline::Order;
use stageline_component::{Emitter, Error, Report, Source};
use stageline_runner::{Ended, OnFailure, Plan, Route, Run, RunError, Target, When};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn a_line_hands_every_message_on() {
    for workers in [1, 3] {
        let (got, acks) = (Got::default(), Acks::default());
        let double = transform("double", |message| {
            let doubled = (2 * number(message)).to_string();
            message.set_data(doubled.as_bytes()).unwrap();
            Report::DONE
        });
        let source = slow_numbers(10_000, Some(Arc::clone(&acks)), Duration::ZERO);
        let mut plan = line([source, double, keep("keep", &got)]);
        plan.options.workers = Some(workers);
        let summary = run(plan);
        assert!(summary.is_clean() && summary.ended == Ended::BySources, "{summary:?}");
        assert_eq!(sorted(&got), (0..10_000).map(|n| 2 * n).collect::<Vec<_>>());
        let mut told = acks.lock().unwrap().clone();
        told.sort_unstable();
        assert_eq!(told, (0..10_000).map(|n| (n, 0)).collect::<Vec<_>>());
        let total = summary.progress.total();
        assert_eq!((total.emitted, total.done), (10_000, 10_000));
    }
}

#[test]
fn sources_are_settled_in_their_order_if_asked() {
    let acks = Acks::default();
    let uneven = transform("uneven", |message| {
        if number(message).is_multiple_of(7) {
            std::thread::yield_now();
        }
        Report::DONE
    });
    let mut plan = line([slow_numbers(2000, Some(Arc::clone(&acks)), Duration::ZERO), uneven]);
    plan.options.order = Order::Submission;
    plan.options.workers = Some(3);
    assert!(run(plan).is_clean());
    assert_eq!(*acks.lock().unwrap(), (0..2000).map(|n| (n, 0)).collect::<Vec<_>>());
}

#[test]
fn reports_decide() {
    let acks = Acks::default();
    let judge = transform("judge", |message| match number(message) % 5 {
        0 => Report::DONE,
        1 => Report::drop(300 + 7),
        2 => {
            message.describe("it is two");
            Report::fail(222)
        }
        3 if message.attempt() < 3 => Report::retry(150),
        3 => Report::DONE,
        _ => Report::retry(199),
    });
    let mut plan = line([slow_numbers(100, Some(Arc::clone(&acks)), Duration::ZERO), judge]);
    plan.options.retry.attempts = 4;
    let summary = run(plan);
    assert!(!summary.is_clean(), "messages were lost");
    let total = summary.progress.total();
    assert_eq!((total.done, total.dropped, total.failed), (40, 20, 40));
    let mut told = acks.lock().unwrap().clone();
    told.sort_unstable();
    let expected = |n: u64| [0, 307, 222, 0, 199][n as usize % 5];
    assert_eq!(told, (0..100).map(|n| (n, expected(n))).collect::<Vec<_>>());
    let (_, counts) = &summary.progress.nodes[0];
    assert_eq!((counts.done, counts.dropped, counts.failed), (40, 20, 40));
    assert_eq!(counts.retried, 20 * 2 + 20 * 3);
}

#[test]
fn a_reserved_status_is_a_failure() {
    let summary = run(line([numbers(3), transform("odd", |_| Report::from_status(55))]));
    assert_eq!(summary.progress.total().failed, 3);
}

#[test]
fn a_panic_costs_its_message_and_what_is_held_with_it() {
    let made = Arc::new(AtomicU64::new(0));
    let shaky = {
        let made = Arc::clone(&made);
        let mut own = None;
        transform("shaky", move |message| {
            own.get_or_insert_with(|| made.fetch_add(1, Ordering::Relaxed));
            if number(message) == 5 {
                panic!("five is too much");
            }
            Report::DONE
        })
    };
    let letters = Got::default();
    let mut plan = line([numbers(10), shaky]);
    plan.options.workers = Some(1);
    plan.dead_letter = vec![keep("letters", &letters)];
    let summary = run(plan);
    assert_eq!(sorted(&letters), [5]);
    assert_eq!(summary.progress.total().done, 9);
    assert_eq!(made.load(Ordering::Relaxed), 2, "a new instance goes on");
}

/// A component that cannot be made is tried again, and then ends the run: without it no message fares better.
#[test]
fn a_component_that_cannot_be_made_ends_the_run() {
    static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut plan = line([numbers(1_000_000), unmade("absent")]);
    plan.options.retry.first = Duration::from_millis(1);
    let summary =
        Run::start(plan, |text| TOLD.lock().unwrap().push(text.to_owned())).unwrap().wait();
    let first = "`absent` cannot be started: it is not there: nobody made it; it is tried again";
    assert_eq!(TOLD.lock().unwrap()[0], first);
    let Ended::Failed(text) = &summary.ended else { panic!("{summary:?}") };
    assert_eq!(text, "`absent` cannot be started: it is not there: nobody made it");
    let total = summary.progress.total();
    assert!(!summary.is_clean() && total.emitted < 1_000_000 && total.done == 0, "{summary:?}");
}

#[test]
fn dead_letters_say_what_happened() {
    let said = Arc::new(Mutex::new(Vec::new()));
    let fail = transform("judge", |message| {
        message.describe("no such customer");
        Report::fail(204)
    });
    let mut plan = line([numbers(1), fail]);
    plan.dead_letter = vec![reasons(&said)];
    assert!(run(plan).is_clean());
    let expected = ("judge".to_owned(), "204".to_owned(), "no such customer".to_owned());
    assert_eq!(*said.lock().unwrap(), [expected]);
}

#[test]
fn dead_letters_go_through_a_line_of_components() {
    let got = Got::default();
    let why = transform("why", |message| {
        let text = format!("{} at {}", text(message), attribute(message, "error.stage"));
        message.set_data(text.as_bytes()).unwrap();
        Report::DONE
    });
    let mut plan = line([numbers(1), transform("judge", |_| Report::fail(204)), keep("k", &got)]);
    plan.dead_letter = vec![why, keep("letters", &got)];
    let summary = run(plan);
    assert!(summary.is_clean(), "{summary:?}");
    assert_eq!(*got.lock().unwrap(), ["0 at judge"]);
    let names: Vec<_> = summary.progress.nodes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["judge", "k", "dead_letter.why", "dead_letter.letters"]);
}

/// A sink that no message came to is made and closed: it may have a file to empty. Not so after a failure.
#[test]
fn a_sink_without_messages_is_closed() {
    for fails in [false, true] {
        let closed = Arc::new(AtomicU64::new(0));
        let drop = transform("drop", move |_| if fails { Report::FAIL } else { Report::DROP });
        let mut plan = line([numbers(3), drop, closes(&closed)]);
        plan.options.on_failure = OnFailure::Stop;
        assert_eq!(run(plan).is_clean(), !fails);
        assert_eq!(closed.load(Ordering::Relaxed), u64::from(!fails));
    }
}

#[test]
fn a_run_that_is_dropped_ends() {
    let (got, acks) = (Got::default(), Acks::default());
    let source = slow_numbers(u64::MAX, Some(Arc::clone(&acks)), Duration::ZERO);
    let run = Run::start(line([source, keep("keep", &got)]), |_| {}).unwrap();
    while got.lock().unwrap().is_empty() {
        std::thread::yield_now();
    }
    drop(run);
    assert_eq!(got.lock().unwrap().len(), acks.lock().unwrap().len());
    assert_eq!(Arc::strong_count(&got), 1, "no thread has its component any more");
}

#[test]
fn routes_choose_by_the_report_and_by_attributes() {
    let (odd, even, odder) = (Got::default(), Got::default(), Got::default());
    let sort = transform("sort", |message| {
        if number(message).is_multiple_of(10) {
            return Report::fail(210);
        }
        if number(message) % 2 == 1 {
            message.set_attribute("odd", b"yes").unwrap();
        }
        Report::DONE
    });
    let mut plan =
        line([numbers(100), sort, keep("even", &even), keep("odd", &odd), keep("odder", &odder)]);
    let route = |when, to: &str| Route { when, to: Target::Node(to.to_owned()) };
    plan.nodes[0].routes.push(route(When::Status(210..=210), "odder"));
    plan.nodes[0]
        .routes
        .push(route(When::Attribute("odd".to_owned(), Some(b"yes".to_vec())), "odd"));
    plan.nodes[1].otherwise = Some(Target::End);
    plan.nodes[2].otherwise = Some(Target::End);
    assert!(run(plan).is_clean());
    assert_eq!(sorted(&odd), all(100).into_iter().filter(|n| n % 2 == 1).collect::<Vec<_>>());
    assert_eq!(sorted(&even).len(), 40);
    assert_eq!(sorted(&odder), (0..10).map(|n| 10 * n).collect::<Vec<_>>());
}

#[test]
fn several_sources_have_their_own_ways() {
    let (first, second) = (Got::default(), Got::default());
    let mut plan =
        line([numbers(500), numbers(300), keep("first", &first), keep("second", &second)]);
    plan.nodes[0].otherwise = Some(Target::End);
    plan.sources[1].1 = Some("second".to_owned());
    let summary = run(plan);
    assert_eq!((sorted(&first), sorted(&second)), (all(500), all(300)));
    assert_eq!(
        summary.progress.sources.iter().map(|source| source.done).collect::<Vec<_>>(),
        [500, 300]
    );
}

#[test]
fn a_run_that_is_stopped_loses_nothing() {
    let (got, acks) = (Got::default(), Acks::default());
    let source = slow_numbers(u64::MAX, Some(Arc::clone(&acks)), Duration::ZERO);
    let run = Run::start(line([source, keep("keep", &got)]), |_| {}).unwrap();
    while got.lock().unwrap().len() < 100 {
        std::thread::yield_now();
    }
    run.stop();
    let summary = run.wait();
    assert!(summary.is_clean() && summary.ended == Ended::Asked);
    let total = summary.progress.total();
    assert_eq!(total.emitted, total.done);
    assert_eq!(sorted(&got), all(total.done));
    assert_eq!(acks.lock().unwrap().len() as u64, total.done);
}

/// It emits until it is refused: what it has read of that message is lost, and that is told.
#[test]
fn a_source_that_goes_on_when_the_run_is_to_end_is_told_of() {
    struct Deaf;
    impl Source for Deaf {
        fn run(&mut self, out: &mut dyn Emitter) -> Result<(), Error> {
            while out.emit_data(b"x").is_ok() {}
            Ok(())
        }
    }
    let source = made_source("deaf", || Box::new(Deaf));
    let run = Run::start(line([source, sink("sink", |_| Report::DONE)]), |_| {}).unwrap();
    run.stop();
    let summary = run.wait();
    let [trouble] = &summary.troubles[..] else { panic!("{summary:?}") };
    assert!(trouble.starts_with("the source `deaf` went on when the run was to end"), "{trouble}");
    let total = summary.progress.total();
    assert!(
        !summary.is_clean() && total.emitted == total.done && total.done >= 1 << 18,
        "{total:?}"
    );
}

#[test]
fn a_failure_may_end_the_run() {
    let fail = transform(
        "judge",
        |message| if number(message) == 50 { Report::FAIL } else { Report::DONE },
    );
    let mut plan = line([slow_numbers(u64::MAX, None, Duration::from_micros(10)), fail]);
    plan.options.on_failure = OnFailure::Stop;
    let summary = run(plan);
    assert!(
        matches!(&summary.ended, Ended::Failed(text) if text.contains("`judge`")),
        "{:?}",
        summary.ended
    );
    assert!(!summary.is_clean());
}

#[test]
fn a_wrong_plan_does_not_start() {
    let problems = |plan: Plan| match Run::start(plan, |_| {}) {
        Err(RunError::Plan(problems)) => {
            problems.into_iter().map(|problem| problem.text).collect::<Vec<_>>()
        }
        _ => panic!("it started"),
    };
    assert!(problems(Plan::default())[0].contains("empty"));
    assert!(problems(line([transform("a", |_| Report::DONE)]))[0].contains("no source"));
    let mut plan = line([numbers(1), transform("alpha", |_| Report::DONE)]);
    plan.nodes[0].otherwise = Some(Target::Node("alpa".to_owned()));
    assert!(problems(plan)[0].contains("did you mean `alpha`?"));
    let mut plan =
        line([numbers(1), transform("a", |_| Report::DONE), transform("b", |_| Report::DONE)]);
    plan.nodes[1].otherwise = Some(Target::Node("a".to_owned()));
    plan.options.dag = true;
    assert_eq!(problems(plan), ["`dag` is set, and there is a cycle: a -> b -> a"]);
}
