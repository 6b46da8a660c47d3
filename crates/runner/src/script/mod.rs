//! The Lua script that says what a pipeline is.

mod function;
mod json;
mod message;
mod module;
mod sandbox;
mod stubs;
mod values;

use crate::limits::{LINE_SHOWN, PROBLEMS_TOLD, SCRIPT_SIZE_MAX, TEXT_SHOWN};
use crate::plan::{Plan, Problem};
use sandbox::Sandbox;
use std::fmt::Write;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{error, fmt, fs};

pub use module::{catalogue, spec_of};
pub use stubs::lua_types;

/// `LUA_IDSIZE`: the bytes that a name has in messages of Lua.
const CHUNK_NAME_MAX: usize = 60;

/// A script, and what it says.
pub struct Script {
    /// The pipeline.
    pub plan: Plan,
    /// What is probably not meant.
    pub warnings: Diagnosis,
}

/// The text of a script.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    path: PathBuf,
    text: Arc<str>,
}

/// What is wrong with a script, with the lines that it is about.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    text: Text,
    /// What is wrong, in the order of the lines.
    pub problems: Vec<Problem>,
}

impl Text {
    /// What Lua calls the script. A name that is longer it would shorten in what it says.
    fn chunk(&self) -> String {
        let name = format!("@{}", self.path.display());
        if name.len() < CHUNK_NAME_MAX { name } else { String::from("@script") }
    }
}

impl Script {
    /// Reads a script and runs it, to learn what the pipeline is. Nothing is started.
    ///
    /// # Errors
    ///
    /// All that is wrong with it, as far as can be seen.
    pub fn load(path: &Path) -> Result<Self, Diagnosis> {
        let bytes = read(path).map_err(|error| {
            let text = Text { path: path.to_owned(), text: Arc::from("") };
            let problem = Problem::error(None, format!("cannot be read: {error}"));
            Diagnosis { text, problems: vec![problem] }
        })?;
        match utf8(&bytes) {
            Ok(text) => Self::parse(path, text),
            Err((line, error)) => {
                let text = String::from_utf8_lossy(&bytes).into();
                let text = Text { path: path.to_owned(), text };
                Err(Diagnosis { text, problems: vec![Problem::error(Some(line), error)] })
            }
        }
    }

    /// As [`load`](Self::load), of a text that is at hand; the path is for messages, and for what it loads.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Diagnosis> {
        let text = Text { path: path.to_owned(), text: Arc::from(text) };
        let (plan, mut problems) = match Sandbox::new(&text) {
            Ok(sandbox) => sandbox.run(),
            Err(problem) => (None, vec![problem]),
        };
        problems.sort_by_key(|problem| problem.line);
        let is_wrong = problems.iter().any(|problem| !problem.is_warning);
        let warnings = Diagnosis { text, problems };
        match plan {
            Some(plan) if !is_wrong => Ok(Self { plan, warnings }),
            _ => Err(warnings),
        }
    }
}

/// The bytes of a script, or of a module of it.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(io::stdin()),
        _ => Box::new(fs::File::open(path)?),
    };
    file.take(SCRIPT_SIZE_MAX + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > SCRIPT_SIZE_MAX {
        true => Err(io::Error::other(format!("it has more than {SCRIPT_SIZE_MAX} bytes"))),
        false => Ok(bytes),
    }
}

/// The text, or the line in which it ends to be one.
fn utf8(bytes: &[u8]) -> Result<&str, (usize, String)> {
    str::from_utf8(bytes).map_err(|error| {
        let before = str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
        let (line, at) = lines(before).fold((0, 0), |(line, _), text| (line + 1, 1 + text.len()));
        (line, format!("byte {at} of the line is no UTF-8: save the script in that encoding"))
    })
}

/// The lines of a script, as Lua counts them: each ends with LF, with CR, or with both.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\r', '\n']) else { return rest.take() };
        let are_both = matches!(text.as_bytes()[end..], [b'\r', b'\n', ..] | [b'\n', b'\r', ..]);
        rest = text.get(end + 1 + usize::from(are_both)..);
        Some(&text[..end])
    })
}

/// What Lua is to read: no mark of the byte order, and of a shebang the end of its line, so that lines keep their
/// numbers.
fn code(text: &str) -> &str {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match text.strip_prefix("#!") {
        None => text,
        Some(rest) => rest.find(['\r', '\n']).map_or("", |end| &rest[end..]),
    }
}

impl Diagnosis {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }
}

impl Diagnosis {
    /// A text for each problem, with its place and its line, and whether it is a warning: the first ones of many.
    pub fn told(&self) -> impl Iterator<Item = (bool, String)> {
        let more = self.problems.len().saturating_sub(PROBLEMS_TOLD);
        let mut rest = self.problems.iter().skip(PROBLEMS_TOLD);
        let are_warnings = rest.all(|problem| problem.is_warning);
        let path = self.text.path.display();
        let more =
            (more > 0).then(|| (are_warnings, format!("{path}: {more} more, which are not shown")));
        let told = self.problems.iter().take(PROBLEMS_TOLD);
        told.map(|problem| (problem.is_warning, self.one(problem))).chain(more)
    }

    fn one(&self, problem: &Problem) -> String {
        let (path, text) = (self.text.path.display(), shown(&problem.text, TEXT_SHOWN));
        let Some(line) = problem.line else { return format!("{path}: {text}") };
        let mut told = format!("{path}:{line}: {text}");
        let text = lines(&self.text.text).nth(line.saturating_sub(1));
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            let text = shown(text.trim_end().trim_start_matches('\u{feff}'), LINE_SHOWN);
            let _ = write!(told, "\n{line:>5} | {text}");
        }
        told
    }
}

/// A text for a terminal: without characters that would act on it, and not longer than this.
fn shown(text: &str, max: usize) -> String {
    let mut shown = String::new();
    for (index, char) in text.chars().enumerate() {
        match char {
            _ if index == max => {
                shown.push_str(" ...");
                break;
            }
            '\n' | '\t' => shown.push(char),
            char if char.is_control() => shown.extend(char.escape_default()),
            char => shown.push(char),
        }
    }
    shown
}

/// Each problem with its place and its line.
impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (is_warning, text)) in self.told().enumerate() {
            let end = if index > 0 { "\n" } else { "" };
            let severity = if is_warning { "warning: " } else { "" };
            write!(f, "{end}{severity}{text}")?;
        }
        Ok(())
    }
}

impl error::Error for Diagnosis {}
