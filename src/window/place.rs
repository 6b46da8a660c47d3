//! Positions, and the slots that stand for them.

use crate::slot::Phase;

/// In which order a group's outputs are received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As submitted. The cheapest mode; a slow request holds back those behind it.
    Submission,
    /// As finished.
    #[default]
    Completion,
}

/// A slot that one party owns, and the position that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index of the slot in its window.
    pub(super) slot: u32,
    /// The position.
    pub position: u64,
}

impl Place {
    /// Index of the slot in its window.
    #[inline(always)]
    pub fn slot(self) -> usize {
        self.slot as usize
    }
}

/// A finished slot, before it is released. In this layout what tells an `Option` or a `Result` of it apart lies
/// over no field, so that the fields are handed on whole and not byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Finished {
    /// How the request ended.
    pub phase: Phase,
    /// The worker whose ring named it; not meaningful in [`Order::Submission`].
    pub(super) lane: u16,
    slot: u32,
    /// The position that it was submitted as.
    pub position: u64,
}

/// What releasing a finished slot takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub(super) slot: u32,
    pub(super) lane: u16,
}

impl Finished {
    #[inline(always)]
    pub(super) fn new(place: Place, phase: Phase, lane: u16) -> Self {
        Self { phase, lane, slot: place.slot, position: place.position }
    }

    /// Index of the slot in its window.
    #[inline(always)]
    pub fn slot(&self) -> usize {
        self.slot as usize
    }

    /// What releasing it takes.
    #[inline(always)]
    pub fn receipt(&self) -> Receipt {
        Receipt { slot: self.slot, lane: self.lane }
    }
}

impl Receipt {
    /// Index of the slot in its window.
    #[inline(always)]
    pub fn slot(self) -> usize {
        self.slot as usize
    }
}

/// A batch of requests that a worker has claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The first position.
    pub first: u64,
    /// How many, at least one.
    pub len: usize,
    /// The order of the group's outputs.
    pub order: Order,
}
