//! A group from its opening to the drop of its ends, one operation after the other.

use super::case::{End, Get, Op, Put, Session, Shape, Wait};
use super::log::{Got, Sent, is_set};
use super::machine::{Machine, Marks, World};
use super::receive::Consumer;
use super::submit::{Batching, Producer};
use stageline::{Ledger, Receiver, RecvError, RequestGroup, SharedSubmitter, SubmitEnd, Submitter};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::thread::{self, ScopedJoinHandle};

/// What is known of a session when it is over.
#[derive(Debug)]
pub struct Record {
    pub stream: usize,
    pub session: Session,
    pub group: usize,
    /// Its first position.
    pub base: u64,
    pub sent: Vec<Sent>,
    /// Positions that were taken by shared submitters and never filled.
    pub voids: u64,
    pub got: Vec<Got>,
    pub was_cancelled: bool,
    /// Its statistics, when everything was received.
    pub books: Option<Books>,
    /// What did not go as it should, noticed on the spot.
    pub odd: Vec<String>,
}

/// A group's statistics.
#[derive(Debug)]
pub struct Books {
    pub ledger: Ledger,
    /// Sampled times, of the queue and of the run.
    pub sampled: [u64; 2],
    /// The end of the pipeline had begun.
    pub end_begun: bool,
}

impl Books {
    fn of(world: &World, end: &Receiver<Machine>) -> Self {
        let stats = end.stats();
        let sampled = [stats.queue.count(), stats.run.count()];
        Self { ledger: stats.ledger, sampled, end_begun: world.ending.load(SeqCst) }
    }
}

/// How one thread holds a group.
enum Hold {
    Whole(RequestGroup<Machine>),
    Split(Submitter<Machine>, Receiver<Machine>),
    Shared([SharedSubmitter<Machine>; 2], Receiver<Machine>),
}

impl Hold {
    fn new(group: RequestGroup<Machine>, shape: Shape) -> Self {
        if shape == Shape::Whole {
            return Self::Whole(group);
        }
        let (submitter, receiver) = group.split();
        if shape == Shape::Split {
            return Self::Split(submitter, receiver);
        }
        let first = submitter.share();
        Self::Shared([first.clone(), first], receiver)
    }

    fn receiver(&mut self) -> &mut Receiver<Machine> {
        match self {
            Self::Whole(group) => group.receiver(),
            Self::Split(_, receiver) | Self::Shared(_, receiver) => receiver,
        }
    }
}

/// A session that goes on.
pub struct Active<'c> {
    world: Arc<World>,
    marks: Arc<Marks>,
    stream: usize,
    session: &'c Session,
    next_op: usize,
    hold: Hold,
    group: usize,
    base: u64,
    /// The second one is that of a second shared submitter.
    producers: [Producer; 2],
    next_producer: usize,
    consumer: Consumer,
}

impl<'c> Active<'c> {
    pub fn new(
        world: &Arc<World>,
        stream: usize,
        session: &'c Session,
        group: RequestGroup<Machine>,
    ) -> Self {
        let (marks, index) = (Arc::default(), group.index());
        let mut consumer = Consumer::new(world, &marks);
        if index >= world.tails.len() || group.order() != session.order {
            consumer.odd.push(format!("open: group {index}, {:?}", group.order()));
        }
        let (ledger, in_flight) = (group.stats().ledger, group.in_flight());
        if ledger != Ledger::default() || in_flight != 0 {
            consumer.odd.push(format!("open: {in_flight} in flight, {ledger}"));
        }
        let base = world.tails[index].load(SeqCst);
        let sole = (session.shape != Shape::Shared).then_some(base);
        let producers = [sole, None].map(|base| Producer::new(world, &marks, base));
        Self {
            world: Arc::clone(world),
            marks,
            stream,
            session,
            next_op: 0,
            hold: Hold::new(group, session.shape),
            group: index,
            base,
            producers,
            next_producer: 0,
            consumer,
        }
    }

