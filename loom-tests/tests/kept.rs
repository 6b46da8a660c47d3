//! `src/kept/`, `src/common/hop.rs`, `src/request/ticket.rs`: who owns the slot of a suspended request, how it gets to a worker
//! that may sleep, and how workers find out that nothing is kept any more.
//!
//! Proven: for one request, its worker, its ticket, and a receiver whose workers are gone, no access to the payload
//! races with another, and one of them goes on with the request, once; for one worker or two that run their real
//! loops, a kept request is not left behind, whether they sleep or leave.
//! Bound: none for the word alone; one or two preemptions for whole workers.
//! Not proven: clocks (loom knows none: what is due is due at once); several threads of a pool. Wheels and lists
//! belong to one thread at a time, and have unit tests. The queue is crossbeam's; a locked one stands
//! for it.

mod common;

use common::stageline::kept::{Link, Parked, Parking, Standing};
use common::stageline::model::{self, Sizes, work, work_in_pool};
use common::stageline::shared::Shared;
use common::stageline::sync::{Arc, ArrayQueue, Mutex};
use common::stageline::wait::Event;
use common::stageline::window::Order;
use common::stageline::{
    Receiver, Request, Stage, StageId, StageTable, StateMachine, Step, Ticket, TryRecvError,
};
use common::{ALL, THREE, TWO, Watched, explore, join, spawn, step};
use std::time::Duration;

/// A suspended request without its engine: the word, the payload, the queue.
struct Lone {
    parking: Parking,
    payload: Watched,
    /// What the ticket's thread did before.
    answer: Watched,
    queue: ArrayQueue<Link>,
    /// The ticket's number.
    ticket: u64,
}

impl Lone {
    fn new() -> Arc<Self> {
        let (payload, answer, parking) = (Watched::new(), Watched::new(), Parking::default());
        let ticket = parking.issue();
        Arc::new(Self { parking, payload, answer, queue: ArrayQueue::new(1), ticket })
    }

    /// The worker's end of the stage's call. Whether it goes on with the request itself.
    fn park(&self) -> bool {
        step();
        // SAFETY: the worker runs the request.
        unsafe { self.payload.set(1) };
        let sent = self.parking.park();
        if sent.is_some() {
            assert_eq!(sent, Some(Parked::Resumed(4)));
            // SAFETY: the ticket was used before the worker parked, which has kept the request.
            unsafe { assert_eq!((self.payload.get(), self.answer.get()), (1, 5)) };
        }
        sent.is_some()
    }

    /// The ticket is used, and fills the payload if it finds it parked and is to.
    fn send(&self, fills: bool) {
        step();
        // SAFETY: nobody looks before the ticket is used.
        unsafe { self.answer.set(5) };
        if fills && self.parking.borrow(self.ticket) {
            // SAFETY: the word says so.
            unsafe {
                assert_eq!(self.payload.get(), 1);
                self.payload.set(2);
            }
        }
        if self.parking.send(self.ticket, Parked::Resumed(4)) {
            self.queue.push(Link::new(0, 0)).expect("a place for each slot");
        }
    }

    /// A worker looks at its queue. Whether it goes on with the request.
    fn pop(&self) -> bool {
        step();
        let popped = self.queue.pop().is_some();
        if popped {
            assert_eq!(self.parking.pop(), Some(Parked::Resumed(4)));
            // SAFETY: the queue has handed it over.
            unsafe {
                assert!([1, 2].contains(&self.payload.get()));
                self.payload.set(3);
                assert_eq!(self.answer.get(), 5);
            }
        }
        popped
    }
}

fn ticket_beside_workers(fills: bool) -> String {
    let lone = Lone::new();
    let parker = spawn({
        let lone = lone.clone();
        move || lone.park()
    });
    let sender = spawn({
        let lone = lone.clone();
        move || lone.send(fills)
    });
    let popper = spawn({
        let lone = lone.clone();
        move || lone.pop() | lone.pop()
    });
    let (kept, popped) = (join(parker), join(popper));
    join(sender);
    let late = lone.pop();
    assert_eq!(u32::from(kept) + u32::from(popped) + u32::from(late), 1, "once");
    assert_eq!(lone.parking.pop(), None, "it runs");
    String::from(if kept { "kept" } else { "popped" })
}

#[test]
fn a_ticket_beside_its_worker() {
    explore("kept::a_ticket_beside_its_worker", THREE, &["kept", "popped"], || {
        ticket_beside_workers(false)
    });
}

#[test]
fn a_ticket_that_fills_beside_its_worker() {
    explore("kept::a_ticket_that_fills_beside_its_worker", THREE, &["kept", "popped"], || {
        ticket_beside_workers(true)
    });
}

