//! What goes to stderr, with colours or without.

use clap::ColorChoice;
use stageline_runner::Diagnosis;
use std::fmt::Display;
use std::io::{self, IsTerminal};

/// Whether there are colours.
#[derive(Clone, Copy)]
pub struct Style {
    colors: bool,
}

impl Style {
    /// By what the user says, by `NO_COLOR`, and by whether stderr is a terminal.
    pub fn of_stderr(choice: ColorChoice) -> Self {
        let colors = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                !refused && io::stderr().is_terminal()
            }
        };
        Self { colors }
    }

    pub fn error(self, text: &dyn Display) {
        stageline_runner::say!("{} {text}", self.marked("error:", "1;31"));
    }

    fn warn(self, text: &dyn Display) {
        stageline_runner::say!("{} {text}", self.marked("warning:", "1;33"));
    }

    /// All that is wrong with a script, or probably not meant.
    pub fn tell(self, diagnosis: &Diagnosis) {
        for (is_warning, text) in diagnosis.told() {
            if is_warning { self.warn(&text) } else { self.error(&text) }
        }
    }

    fn marked(self, text: &str, code: &str) -> String {
        if self.colors { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
