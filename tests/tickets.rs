//! Tickets that are used late, early, twice or never, pools that end, and stages that drop their pipeline: nothing is
//! run twice, and nothing waits for ever.

mod common;

use common::{LONG, ORDERS, assert_balanced, ending, eventually, watchdog};
use stageline::{
    Order, Pipeline, Pool, Request, Retry, StageId, Step, Ticket, TryRecvError, state_machine,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What the first stage does with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Way {
    #[default]
    Suspend,
    /// Hands out two tickets.
    Twice,
    /// Hands out a ticket and is done.
    Loose,
    /// Waits for one that suspends.
    Hold,
    /// Leads what is held, and suspends.
    Lead,
    /// Goes to a pool, and back.
    Pool,
    /// Drops the pipeline.
    End,
    /// Drops it from a pool's thread.
    EndInPool,
    /// Drops it when it has been retried.
    EndLate,
}

#[derive(Clone, Debug, Default)]
struct Call {
    way: Way,
    /// The stages that it went through.
    went: Vec<&'static str>,
}

fn call(way: Way) -> Call {
    Call { way, ..Call::default() }
}

/// What the instances of a machine have in common.
struct Office {
    tickets: Sender<Ticket<Desk>>,
    /// Tickets for when a worker has left.
    last: Mutex<Option<(Ticket<Desk>, StageId<Desk>)>>,
    pipeline: Mutex<Option<Pipeline<Desk>>>,
    ended: AtomicUsize,
}

struct Desk(Arc<Office>);

#[state_machine(data = Call, error = String, keeps)]
impl Desk {
    #[stage]
    fn ask(&mut self, call: &mut Request<'_, Self>) -> Step {
        call.went.push("ask");
        match call.way {
            Way::Suspend => {}
            Way::Twice => drop(call.suspend(|ticket| self.0.tickets.send(ticket).unwrap())),
            Way::Loose => {
                let _ = call.suspend(|ticket| self.0.tickets.send(ticket).unwrap());
                return call.done();
            }
            Way::Hold => return call.hold(LONG * 100),
            Way::Lead => assert_eq!(call.lead(), 1),
            Way::Pool | Way::EndInPool => return call.next(Self::FILE),
            Way::End => return self.end(call),
            Way::EndLate if call.attempt() == 1 => return call.retry(String::from("later")),
            Way::EndLate => return self.end(call),
        }
        call.suspend(|ticket| self.0.tickets.send(ticket).unwrap())
    }

    #[stage]
    fn hear(&mut self, call: &mut Request<'_, Self>) -> Step {
        call.went.push("hear");
        self.0.ended.fetch_add(1, Ordering::Relaxed);
        call.done()
    }

    #[stage]
    fn mishear(&mut self, call: &mut Request<'_, Self>) -> Step {
        call.went.push("mishear");
        call.done()
    }

    #[stage(pool = "slow")]
    fn file(&mut self, call: &mut Request<'_, Self>) -> Step {
        call.went.push("file");
        if call.way == Way::EndInPool {
            return self.end(call);
        }
        call.next(Self::HEAR)
    }

    #[close]
    fn leave(&mut self) {
        if let Some((ticket, stage)) = self.0.last.lock().unwrap().take() {
            ticket.resume(stage);
        }
    }
}

impl Desk {
    fn end(&mut self, call: &mut Request<'_, Self>) -> Step {
        let pipeline = self.0.pipeline.lock().unwrap().take();
        drop(pipeline);
        call.done()
    }
}

struct World {
    pipeline: Pipeline<Desk>,
    tickets: Receiver<Ticket<Desk>>,
    office: Arc<Office>,
}

fn desk(workers: usize) -> World {
    let (tickets, given) = channel();
    let (last, pipeline, ended) = (Mutex::default(), Mutex::default(), AtomicUsize::new(0));
    let office = Arc::new(Office { tickets, last, pipeline, ended });
    let machine = {
        let office = Arc::clone(&office);
        move || Desk(Arc::clone(&office))
    };
    let builder = Pipeline::builder(machine).workers(workers).groups(2).window(2);
    let builder = builder.retry(Retry::attempts(2).first(Duration::ZERO));
    let pipeline = builder.pool(Pool::threads("slow", 1)).build().unwrap();
    World { pipeline, tickets: given, office }
}

/// One request can have two tickets: the first is void when there is a second one. (It lent the payload to `fill` while
/// the other let a worker run the request.)
#[test]
fn of_two_tickets_one_counts() {
    let _dog = watchdog(60);
    let world = desk(1);
    let mut group = world.pipeline.open(Order::Submission).unwrap();
    group.submit(call(Way::Twice)).unwrap();
    let (first, second) = (world.tickets.recv().unwrap(), world.tickets.recv().unwrap());
    let mut second = Some(second);
    first.resume_with(Desk::MISHEAR, |_| {
        second.take().unwrap().resume(Desk::HEAR);
        thread::sleep(Duration::from_millis(100));
        assert_eq!(world.office.ended.load(Ordering::Relaxed), 0, "a stage runs on a lent payload");
    });
    assert!(second.is_some(), "the first ticket is void");
    assert!(group.try_recv().is_err());
    second.take().unwrap().resume(Desk::HEAR);
    let output = group.recv().unwrap();
    assert!(output.is_done() && output.went == ["ask", "hear"], "{:?}", output.went);
}

/// A stage hands out a ticket and answers otherwise: the ticket does nothing to the requests that come to the slot
/// after it, whenever it is used.
#[test]
fn a_loose_ticket_resumes_nothing() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let world = desk(1);
        let mut group = world.pipeline.open(order).unwrap();
        for is_early in [false, true, false, true, false, true] {
            // One in each slot.
            let mut loose = Vec::new();
            for _ in 0..2 {
                group.submit(call(Way::Loose)).unwrap();
                assert!(group.recv().unwrap().is_done());
                loose.push(world.tickets.recv().unwrap());
            }
            let use_up = |loose: &mut Vec<Ticket<Desk>>| {
                loose.pop().unwrap().resume(Desk::MISHEAR);
                drop(loose.pop());
            };
            if is_early {
                use_up(&mut loose);
            }
            group.submit(call(Way::Suspend)).unwrap();
            group.submit(call(Way::Pool)).unwrap();
            let ticket = world.tickets.recv().unwrap();
            eventually("it is suspended", || world.pipeline.stats().running == 0);
            if !is_early {
                use_up(&mut loose);
            }
            ticket.resume(Desk::HEAR);
            for _ in 0..2 {
                let output = group.recv().unwrap();
                assert_eq!(ending(&output), "done");
                let is_right = match output.way {
                    Way::Pool => output.went == ["ask", "file", "hear"],
                    _ => output.went == ["ask", "hear"],
                };
                assert!(is_right, "{:?}", output.went);
            }
        }
        drop(group);
        assert_balanced(&world.pipeline.close());
    }
}

