//! What is asked of a group as it is opened.

use crate::error::OpenError;
use crate::limits::WEIGHT_MAX;
use crate::window::Order;

/// How a group is to be opened. An [`Order`] alone stands for a group of that order without any of the options.
#[derive(Clone, Debug)]
#[must_use = "options do nothing until a group is opened with them"]
pub struct GroupOptions {
    pub(crate) order: Order,
    pub(crate) weight: Option<u32>,
    pub(crate) express: bool,
}

impl GroupOptions {
    /// A group whose outputs come in this order.
    pub fn new(order: Order) -> Self {
        Self { order, weight: None, express: false }
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
