//! Files.

use super::batch::Failure;
use super::encoded::{BYTES_MAX, Encoding, Output, STREAM};
use super::parts::{Parts, sync_folder};
use crate::codec::{MARK, joined, record_text, shown};
use crate::factory::{Plan, bytes, defaulted, optional, required, time};
use crate::status::{DISK_FULL, FILE_UNWRITTEN, OTHER_HEADER};
use stageline_component::{
    AttributeError, AttributeKind, AttributeSpec, Attributes, Component, Error, Kind, Report, Spec,
};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const OWN: [AttributeSpec; 5] = [
    required("path", AttributeKind::Text, "The file. Its folder must be there."),
    defaulted(
        "mode",
        AttributeKind::OneOf(&["append", "truncate"]),
        "append",
        "Whether a file that is there goes on, or is emptied at the start.",
    ),
    optional(
        "rotate_size",
        AttributeKind::Size,
        "A file that would have more bytes than this is finished, and another one begun.",
    ),
    optional(
        "rotate_every",
        AttributeKind::Duration,
        "A file that is as old as this is finished when the next messages are written, and another one begun.",
    ),
    defaulted(
        "sync",
        AttributeKind::OneOf(&["never", "rotate", "batch"]),
        "never",
        "When the system is to bring what it has to the disk: never, when a file is finished, or after each batch, \
         before its messages are done.",
    ),
];

static SPEC: Spec = Spec {
    name: "file_sink",
    kind: Kind::Sink,
    summary: "Writes messages to a file, or to one after the other",
    attributes: &joined::<10>(&[&OWN, &STREAM]),
    doc: "\
Writes messages, many at once, as `stdout` does. A message is done when the system has it, and with `sync = \"batch\"`
when the disk has it. Where a file goes on whose last line has no end, that gets one first.

Without `rotate_size` and `rotate_every` the file has its plain name all the time. With either, the file that is
written is `out.log.part`, and gets the name `out.000001.log` when it is finished, at once and for good: so who looks
for `out.*.log` finds whole files alone. The last one is finished at the end of the run; after a crash the next run
goes on with the `.part` file, or empties it, as `mode` says. Batches are not parted: a file may have a batch less than
`rotate_size` says, for which a smaller `batch` helps. A file has more than `rotate_size` bytes, a header
included, only if a single batch has.

With `codec = \"csv\"` each file begins with the header. One that goes on must begin with the same, or all messages fail
(status 230); `csv_header = false` appends rows to whatever there is.

While the disk is full messages are retried (status 122), and nothing of them is left in the file. Other errors fail
the whole batch (status 224).

```lua
local s = require(\"stageline\")
s.pipeline { s.stdin {}, s.file_sink { path = \"out.log\", rotate_size = \"64MiB\", sync = \"rotate\" } }
```
",
};

#[derive(Clone, Copy, PartialEq)]
enum Sync {
    Never,
    Rotate,
    Batch,
}

#[derive(Clone)]
struct Rules {
    path: PathBuf,
    truncates: bool,
    rotate_size: Option<u64>,
    rotate_every: Option<Duration>,
    sync: Sync,
    /// Each message ends with the end of a line.
    has_lines: bool,
}

pub(super) struct FileSink {
    rules: Rules,
    encoding: Encoding,
}

impl Plan for FileSink {
    const SPEC: &'static Spec = &SPEC;

    fn new(attributes: &Attributes) -> Result<Self, Error> {
        let path = PathBuf::from(attributes.text("path").unwrap_or_default());
        if path.file_name().is_none() {
            let value = path.display().to_string().into();
            return Err(AttributeError::invalid("path", &value, "the path of a file").into());
        }
        let rotate_size = bytes(attributes, "rotate_size")?;
        let rotate_every = time(attributes, "rotate_every")?;
        let sync = match attributes.text("sync") {
            Some("rotate") => Sync::Rotate,
            Some("batch") => Sync::Batch,
            _ => Sync::Never,
        };
        let truncates = attributes.text("mode") == Some("truncate");
        let has_lines = matches!(attributes.text("codec"), Some("lines" | "ndjson" | "csv"));
        let rules = Rules { path, truncates, rotate_size, rotate_every, sync, has_lines };
        Ok(Self { rules, encoding: Encoding::of(attributes)? })
    }

    fn component(&self) -> Result<Box<dyn Component>, Error> {
        let bytes_max = self
            .rules
            .rotate_size
            .map_or(BYTES_MAX, |size| usize::try_from(size).unwrap_or(BYTES_MAX).min(BYTES_MAX));
        Ok(self.encoding.component(Files::new(self.rules.clone())?, bytes_max))
    }

    /// One: there is one file.
    fn pool_size(&self) -> Option<usize> {
        Some(1)
    }
}

struct Open {
    file: File,
    len: u64,
    since: Instant,
    /// Something was there, and nobody has looked yet what it begins with.
    goes_on: bool,
}

struct Files {
    rules: Rules,
    /// If files are finished.
    parts: Option<Parts>,
    open: Option<Open>,
}

impl Files {
    /// What cannot be opened is found before the first message.
    fn new(rules: Rules) -> Result<Self, Error> {
        let failed =
            |error| Error::with_source(format!("file_sink: cannot write {:?}", rules.path), error);
        let rotates = rules.rotate_size.is_some() || rules.rotate_every.is_some();
        let parts = match rotates {
            true => Some(Parts::new(&rules.path).map_err(failed)?),
            false => None,
        };
        let mut files = Self { rules: rules.clone(), parts, open: None };
        let open = files.begin(rules.truncates).map_err(failed)?;
        files.open = Some(open);
        Ok(files)
    }

