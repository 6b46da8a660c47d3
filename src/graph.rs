//! The stage table as a graph: what it declares, what is wrong with it, and how it is drawn.

use crate::stage::{StateMachine, Table};
use std::fmt::Write;

/// The graph of a pipeline's stages. Edges are known only of those stages that declare them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    names: Vec<String>,
    next: Vec<Option<Vec<usize>>>,
}

impl Graph {
    pub(crate) fn new<M: StateMachine>(table: &Table<M>) -> Self {
        let edges = |ids: &Option<Box<[u16]>>| {
            ids.as_ref().map(|ids| ids.iter().map(|id| usize::from(*id)).collect())
        };
        let names = table.names.iter().map(|name| name.to_string());
        Self::from_parts(names.collect(), table.next.iter().map(edges).collect())
    }

    pub(crate) fn from_parts(names: Vec<String>, next: Vec<Option<Vec<usize>>>) -> Self {
        Self { names, next }
    }

    /// The stages that no request can reach from the first one. Empty if a reachable stage does not
    /// declare its successors, since it may go anywhere.
    pub(crate) fn unreachable(&self) -> Vec<&str> {
        let mut reached = vec![false; self.names.len()];
        let mut open: Vec<usize> = (!self.names.is_empty()).then_some(0).into_iter().collect();
        while let Some(stage) = open.pop() {
            if std::mem::replace(&mut reached[stage], true) {
                continue;
            }
            let Some(next) = &self.next[stage] else {
                return Vec::new();
            };
            open.extend(next);
        }
        let lost = reached.iter().zip(&self.names).filter(|(reached, _)| !**reached);
        lost.map(|(_, name)| name.as_str()).collect()
    }

    /// The declared successors that are not in the table, each with the stage that declares it.
    pub(crate) fn unknown(&self) -> Vec<(&str, usize)> {
        let declared = self.names.iter().zip(&self.next).flat_map(|(name, next)| {
            next.iter().flatten().map(move |stage| (name.as_str(), *stage))
        });
        declared.filter(|(_, stage)| *stage >= self.names.len()).collect()
    }

    /// A cycle of declared edges, from a stage back to itself, if there is one.
    pub(crate) fn cycle(&self) -> Option<Vec<&str>> {
        let mut color = vec![Color::New; self.names.len()];
        let mut way = Vec::new();
        for start in 0..self.names.len() {
            if color[start] == Color::New
                && let Some(cycle) = self.cycle_from(start, &mut color, &mut way)
            {
                return Some(cycle);
            }
        }
        None
    }

    /// Depth-first search with its stack in `way`: (stage, successors already followed).
    fn cycle_from(
        &self,
        start: usize,
        color: &mut [Color],
        way: &mut Vec<(usize, usize)>,
    ) -> Option<Vec<&str>> {
        way.push((start, 0));
        color[start] = Color::Open;
        while let Some((stage, followed)) = way.last_mut() {
            let successor = self.next[*stage].as_ref().and_then(|next| next.get(*followed));
            *followed += 1;
            match successor.copied() {
                None => {
                    color[*stage] = Color::Closed;
                    way.pop();
                }
                Some(next) if color[next] == Color::Open => {
                    let from = way.iter().position(|(stage, _)| *stage == next)?;
                    let stages = way[from..].iter().map(|(stage, _)| *stage).chain([next]);
                    return Some(stages.map(|stage| self.names[stage].as_str()).collect());
                }
                Some(next) if color[next] == Color::New => {
                    color[next] = Color::Open;
                    way.push((next, 0));
                }
                Some(_) => {}
            }
        }
        None
    }

    /// The graph in the DOT language of Graphviz. A stage that does not declare its successors has a
    /// dashed edge to `?`.
    pub fn dot(&self) -> String {
        let mut text = String::from("digraph stages {\n    rankdir=LR;\n    node [shape=box];\n");
        for (index, name) in self.names.iter().enumerate() {
            let _ = writeln!(text, "    s{index} [label=\"{}\"];", dot_label(name));
        }
        if self.next.iter().any(Option::is_none) {
            text.push_str("    any [label=\"?\", shape=plaintext];\n");
        }
        for (index, next) in self.next.iter().enumerate() {
            match next {
                None => _ = writeln!(text, "    s{index} -> any [style=dashed];"),
                Some(next) => {
                    next.iter().for_each(|to| _ = writeln!(text, "    s{index} -> s{to};"));
                }
            }
        }
        text.push_str("}\n");
        text
    }

