//! JSON texts, one in a line. Empty lines are skipped.

use super::Framing;
use super::lines::{Lines, without_end};
use std::ops::Range;

pub(super) struct Ndjson;

impl Framing for Ndjson {
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        Lines.end(bytes)
    }

    fn body(&self, frame: &[u8], _is_last: bool) -> Result<Option<Range<usize>>, usize> {
        let body = without_end(frame);
        let is_empty = frame[body.clone()].trim_ascii().is_empty();
        Ok((!is_empty).then_some(body))
    }

    fn lines(&self, bytes: &[u8]) -> Option<u64> {
        Lines.lines(bytes)
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
