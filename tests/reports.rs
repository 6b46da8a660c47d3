//! Answers by number: what they do, and that the receiver gets the same number back.

mod common;

use common::{ORDERS, assert_balanced, watchdog};
use stageline::{
    Order, Outcome, Pipeline, Request, ReservedStatus, Retry, Step, limits, state_machine,
};
use std::time::Duration;

/// What a request asks for.
#[derive(Clone, Debug, Default)]
struct Asked {
    status: u32,
    /// The status from its second attempt on, if it is another.
    then: Option<u32>,
    error: Option<String>,
    description: String,
}

fn asked(status: u32) -> Asked {
    Asked { status, ..Asked::default() }
}

/// Answers by what the request asks for.
struct Clerk;

#[state_machine(data = Asked, error = String, keeps)]
impl Clerk {
    #[stage]
    fn answer(&mut self, request: &mut Request<'_, Self>) -> Step {
        if let Some(error) = request.error.clone() {
            request.set_error(error);
        }
        let description = std::mem::take(&mut request.description);
        request.describe(&description);
        let later = request.then.filter(|_| request.attempt() > 1);
        match Step::from_status(later.unwrap_or(request.status)) {
            Ok(step) => step,
            Err(reserved) => request.fail(reserved.to_string()),
        }
    }
}

fn clerk() -> Pipeline<Clerk> {
    let at_once = Retry::attempts(3).first(Duration::ZERO);
    Pipeline::builder(|| Clerk).workers(1).window(8).retry(at_once).build().unwrap()
}

#[test]
fn every_status_comes_back() {
    let _dog = watchdog(60);
    let pipeline = clerk();
    for order in ORDERS {
        let mut group = pipeline.open(order).unwrap();
        for status in [0, 100, 137, 199, 200, 201, 255, 299, 300, 301, 65_536, limits::STATUS_MAX] {
            group.submit(asked(status)).unwrap();
            let output = group.recv().unwrap();
            let outcome = output.outcome();
            assert_eq!(outcome.status(), status, "{outcome}");
            let is_right = match status {
                0 => matches!(outcome, Outcome::Done),
                100..300 => matches!(outcome, Outcome::FailedAs { .. }),
                _ => matches!(outcome, Outcome::Dropped { .. }),
            };
            assert!(is_right, "{status}: {outcome}");
            assert_eq!((output.is_done(), output.is_dropped()), (status == 0, status >= 300));
            assert_eq!(output.attempts(), if (100..200).contains(&status) { 3 } else { 1 });
        }
    }
    assert_balanced(&pipeline.close());
}

/// Also where the later one is the usual one of how the request ends.
#[test]
fn the_status_of_an_earlier_attempt_does_not_stay() {
    let _dog = watchdog(60);
    let pipeline = clerk();
    let mut group = pipeline.open(Order::Submission).unwrap();
    for then in [0, 200, 250, 300, 310] {
        group.submit(Asked { then: Some(then), ..asked(150) }).unwrap();
        let output = group.recv().unwrap();
        assert_eq!((output.outcome().status(), output.attempts()), (then, 2));
    }
}

#[test]
fn an_error_and_its_status_come_together() {
    let _dog = watchdog(60);
    let pipeline = clerk();
    let mut group = pipeline.open(Order::Submission).unwrap();
    for status in [150, 237] {
        group.submit(Asked { error: Some("no paper".into()), ..asked(status) }).unwrap();
        let output = group.recv().unwrap();
        match output.outcome() {
            Outcome::Failed { error, status: told } => {
                assert_eq!((error.as_str(), told), ("no paper", status))
            }
            other => panic!("{other}"),
        }
        assert_eq!(output.into_error().unwrap(), "no paper");
    }
    // A status of one request is not that of the next one in the slot.
    for _ in 0..16 {
        group.submit(Asked { error: Some("plain".into()), ..asked(200) }).unwrap();
        assert_eq!(group.recv().unwrap().outcome().status(), 200);
        group.submit(asked(300)).unwrap();
        assert_eq!(group.recv().unwrap().outcome().status(), 300);
        group.submit(asked(0)).unwrap();
        assert_eq!(group.recv().unwrap().outcome().status(), 0);
    }
}

#[test]
fn a_reserved_status_is_no_step() {
    for status in [2, 50, 99, limits::STATUS_MAX + 1, u32::MAX] {
        assert_eq!(Step::from_status(status), Err(ReservedStatus(status)));
    }
    let text = ReservedStatus(42).to_string();
    assert!(text.starts_with("status 42 is reserved: 0 is done"), "{text}");
}

#[test]
fn a_description_is_cut_off_at_a_character_and_forgotten_with_its_request() {
    let _dog = watchdog(60);
    let pipeline = clerk();
    let mut group = pipeline.open(Order::Completion).unwrap();
    let long = "\u{1F600}".repeat(limits::DESCRIPTION_MAX);
    let texts =
        [("", ""), ("half a page", "half a page"), (&long, &long[..limits::DESCRIPTION_MAX])];
    for (said, kept) in texts.iter().cycle().take(24) {
        group.submit(Asked { description: String::from(*said), ..asked(299) }).unwrap();
        assert_eq!(group.recv().unwrap().description(), *kept);
    }
}

/// Does not say that it keeps requests.
struct Careless;

#[state_machine(data = u32, error = String)]
impl Careless {
    #[stage]
    fn answer(&mut self, request: &mut Request<'_, Self>) -> Step {
        Step::from_status(**request).unwrap()
    }
}

#[test]
fn a_machine_that_keeps_nothing_may_not_answer_so() {
    let _dog = watchdog(60);
    let pipeline = Pipeline::builder(|| Careless).workers(1).build().unwrap();
    let mut group = pipeline.open(Order::Submission).unwrap();
    for status in [1, 100] {
        group.submit(status).unwrap();
        let output = group.recv().unwrap();
        let text = output.outcome().to_string();
        assert!(text.contains("StateMachine::KEEPS"), "{text}");
        assert_eq!((output.description(), output.attempts()), ("", 1));
    }
    group.submit(217).unwrap();
    assert_eq!(group.recv().unwrap().outcome().status(), 217);
    assert_balanced(&{
        drop(group);
        pipeline.close()
    });
}
