//! The views of a plan, each read again by the rules of its language. All must say the same.

use crate::parsers::drawings::{cut, dot_string, mermaid_label};
use stageline_runner::{Plan, View};
use std::fmt::Write;

/// The labels of points, and the ways between them, each with its label.
#[derive(Debug, Default, PartialEq)]
struct Graph {
    points: Vec<String>,
    ways: Vec<(usize, usize, Option<String>)>,
}

/// The view in text, which is read nowhere else.
pub fn check(plan: &Plan) -> String {
    let name = &plan.options.name;
    let graph = read_dot(&plan.view(View::Dot), name);
    assert_eq!(graph, read_mermaid(&plan.view(View::Mermaid)));
    let mut expected = format!("pipeline {name}\n");
    for (from, to, when) in &graph.ways {
        let _ = write!(expected, "  {} -> {}", graph.points[*from], graph.points[*to]);
        expected.extend(when.iter().map(|when| format!("   if {when}")));
        expected.push('\n');
    }
    let text = plan.view(View::Text);
    assert_eq!(text, expected);
    assert!(text.lines().all(|line| !line.contains(char::is_control)), "{text:?}");
    text
}

/// A number, and what stands behind it.
fn number(text: &str) -> (usize, &str) {
    let end = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].parse().expect("a number"), &text[end..])
}

fn read_dot(text: &str, name: &str) -> Graph {
    let (said, rest) = dot_string(cut(text, "digraph \""));
    assert_eq!(said, name);
    let (mut graph, mut rest) = (Graph::default(), cut(rest, " {\n"));
    while rest != "}\n" {
        let (from, behind) = number(cut(rest, "  n"));
        let (to, behind) = match behind.strip_prefix(" -> n") {
            Some(behind) => (Some(number(behind).0), number(behind).1),
            None => (None, behind),
        };
        let (label, behind) = match behind.strip_prefix(" [label=\"") {
            Some(behind) => {
                let (label, behind) = dot_string(behind);
                (Some(label), cut(behind, "]"))
            }
            None => (None, behind),
        };
        add(&mut graph, from, to, label);
        rest = cut(behind, ";\n");
    }
    graph
}

fn read_mermaid(text: &str) -> Graph {
    let mut graph = Graph::default();
    let quoted = |text: &str| {
        let (label, rest) = text.split_once('"').expect("a closing quote");
        (mermaid_label(label), rest.to_owned())
    };
    for line in cut(text, "graph LR\n").lines() {
        let (from, behind) = number(cut(line, "  n"));
        if let Some(behind) = behind.strip_prefix("[\"") {
            let (label, rest) = quoted(behind);
            assert_eq!(rest, "]");
            add(&mut graph, from, None, Some(label));
        } else if let Some(behind) = behind.strip_prefix(" -->|\"") {
            let (label, rest) = quoted(behind);
            add(&mut graph, from, Some(number(cut(&rest, "| n")).0), Some(label));
        } else {
            add(&mut graph, from, Some(number(cut(behind, " --> n")).0), None);
        }
    }
    graph
}

fn add(graph: &mut Graph, from: usize, to: Option<usize>, label: Option<String>) {
    match to {
        None => {
            assert_eq!(graph.points.len(), from, "points are numbered");
            graph.points.push(label.expect("a point has a label"));
        }
        Some(to) => {
            assert!(from.max(to) < graph.points.len(), "a way leads from point to point");
            graph.ways.push((from, to, label));
        }
    }
}
