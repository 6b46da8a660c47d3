//! Graphs of stages with any names. What is drawn is read again by the rules of the language, and must
//! say what the table says.

use arbitrary::Arbitrary;
use stageline::{Pipeline, Request, RuntimeStage, StageId, StageTable, StateMachine, Step};
use std::collections::BTreeSet;
use std::fmt::Write;

/// Stages of one graph.
const STAGES_MAX: usize = 12;

#[derive(Arbitrary, Debug)]
pub struct Stage {
    name: String,
    /// Beside the one that follows in the table; `None` declares nothing.
    more: Option<Vec<u8>>,
}

struct Idle;

impl StateMachine for Idle {
    type Data = u8;
    type Error = ();
    const STAGES: StageTable<Self> = StageTable::EMPTY;
}

fn end(_: &mut Idle, request: &mut Request<'_, Idle>) -> Step {
    request.done()
}

/// Draws a table that can be built.
pub fn check(stages: &[Stage]) {
    let mut names = BTreeSet::new();
    let distinct = stages.iter().filter(|stage| names.insert(&stage.name)).take(STAGES_MAX);
    let stages: Vec<&Stage> = distinct.collect();
    if stages.is_empty() {
        return;
    }
    let next: Vec<Option<Vec<usize>>> = (0..stages.len())
        .map(|stage| {
            let more = stages[stage].more.as_ref()?.iter().map(|id| usize::from(*id));
            let follows = Some(stage + 1).filter(|next| *next < stages.len());
            Some(follows.into_iter().chain(more.map(|id| id % stages.len())).collect())
        })
        .collect();
    let ids = |next: &Vec<usize>| next.iter().map(|id| StageId::new(*id as u16)).collect();
    let table = stages.iter().zip(&next).map(|(stage, next)| RuntimeStage {
        name: stage.name.clone(),
        run: end,
        next: next.as_ref().map(ids),
        pool: None,
    });
    let builder = Pipeline::builder(|| Idle).stages(table).workers(1).groups(1).window(2);
    let graph = builder.build().expect("each stage leads to the one behind it").graph();
    let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
    read_dot(&graph.dot(), &names, &next);
    read_mermaid(&graph.mermaid(), &names, &next);
}

pub(crate) fn cut<'t>(text: &'t str, prefix: &str) -> &'t str {
    text.strip_prefix(prefix).unwrap_or_else(|| panic!("expected {prefix:?} before {text:?}"))
}

fn read_dot(text: &str, names: &[&str], next: &[Option<Vec<usize>>]) {
    let head = "digraph stages {\n    rankdir=LR;\n    node [shape=box];\n";
    let mut rest = cut(text, head);
    for (index, name) in names.iter().enumerate() {
        rest = cut(rest, &format!("    s{index} [label=\""));
        let (label, after) = dot_string(rest);
        assert_eq!(label, shown(name), "{name:?}");
        rest = cut(after, "];\n");
    }
    let mut edges = String::new();
    if next.iter().any(Option::is_none) {
        edges.push_str("    any [label=\"?\", shape=plaintext];\n");
    }
    for (index, next) in next.iter().enumerate() {
        match next {
            None => _ = writeln!(edges, "    s{index} -> any [style=dashed];"),
            Some(next) => next.iter().for_each(|to| _ = writeln!(edges, "    s{index} -> s{to};")),
        }
    }
    assert_eq!(rest, edges + "}\n");
}

/// Characters that would act on the drawing are shown as their escapes.
fn shown(name: &str) -> String {
    let shown = |char: char| match char.is_control() {
        true => char.escape_default().to_string(),
        false => char.to_string(),
    };
    name.chars().map(shown).collect()
}

/// A string of the DOT language up to its closing quote, as Graphviz shows it as a label, and what
/// comes behind it.
pub(crate) fn dot_string(text: &str) -> (String, &str) {
    let mut label = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return (label, &text[at + 1..]),
            '\\' => match chars.next() {
                Some((_, escaped @ ('\\' | '"'))) => label.push(escaped),
                other => panic!("an escape that Graphviz replaces: {other:?} in {text:?}"),
            },
            '&' => {
                assert!(text[at..].starts_with("&amp;"), "an entity: {text:?}");
                label.push('&');
                chars.nth("amp;".len() - 1);
            }
            char => {
                assert!(!char.is_control(), "a bare {char:?} in {text:?}");
                label.push(char);
            }
        }
    }
    panic!("a string without an end: {text:?}")
}

fn read_mermaid(text: &str, names: &[&str], next: &[Option<Vec<usize>>]) {
    let mut rest = cut(text, "flowchart LR\n");
    for (index, name) in names.iter().enumerate() {
        rest = cut(rest, &format!("    s{index}[\""));
        let (label, after) = rest.split_once('"').expect("a closing quote");
        assert_eq!(mermaid_label(label), **name, "{label:?}");
        rest = cut(after, "]\n");
    }
    let mut edges = String::new();
    for (index, next) in next.iter().enumerate() {
        match next {
            None => _ = writeln!(edges, "    s{index} -.-> any([\"?\"])"),
            Some(next) => next.iter().for_each(|to| _ = writeln!(edges, "    s{index} --> s{to}")),
        }
    }
    assert_eq!(rest, edges);
}

/// A quoted label as Mermaid shows it: `#quot;` and `#NUMBER;` stand for characters. All that it would
/// take for markup, a comment or a directive must come so.
pub(crate) fn mermaid_label(label: &str) -> String {
    let mut shown = String::new();
    let mut rest = label;
    while let Some(char) = rest.chars().next() {
        if char != '#' {
            let plain = char.is_alphanumeric() || " _".contains(char);
            assert!(plain, "a bare {char:?} in {label:?}");
            shown.push(char);
            rest = &rest[char.len_utf8()..];
            continue;
        }
        let (entity, after) = rest[1..].split_once(';').expect("an entity has an end");
        let number = || entity.parse().ok().and_then(char::from_u32).expect("a character's number");
        shown.push(if entity == "quot" { '"' } else { number() });
        rest = after;
    }
    shown
}
