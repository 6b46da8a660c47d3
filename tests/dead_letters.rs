//! Results that are kept apart: which they are, what a letter says, what happens when all letters are full,
//! and how the end that they come out of waits, closes and is opened again.

mod common;
#[path = "dead_letters/drops.rs"]
mod drops;
#[path = "dead_letters/kept.rs"]
mod kept;
#[path = "dead_letters/random.rs"]
mod random;

use common::{
    Act, Gate, LONG, Lab, ORDERS, assert_quiet, ending, eventually, finish, handed_back, job, lab,
    lab_with, pass, watchdog,
};
use stageline::{
    DeadLetter, DeadLetters, GroupOptions, OpenError, Order, Pipeline, Receiver, RecvError,
    RecvTimeoutError, Request, RequestGroup, Step, Submitter, TryRecvError, state_machine,
};
use std::thread;
use std::time::{Duration, Instant};

/// Long enough for a thread to fall asleep.
const SHORT: Duration = Duration::from_millis(20);

fn apart(order: Order) -> GroupOptions {
    GroupOptions::new(order).dead_letters()
}

/// The three ends of a group.
fn ends(
    pipeline: &Pipeline<Lab>,
    order: Order,
) -> (Submitter<Lab>, Receiver<Lab>, DeadLetters<Lab>) {
    let mut group = pipeline.open(apart(order)).unwrap();
    let letters = group.dead_letters().expect("it is handed out once");
    assert!(group.dead_letters().is_none(), "it is handed out twice");
    let (submitter, receiver) = group.split();
    (submitter, receiver, letters)
}

/// Position, outcome, stage and value.
fn seen(letter: &DeadLetter<'_, Lab>) -> (u64, String, String, u64) {
    let outcome = letter.outcome().to_string();
    assert_eq!(letter.attempts(), 1);
    assert_eq!(letter.stage().index(), usize::from(letter.stage_name() == "end"));
    (letter.position(), outcome, letter.stage_name().to_owned(), letter.value)
}

fn letter(position: u64, outcome: &str, stage: &str, value: u64) -> (u64, String, String, u64) {
    (position, outcome.to_owned(), stage.to_owned(), value)
}

/// Waits until so many requests have ended.
fn wait_for_ended(pipeline: &Pipeline<Lab>, receiver: &Receiver<Lab>, ended: u64) {
    handed_back(pipeline, || receiver.stats().ledger.ended() == ended);
}

#[test]
fn what_nobody_asked_for_is_kept_apart() {
    let _dog = watchdog(60);
    for (order, workers) in ORDERS.into_iter().flat_map(|order| [(order, 1), (order, 3)]) {
        let pipeline = lab().workers(workers).dead_letters(8).build().unwrap();
        let (mut submitter, mut receiver, mut letters) = ends(&pipeline, order);
        let acts = [Act::Pass, Act::Fail, Act::Drop, Act::Panic, Act::Loop, Act::Pass];
        for (value, act) in (10..).step_by(10).zip(acts) {
            submitter.submit(job(act, value)).unwrap();
        }
        submitter.set_deadline(Some(Instant::now()));
        submitter.submit(pass(70)).unwrap();
        wait_for_ended(&pipeline, &receiver, 7);
        let mut alive = Vec::new();
        while let Ok(output) = receiver.try_recv() {
            alive.push((output.position(), ending(&output)));
        }
        alive.sort();
        let expected = [(0, "done"), (2, "dropped"), (5, "done")];
        assert_eq!(alive, expected.map(|(position, text)| (position, text.to_owned())));
        let mut dead = Vec::new();
        assert_eq!(letters.drain(usize::MAX, |one| dead.push(seen(one))), 4);
        dead.sort();
        let way = "cyclic: count -> end -> count -> end -> count -> end -> count";
        let expected = [
            letter(1, "failed: failed at 21", "end", 21),
            letter(3, "panicked: panicked at 41", "end", 41),
            letter(4, way, "count", 53),
            letter(6, "expired", "count", 70),
        ];
        assert_eq!(dead, expected, "{order:?}, {workers} workers");
        let stats = receiver.stats();
        assert_eq!((stats.dead_letters, stats.ledger.received), (4, 7));
        assert_quiet(&stats);
        drop((submitter, receiver, letters));
        finish(pipeline);
    }
}

