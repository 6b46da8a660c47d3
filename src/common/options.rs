//! What is asked of a group as it is opened.

use crate::window::Order;

/// How a group is to be opened. An [`Order`] alone stands for a group of that order without any of the options.
#[derive(Clone, Debug)]
#[must_use = "options do nothing until a group is opened with them"]
pub struct GroupOptions {
    pub(crate) order: Order,
}

impl GroupOptions {
    /// A group whose outputs come in this order.
    pub fn new(order: Order) -> Self {
        Self { order }
    }
}

impl From<Order> for GroupOptions {
    fn from(order: Order) -> Self {
        Self::new(order)
    }
}
