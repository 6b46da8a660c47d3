//! What can go wrong in a component, as a text and what it came from.

use crate::buffer::TooLarge;
use std::error::Error as StdError;
use std::{fmt, io};

/// Why a component cannot be made, cannot go on, or did not end well: a text for who runs the pipeline.
#[derive(Debug)]
pub struct Error {
    text: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error that is this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), source: None }
    }

    /// What was being done, and the error that came of it. The text need not name the error: `{:#}`
    /// puts it behind.
    pub fn with_source(
        text: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self { text: text.into(), source: Some(source.into()) }
    }

    /// The text without what it came from.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The text, and with `{:#}` all that it came from: `cannot open "a": not found`.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        let mut next = StdError::source(self).filter(|_| f.alternate());
        while let Some(error) = next {
            write!(f, ": {error}")?;
            next = error.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<&str> for Error {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Error {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// Errors that say enough by themselves: the text is theirs.
macro_rules! from {
    ($($error:ty),+) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::new(error.to_string())
            }
        })+
    };
}

from!(io::Error, TooLarge, crate::AttributeError, crate::EmitError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_comes_first_and_the_rest_on_demand() {
        let inner = Error::with_source("no rights", io::Error::other("EPERM"));
        let error = Error::with_source("cannot open \"a\"", inner);
        assert_eq!(error.to_string(), "cannot open \"a\"");
        assert_eq!(format!("{error:#}"), "cannot open \"a\": no rights: EPERM");
        assert_eq!(format!("{:#}", Error::from("plain")), "plain");
        let error: Error = TooLarge { wanted: 2, max: 1 }.into();
        assert_eq!(error.text(), "2 bytes are more than the 1 that there may be");
    }
}
