//! Suspended requests and their tickets.

mod common;

use common::{ORDERS, assert_balanced, ending, eventually, watchdog};
use stageline::{Order, Outcome, Pipeline, Request, StageId, Step, Ticket, state_machine};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// What a stage does with its ticket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Way {
    /// Sends it to who asked.
    #[default]
    Send,
    /// Uses it before it answers.
    AtOnce,
    /// Drops it before it answers.
    Drop,
    /// Makes none, and answers with that of an earlier request.
    None,
    /// Uses it with a filler inside of the stage.
    Inside,
    /// Sends it to who asked, and answers that the request is done, or to be filed.
    Loose,
    LooseToFile,
}

#[derive(Debug, Default)]
struct Call {
    number: u64,
    way: Way,
    answer: u64,
}

struct Desk {
    tickets: Sender<(u64, Ticket<Self>)>,
    step: Option<Step>,
}

#[state_machine(data = Call, error = String, keeps)]
impl Desk {
    #[stage]
    fn ask(&mut self, call: &mut Request<'_, Self>) -> Step {
        let (number, way) = (call.number, call.way);
        if way == Way::None {
            return self.step.expect("one has been suspended before");
        }
        let tickets = &self.tickets;
        let step = call.suspend(|ticket| match way {
            Way::Send | Way::None | Way::Loose | Way::LooseToFile => {
                let _ = tickets.send((number, ticket));
            }
            Way::AtOnce => ticket.resume(Desk::HEAR),
            Way::Drop => drop(ticket),
            Way::Inside => ticket.resume_with(Desk::HEAR, |call| call.answer = 1),
        });
        self.step = Some(step);
        match way {
            Way::Loose => call.done(),
            Way::LooseToFile => call.next(Self::FILE),
            _ => step,
        }
    }

    #[stage]
    fn hear(&mut self, call: &mut Request<'_, Self>) -> Step {
        call.answer += 1000;
        call.done()
    }

    #[stage(pool = "slow")]
    fn file(&mut self, call: &mut Request<'_, Self>) -> Step {
        let name = thread::current().name().unwrap_or_default().to_owned();
        if name.contains("slow") { call.done() } else { call.fail(name) }
    }
}

fn desk(workers: usize) -> (Pipeline<Desk>, Receiver<(u64, Ticket<Desk>)>) {
    let (tickets, given) = channel();
    let tickets = Mutex::new(tickets);
    let machine = move || Desk { tickets: tickets.lock().unwrap().clone(), step: None };
    let builder = Pipeline::builder(machine).workers(workers).groups(2).window(16);
    (builder.pool(stageline::Pool::threads("slow", 1)).build().unwrap(), given)
}

fn call(number: u64, way: Way) -> Call {
    Call { number, way, answer: 0 }
}

#[test]
fn a_ticket_resumes_from_another_thread() {
    let _dog = watchdog(60);
    for workers in [1, 2] {
        for order in ORDERS {
            let (pipeline, tickets) = desk(workers);
            let clerk = thread::spawn(move || {
                for (number, ticket) in tickets.iter().take(500) {
                    match number % 3 {
                        0 => ticket.resume(Desk::HEAR),
                        1 => ticket.resume_with(Desk::HEAR, |call| call.answer = call.number * 2),
                        _ => ticket.resume(Desk::FILE),
                    }
                }
            });
            let mut group = pipeline.open(order).unwrap();
            let (mut sent, mut back) = (0, 0);
            while back < 500 {
                while sent < 500 && group.try_submit(call(sent, Way::Send)).is_ok() {
                    sent += 1;
                }
                let output = group.recv().unwrap();
                let number = output.number;
                let expected = [1000, 1000 + number * 2, 0][(number % 3) as usize];
                assert!(output.is_done() && output.answer == expected, "{output:?}");
                back += 1;
            }
            clerk.join().unwrap();
            drop(group);
            assert_balanced(&pipeline.close());
        }
    }
}

#[test]
fn a_ticket_may_be_used_or_dropped_before_the_stage_answers() {
    let _dog = watchdog(60);
    let (pipeline, _tickets) = desk(1);
    for order in ORDERS {
        let mut group = pipeline.open(order).unwrap();
        for _ in 0..40 {
            group.submit(call(1, Way::AtOnce)).unwrap();
            let output = group.recv().unwrap();
            assert!(output.is_done() && output.answer == 1000);
            drop(output);
            group.submit(call(2, Way::Drop)).unwrap();
            let output = group.recv().unwrap();
            assert!(matches!(output.outcome(), Outcome::Abandoned), "{}", output.outcome());
            assert_eq!(output.outcome().status(), 200);
            assert!(output.into_error().is_err());
        }
    }
    let ledger = pipeline.close();
    assert_eq!((ledger.done, ledger.failed), (80, 80));
}

#[test]
fn a_dropped_ticket_abandons_its_request() {
    let _dog = watchdog(60);
    let (pipeline, tickets) = desk(1);
    let mut group = pipeline.open(Order::Submission).unwrap();
    group.submit(call(1, Way::Send)).unwrap();
    let (_, ticket) = tickets.recv().unwrap();
    assert_eq!(ticket.group(), group.index());
    drop(ticket);
    assert_eq!(ending(&group.recv().unwrap()), "abandoned");
    // A panic of what fills the payload drops the ticket, too.
    group.submit(call(2, Way::Send)).unwrap();
    let (_, ticket) = tickets.recv().unwrap();
    let filler = thread::spawn(move || ticket.resume_with(Desk::HEAR, |_| panic!("no answer")));
    assert!(filler.join().is_err());
    assert_eq!(ending(&group.recv().unwrap()), "abandoned");
    // And a stage that is not there.
    group.submit(call(3, Way::Send)).unwrap();
    let (_, ticket) = tickets.recv().unwrap();
    let lost = thread::spawn(move || ticket.resume(StageId::new(9)));
    assert!(lost.join().is_err());
    assert_eq!(ending(&group.recv().unwrap()), "abandoned");
}