/// It waited for the stage to return, which it had.
#[test]
fn a_loose_ticket_waits_for_nothing() {
    let _dog = watchdog(60);
    let world = desk(1);
    let mut group = world.pipeline.open(Order::Submission).unwrap();
    group.submit(call(Way::Loose)).unwrap();
    assert!(group.recv().unwrap().is_done());
    world.tickets.recv().unwrap().resume_with(Desk::HEAR, |_| panic!("there is no payload"));
}

/// The receiver took the slot of a request that it had received for that of one that is suspended.
#[test]
fn a_loose_ticket_brings_nothing_back_at_the_end() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let world = desk(1);
        let mut group = world.pipeline.open(order).unwrap();
        group.submit(call(Way::Loose)).unwrap();
        assert!(group.recv().unwrap().is_done());
        world.tickets.recv().unwrap().resume(Desk::HEAR);
        drop(world.pipeline);
        assert_eq!(group.try_recv().err(), Some(TryRecvError::Closed));
    }
}

/// A leader is suspended as the pipeline ends: its followers end with it.
#[test]
fn a_suspended_leader_holds_up_no_end() {
    let _dog = watchdog(60);
    for order in ORDERS {
        for is_used in [false, true] {
            let world = desk(1);
            let mut groups =
                [world.pipeline.open(order).unwrap(), world.pipeline.open(order).unwrap()];
            for (group, way) in groups.iter_mut().zip([Way::Hold, Way::Lead]) {
                let before = world.pipeline.stats().stages[0].entered;
                group.submit(call(way)).unwrap();
                eventually("it has come", || {
                    world.pipeline.stats().stages[0].entered == before + 1
                });
            }
            let ticket = world.tickets.recv().unwrap();
            let expected = if is_used { "done" } else { "cancelled" };
            let kept = if is_used {
                ticket.resume(Desk::HEAR);
                None
            } else {
                drop(world.pipeline);
                Some(ticket)
            };
            for group in &mut groups {
                assert_eq!(ending(&group.recv().unwrap()), expected);
            }
            drop(kept);
            for group in &mut groups {
                assert!(group.try_recv().is_err());
            }
        }
    }
}

/// A stage that drops its pipeline waits for no thread that would wait for it: of a pool, or one that waits until
/// nothing is kept.
#[test]
fn a_stage_that_drops_its_pipeline_waits_for_nobody() {
    let _dog = watchdog(60);
    for (workers, way) in [(1, Way::End), (1, Way::EndInPool), (2, Way::EndLate)] {
        let world = desk(workers);
        let mut group = world.pipeline.open(Order::Completion).unwrap();
        *world.office.pipeline.lock().unwrap() = Some(world.pipeline);
        group.submit(call(way)).unwrap();
        let output = group.recv_timeout(LONG).unwrap_or_else(|error| panic!("{way:?}: {error}"));
        assert_eq!(ending(&output), "done");
    }
}

/// The workers have left, and the threads of pools have not: a ticket is used between them. These waited for a worker
/// to run the request.
#[test]
fn a_ticket_between_the_ends_of_workers_and_pools() {
    let _dog = watchdog(60);
    for (round, stage) in (0..50).flat_map(|round| [(round, Desk::HEAR), (round, Desk::FILE)]) {
        let world = desk(1);
        let mut group = world.pipeline.open(ORDERS[round % 2]).unwrap();
        group.submit(call(Way::Suspend)).unwrap();
        let ticket = world.tickets.recv().unwrap();
        *world.office.last.lock().unwrap() = Some((ticket, stage));
        eventually("it is suspended", || world.pipeline.stats().running == 0);
        drop(world.pipeline);
        assert_eq!(ending(&group.recv().unwrap()), "cancelled");
        assert_eq!(group.try_recv().err(), Some(TryRecvError::Closed));
    }
}
