//! The way of a request through an acyclic machine.

use crate::cold::Trace;

/// The way of a request through the stages, for machines that must be acyclic. Its memory is made
/// with the worker.
#[derive(Debug)]
pub(super) struct Path {
    /// One bit for each stage.
    visited: Vec<u64>,
    /// The stages in the order of the visits.
    stages: Vec<u16>,
    /// Whether the stage that the worker says it is in has been entered: not while its hooks run.
    pub(super) has_entered: bool,
}

impl Path {
    pub(super) fn with_capacity(stages: usize) -> Self {
        Self {
            visited: vec![0; stages.div_ceil(u64::BITS as usize)],
            stages: Vec::with_capacity(stages),
            has_entered: true,
        }
    }

    /// Bytes that a path through so many stages allocates.
    pub(super) fn bytes(stages: usize) -> usize {
        stages.div_ceil(u64::BITS as usize) * size_of::<u64>() + stages * size_of::<u16>()
    }

    /// Goes on to a stage; `false` if the way has been there before.
    pub(super) fn enter(&mut self, stage: u16) -> bool {
        let bit = 1 << (stage % 64);
        let word = &mut self.visited[usize::from(stage / 64)];
        let new = *word & bit == 0;
        if new {
            *word |= bit;
            self.stages.push(stage);
        }
        new
    }

    pub(super) fn clear(&mut self) {
        for stage in self.stages.drain(..) {
            self.visited[usize::from(stage / 64)] &= !(1 << (stage % 64));
        }
    }

    pub(super) fn trace(&self, last: u16) -> Trace {
        let mut trace = Trace::default();
        self.stages.iter().for_each(|stage| trace.push(*stage));
        trace.push(last);
        trace
    }
}