/// The workers are gone: the receiver takes what is parked or sent, and the ticket is too late.
#[test]
fn a_ticket_beside_the_receiver() {
    explore("kept::a_ticket_beside_the_receiver", ALL, &["sent", "taken"], || {
        let lone = Lone::new();
        assert!(!lone.park());
        let sender = spawn({
            let lone = lone.clone();
            move || {
                lone.send(true);
                lone.queue.len()
            }
        });
        let receiver = spawn({
            let lone = lone.clone();
            move || {
                step();
                (0..2).filter(|_| take(&lone)).count()
            }
        });
        let (sent, taken) = (join(sender), join(receiver));
        assert_eq!(taken + usize::from(take(&lone)), 1, "once");
        assert_eq!(lone.parking.standing(lone.ticket), Standing::Void);
        String::from(if sent == 1 { "sent" } else { "taken" })
    });
}

/// The receiver looks for a suspended request that nobody will go on with.
fn take(lone: &Lone) -> bool {
    let taken = lone.parking.take();
    if taken {
        // SAFETY: the word says so.
        unsafe { lone.payload.set(lone.payload.get() + 10) };
    }
    taken
}

/// Where a stage leaves its ticket.
#[derive(Default)]
struct Desk {
    ticket: Mutex<Option<Ticket<Clerk>>>,
    event: Event,
}

/// What becomes of a request: it is suspended until its ticket is used,
const SUSPENDED: u64 = 0;
/// or retried once,
const RETRIED: u64 = 1;
/// or goes through a pool,
const POOLED: u64 = 2;
/// or is suspended, and its ticket used before its stage answers,
const EARLY: u64 = 3;
/// or suspended, and resumed in a pool,
const TO_POOL: u64 = 4;
/// or held,
const FOLLOWER: u64 = 5;
/// or leads the one that is held, and is suspended.
const LEADER: u64 = 6;

/// Does this at its first stage; ends the request at the second.
struct Clerk(Arc<Desk>);

impl Clerk {
    fn ask(&mut self, request: &mut Request<'_, Self>) -> Step {
        let payload = **request;
        match payload {
            RETRIED if request.attempt() == 1 => return request.retry(()),
            RETRIED => return request.done(),
            POOLED => return request.next(StageId::new(2)),
            EARLY => return request.suspend(|ticket| ticket.resume(StageId::new(1))),
            FOLLOWER if request.flush().is_none() => return request.hold(Duration::from_secs(1)),
            FOLLOWER => return request.done(),
            LEADER => assert_eq!(request.lead(), 1),
            _ => {}
        }
        let desk = &self.0;
        request.suspend(|ticket| {
            *desk.ticket.lock().expect("not poisoned") = Some(ticket);
            desk.event.notify();
        })
    }

    /// Run by a pool.
    fn carry(&mut self, request: &mut Request<'_, Self>) -> Step {
        request.next(StageId::new(1))
    }

    fn hear(&mut self, request: &mut Request<'_, Self>) -> Step {
        let is_filled =
            [SUSPENDED, TO_POOL, LEADER].map(|payload| payload + 1000).contains(&**request);
        assert!(is_filled || [POOLED, EARLY].contains(&**request));
        request.done()
    }
}

impl StateMachine for Clerk {
    type Data = u64;
    type Error = ();
    const KEEPS: bool = true;
    const STAGES: StageTable<Self> = StageTable::new(&[
        Stage { name: "ask", run: Self::ask, next: None, pool: None },
        Stage { name: "hear", run: Self::hear, next: Some(&[]), pool: None },
        Stage { name: "carry", run: Self::carry, next: None, pool: Some("pool") },
    ]);
}

type Engine = Arc<Shared<Clerk>>;

fn engine(workers: usize, pools: &[&str], desk: &Arc<Desk>) -> Engine {
    let desk = desk.clone();
    let sizes = Sizes { groups: 1, workers, window: 2, first_position: 1 };
    model::shared_with(sizes, pools, move || Clerk(desk.clone()))
}

/// Receives until there is no more: how many were run, and how many cancelled.
fn receive_all(engine: &Engine, mut receiver: Receiver<Clerk>) -> (u32, u32) {
    let (mut done, mut cancelled) = (0, 0);
    engine.group(0).front.receive_event.wait_until(None, || {
        loop {
            match receiver.try_recv() {
                Ok(output) if output.is_done() => done += 1,
                Ok(_) => cancelled += 1,
                Err(TryRecvError::Closed) => return true,
                Err(_) => return false,
            }
        }
    });
    (done, cancelled)
}

/// Waits for the ticket and uses it.
fn resume(desk: &Desk, stage: u16) {
    let mut ticket = None;
    desk.event.wait_until(None, || {
        ticket = desk.ticket.lock().expect("not poisoned").take();
        ticket.is_some()
    });
    ticket.expect("waited for").resume_with(StageId::new(stage), |payload| *payload += 1000);
}

