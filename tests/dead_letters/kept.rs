//! Letters of requests that were kept: which ends of theirs are dead, what a letter says of it, and that those which share
//! an end have a letter each.

use super::apart;
use crate::common::{Gate, LONG, ORDERS, assert_quiet, ending, eventually, finish};
use stageline::{
    DeadLetter, DeadLetters, Order, Pipeline, Pool, Request, RequestGroup, Retry, Step, Ticket,
    state_machine,
};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What becomes of a case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    #[default]
    Done,
    Fail,
    /// Fails by a status, with no error.
    FailAs(u32),
    /// Asks for a retry each time, with an error.
    Retry,
    /// The same by a status alone.
    RetryAs(u32),
    DropAs(u32),
    /// Its ticket is dropped, before or after the stage has answered.
    AbandonEarly,
    AbandonLate,
    /// Fails in the pool.
    Hop,
    /// Is held until a case leads it, which is to end so: each of these leads all that are held.
    Hold,
    LeadToFail,
    LeadToRetry,
    LeadToAbandon,
    LeadToDone,
    LeadToDrop,
    /// Panics, and takes with it what its machine holds.
    Panic,
    /// The same, and no other machine can be made.
    Break,
    /// Leaves its ticket.
    Suspend,
    /// Waits at the gate first, and asks for a retry then.
    WaitToRetry,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Case {
    fate: Fate,
    number: u64,
}

/// What machines and tests share.
pub struct Hall {
    gate: Arc<Gate>,
    /// Requests that have been held.
    held: AtomicUsize,
    /// No machine can be made.
    is_broken: AtomicBool,
    /// The last one that was left.
    ticket: Mutex<Option<Ticket<Court>>>,
}

pub struct Court(Arc<Hall>);

#[state_machine(data = Case, error = String, keeps)]
impl Court {
    #[stage]
    fn file(&mut self, case: &mut Request<'_, Self>) -> Step {
        case.next(Self::HEAR)
    }

    #[stage]
    fn hear(&mut self, case: &mut Request<'_, Self>) -> Step {
        match case.fate {
            Fate::Hold => {
                self.0.held.fetch_add(1, Ordering::Relaxed);
                return case.hold(Duration::from_secs(3_600));
            }
            Fate::LeadToFail
            | Fate::LeadToRetry
            | Fate::LeadToAbandon
            | Fate::LeadToDone
            | Fate::LeadToDrop => assert_eq!(case.lead(), 3),
            Fate::WaitToRetry => self.0.gate.pass(),
            _ => {}
        }
        case.next(Self::JUDGE)
    }

    #[stage]
    fn judge(&mut self, case: &mut Request<'_, Self>) -> Step {
        let number = case.number;
        match case.fate {
            Fate::Done | Fate::LeadToDone | Fate::Hold => case.done(),
            Fate::Fail | Fate::LeadToFail => case.fail(format!("lost {number}")),
            Fate::FailAs(status) | Fate::DropAs(status) | Fate::RetryAs(status) => {
                Step::from_status(status).unwrap()
            }
            Fate::Retry | Fate::LeadToRetry | Fate::WaitToRetry => {
                let attempt = case.attempt();
                case.describe(&format!("{number} was tried"));
                case.retry(format!("adjourned {attempt}"))
            }
            Fate::AbandonEarly => case.suspend(drop),
            Fate::AbandonLate | Fate::LeadToAbandon => case.suspend(|ticket| {
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(2));
                    drop(ticket);
                });
            }),
            Fate::Hop => case.next(Self::APPEAL),
            Fate::LeadToDrop => case.drop(),
            Fate::Panic => panic!("contempt of {number}"),
            Fate::Break => {
                self.0.is_broken.store(true, Ordering::Relaxed);
                panic!("a riot of {number}");
            }
            Fate::Suspend => {
                let hall = &self.0;
                case.suspend(|ticket| *hall.ticket.lock().unwrap() = Some(ticket))
            }
        }
    }

    #[stage(pool = "upstairs")]
    fn appeal(&mut self, case: &mut Request<'_, Self>) -> Step {
        case.describe("upstairs");
        let number = case.number;
        case.fail(format!("lost {number} again"))
    }
}

/// A pipeline with one worker, and what its machines share.
fn court(retry: Retry<Court>) -> (Pipeline<Court>, Arc<Hall>) {
    let hall = Arc::new(Hall {
        gate: Gate::closed(),
        held: AtomicUsize::new(0),
        is_broken: AtomicBool::new(false),
        ticket: Mutex::new(None),
    });
    let of_machine = Arc::clone(&hall);
    let machine = move || {
        assert!(!of_machine.is_broken.load(Ordering::Relaxed), "the court is shut");
        Court(Arc::clone(&of_machine))
    };
    let builder = Pipeline::builder(machine).workers(1).groups(2).window(32).dead_letters(32);
    let builder = builder.retry(retry).pool(Pool::threads("upstairs", 1));
    (builder.build().unwrap(), hall)
}

