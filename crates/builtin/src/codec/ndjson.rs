//! JSON texts, one in a line. Empty lines are skipped.

use super::Framing;
use super::lines::{Lines, without_end};
use std::ops::Range;

pub(super) struct Ndjson {
    /// There are but blanks in the line, as far as it was seen: one that is too large is not kept.
    is_empty: bool,
    has_ended: bool,
}

impl Default for Ndjson {
    fn default() -> Self {
        Self { is_empty: true, has_ended: false }
    }
}

impl Framing for Ndjson {
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.has_ended {
            self.reset();
        }
        let end = Lines.end(bytes);
        let seen = &bytes[..end.unwrap_or(bytes.len())];
        self.is_empty = self.is_empty && seen.trim_ascii().is_empty();
        self.has_ended = end.is_some();
        end
    }

    fn body(&self, frame: &[u8], _is_last: bool) -> Result<Option<Range<usize>>, usize> {
        Ok((!self.is_empty).then(|| without_end(frame)))
    }

    fn extra(&self, last: &[u8]) -> usize {
        Lines.extra(last)
    }

    fn lines(&self, bytes: &[u8]) -> Option<u64> {
        Lines.lines(bytes)
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

/// The ends of lines in a JSON text stand between its tokens, where a blank says the same.
pub(super) fn encode(data: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(data.trim_ascii_end());
    for byte in &mut out[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    out.push(b'\n');
}
