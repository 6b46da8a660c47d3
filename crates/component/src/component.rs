//! What handles messages, what produces them, and what makes both.

use crate::buffer::TooLarge;
use crate::error::Error;
use crate::message::Message;
use crate::report::Report;
use crate::spec::Spec;
use crate::value::{AttributeError, Value};
use std::{error, fmt};

/// What handles messages. There is one instance for each thread that runs it, so its fields need no lock.
///
/// A component that answers [`Report::CONTINUE`] keeps the message: it holds it. When it answers done for another
/// message while it holds some, those follow that one: they were folded into it, and are settled when it is. Retry,
/// fail and drop concern the one message alone, unless [`Message::lead`] was called; so does done after
/// [`Message::go_alone`].
pub trait Component: Send {
    /// Handles a message, which must not be touched after the answer.
    fn handle(&mut self, message: &mut Message) -> Report;

    /// The run ends: files are flushed, connections closed. Called once, after the last message.
    fn close(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// What produces messages, on a thread of its own.
pub trait Source: Send {
    /// Emits messages until there are no more or [`Emitter::is_stopping`] says so. An error ends the run.
    fn run(&mut self, out: &mut dyn Emitter) -> Result<(), Error>;

    /// Who is to be told when the journey of a message is over; asked once, before the run.
    fn acknowledger(&mut self) -> Option<Box<dyn Acknowledge>> {
        None
    }
}

/// Where a source puts its messages.
pub trait Emitter {
    /// Waits until there is room for a message, has it filled in place, and sends it on its way. It is empty when it
    /// comes. The answer is its number, which counts from 0 without gaps. Where the filling does not end well nothing
    /// was sent, and the number goes to the next one.
    fn emit(
        &mut self,
        fill: &mut dyn FnMut(&mut Message) -> Result<(), TooLarge>,
    ) -> Result<u64, EmitError>;

    /// Whether the source is to return soon. One that waits for input looks at it every 100 ms or so.
    fn is_stopping(&self) -> bool;

    /// Emits a message that has no attributes.
    fn emit_data(&mut self, data: &[u8]) -> Result<u64, EmitError> {
        self.emit(&mut |message| message.set_data(data))
    }
}

/// Why a message was not emitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EmitError {
    /// The run ends: the source is to return.
    Stopping,
    /// There is more in it than a message may have. The source may go on with the next one.
    TooLarge(TooLarge),
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopping => f.write_str("the run ends"),
            Self::TooLarge(error) => write!(f, "the message is too large: {error}"),
        }
    }
}

impl error::Error for EmitError {}

impl From<TooLarge> for EmitError {
    fn from(error: TooLarge) -> Self {
        Self::TooLarge(error)
    }
}

/// Who is told, on another thread than the source's, that the journey of a message is over.
pub trait Acknowledge: Send {
    /// The message of this number was settled with this status. Numbers come in any order, each once.
    fn settled(&mut self, number: u64, status: u32, description: &str);
}

/// What makes components or sources. One is made for each place in a pipeline; it gets the attributes of that
/// place, is prepared, and then makes as many instances as there are threads.
///
/// ```
/// use stageline_component::*;
///
/// struct Upper;
///
/// impl Component for Upper {
///     fn handle(&mut self, message: &mut Message) -> Report {
///         message.data_mut().make_ascii_uppercase();
///         Report::DONE
///     }
/// }
///
/// static SPEC: Spec = Spec {
///     name: "upper",
///     kind: Kind::Transform,
///     summary: "Upper case, of ASCII letters",
///     attributes: &[],
///     doc: "",
/// };
///
/// struct Uppers { attributes: Attributes }
///
/// impl Default for Uppers {
///     fn default() -> Self {
///         Self { attributes: Attributes::new(&SPEC) }
///     }
/// }
///
/// impl Factory for Uppers {
///     fn spec(&self) -> &Spec {
///         &SPEC
///     }
///     fn set_attribute(&mut self, name: &str, value: &Value) -> Result<(), AttributeError> {
///         self.attributes.set(name, value)
///     }
///     fn prepare(&mut self) -> Result<(), Error> {
///         Ok(self.attributes.complete()?)
///     }
///     fn component(&self) -> Result<Box<dyn Component>, Error> {
///         Ok(Box::new(Upper))
///     }
/// }
///
/// let mut message = Message::new(16, 1024);
/// message.set_data(b"hello")?;
/// let mut uppers = Uppers::default();
/// uppers.prepare()?;
/// assert_eq!(uppers.component()?.handle(&mut message), Report::DONE);
/// assert_eq!(message.data(), b"HELLO");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Factory: Send + Sync {
    /// What it makes, and which attributes that has. The same at any time.
    fn spec(&self) -> &Spec;

    /// Sets an attribute, before [`Factory::prepare`].
    fn set_attribute(&mut self, name: &str, value: &Value) -> Result<(), AttributeError>;

    /// All attributes are set: those missing, and files that cannot be opened, are found here. Called once, before
    /// anything is made.
    fn prepare(&mut self) -> Result<(), Error>;

    /// Makes a component, on the thread that will run it.
    fn component(&self) -> Result<Box<dyn Component>, Error> {
        Err(Error::new(format!("`{}` is a source: it handles no messages", self.spec().name)))
    }

    /// Makes a source.
    fn source(&self) -> Result<Box<dyn Source>, Error> {
        let Spec { name, kind, .. } = self.spec();
        Err(Error::new(format!("`{name}` is a {kind}: it produces no messages of its own")))
    }

    /// `Some(n)` for components that block, on disks, networks or locks: they are run by `n` threads of their own.
    /// `None` for those that compute: the workers run them. Asked after [`Factory::prepare`].
    fn pool_size(&self) -> Option<usize> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    struct Nothing(Spec);

    impl Factory for Nothing {
        fn spec(&self) -> &Spec {
            &self.0
        }

        fn set_attribute(&mut self, _name: &str, _value: &Value) -> Result<(), AttributeError> {
            Ok(())
        }

        fn prepare(&mut self) -> Result<(), Error> {
            Ok(())
        }
    }

    struct Drops(Vec<Message>);

    impl Emitter for Drops {
        fn emit(
            &mut self,
            fill: &mut dyn FnMut(&mut Message) -> Result<(), TooLarge>,
        ) -> Result<u64, EmitError> {
            let mut message = Message::new(0, 3);
            fill(&mut message)?;
            self.0.push(message);
            Ok(self.0.len() as u64 - 1)
        }

        fn is_stopping(&self) -> bool {
            false
        }
    }

    #[test]
    fn a_factory_says_what_it_does_not_make() {
        let spec = |kind| Spec { name: "it", kind, summary: "", attributes: &[], doc: "" };
        let (source, sink) = (Nothing(spec(Kind::Source)), Nothing(spec(Kind::Sink)));
        let error = source.component().err().unwrap();
        assert_eq!(error.text(), "`it` is a source: it handles no messages");
        let error = sink.source().err().unwrap();
        assert_eq!(error.text(), "`it` is a sink: it produces no messages of its own");
        assert_eq!(sink.pool_size(), None);
    }

    #[test]
    fn data_is_emitted_or_too_large() {
        let mut out = Drops(Vec::new());
        assert_eq!(out.emit_data(b"abc"), Ok(0));
        let error = out.emit_data(b"abcd").unwrap_err();
        assert_eq!(error, EmitError::TooLarge(TooLarge { wanted: 4, max: 3 }));
        assert_eq!(out.emit_data(b""), Ok(1));
        assert_eq!(out.0[0].data(), b"abc");
    }
}
