//! The submit end: opens a file, and submits its lines to the file's group.

use crate::failure::Failure;
use crate::flight::{check_header, line_buffer};
use crate::machine::FlightMachine;
use flate2::read::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressStyle};
use stageline::Submitter;
use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use zip::ZipArchive;

/// Bytes that the CSV reader asks its file for.
const READ_BYTES: usize = 1 << 16;

/// A file that was opened and not yet read.
pub struct Source {
    path: PathBuf,
    /// Bytes that will be read from it, for the progress bar.
    bytes: u64,
    content: Content,
}

enum Content {
    Plain(File),
    Gzip(File),
    Zip(ZipArchive<File>),
}

impl Source {
    /// Opens a file. Its name's end tells how it is compressed.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let (bytes, content) =
            open(path).map_err(|source| Failure::Open { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), bytes, content })
    }

    /// Submits all lines but the first, and returns how many those are. The submit end is closed
    /// when it returns, and so the receive end gets to its end.
    pub fn submit_to(
        self,
        submitter: Submitter<FlightMachine>,
        bar: &ProgressBar,
    ) -> Result<u64, Failure> {
        let path = self.path;
        match self.content {
            Content::Plain(file) => submit_lines(&path, bar.wrap_read(file), submitter),
            Content::Gzip(file) => {
                let text = MultiGzDecoder::new(bar.wrap_read(file));
                submit_lines(&path, text, submitter)
            }
            Content::Zip(mut archive) => match archive.by_index(0) {
                Ok(entry) => submit_lines(&path, bar.wrap_read(entry), submitter),
                Err(error) => Err(Failure::Open { path, source: error.into() }),
            },
        }
    }
}

fn open(path: &Path) -> Result<(u64, Content), Box<dyn Error + Send + Sync>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err("is a directory, not a file of flights".into());
    }
    match path.extension().and_then(|end| end.to_str()) {
        Some("gz") => Ok((metadata.len(), Content::Gzip(file))),
        Some("zip") => {
            let mut archive = ZipArchive::new(file)?;
            if archive.len() != 1 {
                return Err(format!("holds {} files, not one", archive.len()).into());
            }
            let bytes = archive.by_index(0)?.size();
            Ok((bytes, Content::Zip(archive)))
        }
        _ => Ok((metadata.len(), Content::Plain(file))),
    }
}

fn submit_lines(
    path: &Path,
    text: impl Read,
    mut submitter: Submitter<FlightMachine>,
) -> Result<u64, Failure> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        // The stage `parse` counts the columns.
        .flexible(true)
        .buffer_capacity(READ_BYTES)
        .from_reader(text);
    let mut read = |record: &mut csv::ByteRecord| {
        reader.read_byte_record(record).map_err(|source| {
            let (path, line) = (path.to_owned(), reader.position().line());
            Failure::Read { path, line, source }
        })
    };
    let mut line = line_buffer();
    read(&mut line)?;
    check_header(&line).map_err(|found| Failure::Header { path: path.to_owned(), found })?;
    let mut lines = 0;
    while read(&mut line)? {
        // Read first, since a slot that was taken cannot be given back at the end of the file. The
        // slot gives its buffer for the one that was read into.
        let submitted =
            submitter.submit_with(|flight| std::mem::swap(&mut flight.record, &mut line));
        if submitted.is_err() {
            // The receive end has given up, and tells why.
            break;
        }
        lines += 1;
    }
    Ok(lines)
}

/// A bar over the bytes of all files: on stderr if that is a terminal, and otherwise nowhere.
pub fn progress_bar(sources: &[Source], quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(
        "{bar:40.cyan} {percent:>3}% {bytes}/{total_bytes} {bytes_per_sec} {eta} left",
    );
    ProgressBar::new(sources.iter().map(|source| source.bytes).sum())
        .with_style(style.expect("the template is a constant"))
}