/// Letters come in the order of the receive end, and it goes on behind them in its own.
#[test]
fn the_orders_are_kept() {
    let _dog = watchdog(60);
    for drains in [false, true] {
        let pipeline = lab().window(64).dead_letters(64).build().unwrap();
        let (mut submitter, mut receiver, mut letters) = ends(&pipeline, Order::Submission);
        for number in 0..64 {
            let act = if number % 5 < 2 { Act::Fail } else { Act::Pass };
            submitter.submit(job(act, number)).unwrap();
        }
        wait_for_ended(&pipeline, &receiver, 64);
        let mut alive = Vec::new();
        if drains {
            // Of a number that neither a batch nor the rows of done ones have.
            while receiver.drain(7, |output| alive.push(output.position())) > 0 {}
        } else {
            while let Ok(output) = receiver.try_recv() {
                alive.push(output.position());
            }
        }
        let mut dead = Vec::new();
        letters.drain(usize::MAX, |letter| dead.push(letter.position()));
        assert_eq!(alive, Vec::from_iter((0..64).filter(|number| number % 5 >= 2)));
        assert_eq!(dead, Vec::from_iter((0..64).filter(|number| number % 5 < 2)));
    }
}

/// What a drain says that it has lent it has lent, in the order of completion too.
#[test]
fn a_drain_counts_what_it_lends() {
    let _dog = watchdog(60);
    let pipeline = lab().workers(2).window(64).dead_letters(64).build().unwrap();
    let (mut submitter, mut receiver, mut letters) = ends(&pipeline, Order::Completion);
    for number in 0..64 {
        let act = if number % 3 == 0 { Act::Pass } else { Act::Fail };
        submitter.submit(job(act, number)).unwrap();
    }
    wait_for_ended(&pipeline, &receiver, 64);
    let (mut said, mut lent) = (0, 0);
    loop {
        let drained = receiver.drain(5, |output| lent += usize::from(output.is_done()));
        if drained == 0 {
            break;
        }
        said += drained;
    }
    assert_eq!((said, lent), (22, 22));
    assert_eq!(letters.drain(40, |_| {}), 40);
    assert_eq!(letters.drain(40, |_| {}), 2);
}

#[test]
fn while_all_letters_are_full_results_come_as_ever() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = lab().dead_letters(2).build().unwrap();
        let (mut submitter, mut receiver, mut letters) = ends(&pipeline, order);
        for value in 0..5 {
            submitter.submit(job(Act::Fail, value)).unwrap();
        }
        wait_for_ended(&pipeline, &receiver, 5);
        let output = receiver.try_recv().unwrap();
        assert_eq!((output.position(), ending(&output)), (2, "failed: failed at 3".to_owned()));
        drop(output);
        // One more letter; but a result that has been lent here, and was leaked, stays here.
        std::mem::forget(receiver.try_recv().unwrap());
        assert_eq!(letters.try_recv().unwrap().position(), 0);
        for _ in 0..2 {
            std::mem::forget(receiver.recv().unwrap());
            std::mem::forget(receiver.recv_timeout(LONG).unwrap());
            let output = receiver.try_recv().unwrap();
            assert_eq!(output.position(), 3);
            std::mem::forget(output);
        }
        assert_eq!(receiver.recv().unwrap().into_error().ok().unwrap(), "failed at 4");
        assert_eq!(receiver.try_recv().err(), Some(TryRecvError::Empty), "4 has a letter");
        for position in [1, 4] {
            assert_eq!(letters.try_recv().unwrap().position(), position);
        }
        assert_eq!(letters.try_recv().err(), Some(TryRecvError::Empty));
        let stats = receiver.stats();
        assert_eq!((stats.dead_letters, stats.ledger.failed, stats.ledger.received), (3, 5, 5));
        drop((submitter, receiver, letters));
        finish(pipeline);
    }
}

