//! Requests that are held and go on as a batch: by count, by bytes, by age, and as the pipeline drains; what becomes of
//! the leader becomes of all.

mod common;

use common::{ORDERS, assert_balanced, ending, eventually, watchdog};
use stageline::{
    Flush, Order, Outcome, Pipeline, Request, RequestGroup, Retry, Step, limits, state_machine,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How the batch ends that a parcel is the leader of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fate {
    #[default]
    Done,
    Fail,
    Drop,
    Panic,
    /// Fails that often before it is done.
    Retry(u32),
    /// Hops to the pool and is done there.
    Hop,
    /// Is held again in a second stage, until four of them are there.
    Twice,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Parcel {
    number: u64,
    bytes: usize,
    fate: Fate,
    /// The batch that it went with: the number of its leader.
    leader: u64,
}

/// The batches that went out: the numbers in each, and why it went.
type Sent = Arc<Mutex<Vec<(Vec<u64>, Option<Flush>)>>>;

struct Depot {
    sent: Sent,
    count: usize,
    bytes: usize,
    age: Duration,
    loaded: usize,
}

#[state_machine(data = Parcel, error = String, keeps)]
impl Depot {
    #[stage]
    fn collect(&mut self, parcel: &mut Request<'_, Self>) -> Step {
        let flush = parcel.flush();
        if flush.is_none() {
            self.loaded += parcel.bytes;
            if parcel.held() + 1 < self.count && self.loaded < self.bytes {
                return parcel.hold(self.age);
            }
        }
        self.loaded = 0;
        let (followers, number) = (parcel.lead(), parcel.number);
        parcel.leader = number;
        let mut numbers = vec![number];
        parcel.for_each_follower(|follower| {
            follower.leader = number;
            numbers.push(follower.number);
        });
        assert_eq!(numbers.len(), followers + 1);
        self.sent.lock().unwrap().push((numbers, flush));
        parcel.next(Self::DELIVER)
    }

    #[stage]
    fn deliver(&mut self, parcel: &mut Request<'_, Self>) -> Step {
        match parcel.fate {
            Fate::Done => parcel.done(),
            Fate::Fail => parcel.fail(format!("lost by {}", parcel.number)),
            Fate::Drop => Step::from_status(317).unwrap(),
            Fate::Panic => panic!("an accident of {}", parcel.number),
            Fate::Retry(times) if parcel.attempt() <= times => parcel.retry("closed".into()),
            Fate::Retry(_) => parcel.done(),
            Fate::Hop => parcel.next(Self::FLY),
            Fate::Twice => parcel.next(Self::GATHER),
        }
    }

    #[stage(pool = "planes")]
    fn fly(&mut self, parcel: &mut Request<'_, Self>) -> Step {
        parcel.for_each_follower(|follower| follower.bytes += 1);
        parcel.done()
    }

    #[stage]
    fn gather(&mut self, batch: &mut Request<'_, Self>) -> Step {
        if batch.flush().is_none() && batch.held() < 3 {
            return batch.hold(Duration::from_secs(60));
        }
        let mut leaders = 1;
        batch.lead();
        batch.for_each_follower(|_| leaders += 1);
        batch.fail(format!("{leaders} batches"))
    }
}

struct World {
    pipeline: Pipeline<Depot>,
    sent: Sent,
}

fn depot(workers: usize, count: usize, bytes: usize, age: Duration) -> World {
    let sent = Sent::default();
    let log = Arc::clone(&sent);
    let machine = move || Depot { sent: Arc::clone(&log), count, bytes, age, loaded: 0 };
    let policy = Retry::attempts(4).first(Duration::from_micros(100));
    let builder = Pipeline::builder(machine).workers(workers).groups(4).window(64).retry(policy);
    let pipeline = builder.pool(stageline::Pool::threads("planes", 2)).build().unwrap();
    World { pipeline, sent }
}

const NEVER: Duration = Duration::from_secs(3600);

fn parcel(number: u64, fate: Fate) -> Parcel {
    Parcel { number, fate, bytes: 10, ..Parcel::default() }
}

fn submit(group: &mut RequestGroup<Depot>, parcels: impl IntoIterator<Item = Parcel>) {
    parcels.into_iter().for_each(|parcel| assert!(group.submit(parcel).is_ok()));
}

/// How each parcel ended, by its number.
fn receive(group: &mut RequestGroup<Depot>, count: usize) -> BTreeMap<u64, (Parcel, String)> {
    let ended = (0..count).map(|_| {
        let output = group.recv().unwrap();
        (output.number, (output.clone(), ending(&output)))
    });
    let ended: BTreeMap<_, _> = ended.collect();
    assert_eq!(ended.len(), count);
    ended
}

#[test]
fn a_batch_goes_when_it_is_full() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let world = depot(1, 4, usize::MAX, NEVER);
        let mut group = world.pipeline.open(order).unwrap();
        submit(&mut group, (0..12).map(|number| parcel(number, Fate::Done)));
        for (number, (parcel, text)) in receive(&mut group, 12) {
            assert_eq!((parcel.leader, text.as_str()), (number / 4 * 4 + 3, "done"));
        }
        let sent = std::mem::take(&mut *world.sent.lock().unwrap());
        let batches = [vec![3, 0, 1, 2], vec![7, 4, 5, 6], vec![11, 8, 9, 10]];
        assert_eq!(sent, batches.map(|numbers| (numbers, None)));
        drop(group);
        assert_balanced(&world.pipeline.close());
    }
}

