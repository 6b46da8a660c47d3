//! For who runs components: what it makes messages with, sets before a call, and reads after it.
//!
//! ```
//! use stageline_component::{Component, Message, Report, host::Call};
//!
//! fn call(component: &mut dyn Component, message: &mut Message) -> Report {
//!     message.prepare(Call { attempt: 1, flush: None, held: 0 });
//!     let report = component.handle(message);
//!     message.set_status(report.status());
//!     let _batch_ends = message.take_led();
//!     report
//! }
//! ```

use crate::buffer::Buffer;
use crate::functions::HOST;
use crate::message::{ALONE, ATTRIBUTES_MAX, DESCRIPTION_MAX, Flush, LEADS, Message};
use crate::report::HOLD_DEFAULT;
use std::mem;
use std::time::Duration;

/// The circumstances of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// See [`Message::attempt`].
    pub attempt: u32,
    /// See [`Message::flush`].
    pub flush: Option<Flush>,
    /// See [`Message::held`].
    pub held: usize,
}

const HOLD_DEFAULT_NS: u64 = HOLD_DEFAULT.as_nanos() as u64;

/// For who runs components.
impl Message {
    /// An empty message with memory for `capacity` bytes of data, which may have `max` at most. Where the memory
    /// cannot be had it has none yet, and the first that puts data into it gets the error.
    pub fn new(capacity: usize, max: usize) -> Self {
        Self {
            host: &HOST,
            data: Buffer::with_capacity(capacity, max),
            attributes: Buffer::new(ATTRIBUTES_MAX),
            attempt: 1,
            flush: 0,
            held: 0,
            status: 0,
            led: 0,
            hold_at_most_ns: HOLD_DEFAULT_NS,
            description_len: 0,
            description: [0; DESCRIPTION_MAX],
        }
    }

    /// Sets the circumstances of the call that follows, and forgets what the last component said of holding and
    /// leading. The description stays until somebody says something else.
    #[inline]
    pub fn prepare(&mut self, call: Call) {
        self.set_attempt(call.attempt);
        self.set_flush(call.flush);
        self.set_held(call.held);
        self.led = 0;
        self.hold_at_most_ns = HOLD_DEFAULT_NS;
    }

    /// See [`Message::attempt`].
    #[inline]
    pub fn set_attempt(&mut self, attempt: u32) {
        self.attempt = attempt;
    }

    /// See [`Message::flush`].
    #[inline]
    pub fn set_flush(&mut self, flush: Option<Flush>) {
        self.flush = match flush {
            None => 0,
            Some(Flush::Age) => 1,
            Some(Flush::Drain) => 2,
        };
    }

    /// See [`Message::held`].
    #[inline]
    pub fn set_held(&mut self, held: usize) {
        self.held = held;
    }

    /// See [`Message::status`].
    #[inline]
    pub fn set_status(&mut self, status: u32) {
        self.status = status;
    }

    /// Whether the component called [`Message::lead`]; asked once.
    #[inline]
    pub fn take_led(&mut self) -> bool {
        mem::take(&mut self.led) == LEADS
    }

    /// Whether the component called [`Message::go_alone`]; to be asked before [`Message::take_led`].
    #[inline]
    pub fn goes_alone(&self) -> bool {
        self.led == ALONE
    }

    /// How long the message is to be held at most, if the report was [`Report::CONTINUE`](crate::Report::CONTINUE).
    #[inline]
    pub fn hold_at_most(&self) -> Duration {
        Duration::from_nanos(self.hold_at_most_ns)
    }

    /// Becomes the message that another one is filled with, and gives it this one's memory. Of one that says nothing
    /// but its data, these alone change places: the less is written, the less goes from one CPU to the next.
    #[inline]
    pub fn take_from(&mut self, filled: &mut Self) {
        if !filled.attributes.is_empty() || filled.description_len > 0 {
            return mem::swap(self, filled);
        }
        mem::swap(&mut self.data, &mut filled.data);
        self.attributes.clear();
        self.description_len = 0;
        self.begin();
    }

    /// As it is before the first call.
    #[inline]
    fn begin(&mut self) {
        self.status = 0;
        self.prepare(Call { attempt: 1, flush: None, held: 0 });
    }

    /// Makes the message as a new one is, with the memory that it has: for a slot that gets its next message.
    pub fn reset(&mut self) {
        self.clear();
        self.begin();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;

    #[test]
    fn the_circumstances_are_those_that_were_set() {
        let mut message = Message::new(0, 10);
        assert_eq!((message.attempt(), message.flush(), message.held()), (1, None, 0));
        for flush in [Some(Flush::Age), Some(Flush::Drain), None] {
            message.prepare(Call { attempt: 3, flush, held: 7 });
            assert_eq!((message.attempt(), message.flush(), message.held()), (3, flush, 7));
        }
        message.set_status(120);
        assert_eq!(message.status(), 120);
        message.reset();
        assert_eq!((message.attempt(), message.held(), message.status()), (1, 0, 0));
    }

    #[test]
    fn what_was_said_of_holding_and_leading_is_read_once() {
        let mut message = Message::new(0, 10);
        assert_eq!(message.hold_at_most(), HOLD_DEFAULT);
        assert_eq!(message.hold_for(Duration::from_millis(5)), Report::CONTINUE);
        message.lead();
        assert_eq!(message.hold_at_most(), Duration::from_millis(5));
        assert!(message.take_led() && !message.take_led());
        message.lead();
        message.prepare(Call { attempt: 1, flush: None, held: 0 });
        assert!(!message.take_led());
        assert_eq!(message.hold_at_most(), HOLD_DEFAULT);
        message.go_alone();
        assert!(message.goes_alone() && !message.take_led());
        assert!(!message.goes_alone());
        let _ = message.hold_for(Duration::MAX);
        assert_eq!(message.hold_at_most(), Duration::from_nanos(u64::MAX));
        let _ = message.hold_for(Duration::ZERO);
        assert_eq!(message.hold_at_most(), Duration::ZERO);
    }

    #[test]
    fn a_message_without_memory_for_it_starts_without() {
        let message = Message::new(usize::MAX, usize::MAX);
        assert_eq!(message.data.capacity(), 0);
        assert_eq!(Message::new(4096, 100).data.capacity(), 100);
    }
}
