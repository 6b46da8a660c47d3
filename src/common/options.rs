//! What is asked of a group as it is opened.

use crate::error::OpenError;
use crate::limits::WEIGHT_MAX;
use crate::window::Order;
use std::time::Duration;

/// What a submission does that finds the window full.
///
/// `try_submit` never waits, whatever is asked for here, and `submit_timeout` always waits for as long as it
/// is told. `submit_batch` stops at a full window: it takes no value for which there is no slot, so none of
/// its values is dropped, nor another request for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// `submit` waits for a free slot; `try_submit` says `Full`.
    #[default]
    Block,
    /// `submit` waits for a free slot for so long, and then says `Full`, as `try_submit` does at once.
    BlockFor(Duration),
    /// `submit` says `Full` at once, as `try_submit` does.
    Reject,
    /// The value is given up: `submit` and `try_submit` say `Dropped` at once. It is counted in
    /// [`GroupStats::dropped_newest`](crate::GroupStats::dropped_newest), and nowhere else, for it was never
    /// accepted. The error has the value, so that it is dropped where the caller wants it to be.
    DropNewest,
    /// The latest value wins: the oldest request that no worker has claimed ends as dropped, and its
    /// receiver gets it as such, as it would any other; it is counted as dropped, and in
    /// [`GroupStats::dropped_oldest`](crate::GroupStats::dropped_oldest). `submit` then waits until the
    /// receiver has given a slot back; `try_submit` says `Full` if it has not yet. At most one request is
    /// dropped for each that is accepted, however often a submission is tried. Where workers have claimed
    /// all requests it is as [`Block`](Self::Block); what is held, suspended, in a pool or to be retried has been
    /// claimed.
    ///
    /// In [`Order::Submission`] the receiver comes to a dropped request after those before it. Needs
    /// [`Builder::drop_oldest`](crate::Builder::drop_oldest).
    DropOldest,
}

/// How a group is to be opened. An [`Order`] alone stands for a group of that order without any of the options.
#[derive(Clone, Debug)]
#[must_use = "options do nothing until a group is opened with them"]
pub struct GroupOptions {
    pub(crate) order: Order,
    pub(crate) weight: Option<u32>,
    pub(crate) express: bool,
    pub(crate) overflow: Overflow,
    pub(crate) dead_letters: bool,
}

impl GroupOptions {
    /// A group whose outputs come in this order.
    pub fn new(order: Order) -> Self {
        Self {
            order,
            weight: None,
            express: false,
            overflow: Overflow::default(),
            dead_letters: false,
        }
    }

    /// The group's share of its worker's time, beside those of the other groups that are at home with the
    /// same worker: 1 to [`WEIGHT_MAX`], 1 by default. While they all have requests, a group of weight 1
    /// beside one of weight 9 gets a tenth of the time, whatever the requests of either take; a group
    /// that has none gathers no claim to more, and one that is alone gets all.
    ///
    /// Where no group of a worker has been given a weight (nor is express), its groups take turns: a batch
    /// each, which lasts a few microseconds, or one request where that takes longer. Then a group of
    /// heavy requests takes more of the time than one of light ones; `weight(1)` for either of them shares it.
    ///
    /// What other workers do for a group when they help its own is part of its share. Groups of different
    /// workers are not weighed against each other; they go to the workers in turn, by
    /// [`index`](crate::RequestGroup::index), as far as the workers have CPUs.
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = Some(weight);
        self
    }

    /// Whether the group is polled before all that are not express: before each batch of another group its
    /// worker looks for its requests. So one that comes alone waits for at most the batch that the worker
    /// runs at that moment (and for a batch of each other express group), however many groups are busy.
    ///
    /// While the express groups of a worker always have requests, they leave the other ones a tenth
    /// ([`ORDINARY_PART`](crate::limits::ORDINARY_PART)) of its time, or one batch after each of theirs where
    /// that is less. The weight of an express group is not looked at.
    pub fn express(mut self, express: bool) -> Self {
        self.express = express;
        self
    }

    /// What a submission does that finds the window full. Default: [`Overflow::Block`].
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Results that failed (spent their retries and abandoned ones with them), panicked, ended as cyclic, or expired, do
    /// not come out of the receive end, but of an end of their own: see [`DeadLetters`](crate::DeadLetters), which
    /// [`RequestGroup::dead_letters`](crate::RequestGroup::dead_letters) hands out. Needs
    /// [`Builder::dead_letters`](crate::Builder::dead_letters).
    pub fn dead_letters(mut self) -> Self {
        self.dead_letters = true;
        self
    }

    /// Whether such a group can be had.
    pub(super) fn check(&self) -> Result<(), OpenError> {
        match self.weight {
            Some(asked) if !(1..=WEIGHT_MAX).contains(&asked) => Err(OpenError::Weight { asked }),
            _ => Ok(()),
        }
    }
}

impl From<Order> for GroupOptions {
    fn from(order: Order) -> Self {
        Self::new(order)
    }
}
