//! Requests that were held together, and go on each by itself.

mod common;

use common::{LONG, ORDERS, assert_balanced, watchdog};
use stageline::{Flush, Outcome, Pipeline, Pool, Request, Step, state_machine};
use std::time::Duration;

const BATCH: usize = 3;

#[derive(Clone, Debug, Default)]
struct Parcel {
    number: usize,
    /// Who asks it, if it is number 13, panics.
    panics: bool,
    /// Held for no longer than a moment.
    is_urgent: bool,
    /// The one that shares its outcome, if it leads.
    stays: Option<usize>,
    /// Where it goes on: in a pool, or not.
    by_pool: bool,
    /// Where it was, with what, and why.
    seen: Vec<(&'static str, usize, Option<Flush>)>,
}

/// Gathers parcels, says so to all of them at once, and sorts each.
struct Office;

#[state_machine(data = Parcel, error = String, keeps)]
impl Office {
    #[stage]
    fn gather(&mut self, parcel: &mut Request<'_, Self>) -> Step {
        let (held, flush) = (parcel.held(), parcel.flush());
        parcel.seen.push(("gather", held, flush));
        if flush.is_none() && held + 1 < BATCH {
            return parcel.hold(if parcel.is_urgent {
                Duration::from_millis(1)
            } else {
                100 * LONG
            });
        }
        let led = parcel.lead();
        let to = if parcel.by_pool { Self::HAUL } else { Self::SORT };
        let stays = parcel.stays;
        let mut asked = Vec::new();
        let parted = parcel.part(to, |one| {
            asked.push(one.number);
            assert!(!(one.panics && one.number == 13), "what is asked panics");
            Some(one.number) != stays
        });
        assert!(asked.len() == led && parted + usize::from(stays.is_some()) == led);
        let mut left = Vec::new();
        parcel.for_each_follower(|one| left.push(one.number));
        assert_eq!(left, Vec::from_iter(stays));
        parcel.next(to)
    }

    #[stage]
    fn sort(&mut self, parcel: &mut Request<'_, Self>) -> Step {
        let (held, flush) = (parcel.held(), parcel.flush());
        parcel.seen.push(("sort", held, flush));
        match parcel.number % 3 {
            0 => parcel.done(),
            1 => parcel.fail(format!("number {}", parcel.number)),
            _ => parcel.drop(),
        }
    }

    #[stage(pool = "carts")]
    fn haul(&mut self, parcel: &mut Request<'_, Self>) -> Step {
        let flush = parcel.flush();
        parcel.seen.push(("haul", 0, flush));
        parcel.next(Self::SORT)
    }
}

fn office(workers: usize) -> Pipeline<Office> {
    let builder = Pipeline::builder(|| Office).workers(workers).reserve(0).pin(false).window(64);
    builder.pool(Pool::threads("carts", 1)).build().unwrap()
}

fn is_right(outcome: &Outcome<'_, String>, number: usize) -> bool {
    match number % 3 {
        0 => matches!(outcome, Outcome::Done),
        1 => {
            matches!(outcome, Outcome::Failed { error, .. } if **error == format!("number {number}"))
        }
        _ => matches!(outcome, Outcome::Dropped { .. }),
    }
}

#[test]
fn each_of_a_batch_goes_its_own_way() {
    let _dog = watchdog(60);
    for (order, by_pool) in ORDERS.into_iter().flat_map(|order| [(order, false), (order, true)]) {
        let pipeline = office(1);
        let mut group = pipeline.open(order).unwrap();
        for number in 0..30 {
            group.submit(Parcel { number, by_pool, ..Parcel::default() }).unwrap();
        }
        let mut numbers = Vec::new();
        for _ in 0..30 {
            let parcel = group.recv().unwrap();
            assert!(
                is_right(&parcel.outcome(), parcel.number),
                "{:?} {parcel:?}",
                parcel.outcome()
            );
            let mut expected = vec![("gather", parcel.number % BATCH, None), ("sort", 0, None)];
            if by_pool {
                expected.insert(1, ("haul", 0, None));
            }
            assert_eq!(parcel.seen, expected);
            numbers.push(parcel.number);
        }
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..30));
        drop(group);
        assert_balanced(&pipeline.close());
    }
}

#[test]
fn one_may_stay() {
    let _dog = watchdog(60);
    for stays in 0..BATCH - 1 {
        let pipeline = office(1);
        let mut group = pipeline.open(ORDERS[0]).unwrap();
        for number in 0..BATCH {
            let stays = (number == BATCH - 1).then_some(stays);
            group.submit(Parcel { number, stays, ..Parcel::default() }).unwrap();
        }
        for _ in 0..BATCH {
            let parcel = group.recv().unwrap();
            // The last one of the batch is dropped.
            let number = if parcel.number == stays { BATCH - 1 } else { parcel.number };
            assert!(is_right(&parcel.outcome(), number), "{stays} {parcel:?}");
            assert_eq!(parcel.seen.len(), if parcel.number == stays { 1 } else { 2 });
        }
        drop(group);
        assert_balanced(&pipeline.close());
    }
}

/// A panic of who is asked leaves all of them as they were: they end with their leader.
#[test]
fn a_panic_parts_nothing() {
    let _dog = watchdog(60);
    let pipeline = office(1);
    let mut group = pipeline.open(ORDERS[0]).unwrap();
    for number in [0, 13, 2] {
        group.submit(Parcel { number, panics: true, ..Parcel::default() }).unwrap();
    }
    for _ in 0..BATCH {
        assert!(matches!(group.recv().unwrap().outcome(), Outcome::Panicked(_)));
    }
    drop(group);
    assert_balanced(&pipeline.close());
}

/// Also those that are flushed, by their age or at the end, and with several workers.
#[test]
fn what_is_flushed_goes_its_own_way() {
    let _dog = watchdog(60);
    for (workers, is_urgent) in [(1, true), (2, true), (1, false), (3, false)] {
        let pipeline = office(workers);
        let (mut submitter, mut receiver) = pipeline.open(ORDERS[0]).unwrap().split();
        for number in 0..50 {
            submitter.submit(Parcel { number, is_urgent, ..Parcel::default() }).unwrap();
        }
        drop(submitter);
        let closing = std::thread::spawn(move || {
            if is_urgent {
                std::thread::sleep(Duration::from_millis(100));
            }
            pipeline.close()
        });
        let mut count = 0;
        while let Ok(parcel) = receiver.recv() {
            assert!(
                is_right(&parcel.outcome(), parcel.number),
                "{:?} {parcel:?}",
                parcel.outcome()
            );
            let (place, _, flush) = parcel.seen.last().unwrap();
            assert_eq!((*place, *flush), ("sort", None));
            count += 1;
        }
        assert_eq!(count, 50);
        assert_balanced(&closing.join().unwrap());
    }
}
