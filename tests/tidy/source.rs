//! A Rust file as the checks see it: its code without comments and strings, line by line, and its
//! comments apart. A scanner and no parser: it knows just enough of the language for that.

/// A file of the workspace.
pub struct Source {
    /// Path from the root of the workspace.
    pub path: String,
    /// The lines as they are.
    pub text: Vec<String>,
    /// The lines with comments, strings and characters blanked.
    pub code: Vec<String>,
    /// What each line holds of comments.
    pub comments: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Code,
    Line,
    /// Nested so deep.
    Block(u32),
    Text,
    /// A raw string that ends with so many `#`.
    Raw(usize),
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let (code, comments) = scan(&chars);
        let lines = |text: &str| text.split('\n').map(str::to_owned).collect::<Vec<_>>();
        let mut source = Self {
            path: path.to_owned(),
            text: lines(text),
            code: lines(&code),
            comments: lines(&comments),
        };
        if text.ends_with('\n') {
            for lines in [&mut source.text, &mut source.code, &mut source.comments] {
                lines.pop();
            }
        }
        source
    }

    /// Lines before the unit tests.
    pub fn production(&self) -> usize {
        let is_test =
            |line: &String| line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(all(test");
        let start = self.code.iter().position(is_test);
        // A test module in a file of its own leaves nothing behind here that could be long.
        start.unwrap_or(self.code.len())
    }

    /// A complaint about a line, counted from 0.
    pub fn at(&self, line: usize, what: impl std::fmt::Display) -> String {
        format!("{}:{}: {what}", self.path, line + 1)
    }

    /// Code of the lines before `end`, joined.
    pub fn code_before(&self, end: usize) -> String {
        self.code[..end].join("\n")
    }
}

/// Code and comments, each with everything else blanked; line breaks stay in both.
fn scan(chars: &[char]) -> (String, String) {
    let (mut code, mut comments) = (String::new(), String::new());
    let (mut mode, mut at) = (Mode::Code, 0);
    while at < chars.len() {
        let (next, len, is_code) = step(chars, at, mode);
        for &char in &chars[at..at + len] {
            let in_comment = matches!(mode, Mode::Line | Mode::Block(_))
                || matches!(next, Mode::Line | Mode::Block(_));
            let kept = |keep: bool| if char == '\n' || keep { char } else { ' ' };
            code.push(kept(is_code));
            comments.push(kept(in_comment));
        }
        (mode, at) = (next, at + len);
    }
    (code, comments)
}

/// What comes at `at`: the mode after it, its length, and whether it is code.
fn step(chars: &[char], at: usize, mode: Mode) -> (Mode, usize, bool) {
    let rest = &chars[at..];
    let second = rest.get(1).copied();
    match (mode, rest[0]) {
        (Mode::Code, '/') if second == Some('/') => (Mode::Line, 2, false),
        (Mode::Code, '/') if second == Some('*') => (Mode::Block(1), 2, false),
        (Mode::Code, '"') => (Mode::Text, 1, false),
        (Mode::Code, 'r') if !follows_name(chars, at) => match raw_start(rest) {
            Some(hashes) => (Mode::Raw(hashes), hashes + 2, false),
            None => (Mode::Code, 1, true),
        },
        (Mode::Code, '\'') => match character(rest) {
            Some(len) => (Mode::Code, len, false),
            None => (Mode::Code, 1, true),
        },
        (Mode::Code, _) => (Mode::Code, 1, true),
        (Mode::Line, '\n') => (Mode::Code, 1, true),
        (Mode::Block(depth), '/') if second == Some('*') => (Mode::Block(depth + 1), 2, false),
        (Mode::Block(1), '*') if second == Some('/') => (Mode::Code, 2, false),
        (Mode::Block(depth), '*') if second == Some('/') => (Mode::Block(depth - 1), 2, false),
        (Mode::Text, '\\') => (Mode::Text, 2.min(rest.len()), false),
        (Mode::Text, '"') => (Mode::Code, 1, false),
        (Mode::Raw(hashes), '"') if ends_raw(rest, hashes) => (Mode::Code, hashes + 1, false),
        (mode, _) => (mode, 1, false),
    }
}

fn is_name(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// `br"` starts a raw string too; the `r` of a longer name does not.
fn follows_name(chars: &[char], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).map(|index| chars[index]);
    match before(1) {
        Some('b') => before(2).is_some_and(is_name),
        Some(char) => is_name(char),
        None => false,
    }
}

/// The number of `#` of a raw string that starts here.
fn raw_start(rest: &[char]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|char| **char == '#').count();
    (rest.get(hashes + 1) == Some(&'"')).then_some(hashes)
}

fn ends_raw(rest: &[char], hashes: usize) -> bool {
    rest.len() > hashes && rest[1..=hashes].iter().all(|char| *char == '#')
}

/// The length of a character literal that starts here; `None` for a lifetime.
fn character(rest: &[char]) -> Option<usize> {
    match rest.get(1)? {
        '\\' => {
            let end = rest[3..].iter().position(|char| *char == '\'')?;
            Some(end + 4)
        }
        _ => (rest.get(2) == Some(&'\'')).then_some(3),
    }
}

/// Where a word stands in a line of code, from `from` on.
pub fn find_word(line: &str, word: &str, from: usize) -> Option<usize> {
    let mut start = from;
    while let Some(found) = line.get(start..)?.find(word).map(|found| found + start) {
        let before = line[..found].chars().next_back();
        let after = line[found + word.len()..].chars().next();
        if !before.is_some_and(is_name) && !after.is_some_and(is_name) {
            return Some(found);
        }
        start = found + 1;
    }
    None
}
