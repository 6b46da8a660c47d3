//! What a source emits, on its way into the engine.

use super::machine::{Graph, Line, Parcel};
use super::signals::Stop;
use stageline::{Submitter, TrySubmitError};
use stageline_component::{EmitError, Emitter, Message, TooLarge};
use std::sync::Arc;

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
                self.graph.while_crowded(|| submitter.submit_with(put)).ok()
            }
            sent => sent.ok(),
        };
        // Positions count from 0: see `build`.
        sent.ok_or(EmitError::Stopping)
    }

    fn is_stopping(&self) -> bool {
        self.stop.is_set()
    }
}
