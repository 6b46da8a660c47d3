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

/// A point of the graph. Two that have the same label are two all the same.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Point {
    Source(usize),
    Node(usize),
    End,
    Failed,
    /// Where messages go to fail, and the components that then get them.
    DeadLetter,
    Letters(usize),
}

/// A way: from, to, and when.
struct Way {
    from: Point,
    to: Point,
    when: String,
}

impl Plan {
    /// The graph.
    pub fn view(&self, view: View) -> String {
        let ways = self.ways();
        match view {
            View::Text => self.view_text(&ways),
            View::Dot => self.view_dot(&ways),
            View::Mermaid => self.view_mermaid(&ways),
        }
    }

    fn view_text(&self, ways: &[Way]) -> String {
        let mut text = format!("pipeline {}\n", self.options.name);
        for Way { from, to, when } in ways {
            let (from, to) = (self.label(*from), self.label(*to));
            let _ = match when.is_empty() {
                true => writeln!(text, "  {from} -> {to}"),
                false => writeln!(text, "  {from} -> {to}   if {when}"),
            };
        }
        text
    }

    fn view_dot(&self, ways: &[Way]) -> String {
        let mut text = format!("digraph \"{}\" {{\n", dot(&self.options.name));
        let points = points(ways);
        for (id, point) in points.iter().enumerate() {
            let _ = writeln!(text, "  n{id} [label=\"{}\"];", dot(&self.label(*point)));
        }
        for Way { from, to, when } in ways {
            let _ = write!(text, "  n{} -> n{}", id(&points, *from), id(&points, *to));
            let _ = match when.is_empty() {
                true => writeln!(text, ";"),
                false => writeln!(text, " [label=\"{}\"];", dot(when)),
            };
        }
        text.push_str("}\n");
        text
    }

    fn view_mermaid(&self, ways: &[Way]) -> String {
        let mut text = String::from("graph LR\n");
        let points = points(ways);
        for (id, point) in points.iter().enumerate() {
            let _ = writeln!(text, "  n{id}[\"{}\"]", mermaid(&self.label(*point)));
        }
        for Way { from, to, when } in ways {
            let (from, to) = (id(&points, *from), id(&points, *to));
            let _ = match when.is_empty() {
                true => writeln!(text, "  n{from} --> n{to}"),
                false => writeln!(text, "  n{from} -->|\"{}\"| n{to}", mermaid(when)),
            };
        }
        text
    }

    fn label(&self, point: Point) -> String {
        match point {
            Point::Source(index) => {
                let name = self.sources[index].0.name();
                match self.sources.len() {
                    1 => name.to_owned(),
                    _ => format!("{name} #{}", index + 1),
                }
            }
            Point::Node(index) => {
                let node = &self.nodes[index];
                match node.component.name() {
                    name if name == node.name => node.name.clone(),
                    name => format!("{} ({name})", node.name),
                }
            }
            Point::End => String::from("end"),
            Point::Failed => String::from("failed"),
            Point::DeadLetter => String::from("dead letter"),
            Point::Letters(index) => self.dead_letter[index].name().to_owned(),
        }
    }

    fn ways(&self) -> Vec<Way> {
        let node = |index: Option<usize>| {
            index.filter(|index| *index < self.nodes.len()).map_or(Point::End, Point::Node)
        };
        let failed = match self.dead_letter.is_empty() {
            true => Point::Failed,
            false => Point::DeadLetter,
        };
        let target = |to: &Target| match to {
            Target::Node(name) => node(self.node(name)),
            Target::End => Point::End,
            Target::Fail => failed,
        };
        let mut ways = Vec::new();
        for (number, (_, to)) in self.sources.iter().enumerate() {
            let (from, to) = (Point::Source(number), node(self.entry(to.as_deref())));
            ways.push(Way { from, to, when: String::new() });
        }
        for (index, from) in self.nodes.iter().enumerate() {
            for route in &from.routes {
                // An expression may have several lines.
                let when = route.when.to_string();
                let when = shown(&when.split_whitespace().collect::<Vec<_>>().join(" "));
                ways.push(Way { from: Point::Node(index), to: target(&route.to), when });
            }
            let to = from.otherwise.as_ref().map_or_else(|| node(Some(index + 1)), target);
            let when = if from.routes.is_empty() { "" } else { "otherwise" };
            ways.push(Way { from: Point::Node(index), to, when: when.to_owned() });
        }
        let mut from = Point::DeadLetter;
        for to in (0..self.dead_letter.len()).map(Point::Letters) {
            ways.push(Way { from, to, when: String::new() });
            from = to;
        }
        ways
    }
}

/// Each point once, in the order in which they come. Their places are their ids: names may have any letters, and are
/// words of the languages, too.
fn points(ways: &[Way]) -> Vec<Point> {
    let mut points = Vec::new();
    for point in ways.iter().flat_map(|way| [way.from, way.to]) {
        if !points.contains(&point) {
            points.push(point);
        }
    }
    points
}

fn id(points: &[Point], point: Point) -> usize {
    points.iter().position(|other| *other == point).unwrap_or(points.len())
}

/// A condition, with the escapes of characters that would act on a terminal.
fn shown(when: &str) -> String {
    let mut shown = String::with_capacity(when.len());
    for char in when.chars() {
        match char.is_control() {
            true => shown.extend(char.escape_default()),
            false => shown.push(char),
        }
    }
    shown
}

/// A text between the quotes of DOT, where Graphviz knows escapes and the entities of HTML.
fn dot(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('&', "&amp;")
}

/// A text between the quotes of Mermaid. What that could take for markup, an entity or a comment is given by its number.
fn mermaid(text: &str) -> String {
    let mut label = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            ' ' | '_' => label.push(char),
            char if char.is_alphanumeric() => label.push(char),
            char => {
                let _ = write!(label, "#{};", u32::from(char));
            }
        }
    }
    label
}