    /// Does the next operation; `false` if there is none.
    pub fn step(&mut self) -> bool {
        let Some(op) = self.session.ops.get(self.next_op) else { return false };
        self.next_op += 1;
        match op {
            Op::Put(put) => self.put(put),
            Op::Get(get) => self.get(get),
        }
        true
    }

    fn put(&mut self, put: &Put) {
        let [first, second] = &mut self.producers;
        let is_full = match &mut self.hold {
            Hold::Whole(group) => first.put(group.submitter(), put),
            Hold::Split(submitter, _) => first.put(submitter, put),
            Hold::Shared(ends, _) => {
                self.next_producer ^= 1;
                let producer = if self.next_producer == 0 { first } else { second };
                producer.put(&mut ends[self.next_producer], put)
            }
        };
        // This thread has both ends: nothing has moved meanwhile.
        let in_flight = self.submitted().saturating_sub(self.consumer.got.len() as u64);
        if in_flight > self.world.setting.window as u64
            || (is_full && in_flight != self.world.setting.window as u64)
        {
            self.consumer.odd.push(format!("window: full is {is_full} with {in_flight} in flight"));
        }
    }

    fn get(&mut self, get: &Get) {
        if let (Hold::Whole(group), Get::Receive(Wait::Block, _)) = (&mut self.hold, get)
            && group.in_flight() == 0
        {
            let end = group.recv().err();
            if end != Some(RecvError::NothingInFlight) {
                self.consumer.odd.push(format!("recv: {end:?} with nothing in flight"));
            }
        }
        self.consumer.get(self.hold.receiver(), get);
        let in_flight = self.submitted().saturating_sub(self.consumer.got.len() as u64);
        if self.hold.receiver().in_flight() as u64 != in_flight {
            let said = self.hold.receiver().in_flight();
            self.consumer.odd.push(format!("in flight: {said}, but {in_flight} are"));
        }
    }

    fn submitted(&self) -> u64 {
        let each = |producer: &Producer| producer.sent.len() as u64 + producer.voids;
        self.producers.iter().map(each).sum()
    }

    /// The end of the session.
    pub fn end(self) -> Record {
        let Self { world, marks, session, hold, group, base, producers, consumer, .. } = self;
        let mut over = Over { world, marks, group, producers: producers.into(), consumer };
        let books = match hold {
            Hold::Whole(group) if matches!(session.end, End::SubmitterFirst) => {
                over.count_tail(0..1);
                over.marks.submitter_gone.store(true, SeqCst);
                drop(group);
                None
            }
            Hold::Whole(group) => {
                let (submitter, receiver) = group.split();
                over.end_sole(&session.end, submitter, receiver)
            }
            Hold::Split(submitter, receiver) => over.end_sole(&session.end, submitter, receiver),
            Hold::Shared(ends, receiver) => over.end_any(&session.end, ends.into(), receiver),
        };
        let mut record = Record {
            stream: self.stream,
            session: session.clone(),
            group,
            base,
            sent: Vec::new(),
            voids: 0,
            got: over.consumer.got,
            was_cancelled: over.marks.cancel.load(SeqCst),
            books,
            odd: over.consumer.odd,
        };
        for producer in over.producers {
            record.sent.extend(producer.sent);
            record.voids += producer.voids;
            record.odd.extend(producer.odd);
        }
        record
    }
}

/// A session at its end.
struct Over {
    world: Arc<World>,
    marks: Arc<Marks>,
    group: usize,
    producers: Vec<Producer>,
    consumer: Consumer,
}

impl Over {
    /// Says where the next opening begins, before the last end is gone.
    fn count_tail(&self, producers: std::ops::Range<usize>) {
        producers.for_each(|at| count_tail(&self.world, self.group, &self.producers[at]));
    }

