//! Decompresses messages.

use crate::factory::{Plan, answer, bytes, defaulted, too_large};
use crate::status::NOT_GZIP;
use flate2::{Crc, Decompress, FlushDecompress, Status};
use stageline_component::{
    AttributeKind, Attributes, Buffer, Component, Error, Kind, Message, Report, Spec, TooLarge,
};

static SPEC: Spec = Spec {
    name: "gunzip",
    kind: Kind::Transform,
    summary: "Decompresses messages that are gzip files",
    attributes: &[defaulted(
        "size_max",
        AttributeKind::Size,
        "16MiB",
        "How many bytes a message may have when it is decompressed, within what messages may have at all.",
    )],
    doc: r#"
    s.gunzip { size_max = "1MiB" }

Files of several members are put together, and zeros behind the last one are left out. Sizes and check sums are
checked. A message that is no gzip file, or a part of one, fails with the status 219 and a description that says at which
byte. One that would become larger than `size_max` fails with 201, as soon as it has so many bytes: a bomb costs no more.

Nothing is allocated for a message once the buffer is as large as the largest one.
"#,
};

/// The flags of a head.
const HAS_CRC: u8 = 2;
const HAS_EXTRA: u8 = 4;
const HAS_NAME: u8 = 8;
const HAS_COMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

/// How much room there is for the next turn.
const STEP: usize = 8 * 1024;

/// How large messages may become.
pub(crate) struct Gunzip {
    size_max: usize,
}

impl Plan for Gunzip {
    const SPEC: &'static Spec = &SPEC;

    fn new(attributes: &Attributes) -> Result<Self, Error> {
        let size_max = bytes(attributes, "size_max")?.unwrap_or(u64::MAX);
        Ok(Self { size_max: usize::try_from(size_max).unwrap_or(usize::MAX) })
    }

    fn component(&self) -> Result<Box<dyn Component>, Error> {
        // One more, by which it is seen that there is more.
        let out = Buffer::new(self.size_max.saturating_add(1));
        let decompress = Decompress::new(false);
        Ok(Box::new(Decompresses { decompress, out, size_max: self.size_max }))
    }
}

/// Why there is no result.
enum Bad {
    /// What is wrong, and at which byte.
    Gzip(&'static str, usize),
    TooLarge(TooLarge),
}

impl From<TooLarge> for Bad {
    fn from(error: TooLarge) -> Self {
        Self::TooLarge(error)
    }
}

/// Where the head of a member ends.
fn head_end(file: &[u8], start: usize) -> Result<usize, Bad> {
    let cut = || Bad::Gzip("the head is cut off", file.len());
    let head: &[u8; 10] = file[start..].first_chunk().ok_or(Bad::Gzip("no gzip head", start))?;
    let (&[0x1f, 0x8b, 8, flags, ..], 0) = (head, head[3] & RESERVED) else {
        return Err(Bad::Gzip("no gzip head", start));
    };
    let mut at = start + head.len();
    if flags & HAS_EXTRA != 0 {
        let len: &[u8; 2] = file[at..].first_chunk().ok_or_else(cut)?;
        at += 2 + usize::from(u16::from_le_bytes(*len));
    }
    for _ in 0..(flags & (HAS_NAME | HAS_COMMENT)).count_ones() {
        let rest = file.get(at..).ok_or_else(cut)?;
        at += 1 + rest.iter().position(|&byte| byte == 0).ok_or_else(cut)?;
    }
    if flags & HAS_CRC != 0 {
        let sum: &[u8; 2] = file.get(at..).and_then(<[u8]>::first_chunk).ok_or_else(cut)?;
        let mut crc = Crc::new();
        crc.update(&file[start..at]);
        // (The lower half of it.)
        if *sum != (crc.sum() as u16).to_le_bytes() {
            return Err(Bad::Gzip("the check sum of the head is another", at));
        }
        at += sum.len();
    }
    if at <= file.len() { Ok(at) } else { Err(cut()) }
}

struct Decompresses {
    decompress: Decompress,
    out: Buffer,
    size_max: usize,
}

impl Decompresses {
    fn file(&mut self, file: &[u8]) -> Result<(), Bad> {
        self.out.clear();
        let mut at = 0;
        loop {
            at = self.member(file, at)?;
            match file[at..].iter().position(|&byte| byte != 0) {
                None => return Ok(()),
                Some(0) => {}
                Some(zeros) => return Err(Bad::Gzip("bytes behind the end", at + zeros)),
            }
        }
    }