    /// The graph in the language of Mermaid.
    pub fn mermaid(&self) -> String {
        let mut text = String::from("flowchart LR\n");
        for (index, name) in self.names.iter().enumerate() {
            let _ = writeln!(text, "    s{index}[\"{}\"]", mermaid_label(name));
        }
        for (index, next) in self.next.iter().enumerate() {
            match next {
                None => _ = writeln!(text, "    s{index} -.-> any([\"?\"])"),
                Some(next) => {
                    next.iter().for_each(|to| _ = writeln!(text, "    s{index} --> s{to}"));
                }
            }
        }
        text
    }
}

/// A name inside a quoted string of DOT, so that Graphviz shows it as it is; control characters are
/// shown as Rust writes them.
fn dot_label(name: &str) -> String {
    let mut label = String::with_capacity(name.len());
    for char in name.chars() {
        match char {
            '"' => label.push_str("\\\""),
            '\\' => label.push_str("\\\\"),
            '&' => label.push_str("&amp;"),
            char if char.is_control() => {
                let _ = write!(label, "\\{}", char.escape_default());
            }
            char => label.push(char),
        }
    }
    label
}

/// A name inside a quoted string of Mermaid. Whatever that could take for markup, an entity, a comment
/// or a directive is given by its number.
fn mermaid_label(name: &str) -> String {
    let mut label = String::with_capacity(name.len());
    for char in name.chars() {
        match char {
            '"' => label.push_str("#quot;"),
            ' ' | '_' => label.push(char),
            char if char.is_alphanumeric() => label.push(char),
            char => _ = write!(label, "#{};", u32::from(char)),
        }
    }
    label
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Color {
    New,
    Open,
    Closed,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, Option<&[usize]>)]) -> Graph {
        Graph {
            names: edges.iter().map(|(name, _)| (*name).to_owned()).collect(),
            next: edges.iter().map(|(_, next)| next.map(<[usize]>::to_vec)).collect(),
        }
    }

    #[test]
    fn unreachable_stages_are_named() {
        let lost = graph(&[("a", Some(&[1])), ("b", Some(&[])), ("c", Some(&[0]))]);
        assert_eq!(lost.unreachable(), ["c"]);
        let open = graph(&[("a", Some(&[1])), ("b", None), ("c", Some(&[]))]);
        assert!(open.unreachable().is_empty(), "b may go to c");
    }

    #[test]
    fn a_cycle_is_shown_from_a_stage_back_to_itself() {
        let cyclic = graph(&[("a", Some(&[1])), ("b", Some(&[2])), ("c", Some(&[1]))]);
        assert_eq!(cyclic.cycle(), Some(vec!["b", "c", "b"]));
        let own = graph(&[("a", Some(&[0]))]);
        assert_eq!(own.cycle(), Some(vec!["a", "a"]));
        let diamond =
            graph(&[("a", Some(&[1, 2])), ("b", Some(&[3])), ("c", Some(&[3])), ("d", Some(&[]))]);
        assert_eq!(diamond.cycle(), None);
    }

    #[test]
    fn both_languages_draw_every_stage_and_edge() {
        let drawn = graph(&[("a \"x\"", Some(&[1])), ("b", None)]);
        assert_eq!(
            drawn.dot(),
            "digraph stages {\n    rankdir=LR;\n    node [shape=box];\n    s0 [label=\"a \\\"x\\\"\"];\n    \
             s1 [label=\"b\"];\n    any [label=\"?\", shape=plaintext];\n    s0 -> s1;\n    \
             s1 -> any [style=dashed];\n}\n"
        );
        assert_eq!(
            drawn.mermaid(),
            "flowchart LR\n    s0[\"a #quot;x#quot;\"]\n    s1[\"b\"]\n    s0 --> s1\n    \
             s1 -.-> any([\"?\"])\n"
        );
    }

    #[test]
    fn a_name_is_shown_and_does_not_act_on_the_drawing() {
        let drawn = graph(&[("a\nb\0 \\N &lt; #35; %%{x}%%", Some(&[]))]);
        assert_eq!(
            drawn.dot(),
            "digraph stages {\n    rankdir=LR;\n    node [shape=box];\n    \
             s0 [label=\"a\\\\nb\\\\u{0} \\\\N &amp;lt; #35; %%{x}%%\"];\n}\n"
        );
        assert_eq!(
            drawn.mermaid(),
            "flowchart LR\n    s0[\"a#10;b#0; #92;N #38;lt#59; #35;35#59; \
             #37;#37;#123;x#125;#37;#37;\"]\n"
        );
    }
}
