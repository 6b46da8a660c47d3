//! No framing: chunks as they are read, datagrams whole.

use super::Framing;
use std::ops::Range;

pub(super) struct Chunks {
    /// A longer chunk makes several messages. Datagrams stay whole.
    pub(super) bytes_max: usize,
}

impl Framing for Chunks {
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        Some(bytes.len().min(self.bytes_max))
    }

    fn body(&self, frame: &[u8], _is_last: bool) -> Result<Option<Range<usize>>, usize> {
        Ok(Some(0..frame.len()))
    }

    fn extra(&self, _last: &[u8]) -> usize {
        0
    }

    fn lines(&self, _bytes: &[u8]) -> Option<u64> {
        None
    }
}
