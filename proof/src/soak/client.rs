//! A client: it opens one group after the other, and does with each something of what can be done.

use super::counts::Counts;
use super::visit::{Feed, Sink, Stop};
use crate::common::{ORDERS, Random};
use crate::mill::Mill;
use stageline::{Order, Receiver, RequestGroup, SharedSubmitter};
use std::sync::mpsc::{Receiver as Inbox, SyncSender, sync_channel};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

/// A deadline is at most this far ahead.
const DEADLINE_US_MAX: u64 = 300;
/// A receiver that lags does so for this long at most.
const LAG_US_MAX: u64 = 3_000;
/// Requests of a long visit, at most, in windows.
const WINDOWS_MAX: u64 = 4;

/// What is done with a group.
#[derive(Clone, Copy, Debug)]
enum Visit {
    /// A request or none, received or left behind.
    Brief,
    /// Submits and receives by turns, in all ways.
    Stream,
    /// The receiver is another thread.
    Split,
    /// Two producers, one of them another thread.
    Shared,
    /// Cancelled with requests in flight.
    Cancel,
    /// Deadlines that have passed, that pass soon and that never pass.
    Deadlines,
    /// Dropped with requests in flight.
    Abandon,
    /// Its receiver comes late, to a full window.
    Lag,
    /// Fillers that panic, in a sole and in a shared submit end.
    Broken,
}

/// Each as often as it stands here.
const VISITS: [Visit; 24] = [
    Visit::Brief,
    Visit::Brief,
    Visit::Brief,
    Visit::Brief,
    Visit::Brief,
    Visit::Brief,
    Visit::Brief,
    Visit::Brief,
    Visit::Brief,
    Visit::Brief,
    Visit::Brief,
    Visit::Brief,
    Visit::Stream,
    Visit::Stream,
    Visit::Stream,
    Visit::Split,
    Visit::Split,
    Visit::Shared,
    Visit::Cancel,
    Visit::Deadlines,
    Visit::Abandon,
    Visit::Abandon,
    Visit::Lag,
    Visit::Broken,
];

/// Work for the other thread of a client.
enum Work {
    Receive(Receiver<Mill>, Sink, SyncSender<Result<(Receiver<Mill>, Sink), String>>),
    Produce(SharedSubmitter<Mill>, Feed, u64, SyncSender<Feed>),
}

/// Does the work of the other thread, until the client is gone.
fn assist(inbox: &Inbox<Work>) {
    for work in inbox {
        // Nobody waits for the answer if the client has failed.
        match work {
            Work::Receive(mut receiver, mut sink, answer) => {
                let result = loop {
                    match sink.next(&mut receiver) {
                        Ok(true) => {}
                        Ok(false) => break Ok((receiver, sink)),
                        Err(error) => break Err(error),
                    }
                };
                let _ = answer.send(result);
            }
            Work::Produce(mut end, mut feed, total, answer) => {
                let mut left = total;
                while left > 0 {
                    match feed.one_in_time(&mut end) {
                        Ok(()) => left -= 1,
                        Err(Stop::Full) => thread::yield_now(),
                        Err(Stop::Refused) => break,
                    }
                }
                drop(end);
                let _ = answer.send(feed);
            }
        }
    }
}

/// A client.
pub(super) struct Client {
    random: Random,
    other: SyncSender<Work>,
    window: u64,
    /// Whether groups may be dropped with requests whose ends nobody sees.
    pub(super) may_abandon: bool,
    pub(super) counts: Counts,
}

