//! Any sequence of operations on the groups of a pipeline, by one thread that drives them all.
//!
//! The model of a group (`model.rs`) says of each operation what it must answer: nearly all of it is
//! certain, since nobody else submits, receives, cancels or closes. What is not, since workers run at
//! their own pace, is whether a result is there already, and how a request ends that is cancelled or
//! whose deadline comes.

mod ends;
mod machine;
mod model;
mod plan;

use crate::common::{assert_balanced, eventually};
use crate::{ASKED, all_of, allow_asked_panics};
use arbitrary::{Arbitrary, Unstructured};
use ends::Ends;
use machine::{Act, Counts, Driven, End, Load, fresh_counts, hook};
use model::{Answer, Model, VISITS_MAX, assert_covers};
use plan::{Ending, How, Op, Pick, Setup, Then, Way};
use stageline::{
    Ledger, OpenError, Order, Output, Pipeline, RecvError, RecvTimeoutError, TryRecvError,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// Operations of one run, so that none takes long.
const OPS_MAX: usize = 200;

/// Plays the operations that a byte string stands for.
pub fn run(data: &[u8]) {
    allow_asked_panics();
    let mut bytes = Unstructured::new(data);
    let Ok(setup) = Setup::arbitrary(&mut bytes) else { return };
    let mut driver = Driver::new(&setup);
    for op in all_of(&mut bytes).take(OPS_MAX) {
        driver.step(op);
        driver.check_loads();
    }
    driver.finish();
}

struct Driver {
    counts: Arc<Counts>,
    pipeline: Option<Pipeline<Driven>>,
    aborted: bool,
    two_workers: bool,
    hooked: bool,
    dag: bool,
    window: usize,
    /// By group: the position of its next request.
    positions: Vec<u64>,
    /// The open groups.
    streams: Vec<(Ends, Model)>,
    next_id: u64,
    /// Of the groups that were closed.
    total: Ledger,
    /// Requests whose receiver was dropped before it had them.
    unseen: u64,
}

impl Driver {
    fn new(setup: &Setup) -> Self {
        let counts = fresh_counts();
        let (groups, window) = (setup.groups as usize + 1, 2 << setup.window as usize);
        let mut builder = Pipeline::builder_with(|| Driven, Load::default)
            .workers(1 + usize::from(setup.two_workers))
            .reserve(0)
            .pin(false)
            .groups(groups)
            .window(window)
            .visits_max(VISITS_MAX)
            .sample_every(if setup.sampled { 1 } else { 1024 })
            .batch_max(if setup.small_batches { 2 } else { 128 })
            .first_position(setup.start.position());
        if setup.hooked {
            builder = builder.before_stage(hook);
        }
        if setup.dag {
            builder = builder.dag();
        }
        Self {
            counts,
            pipeline: Some(builder.build().expect("all values are in their ranges")),
            aborted: false,
            two_workers: setup.two_workers,
            hooked: setup.hooked,
            dag: setup.dag,
            window,
            positions: vec![setup.start.position(); groups],
            streams: Vec::new(),
            next_id: 0,
            total: Ledger::default(),
            unseen: 0,
        }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Open { by_completion } => self.open(by_completion),
            Op::Submit { pick, how, act } => self.submit(pick, how, act),
            Op::Batch { pick, len, act, panics_at } => self.batch(pick, len, act, panics_at),
            Op::Receive { pick, way, then } => self.receive(pick, way, then),
            Op::Drain { pick, max, panics_at } => self.drain(pick, max.into(), panics_at),
            Op::Cancel { pick, by_submitter } => {
                self.with(pick, |ends, model| {
                    ends.cancel(by_submitter);
                    model.cancelled = true;
                });
            }
            Op::SetDeadline { pick, deadline } => {
                self.with(pick, |ends, _| ends.set_deadline(deadline));
            }
            Op::Split { pick } => _ = self.with(pick, |ends, _| ends.split()),
            Op::Share { pick } => _ = self.with(pick, |ends, _| ends.share()),
            Op::Clone { pick } => _ = self.with(pick, |ends, _| ends.duplicate()),
            Op::DropSubmitter { pick } => _ = self.drop_ends(pick, true, false),
            Op::DropReceiver { pick } => _ = self.drop_ends(pick, false, true),
            Op::DropGroup { pick } => while self.drop_ends(pick, true, true) {},
            Op::Stats { pick } => self.stats(pick),
            Op::Settle => self.settle(),
            Op::Yield => std::thread::yield_now(),
            Op::End(ending) => self.end(ending),
        }
    }

    /// Does something with one of the open groups, if there are any.
    fn with<R>(&mut self, pick: Pick, act: impl FnOnce(&mut Ends, &mut Model) -> R) -> Option<R> {
        let open = self.streams.len();
        let (ends, model) = self.streams.get_mut(usize::from(pick).checked_rem(open)?)?;
        Some(act(ends, model))
    }

    fn open(&mut self, by_completion: bool) {
        let Some(pipeline) = &self.pipeline else { return };
        let order = if by_completion { Order::Completion } else { Order::Submission };
        let groups = self.positions.len();
        if self.streams.len() == groups {
            assert_eq!(pipeline.open(order).err(), Some(OpenError::NoneFree { groups }));
            return;
        }
        // One that was closed may have to wait for its requests.
        let mut opened = None;
        eventually("a group that is closed can be opened", || {
            opened = pipeline.open(order).ok();
            opened.is_some()
        });
        let group = opened.expect("it was opened");
        assert_eq!((group.order(), group.in_flight()), (order, 0));
        let model = Model {
            index: group.index(),
            keeps_order: !by_completion || !self.two_workers,
            window: self.window,
            hooked: self.hooked,
            dag: self.dag,
            next: self.positions[group.index()],
            queue: Default::default(),
            leaked: None,
            cancelled: false,
            receiver_gone: false,
            tally: Ledger::default(),
        };
        model.check_stats(&group.stats());
        self.streams.push((Ends::of(group), model));
    }

    fn submit(&mut self, pick: Pick, how: How, act: Act) {
        let (closed, id) = (self.pipeline.is_none(), self.next_id);
        self.next_id += 1;
        self.with(pick, |ends, model| {
            let expected = model.answer(closed);
            let how = match how {
                // It would wait for ever.
                How::Wait if expected == Answer::Full => How::Timeout,
                How::InPlaceWait if expected == Answer::Full => How::InPlace,
                other => other,
            };
            let Some((submitted, deadline, shared)) = ends.submit(how, id, act) else { return };
            match submitted {
                Ok((answer, position)) => {
                    assert_eq!(answer, expected, "{how:?}: {model:?}");
                    if answer == Answer::Accepted {
                        assert_eq!(position, model.next);
                        model.accept(id, act, deadline, false);
                    }
                }
                Err(()) => {
                    assert_eq!(expected, Answer::Accepted, "the filler was not to be called");
                    if shared {
                        model.accept(id, act, deadline, true);
                    }
                }
            }
        });
    }

    fn batch(&mut self, pick: Pick, len: u8, act: Act, panics_at: Option<u8>) {
        let (closed, first) = (self.pipeline.is_none(), self.next_id);
        self.next_id += u64::from(len);
        self.with(pick, |ends, model| {
            let vacant = match model.answer(closed) {
                Answer::Accepted => model.vacant() as u64,
                _ => 0,
            };
            let Some((end, deadline)) = ends.sole() else { return };
            let (len, panics_at) = (u64::from(len), panics_at.map(u64::from));
            let mut calls = 0;
            let mut values = std::iter::from_fn(|| {
                let call = calls;
                if Some(call) == panics_at {
                    panic!("{ASKED}{call}");
                }
                calls += 1;
                (call < len).then(|| Load::new(first + call, act))
            });
            let filled = catch_unwind(AssertUnwindSafe(|| end.submit_batch(&mut values)));
            let panics = panics_at.filter(|at| *at < vacant && *at <= len);
            let expected = panics.unwrap_or(len.min(vacant));
            assert_eq!(filled.ok(), panics.is_none().then_some(expected as usize), "{model:?}");
            assert!(calls <= vacant, "a value was taken for which there is no slot");
            (0..expected).for_each(|call| model.accept(first + call, act, deadline, false));
        });
    }

    fn receive(&mut self, pick: Pick, way: Way, then: Then) {
        let (closed, aborted) = (self.pipeline.is_none(), self.aborted);
        self.with(pick, |ends, model| {
            let may_end = closed || model.cancelled || !ends.has_submitter();
            let left = model.queue.len();
            if let (Way::Wait, Some(ends::With(group, _)), 0) = (way, &mut ends.group, left) {
                assert_eq!(group.recv().err(), Some(RecvError::NothingInFlight));
                return;
            }
            let Some(receiver) = ends.receiver() else { return };
            let received = match way {
                Way::Wait if left > 0 || may_end => receiver.recv().map_err(|_| true),
                Way::Timeout => receiver
                    .recv_timeout(Duration::from_micros(50))
                    .map_err(|none| none == RecvTimeoutError::Closed),
                _ => receiver.try_recv().map_err(|none| none == TryRecvError::Closed),
            };
            match received {
                Ok(output) => use_output(output, then, model, aborted),
                Err(true) => assert!(left == 0 && may_end, "closed: {model:?}"),
                Err(false) => assert!(left > 0 || !may_end, "not closed: {model:?}"),
            }
        });
    }

    fn drain(&mut self, pick: Pick, max: usize, panics_at: Option<u8>) {
        let aborted = self.aborted;
        self.with(pick, |ends, model| {
            let Some(receiver) = ends.receiver() else { return };
            let mut calls = 0;
            let drained = catch_unwind(AssertUnwindSafe(|| {
                receiver.drain(max, |output| {
                    let (at, end) = model.check(output, aborted);
                    model.received(at, end);
                    calls += 1;
                    if panics_at.is_some_and(|at| usize::from(at) + 1 == calls) {
                        panic!("{ASKED}{at}");
                    }
                })
            }));
            let panicked = panics_at.is_some_and(|at| usize::from(at) + 1 == calls);
            assert_eq!(drained.ok(), (!panicked).then_some(calls));
            assert!(calls <= max);
        });
    }

    /// Drops a handle of either end; whether there are more of them.
    fn drop_ends(&mut self, pick: Pick, submitter: bool, receiver: bool) -> bool {
        let mut unseen = 0;
        let gone = self.with(pick, |ends, model| {
            ends.split();
            if submitter && ends.sole.take().is_none() {
                ends.shared.pop();
            }
            if receiver && ends.receiver.take().is_some() {
                unseen = model.queue.len() as u64;
                model.queue.clear();
                (model.leaked, model.receiver_gone) = (None, true);
            }
            ends.are_gone()
        });
        self.unseen += unseen;
        if gone == Some(true) {
            let (_, model) = self.streams.remove(usize::from(pick) % self.streams.len());
            self.positions[model.index] = model.next;
            add(&mut self.total, &model.tally);
        }
        gone == Some(false)
    }

    fn stats(&mut self, pick: Pick) {
        let open = self.streams.len();
        let index = self.with(pick, |ends, model| {
            if let Some(receiver) = ends.receiver() {
                assert_eq!(receiver.in_flight(), model.queue.len());
                model.check_stats(&receiver.stats());
            }
            model.index
        });
        let Some(pipeline) = &self.pipeline else { return };
        let stats = pipeline.stats();
        assert_eq!(stats.groups_open, open);
        assert_eq!(stats.ledger.submitted, self.sum().submitted);
        assert!(index.is_none_or(|index| pipeline.group_stats(index).is_some()));
        assert!(pipeline.group_stats(self.positions.len()).is_none());
    }

    fn settle(&self) {
        let Some(pipeline) = &self.pipeline else { return };
        let submitted = self.sum().submitted;
        eventually("every request ends", || pipeline.ledger().ended() == submitted);
    }

    fn end(&mut self, ending: Ending) {
        let Some(pipeline) = self.pipeline.take() else { return };
        let waiting: Vec<usize> = self
            .streams
            .iter()
            .filter_map(|(_, model)| (!model.queue.is_empty()).then_some(model.index))
            .collect();
        match ending {
            Ending::Drop => drop(pipeline),
            Ending::Abort => {
                self.aborted = true;
                self.check_ledger(&pipeline.abort());
            }
            Ending::Close if waiting.is_empty() => self.check_ledger(&pipeline.close()),
            Ending::Close => {
                let error = pipeline.close_timeout(Duration::from_millis(1)).expect_err("waiting");
                let named = |index| error.groups.contains(index);
                assert!(waiting.iter().all(named), "{error}: {waiting:?}");
            }
        }
    }

    /// What the pipeline says at its end.
    fn check_ledger(&self, ledger: &Ledger) {
        assert_balanced(ledger);
        let sum = self.sum();
        assert_eq!(ledger.submitted, sum.submitted, "{ledger}, of which received: {sum}");
        assert_covers(ledger, &sum);
        if self.unseen == 0 {
            assert_eq!(ledger.received, sum.received);
        }
    }

    /// What was submitted and received in all openings of all groups.
    fn sum(&self) -> Ledger {
        let mut sum = self.total;
        self.streams.iter().for_each(|(_, model)| add(&mut sum, &model.tally));
        sum
    }

    /// Each slot holds one payload for ever; this thread holds none between two operations.
    fn check_loads(&self) {
        if self.pipeline.is_some() || !self.streams.is_empty() {
            let slots = (self.positions.len() * self.window) as i64;
            assert_eq!(self.counts.loads.load(SeqCst), slots, "live payloads");
        }
    }

    /// Every accepted request comes, then the end; and nothing is left.
    fn finish(mut self) {
        for stream in 0..self.streams.len() {
            while !self.streams[stream].1.queue.is_empty() {
                self.receive(stream as Pick, Way::Wait, Then::Look);
            }
            self.receive(stream as Pick, Way::Try, Then::Look);
            self.stats(stream as Pick);
        }
        self.end(Ending::Close);
        self.check_loads();
        self.streams.clear();
        eventually("no value is left", || {
            self.counts.loads.load(SeqCst) == 0 && self.counts.errors.load(SeqCst) == 0
        });
    }
}

fn use_output(output: Output<'_, Driven>, then: Then, model: &mut Model, aborted: bool) {
    let (at, end) = model.check(&output, aborted);
    let (id, position) = (output.id, output.position());
    match then {
        Then::Look => drop(output),
        Then::Write => {
            let mut output = output;
            output.fill(u64::MAX, Act::Pass);
        }
        Then::Take => assert_eq!(output.take().id, id),
        Then::Replace => assert_eq!(output.replace(Load::default()).id, id),
        Then::IntoError => match output.into_error() {
            Ok(trouble) => assert!(end == End::Failed && *trouble.id == id),
            Err(output) => assert!(end != End::Failed && output.id == id),
        },
        Then::Forget => {
            std::mem::forget(output);
            model.leaked = Some(position);
            return;
        }
    }
    model.received(at, end);
}

fn add(sum: &mut Ledger, more: &Ledger) {
    sum.submitted += more.submitted;
    sum.received += more.received;
    sum.done += more.done;
    sum.failed += more.failed;
    sum.dropped += more.dropped;
    sum.cancelled += more.cancelled;
    sum.expired += more.expired;
    sum.panicked += more.panicked;
    sum.cyclic += more.cyclic;
}
