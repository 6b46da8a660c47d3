//! Lines: each ends with LF or CRLF, but for the last one, which may end with the stream.

use super::Framing;
use std::ops::Range;

pub(super) struct Lines;

/// What of a line stands before its end.
pub(super) fn without_end(line: &[u8]) -> Range<usize> {
    let text = line.strip_suffix(b"\n").map(|text| text.strip_suffix(b"\r").unwrap_or(text));
    0..text.unwrap_or(line).len()
}

impl Framing for Lines {
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        memchr::memchr(b'\n', bytes).map(|at| at + 1)
    }

    fn body(&self, frame: &[u8], _is_last: bool) -> Result<Option<Range<usize>>, usize> {
        Ok(Some(without_end(frame)))
    }

    fn extra(&self, last: &[u8]) -> usize {
        last.len() - without_end(last).end
    }

    fn lines(&self, bytes: &[u8]) -> Option<u64> {
        Some(u64::from(bytes.ends_with(b"\n")))
    }
}

pub(super) fn encode(data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(data);
    out.push(b'\n');
}
