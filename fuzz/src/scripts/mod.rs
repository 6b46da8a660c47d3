//! Scripts of the runner: any text, and what a grammar makes of bytes. Nothing is run of what they say.

mod grammar;
mod views;

use crate::allow_asked_panics;
use arbitrary::Unstructured;
use stageline_runner::limits::SCRIPT_TIME_MAX;
use stageline_runner::{Problem, Script};
use std::path::Path;
use std::time::{Duration, Instant};

/// What a loaded machine may take beside the time that a script has.
const SLACK: Duration = Duration::from_secs(15);

/// The first byte says which: a text as it stands, or one that is made.
pub fn run(data: &[u8]) {
    allow_asked_panics();
    let Some((first, rest)) = data.split_first() else { return };
    match first {
        b'T' => drop(check(&String::from_utf8_lossy(rest))),
        b'G' => {
            let text = grammar::script(&mut Unstructured::new(rest));
            // The tables of a script have no order, but what is told of them has one.
            assert_eq!(check(&text), check(&text), "{text}");
        }
        _ => {}
    }
}

/// Reads a script. What is told is returned, with the views of what is accepted.
fn check(text: &str) -> String {
    let start = Instant::now();
    let parsed = Script::parse(Path::new("fuzz.lua"), text);
    let took = start.elapsed();
    assert!(took < SCRIPT_TIME_MAX + SLACK, "{took:?}: {text}");
    let (told, problems, view) = match parsed {
        Err(wrong) => {
            assert!(wrong.problems.iter().any(|problem| !problem.is_warning), "{text}");
            (wrong.to_string(), wrong.problems, String::new())
        }
        Ok(Script { plan, warnings }) => {
            let checked = plan.check();
            let both = warnings.problems.iter().chain(&checked);
            both.for_each(|problem| assert!(problem.is_warning, "{problem}: {text}"));
            (warnings.to_string(), warnings.problems, views::check(&plan))
        }
    };
    problems.iter().for_each(|problem| check_problem(problem, text));
    // What acts on a terminal is shown as its escape.
    let is_shown = |char: char| matches!(char, '\n' | '\t') || !char.is_control();
    assert!(told.chars().all(is_shown), "{told:?}");
    told + &view
}

fn check_problem(problem: &Problem, text: &str) {
    assert!(!problem.text.trim().is_empty(), "{text}");
    // (What is missing at the end is missing behind the last line.)
    let is_there = problem.line.is_none_or(|line| (1..=1 + ends(text)).contains(&line));
    assert!(is_there, "{problem}: {text:?}");
}

/// The ends of lines, as Lua counts them: LF, CR, or both.
fn ends(text: &str) -> usize {
    let (mut count, mut before) = (0, None);
    for byte in text.bytes() {
        let is_end = matches!(byte, b'\r' | b'\n');
        let is_second = is_end && before.is_some_and(|before| before != byte);
        count += usize::from(is_end && !is_second);
        before = Some(byte).filter(|_| is_end && !is_second);
    }
    count
}