#[test]
fn a_batch_goes_by_its_bytes() {
    let _dog = watchdog(60);
    let world = depot(1, 1000, 100, NEVER);
    let mut group = world.pipeline.open(Order::Submission).unwrap();
    let sizes = [40, 40, 30, 100, 10, 90];
    submit(
        &mut group,
        (0..6).zip(sizes).map(|(number, bytes)| Parcel { bytes, ..parcel(number, Fate::Done) }),
    );
    receive(&mut group, 6);
    let batches = [vec![2, 0, 1], vec![3], vec![5, 4]];
    assert_eq!(*world.sent.lock().unwrap(), batches.map(|numbers| (numbers, None)));
}

#[test]
fn a_batch_goes_when_it_is_old() {
    let _dog = watchdog(60);
    for workers in [1, 2] {
        let world = depot(workers, 1000, usize::MAX, Duration::from_millis(5));
        let mut group = world.pipeline.open(Order::Submission).unwrap();
        submit(&mut group, (0..3).map(|number| parcel(number, Fate::Done)));
        assert!(receive(&mut group, 3).values().all(|(_, text)| text == "done"));
        let sent = world.sent.lock().unwrap();
        assert!(sent.iter().all(|(_, flush)| *flush == Some(Flush::Age)), "{sent:?}");
        assert_eq!(sent.iter().map(|(numbers, _)| numbers.len()).sum::<usize>(), 3);
    }
}

/// A held request is in flight; the close lets it go without waiting for its age.
#[test]
fn nothing_is_forgotten_as_the_pipeline_drains() {
    let _dog = watchdog(60);
    for workers in [1, 2] {
        let world = depot(workers, 1000, usize::MAX, NEVER);
        let mut group = world.pipeline.open(Order::Completion).unwrap();
        submit(&mut group, (0..9).map(|number| parcel(number, Fate::Done)));
        eventually("all are held", || world.pipeline.stats().stages[0].entered == 9);
        assert_eq!((group.in_flight(), group.try_recv().is_err()), (9, true));
        let (_, mut receiver) = group.split();
        let (sent, pipeline) = (world.sent, world.pipeline);
        let close = std::thread::spawn(move || pipeline.close());
        let mut back = 0;
        while let Ok(output) = receiver.recv() {
            assert!(output.is_done());
            back += 1;
        }
        assert_eq!(back, 9);
        drop(receiver);
        assert_balanced(&close.join().unwrap());
        assert!(sent.lock().unwrap().iter().all(|(_, flush)| *flush == Some(Flush::Drain)));
    }
}