fn open(pipeline: &Pipeline<Court>, order: Order) -> (RequestGroup<Court>, DeadLetters<Court>) {
    let mut group = pipeline.open(apart(order)).unwrap();
    let letters = group.dead_letters().unwrap();
    (group, letters)
}

/// What a letter says: number, outcome, its status, stage, attempts, description.
type Said = (u64, String, u32, String, u32, String);

fn said(letter: &DeadLetter<'_, Court>) -> Said {
    let (outcome, stage) = (letter.outcome(), letter.stage_name().to_owned());
    let (attempts, description) = (letter.attempts(), letter.description().to_owned());
    (letter.number, outcome.to_string(), outcome.status(), stage, attempts, description)
}

fn says(
    number: u64,
    (outcome, status): (&str, u32),
    (stage, attempts, description): (&str, u32, &str),
) -> Said {
    let (outcome, stage) = (outcome.to_owned(), stage.to_owned());
    (number, outcome, status, stage, attempts, description.to_owned())
}

fn submit(group: &mut RequestGroup<Court>, fates: &[(u64, Fate)]) {
    for &(number, fate) in fates {
        group.submit(Case { fate, number }).unwrap();
    }
}

/// All that was submitted, once it has ended: what the receive end has, and the letters, each by number.
fn collect(
    group: &mut RequestGroup<Court>,
    letters: &mut DeadLetters<Court>,
) -> (Vec<(u64, String, u32)>, Vec<Said>) {
    let submitted = group.stats().ledger.submitted;
    eventually("all have ended", || group.stats().ledger.ended() == submitted);
    let (mut alive, mut dead) = (Vec::new(), Vec::new());
    while let Ok(output) = group.recv() {
        alive.push((output.number, ending(&output), output.outcome().status()));
    }
    letters.drain(usize::MAX, |letter| dead.push(said(letter)));
    assert_quiet(&group.stats());
    alive.sort();
    dead.sort();
    (alive, dead)
}

fn quick() -> Retry<Court> {
    Retry::attempts(3).first(Duration::from_micros(50))
}

fn hours() -> Retry<Court> {
    Retry::attempts(9).first(Duration::from_secs(3_600))
}

pub fn each_end_goes_to_its_end() {
    let (pipeline, _hall) = court(quick());
    for order in ORDERS {
        let (mut group, mut letters) = open(&pipeline, order);
        let fates = [
            (0, Fate::Done),
            (1, Fate::Fail),
            (2, Fate::FailAs(222)),
            (3, Fate::Retry),
            (4, Fate::RetryAs(123)),
            (5, Fate::DropAs(317)),
            (6, Fate::AbandonEarly),
            (7, Fate::AbandonLate),
            (8, Fate::Hop),
            (9, Fate::Panic),
        ];
        // Each time a request has another slot, and another letter: nothing is left of those before it.
        for turn in 0..fates.len() {
            assert_eq!(group.stats().dead_letters, turn as u64 * 8);
            let mut turned = fates;
            turned.rotate_left(turn);
            submit(&mut group, &turned);
            let (alive, dead) = collect(&mut group, &mut letters);
            let expected = [(0, "done".to_owned(), 0), (5, "dropped".to_owned(), 317)];
            assert_eq!(alive, expected, "{order:?}, {turn}");
            let judged = ("judge", 1, "");
            let expected = [
                says(1, ("failed: lost 1", 200), judged),
                says(2, ("failed with status 222", 222), judged),
                says(3, ("failed: adjourned 3", 100), ("judge", 3, "3 was tried")),
                says(4, ("failed with status 123", 123), ("judge", 3, "")),
                says(6, ("abandoned", 200), judged),
                says(7, ("abandoned", 200), judged),
                says(8, ("failed: lost 8 again", 200), ("appeal", 1, "upstairs")),
                says(9, ("panicked: contempt of 9", 200), judged),
            ];
            assert_eq!(dead, expected, "{order:?}, {turn}");
        }
        drop((group, letters));
    }
    finish(pipeline);
}

