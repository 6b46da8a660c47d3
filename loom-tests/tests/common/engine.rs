//! A small engine for the models: the real memory and ends, with threads of the model as workers.

use super::stageline::model::{self, Extras, Sizes};
use super::stageline::shared::Shared;
use super::stageline::sync::Arc;
use super::stageline::{
    GroupOptions, Receiver, Request, Stage, StageTable, StateMachine, Step, Submitter,
    TryRecvError, TrySubmitError,
};

/// A machine of one stage, which negates the payload.
pub struct Machine;

impl Machine {
    fn negate(&mut self, request: &mut Request<'_, Self>) -> Step {
        **request = !**request;
        request.done()
    }
}

impl StateMachine for Machine {
    type Data = u64;
    type Error = ();
    const STAGES: StageTable<Self> = StageTable::new(&[Stage {
        name: "negate",
        run: Self::negate,
        next: Some(&[]),
        pool: None,
    }]);
}

/// What the threads share.
pub type Engine = Arc<Shared<Machine>>;

/// An engine of one group. (With one worker a group is always received as submitted.)
pub fn engine(workers: usize, window: usize) -> Engine {
    // Position 0, which is the one whose times are sampled, is not reached.
    model::shared(Sizes { groups: 1, workers, window, first_position: 1 }, || Machine)
}

/// An engine of one worker and one group, which can be opened so as to drop the oldest requests.
pub fn shedding_engine(window: usize) -> Engine {
    let sizes = Sizes { groups: 1, workers: 1, window, first_position: 1 };
    let extras = Extras { drop_oldest: true, ..Extras::default() };
    model::shared_of(sizes, extras, || Machine)
}

/// An engine of two workers and one group, with so many dead letters.
pub fn lettered_engine(window: usize, dead_letters: usize) -> Engine {
    let sizes = Sizes { groups: 1, workers: 2, window, first_position: 1 };
    model::shared_of(sizes, Extras { dead_letters, ..Extras::default() }, || Machine)
}

/// The group, opened.
pub fn open(
    engine: &Engine,
    options: impl Into<GroupOptions>,
) -> (Submitter<Machine>, Receiver<Machine>) {
    model::open(engine, options).expect("a quiet group").split()
}

/// What a worker does with the group when it polls it: one request, to its end. Its position.
pub fn serve(engine: &Engine, worker: usize) -> Option<u64> {
    let group = engine.group(0);
    let mut slots = [0; 1];
    let claimed = group.window.claim(1, &mut slots)?;
    // SAFETY: the slot has just been claimed; that it is this thread's, the model checks.
    unsafe { group.window.claimed_slot(claimed, &slots, 0).value(|value| *value = !*value) };
    group.window.complete(worker, claimed, &slots, None);
    group.front.receive_event.notify();
    Some(claimed.first)
}

/// Receives one result and gives its slot back: whether there was one, and whether it was run.
pub fn receive(receiver: &mut Receiver<Machine>) -> Option<bool> {
    let output = receiver.try_recv().ok()?;
    Some(output.is_done())
}

/// Waits for a result or the end, as `recv` does once it has given up polling. What it has found, and
/// after how many looks: two and more are such that it has slept.
pub fn wait_to_receive(engine: &Engine, receiver: &mut Receiver<Machine>) -> (&'static str, u32) {
    let (mut found, mut looks) = ("", 0);
    engine.group(0).front.receive_event.wait_until(None, || {
        looks += 1;
        found = match receiver.try_recv() {
            Ok(output) if output.is_done() => "done",
            Ok(_) => "cancelled",
            Err(TryRecvError::Closed) => "closed",
            Err(_) => return false,
        };
        true
    });
    (found, looks)
}

/// Waits for a free slot or a refusal, as `submit` does once it has given up polling, and submits.
pub fn wait_to_submit(engine: &Engine, submitter: &mut Submitter<Machine>) -> (&'static str, u32) {
    let (mut found, mut looks) = ("", 0);
    engine.group(0).front.submit_event.wait_until(None, || {
        looks += 1;
        found = match submitter.try_submit(0) {
            Ok(_) => "submitted",
            Err(TrySubmitError::Closed(_)) => "closed",
            Err(TrySubmitError::Cancelled(_)) => "cancelled",
            Err(_) => return false,
        };
        true
    });
    (found, looks)
}

/// What a wait has found, and whether it has slept.
pub fn told((found, looks): (&str, u32)) -> String {
    format!("{found}{}", if looks > 1 { ", slept" } else { "" })
}