#[test]
fn all_share_what_becomes_of_the_leader() {
    let _dog = watchdog(60);
    let fates = [
        (Fate::Fail, "failed: lost by 3"),
        (Fate::Drop, "dropped"),
        (Fate::Panic, "panicked: an accident of 3"),
        (Fate::Retry(2), "done"),
        (Fate::Retry(9), "failed: closed"),
        (Fate::Hop, "done"),
    ];
    for order in ORDERS {
        for (fate, expected) in fates {
            let world = depot(1, 4, usize::MAX, NEVER);
            let mut group = world.pipeline.open(order).unwrap();
            submit(
                &mut group,
                (0..3).map(|number| parcel(number, Fate::Done)).chain([parcel(3, fate)]),
            );
            for _ in 0..4 {
                let output = group.recv().unwrap();
                assert_eq!(ending(&output), expected, "{fate:?}");
                let expected_status = match fate {
                    Fate::Drop => 317,
                    Fate::Retry(9) => 100,
                    Fate::Fail | Fate::Panic => 200,
                    _ => 0,
                };
                assert_eq!(output.outcome().status(), expected_status, "{fate:?}");
                assert_eq!(output.bytes, 10 + usize::from(fate == Fate::Hop && output.number != 3));
            }
            // The machine goes on, or a fresh one does, and the slots are as good as new.
            submit(&mut group, (4..8).map(|number| parcel(number, Fate::Done)));
            assert!(receive(&mut group, 4).values().all(|(_, text)| text == "done"));
            drop(group);
            assert_balanced(&world.pipeline.close());
        }
    }
}

/// Leaders that are held again in a later stage, with those that follow them: three levels of one tree.
#[test]
fn batches_of_batches_end_together() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let world = depot(1, 3, usize::MAX, NEVER);
        let mut group = world.pipeline.open(order).unwrap();
        submit(&mut group, (0..12).map(|number| parcel(number, Fate::Twice)));
        let ended = receive(&mut group, 12);
        assert!(ended.values().all(|(_, text)| text == "failed: 4 batches"), "{ended:?}");
        drop(group);
        assert_balanced(&world.pipeline.close());
    }
}

/// One machine batches requests of several groups; each group gets its own back, also if another is gone.
#[test]
fn a_batch_of_several_groups() {
    let _dog = watchdog(60);
    let world = depot(1, 6, usize::MAX, NEVER);
    let mut groups: Vec<_> =
        ORDERS.iter().map(|order| world.pipeline.open(*order).unwrap()).collect();
    let gone = world.pipeline.open(Order::Completion).unwrap();
    let (mut gone, _) = gone.split();
    let mut entered = 0;
    for number in 0..2 {
        for group in &mut groups {
            submit(group, [parcel(number, Fate::Done)]);
            entered += 1;
            eventually("it is held", || world.pipeline.stats().stages[0].entered == entered);
        }
    }
    // Its receiver is gone, or it is cancelled: the batch goes on with it all the same.
    let _ = gone.submit(parcel(7, Fate::Done));
    groups[1].cancel();
    submit(&mut groups[0], [parcel(2, Fate::Done), parcel(3, Fate::Done)]);
    for (at, group) in groups.iter_mut().enumerate() {
        let count = if at == 0 { 4 } else { 2 };
        let ended = receive(group, count);
        assert!(ended.values().all(|(_, text)| text == "done"), "{ended:?}");
    }
}

/// What a machine holds is lost with it.
#[test]
fn a_machine_that_panics_takes_what_it_holds_with_it() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let world = depot(1, 5, usize::MAX, NEVER);
        let mut group = world.pipeline.open(order).unwrap();
        // The fifth leads the four before it, and delivers: these are not held any more. Two come behind.
        submit(&mut group, (0..4).map(|number| parcel(number, Fate::Done)));
        submit(
            &mut group,
            [parcel(4, Fate::Retry(1)), parcel(5, Fate::Done), parcel(6, Fate::Done)],
        );
        assert!(
            receive_some(&mut group, 5).iter().all(|(number, text)| *number < 5 && text == "done")
        );
        submit(&mut group, [parcel(7, Fate::Done), parcel(8, Fate::Done), parcel(9, Fate::Panic)]);
        let ended = receive(&mut group, 5);
        assert!(ended.values().all(|(_, text)| text == "panicked: an accident of 9"), "{ended:?}");
        drop(group);
        assert_balanced(&world.pipeline.close());
    }
}