    fn end_sole(
        &mut self,
        end: &End,
        submitter: Submitter<Machine>,
        receiver: Receiver<Machine>,
    ) -> Option<Books> {
        match end {
            End::Threads { shared: true, producers, .. } => {
                let first = submitter.share();
                let ends = producers.iter().map(|_| first.clone()).collect();
                drop(first);
                self.producers[0].share();
                self.producers.truncate(1);
                let forks = producers.iter().skip(1).map(|_| self.producers[0].fork());
                self.producers.extend(forks.collect::<Vec<_>>());
                self.end_any(end, ends, receiver)
            }
            _ => {
                self.producers.truncate(1);
                self.end_any(end, vec![submitter], receiver)
            }
        }
    }

    fn end_any<const SHARED: bool>(
        &mut self,
        end: &End,
        mut ends: Vec<SubmitEnd<Machine, SHARED>>,
        mut receiver: Receiver<Machine>,
    ) -> Option<Books>
    where
        SubmitEnd<Machine, SHARED>: Batching,
    {
        match end {
            End::ReceiverFirst(puts) => {
                drop_receiver(&self.marks, receiver);
                for put in puts {
                    self.producers[0].put(&mut ends[0], put);
                }
                self.drop_submitters(ends);
                None
            }
            End::SubmitterFirst => {
                self.drop_submitters(ends);
                drop_receiver(&self.marks, receiver);
                None
            }
            End::Drained => {
                self.drop_submitters(ends);
                self.consumer.receive_rest(&mut receiver);
                Some(Books::of(&self.world, &receiver))
            }
            End::Threads { producers, receiver: gets, drains, .. } => {
                self.end_in_threads(ends, producers, receiver, gets, *drains)
            }
        }
    }

    fn end_in_threads<const SHARED: bool>(
        &mut self,
        ends: Vec<SubmitEnd<Machine, SHARED>>,
        puts: &[Vec<Put>],
        mut receiver: Receiver<Machine>,
        gets: &[Get],
        drains: bool,
    ) -> Option<Books>
    where
        SubmitEnd<Machine, SHARED>: Batching,
    {
        let (world, marks, group) = (Arc::clone(&self.world), Arc::clone(&self.marks), self.group);
        let (world, marks) = (&world, &marks);
        let producers = std::mem::take(&mut self.producers);
        thread::scope(|scope| {
            let users = producers.into_iter().zip(ends).enumerate();
            let threads = users.map(|(at, (mut producer, mut end))| {
                scope.spawn(move || {
                    producer.is_alone = false;
                    for put in puts.get(at).into_iter().flatten() {
                        producer.put(&mut end, put);
                    }
                    count_tail(world, group, &producer);
                    marks.submitter_gone.store(true, SeqCst);
                    drop(end);
                    producer
                })
            });
            let mut threads: Vec<_> = threads.collect();
            let mut join = |threads: &mut Vec<_>| {
                let ended = threads.drain(..).map(|thread: ScopedJoinHandle<_>| thread.join());
                self.producers.extend(ended.map(|producer| producer.unwrap()));
            };
            self.consumer.is_alone = false;
            gets.iter().for_each(|get| self.consumer.get(&mut receiver, get));
            let books = drains.then(|| {
                self.consumer.receive_rest(&mut receiver);
                if is_set(&world.ending) || is_set(&marks.cancel) {
                    // A refused producer takes back a position that it has announced, and may not have yet.
                    join(&mut threads);
                }
                Books::of(world, &receiver)
            });
            drop_receiver(marks, receiver);
            join(&mut threads);
            books
        })
    }

    fn drop_submitters<const SHARED: bool>(&self, ends: Vec<SubmitEnd<Machine, SHARED>>) {
        self.count_tail(0..self.producers.len());
        self.marks.submitter_gone.store(true, SeqCst);
        drop(ends);
    }
}

fn count_tail(world: &World, group: usize, producer: &Producer) {
    world.tails[group].fetch_add(producer.sent.len() as u64 + producer.voids, SeqCst);
}

fn drop_receiver(marks: &Marks, receiver: Receiver<Machine>) {
    marks.receiver_gone.store(true, SeqCst);
    drop(receiver);
    marks.receiver_gone_done.store(true, SeqCst);
}