/// One request with this payload (before a leader, its follower), workers that run their loops, and a ticket that is
/// used; the pipeline ends when the receiver has everything, or at once.
fn whole(workers: usize, payload: u64, ends_at_once: bool) -> String {
    let desk = Arc::<Desk>::new(Desk::default());
    let pools: &[&str] = if [POOLED, TO_POOL].contains(&payload) { &["pool"] } else { &[] };
    let engine = engine(workers, pools, &desk);
    let (mut submitter, receiver) =
        model::open(&engine, Order::Completion).expect("a quiet group").split();
    if payload == LEADER {
        submitter.try_submit(FOLLOWER).expect("there is room");
    }
    submitter.try_submit(payload).expect("there is room");
    drop(submitter);
    let threads = (0..workers + pools.len()).map(|index| {
        let engine = engine.clone();
        spawn(move || match index.checked_sub(workers) {
            None => work(engine, index),
            Some(pool) => work_in_pool(engine, index, pool + 1),
        })
    });
    let threads: Vec<_> = threads.collect();
    let clerk = [SUSPENDED, TO_POOL, LEADER].contains(&payload).then(|| {
        let desk = desk.clone();
        spawn(move || resume(&desk, if payload == TO_POOL { 2 } else { 1 }))
    });
    let counts = if ends_at_once {
        engine.refuse_more(0);
        engine.stop_workers();
        receive_all(&engine, receiver)
    } else {
        let counts = receive_all(&engine, receiver);
        engine.stop_workers();
        counts
    };
    threads.into_iter().for_each(join);
    clerk.into_iter().for_each(join);
    format!("{counts:?}")
}

#[test]
fn a_ticket_wakes_a_worker() {
    explore("kept::a_ticket_wakes_a_worker", TWO, &["(1, 0)"], || whole(1, SUSPENDED, false));
}

#[test]
fn a_retry_beside_the_end() {
    explore("kept::a_retry_beside_the_end", TWO, &["(1, 0)"], || whole(1, RETRIED, true));
}

#[test]
fn a_retry_with_two_workers_beside_the_end() {
    let name = "kept::a_retry_with_two_workers_beside_the_end";
    explore(name, Some(1), &["(1, 0)"], || whole(2, RETRIED, true));
}

/// From the worker to the pool and back, as both are told to leave.
#[test]
fn a_hop_there_and_back_beside_the_end() {
    let name = "kept::a_hop_there_and_back_beside_the_end";
    explore(name, Some(1), &["(1, 0)"], || whole(1, POOLED, true));
}

/// The same, where either may sleep when its request comes.
#[test]
fn a_hop_there_and_back() {
    explore("kept::a_hop_there_and_back", Some(1), &["(1, 0)"], || whole(1, POOLED, false));
}

#[test]
fn a_ticket_beside_the_end() {
    explore("kept::a_ticket_beside_the_end", TWO, &["(0, 1)", "(1, 0)"], || {
        whole(1, SUSPENDED, true)
    });
}

/// A ticket that is used before its stage answers: a worker that looks just then is told to leave all the same.
#[test]
fn an_early_ticket_with_two_workers_beside_the_end() {
    let name = "kept::an_early_ticket_with_two_workers_beside_the_end";
    explore(name, Some(1), &["(1, 0)"], || whole(2, EARLY, true));
}

/// The one that would be woken for it may have left, and the other sleep.
#[test]
fn a_ticket_with_two_workers_beside_the_end() {
    let name = "kept::a_ticket_with_two_workers_beside_the_end";
    explore(name, Some(1), &["(0, 1)", "(1, 0)"], || whole(2, SUSPENDED, true));
}

/// Workers may leave while it is suspended; then it finds nobody behind the pool.
#[test]
fn a_ticket_to_a_pool_beside_the_end() {
    let name = "kept::a_ticket_to_a_pool_beside_the_end";
    explore(name, Some(1), &["(0, 1)", "(1, 0)"], || whole(1, TO_POOL, true));
}

/// A leader is suspended, and its follower ends with it, whoever ends it.
#[test]
fn a_suspended_leader_beside_the_end() {
    let name = "kept::a_suspended_leader_beside_the_end";
    explore(name, Some(1), &["(0, 2)", "(2, 0)"], || whole(1, LEADER, true));
}

/// The ticket is used when a worker has left, and leads through a pool back to the one that sleeps.
#[test]
fn a_ticket_to_a_pool_after_a_worker_has_left() {
    let name = "kept::a_ticket_to_a_pool_after_a_worker_has_left";
    explore(name, Some(0), &["(0, 1)", "(1, 0)"], || {
        let desk = Arc::<Desk>::new(Desk::default());
        let engine = engine(2, &["pool"], &desk);
        let group = model::open(&engine, Order::Completion).expect("a quiet group");
        let (mut submitter, receiver) = group.split();
        submitter.try_submit(TO_POOL).expect("there is room");
        drop(submitter);
        let threads = (0..3).map(|index| {
            let engine = engine.clone();
            spawn(
                move || {
                    if index < 2 { work(engine, index) } else { work_in_pool(engine, index, 1) }
                },
            )
        });
        let threads: Vec<_> = threads.collect();
        engine.refuse_more(0);
        engine.stop_workers();
        resume(&desk, 2);
        let counts = receive_all(&engine, receiver);
        threads.into_iter().for_each(join);
        format!("{counts:?}")
    });
}
