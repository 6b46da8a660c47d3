//! What a source emits, on its way into the engine.

use super::machine::{Graph, Line, Parcel};
use super::signals::Stop;
use crate::limits::NAP;
use stageline::{Submitter, TrySubmitError};
use stageline_component::{EmitError, Emitter, Message, TooLarge};
use std::sync::Arc;
use std::thread;

/// How often a source that finds no room looks by the clock, before it is woken when there is room.
const NAPS: u32 = 50;

/// The end that a source has of its group.
pub struct Port {
    submitter: Submitter<Line>,
    /// Filled first, so that a source that fails meanwhile has sent nothing.
    scratch: Message,
    entry: u16,
    graph: Arc<Graph>,
    stop: Arc<Stop>,
}

impl Port {
    pub fn new(
        submitter: Submitter<Line>,
        entry: u16,
        sizes: (usize, usize),
        graph: &Arc<Graph>,
        stop: &Arc<Stop>,
    ) -> Self {
        let (capacity, max) = sizes;
        let scratch = Message::new(capacity, max);
        Self { submitter, scratch, entry, graph: Arc::clone(graph), stop: Arc::clone(stop) }
    }
}

impl Emitter for Port {
    fn emit(
        &mut self,
        fill: &mut dyn FnMut(&mut Message) -> Result<(), TooLarge>,
    ) -> Result<u64, EmitError> {
        self.scratch.reset();
        fill(&mut self.scratch)?;
        let (scratch, entry) = (&mut self.scratch, self.entry);
        let put = |parcel: &mut Parcel| parcel.begin(scratch, entry);
        let sent = match self.submitter.try_submit_with(put) {
            Err(TrySubmitError::Full(put)) => {
                let submitter = &mut self.submitter;
                self.graph.while_crowded(|| wait_for_room(submitter, put))
            }
            sent => sent.ok(),
        };
        // What the slot had is filled next, and was another CPU's.
        stageline::prefetch_to_write(self.scratch.data_mut());
        // Positions count from 0: see `build`.
        sent.ok_or(EmitError::Stopping)
    }

    fn is_stopping(&self) -> bool {
        self.stop.is_set()
    }
}

/// Waits until there is room. First by the clock: then there is more room than for one when it goes on, and nobody
/// wakes it for each message.
fn wait_for_room(
    submitter: &mut Submitter<Line>,
    mut put: impl FnOnce(&mut Parcel),
) -> Option<u64> {
    for _ in 0..NAPS {
        thread::sleep(NAP);
        match submitter.try_submit_with(put) {
            Err(TrySubmitError::Full(again)) => put = again,
            sent => return sent.ok(),
        }
    }
    submitter.submit_with(put).ok()
}