#[test]
fn a_letter_is_lent_until_it_is_dropped() {
    let _dog = watchdog(60);
    let pipeline = lab().dead_letters(1).build().unwrap();
    let (mut submitter, mut receiver, mut letters) = ends(&pipeline, Order::Submission);
    let mut fail = |value| {
        let position = submitter.submit(job(Act::Fail, value)).unwrap();
        eventually("it is kept apart", || {
            assert!(receiver.try_recv().is_err());
            receiver.stats().ledger.received == position + 1
        });
    };
    fail(1);
    // Leaked, it comes again.
    std::mem::forget(letters.try_recv().unwrap());
    let mut one = letters.recv().unwrap();
    one.value += 100;
    assert_eq!(one.into_error().ok().unwrap(), "failed at 2");
    fail(2);
    assert_eq!(letters.recv().unwrap().replace(pass(7)).value, 3);
    fail(3);
    assert_eq!(letters.recv_timeout(LONG).unwrap().take().value, 4);
    submitter.submit(job(Act::Panic, 5)).unwrap();
    wait_for_ended(&pipeline, &receiver, 4);
    assert!(receiver.try_recv().is_err());
    let one = letters.try_recv().unwrap().into_error().expect_err("it panicked");
    assert_eq!(one.outcome().to_string(), "panicked: panicked at 6");
    assert!(format!("{one:?}").contains("end"), "{one:?}");
}

/// A leftover error of a request that then expired is not its own.
#[test]
fn an_expired_request_has_no_error() {
    struct Slow;
    #[state_machine(data = u64, error = String)]
    impl Slow {
        #[stage]
        fn first(&mut self, request: &mut Request<'_, Self>) -> Step {
            let _ = request.fail("not meant".to_owned());
            while request.deadline().is_some_and(|deadline| Instant::now() < deadline) {
                thread::yield_now();
            }
            request.next(Self::SECOND)
        }
        #[stage]
        fn second(&mut self, request: &mut Request<'_, Self>) -> Step {
            request.done()
        }
    }
    let _dog = watchdog(60);
    let pipeline = Pipeline::builder(|| Slow).workers(1).dead_letters(1).build().unwrap();
    let mut group = pipeline.open(apart(Order::Submission)).unwrap();
    let mut letters = group.dead_letters().unwrap();
    group.set_deadline(Some(Instant::now() + SHORT));
    group.submit(1).unwrap();
    assert_eq!(group.recv().err(), Some(RecvError::NothingInFlight));
    let letter = letters.try_recv().unwrap();
    assert_eq!((letter.outcome().to_string().as_str(), letter.stage_name()), ("expired", "second"));
    assert!(letter.into_error().is_err());
}

/// A hook fails before its stage, and a factory that panics leaves no machine for the first one.
#[test]
fn the_stage_is_that_which_was_entered() {
    fn hook(_: &mut Lab, job: &mut Request<'_, Lab>) -> Result<(), String> {
        if job.stage_name() == "end" && job.value == 2 { Err("no".to_owned()) } else { Ok(()) }
    }
    let _dog = watchdog(60);
    let pipeline = lab().before_stage(hook).dead_letters(2).build().unwrap();
    let (mut submitter, mut receiver, mut letters) = ends(&pipeline, Order::Submission);
    submitter.submit(pass(1)).unwrap();
    submitter.submit(pass(2)).unwrap();
    assert!(receiver.recv().unwrap().is_done(), "the second");
    assert_eq!(seen(&letters.recv().unwrap()), letter(0, "failed: no", "end", 2));
}

