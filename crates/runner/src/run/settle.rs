//! What becomes of messages whose journey is over: counted, told to their source, and to the dead letter or the user
//! if they failed.

use super::graph::Graph;
use super::machine::{Line, UNMADE};
use super::parcel::{Fate, Parcel};
use super::signals::Why;
use crate::limits::{FAILURES_TOLD, NAP};
use crate::plan::OnFailure;
use stageline::{Outcome, Output, Receiver, SharedSubmitter, TrySubmitError};
use stageline_builtin::STDOUT_CLOSED;
use stageline_component::{Acknowledge, Message, TooLarge};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Results that are taken at once.
const DRAINED_AT_ONCE: usize = 256;

/// How the messages of a source ended. Written by its settler alone, read by who shows progress.
#[derive(Debug, Default)]
pub struct Settled {
    pub done: AtomicU64,
    pub dropped: AtomicU64,
    pub failed: AtomicU64,
    /// Failed, and taken by the dead letter.
    pub letters: AtomicU64,
    /// Failed, and told of as part of the message that they were folded into.
    pub folded: AtomicU64,
    /// Not begun or not ended when the run was cut short.
    pub cancelled: AtomicU64,
    /// Ended by the engine, and not by the answer of a component.
    stopped: AtomicU64,
}

impl Settled {
    /// All that have ended.
    pub fn all(&self) -> u64 {
        let all = [&self.done, &self.dropped, &self.failed, &self.cancelled];
        all.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Those that the engine has ended, but for what followed them.
    pub fn stopped(&self) -> u64 {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Those that the dead letter has taken.
    pub fn letters(&self) -> u64 {
        self.letters.load(Ordering::Relaxed)
    }
}

fn add(count: &AtomicU64, more: u64) {
    // One writer.
    count.store(count.load(Ordering::Relaxed) + more, Ordering::Relaxed);
}

/// Where failed messages go.
pub struct Letters {
    pub graph: Arc<Graph>,
    /// Whose messages they were.
    pub source: usize,
    pub submitter: SharedSubmitter<Line>,
    pub entry: u16,
    /// Filled first: what cannot be copied is told, and not taken.
    pub scratch: Message,
}

/// The thread that receives the results of one source.
pub struct Settler {
    pub graph: Arc<Graph>,
    pub receiver: Receiver<Line>,
    pub counts: Arc<Settled>,
    pub acknowledge: Option<Box<dyn Acknowledge>>,
    /// None for the dead letters themselves.
    pub letters: Option<Letters>,
    /// What the source is called; none for the dead letters.
    pub source: Option<&'static str>,
    /// Those that all settlers have told.
    pub told: Arc<AtomicU64>,
}

impl Settler {
    /// Receives until there is no more.
    pub fn run(self) {
        let Self { graph, mut receiver, counts, told, .. } = self;
        let (mut acknowledge, mut letters, source) = (self.acknowledge, self.letters, self.source);
        let mut settle = |output: &Output<'_, Line>| {
            let number = output.position();
            if output.is_done() {
                add(&counts.done, 1);
                if let Some(acknowledge) = &mut acknowledge {
                    acknowledge.settled(number, 0, "");
                }
                return;
            }
            if output.is_dropped() && acknowledge.is_none() {
                return add(&counts.dropped, 1);
            }
            let outcome = output.outcome();
            let status = outcome.status();
            if let Some(acknowledge) = &mut acknowledge {
                acknowledge.settled(number, status, output.description());
            }
            let parcel: &Parcel = output;
            let is_answered = matches!(
                outcome,
                Outcome::Dropped { .. } | Outcome::Failed { .. } | Outcome::FailedAs { .. }
            );
            if !is_answered && !parcel.fate.follows() {
                add(&counts.stopped, 1);
            }
            match outcome {
                Outcome::Dropped { .. } => return add(&counts.dropped, 1),
                Outcome::Cancelled => return add(&counts.cancelled, 1),
                _ if status == STDOUT_CLOSED.status()
                    && source.is_some()
                    && (graph.is_stdout(parcel.at) || parcel.fate.follows()) =>
                {
                    add(&counts.cancelled, 1);
                    return graph.stop().set(Why::OutputClosed);
                }
                _ => add(&counts.failed, 1),
            }
            if parcel.fate == Fate::FOLDED {
                return add(&counts.folded, 1);
            }
            let (stage, text) = (graph.name(parcel.at), text_of(&outcome, output));
            let failure = Failure { source, number, stage, status, text };
            if let Some(letters) = &mut letters
                && letters.take(parcel, &failure)
            {
                if counts.letters() == 0 {
                    graph.tell(&format!("{failure}; the dead letter has it, and what else fails"));
                }
                return add(&counts.letters, 1);
            }
            if status == UNMADE && graph.stop().is_set() {
                // Which is why the run ends, and told as such.
                return;
            }
            match told.fetch_add(1, Ordering::Relaxed) {
                earlier if earlier < FAILURES_TOLD => graph.tell(&failure.to_string()),
                FAILURES_TOLD => graph.tell("further failures are counted, and not told"),
                _ => {}
            }
            if graph.plan().options.on_failure == OnFailure::Stop {
                graph.stop().set(Why::Failed(failure.to_string()));
            }
        };
        receive_all(&mut receiver, graph.plan().options.window, &mut settle);
    }
}

/// Receives until there is no more. It sleeps by the clock, so that the workers need not wake it for each batch; in a
/// window that fills by a quarter meanwhile there is no time to.
fn receive_all(
    receiver: &mut Receiver<Line>,
    window: usize,
    settle: &mut impl FnMut(&Output<'_, Line>),
) {
    loop {
        match receiver.recv() {
            Ok(output) => settle(&output),
            Err(_) => return,
        }
        let mut drained = 1;
        while drained > 0 {
            drained = 0;
            while let more @ 1.. = receiver.drain(DRAINED_AT_ONCE, |output| settle(output)) {
                drained += more;
            }
            if drained < window / 4 {
                thread::sleep(NAP);
            }
        }
    }
}

struct Failure<'a> {
    /// Which message of which source; none for a dead letter.
    source: Option<&'static str>,
    number: u64,
    stage: &'a str,
    status: u32,
    text: String,
}

impl std::fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.source {
            Some(source) => write!(f, "message {} of `{source}`", self.number + 1)?,
            None => f.write_str("a dead letter")?,
        }
        write!(f, " failed at `{}` with status {}", self.stage, self.status)?;
        if self.text.is_empty() { Ok(()) } else { write!(f, ": {}", self.text) }
    }
}

