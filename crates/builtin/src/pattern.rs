//! Regular expressions that are none.

/// What is wrong with one, in a line.
pub(crate) fn wrong_with(error: &regex::Error) -> String {
    last_line(&error.to_string())
}

/// The last line of a text says what is wrong; those before draw where.
pub(crate) fn last_line(text: &str) -> String {
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}
