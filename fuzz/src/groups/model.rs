//! What a group must answer: a queue of what was submitted, and counts.

use super::machine::{Act, Driven, End, Load};
use super::plan::Deadline;
use stageline::{GroupStats, Ledger, Outcome, Output};
use std::collections::VecDeque;

/// Stages that a request may run through.
pub const VISITS_MAX: u32 = 6;

/// A request that was accepted.
#[derive(Debug)]
pub struct Sent {
    position: u64,
    id: u64,
    act: Act,
    deadline: Deadline,
    /// Its filler panicked, in a shared submitter.
    void: bool,
}

/// What a submission must answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Accepted,
    Full,
    Cancelled,
    Closed,
}

/// One opening of a group.
#[derive(Debug)]
pub struct Model {
    pub index: usize,
    /// Whether outputs come as they were submitted.
    pub keeps_order: bool,
    pub window: usize,
    pub hooked: bool,
    pub dag: bool,
    /// The position of the next request.
    pub next: u64,
    pub queue: VecDeque<Sent>,
    /// An output that was leaked comes again.
    pub leaked: Option<u64>,
    pub cancelled: bool,
    pub receiver_gone: bool,
    /// By what was received.
    pub tally: Ledger,
}

impl Model {
    pub fn vacant(&self) -> usize {
        self.window - self.queue.len()
    }

    /// What a submission of any kind answers.
    pub fn answer(&self, closed: bool) -> Answer {
        match () {
            () if closed => Answer::Closed,
            () if self.cancelled => Answer::Cancelled,
            () if self.receiver_gone => Answer::Closed,
            () if self.vacant() == 0 => Answer::Full,
            () => Answer::Accepted,
        }
    }

    pub fn accept(&mut self, id: u64, act: Act, deadline: Deadline, void: bool) {
        self.queue.push_back(Sent { position: self.next, id, act, deadline, void });
        self.next = self.next.wrapping_add(1);
        self.tally.submitted += 1;
    }

    /// Checks an output, and says which of the queue it is and how it has ended.
    pub fn check(&mut self, output: &Output<'_, Driven>, aborted: bool) -> (usize, End) {
        let position = output.position();
        let found = self.queue.iter().position(|sent| sent.position == position);
        let at = found.unwrap_or_else(|| panic!("nobody waits for {position}: {self:?}"));
        assert!(at == 0 || !self.keeps_order, "{position} overtakes: {self:?}");
        if let Some(leaked) = self.leaked.take() {
            assert_eq!(position, leaked, "the leaked one comes again");
        }
        let sent = &self.queue[at];
        let end = end_of(output, sent, self.dag);
        assert_eq!(output.is_done(), end == End::Done);
        let cancelled = self.cancelled || aborted;
        let own = sent.act.end(self.hooked);
        let allowed = match (sent.void, sent.deadline) {
            (true, _) => end == End::Cancelled,
            (false, Deadline::Past) => end == End::Expired || cancelled && end == End::Cancelled,
            (false, deadline) => {
                end == own
                    || cancelled && end == End::Cancelled
                    || deadline == Deadline::Soon && end == End::Expired
            }
        };
        assert!(allowed, "{sent:?} ended as {end:?}; cancelled: {cancelled}");
        if !sent.void {
            assert_eq!(output.id, sent.id, "the payload of another request");
            assert!(output.is_whole(), "half a payload: {sent:?}");
        }
        (at, end)
    }

    /// The output that [`check`](Self::check) has placed was given back.
    pub fn received(&mut self, at: usize, end: End) {
        self.queue.remove(at);
        let tally = &mut self.tally;
        tally.received += 1;
        *match end {
            End::Done => &mut tally.done,
            End::Failed => &mut tally.failed,
            End::Dropped => &mut tally.dropped,
            End::Cancelled => &mut tally.cancelled,
            End::Expired => &mut tally.expired,
            End::Panicked => &mut tally.panicked,
            End::Cyclic => &mut tally.cyclic,
        } += 1;
    }

    pub fn check_stats(&self, stats: &GroupStats) {
        let (ledger, tally) = (&stats.ledger, &self.tally);
        assert_eq!(stats.group, self.index);
        assert_eq!(ledger.submitted, tally.submitted, "{self:?}");
        assert_eq!(ledger.received, tally.received, "{self:?}");
        assert!(ledger.ended() <= tally.submitted, "{ledger}: {self:?}");
        assert_covers(ledger, tally);
        assert!(stats.running <= self.window);
        assert!(stats.queue.count().max(stats.run.count()) <= tally.submitted);
    }
}

/// What was received is counted under the same outcomes.
pub fn assert_covers(ledger: &Ledger, received: &Ledger) {
    let pairs = [
        (ledger.done, received.done),
        (ledger.failed, received.failed),
        (ledger.dropped, received.dropped),
        (ledger.cancelled, received.cancelled),
        (ledger.expired, received.expired),
        (ledger.panicked, received.panicked),
        (ledger.cyclic, received.cyclic),
    ];
    assert!(pairs.iter().all(|(all, some)| all >= some), "{ledger}, received: {received}");
}

fn end_of(output: &Output<'_, Driven>, sent: &Sent, dag: bool) -> End {
    match output.outcome() {
        Outcome::Done => End::Done,
        Outcome::Failed { error: trouble, .. } => {
            assert_eq!(*trouble.id, sent.id, "the error of another request");
            End::Failed
        }
        Outcome::Dropped { .. } => End::Dropped,
        Outcome::Cancelled => End::Cancelled,
        Outcome::Expired => End::Expired,
        Outcome::Panicked(message) => {
            let own = format!("{}{}", crate::ASKED, sent.id);
            assert!(message == own || message.starts_with(crate::BEYOND), "{message}: {sent:?}");
            End::Panicked
        }
        Outcome::Cyclic(way) => {
            let names = ["first", "second"].into_iter().cycle();
            let stages = if dag { 3 } else { VISITS_MAX as usize + 1 };
            assert_eq!(way.to_string(), names.take(stages).collect::<Vec<_>>().join(" -> "));
            End::Cyclic
        }
        Outcome::FailedAs { .. } | Outcome::Abandoned => unreachable!("no stage here answers so"),
    }
}

/// A payload that came back unused.
pub fn assert_given_back(load: &Load, id: u64) {
    assert!(load.id == id && load.is_whole(), "{load:?} came back for {id}");
}