    /// The file that is written.
    fn current(&self) -> PathBuf {
        match &self.parts {
            Some(parts) => parts.current(),
            None => self.rules.path.clone(),
        }
    }

    /// A file that goes on has a header already, which must be the one of what is to be written.
    fn check_beginning(&self, beginning: &[u8]) -> Result<(), (Report, io::Error)> {
        let goes_on = self.open.as_ref().is_some_and(|open| open.goes_on);
        if !goes_on || beginning.is_empty() {
            return Ok(());
        }
        let path = self.current();
        let mut found = Vec::new();
        // With a byte order mark, and the end of the line.
        let most = (MARK.len() + beginning.len() + 1) as u64;
        File::open(path)
            .and_then(|file| file.take(most).read_to_end(&mut found))
            .map_err(|error| (report(&error), error))?;
        let found = found.strip_prefix(MARK).unwrap_or(&found);
        let rest = found.strip_prefix(record_text(beginning));
        let ends = |rest: &[u8]| matches!(rest.first(), None | Some(b'\n' | b'\r'));
        if rest.is_some_and(ends) {
            return Ok(());
        }
        let line = found.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        let text = format!("it begins with {}, not with {}", shown(line), shown(beginning));
        Err((OTHER_HEADER, io::Error::other(text)))
    }

    /// What ends the last line of a file that goes on, where whoever wrote it did not come to do so. (Nothing, if it may not
    /// be read.)
    fn line_end(&self) -> &'static [u8] {
        let last = || {
            let mut file = File::open(self.current())?;
            file.seek(SeekFrom::End(-1))?;
            let mut last = [0];
            file.read_exact(&mut last).map(|()| last)
        };
        let goes_on = self.open.as_ref().is_some_and(|open| open.goes_on);
        let is_open = self.rules.has_lines && goes_on && last().is_ok_and(|last| last != *b"\n");
        if is_open { b"\n" } else { b"" }
    }

    fn begin(&self, truncates: bool) -> io::Result<Open> {
        let file = OpenOptions::new().append(true).create(true).open(self.current())?;
        let metadata = file.metadata()?;
        let mut len = metadata.len();
        // (What is no file, a pipe, has no length.)
        if truncates && metadata.is_file() {
            file.set_len(0)?;
            len = 0;
        }
        Ok(Open { file, len, since: Instant::now(), goes_on: len > 0 })
    }

    fn is_due(&self, bytes: usize) -> bool {
        self.open.as_ref().is_some_and(|open| {
            let is_large =
                self.rules.rotate_size.is_some_and(|size| open.len + bytes as u64 > size);
            let is_old = self.rules.rotate_every.is_some_and(|age| open.since.elapsed() >= age);
            open.len > 0 && (is_large || is_old)
        })
    }

    /// The file that is written is finished. An empty one is none.
    fn finish(&mut self) -> io::Result<()> {
        let Some(open) = &self.open else { return Ok(()) };
        let syncs = self.rules.sync != Sync::Never;
        if syncs {
            open.file.sync_all()?;
        }
        if let Some(parts) = &mut self.parts {
            match open.len {
                0 => fs::remove_file(parts.current())?,
                _ => parts.finish()?,
            }
        }
        self.open = None;
        if syncs { sync_folder(&self.rules.path) } else { Ok(()) }
    }

    fn write_all(&mut self, bytes: &[u8], beginning: &[u8]) -> Result<(), (Report, io::Error)> {
        let undone = |error: io::Error| (report(&error), error);
        if self.is_due(bytes.len()) {
            self.finish().map_err(undone)?;
        }
        let line_end = self.line_end();
        self.check_beginning(beginning)?;
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin(false).map_err(undone)?,
        };
        let before = if open.len == 0 { beginning } else { line_end };
        let written = put(&mut open.file, open.len, [before, bytes]);
        let is_written = written.is_ok();
        if is_written {
            open.len += (before.len() + bytes.len()) as u64;
            open.goes_on = false;
        }
        let synced = match (is_written, self.rules.sync) {
            (true, Sync::Batch) => open.file.sync_data(),
            _ => Ok(()),
        };
        self.open = Some(open);
        // What the disk did not take once, it may have forgotten: another try would prove nothing.
        written.and(synced.map_err(|error| (FILE_UNWRITTEN, error)))
    }
}

impl Output for Files {
    fn write(&mut self, bytes: &[u8], beginning: &[u8]) -> Result<(), Failure> {
        let path = self.rules.path.display().to_string();
        self.write_all(bytes, beginning)
            .map_err(|(report, error)| Failure { report, text: format!("{path}: {error}") })
    }

    fn close(&mut self) -> Result<(), Error> {
        self.finish().map_err(|error| {
            Error::with_source(format!("file_sink: cannot finish {:?}", self.rules.path), error)
        })
    }
}

/// Whether it may be better later.
fn report(error: &io::Error) -> Report {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DISK_FULL,
        _ => FILE_UNWRITTEN,
    }
}

/// What can be written, and cut.
trait Medium: Write {
    fn cut(&mut self, len: u64) -> io::Result<()>;
}

impl Medium for File {
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}

/// Appends both, or nothing. Where a part of them cannot be taken away again, it is no retry.
fn put(medium: &mut impl Medium, len: u64, both: [&[u8]; 2]) -> Result<(), (Report, io::Error)> {
    let written = both.into_iter().try_for_each(|bytes| medium.write_all(bytes));
    written.map_err(|error| match medium.cut(len) {
        Ok(()) => (report(&error), error),
        Err(_) => (FILE_UNWRITTEN, error),
    })
}

#[cfg(test)]
#[path = "file_sink_tests.rs"]
mod tests;
