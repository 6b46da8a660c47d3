//! Which module of `src/` may use which: the table, and what the code really does.

use crate::source::{Source, find_word};
use std::collections::{BTreeMap, BTreeSet};

/// Modules by rank. One may use those of lower ranks, and of its own rank where no cycle results.
pub const LAYERS: &[&[&str]] = &[
    &["sync", "limits"],
    &["slab", "panics", "status"],
    &["slot", "cold", "kept"],
    &["ring"],
    &["bell", "wait", "pace"],
    &["window"],
    &["stats", "error"],
    &["common"],
    &["stage", "request", "retry", "graph", "outcome"],
    &["shared"],
    &["group", "worker", "topology"],
    &["pipeline"],
    &["lib"],
];

/// Modules that use each other, and why they may.
pub const CYCLES: &[(&str, &str, &str)] = &[(
    "request",
    "stage",
    "a stage is a function of a request, and a request makes the answer of a stage",
)];

/// The module that a file belongs to.
pub fn module_of(path: &str) -> &str {
    let inner = path.strip_prefix("src/").unwrap_or(path);
    inner.split(['/', '.']).next().unwrap_or(inner)
}

/// The modules that a file uses by `crate::`, outside of its unit tests.
pub fn uses(source: &Source) -> BTreeSet<String> {
    let code = source.code_before(source.production());
    let mut found = BTreeSet::new();
    let mut from = 0;
    while let Some(at) = find_word(&code, "crate", from) {
        from = at + "crate".len();
        let Some(rest) = code[from..].strip_prefix("::") else { continue };
        match rest.strip_prefix('{') {
            Some(list) => found.extend(first_names(list)),
            None => found.extend([name(rest).to_owned()]),
        }
    }
    found
}

fn name(text: &str) -> &str {
    let end = text.find(|char: char| !char.is_alphanumeric() && char != '_');
    &text[..end.unwrap_or(text.len())]
}

/// Of `a::X, b::{Y, Z}}`, what comes after `{` of a `use`: `a` and `b`.
fn first_names(list: &str) -> Vec<String> {
    let (mut depth, mut names, mut at_start) = (0, Vec::new(), true);
    for (at, char) in list.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            _ if at_start && char.is_alphabetic() => {
                names.push(name(&list[at..]).to_owned());
                at_start = false;
            }
            _ => {}
        }
    }
    names
}

/// All arrows between modules, each with a file that has it.
pub fn arrows(sources: &[Source]) -> BTreeMap<(String, String), String> {
    let mut arrows = BTreeMap::new();
    for source in sources {
        let module = module_of(&source.path);
        for used in uses(source).into_iter().filter(|used| used != module) {
            arrows.insert((module.to_owned(), used), source.path.clone());
        }
    }
    arrows
}

/// What is wrong with the arrows, by these tables.
pub fn check(sources: &[Source], layers: &[&[&str]], cycles: &[(&str, &str, &str)]) -> Vec<String> {
    let rank = |module: &str| layers.iter().position(|layer| layer.contains(&module));
    let arrows = arrows(sources);
    let mut found = Vec::new();
    let modules: BTreeSet<&str> = sources.iter().map(|source| module_of(&source.path)).collect();
    for module in modules.iter().filter(|module| rank(module).is_none()) {
        found.push(format!("module `{module}` has no rank: give it one in LAYERS"));
    }
    for module in layers.iter().flat_map(|layer| layer.iter()) {
        if !modules.contains(module) {
            found.push(format!("`{module}` has a rank and is no module"));
        }
    }
    for ((from, to), path) in &arrows {
        match (rank(from), rank(to)) {
            (Some(own), Some(other)) if other > own => {
                found.push(format!("{path}: `{from}` uses `{to}`, which stands above it"));
            }
            (Some(_), None) => found.push(format!("{path}: `crate::{to}` is no ranked module")),
            _ => {}
        }
    }
    found.extend(unnamed_cycles(&arrows, cycles));
    let has = |from: &str, to: &str| arrows.contains_key(&(from.to_owned(), to.to_owned()));
    for (one, other, _) in cycles.iter().filter(|(a, b, _)| !has(a, b) || !has(b, a)) {
        found.push(format!("`{one}` and `{other}` are no cycle: take them off CYCLES"));
    }
    found
}

/// Cycles that remain when the named ones are cut.
fn unnamed_cycles(
    arrows: &BTreeMap<(String, String), String>,
    cycles: &[(&str, &str, &str)],
) -> Vec<String> {
    let is_named = |from: &str, to: &str| cycles.iter().any(|(a, b, _)| (*a, *b) == (from, to));
    let mut left: BTreeSet<(&str, &str)> = arrows
        .keys()
        .map(|(from, to)| (from.as_str(), to.as_str()))
        .filter(|(from, to)| !is_named(from, to))
        .collect();
    loop {
        // What nothing leads to, and what leads to nothing, is on no cycle.
        let (before, all) = (left.len(), left.clone());
        left.retain(|(from, to)| {
            all.iter().any(|(_, other)| other == from) && all.iter().any(|(other, _)| other == to)
        });
        if left.len() == before {
            return left
                .iter()
                .map(|(from, to)| format!("`{from}` uses `{to}` in a cycle that is not named"))
                .collect();
        }
    }
}
