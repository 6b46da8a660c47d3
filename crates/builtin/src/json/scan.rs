//! Goes over JSON once, checks each byte, and says where things stand. Nothing is allocated.

use std::fmt;
use std::ops::Range;

/// How deep arrays and objects may stand in each other.
pub(crate) const DEPTH_MAX: usize = 128;

/// Where JSON is none, and what is wrong there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// The offset of the byte.
    pub(crate) at: usize,
    /// What is expected, or wrong.
    pub(crate) what: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

/// Where what was expected ends.
pub(crate) type End = Result<usize, Malformed>;

#[cold]
fn malformed<T>(at: usize, what: &'static str) -> Result<T, Malformed> {
    Err(Malformed { at, what })
}

/// The first byte from here that is no white space.
#[inline]
pub(super) fn space(json: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\t' | b'\r') = json.get(at) {
        at += 1;
    }
    at
}

/// The text as a whole, with nothing but white space behind `end`.
pub(super) fn finished(json: &[u8], end: usize) -> Result<(), Malformed> {
    let end = space(json, end);
    if end == json.len() { Ok(()) } else { malformed(end, "more than one JSON value") }
}

/// The text, if it is UTF-8.
pub(super) fn utf8(json: &[u8]) -> Result<&str, Malformed> {
    str::from_utf8(json).or_else(|error| malformed(error.valid_up_to(), "invalid UTF-8"))
}

/// The one value that a text is, without the white space around it.
pub(crate) fn value(json: &[u8]) -> Result<&str, Malformed> {
    let text = utf8(json)?;
    let start = space(json, 0);
    let end = value_end(json, start, 0)?;
    finished(json, end)?;
    Ok(&text[start..end])
}

pub(super) const ONES: u64 = 0x0101_0101_0101_0101;
pub(super) const HIGH: u64 = 0x8080_8080_8080_8080;

/// Of eight bytes, the first that is a quote, a backslash or a control character. (A byte above such a one may be
/// marked too, none below.)
#[inline(always)]
pub(super) fn special(eight: u64) -> Option<usize> {
    let (quote, slash) = (eight ^ (ONES * 0x22), eight ^ (ONES * 0x5c));
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    let found = (zero(quote) | zero(slash) | (eight.wrapping_sub(ONES * 0x20) & !eight)) & HIGH;
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

/// The end of a string, from behind its first quote.
#[inline]
pub(super) fn string_end(json: &[u8], mut at: usize) -> End {
    loop {
        while let Some(eight) = json.get(at..).and_then(<[u8]>::first_chunk) {
            let found = special(u64::from_le_bytes(*eight));
            at += found.unwrap_or(8);
            if found.is_some() {
                break;
            }
        }
        match json.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at = escape_end(json, at)?,
            Some(0..0x20) => return malformed(at, "a control character in a string"),
            Some(_) => at += 1,
            None => return malformed(at, "a string without an end"),
        }
    }
}

/// The end of an escape, from its backslash.
fn escape_end(json: &[u8], at: usize) -> End {
    let is_hex = |four: &[u8]| four.iter().all(u8::is_ascii_hexdigit);
    match json.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') if json.get(at + 2..at + 6).is_some_and(is_hex) => Ok(at + 6),
        _ => malformed(at, "an unknown escape"),
    }
}

#[inline]
fn digits(json: &[u8], start: usize) -> End {
    let mut at = start;
    while let Some(b'0'..=b'9') = json.get(at) {
        at += 1;
    }
    if at == start { malformed(at, "expected a digit") } else { Ok(at) }
}

#[inline]
fn number_end(json: &[u8], mut at: usize) -> End {
    at += usize::from(json.get(at) == Some(&b'-'));
    at = if json.get(at) == Some(&b'0') { at + 1 } else { digits(json, at)? };
    if json.get(at) == Some(&b'.') {
        at = digits(json, at + 1)?;
    }
    if let Some(b'e' | b'E') = json.get(at) {
        at += 1;
        at += usize::from(matches!(json.get(at), Some(b'+' | b'-')));
        at = digits(json, at)?;
    }
    Ok(at)
}

fn word_end(json: &[u8], at: usize, word: &[u8]) -> End {
    if json[at..].starts_with(word) {
        return Ok(at + word.len());
    }
    malformed(at, "expected a value")
}

