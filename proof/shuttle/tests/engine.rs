//! The whole engine, but for its start and its clock: workers that run their real loops, groups with
//! their real ends, four threads and more. Too much for loom; shuttle (`shuttle-tests`) and the
//! system's threads (`stress-tests`) run it.
//!
//! In each scenario every request that was accepted is received once, by its own group, in the order
//! that was asked for, and everybody comes to an end.

#[path = "../../../loom-tests/tests/common/mod.rs"]
mod common;

use common::stageline::model::{self, Sizes};
use common::stageline::shared::Shared;
use common::stageline::sync::Arc;
use common::stageline::window::Order::{self, Completion, Submission};
use common::stageline::{
    Receiver, Request, RequestGroup, SharedSubmitter, Stage, StageId, StageTable, StateMachine,
    Step, Submitter,
};
use common::{ALL, explore, join, spawn, step};
use std::collections::VecDeque;

/// What goes round: whose it is, its number, and the stages that it has been through.
#[derive(Clone, Copy, Default)]
struct Ticket {
    group: u64,
    number: u64,
    stages: u32,
}

/// A machine of three stages; odd numbers skip the second.
struct Machine;

impl Machine {
    fn first(&mut self, request: &mut Request<'_, Self>) -> Step {
        request.stages = 1;
        let skip = request.number % 2 == 1;
        request.next(StageId::new(if skip { 2 } else { 1 }))
    }

    fn second(&mut self, request: &mut Request<'_, Self>) -> Step {
        request.stages |= 2;
        request.next(StageId::new(2))
    }

    fn third(&mut self, request: &mut Request<'_, Self>) -> Step {
        request.stages |= 4;
        if request.number % 5 == 4 { request.fail(request.number) } else { request.done() }
    }
}

impl StateMachine for Machine {
    type Data = Ticket;
    type Error = u64;
    const STAGES: StageTable<Self> = StageTable::new(&[
        Stage { name: "first", run: Self::first, next: None, pool: None },
        Stage { name: "second", run: Self::second, next: None, pool: None },
        Stage { name: "third", run: Self::third, next: Some(&[]), pool: None },
    ]);
}

type Engine = Arc<Shared<Machine>>;

/// An engine, and what its workers are until it ends.
struct Running {
    engine: Engine,
    first_position: u64,
    end: Box<dyn FnOnce()>,
}

impl Running {
    fn new(groups: usize, workers: usize, window: usize) -> Self {
        // Two laps before the positions wrap.
        let first_position = 0_u64.wrapping_sub(window as u64 * 2).wrapping_add(1);
        let engine = model::shared(Sizes { groups, workers, window, first_position }, || Machine);
        let threads: Vec<_> = (0..workers)
            .map(|index| {
                let engine = engine.clone();
                spawn(move || model::work(engine, index))
            })
            .collect();
        let end = Box::new({
            let engine = engine.clone();
            move || {
                engine.stop_workers();
                threads.into_iter().for_each(join);
            }
        });
        Self { engine, first_position, end }
    }

    fn open(&self, order: Order) -> RequestGroup<Machine> {
        model::open(&self.engine, order).expect("a free group")
    }

    fn end(self) -> String {
        (self.end)();
        let ledger = self.engine.ledger(self.first_position);
        assert_eq!(ledger.submitted, ledger.ended(), "what was accepted has ended");
        String::from("all")
    }
}

fn ticket(group: u64, number: u64) -> Ticket {
    Ticket { group, number, stages: 0 }
}

/// Checks a result: that it is of this group, was run as its number says, and ended as that says.
fn check(group: u64, got: &Ticket, is_done: bool) {
    assert_eq!(got.group, group, "a result of another group");
    assert_eq!(got.stages, if got.number % 2 == 1 { 5 } else { 7 }, "the stages it went through");
    assert_eq!(is_done, got.number % 5 != 4, "how it ended");
}

/// Submits so many.
fn submit_all(mut submitter: Submitter<Machine>, group: u64, count: u64) {
    for number in 0..count {
        assert!(submitter.submit(ticket(group, number)).is_ok(), "nobody has closed anything");
    }
}

