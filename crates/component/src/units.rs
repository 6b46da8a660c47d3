//! Times and numbers of bytes as texts.

use std::time::Duration;

const SECOND: u128 = 1_000_000_000;

/// In nanoseconds. (The micro sign has two code points.)
const TIMES: [(&str, u128); 9] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3_600 * SECOND),
    ("d", 86_400 * SECOND),
];

/// In bytes, without regard to case.
const SIZES: [(&str, u128); 10] = [
    ("", 1),
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

fn unit(units: &[(&str, u128)], name: &str) -> Option<u128> {
    units.iter().find(|(known, _)| *known == name).map(|(_, unit)| *unit)
}

/// So many units, rounded down: `1.5` of 1024 are 1536.
fn scaled(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || number.ends_with('.') {
        return None;
    }
    let digits: u128 = [whole, fraction].concat().parse().ok()?;
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    Some(digits.checked_mul(unit)? / scale)
}

/// The number at the beginning, the word behind it, and the rest.
fn part(text: &str) -> (&str, &str, &str) {
    let is_digit = |char: char| char.is_ascii_digit() || char == '.';
    let (number, rest) = text.split_at(text.find(|char| !is_digit(char)).unwrap_or(text.len()));
    let rest = rest.trim_start();
    let (word, rest) = rest.split_at(rest.find(is_digit).unwrap_or(rest.len()));
    (number, word.trim_end(), rest)
}

/// `250ms`, `1m30s`, `1.5h`; a number alone is in seconds.
pub fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if let (number, "", "") = part(rest) {
        return nanoseconds(scaled(number, SECOND)?);
    }
    let mut total = 0_u128;
    while !rest.is_empty() {
        let (number, word, behind) = part(rest);
        total = total.checked_add(scaled(number, unit(&TIMES, word)?)?)?;
        rest = behind;
    }
    nanoseconds(total)
}

fn nanoseconds(total: u128) -> Option<Duration> {
    Some(Duration::new(u64::try_from(total / SECOND).ok()?, (total % SECOND) as u32))
}

/// `4KiB`, `1.5MB`, `100`.
pub fn size(text: &str) -> Option<u64> {
    let (number, word, "") = part(text.trim()) else { return None };
    u64::try_from(scaled(number, unit(&SIZES, &word.to_ascii_lowercase())?)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let ns = Duration::from_nanos;
        let good = [
            ("250ms", ns(250_000_000)),
            ("0", ns(0)),
            ("2", ns(2_000_000_000)),
            ("1.5", ns(1_500_000_000)),
            ("0.1s", ns(100_000_000)),
            ("1m30s", ns(90_000_000_000)),
            (" 1 h 2 m ", ns(3_720_000_000_000)),
            ("1d", ns(86_400_000_000_000)),
            ("7us", ns(7_000)),
            ("7\u{b5}s", ns(7_000)),
            ("7\u{3bc}s", ns(7_000)),
            ("0.5ns", ns(0)),
            ("18446744073709551615s", Duration::from_secs(u64::MAX)),
        ];
        for (text, time) in good {
            assert_eq!(duration(text), Some(time), "{text:?}");
        }
        let bad = [
            "",
            " ",
            "ms",
            "-1s",
            "+1s",
            "1m30",
            "1.s",
            ".5s",
            "1.2.3s",
            "1x",
            "1 s s",
            "1e3s",
            "18446744073709551616s",
            "99999999999999999999999999999999999999999s",
        ];
        for text in bad {
            assert_eq!(duration(text), None, "{text:?}");
        }
    }

    #[test]
    fn sizes_are_read() {
        let good = [
            ("0", 0),
            ("100", 100),
            ("100B", 100),
            ("4KiB", 4096),
            ("4 kib", 4096),
            ("4KB", 4000),
            ("1.5KiB", 1536),
            ("2MiB", 2 << 20),
            ("3GB", 3_000_000_000),
            ("1TiB", 1 << 40),
            ("18446744073709551615", u64::MAX),
        ];
        for (text, bytes) in good {
            assert_eq!(size(text), Some(bytes), "{text:?}");
        }
        for text in ["", "KiB", "-1", "4K", "4KiB4", "1.", "18446744073709551616", "0x10"] {
            assert_eq!(size(text), None, "{text:?}");
        }
    }
}
