//! The recorded counts, and the rule by which they bound new ones.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// The share by which a count may exceed its bound.
const RISE_MAX: f64 = 0.03;

const HEAD: &str = "# Instructions a request, as `cargo run --release -p callgrind-counts -- --record` counted them.\n";

/// What was counted when the bounds were recorded.
#[derive(Debug, PartialEq)]
pub struct Bounds {
    pub compiler: String,
    parts: BTreeMap<String, f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Same,
    Fewer,
    More,
}

/// A count beside its bound.
pub fn judge(counted: f64, bound: f64) -> Verdict {
    if counted > bound * (1.0 + RISE_MAX) {
        Verdict::More
    } else if counted < bound * (1.0 - RISE_MAX) {
        Verdict::Fewer
    } else {
        Verdict::Same
    }
}

impl Bounds {
    pub fn new(compiler: String, parts: Vec<(&'static str, f64)>) -> Self {
        let parts = parts.into_iter().map(|(part, count)| (part.to_owned(), count)).collect();
        Self { compiler, parts }
    }

    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path);
        let parsed = text.map_err(|error| error.to_string()).and_then(|text| Self::parse(&text));
        parsed.map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Lines `NAME = VALUE`, of which one is the compiler.
    fn parse(text: &str) -> Result<Self, String> {
        let mut bounds = Self { compiler: String::new(), parts: BTreeMap::new() };
        let lines = text.lines().map(str::trim);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, value) =
                line.split_once(" = ").ok_or_else(|| format!("no value: {line}"))?;
            if name == "compiler" {
                bounds.compiler = value.trim_matches('"').to_owned();
            } else {
                let count = value.parse().map_err(|_| format!("no count: {line}"))?;
                bounds.parts.insert(name.to_owned(), count);
            }
        }
        Ok(bounds)
    }

    pub fn of(&self, part: &str) -> Result<f64, String> {
        let bound = self.parts.get(part).copied();
        bound.ok_or_else(|| format!("no bound for `{part}`: record the bounds anew"))
    }

    pub fn text(&self) -> String {
        let mut text = format!("{HEAD}compiler = \"{}\"\n", self.compiler);
        for (part, count) in &self.parts {
            let _ = writeln!(text, "{part} = {count:.2}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_above_three_percent_is_one() {
        assert_eq!(judge(103.0, 100.0), Verdict::Same);
        assert_eq!(judge(103.1, 100.0), Verdict::More);
        assert_eq!(judge(97.0, 100.0), Verdict::Same);
        assert_eq!(judge(96.9, 100.0), Verdict::Fewer);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let bounds = Bounds::new(String::from("rustc 1 (a = b)"), vec![("submit_64", 20.25)]);
        assert_eq!(Bounds::parse(&bounds.text()), Ok(bounds));
    }

    #[test]
    fn a_bad_line_is_named() {
        assert_eq!(Bounds::parse("submit_64: 3"), Err(String::from("no value: submit_64: 3")));
        assert_eq!(Bounds::parse("submit_64 = x"), Err(String::from("no count: submit_64 = x")));
        assert!(Bounds::parse("").expect("empty").of("submit_64").is_err());
    }

    /// The committed file has a bound for each part.
    #[test]
    fn every_part_has_its_bound() {
        let bounds = Bounds::read(Path::new(crate::BOUNDS)).expect("it is committed");
        for (part, ..) in crate::parts::PARTS {
            assert!(bounds.of(part).expect("a bound") > 0.0, "{part}");
        }
    }
}