/// The end of a value, from its first byte.
#[inline]
pub(super) fn value_end(json: &[u8], at: usize, depth: usize) -> End {
    match json.get(at) {
        Some(b'"') => string_end(json, at + 1),
        Some(b'-' | b'0'..=b'9') => number_end(json, at),
        Some(b't') => word_end(json, at, b"true"),
        Some(b'f') => word_end(json, at, b"false"),
        Some(b'n') => word_end(json, at, b"null"),
        Some(b'{') => object_end(json, at, depth),
        Some(b'[') => elements_from(json, at, depth, &mut |at| value_end(json, at, depth + 1)),
        _ => malformed(at, "expected a value"),
    }
}

fn object_end(json: &[u8], at: usize, depth: usize) -> End {
    let mut fields = Fields::new(json, at, depth)?;
    while let Some((_, value)) = fields.next()? {
        fields.behind(value_end(json, value, depth + 1)?);
    }
    Ok(fields.at)
}

/// The fields of an object, one after another: who asks says where the value of each ends.
pub(super) struct Fields<'a> {
    json: &'a [u8],
    /// Where the next field is looked for; in the end, behind the object.
    at: usize,
    is_first: bool,
}

impl<'a> Fields<'a> {
    /// From the brace.
    #[inline]
    pub(super) fn new(json: &'a [u8], at: usize, depth: usize) -> Result<Self, Malformed> {
        if depth == DEPTH_MAX {
            return malformed(at, "nested too deep");
        }
        if json.get(at) != Some(&b'{') {
            return malformed(at, "expected an object");
        }
        Ok(Self { json, at: at + 1, is_first: true })
    }

    /// Whether there is another field, which begins at the place in `at`.
    #[inline]
    pub(super) fn another(&mut self) -> Result<bool, Malformed> {
        let at = space(self.json, self.at);
        let is_first = std::mem::take(&mut self.is_first);
        match self.json.get(at) {
            Some(b'}') => {
                self.at = at + 1;
                Ok(false)
            }
            Some(_) if is_first => {
                self.at = at;
                Ok(true)
            }
            Some(b',') => {
                self.at = space(self.json, at + 1);
                Ok(true)
            }
            _ => malformed(at, "expected `,` or `}`"),
        }
    }

    /// The name of the field, without its quotes, and where its value begins.
    #[inline]
    pub(super) fn name(&self) -> Result<(Range<usize>, usize), Malformed> {
        let at = self.at;
        if self.json.get(at) != Some(&b'"') {
            return malformed(at, "expected the name of a field");
        }
        let end = string_end(self.json, at + 1)?;
        let colon = space(self.json, end);
        if self.json.get(colon) != Some(&b':') {
            return malformed(colon, "expected `:`");
        }
        Ok((at + 1..end - 1, space(self.json, colon + 1)))
    }

    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<(Range<usize>, usize)>, Malformed> {
        if self.another()? { self.name().map(Some) } else { Ok(None) }
    }

    /// The value of the last field ends here.
    #[inline]
    pub(super) fn behind(&mut self, end: usize) {
        self.at = end;
    }

    /// Some fields have been read by others, the last of which ends here.
    #[inline]
    pub(super) fn behind_some(&mut self, end: usize) {
        (self.at, self.is_first) = (end, false);
    }

    /// Where it stands.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }
}

/// The elements of an array, from its bracket; `each` says where one ends.
fn elements_from(json: &[u8], at: usize, depth: usize, each: &mut impl FnMut(usize) -> End) -> End {
    if depth == DEPTH_MAX {
        return malformed(at, "nested too deep");
    }
    let mut at = space(json, at + 1);
    if json.get(at) == Some(&b']') {
        return Ok(at + 1);
    }
    loop {
        at = space(json, each(at)?);
        match json.get(at) {
            Some(b',') => at = space(json, at + 1),
            Some(b']') => return Ok(at + 1),
            _ => return malformed(at, "expected `,` or `]`"),
        }
    }
}

/// The elements of an array that was checked.
pub(crate) fn elements(array: &str) -> Vec<&str> {
    let mut all = Vec::new();
    let json = array.as_bytes();
    // What was checked is well formed, but for its depth from here, which is less.
    let _ = elements_from(json, 0, 0, &mut |at| {
        let end = value_end(json, at, 1)?;
        all.push(&array[at..end]);
        Ok(end)
    });
    all
}

/// The names, escaped as they are, and values of an object that was checked.
pub(crate) fn members(object: &str) -> Vec<(&str, &str)> {
    let mut all = Vec::new();
    let json = object.as_bytes();
    let Ok(mut fields) = Fields::new(json, 0, 0) else { return all };
    while let Ok(Some((name, at))) = fields.next() {
        let Ok(end) = value_end(json, at, 1) else { break };
        all.push((&object[name], &object[at..end]));
        fields.behind(end);
    }
    all
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