impl Client {
    /// A client, and its other thread, which ends with it.
    pub(super) fn new<'scope>(
        scope: &'scope Scope<'scope, '_>,
        seed: u64,
        window: u64,
        may_abandon: bool,
    ) -> Self {
        let (other, inbox) = sync_channel(1);
        scope.spawn(move || assist(&inbox));
        Self { random: Random(seed), other, window, may_abandon, counts: Counts::default() }
    }

    /// One of both orders.
    pub(super) fn order(&mut self) -> Order {
        ORDERS[self.random.below(2) as usize]
    }

    fn fork(&mut self) -> Random {
        Random(self.random.next())
    }

    /// Does something with a group that was just opened.
    pub(super) fn visit(&mut self, group: RequestGroup<Mill>, tag: u64) -> Result<(), String> {
        self.counts.groups += 1;
        let visit = VISITS[self.random.below(VISITS.len() as u64) as usize];
        self.visit_as(visit, group, tag).map_err(|error| format!("{visit:?}: {error}"))
    }

    fn visit_as(
        &mut self,
        visit: Visit,
        mut group: RequestGroup<Mill>,
        tag: u64,
    ) -> Result<(), String> {
        if matches!(visit, Visit::Brief) && self.random.below(2) == 0 {
            return Ok(());
        }
        let mut feed = Feed::new(tag, 0, self.fork());
        if matches!(visit, Visit::Deadlines) {
            set_deadline(&mut group, feed.random());
        }
        // The pipeline may have ended meanwhile.
        let Ok(first) = feed.one(group.submitter()) else {
            self.counts.cut_short += 1;
            return Ok(());
        };
        let producers = if matches!(visit, Visit::Shared | Visit::Broken) { 2 } else { 1 };
        let sink = Sink::new(tag, producers, group.order(), first, self.fork());
        match visit {
            Visit::Brief if self.may_abandon && self.random.below(4) == 0 => {
                self.abandon(group, &feed, &sink);
                Ok(())
            }
            Visit::Brief => self.settle(group, &feed, sink),
            Visit::Stream | Visit::Deadlines => self.stream(group, feed, sink, visit),
            Visit::Cancel => self.cancel(group, feed, sink),
            Visit::Lag => {
                feed.batch(group.submitter(), self.window);
                thread::sleep(Duration::from_micros(self.random.below(LAG_US_MAX)));
                self.settle(group, &feed, sink)
            }
            Visit::Abandon => self.leave_in_flight(group, feed, sink),
            Visit::Split => self.split(group, feed, sink),
            Visit::Shared => self.share(group, feed, sink, tag),
            Visit::Broken => self.break_fillers(group, feed, sink),
        }
    }

    fn stream(
        &mut self,
        mut group: RequestGroup<Mill>,
        mut feed: Feed,
        mut sink: Sink,
        visit: Visit,
    ) -> Result<(), String> {
        let total = self.random.below(WINDOWS_MAX * self.window);
        while feed.sent.ledger.submitted < total {
            if matches!(visit, Visit::Deadlines) {
                set_deadline(&mut group, feed.random());
            }
            let most = 1 + self.random.below(self.window);
            let submitted = match self.random.below(3) {
                0 => feed.batch(group.submitter(), most),
                _ => feed.some(group.submitter(), most),
            };
            let received = sink.some(group.receiver())?;
            if submitted + received > 0 {
                continue;
            }
            // The window is full and nothing has finished; or nothing is taken any more.
            if group.in_flight() == 0 {
                self.counts.cut_short += 1;
                break;
            }
            sink.next(group.receiver())?;
        }
        self.settle(group, &feed, sink)
    }

    fn cancel(
        &mut self,
        mut group: RequestGroup<Mill>,
        mut feed: Feed,
        sink: Sink,
    ) -> Result<(), String> {
        let most = self.random.below(self.window);
        feed.some(group.submitter(), most);
        if self.random.below(2) == 0 {
            group.cancel()
        } else {
            group.submitter().cancel()
        }
        self.counts.cancels += 1;
        if !feed.one(group.submitter()).is_err_and(is_refused) {
            return Err("a cancelled group takes more".to_owned());
        }
        self.settle(group, &feed, sink)
    }

    fn leave_in_flight(
        &mut self,
        mut group: RequestGroup<Mill>,
        mut feed: Feed,
        mut sink: Sink,
    ) -> Result<(), String> {
        let most = self.random.below(self.window);
        feed.batch(group.submitter(), most);
        if !self.may_abandon {
            return self.settle(group, &feed, sink);
        }
        if self.random.below(2) == 0 {
            sink.some(group.receiver())?;
        }
        self.abandon(group, &feed, &sink);
        Ok(())
    }

    fn split(
        &mut self,
        group: RequestGroup<Mill>,
        mut feed: Feed,
        sink: Sink,
    ) -> Result<(), String> {
        let (mut submitter, receiver) = group.split();
        let (answer, result) = sync_channel(1);
        let gone = "the other thread is gone";
        self.other.send(Work::Receive(receiver, sink, answer)).map_err(|_| gone)?;
        let mut left = self.random.below(WINDOWS_MAX * self.window);
        while left > 0 {
            match feed.one_in_time(&mut submitter) {
                Ok(()) => left -= 1,
                Err(Stop::Full) => thread::yield_now(),
                Err(Stop::Refused) => {
                    self.counts.cut_short += 1;
                    break;
                }
            }
        }
        drop(submitter);
        let (receiver, mut sink) = result.recv().map_err(|_| gone)??;
        sink.finish(&feed.sent, &receiver.stats())?;
        self.add(&feed, &sink);
        Ok(())
    }

    fn share(
        &mut self,
        group: RequestGroup<Mill>,
        mut feed: Feed,
        mut sink: Sink,
        tag: u64,
    ) -> Result<(), String> {
        let (submitter, mut receiver) = group.split();
        let mut shared = submitter.share();
        let (answer, result) = sync_channel(1);
        let gone = "the other thread is gone";
        let (second, total) = (Feed::new(tag, 1, self.fork()), self.random.below(2 * self.window));
        let work = Work::Produce(shared.clone(), second, total, answer);
        self.other.send(work).map_err(|_| gone)?;
        for _ in 0..self.random.below(2 * self.window) {
            if feed.one(&mut shared).is_err_and(is_refused) {
                self.counts.cut_short += 1;
                break;
            }
            sink.some(&mut receiver)?;
        }
        drop(shared);
        while sink.next(&mut receiver)? {}
        feed.sent += &result.recv().map_err(|_| gone)?.sent;
        sink.finish(&feed.sent, &receiver.stats())?;
        self.add(&feed, &sink);
        Ok(())
    }

    fn break_fillers(
        &mut self,
        mut group: RequestGroup<Mill>,
        mut feed: Feed,
        mut sink: Sink,
    ) -> Result<(), String> {
        feed.broken(group.submitter())?;
        feed.some(group.submitter(), 2);
        let (submitter, mut receiver) = group.split();
        let mut shared = submitter.share();
        sink.expect_voids();
        for _ in 0..self.random.below(4) {
            feed.broken(&mut shared)?;
            feed.some(&mut shared, 2);
        }
        drop(shared);
        while sink.next(&mut receiver)? {}
        sink.finish(&feed.sent, &receiver.stats())?;
        self.add(&feed, &sink);
        Ok(())
    }

    /// Receives everything, and compares.
    fn settle(
        &mut self,
        mut group: RequestGroup<Mill>,
        feed: &Feed,
        mut sink: Sink,
    ) -> Result<(), String> {
        sink.until(group.receiver(), feed.sent.ledger.submitted)?;
        sink.finish(&feed.sent, &group.stats())?;
        self.add(feed, &sink);
        Ok(())
    }

    /// Drops a group: what is in flight ends as it was to end, and nobody sees it.
    fn abandon(&mut self, group: RequestGroup<Mill>, feed: &Feed, sink: &Sink) {
        drop(group);
        self.counts.abandoned += 1;
        self.counts += &feed.sent;
        self.counts.ledger.received += sink.received;
        self.counts.unseen += feed.sent.ledger.submitted - sink.received;
    }

    fn add(&mut self, feed: &Feed, sink: &Sink) {
        self.counts += &sink.came;
        self.counts.full += feed.sent.full;
        self.counts.filler_panics += feed.sent.filler_panics;
    }
}

#[allow(clippy::needless_pass_by_value)]
fn is_refused(stop: Stop) -> bool {
    matches!(stop, Stop::Refused)
}

/// One that has passed, one that passes soon, a far one, or none.
fn set_deadline(group: &mut RequestGroup<Mill>, random: &mut Random) {
    let now = Instant::now();
    let soon = Duration::from_micros(random.below(DEADLINE_US_MAX));
    group.set_deadline(match random.below(4) {
        0 => Some(now),
        1 => Some(now + soon),
        2 => Some(now + Duration::from_secs(86_400)),
        _ => None,
    });
}
