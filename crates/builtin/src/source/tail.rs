//! A file that grows, is replaced, or cut.
//!
//! 1. It is read to its end.
//! 2. At its end the file that has its name now is looked at. Is it another one, what was written to the old one
//!    meanwhile is read, then it is finished, and the other is opened.
//! 3. Is it the same one, and shorter than what was read of it, it is finished and read from its beginning.
//! 4. Has nothing its name, the old one is kept until something has, or nothing has come for so long that nobody
//!    can be thought to write to it.
//! 5. What was read to its end and has another name now is not read again under that.

use super::feed::{CHUNK, Feed, Origin, Stop};
use super::file_source::{To, failed};
use super::packed::{GZIP, Packed};
use crate::codec::{Decoder, Decoding};
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How many chunks are read of a file before the next one has its turn.
const CHUNKS: usize = 16;

/// A file that is read as it is, or unpacked.
pub(super) enum Opened {
    Plain(File),
    Packed(Box<Packed>),
}

pub(super) fn open(path: &Path) -> io::Result<Opened> {
    let kind = fs::metadata(path)?.file_type();
    if kind.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
    }
    // To open one would wait for who writes to it, and hear of no stop.
    if kind.is_fifo() {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "it is a pipe, which `stdin` can read",
        ));
    }
    let file = File::open(path)?;
    let mut magic = [0; GZIP.len()];
    // What is shorter is not packed; what cannot be read so is no file that could be.
    let is_packed = file.read_exact_at(&mut magic, 0).is_ok() && magic == GZIP;
    Ok(if is_packed { Opened::Packed(Box::new(Packed::new(file))) } else { Opened::Plain(file) })
}

impl Opened {
    pub(super) fn read(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match self {
                Self::Plain(file) => file.read(chunk),
                Self::Packed(unpacked) => unpacked.read(chunk),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn metadata(&self) -> io::Result<Metadata> {
        match self {
            Self::Plain(file) => file.metadata(),
            Self::Packed(unpacked) => unpacked.metadata(),
        }
    }
}

/// How long a file without a name is kept.
const NAMELESS: Duration = Duration::from_secs(10);

/// The device and the inode of a file, which stay when it gets another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity(u64, u64);

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }
}

/// The identity of the file of this name, and its size.
pub(super) fn identity(path: &Path) -> Option<(Identity, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((Identity::of(&metadata), metadata.len()))
}

/// A file and what was read of it.
struct Reading {
    opened: Opened,
    decoder: Decoder,
    identity: Identity,
    /// Since when it has been without a name.
    nameless: Option<Instant>,
    /// How many bytes were read; of one that is packed that says nothing.
    read: u64,
}

/// What became of the file at whose end a tail is.
#[derive(PartialEq)]
enum Fate {
    Stays,
    Replaced,
    Cut,
    /// It has no name, and nobody is thought to write to it.
    Gone,
}

impl Reading {
    fn fate(&mut self, path: &Path, has_read: bool) -> Fate {
        let Ok(now) = fs::metadata(path) else {
            let since = self.nameless.filter(|_| !has_read).unwrap_or_else(Instant::now);
            self.nameless = Some(since);
            return if since.elapsed() < NAMELESS { Fate::Stays } else { Fate::Gone };
        };
        self.nameless = None;
        if Identity::of(&now) != self.identity {
            return Fate::Replaced;
        }
        let is_cut = matches!(self.opened, Opened::Plain(_)) && now.len() < self.read;
        if is_cut { Fate::Cut } else { Fate::Stays }
    }

    /// Reads some chunks, until the run ends. How many, and whether that was to the end of the file.
    fn read(&mut self, chunk: &mut [u8], to: &mut To<'_>) -> Result<(usize, bool), Stop> {
        for count in 0..CHUNKS {
            if to.out.is_stopping() {
                return Ok((count, false));
            }
            match self.opened.read(chunk).map_err(|error| failed(to.origin.name, error))? {
                0 => return Ok((count, true)),
                read => {
                    self.read += read as u64;
                    to.feed.push(&mut self.decoder, &chunk[..read], &to.origin, to.out)?;
                }
            }
        }
        Ok((CHUNKS, false))
    }

    /// Whether it is finished: the run may end before.
    fn end(&mut self, fate: &Fate, chunk: &mut [u8], to: &mut To<'_>) -> Result<bool, Stop> {
        // Who writes to the old file may have done so since its end was read.
        while *fate != Fate::Cut && !self.read(chunk, to)?.1 {
            if to.out.is_stopping() {
                return Ok(false);
            }
        }
        to.feed.finish(&mut self.decoder, &to.origin, to.out)?;
        Ok(true)
    }
}

pub(super) struct Tail {
    path: PathBuf,
    name: String,
    starts_at_end: bool,
    reading: Option<Reading>,
    /// That it cannot be opened was said.
    is_said: bool,
    /// A file that has just been read to its end and lost its name, and how much was read of it.
    pub(super) finished: Option<(Identity, u64)>,
    /// Its file has gone: it is to be dropped.
    pub(super) is_over: bool,
}