#[test]
fn it_is_closed_when_the_receive_end_has_everything() {
    let _dog = watchdog(60);
    for is_dropped in [false, true] {
        let pipeline = lab().dead_letters(4).build().unwrap();
        let (mut submitter, mut receiver, mut letters) = ends(&pipeline, Order::Submission);
        submitter.submit(job(Act::Fail, 1)).unwrap();
        drop(submitter);
        wait_for_ended(&pipeline, &receiver, 1);
        assert_eq!(letters.try_recv().err(), Some(TryRecvError::Empty));
        assert_eq!(letters.recv_timeout(SHORT).err(), Some(RecvTimeoutError::Timeout));
        assert_eq!(receiver.recv().err(), Some(RecvError::Closed));
        if is_dropped {
            drop(receiver);
        }
        // What is there comes first.
        assert_eq!(letters.recv().unwrap().value, 2);
        assert_eq!(letters.try_recv().err(), Some(TryRecvError::Closed));
        assert_eq!(letters.recv().err(), Some(RecvError::Closed));
        assert_eq!(letters.recv_timeout(LONG).err(), Some(RecvTimeoutError::Closed));
    }
}

#[test]
fn who_waits_is_woken() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let pipeline = lab().workers(2).dead_letters(4).build().unwrap();
        let (mut submitter, mut receiver, mut letters) = ends(&pipeline, order);
        let mut waiting = |act: &mut dyn FnMut()| {
            thread::scope(|scope| {
                let waiting = scope.spawn(|| letters.recv().map(|letter| letter.value));
                thread::sleep(SHORT);
                assert!(!waiting.is_finished());
                act();
                waiting.join().unwrap()
            })
        };
        let by_a_letter = waiting(&mut || {
            submitter.submit(job(Act::Fail, 1)).unwrap();
            wait_for_ended(&pipeline, &receiver, 1);
            assert!(receiver.try_recv().is_err());
        });
        assert_eq!(by_a_letter, Ok(2));
        // By the receive end that says `Closed`, or by its drop.
        let mut submitter = Some(submitter);
        let mut receiver = Some(receiver);
        let by_the_end = waiting(&mut || {
            if order == Order::Submission {
                drop(submitter.take());
                let receiver = receiver.as_mut().unwrap();
                assert_eq!(receiver.recv().err(), Some(RecvError::Closed));
            } else {
                drop(receiver.take());
            }
        });
        assert_eq!(by_the_end, Err(RecvError::Closed));
    }
}

/// Who holds both ends of a group does not wait for what has been kept apart.
#[test]
fn nothing_in_flight_is_told_to_who_is_alone() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let gate = Gate::closed();
        let pipeline = lab_with(&gate).dead_letters(4).build().unwrap();
        let mut group = pipeline.open(apart(order)).unwrap();
        let mut letters = group.dead_letters().unwrap();
        group.submit(job(Act::Wait, 1)).unwrap();
        gate.wait_for(1);
        group.submit(job(Act::Fail, 2)).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(SHORT);
                gate.open();
            });
            assert!(group.recv().unwrap().is_done());
            assert_eq!(group.recv().err(), Some(RecvError::NothingInFlight));
        });
        assert_eq!(letters.recv().unwrap().value, 3);
        assert_quiet(&group.stats());
    }
}

#[test]
fn without_its_end_results_come_as_ever() {
    let _dog = watchdog(60);
    let pipeline = lab().dead_letters(4).build().unwrap();
    let (mut submitter, mut receiver, letters) = ends(&pipeline, Order::Submission);
    drop(letters);
    submitter.submit(job(Act::Fail, 1)).unwrap();
    assert_eq!(ending(&receiver.recv().unwrap()), "failed: failed at 2");
    // So does a group that was opened without it.
    let mut plain: RequestGroup<Lab> = pipeline.open(Order::Submission).unwrap();
    assert!(plain.dead_letters().is_none());
    plain.submit(job(Act::Fail, 1)).unwrap();
    assert_eq!(ending(&plain.recv().unwrap()), "failed: failed at 2");
    assert_eq!(plain.stats().dead_letters, 0);
}

