//! The codecs of sources and sinks, through files: what is read of any bytes, and whether what is written of any
//! messages gives them back.

mod frames;
mod reads;
mod writes;

use crate::allow_asked_panics;

/// The first byte says which.
pub fn run(data: &[u8]) {
    allow_asked_panics();
    let Some((first, rest)) = data.split_first() else { return };
    match first {
        b'R' => reads::check(rest),
        b'W' => writes::check(rest),
        _ => {}
    }
}

/// How bytes are parted into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Codec {
    Lines,
    Ndjson,
    Csv,
    LengthPrefixed,
    None,
}

impl Codec {
    /// By its first letter, so that seeds can be read; any other byte is one, too.
    fn of(byte: u8) -> Self {
        let all = [Self::Lines, Self::Ndjson, Self::Csv, Self::LengthPrefixed, Self::None];
        let letter = b"lncp-".iter().position(|letter| *letter == byte);
        all[letter.unwrap_or(usize::from(byte) % all.len())]
    }

    fn name(self) -> &'static str {
        match self {
            Self::Lines => "lines",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::LengthPrefixed => "length_prefixed",
            Self::None => "none",
        }
    }
}