impl Tail {
    pub(super) fn new(path: PathBuf, starts_at_end: bool) -> Self {
        let name = path.display().to_string();
        let (reading, finished) = (None, None);
        Self { path, name, starts_at_end, reading, is_said: false, finished, is_over: false }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether this file is read here, when it had this name.
    pub(super) fn reads(&self, identity: Identity) -> bool {
        self.reading.as_ref().is_some_and(|reading| reading.identity == identity)
    }

    pub(super) fn leave(&self, feed: &mut Feed, origin: &Origin<'_>) {
        if let Some(reading) = &self.reading {
            feed.leave(&reading.decoder, origin);
        }
    }

    /// Reads what there is, for a while. Whether there was anything.
    pub(super) fn step(
        &mut self,
        decoding: &Decoding,
        chunk: &mut [u8],
        to: &mut To<'_>,
    ) -> Result<bool, Stop> {
        let reading = match &mut self.reading {
            Some(reading) => reading,
            None => match self.begin(decoding) {
                Ok(reading) => {
                    self.is_said = false;
                    self.reading.insert(reading)
                }
                Err(error) => {
                    if error.kind() != io::ErrorKind::NotFound && !self.is_said {
                        to.feed.say(format_args!("{}: {error}", self.name));
                        self.is_said = true;
                    }
                    return Ok(false);
                }
            },
        };
        let (count, is_at_end) = reading.read(chunk, to)?;
        if !is_at_end {
            return Ok(true);
        }
        // What is packed does not grow.
        if matches!(reading.opened, Opened::Packed(_)) {
            to.feed.finish(&mut reading.decoder, &to.origin, to.out)?;
        }
        let fate = reading.fate(&self.path, count > 0);
        if fate == Fate::Stays {
            return Ok(count > 0);
        }
        if !reading.end(&fate, chunk, to)? {
            return Ok(true);
        }
        self.finished = (fate != Fate::Cut).then_some((reading.identity, reading.read));
        self.is_over = fate == Fate::Gone;
        self.reading = None;
        Ok(true)
    }

    fn begin(&mut self, decoding: &Decoding) -> io::Result<Reading> {
        let mut opened = open(&self.path)?;
        let metadata = opened.metadata()?;
        let mut decoder = decoding.decoder();
        let mut read = 0;
        // Only the file that is there at the start has an end to start at.
        if std::mem::take(&mut self.starts_at_end)
            && let Opened::Plain(file) = &mut opened
        {
            if decoder.wants_header() {
                decoder.set_header(&header(file, decoding.decoder())?);
            }
            read = file.seek(SeekFrom::End(0))?;
            decoder.start_at(read);
        }
        let identity = Identity::of(&metadata);
        Ok(Reading { opened, decoder, identity, nameless: None, read })
    }
}

/// The header that a file begins with; none, if there is no whole one yet.
fn header(file: &mut File, mut decoder: Decoder) -> io::Result<Vec<u8>> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = match file.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        // (The first record is the header; what follows it is found again.)
        let _ = decoder.next(&mut &chunk[..read]);
        if read == 0 || !decoder.wants_header() {
            return Ok(decoder.header().to_vec());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::DECODE;
    use crate::source::testing::{Collected, checked};
    use stageline_component::{Kind, Spec};

    static SPEC: Spec =
        Spec { name: "it", kind: Kind::Source, summary: "", attributes: &DECODE, doc: "" };

    #[test]
    fn what_was_written_since_the_end_was_read_is_read_if_the_file_was_replaced() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "late\nlast").unwrap();
        for (fate, expected) in [(Fate::Replaced, vec!["late", "last"]), (Fate::Cut, vec![])] {
            let decoding = Decoding::of(&checked(&SPEC, &[])).unwrap();
            let mut reading = Tail::new(path.clone(), false).begin(&decoding).unwrap();
            let mut feed = Feed::new("it", &decoding);
            let mut out = Collected::default();
            let mut to = To { feed: &mut feed, origin: Origin::plain("a"), out: &mut out };
            assert!(reading.end(&fate, &mut [0; 3], &mut to).unwrap());
            assert_eq!(out.texts(), expected);
        }
    }

    #[test]
    fn nothing_is_read_after_the_end_of_the_run() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "a\nb\nc\nd\n").unwrap();
        let decoding = Decoding::of(&checked(&SPEC, &[])).unwrap();
        let mut tail = Tail::new(path.clone(), false);
        let mut feed = Feed::new("it", &decoding);
        let mut out = Collected::after(2);
        let mut to = To { feed: &mut feed, origin: Origin::plain("a"), out: &mut out };
        assert!(tail.step(&decoding, &mut [0; 2], &mut to).unwrap());
        fs::rename(&path, folder.path().join("b")).unwrap();
        assert!(tail.step(&decoding, &mut [0; 2], &mut to).unwrap());
        let mut reading = tail.reading.take().unwrap();
        assert!(!reading.end(&Fate::Replaced, &mut [0; 2], &mut to).unwrap());
        assert_eq!(out.texts(), ["a", "b"]);
        assert_eq!(reading.read, 4);
    }
}
