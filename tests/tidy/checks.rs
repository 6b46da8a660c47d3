//! The checks of single files. Each returns what it complains of.

use crate::source::{Source, find_word};

pub const FILE_LINES_MAX: usize = 500;
pub const FUNCTION_LINES_MAX: usize = 70;

pub fn file_length(source: &Source) -> Vec<String> {
    let lines = source.production();
    let long = lines > FILE_LINES_MAX;
    let what = format!("{lines} lines without the unit tests, more than {FILE_LINES_MAX}");
    long.then(|| source.at(0, what)).into_iter().collect()
}

pub fn function_length(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (line, code) in source.code.iter().enumerate() {
        let Some(column) = find_word(code, "fn", 0) else { continue };
        let is_named = code[column + 2..].trim_start().starts_with(char::is_alphabetic);
        let Some(end) = is_named.then(|| body_end(&source.code, line, column)).flatten() else {
            continue;
        };
        let lines = end - line + 1;
        if lines > FUNCTION_LINES_MAX {
            let what = format!("a function of {lines} lines, more than {FUNCTION_LINES_MAX}");
            found.push(source.at(line, what));
        }
    }
    found
}

/// The line in which the body of a function ends; `None` if it has no body.
fn body_end(code: &[String], line: usize, column: usize) -> Option<usize> {
    let (mut braces, mut others) = (0_i32, 0_i32);
    for (index, text) in code.iter().enumerate().skip(line) {
        let start = if index == line { column } else { 0 };
        for char in text[start..].chars() {
            match char {
                '(' | '[' => others += 1,
                ')' | ']' => others -= 1,
                ';' if braces == 0 && others == 0 => return None,
                '{' => braces += 1,
                '}' => {
                    braces -= 1;
                    if braces == 0 && others == 0 {
                        return Some(index);
                    }
                }
                _ => {}
            }
        }
    }
    None
}

/// Lines of one statement between a comment and the `unsafe` that it speaks of, at most.
const STATEMENT_LINES: usize = 6;

pub fn unsafe_without_reason(source: &Source) -> Vec<String> {
    let is_unsafe = |line: &&usize| find_word(&source.code[**line], "unsafe", 0).is_some();
    let lines: Vec<usize> = (0..source.code.len()).collect();
    let bare = lines.iter().filter(is_unsafe).filter(|line| !has_reason(source, **line));
    bare.map(|line| source.at(*line, "`unsafe` without a SAFETY comment above")).collect()
}

fn has_reason(source: &Source, line: usize) -> bool {
    // A type of unsafe functions calls nothing.
    let code = source.code[line].trim();
    // (The name of an ABI is a text, which the scanner takes out.)
    let words = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_type = words.contains("unsafe fn(") || words.contains("unsafe extern fn(");
    if is_type || code.starts_with("#") {
        return true;
    }
    let mut above = source.code[..line].iter().zip(&source.comments[..line]).rev();
    let mut statement = 0;
    let mut comment = None;
    for (code, text) in &mut above {
        let code = code.trim();
        if code.is_empty() && !text.trim().is_empty() {
            comment = Some(text.clone());
            break;
        }
        let attribute = code.starts_with("#[") || code.starts_with("#![");
        let ends_another = code.is_empty() || code.ends_with([';', '{', '}', ',']);
        statement += 1;
        if !attribute && (ends_another || statement > STATEMENT_LINES) {
            return false;
        }
    }
    let rest = above.take_while(|(code, text)| code.trim().is_empty() && !text.trim().is_empty());
    let block = comment.into_iter().chain(rest.map(|(_, text)| text.clone()));
    block.into_iter().any(|text| text.contains("SAFETY:") || text.contains("# Safety"))
}

/// Words that stand for work not done.
const MARKS: [&str; 3] = ["TODO", "FIXME", "XXX"];
const MACROS: [&str; 3] = ["todo", "unimplemented", "dbg"];

pub fn unfinished(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (line, (code, comment)) in source.code.iter().zip(&source.comments).enumerate() {
        for mark in MARKS.iter().filter(|mark| find_word(comment, mark, 0).is_some()) {
            found.push(source.at(line, format!("`{mark}`")));
        }
        for name in MACROS {
            let after = find_word(code, name, 0).map(|at| &code[at + name.len()..]);
            if after.is_some_and(|after| after.starts_with('!')) {
                found.push(source.at(line, format!("`{name}!`")));
            }
        }
    }
    found
}

/// What may be named in `src/` only in `src/sync/`, which gives the models their own.
const PRIMITIVES: [&str; 13] = [
    "std::sync",
    "core::sync",
    "std::thread",
    "loom",
    "shuttle",
    "parking_lot",
    "crossbeam_queue",
    "std::cell::UnsafeCell",
    "core::cell::UnsafeCell",
    "std::hint::spin_loop",
    "core::hint::spin_loop",
    "compiler_fence",
    "fence",
];

/// What a file may name all the same: the file, the beginning of the path, and why.
pub const EXCEPTIONS: [(&str, &str, &str); 3] = [
    (
        "src/pipeline/start.rs",
        "std::sync::mpsc",
        "workers report their start to the builder, before there is anything to model",
    ),
    ("src/topology.rs", "std::sync::OnceLock", "the CPUs are looked at once a process"),
    ("src/topology.rs", "std::thread::available_parallelism", "a question, not a thread"),
];

/// Complaints, and the exceptions that were made use of.
pub fn primitives(source: &Source) -> (Vec<String>, Vec<&'static str>) {
    let (mut found, mut used) = (Vec::new(), Vec::new());
    if !source.path.starts_with("src/") || source.path.starts_with("src/sync/") {
        return (found, used);
    }
    for (line, code) in source.code[..source.production()].iter().enumerate() {
        for word in PRIMITIVES {
            let mut from = 0;
            while let Some(at) = find_word(code, word, from) {
                from = at + word.len();
                let excepted = EXCEPTIONS.iter().find(|(path, beginning, _)| {
                    *path == source.path && code[at..].starts_with(beginning)
                });
                match excepted {
                    Some((_, beginning, _)) => used.push(*beginning),
                    None => found.push(source.at(line, format!("`{word}` outside src/sync/"))),
                }
            }
        }
        if let Some(at) = code.find("std::{")
            && ["sync", "thread"].iter().any(|word| find_word(code, word, at).is_some())
        {
            found.push(source.at(line, "`std::{..}` hides a primitive; name its path"));
        }
    }
    (found, used)
}

/// Mentions of places that only this machine has.
pub fn private_paths(path: &str, text: &str, places: &[String]) -> Vec<String> {
    let lines = text.lines().enumerate();
    let hits = lines.flat_map(|(line, text)| {
        let named = places.iter().filter(|place| text.contains(place.as_str()));
        named.map(move |place| format!("{path}:{}: mentions `{place}`", line + 1))
    });
    hits.collect()
}
