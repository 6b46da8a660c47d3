//! Sources.
//!
//! ```text
//! stdin, file_source, tcp_source, unix_source, udp_source ──► feed, wait
//! file_source ──► tail ──► packed
//! tcp_source, unix_source ──► streams
//! udp_source, unix_source ──► datagrams
//! generator
//! ```

mod datagrams;
mod feed;
mod file_source;
mod generator;
mod packed;
mod stdin;
mod streams;
mod tail;
mod tcp_source;
mod udp_source;
mod unix_source;
mod wait;

use crate::Builtin;
use crate::factory::builtin;
use std::io;

pub(crate) const ALL: &[Builtin] = &[
    builtin::<stdin::Stdin>(),
    builtin::<file_source::FileSource>(),
    builtin::<tcp_source::TcpSource>(),
    builtin::<udp_source::UdpSource>(),
    builtin::<unix_source::UnixSource>(),
    builtin::<generator::Generator>(),
];

/// Whether there is nothing to be read now, and no more to say of it.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// What the tests of sources have in common.
#[cfg(test)]
mod testing {
    use stageline_component::{Attributes, EmitError, Emitter, Message, Spec, TooLarge, Value};
    use std::cell::{Cell, RefCell};
    use std::time::{Duration, Instant};

    /// When a source that does not end by itself is stopped, for the test to fail.
    const LONG: Duration = Duration::from_secs(30);

    /// The attributes of a component, which must be good.
    #[track_caller]
    pub(super) fn checked(spec: &'static Spec, values: &[(&str, Value)]) -> Attributes {
        Attributes::check(spec, values.iter().map(|(name, value)| (*name, value))).unwrap()
    }

    type Until = Box<dyn FnMut(&[Message]) -> bool>;

    /// Keeps what is emitted.
    pub(super) struct Collected {
        pub(super) messages: Vec<Message>,
        /// How many bytes a message has at most.
        pub(super) bytes_max: usize,
        /// How many are taken; the next one is told that the run ends.
        pub(super) messages_max: usize,
        /// How often the source looked whether it is to stop.
        pub(super) looks: Cell<usize>,
        until: RefCell<Until>,
        started: Instant,
    }

    impl Collected {
        /// The run is to stop when this is so, of which it is asked whenever the source looks.
        pub(super) fn until(until: impl FnMut(&[Message]) -> bool + 'static) -> Self {
            Self {
                messages: Vec::new(),
                bytes_max: 1 << 20,
                messages_max: usize::MAX,
                looks: Cell::new(0),
                until: RefCell::new(Box::new(until)),
                started: Instant::now(),
            }
        }

        /// The run is to stop when there are so many messages.
        pub(super) fn after(count: usize) -> Self {
            Self::until(move |messages| messages.len() >= count)
        }

        pub(super) fn texts(&self) -> Vec<String> {
            let text = |message: &Message| message.data().escape_ascii().to_string();
            self.messages.iter().map(text).collect()
        }
    }

    impl Default for Collected {
        fn default() -> Self {
            Self::until(|_| false)
        }
    }

    impl Emitter for Collected {
        fn emit(
            &mut self,
            fill: &mut dyn FnMut(&mut Message) -> Result<(), TooLarge>,
        ) -> Result<u64, EmitError> {
            if self.messages.len() >= self.messages_max {
                return Err(EmitError::Stopping);
            }
            let mut message = Message::new(0, self.bytes_max);
            fill(&mut message)?;
            self.messages.push(message);
            Ok(self.messages.len() as u64 - 1)
        }

        fn is_stopping(&self) -> bool {
            self.looks.set(self.looks.get() + 1);
            self.started.elapsed() > LONG || (self.until.borrow_mut())(&self.messages)
        }
    }
}