/// Of two groups: a leader of the first one, followers of both.
pub fn followers_have_letters_of_their_own() {
    let (pipeline, hall) = court(quick());
    let ends = [
        (Fate::LeadToFail, "failed: lost 9", 200, 1, ""),
        (Fate::LeadToRetry, "failed: adjourned 3", 100, 3, "9 was tried"),
        (Fate::LeadToAbandon, "abandoned", 200, 1, ""),
    ];
    for (order, end) in ORDERS.into_iter().flat_map(|order| ends.map(|end| (order, end))) {
        let (lead, outcome, status, attempts, description) = end;
        let (mut group, mut letters) = open(&pipeline, order);
        let (mut other, mut others) = open(&pipeline, order);
        hall.held.store(0, Ordering::Relaxed);
        submit(&mut other, &[(1, Fate::Hold), (2, Fate::Hold)]);
        eventually("they are held", || hall.held.load(Ordering::Relaxed) == 2);
        submit(&mut group, &[(3, Fate::Hold), (9, lead)]);
        let (alive, dead) = collect(&mut group, &mut letters);
        assert_eq!(alive, []);
        // It shares the outcome, with the stage that it was made in; the attempts were the leader's.
        let share = |number| says(number, (outcome, status), ("judge", 1, ""));
        let led = says(9, (outcome, status), ("judge", attempts, description));
        assert_eq!(dead, [share(3), led], "{order:?}");
        let (alive, dead) = collect(&mut other, &mut others);
        assert_eq!((alive.len(), dead), (0, vec![share(1), share(2)]), "{order:?}");
        // What is alive has no letter, nor have those that share it.
        for (lead, outcome, status) in
            [(Fate::LeadToDone, "done", 0), (Fate::LeadToDrop, "dropped", 300)]
        {
            submit(&mut group, &[(1, Fate::Hold), (2, Fate::Hold), (3, Fate::Hold), (9, lead)]);
            let (alive, dead) = collect(&mut group, &mut letters);
            let expected = [1, 2, 3, 9].map(|number| (number, outcome.to_owned(), status));
            assert_eq!((Vec::from(expected), Vec::new()), (alive, dead), "{order:?}");
        }
        drop((group, letters, other, others));
    }
    finish(pipeline);
}

/// What a machine held that panicked has failed where it was held.
pub fn a_panic_has_a_letter_for_each_that_was_held() {
    let (pipeline, _hall) = court(quick());
    for order in ORDERS {
        let (mut group, mut letters) = open(&pipeline, order);
        submit(&mut group, &[(1, Fate::Hold), (2, Fate::Hold), (3, Fate::Panic)]);
        let (alive, dead) = collect(&mut group, &mut letters);
        let held = "panicked: the machine that held it panicked: contempt of 3";
        let expected = [
            says(1, (held, 200), ("hear", 1, "")),
            says(2, (held, 200), ("hear", 1, "")),
            says(3, ("panicked: contempt of 3", 200), ("judge", 1, "")),
        ];
        assert_eq!((alive.len(), dead), (0, Vec::from(expected)), "{order:?}");
    }
    finish(pipeline);
}

/// One that is to go on, and there is no machine for it: it has failed where it was to go on.
pub fn without_a_machine() {
    let (pipeline, hall) = court(quick());
    for order in ORDERS {
        let (mut group, mut letters) = open(&pipeline, order);
        submit(&mut group, &[(1, Fate::Suspend)]);
        eventually("it is suspended", || hall.ticket.lock().unwrap().is_some());
        submit(&mut group, &[(2, Fate::Break)]);
        eventually("no machine is left", || group.stats().ledger.panicked == 1);
        hall.ticket.lock().unwrap().take().unwrap().resume(Court::JUDGE);
        let (alive, dead) = collect(&mut group, &mut letters);
        let shut = "panicked: the machine's factory panicked: the court is shut";
        let expected = [
            says(1, (shut, 200), ("judge", 1, "")),
            says(2, ("panicked: a riot of 2", 200), ("judge", 1, "")),
        ];
        assert_eq!((alive.len(), dead), (0, Vec::from(expected)), "{order:?}");
        hall.is_broken.store(false, Ordering::Relaxed);
    }
    finish(pipeline);
}

/// What is cancelled while it is kept was given up on purpose.
pub fn what_is_cancelled_has_none() {
    for order in ORDERS {
        let (pipeline, hall) = court(hours());
        let (mut group, mut letters) = open(&pipeline, order);
        submit(&mut group, &[(1, Fate::WaitToRetry)]);
        hall.gate.wait_for(1);
        hall.gate.open();
        eventually("it is kept", || group.stats().running == 0);
        assert_eq!(group.stats().ledger.ended(), 0);
        group.cancel();
        let (alive, dead) = collect(&mut group, &mut letters);
        assert_eq!((alive, dead.len()), (vec![(1, "cancelled".to_owned(), 200)], 0), "{order:?}");
        drop((group, letters));
        finish(pipeline);
    }
}

/// What expires while it waits for a retry was not: the letter has the stage that it was to go on at.
pub fn what_expires_has_one() {
    let (pipeline, _hall) = court(hours());
    for order in ORDERS {
        let (mut group, mut letters) = open(&pipeline, order);
        let mut patience = Duration::from_millis(10);
        loop {
            group.set_deadline(Some(Instant::now() + patience));
            submit(&mut group, &[(1, Fate::Retry)]);
            let (alive, dead) = collect(&mut group, &mut letters);
            assert_eq!(alive, []);
            if dead == [says(1, ("expired", 200), ("judge", 2, "1 was tried"))] {
                break;
            }
            // The machine was busy with something else, and it has not come so far.
            assert!(dead[0].1 == "expired" && dead[0].4 == 1, "{dead:?}");
            patience *= 2;
            assert!(patience < LONG);
        }
    }
    finish(pipeline);
}
