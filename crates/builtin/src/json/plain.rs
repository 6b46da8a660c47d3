//! What most objects are made of, by few comparisons: names that stood there before, and values without escapes, spaces
//! and fractions. What is not taken here, valid or not, is left to `scan`.

use super::scan::{HIGH, ONES, special};

/// Whether it is ASCII, sixteen bytes at a time and the last of them twice. (The standard library goes over up to 63 bytes
/// one by one.)
#[inline(always)]
pub(super) fn is_ascii(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk::<16>() else { return text.is_ascii() };
    let high = u128::from(HIGH) << 64 | u128::from(HIGH);
    let (chunks, _) = text.as_chunks::<16>();
    let all = chunks
        .iter()
        .fold(u128::from_ne_bytes(*last), |all, chunk| all | u128::from_ne_bytes(*chunk));
    all & high == 0
}

/// What follows these bytes, if the text begins with them; nothing does with none.
#[inline(always)]
pub(super) fn behind<'a>(text: &'a [u8], bytes: &[u8]) -> Option<&'a [u8]> {
    let (there, behind) = text.split_at_checked(bytes.len())?;
    // Most are of 4 to 32 bytes: two comparisons, of pieces that overlap.
    let is_same = match bytes.len() {
        0 => false,
        4..=7 => ends_match::<4>(there, bytes),
        8..=16 => ends_match::<8>(there, bytes),
        17..=32 => ends_match::<16>(there, bytes),
        _ => there == bytes,
    };
    is_same.then_some(behind)
}

#[inline(always)]
fn ends_match<const N: usize>(there: &[u8], bytes: &[u8]) -> bool {
    there.first_chunk::<N>() == bytes.first_chunk() && there.last_chunk::<N>() == bytes.last_chunk()
}

/// How many bytes the value has that a text begins with: a string without escapes, a whole number of few digits before a
/// comma or a brace, or a word, if there are eight bytes at least.
#[inline(always)]
pub(super) fn value_len(text: &[u8]) -> Option<usize> {
    let eight = u64::from_le_bytes(*text.first_chunk()?);
    match eight as u8 {
        b'"' => string_len(text, eight),
        b'0'..=b'9' => number_len(eight),
        b'-' => number_len(eight >> 8).map(|len| len + 1),
        b'n' => (eight as u32 == u32::from_le_bytes(*b"null")).then_some(4),
        b't' => (eight as u32 == u32::from_le_bytes(*b"true")).then_some(4),
        b'f' => ((eight >> 8) as u32 == u32::from_le_bytes(*b"alse")).then_some(5),
        _ => None,
    }
}

#[inline(always)]
fn string_len(text: &[u8], first: u64) -> Option<usize> {
    // The quote that it begins with becomes a letter.
    let mut eight = first ^ u64::from(b'"' ^ b'a');
    let mut at = 0;
    loop {
        if let Some(found) = special(eight) {
            return ((eight >> (8 * found)) as u8 == b'"').then_some(at + found + 1);
        }
        at += 8;
        eight = u64::from_le_bytes(*text.get(at..)?.first_chunk()?);
    }
}

/// Up to seven digits, of which the first is no zero unless it is the only one.
#[inline(always)]
fn number_len(eight: u64) -> Option<usize> {
    let digits = leading_digits(eight);
    let next = eight.checked_shr(8 * digits as u32)? as u8;
    let is_whole = digits == 1 || digits > 1 && eight as u8 != b'0';
    (is_whole && (next == b',' || next == b'}')).then_some(digits)
}

/// How many of eight bytes are digits, up to the first that is none.
#[inline(always)]
fn leading_digits(eight: u64) -> usize {
    // A digit has 3 in its upper half, and has it still with 6 more. (Of a byte above 0xf9 the sum goes over into the next,
    // which is behind one that is no digit.)
    let half = |x: u64| (x & (ONES * 0xf0)) ^ (ONES * 0x30);
    let others = half(eight) | half(eight.wrapping_add(ONES * 6));
    others.trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::super::scan::value_end;
    use super::*;

    #[test]
    fn plain_values_end_where_values_do() {
        let base =
            r#"{"a":-12,"b":0,"n":null,"w":[true,false],"s":"12345678","z":12345678,"e":1.5}"#;
        for json in [base.to_owned(), base.replace(',', " ,"), base.replace('1', "0")] {
            for byte in b"\"\\0-9.e,}nx\x00\xff" {
                for at in 0..json.len() {
                    let mut json = json.clone().into_bytes();
                    json[at] = *byte;
                    for start in 0..json.len() {
                        let Some(len) = value_len(&json[start..]) else { continue };
                        assert_eq!(value_end(&json, start, 0), Ok(start + len), "{json:?} {start}");
                    }
                }
            }
        }
        for (json, len) in [
            ("\"\",      ", Some(2)),
            ("\"123456\"", Some(8)),
            ("\"1234567\",       ", Some(9)),
            ("\"1234567890\",      ", Some(12)),
            ("-123456,", Some(7)),
            ("-1234567,", None),
            ("1234567}", Some(7)),
            ("12345678}", None),
            ("0,      ", Some(1)),
            ("00,     ", None),
            ("null    ", Some(4)),
            ("true    ", Some(4)),
            ("false   ", Some(5)),
            ("\"\\n\"    ", None),
            ("0,", None),
        ] {
            assert_eq!(value_len(json.as_bytes()), len, "{json}");
        }
    }

    #[test]
    fn one_byte_that_is_none_makes_it_no_ascii() {
        for len in 0..70 {
            let mut text = vec![b'~'; len];
            assert!(is_ascii(&text));
            for at in 0..len {
                text[at] = 0x80;
                assert!(!is_ascii(&text), "{len} {at}");
                text[at] = 0x7f;
            }
        }
    }

    #[test]
    fn bytes_stand_where_they_do() {
        let text: Vec<u8> = (0..40).map(|n| b'A' + n).collect();
        for len in 1..text.len() {
            assert_eq!(behind(&text, &text[..len]), Some(&text[len..]));
            for at in 0..len {
                let mut other = text[..len].to_vec();
                other[at] = b'.';
                assert_eq!(behind(&text, &other), None, "{len} {at}");
            }
            assert_eq!(behind(&text[..len - 1], &text[..len]), None, "beyond the end");
        }
        assert_eq!(behind(&text, b""), None);
    }
}
