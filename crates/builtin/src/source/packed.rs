//! Files that are packed by gzip: one member behind the other, and zeros behind the last, which are left out.

use flate2::bufread::GzDecoder;
use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Read};

/// What such a file begins with.
pub(super) const GZIP: [u8; 2] = [0x1f, 0x8b];

pub(super) struct Packed {
    /// The one that is read. (There is always one, but while the next takes its place.)
    member: Option<GzDecoder<BufReader<File>>>,
    /// Zeros have come behind a member.
    is_padded: bool,
}

impl Packed {
    pub(super) fn new(file: File) -> Self {
        Self { member: Some(GzDecoder::new(BufReader::new(file))), is_padded: false }
    }

    /// How many bytes were unpacked; 0 at the end.
    pub(super) fn read(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(chunk)?;
            if read > 0 || chunk.is_empty() || !is_followed(member.get_mut(), &mut self.is_padded)?
            {
                return Ok(read);
            }
            self.member = self.member.take().map(|member| GzDecoder::new(member.into_inner()));
        }
        Ok(0)
    }

    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        self.member.as_ref().ok_or_else(gone)?.get_ref().get_ref().metadata()
    }
}

/// Whether another member stands behind one. Zeros fill the last block of a tape, or of what was copied as from one.
fn is_followed(rest: &mut impl BufRead, is_padded: &mut bool) -> io::Result<bool> {
    loop {
        let bytes = rest.fill_buf()?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        if zeros == 0 {
            return match (bytes, *is_padded) {
                ([], _) => Ok(false),
                (_, false) => Ok(true),
                (_, true) => {
                    let text = "bytes stand behind the zeros at its end";
                    Err(io::Error::new(io::ErrorKind::InvalidData, text))
                }
            };
        }
        *is_padded = true;
        rest.consume(zeros);
    }
}