/// Receives until the end; the numbers, in the order in which they came.
fn receive_all(mut receiver: Receiver<Machine>, group: u64) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Ok(output) = receiver.recv() {
        check(group, &output, output.is_done());
        numbers.push(output.number);
    }
    numbers
}

/// Fails unless the numbers are those from 0 to `count`, in this order of outputs.
fn assert_all(mut numbers: Vec<u64>, count: u64, order: Order) {
    if order == Completion {
        numbers.sort_unstable();
    }
    assert_eq!(numbers, (0..count).collect::<Vec<_>>());
}

/// A submitter and a receiver in threads of their own.
fn stream(running: &Running, group: u64, order: Order, count: u64) -> impl FnOnce() {
    let (submitter, receiver) = running.open(order).split();
    let submitter = spawn(move || submit_all(submitter, group, count));
    let receiver = spawn(move || receive_all(receiver, group));
    move || {
        join(submitter);
        assert_all(join(receiver), count, order);
    }
}

#[test]
fn two_streams_two_workers() {
    explore("engine::two_streams_two_workers", ALL, &["all"], || {
        let running = Running::new(2, 2, 2);
        let streams = [stream(&running, 0, Submission, 4), stream(&running, 1, Completion, 4)];
        streams.into_iter().for_each(|wait| wait());
        running.end()
    });
}

/// Four streams of which three have a home worker that others keep busy.
#[test]
fn four_streams_one_worker() {
    explore("engine::four_streams_one_worker", ALL, &["all"], || {
        let running = Running::new(4, 1, 1);
        let streams = [0, 1, 2, 3].map(|group| stream(&running, group, Submission, 2));
        streams.into_iter().for_each(|wait| wait());
        running.end()
    });
}

/// One slot: each request waits for the one before it to be received.
#[test]
fn a_window_of_one() {
    explore("engine::a_window_of_one", ALL, &["all"], || {
        let running = Running::new(1, 2, 1);
        stream(&running, 0, Completion, 5)();
        running.end()
    });
}

#[test]
fn three_producers_one_group() {
    for order in [Submission, Completion] {
        explore("engine::three_producers_one_group", ALL, &["all"], move || {
            let running = Running::new(1, 2, 2);
            let (submitter, receiver) = running.open(order).split();
            let shared = submitter.share();
            let submit = |mut submitter: SharedSubmitter<Machine>, from: u64| {
                spawn(move || {
                    for number in [from, from + 3] {
                        assert!(submitter.submit(ticket(0, number)).is_ok(), "nobody has closed");
                    }
                })
            };
            let producers = [0, 1, 2].map(|from| submit(shared.clone(), from));
            drop(shared);
            let receiver = spawn(move || receive_all(receiver, 0));
            producers.into_iter().for_each(join);
            assert_all(join(receiver), 6, Completion);
            running.end()
        });
    }
}

/// Batches in, drains out, one thread for both ends, against a queue of what is on its way.
#[test]
fn batches_and_drains() {
    for order in [Submission, Completion] {
        explore("engine::batches_and_drains", ALL, &["all"], move || {
            let running = Running::new(2, 2, 4);
            let drivers = [0, 1].map(|index| {
                let mut group = running.open(order);
                spawn(move || {
                    let (mut sent, mut on_its_way) = (0, VecDeque::new());
                    while sent < 6 || !on_its_way.is_empty() {
                        let mut values = (sent..6).map(|number| ticket(index, number));
                        let more = group.submit_batch(&mut values) as u64;
                        on_its_way.extend(sent..sent + more);
                        sent += more;
                        group.drain(3, |output| {
                            check(index, output, output.is_done());
                            let at = on_its_way.iter().position(|number| *number == output.number);
                            assert!(order == Completion || at == Some(0), "out of order");
                            on_its_way.remove(at.expect("it is on its way"));
                        });
                        step();
                    }
                })
            });
            drivers.into_iter().for_each(join);
            running.end()
        });
    }
}