/// After the split the receive end hands it out.
#[test]
fn a_split_group_has_it_too() {
    let _dog = watchdog(60);
    let pipeline = lab().dead_letters(1).build().unwrap();
    let (mut submitter, mut receiver) = pipeline.open(apart(Order::Submission)).unwrap().split();
    submitter.submit(job(Act::Fail, 1)).unwrap();
    wait_for_ended(&pipeline, &receiver, 1);
    assert!(receiver.try_recv().is_err());
    let mut letters = receiver.dead_letters().unwrap();
    assert!(receiver.dead_letters().is_none());
    assert_eq!((letters.index(), letters.try_recv().unwrap().value), (receiver.index(), 2));
}

#[test]
fn it_has_to_be_built() {
    let _dog = watchdog(60);
    let pipeline = lab().groups(1).build().unwrap();
    let refused = pipeline.open(apart(Order::Submission)).unwrap_err();
    assert!(matches!(refused, OpenError::NotBuilt { .. }), "{refused:?}");
    let text = "`GroupOptions::dead_letters` needs a pipeline that was built with \
                `Builder::dead_letters(capacity)`";
    assert_eq!(refused.to_string(), text);
    let _group = pipeline.open(Order::Submission).expect("it has not been lost");
}

/// A group is opened again when all three ends are gone, with all letters empty.
#[test]
fn a_group_is_opened_again_with_all_its_letters() {
    let _dog = watchdog(60);
    let pipeline = lab().groups(1).dead_letters(2).build().unwrap();
    for round in 0..12 {
        let (mut submitter, mut receiver, mut letters) = ends(&pipeline, ORDERS[round % 2]);
        assert_eq!(receiver.stats().dead_letters, 0);
        for value in 0..2 {
            submitter.submit(job(Act::Fail, value)).unwrap();
        }
        wait_for_ended(&pipeline, &receiver, 2);
        assert!(receiver.try_recv().is_err(), "there is a letter for both");
        assert_eq!(receiver.stats().dead_letters, 2);
        // One is read, or leaked; one is left.
        match round % 3 {
            0 => drop(letters.try_recv().unwrap()),
            1 => std::mem::forget(letters.try_recv().unwrap()),
            _ => {}
        }
        let is_open = |pipeline: &Pipeline<Lab>| {
            matches!(pipeline.open(Order::Submission), Err(OpenError::NoneFree { .. }))
        };
        // In each order of the drops, the last one frees the group.
        match round % 4 {
            0 => {
                drop((submitter, receiver));
                assert!(is_open(&pipeline));
                drop(letters);
            }
            1 => {
                drop((letters, submitter));
                assert!(is_open(&pipeline));
                drop(receiver);
            }
            2 => {
                drop((receiver, letters));
                assert!(is_open(&pipeline));
                drop(submitter);
            }
            _ => {
                // Never handed out: it goes with the receive end.
                drop((submitter, receiver, letters));
                drop(pipeline.open(apart(Order::Submission)).unwrap());
            }
        }
        assert_eq!(pipeline.stats().groups_open, 0);
    }
    finish(pipeline);
}

#[test]
fn a_drop_that_panics_costs_no_letter() {
    let _dog = watchdog(120);
    drops::at_every_drop();
}

#[test]
fn random_groups_lose_nothing() {
    let _dog = watchdog(120);
    random::random();
}

#[test]
fn each_end_of_a_kept_request_goes_to_its_end() {
    let _dog = watchdog(60);
    kept::each_end_goes_to_its_end();
}

#[test]
fn followers_of_a_leader_that_failed_have_letters_of_their_own() {
    let _dog = watchdog(60);
    kept::followers_have_letters_of_their_own();
}

#[test]
fn a_panic_has_a_letter_for_each_that_was_held() {
    let _dog = watchdog(60);
    kept::a_panic_has_a_letter_for_each_that_was_held();
}

#[test]
fn what_is_kept_and_finds_no_machine_has_a_letter() {
    let _dog = watchdog(60);
    kept::without_a_machine();
}

#[test]
fn what_is_cancelled_while_it_is_kept_has_no_letter() {
    let _dog = watchdog(60);
    kept::what_is_cancelled_has_none();
}

#[test]
fn what_expires_while_it_is_kept_has_a_letter() {
    let _dog = watchdog(60);
    kept::what_expires_has_one();
}
