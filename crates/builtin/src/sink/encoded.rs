//! Batches of messages as the bytes of a stream.

use super::batch::{BATCH, Batched, FLUSH_EVERY, Failure, Limits, Target};
use crate::codec::{ENCODE, Encoder, joined};
use stageline_component::{AttributeSpec, Attributes, Component, Error, Message, Report};

/// A batch of so many bytes is written.
pub(super) const BYTES_MAX: usize = 64 * 1024;

/// The attributes of all sinks that write streams.
pub(super) const STREAM: [AttributeSpec; 5] = joined::<5>(&[&ENCODE, &[BATCH, FLUSH_EVERY]]);

/// Where a stream goes.
pub(super) trait Output: Send {
    /// Hands all bytes to the system. `beginning` is what a stream that is new begins with; it may be empty. If the
    /// answer is a retry, none of the bytes must stay where they would be doubled.
    fn write(&mut self, bytes: &[u8], beginning: &[u8]) -> Result<(), Failure>;

    /// The end.
    fn close(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

struct Encoded<O> {
    encoder: Encoder,
    output: O,
    bytes_max: usize,
}

impl<O: Output> Target for Encoded<O> {
    type Batch = Vec<u8>;

    fn add(&mut self, message: &mut Message, batch: &mut Vec<u8>) -> Result<(), Report> {
        self.encoder.encode(message, batch)
    }

    fn is_full(&self, batch: &Vec<u8>) -> bool {
        self.encoder.beginning().len() + batch.len() >= self.bytes_max
    }

    fn clear(&self, batch: &mut Vec<u8>) {
        batch.clear();
        // A large message leaves no large memory.
        batch.shrink_to(2 * BYTES_MAX);
    }

    fn write(&mut self, batch: &mut Vec<u8>) -> Result<(), Failure> {
        self.output.write(batch, self.encoder.beginning())
    }

    fn close(&mut self) -> Result<(), Error> {
        self.output.close()
    }
}

/// How a stream is written, of a sink's attributes.
#[derive(Clone)]
pub(super) struct Encoding {
    attributes: Attributes,
    limits: Limits,
}

impl Encoding {
    pub(super) fn of(attributes: &Attributes) -> Result<Self, Error> {
        Ok(Self { attributes: attributes.clone(), limits: Limits::of(attributes)? })
    }

    /// A component that writes batches of at most about so many bytes, with what a stream begins with.
    pub(super) fn component<O: Output + 'static>(
        &self,
        output: O,
        bytes_max: usize,
    ) -> Box<dyn Component> {
        let encoder = Encoder::of(&self.attributes);
        Box::new(Batched::new(Encoded { encoder, output, bytes_max }, self.limits))
    }
}