fn receive_some(group: &mut RequestGroup<Depot>, count: usize) -> Vec<(u64, String)> {
    receive(group, count).into_iter().map(|(number, (_, text))| (number, text)).collect()
}

/// Holds whatever comes, and panics when told to.
struct Miser;

#[state_machine(data = bool, error = String, keeps)]
impl Miser {
    #[stage]
    fn keep(&mut self, coin: &mut Request<'_, Self>) -> Step {
        assert!(!**coin, "robbed");
        coin.hold(Duration::from_millis(1))
    }
}

#[test]
fn held_requests_end_with_a_machine_that_panics_elsewhere() {
    let _dog = watchdog(60);
    let pipeline = Pipeline::builder(|| Miser).workers(1).build().unwrap();
    let mut group = pipeline.open(Order::Submission).unwrap();
    for robbed in [false, false, true] {
        group.submit(robbed).unwrap();
    }
    assert_eq!(
        ending(&group.recv().unwrap()),
        "panicked: the machine that held it panicked: robbed"
    );
    assert_eq!(
        ending(&group.recv().unwrap()),
        "panicked: the machine that held it panicked: robbed"
    );
    assert_eq!(ending(&group.recv().unwrap()), "panicked: robbed");
    // They are held again each time they are old, and together; but not when the pipeline drains.
    (0..3).for_each(|_| assert!(group.submit(false).is_ok()));
    eventually("they have been held three times over", || {
        pipeline.stats().stages[0].entered >= 3 + 3 + 3
    });
    assert!(group.try_recv().is_err());
    let (_, mut receiver) = group.split();
    let close = std::thread::spawn(move || pipeline.close());
    for _ in 0..3 {
        let text = ending(&receiver.recv().unwrap());
        assert_eq!(text, "panicked: a stage held a batch back as the pipeline drained");
    }
    drop(receiver);
    assert_balanced(&close.join().unwrap());
}

/// Errors that cannot be cloned without a panic are shared as a status.
#[derive(Debug)]
struct Touchy;

impl Clone for Touchy {
    fn clone(&self) -> Self {
        panic!("do not copy");
    }
}

struct Pair;

#[state_machine(data = u8, error = Touchy, keeps)]
impl Pair {
    #[stage]
    fn pair(&mut self, one: &mut Request<'_, Self>) -> Step {
        if one.held() == 0 && one.flush().is_none() {
            return one.hold(limits::HOLD_DEFAULT);
        }
        one.lead();
        one.fail(Touchy)
    }
}

#[test]
fn an_error_whose_clone_panics_is_shared_without_it() {
    let _dog = watchdog(60);
    let pipeline = Pipeline::builder(|| Pair).workers(1).build().unwrap();
    let mut group = pipeline.open(Order::Submission).unwrap();
    (0..2).for_each(|number| assert!(group.submit(number).is_ok()));
    assert!(matches!(group.recv().unwrap().outcome(), Outcome::FailedAs { status: 200 }));
    assert!(matches!(group.recv().unwrap().outcome(), Outcome::Failed { error: Touchy, .. }));
}

/// An abort runs nothing that is held.
#[test]
fn an_abort_ends_what_is_held_as_cancelled() {
    let _dog = watchdog(60);
    let world = depot(2, 1000, usize::MAX, NEVER);
    let mut group = world.pipeline.open(Order::Completion).unwrap();
    submit(&mut group, (0..9).map(|number| parcel(number, Fate::Done)));
    eventually("all are held", || world.pipeline.stats().stages[0].entered == 9);
    let ledger = world.pipeline.abort();
    assert_eq!(ledger.cancelled, 9);
    assert!(receive(&mut group, 9).values().all(|(_, text)| text == "cancelled"));
    assert!(world.sent.lock().unwrap().is_empty());
}
