//! What is wrong with a plan.

use super::{Node, Plan, Target};
use crate::limits::{COMPONENTS_MAX, MESSAGE_MAX_MAX, WINDOW_MAX};
use stageline_component::{Kind, nearest};
use std::fmt;

/// Something that is wrong with a plan, and where the script says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line of the script.
    pub line: Option<usize>,
    /// What is wrong, and what to do.
    pub text: String,
    /// It can be run all the same.
    pub is_warning: bool,
}

impl Problem {
    /// Something that keeps the pipeline from running.
    pub fn error(line: Option<usize>, text: impl Into<String>) -> Self {
        Self { line, text: text.into(), is_warning: false }
    }

    /// Something that is probably not meant.
    pub fn warning(line: Option<usize>, text: impl Into<String>) -> Self {
        Self { line, text: text.into(), is_warning: true }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl Plan {
    /// All that is wrong with it; nothing if it can be run.
    pub fn check(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        self.check_sources(&mut found);
        self.check_nodes(&mut found);
        self.check_options(&mut found);
        if found.iter().all(|problem| problem.is_warning) {
            self.check_ways(&mut found);
        }
        found
    }

    fn check_sources(&self, found: &mut Vec<Problem>) {
        if self.sources.is_empty() && self.nodes.is_empty() {
            found.push(Problem::error(None, "the pipeline is empty: it needs a source at least"));
            return;
        }
        if self.sources.is_empty() {
            let line = self.nodes[0].component.line;
            let name = self.nodes[0].component.name();
            let text = format!(
                "the pipeline has no source: `{name}` would get no messages; put a source first"
            );
            found.push(Problem::error(line, text));
        }
        for (component, to) in &self.sources {
            if component.kind() != Kind::Source {
                let (name, kind) = (component.name(), component.kind());
                found.push(Problem::error(
                    component.line,
                    format!("`{name}` is a {kind}, and stands as a source"),
                ));
            }
            if let Some(to) = to {
                self.check_name(to, component.line, found);
            }
        }
        let count = self.sources.len() + self.nodes.len();
        if count > COMPONENTS_MAX {
            let text = format!("the pipeline has {count} components, more than {COMPONENTS_MAX}");
            found.push(Problem::error(None, text));
        }
    }

    fn check_nodes(&self, found: &mut Vec<Problem>) {
        for (index, node) in self.nodes.iter().enumerate() {
            let line = node.component.line;
            if node.component.kind() == Kind::Source {
                let text = format!(
                    "`{}` is a source, and stands after what handles messages",
                    node.component.name()
                );
                found.push(Problem::error(line, text));
            }
            if ["end", "fail"].contains(&node.name.as_str()) {
                let text = format!("no stage may be called `{}`: routes use the word", node.name);
                found.push(Problem::error(line, text));
            }
            if self.nodes[..index].iter().any(|other| other.name == node.name) {
                found.push(Problem::error(line, format!("two stages are called `{}`", node.name)));
            }
            for to in node.targets() {
                if let Target::Node(to) = to {
                    self.check_name(to, line, found);
                }
            }
        }
        if let Some(component) = &self.dead_letter
            && component.kind() == Kind::Source
        {
            let text = format!("`{}` is a source, and cannot take dead letters", component.name());
            found.push(Problem::error(component.line, text));
        }
    }

    fn check_name(&self, name: &str, line: Option<usize>, found: &mut Vec<Problem>) {
        if self.node(name).is_some() {
            return;
        }
        let known = self.nodes.iter().map(|node| node.name.as_str());
        let hint = match nearest(name, known) {
            Some(nearest) => format!("; did you mean `{nearest}`?"),
            None => String::new(),
        };
        found.push(Problem::error(line, format!("there is no stage `{name}`{hint}")));
    }

    fn check_options(&self, found: &mut Vec<Problem>) {
        let options = &self.options;
        let mut expect = |is_right: bool, text: String| {
            if !is_right {
                found.push(Problem::error(None, text));
            }
        };
        let window = options.window;
        expect(
            window.is_power_of_two() && (2..=WINDOW_MAX).contains(&window),
            format!("`window` = {window}: expected a power of two from 2 to {WINDOW_MAX}"),
        );
        let max = options.message_max;
        expect(
            (1..=MESSAGE_MAX_MAX).contains(&max),
            format!("`message_max` = {max}: expected a number of bytes up to {MESSAGE_MAX_MAX}"),
        );
        let capacity = options.message_capacity;
        expect(
            capacity <= max,
            format!("`message_capacity` = {capacity}: expected no more than `message_max`, {max}"),
        );
        expect(options.workers != Some(0), String::from("`workers` = 0: expected 1 at least"));
    }

    /// Cycles, and stages that no message comes to.
    fn check_ways(&self, found: &mut Vec<Problem>) {
        let mut reached = vec![false; self.nodes.len()];
        let mut ahead: Vec<usize> =
            self.sources.iter().filter_map(|(_, to)| self.entry(to.as_deref())).collect();
        while let Some(node) = ahead.pop() {
            if !std::mem::replace(&mut reached[node], true) {
                ahead.extend(self.successors(node));
            }
        }
        for (node, _) in self.nodes.iter().zip(&reached).filter(|(_, reached)| !**reached) {
            let text = format!("no message comes to the stage `{}`", node.name);
            found.push(Problem::warning(node.component.line, text));
        }
        if self.options.dag
            && let Some(cycle) = self.cycle()
        {
            let names: Vec<_> = cycle.iter().map(|node| self.nodes[*node].name.as_str()).collect();
            let line = self.nodes[cycle[0]].component.line;
            let text = format!("`dag` is set, and there is a cycle: {}", names.join(" -> "));
            found.push(Problem::error(line, text));
        }
    }

    /// The node that a source's messages go to.
    pub fn entry(&self, to: Option<&str>) -> Option<usize> {
        match to {
            Some(to) => self.node(to),
            None => (!self.nodes.is_empty()).then_some(0),
        }
    }

    /// The nodes that a message may go to from this one.
    pub fn successors(&self, node: usize) -> Vec<usize> {
        let named = self.nodes[node].targets().filter_map(|to| match to {
            Target::Node(name) => self.node(name),
            Target::End | Target::Fail => None,
        });
        let next = self.nodes[node].otherwise.is_none() && node + 1 < self.nodes.len();
        let mut all: Vec<_> = named.chain(next.then_some(node + 1)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The nodes of a cycle, the first one again at the end.
    fn cycle(&self) -> Option<Vec<usize>> {
        let mut done = vec![false; self.nodes.len()];
        (0..self.nodes.len()).find_map(|start| self.cycle_from(start, &mut Vec::new(), &mut done))
    }

    fn cycle_from(
        &self,
        node: usize,
        way: &mut Vec<usize>,
        done: &mut [bool],
    ) -> Option<Vec<usize>> {
        if let Some(at) = way.iter().position(|earlier| *earlier == node) {
            return Some(way[at..].iter().copied().chain([node]).collect());
        }
        if done[node] {
            return None;
        }
        way.push(node);
        let found =
            self.successors(node).into_iter().find_map(|next| self.cycle_from(next, way, done));
        way.pop();
        done[node] = true;
        found
    }
}

impl Node {
    /// All that its routes name.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.routes.iter().map(|route| &route.to).chain(&self.otherwise)
    }
}
