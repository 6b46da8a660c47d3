//! Records of comma-separated values (RFC 4180): a record may have several lines, where a quoted field has them.

use super::Framing;
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use std::ops::Range;

/// The attribute of a message that has the header of its file, a record as it stands there.
pub(crate) const HEADER: &str = "csv.header";

/// What is read is thrown away, piece by piece: only the ends of records are wanted.
const SCRATCH: usize = 1024;
const ENDS: usize = 64;

pub(super) struct Csv {
    delimiter: u8,
    reader: Reader,
    scratch: [u8; SCRATCH],
    ends: [usize; ENDS],
}

impl Csv {
    pub(super) fn new(delimiter: u8) -> Self {
        let reader = ReaderBuilder::new().delimiter(delimiter).build();
        let mut csv = Self { delimiter, reader, scratch: [0; SCRATCH], ends: [0; ENDS] };
        csv.keep_marks();
        csv
    }

    /// The reader leaves out a byte order mark at its beginning. That of the stream the decoder has left out; any other
    /// is a letter, and a quote behind it opens nothing. So the reader begins with the end of a line.
    fn keep_marks(&mut self) {
        let _ = self.reader.read_record(b"\n", &mut self.scratch, &mut self.ends);
    }

    /// Whether a line feed would end this record, and does not stand within quotes.
    fn is_whole(&self, record: &[u8]) -> bool {
        let mut again = Self::new(self.delimiter);
        again.end(record).is_some() || again.end(b"\n").is_some()
    }
}

fn is_line_end(byte: &u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// A record without what ends it. (Ends of lines within a field stand between quotes.)
fn record(frame: &[u8]) -> Range<usize> {
    0..frame.iter().rposition(|byte| !is_line_end(byte)).map_or(0, |last| last + 1)
}

impl Framing for Csv {
    fn blank(&self, bytes: &[u8]) -> usize {
        bytes.iter().position(|byte| !is_line_end(byte)).unwrap_or(bytes.len())
    }

    /// A record ends at the CR of a CRLF. The LF then stands before the next one.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut used = 0;
        // To go on without a byte would say that the stream has ended.
        while used < bytes.len() {
            let rest = &bytes[used..];
            let (result, read, ..) =
                self.reader.read_record(rest, &mut self.scratch, &mut self.ends);
            used += read;
            if matches!(result, ReadRecordResult::Record) {
                return Some(used);
            }
        }
        None
    }

    fn body(&self, frame: &[u8], is_last: bool) -> Result<Option<Range<usize>>, usize> {
        if is_last && !self.is_whole(frame) {
            return Err(frame.len() + 1);
        }
        Ok(Some(record(frame)))
    }

    fn extra(&self, last: &[u8]) -> usize {
        last.len() - record(last).end
    }

    fn lines(&self, bytes: &[u8]) -> Option<u64> {
        Some(memchr::memchr_iter(b'\n', bytes).count() as u64)
    }

    fn reset(&mut self) {
        self.reader.reset();
        self.keep_marks();
    }
}

/// A record without what ends it.
pub(crate) fn text(data: &[u8]) -> &[u8] {
    &data[record(data)]
}

pub(super) fn encode(data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(text(data));
    out.push(b'\n');
}
