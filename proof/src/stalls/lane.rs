//! A group that streams: its threads, and what the injector sees of it.

use super::{Role, SILENCE_MAX, Target};
use crate::common::{Act, Random};
use crate::mill::{self, Grain, Mill};
use crate::oracle::Oracle;
use crate::signal::now_ns;
use crate::threads;
use stageline::{Order, Output, Pipeline, Receiver, RecvError, RequestGroup, SubmitEnd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{Receiver as Inbox, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Requests between two pauses of a submitter, at most.
const BURST_MAX: u64 = 160;
/// One burst in this many is a flood, so many times as long: it fills the window, and waits.
const FLOOD_EVERY: u64 = 32;
const FLOOD: u64 = 32;
/// A submitter's pause, at most.
const PAUSE_US_MAX: u64 = 2_000;
/// Producers of a shared submit end.
const PRODUCERS: u32 = 2;

/// Who has the ends of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A submitter and a receiver, each in its own thread.
    Sole,
    /// Two submitters and a receiver.
    Shared,
    /// One thread.
    Together,
}

/// What the injector sees of a group. Written by its receiving thread.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) name: String,
    pub(super) index: usize,
    pub(super) home: usize,
    /// When the last result came.
    last_ns: AtomicU64,
    /// The longest gap that ended since the watch began.
    gap_ns: AtomicU64,
    pub(super) results: AtomicU64,
    failure: Mutex<Option<String>>,
}

impl Lane {
    fn new(index: usize, home: usize, name: String) -> Self {
        Self {
            name,
            index,
            home,
            last_ns: AtomicU64::new(now_ns()),
            gap_ns: AtomicU64::new(0),
            results: AtomicU64::new(0),
            failure: Mutex::default(),
        }
    }

    /// A stall is about to begin. The results so far.
    pub(super) fn begin_watch(&self) -> u64 {
        self.gap_ns.store(0, SeqCst);
        self.results.load(SeqCst)
    }

    fn note_result(&self) {
        let now_ns = now_ns();
        let gap_ns = now_ns.saturating_sub(self.last_ns.swap(now_ns, SeqCst));
        self.gap_ns.fetch_max(gap_ns, SeqCst);
        self.results.fetch_add(1, SeqCst);
    }

    pub(super) fn last_ns(&self) -> u64 {
        self.last_ns.load(SeqCst)
    }

    pub(super) fn gap_ns(&self) -> u64 {
        self.gap_ns.load(SeqCst)
    }

    pub(super) fn is_silent(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.last_ns()) > SILENCE_MAX.as_nanos() as u64
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How many requests a thread sent and how many results came to it.
type Tally = (u64, u64);
type Driver = JoinHandle<Result<Tally, String>>;

/// All groups, with their threads.
pub(super) struct Lanes {
    pub(super) lanes: Arc<[Lane]>,
    stop: Arc<AtomicBool>,
    drivers: Vec<Driver>,
    targets: Inbox<Target>,
}

impl Lanes {
    /// Opens a group for each, and starts its threads.
    pub(super) fn start(
        pipeline: &Pipeline<Mill>,
        kinds: &[(Order, Kind)],
        homes: usize,
        seed: u64,
    ) -> Result<Self, String> {
        let open = |(order, _): &(Order, Kind)| pipeline.open(*order);
        let groups = kinds.iter().map(open).collect::<Result<Vec<_>, _>>();
        let groups = groups.map_err(|error| error.to_string())?;
        let lanes = kinds.iter().zip(&groups).enumerate().map(|(index, ((order, kind), group))| {
            Lane::new(index, group.index() % homes, format!("{kind:?} in {order:?}"))
        });
        let lanes: Arc<[Lane]> = lanes.collect();
        let (sender, targets) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let mut starter = Starter {
            lanes: Arc::clone(&lanes),
            stop: Arc::clone(&stop),
            random: Random(seed),
            sender,
            drivers: Vec::new(),
        };
        for (index, (group, (_, kind))) in groups.into_iter().zip(kinds).enumerate() {
            starter.start(index, group, *kind);
        }
        Ok(Self { lanes, stop, drivers: starter.drivers, targets })
    }

    /// The threads, once each has said who it is.
    pub(super) fn targets(&self) -> Result<Vec<Target>, String> {
        let next = |_| self.targets.recv_timeout(SILENCE_MAX);
        let targets = (0..self.drivers.len()).map(next).collect::<Result<_, _>>();
        targets.map_err(|_| "a thread does not begin".to_owned())
    }

    /// Lets all requests come back. How many were sent and came.
    pub(super) fn finish(self) -> Result<Tally, String> {
        self.stop.store(true, SeqCst);
        let mut total = (0, 0);
        for driver in self.drivers {
            let (sent, received) = driver.join().map_err(|_| "a thread panicked")??;
            total = (total.0 + sent, total.1 + received);
        }
        Ok(total)
    }
}

/// What it takes to start the threads.
struct Starter {
    lanes: Arc<[Lane]>,
    stop: Arc<AtomicBool>,
    random: Random,
    sender: Sender<Target>,
    drivers: Vec<Driver>,
}

impl Starter {
    fn start(&mut self, index: usize, group: RequestGroup<Mill>, kind: Kind) {
        let tag = 0x5a1e_0000 + index as u64;
        match kind {
            Kind::Together => {
                let (feed, sink) = (self.feed(tag, 0), Sink::new(tag, 1, group.order()));
                self.spawn(Role::BothEnds, index, move |lane, stop| {
                    both_ends(group, feed, sink, lane, stop)
                });
            }
            Kind::Sole => {
                let sink = Sink::new(tag, 1, group.order());
                let (submitter, receiver) = group.split();
                self.submitter(Role::Submitter, index, submitter, tag, 0);
                self.spawn(Role::Receiver, index, move |lane, _| receive(receiver, sink, lane));
            }
            Kind::Shared => {
                let sink = Sink::new(tag, PRODUCERS, group.order());
                let (submitter, receiver) = group.split();
                let shared = submitter.share();
                for producer in 1..PRODUCERS {
                    let end = shared.clone();
                    self.submitter(Role::SharedSubmitter, index, end, tag, producer);
                }
                self.submitter(Role::SharedSubmitter, index, shared, tag, 0);
                self.spawn(Role::Receiver, index, move |lane, _| receive(receiver, sink, lane));
            }
        }
    }