    /// Puts what was unpacked in the place of the file. Where that has no room, nothing changes.
    fn put(&mut self, data: &mut Buffer) -> Result<(), TooLarge> {
        let (wanted, max) = (self.out.len(), data.max());
        if wanted > max {
            return Err(TooLarge { wanted, max });
        }
        // The file itself goes nowhere: it may be larger than what is unpacked may be.
        data.clear();
        data.swap(&mut self.out)
    }

    /// Appends what is in a member, and says where it ends.
    fn member(&mut self, file: &[u8], start: usize) -> Result<usize, Bad> {
        let data = head_end(file, start)?;
        let begin = self.out.len();
        let end = data + self.inflate(&file[data..], data)?;
        let mut crc = Crc::new();
        crc.update(&self.out[begin..]);
        let tail = file[end..].first_chunk::<8>();
        let tail = tail.ok_or(Bad::Gzip("the file is cut off", file.len()))?;
        if tail[..4] != crc.sum().to_le_bytes() {
            return Err(Bad::Gzip("the check sum is another", end));
        }
        if tail[4..] != crc.amount().to_le_bytes() {
            return Err(Bad::Gzip("the size is another", end + 4));
        }
        Ok(end + tail.len())
    }

    /// How many bytes of the file it took. (`at` is where they begin.)
    fn inflate(&mut self, data: &[u8], at: usize) -> Result<usize, Bad> {
        self.decompress.reset(false);
        let begin = self.out.len();
        loop {
            let (read, written) = (self.decompress.total_in(), self.decompress.total_out());
            let (read, end) = (read as usize, begin + written as usize);
            let room = STEP.min(self.out.max() - end);
            self.out.resize(end + room, 0)?;
            let input = &data[read..];
            let turn =
                self.decompress.decompress(input, &mut self.out[end..], FlushDecompress::None);
            let taken = self.decompress.total_in() as usize;
            let made = begin + self.decompress.total_out() as usize;
            match turn {
                Ok(Status::StreamEnd) if made <= self.size_max => {
                    self.out.truncate(made);
                    return Ok(taken);
                }
                Err(_) => return Err(Bad::Gzip("the compressed data is damaged", at + taken)),
                Ok(_) if made > self.size_max => {
                    return Err(TooLarge { wanted: usize::MAX, max: self.size_max }.into());
                }
                Ok(_) if made == end + room => {}
                Ok(_) if taken == data.len() => {
                    return Err(Bad::Gzip("the file is cut off", at + data.len()));
                }
                Ok(_) if (taken, made) == (read, end) => {
                    return Err(Bad::Gzip("the compressed data is damaged", at + taken));
                }
                Ok(_) => {}
            }
        }
    }
}

impl Component for Decompresses {
    fn handle(&mut self, message: &mut Message) -> Report {
        let read = self.file(message.data());
        match read.and_then(|()| Ok(self.put(message.data_mut())?)) {
            Ok(()) => Report::DONE,
            Err(Bad::TooLarge(error)) => too_large(message, error),
            Err(Bad::Gzip(what, at)) => {
                answer(message, NOT_GZIP, format_args!("not a gzip file: {what} at byte {at}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::testing::{component, message, refused};
    use crate::status::TOO_LARGE;
    use flate2::{Compression, GzBuilder, write::GzEncoder};
    use std::io::Write;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn read(file: &[u8]) -> Result<Vec<u8>, (Report, String)> {
        let mut message = message(file);
        match component::<Gunzip>(&[]).handle(&mut message) {
            Report::DONE => Ok(message.data().to_vec()),
            report => Err((report, message.description().to_owned())),
        }
    }

    #[test]
    fn files_of_others_are_read() {
        for len in [0, 1, STEP - 1, STEP, STEP + 1, 200_000] {
            let data: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            assert_eq!(read(&gzip(&data)), Ok(data));
        }
        let mut named = GzBuilder::new()
            .filename("a.txt")
            .comment("a comment")
            .extra(&b"more"[..])
            .mtime(7)
            .write(Vec::new(), Compression::best());
        named.write_all(b"named").unwrap();
        let named = named.finish().unwrap();
        assert_eq!(read(&named).unwrap(), b"named");
        let two = [named.as_slice(), &gzip(b", and another"), &[0; 20]].concat();
        assert_eq!(read(&two).unwrap(), b"named, and another");
        let mut with_crc = gzip(b"x");
        with_crc[3] = HAS_CRC;
        let mut crc = Crc::new();
        crc.update(&with_crc[..10]);
        with_crc.splice(10..10, (crc.sum() as u16).to_le_bytes());
        assert_eq!(read(&with_crc).unwrap(), b"x");
        with_crc[11] ^= 1;
        let what = "not a gzip file: the check sum of the head is another at byte 10";
        assert_eq!(read(&with_crc).unwrap_err(), (NOT_GZIP, what.to_owned()));
        for len in 0..named.len() {
            assert_eq!(read(&named[..len]).unwrap_err().0, NOT_GZIP, "cut at {len}");
        }
    }

    #[test]
    fn what_is_no_gzip_file_fails_and_says_where() {
        let file = gzip(b"some text that is compressed");
        let end = file.len();
        let changed = |at: usize, byte: u8| {
            let mut file = file.clone();
            file[at] ^= byte;
            file
        };
        let cases = [
            (b"plain text".to_vec(), "no gzip head at byte 0".to_owned()),
            (vec![], "no gzip head at byte 0".to_owned()),
            (changed(3, 0x80), "no gzip head at byte 0".to_owned()),
            (changed(3, HAS_NAME)[..14].to_vec(), "the head is cut off at byte 14".to_owned()),
            (changed(end - 8, 1), format!("the check sum is another at byte {}", end - 8)),
            (changed(end - 1, 1), format!("the size is another at byte {}", end - 4)),
            (file[..end - 1].to_vec(), format!("the file is cut off at byte {}", end - 1)),
            (file[..15].to_vec(), "the file is cut off at byte 15".to_owned()),
            ([&file[..], &[0, 0, 7]].concat(), format!("bytes behind the end at byte {}", end + 2)),
            ([&file[..], b"x"].concat(), format!("no gzip head at byte {end}")),
        ];
        for (file, what) in cases {
            assert_eq!(read(&file).unwrap_err(), (NOT_GZIP, format!("not a gzip file: {what}")));
        }
        let mut damaged = file.clone();
        damaged[10] = 0xff;
        let (report, text) = read(&damaged).unwrap_err();
        assert!(report == NOT_GZIP && text.contains("the compressed data is damaged"), "{text}");
    }

    /// Whatever is changed, it answers, and never with another text than the one that was compressed.
    #[test]
    fn each_changed_byte_is_survived() {
        let data = b"some text, some text, some more text";
        let file = gzip(data);
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut changed = file.clone();
                changed[at] ^= 1 << bit;
                if let Ok(read) = read(&changed) {
                    assert_eq!(read, data, "byte {at}, bit {bit}");
                }
            }
        }
    }

    #[test]
    fn a_bomb_ends_at_the_limit() {
        let bomb = gzip(&vec![0; 3 << 20]);
        assert!(bomb.len() < 20_000);
        let mut component = component::<Gunzip>(&[("size_max", "20KiB".into())]);
        let mut of = message(&bomb);
        assert_eq!(component.handle(&mut of), TOO_LARGE);
        assert!(of.description().contains("more than the 20480 bytes"), "{}", of.description());
        for (len, report) in
            [(20 * 1024, Report::DONE), (20 * 1024 + 1, TOO_LARGE), (5, Report::DONE)]
        {
            assert_eq!(component.handle(&mut message(gzip(&vec![b'a'; len]))), report, "{len}");
        }
        assert_eq!(read(&bomb).unwrap_err().0, TOO_LARGE, "more than a message may have");
    }

    #[test]
    fn the_size_of_the_file_itself_does_not_count() {
        let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(1000).collect();
        let file = gzip(&noise);
        assert!(file.len() > 1001, "{}", file.len());
        let mut component = component::<Gunzip>(&[("size_max", 1000.into())]);
        let mut of = message(&file);
        assert_eq!(component.handle(&mut of), Report::DONE, "{}", of.description());
        assert_eq!(of.data(), noise);
        let mut small = Message::new(8, 40);
        let packed = gzip(&[b'a'; 41]);
        small.set_data(&packed).unwrap();
        assert_eq!(component.handle(&mut small), TOO_LARGE);
        assert_eq!(small.data(), packed, "nothing has changed");
    }

    #[test]
    fn wrong_attributes_are_named() {
        let error = refused::<Gunzip>(&[("size_max", 0.into())]);
        assert_eq!(error, "`size_max` = 0: expected a byte at least");
        let error = refused::<Gunzip>(&[("size_max", "big".into())]);
        assert!(error.starts_with("`size_max` = \"big\": expected a number of bytes"), "{error}");
    }
}
