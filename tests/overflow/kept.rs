//! The latest-wins policy beside requests that are kept: what a worker, a ticket or a pool has is not taken to make room.

use super::options;
use crate::common::{Gate, ORDERS, Random, assert_quiet, ending, finish, handed_back};
use stageline::{
    Order, Overflow, Pipeline, Pool, Receiver, Request, Retry, Step, SubmitTimeoutError, Submitter,
    Ticket, TrySubmitError, state_machine,
};
use std::collections::BTreeMap;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Who is to have a parcel, and when it goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Way {
    #[default]
    Pass,
    /// Held, until another one leads.
    Hold,
    Lead,
    /// Suspended, until its ticket is used.
    Suspend,
    /// Retried once, after the time that its pipeline says.
    Retry,
    /// In the pool, or in its queue, until the gate opens.
    Hop,
    /// In its worker's hands, until the gate opens.
    Wait,
    Fail,
    Panic,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Parcel {
    way: Way,
    /// A stage has seen it.
    was_run: bool,
}

fn parcel(way: Way) -> Parcel {
    Parcel { way, was_run: false }
}

struct Depot {
    tickets: Sender<Ticket<Self>>,
    /// Of the worker and of the pool.
    gates: [Arc<Gate>; 2],
    /// How long it holds parcels.
    at_most: Duration,
}

#[state_machine(data = Parcel, error = String, keeps)]
impl Depot {
    #[stage]
    fn sort(&mut self, parcel: &mut Request<'_, Self>) -> Step {
        parcel.was_run = true;
        let way = parcel.way;
        match way {
            Way::Pass => parcel.done(),
            Way::Hold if parcel.flush().is_none() => parcel.hold(self.at_most),
            Way::Hold => parcel.done(),
            Way::Lead => {
                parcel.lead();
                parcel.done()
            }
            Way::Suspend => parcel.suspend(|ticket| self.tickets.send(ticket).unwrap()),
            Way::Retry if parcel.attempt() == 1 => parcel.retry("not yet".into()),
            Way::Retry => parcel.done(),
            Way::Hop => parcel.next(Self::FLY),
            Way::Wait => {
                self.gates[0].pass();
                parcel.done()
            }
            Way::Fail => parcel.fail("lost".into()),
            Way::Panic => panic!("an accident"),
        }
    }

    #[stage(pool = "planes")]
    fn fly(&mut self, parcel: &mut Request<'_, Self>) -> Step {
        self.gates[1].pass();
        parcel.done()
    }

    #[stage]
    fn arrive(&mut self, parcel: &mut Request<'_, Self>) -> Step {
        parcel.done()
    }
}

struct World {
    gates: [Arc<Gate>; 2],
    tickets: mpsc::Receiver<Ticket<Depot>>,
    pipeline: Pipeline<Depot>,
}

/// Parcels are held for so long, and are retried after so long.
fn world(workers: usize, at_most: Duration, retry: Duration) -> World {
    let (sender, tickets) = mpsc::channel();
    let (sender, gates) = (Mutex::new(sender), [Gate::closed(), Gate::closed()]);
    let of_machine = gates.clone();
    let machine = move || Depot {
        tickets: sender.lock().unwrap().clone(),
        gates: of_machine.clone(),
        at_most,
    };
    let builder = Pipeline::builder(machine).workers(workers).groups(2).window(8);
    let builder = builder.drop_oldest(true).dead_letters(4).pool(Pool::threads("planes", 1));
    let pipeline = builder.retry(Retry::attempts(2).first(retry)).build().unwrap();
    World { gates, tickets, pipeline }
}

/// How each position ended, and whether a stage has seen it.
type Ended = BTreeMap<u64, (String, bool)>;

fn receive(receiver: &mut Receiver<Depot>, ended: &mut Ended) {
    while let Ok(output) = receiver.try_recv() {
        let how = (ending(&output), output.was_run);
        assert_eq!(ended.insert(output.position(), how), None, "it is received twice");
    }
}

/// Requests that the sole worker, its wheel, its pool (or the queue of that), or a ticket has, before the worker itself is
/// held up: it claims no more.
const KEPT: [Way; 6] = [Way::Hold, Way::Suspend, Way::Retry, Way::Hop, Way::Hop, Way::Wait];

const HOUR: Duration = Duration::from_secs(3_600);

/// A group with a request in each of these hands, and behind them those that nobody has: a full window.
fn keep_and_fill(world: &World, order: Order, kept: &[Way]) -> (Submitter<Depot>, Receiver<Depot>) {
    let opened = world.pipeline.open(options(order, Overflow::DropOldest)).unwrap();
    let (mut submitter, receiver) = opened.split();
    for way in kept {
        submitter.try_submit(parcel(*way)).unwrap();
    }
    world.gates[0].wait_for(1);
    world.gates[1].wait_for(1);
    for _ in kept.len()..8 {
        submitter.try_submit(parcel(Way::Pass)).unwrap();
    }
    (submitter, receiver)
}

fn done() -> (String, bool) {
    ("done".to_owned(), true)
}

/// As it was submitted.
fn dropped() -> (String, bool) {
    ("dropped".to_owned(), false)
}

/// One after the other makes room, and those that are kept go on as if nothing had been.
pub fn the_oldest_that_nobody_has() {
    let world = world(1, HOUR, HOUR);
    let (mut submitter, mut receiver) = keep_and_fill(&world, Order::Completion, &KEPT);
    let (mut ended, mut expected) = (Ended::new(), Ended::new());
    for number in 8..30 {
        assert_eq!(
            submitter.try_submit(parcel(Way::Pass)),
            Err(TrySubmitError::Full(parcel(Way::Pass)))
        );
        expected.insert(number - 2, dropped());
        receive(&mut receiver, &mut ended);
        assert_eq!(ended, expected);
        assert_eq!(submitter.try_submit(parcel(Way::Pass)), Ok(number));
    }
    let World { gates, tickets, pipeline } = world;
    gates.iter().for_each(|gate| gate.open());
    tickets.recv().unwrap().resume(Depot::ARRIVE);
    // All but the one that is held and the one that waits for its retry.
    handed_back(&pipeline, || receiver.stats().ledger.ended() == 28);
    receive(&mut receiver, &mut ended);
    assert_eq!(submitter.try_submit(parcel(Way::Lead)), Ok(30));
    handed_back(&pipeline, || receiver.stats().ledger.ended() == 30);
    receiver.cancel();
    handed_back(&pipeline, || receiver.stats().ledger.ended() == 31);
    receive(&mut receiver, &mut ended);
    for position in [0, 1, 3, 4, 5, 28, 29, 30] {
        expected.insert(position, done());
    }
    expected.insert(2, ("cancelled".to_owned(), true));
    assert_eq!(ended, expected);
    assert_quiet(&receiver.stats());
    drop((submitter, receiver));
    finish(pipeline);
}

/// Of a window in which nobody is without hands nothing is dropped; and of one that has a single such request, that one.
pub fn a_window_in_other_hands_is_full() {
    let hands = [&KEPT[..], &[Way::Hold]].concat();
    for (order, free) in ORDERS.into_iter().flat_map(|order| [(order, 0), (order, 1)]) {
        let world = world(1, HOUR, HOUR);
        // The one that holds up the worker comes last.
        let mut kept = hands.clone();
        kept.swap(5, 6);
        if free == 0 {
            kept.insert(0, Way::Suspend);
        }
        let (mut submitter, receiver) = keep_and_fill(&world, order, &kept);
        for _ in 0..100 {
            let full = submitter.try_submit(parcel(Way::Pass));
            assert_eq!(full, Err(TrySubmitError::Full(parcel(Way::Pass))));
        }
        let late = submitter.submit_timeout(parcel(Way::Pass), Duration::from_millis(5));
        assert_eq!(late, Err(SubmitTimeoutError::Timeout(parcel(Way::Pass))));
        let stats = receiver.stats();
        assert_eq!((stats.dropped_oldest, stats.ledger.ended()), (free, free), "{order:?}");
        let World { gates, tickets, pipeline } = world;
        gates.iter().for_each(|gate| gate.open());
        tickets.try_iter().for_each(drop);
        receiver.cancel();
        drop((submitter, receiver));
        assert_eq!(finish(pipeline).dropped, free, "{order:?}");
    }
}

/// Random runs of the test.
const RUNS: u32 = 12;
/// Requests of one of them.
const EACH: u64 = 400;

/// Random ways, orders and numbers of workers, with letters for what fails: what was accepted comes out of one end once, as
/// it was submitted if it was dropped, and else as a stage has left it.
pub fn random() {
    let seed = std::env::var("STAGELINE_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("STAGELINE_SEED={seed}");
    let mut random = Random(seed);
    let (mut shed, mut dead) = (0, 0);
    for _ in 0..RUNS {
        let (workers, order) = (1 + random.below(2) as usize, ORDERS[random.below(2) as usize]);
        let micros = |random: &mut Random| Duration::from_micros(20 + random.below(300));
        let world = world(workers, micros(&mut random), micros(&mut random));
        let World { gates, tickets, pipeline } = world;
        gates.iter().for_each(|gate| gate.open());
        let clerk = thread::spawn(move || tickets.iter().for_each(|one| one.resume(Depot::ARRIVE)));
        let options = options(order, Overflow::DropOldest).dead_letters();
        let mut group = pipeline.open(options).unwrap();
        let mut letters = group.dead_letters().unwrap();
        let (mut submitter, mut receiver) = group.split();
        let mut sender_random = Random(random.next());
        let sender = thread::spawn(move || {
            for _ in 0..EACH {
                const WAYS: [Way; 9] = [
                    Way::Pass,
                    Way::Hold,
                    Way::Lead,
                    Way::Suspend,
                    Way::Retry,
                    Way::Hop,
                    Way::Wait,
                    Way::Fail,
                    Way::Panic,
                ];
                let way = WAYS[sender_random.below(9) as usize];
                submitter.submit(parcel(way)).unwrap();
            }
        });
        let case = format!("{order:?}, {workers} workers");
        let mut ended = Ended::new();
        let mut add = |position, outcome: String, was_run| {
            assert_eq!(was_run, outcome != "dropped", "{case}: {outcome}");
            let before = ended.insert(position, (outcome, was_run));
            assert_eq!(before, None, "{case}: {position} came twice");
        };
        while let Ok(output) = receiver.recv() {
            add(output.position(), ending(&output), output.was_run);
            drop(output);
            let most = random.below(3) as usize;
            letters.drain(most, |one| add(one.position(), one.outcome().to_string(), one.was_run));
        }
        letters
            .drain(usize::MAX, |one| add(one.position(), one.outcome().to_string(), one.was_run));
        sender.join().unwrap();
        let stats = receiver.stats();
        assert_quiet(&stats);
        assert_eq!(ended.len() as u64, EACH, "{case}");
        assert_eq!(stats.dropped_oldest, stats.ledger.dropped, "{case}");
        let count =
            |word: &str| ended.values().filter(|(how, _)| how.starts_with(word)).count() as u64;
        let counts = [count("done"), count("failed"), count("dropped"), count("panicked")];
        let ledger = stats.ledger;
        assert_eq!(counts, [ledger.done, ledger.failed, ledger.dropped, ledger.panicked], "{case}");
        (shed, dead) = (shed + stats.dropped_oldest, dead + stats.dead_letters);
        drop((receiver, letters));
        finish(pipeline);
        clerk.join().unwrap();
    }
    assert!(shed > 0 && dead > 0, "{shed} shed, {dead} dead letters");
}
