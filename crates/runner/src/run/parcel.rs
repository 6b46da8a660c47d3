//! What travels through the engine: a message, and what the journeys of others mean for it.

use stageline::limits::STATUS_MAX;
use stageline_component::{Message, Report};

/// What a slot of the engine holds. What goes from one CPU to another with each message stands first.
#[repr(C)]
pub struct Parcel {
    /// The stage that it starts at.
    pub entry: u16,
    /// The last stage that handled it.
    pub at: u16,
    pub fate: Fate,
    /// The message.
    pub message: Message,
    _rest: [u64; 5],
}

/// With the engine's word before it, so that each slot begins with a line.
const _: () = assert!((size_of::<Parcel>() + size_of::<u64>()).is_multiple_of(64));

/// What the journey of another message means for this one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fate(u32);

impl Fate {
    /// It has its own.
    pub const OWN: Self = Self(u32::MAX);
    /// It was folded into the other one, by a transform: what becomes of that one is told of that one alone.
    pub const FOLDED: Self = Self(u32::MAX - 1);
    /// It shares what becomes of the other one.
    pub const SHARED: Self = Self(u32::MAX - 2);
    /// Set in those that count drains.
    const DRAINED: u32 = 1 << 31;

    /// The component that held it has answered so for all that it held, and it goes on by itself.
    pub fn reported(report: Report) -> Self {
        Self(report.status())
    }

    /// As often as this has a component been told, for this message, to let go what it holds as the run ends.
    pub fn drains(self) -> usize {
        let counts = self.0 & Self::DRAINED != 0 && self.0 < Self::SHARED.0;
        if counts { (self.0 ^ Self::DRAINED) as usize } else { 0 }
    }

    pub fn drained_once_more(self) -> Self {
        Self(Self::DRAINED + self.drains() as u32 + 1)
    }

    pub fn report(self) -> Option<Report> {
        (self.0 <= STATUS_MAX).then(|| Report::from_status(self.0))
    }

    /// Whether it is under way with another one.
    pub fn follows(self) -> bool {
        self == Self::FOLDED || self == Self::SHARED
    }
}

const _: () = assert!(STATUS_MAX < Fate::DRAINED);

impl Parcel {
    pub fn new(capacity: usize, max: usize) -> Self {
        let message = Message::new(capacity, max);
        Self { entry: 0, at: 0, fate: Fate::OWN, message, _rest: [0; 5] }
    }

    /// Begins its way with this message; what stood here takes its place.
    pub fn begin(&mut self, message: &mut Message, entry: u16) {
        self.message.take_from(message);
        (self.entry, self.at, self.fate) = (entry, 0, Fate::OWN);
    }
}
