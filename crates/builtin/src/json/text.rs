//! Strings of JSON: their characters, and how characters are written.

use stageline_component::{Buffer, TooLarge};
use std::borrow::Cow;

/// The characters of a string that was checked, from between its quotes. Half a surrogate pair becomes U+FFFD.
pub(crate) fn unescape(raw: &str) -> Cow<'_, str> {
    let Some(first) = raw.find('\\') else { return Cow::Borrowed(raw) };
    let mut text = String::with_capacity(raw.len());
    text.push_str(&raw[..first]);
    let mut rest = &raw[first..];
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let (char, behind) = escape(&rest[at + 1..]);
        text.push(char);
        rest = behind;
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// The character of an escape, from behind the backslash, and the rest.
fn escape(rest: &str) -> (char, &str) {
    let (char, length) = match rest.as_bytes().first() {
        Some(b'u') => return unicode(rest),
        Some(b'b') => ('\u{8}', 1),
        Some(b'f') => ('\u{c}', 1),
        Some(b'n') => ('\n', 1),
        Some(b'r') => ('\r', 1),
        Some(b't') => ('\t', 1),
        Some(&other) => (char::from(other), 1),
        None => ('\\', 0),
    };
    (char, &rest[length..])
}

/// The character of `uXXXX`, or of two of them that are one, and the rest.
fn unicode(rest: &str) -> (char, &str) {
    let unit = |text: &str| u32::from_str_radix(text.get(1..5)?, 16).ok();
    let Some(first) = unit(rest) else { return (char::REPLACEMENT_CHARACTER, "") };
    let behind = &rest[5..];
    if let 0xd800..0xdc00 = first {
        let low = behind.strip_prefix('\\').filter(|low| low.starts_with('u'));
        if let Some(second @ 0xdc00..0xe000) = low.and_then(unit) {
            let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), &behind[6..]);
        }
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), behind)
}

/// Appends a string, between quotes, with as few escapes as there must be.
pub(crate) fn write_string(text: &str, out: &mut Buffer) -> Result<(), TooLarge> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"')?;
    let bytes = text.as_bytes();
    let mut written = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..0x20 => b'u',
            _ => continue,
        };
        out.extend_from_slice(&bytes[written..at])?;
        out.extend_from_slice(&[b'\\', short])?;
        if short == b'u' {
            let digit = |four: u8| HEX[usize::from(four)];
            out.extend_from_slice(&[b'0', b'0', digit(byte >> 4), digit(byte & 15)])?;
        }
        written = at + 1;
    }
    out.extend_from_slice(&bytes[written..])?;
    out.push(b'"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read() {
        assert!(matches!(unescape("plain \u{e4}"), Cow::Borrowed("plain \u{e4}")));
        let cases = [
            (r#"a\"\\\/\b\f\n\r\tz"#, "a\"\\/\u{8}\u{c}\n\r\tz"),
            (r"\u00e4\u0041", "\u{e4}A"),
            (r"\ud83d\ude00!", "\u{1f600}!"),
            (r"\ud83d!", "\u{fffd}!"),
            (r"\ud83d\u0041", "\u{fffd}A"),
            (r"\ud83d\n", "\u{fffd}\n"),
            (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
        ];
        for (raw, text) in cases {
            assert_eq!(unescape(raw), text, "{raw}");
        }
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let text: String = (0..0x250).filter_map(char::from_u32).chain(['\u{1f600}']).collect();
        let mut out = Buffer::default();
        write_string(&text, &mut out).unwrap();
        let written = crate::json::value(&out).unwrap();
        assert_eq!(unescape(&written[1..written.len() - 1]), text);
        assert_eq!(sonic_rs::from_str::<String>(written).unwrap(), text);
        out.clear();
        write_string("\u{1}\"\u{1f}", &mut out).unwrap();
        assert_eq!(&*out, br#""\u0001\"\u001f""#);
        assert!(write_string("abc", &mut Buffer::new(4)).is_err());
    }
}
