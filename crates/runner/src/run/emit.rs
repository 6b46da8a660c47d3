//! What a source emits, on its way into the engine.

use super::graph::Graph;
use super::machine::Line;
use super::parcel::Parcel;
use super::signals::Stop;
use crate::limits::NAP;
use stageline::{Submitter, TrySubmitError};
use stageline_component::{EmitError, Emitter, Message, TooLarge};
use std::sync::Arc;
use std::thread;

/// How often a source that finds no room looks by the clock, before it is woken when there is room.
const NAPS: u32 = 50;

/// How many messages a source may emit when the run is to end: what it has read already, and no more. (256 KiB are
/// read at once, at most: a datagram. A message that is a line has a byte of its own.)
const LATE_MAX: u32 = 1 << 18;

/// In a window that is smaller it does not: that would be empty before the nap ends.
const NAP_WINDOW_MIN: usize = 1024;

/// Which slot is asked for beforehand: the one that comes so many messages after the next.
const SLOTS_AHEAD: u64 = 2;

/// The end that a source has of its group.
pub struct Port {
    submitter: Submitter<Line>,
    /// Filled first, so that a source that fails meanwhile has sent nothing.
    scratch: Message,
    entry: u16,
    source: usize,
    graph: Arc<Graph>,
    stop: Arc<Stop>,
    emitted: u64,
    /// Messages since the run is to end.
    emitted_late: u32,
    /// That some were refused.
    has_told: bool,
}

impl Port {
    pub fn new(
        submitter: Submitter<Line>,
        source: usize,
        scratch: Message,
        graph: &Arc<Graph>,
    ) -> Self {
        Self {
            submitter,
            scratch,
            entry: graph.entry(source),
            source,
            stop: Arc::clone(graph.stop()),
            graph: Arc::clone(graph),
            emitted: 0,
            emitted_late: 0,
            has_told: false,
        }
    }

    /// Once.
    #[cold]
    fn tell_of_refusal(&mut self) {
        if !std::mem::replace(&mut self.has_told, true) {
            let name = self.graph.plan().sources[self.source].0.name();
            self.graph.trouble(format!(
                "the source `{name}` went on when the run was to end: after {LATE_MAX} messages the others were refused, \
                 and what it had read of them is lost"
            ));
        }
    }

    /// How many messages there were.
    pub fn emitted(&self) -> u64 {
        self.emitted
    }
}

impl Emitter for Port {
    fn emit(
        &mut self,
        fill: &mut dyn FnMut(&mut Message) -> Result<(), TooLarge>,
    ) -> Result<u64, EmitError> {
        if self.stop.is_set() {
            self.emitted_late += 1;
            if self.emitted_late > LATE_MAX {
                self.tell_of_refusal();
                return Err(EmitError::Stopping);
            }
        }
        self.scratch.reset();
        fill(&mut self.scratch)?;
        let (scratch, entry) = (&mut self.scratch, self.entry);
        let put = |parcel: &mut Parcel| parcel.begin(scratch, entry);
        let sent = match self.submitter.try_submit_with(put) {
            Err(TrySubmitError::Full(put)) => {
                let is_wide = self.graph.plan().options.window >= NAP_WINDOW_MIN;
                let (submitter, naps) = (&mut self.submitter, if is_wide { NAPS } else { 0 });
                self.graph.waits().of_source(self.source, || wait_for_room(submitter, put, naps))
            }
            sent => sent.ok(),
        };
        // What the slot had is filled next, and was another CPU's, as the next slots are.
        self.submitter.prefetch(SLOTS_AHEAD);
        stageline::prefetch_to_write(self.scratch.data_mut());
        self.emitted += u64::from(sent.is_some());
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
    naps: u32,
) -> Option<u64> {
    for _ in 0..naps {
        thread::sleep(NAP);
        match submitter.try_submit_with(put) {
            Err(TrySubmitError::Full(again)) => put = again,
            sent => return sent.ok(),
        }
    }
    submitter.submit_with(put).ok()
}