/// A stage that makes a ticket and answers otherwise: the ticket does nothing, to its request or to a later one in
/// the slot, and nobody waits for it.
#[test]
fn a_loose_ticket_is_void() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let (pipeline, tickets) = desk(1);
        let mut group = pipeline.open(order).unwrap();
        let mut loose = Vec::new();
        for number in 0..64 {
            let way = if number % 2 == 0 { Way::Loose } else { Way::LooseToFile };
            group.submit(call(number, way)).unwrap();
            let output = group.recv().unwrap();
            assert!(output.is_done() && output.answer == 0, "{output:?}");
            drop(output);
            loose.push(tickets.recv().unwrap().1);
        }
        // All slots have requests that wait for their own tickets.
        (0..16).for_each(|number| assert!(group.submit(call(number, Way::Send)).is_ok()));
        let own: Vec<_> = tickets.iter().take(16).collect();
        for (at, ticket) in loose.into_iter().enumerate() {
            match at % 3 {
                0 => ticket.resume(Desk::FILE),
                1 => ticket.resume_with(Desk::FILE, |call| call.answer = 7),
                _ => drop(ticket),
            }
        }
        assert!(group.recv_timeout(Duration::from_millis(20)).is_err());
        own.into_iter().for_each(|(_, ticket)| ticket.resume(Desk::HEAR));
        for _ in 0..16 {
            let output = group.recv().unwrap();
            assert!(output.is_done() && output.answer == 1000, "{output:?}");
        }
        drop(group);
        assert_balanced(&pipeline.close());
    }
}

#[test]
fn what_would_wait_for_itself_panics() {
    let _dog = watchdog(60);
    let (pipeline, _tickets) = desk(1);
    let mut group = pipeline.open(Order::Submission).unwrap();
    group.submit(call(1, Way::Inside)).unwrap();
    let text = ending(&group.recv().unwrap());
    assert!(text.starts_with("panicked: `resume_with` inside of the stage"), "{text}");
    // The slot is as good as new: its ticket is not.
    for number in 0..32 {
        group.submit(call(number, Way::AtOnce)).unwrap();
        assert!(group.recv().unwrap().is_done());
    }
}

#[test]
fn a_step_that_was_kept_suspends_nothing() {
    let _dog = watchdog(60);
    let (pipeline, _tickets) = desk(1);
    let mut group = pipeline.open(Order::Submission).unwrap();
    group.submit(call(1, Way::AtOnce)).unwrap();
    assert!(group.recv().unwrap().is_done());
    group.submit(call(2, Way::None)).unwrap();
    let text = ending(&group.recv().unwrap());
    assert_eq!(text, "panicked: a stage answered `suspend` without a ticket for this request");
}

/// The end of a pipeline does not wait for tickets, but for its close; what is suspended ends as cancelled.
#[test]
fn tickets_outlive_the_pipeline() {
    let _dog = watchdog(60);
    for order in ORDERS {
        for ends_by_abort in [false, true] {
            let (pipeline, tickets) = desk(2);
            let mut group = pipeline.open(order).unwrap();
            (0..9).for_each(|number| assert!(group.submit(call(number, Way::Send)).is_ok()));
            let mut held: Vec<_> = tickets.iter().take(9).collect();
            let early = held.pop().unwrap().1;
            eventually("all are suspended", || pipeline.stats().running == 0);
            if ends_by_abort {
                let _ = pipeline.abort();
            } else {
                drop(pipeline)
            }
            // Between the end of the workers and the receiver's look, and after it.
            early.resume_with(Desk::HEAR, |_| {});
            let mut back = 0;
            while let Ok(output) = group.recv() {
                assert!(matches!(output.outcome(), Outcome::Cancelled), "{}", output.outcome());
                back += 1;
                if back == 5 {
                    held.drain(..4).for_each(|(_, ticket)| ticket.resume(Desk::HEAR));
                }
            }
            assert_eq!(back, 9);
            drop(group);
            held.into_iter().for_each(|(_, ticket)| ticket.resume_with(Desk::HEAR, |_| {}));
        }
    }
}

#[test]
fn the_close_waits_for_tickets_and_can_give_up() {
    let _dog = watchdog(60);
    let (pipeline, tickets) = desk(1);
    let mut group = pipeline.open(Order::Submission).unwrap();
    group.submit(call(1, Way::Send)).unwrap();
    let (_, ticket) = tickets.recv().unwrap();
    let index = group.index();
    let closing = thread::spawn(move || pipeline.close_timeout(Duration::from_millis(50)));
    let error = closing.join().unwrap().unwrap_err();
    assert_eq!(error.groups, [index]);
    assert!(matches!(group.recv().unwrap().outcome(), Outcome::Cancelled));
    ticket.resume(Desk::HEAR);

    let (pipeline, tickets) = desk(1);
    let mut group = pipeline.open(Order::Submission).unwrap();
    group.submit(call(1, Way::Send)).unwrap();
    let (_, ticket) = tickets.recv().unwrap();
    let closing = thread::spawn(move || pipeline.close());
    ticket.resume(Desk::HEAR);
    assert!(group.recv().unwrap().is_done());
    drop(group);
    assert_eq!(closing.join().unwrap().done, 1);
}
