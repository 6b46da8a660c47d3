//! A plan as a graph: in text, DOT or Mermaid.

use super::{Plan, Target};
use std::fmt::Write;

/// How a graph is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// A line for each way.
    Text,
    /// For Graphviz.
    Dot,
    /// For Mermaid.
    Mermaid,
}

/// A way: from, to, and when.
struct Way {
    from: String,
    to: String,
    when: String,
}

impl Plan {
    /// The graph.
    pub fn view(&self, view: View) -> String {
        let ways = self.ways();
        let mut text = String::new();
        match view {
            View::Text => {
                let _ = writeln!(text, "pipeline {}", self.options.name);
                for Way { from, to, when } in &ways {
                    let _ = match when.is_empty() {
                        true => writeln!(text, "  {from} -> {to}"),
                        false => writeln!(text, "  {from} -> {to}   if {when}"),
                    };
                }
            }
            View::Dot => {
                let _ = writeln!(text, "digraph {:?} {{", self.options.name);
                for Way { from, to, when } in &ways {
                    let _ = writeln!(text, "  {from:?} -> {to:?} [label={when:?}];");
                }
                text.push_str("}\n");
            }
            View::Mermaid => {
                text.push_str("graph LR\n");
                for Way { from, to, when } in &ways {
                    let label = when.replace('"', "#quot;");
                    let _ = match label.is_empty() {
                        true => {
                            writeln!(text, "  {}[\"{from}\"] --> {}[\"{to}\"]", id(from), id(to))
                        }
                        false => writeln!(
                            text,
                            "  {}[\"{from}\"] -->|\"{label}\"| {}[\"{to}\"]",
                            id(from),
                            id(to)
                        ),
                    };
                }
            }
        }
        text
    }

    fn ways(&self) -> Vec<Way> {
        let mut ways = Vec::new();
        let label = |index: usize| match self.nodes.get(index) {
            Some(node) if node.name == node.component.name() => node.name.clone(),
            Some(node) => format!("{} ({})", node.name, node.component.name()),
            None => String::from("end"),
        };
        for (number, (source, to)) in self.sources.iter().enumerate() {
            let from = match self.sources.len() {
                1 => source.name().to_owned(),
                _ => format!("{} #{}", source.name(), number + 1),
            };
            let to = self.entry(to.as_deref()).map_or(String::from("end"), label);
            ways.push(Way { from, to, when: String::new() });
        }
        let target = |to: &Target| match to {
            Target::Node(name) => self.node(name).map_or(name.clone(), label),
            Target::End => String::from("end"),
            Target::Fail => {
                self.dead_letter.as_ref().map_or(String::from("failed"), |_| dead_letter())
            }
        };
        for (index, node) in self.nodes.iter().enumerate() {
            for route in &node.routes {
                ways.push(Way {
                    from: label(index),
                    to: target(&route.to),
                    when: route.when.to_string(),
                });
            }
            let to = node.otherwise.as_ref().map_or_else(|| label(index + 1), target);
            let when = if node.routes.is_empty() { "" } else { "otherwise" };
            ways.push(Way { from: label(index), to, when: when.to_owned() });
        }
        if let Some(component) = &self.dead_letter {
            let (from, to) = (dead_letter(), component.name().to_owned());
            ways.push(Way { from, to, when: String::new() });
        }
        ways
    }
}

fn dead_letter() -> String {
    String::from("dead letter")
}

/// A name for Mermaid.
fn id(label: &str) -> String {
    label.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}
