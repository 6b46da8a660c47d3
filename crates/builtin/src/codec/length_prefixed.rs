//! Messages with their length before them, big endian.

use super::{Framing, Length};
use std::ops::Range;

pub(super) struct LengthPrefixed {
    length: Length,
    /// How many bytes of the prefix were seen.
    seen: usize,
    /// How many bytes of the message are to come, as far as is known.
    missing: usize,
}

impl LengthPrefixed {
    pub(super) fn new(length: Length) -> Self {
        Self { length, seen: 0, missing: 0 }
    }

    /// The length that the first bytes say, those that are there.
    fn said(&self, frame: &[u8]) -> usize {
        let prefix = &frame[..self.length.bytes().min(frame.len())];
        prefix.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
    }
}

impl Framing for LengthPrefixed {
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let prefix = (self.length.bytes() - self.seen).min(bytes.len());
        for byte in &bytes[..prefix] {
            self.missing = self.missing << 8 | usize::from(*byte);
        }
        self.seen += prefix;
        if self.seen < self.length.bytes() {
            return None;
        }
        let body = bytes.len() - prefix;
        if body < self.missing {
            self.missing -= body;
            return None;
        }
        let end = prefix + self.missing;
        self.reset();
        Some(end)
    }

    fn body(&self, frame: &[u8], is_last: bool) -> Result<Option<Range<usize>>, usize> {
        let (prefix, wanted) = (self.length.bytes(), self.length.bytes() + self.said(frame));
        if is_last && (frame.len() < prefix || frame.len() < wanted) {
            return Err(wanted.max(prefix));
        }
        Ok(Some(prefix..frame.len()))
    }

    fn extra(&self, _last: &[u8]) -> usize {
        self.length.bytes()
    }

    fn lines(&self, _bytes: &[u8]) -> Option<u64> {
        None
    }

    fn reset(&mut self) {
        (self.seen, self.missing) = (0, 0);
    }
}

/// Whether its length can be said.
pub(super) fn encode(length: Length, data: &[u8], out: &mut Vec<u8>) -> bool {
    let (true, Ok(prefix)) = (data.len() <= length.max(), u32::try_from(data.len())) else {
        return false;
    };
    out.extend_from_slice(&prefix.to_be_bytes()[4 - length.bytes()..]);
    out.extend_from_slice(data);
    true
}
