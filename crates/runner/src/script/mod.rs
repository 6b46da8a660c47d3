//! The Lua script that says what a pipeline is.

mod function;
mod module;
mod sandbox;
mod stubs;
mod values;

use crate::limits::SCRIPT_SIZE_MAX;
use crate::plan::{Plan, Problem};
use sandbox::Sandbox;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{error, fmt};

pub use module::catalogue;
pub use stubs::lua_types;

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

impl Script {
    /// Reads a script and runs it, to learn what the pipeline is. Nothing is started.
    ///
    /// # Errors
    ///
    /// All that is wrong with it, as far as can be seen.
    pub fn load(path: &Path) -> Result<Self, Diagnosis> {
        let failed = |text: String| {
            let script = Text { path: path.to_owned(), text: Arc::from("") };
            Diagnosis { text: script, problems: vec![Problem::error(None, text)] }
        };
        let text = read(path).map_err(|error| failed(format!("cannot be read: {error}")))?;
        Self::parse(path, &text)
    }

    /// As [`load`](Self::load), of a text that is at hand; the path is for messages, and for what it loads.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Diagnosis> {
        let text = Text { path: path.to_owned(), text: Arc::from(text) };
        let outcome = Sandbox::new(&text).and_then(|sandbox| sandbox.run());
        let (plan, mut problems) = match outcome {
            Ok(outcome) => outcome,
            Err(problem) => (None, vec![problem]),
        };
        if let Some(plan) = &plan
            && problems.iter().all(|problem| problem.is_warning)
        {
            problems.extend(plan.check());
        }
        problems.sort_by_key(|problem| problem.line);
        let is_wrong = problems.iter().any(|problem| !problem.is_warning);
        let warnings = Diagnosis { text, problems };
        match plan {
            Some(plan) if !is_wrong => Ok(Self { plan, warnings }),
            _ => Err(warnings),
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(std::io::stdin()),
        _ => Box::new(fs::File::open(path).map_err(|error| error.to_string())?),
    };
    file.take(SCRIPT_SIZE_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > SCRIPT_SIZE_MAX {
        return Err(format!("it has more than {SCRIPT_SIZE_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| format!("it is no UTF-8 text: {error}"))
}

impl Diagnosis {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Each problem with its place and its line.
impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.text.path.display();
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let severity = if problem.is_warning { "warning: " } else { "" };
            match problem.line {
                None => write!(f, "{path}: {severity}{}", problem.text)?,
                Some(line) => {
                    write!(f, "{path}:{line}: {severity}{}", problem.text)?;
                    if let Some(text) = self.text.text.lines().nth(line.saturating_sub(1)) {
                        write!(f, "\n{line:>5} | {}", text.trim_end())?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl error::Error for Diagnosis {}