    fn feed(&mut self, tag: u64, producer: u32) -> Feed {
        Feed { tag, producer, sent: 0, random: Random(self.random.next()) }
    }

    fn submitter<const SHARED: bool>(
        &mut self,
        role: Role,
        index: usize,
        mut end: SubmitEnd<Mill, SHARED>,
        tag: u64,
        producer: u32,
    ) {
        let mut feed = self.feed(tag, producer);
        self.spawn(role, index, move |_, stop| {
            while !stop.load(SeqCst) {
                for _ in 0..feed.burst() {
                    feed.submit(&mut end)?;
                }
                feed.pause();
            }
            Ok((feed.sent, 0))
        });
    }

    /// Starts a thread that says who it is and then drives an end.
    fn spawn(
        &mut self,
        role: Role,
        index: usize,
        drive: impl FnOnce(&Lane, &AtomicBool) -> Result<Tally, String> + Send + 'static,
    ) {
        let (lanes, stop) = (Arc::clone(&self.lanes), Arc::clone(&self.stop));
        let sender = self.sender.clone();
        self.drivers.push(thread::spawn(move || {
            // Nobody listens where another thread could not be started.
            let _ = sender.send(Target { role, thread: threads::own_id(), index });
            let result = drive(&lanes[index], &stop);
            if let Err(failure) = &result {
                let mut first = lanes[index].failure.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert(failure.clone());
            }
            result
        }));
    }
}

/// Makes the requests of one producer.
struct Feed {
    tag: u64,
    producer: u32,
    sent: u64,
    random: Random,
}

impl Feed {
    /// Submits the next request, by value or in place; waits while the window is full.
    fn submit<const SHARED: bool>(
        &mut self,
        end: &mut SubmitEnd<Mill, SHARED>,
    ) -> Result<(), String> {
        let (tag, producer, number) = (self.tag, self.producer, self.sent);
        if self.random.below(2) == 0 {
            let grain = Grain::new(tag, producer, number, Act::Pass);
            end.submit(grain).map_err(|error| error.to_string())?;
        } else {
            let fill = |grain: &mut Grain| grain.refill(tag, producer, number, Act::Pass);
            end.submit_with(fill).map_err(|error| error.to_string())?;
        }
        self.sent += 1;
        Ok(())
    }

    /// How many to submit before the next pause.
    fn burst(&mut self) -> u64 {
        let flood = if self.random.below(FLOOD_EVERY) == 0 { FLOOD } else { 1 };
        1 + self.random.below(BURST_MAX) * flood
    }

    fn pause(&mut self) {
        thread::sleep(Duration::from_micros(self.random.below(PAUSE_US_MAX)));
    }
}

/// Checks the results of a group.
struct Sink {
    tag: u64,
    positions: Oracle,
    /// By producer.
    numbers: Vec<Oracle>,
    received: u64,
}

impl Sink {
    fn new(tag: u64, producers: u32, order: Order) -> Self {
        let numbers = (0..producers).map(|_| Oracle::new(order, 0)).collect();
        Self { tag, positions: Oracle::new(order, 0), numbers, received: 0 }
    }

    fn take(&mut self, output: &Output<'_, Mill>, lane: &Lane) -> Result<(), String> {
        lane.note_result();
        mill::check(output, self.tag)?;
        if !output.is_done() {
            return Err(format!("{} ended as {:?}", output.position(), output.outcome()));
        }
        self.positions.take(output.position())?;
        let of_producer = self.numbers.get_mut(output.producer as usize);
        of_producer.ok_or("a producer that there is not")?.take(output.number)?;
        self.received += 1;
        Ok(())
    }

    /// Nothing is missing; how many came.
    fn finish(&self) -> Result<Tally, String> {
        self.positions.finish(self.received)?;
        Ok((0, self.received))
    }
}

fn receive(mut receiver: Receiver<Mill>, mut sink: Sink, lane: &Lane) -> Result<Tally, String> {
    while let Ok(output) = receiver.recv() {
        sink.take(&output, lane)?;
    }
    sink.finish()
}

fn both_ends(
    mut group: RequestGroup<Mill>,
    mut feed: Feed,
    mut sink: Sink,
    lane: &Lane,
    stop: &AtomicBool,
) -> Result<Tally, String> {
    while !stop.load(SeqCst) {
        // No flood: while this thread waits for a free slot nobody receives.
        for _ in 0..=feed.random.below(BURST_MAX) {
            feed.submit(group.submitter())?;
        }
        loop {
            match group.recv() {
                Ok(output) => sink.take(&output, lane)?,
                Err(RecvError::NothingInFlight) => break,
                Err(error) => return Err(error.to_string()),
            }
        }
        feed.pause();
    }
    let (_, received) = sink.finish()?;
    Ok((feed.sent, received))
}
