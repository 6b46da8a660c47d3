//! Compresses messages.

use crate::factory::{Plan, answer, defaulted, too_large};
use crate::status::NOT_COMPRESSED;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use stageline_component::{
    AttributeKind, Attributes, Buffer, Component, Error, Kind, Message, Report, Spec, TooLarge,
};

static SPEC: Spec = Spec {
    name: "gzip",
    kind: Kind::Transform,
    summary: "Compresses each message as a gzip file",
    attributes: &[defaulted(
        "level",
        AttributeKind::Integer,
        "6",
        "How hard it tries, from 0, not at all, to 9.",
    )],
    doc: r#"
    s.gzip { level = 1 }

The result has neither a name nor a time in it, so the same message gives the same bytes. A message that is larger then
than a message may be fails with the status 201, and with 229 one at which the compressor gives up. The compressor, of
300 KiB, is kept from one message to the next, and
nothing is allocated for a message.
"#,
};

/// The bytes before what is compressed: no name, no time, an unknown system.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// How hard.
pub(crate) struct Gzip {
    level: Compression,
}

impl Plan for Gzip {
    const SPEC: &'static Spec = &SPEC;

    fn new(attributes: &Attributes) -> Result<Self, Error> {
        let level = attributes.integer_in("level", 0..=9)?.unwrap_or(6);
        Ok(Self { level: Compression::new(level as u32) })
    }

    fn component(&self) -> Result<Box<dyn Component>, Error> {
        let compress = Compress::new(self.level, false);
        Ok(Box::new(Compresses { compress, out: Buffer::default() }))
    }
}

struct Compresses {
    compress: Compress,
    out: Buffer,
}

impl Compresses {
    /// Appends the compressed data, and says whether that went well.
    fn append(&mut self, data: &[u8]) -> Result<bool, TooLarge> {
        self.compress.reset();
        let begin = self.out.len();
        loop {
            let (read, written) = (self.compress.total_in(), self.compress.total_out());
            let (read, end) = (read as usize, begin + written as usize);
            // Half of what is left, and some more, so that it seldom takes another turn.
            self.out.resize(end + (data.len() - read) / 2 + 64, 0)?;
            let input = &data[read..];
            match self.compress.compress(input, &mut self.out[end..], FlushCompress::Finish) {
                Ok(Status::StreamEnd) => break,
                Ok(Status::Ok | Status::BufError) => {}
                Err(_) => return Ok(false),
            }
        }
        self.out.truncate(begin + self.compress.total_out() as usize);
        Ok(true)
    }

    fn file(&mut self, data: &[u8]) -> Result<bool, TooLarge> {
        self.out.set(&HEAD)?;
        let is_compressed = self.append(data)?;
        let mut crc = Crc::new();
        crc.update(data);
        self.out.extend_from_slice(&crc.sum().to_le_bytes())?;
        self.out.extend_from_slice(&crc.amount().to_le_bytes())?;
        Ok(is_compressed)
    }
}

impl Component for Compresses {
    fn handle(&mut self, message: &mut Message) -> Report {
        let made = self.file(message.data());
        let swapped = made.and_then(|is_compressed| {
            if is_compressed {
                message.data_mut().swap(&mut self.out)?
            }
            Ok(is_compressed)
        });
        match swapped {
            Ok(true) => Report::DONE,
            Ok(false) => answer(message, NOT_COMPRESSED, "the compressor gave up"),
            Err(error) => too_large(message, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::testing::{component, message, refused};
    use crate::status::TOO_LARGE;
    use flate2::read::GzDecoder;
    use std::io::Read;

    #[test]
    fn what_is_compressed_is_read_by_others() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        for level in [0, 1, 6, 9] {
            let mut gzip = component::<Gzip>(&[("level", level.into())]);
            for len in [0, 1, 63, 64, 1000, 100_000] {
                let noise: Vec<u8> = (0..len).map(|_| random.u8(..)).collect();
                for data in [noise, vec![b'a'; len]] {
                    let mut message = message(&data);
                    assert_eq!(gzip.handle(&mut message), Report::DONE);
                    let mut read = Vec::new();
                    GzDecoder::new(message.data()).read_to_end(&mut read).unwrap();
                    assert_eq!(read, data, "{len} at {level}");
                }
            }
        }
        let mut gzip = component::<Gzip>(&[]);
        let mut text = message("a text ".repeat(1000));
        assert_eq!(gzip.handle(&mut text), Report::DONE);
        assert!(text.data().len() < 100, "{}", text.data().len());
    }

    #[test]
    fn a_result_that_is_too_large_fails() {
        let mut message = Message::new(8, 10);
        message.set_data(b"0123456789").unwrap();
        assert_eq!(component::<Gzip>(&[]).handle(&mut message), TOO_LARGE);
        assert!(message.description().ends_with("more than the 10 that there may be"));
        assert_eq!(message.data(), b"0123456789");
    }

    #[test]
    fn wrong_attributes_are_named() {
        let error = refused::<Gzip>(&[("level", 10.into())]);
        assert_eq!(error, "`level` = 10: expected a number from 0 to 9");
    }
}