/// What was said about a failure: by the component, or else by the engine.
fn text_of(outcome: &Outcome<'_, ()>, output: &Output<'_, Line>) -> String {
    if !output.description().is_empty() {
        return output.description().to_owned();
    }
    match outcome {
        Outcome::Panicked(text) => format!("it panicked: {text}"),
        Outcome::Cyclic(cycle) => format!("it went in circles: {cycle}"),
        Outcome::Abandoned => String::from("it was abandoned"),
        // It failed with another one, for that one's reason.
        _ => output.message.description().to_owned(),
    }
}

impl Letters {
    /// Whether the dead letter has got a copy of the message.
    fn take(&mut self, parcel: &Parcel, failure: &Failure<'_>) -> bool {
        let Self { graph, source, submitter, entry, scratch } = self;
        if copy(parcel, failure, scratch).is_err() {
            return false;
        }
        match submitter.try_submit_with(|slot: &mut Parcel| slot.begin(scratch, *entry)) {
            Err(TrySubmitError::Full(put)) => {
                graph.waits().of_letters(*source, || submitter.submit_with(put)).is_ok()
            }
            sent => sent.is_ok(),
        }
    }
}

/// The message, and what has happened to it.
fn copy(parcel: &Parcel, failure: &Failure<'_>, letter: &mut Message) -> Result<(), TooLarge> {
    letter.reset();
    letter.set_data(parcel.message.data())?;
    let status = failure.status.to_string();
    let said =
        [("error.stage", failure.stage), ("error.status", &status), ("error.text", &failure.text)];
    for (name, text) in said {
        letter.set_attribute(name, text.as_bytes())?;
    }
    let own =
        parcel.message.attributes().filter(|(name, _)| said.iter().all(|(new, _)| new != name));
    for (name, value) in own {
        // Those for which there is no room beside the three are left out.
        let _ = letter.set_attribute(name, value);
    }
    Ok(())
}