/// Two threads open, use and close groups; each finds the other's place free again.
#[test]
fn groups_come_and_go() {
    explore("engine::groups_come_and_go", ALL, &["all"], || {
        let running = Running::new(2, 2, 2);
        let users = [(0, Submission), (1, Completion)].map(|(user, order)| {
            let engine = running.engine.clone();
            spawn(move || {
                for _ in 0..3 {
                    let mut group = model::open(&engine, order).expect("two groups for two users");
                    for number in 0..2 {
                        assert!(group.try_submit(ticket(user, number)).is_ok(), "there is room");
                    }
                    for _ in 0..2 {
                        let output = group.recv().expect("it is on its way");
                        check(user, &output, output.is_done());
                    }
                }
            })
        });
        users.into_iter().for_each(join);
        running.end()
    });
}

/// A group is dropped with requests in flight; whoever opens it next gets none of them.
#[test]
fn a_dropped_group_is_opened_again() {
    explore("engine::a_dropped_group_is_opened_again", ALL, &["all"], || {
        let running = Running::new(1, 2, 2);
        let mut group = running.open(Completion);
        let dropper = spawn(move || {
            assert!(group.try_submit(ticket(7, 0)).is_ok(), "there is room");
            assert!(group.try_submit(ticket(7, 1)).is_ok(), "there is room");
        });
        join(dropper);
        let engine = running.engine.clone();
        let opener = spawn(move || {
            let mut group = loop {
                match model::open(&engine, Submission) {
                    Ok(group) => break group,
                    Err(_) => step(),
                }
            };
            assert!(group.try_submit(ticket(8, 0)).is_ok(), "there is room");
            let output = group.recv().expect("it is on its way");
            check(8, &output, output.is_done());
        });
        join(opener);
        running.end()
    });
}

/// A group is cancelled while its requests run: each is received once, run whole or not at all.
#[test]
fn a_cancel_in_the_middle() {
    explore("engine::a_cancel_in_the_middle", ALL, &["all"], || {
        let running = Running::new(1, 2, 2);
        let (mut submitter, mut receiver) = running.open(Completion).split();
        let accepted = spawn(move || {
            (0..5).take_while(|number| submitter.submit(ticket(0, *number)).is_ok()).count()
        });
        let received = spawn(move || {
            let mut received = 0;
            loop {
                match receiver.recv() {
                    Ok(output) if output.stages > 0 => check(0, &output, output.is_done()),
                    Ok(_) => {}
                    Err(_) => return received,
                }
                received += 1;
                receiver.cancel();
            }
        });
        assert_eq!(join(accepted), join(received), "what was accepted is received");
        running.end()
    });
}

/// The pipeline refuses more while two submitters are at it: what they were told is in is received.
#[test]
fn a_close_in_the_middle() {
    explore("engine::a_close_in_the_middle", ALL, &["all"], || {
        let running = Running::new(2, 2, 2);
        let streams = [(0, Submission), (1, Completion)].map(|(index, order)| {
            let (mut submitter, receiver) = running.open(order).split();
            let accepted = spawn(move || {
                (0..4).take_while(|number| submitter.submit(ticket(index, *number)).is_ok()).count()
            });
            (accepted, spawn(move || receive_all(receiver, index).len()))
        });
        let closer = spawn({
            let engine = running.engine.clone();
            move || {
                step();
                engine.refuse_more(0);
            }
        });
        join(closer);
        for (accepted, received) in streams {
            assert_eq!(join(accepted), join(received), "what was accepted is received");
        }
        running.end()
    });
}

/// The receive end goes first: the submitter is told, and nothing hangs.
#[test]
fn a_receiver_that_leaves() {
    explore("engine::a_receiver_that_leaves", ALL, &["all"], || {
        let running = Running::new(1, 2, 2);
        let (mut submitter, mut receiver) = running.open(Completion).split();
        let submitter = spawn(move || while submitter.submit(ticket(0, 0)).is_ok() {});
        let receiver = spawn(move || {
            let output = receiver.recv().expect("there will be one");
            check(0, &output, output.is_done());
        });
        join(receiver);
        join(submitter);
        running.end()
    });
}
