//! What is wrong with a plan.

use super::options::check_label;
use super::{Node, Plan, Target};
use crate::limits::COMPONENTS_MAX;
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

/// A place in a pipeline, as it is told: `stage 3 "filter"`.
pub(crate) enum Place<'a> {
    /// The source of this index, and what it is.
    Source(usize, &'a str),
    /// The stage of this index, and its name.
    Stage(usize, &'a str),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(index, name) => write!(f, "source {} {name:?}", index + 1),
            Self::Stage(index, name) => write!(f, "stage {} {name:?}", index + 1),
        }
    }
}

/// The engine's own first stage, which sends each message to where it starts.
pub(crate) const START: &str = "(start)";

impl Plan {
    /// All that is wrong with it; nothing if it can be run.
    pub fn check(&self) -> Vec<Problem> {
        let mut found = self.check_parts(true);
        if found.iter().all(|problem| problem.is_warning) {
            self.check_ways(&mut found);
            self.check_pools(&mut found);
        }
        found
    }

    /// What is wrong with its parts, each by itself: with the options alone if something else is missing in it. It asks
    /// nothing of components that are not prepared.
    pub(crate) fn check_parts(&self, is_whole: bool) -> Vec<Problem> {
        let mut found = Vec::new();
        if is_whole {
            self.check_sources(&mut found);
            self.check_nodes(&mut found);
        }
        self.check_options(&mut found);
        found
    }

    fn check_sources(&self, found: &mut Vec<Problem>) {
        if self.sources.is_empty() && self.nodes.is_empty() {
            let text = "the pipeline is empty: it needs a source at least";
            found.push(Problem::error(self.line, text));
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
        for (index, (component, to)) in self.sources.iter().enumerate() {
            let place = Place::Source(index, component.name());
            if component.kind() != Kind::Source {
                let (name, kind) = (component.name(), component.kind());
                let text = format!("{place}: `{name}` is a {kind}, and stands as a source");
                found.push(Problem::error(component.line, text));
            }
            if let Some(to) = to {
                self.check_name(to, &format!("{place}: to"), component.line, found);
            }
        }
        let count = self.sources.len() + self.nodes.len() + self.dead_letter.len();
        if count > COMPONENTS_MAX {
            let text = format!("the pipeline has {count} components, more than {COMPONENTS_MAX}");
            found.push(Problem::error(self.line, text));
        }
    }

    fn check_nodes(&self, found: &mut Vec<Problem>) {
        for (index, node) in self.nodes.iter().enumerate() {
            let (line, place) = (node.component.line, Place::Stage(index, &node.name));
            let mut wrong =
                |text: String| found.push(Problem::error(line, format!("{place}: {text}")));
            if node.component.kind() == Kind::Source {
                let name = node.component.name();
                wrong(format!("`{name}` is a source, and stands after what handles messages"));
            }
            match node.name.as_str() {
                "end" | "fail" => {
                    wrong(String::from("no stage may have this name: routes use the word"));
                }
                START => wrong(String::from("no stage may have this name: the engine uses it")),
                name => {
                    if let Err(text) = check_label(name) {
                        wrong(text);
                    }
                }
            }
            if let Some(other) =
                self.nodes[..index].iter().position(|other| other.name == node.name)
            {
                wrong(format!("stage {} has this name already", other + 1));
            }
            if let Some(retry) = &node.retry {
                retry.check().into_iter().for_each(|text| wrong(format!("retry: {text}")));
            }
            for (number, route) in node.routes.iter().enumerate() {
                if let Target::Node(to) = &route.to {
                    let place = format!("{place}: routes[{}].to", number + 1);
                    self.check_name(to, &place, line, found);
                }
            }
            if let Some(Target::Node(to)) = &node.otherwise {
                self.check_name(to, &format!("{place}: otherwise"), line, found);
            }
        }
        for component in self.dead_letter.iter().filter(|letters| letters.kind() == Kind::Source) {
            let text = format!("`{}` is a source, and cannot take dead letters", component.name());
            found.push(Problem::error(component.line, text));
        }
    }

    fn check_name(&self, name: &str, place: &str, line: Option<usize>, found: &mut Vec<Problem>) {
        if self.node(name).is_some() {
            return;
        }
        let known = || self.nodes.iter().map(|node| node.name.as_str());
        let hint = match nearest(name, known()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None if self.nodes.is_empty() => String::from("the pipeline has none"),
            None => format!("the stages are `{}`", known().collect::<Vec<_>>().join("`, `")),
        };
        found.push(Problem::error(line, format!("{place}: there is no stage `{name}`; {hint}")));
    }

    /// Cycles, stages that no message comes to, and such that none leaves.
    fn check_ways(&self, found: &mut Vec<Problem>) {
        if self.nodes.is_empty() {
            let text = "the pipeline has no stage: its messages are read, and go nowhere";
            found.push(Problem::warning(self.line, text));
        }
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
        if let Some(node) =
            (0..self.nodes.len()).find(|node| reached[*node] && !self.has_end(*node))
        {
            let node = &self.nodes[node];
            let text = format!(
                "no way leads from the stage `{}` to an end: its messages go round until they are dropped or fail",
                node.name
            );
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

    /// Whether a message that comes to this node may come to an end of the pipeline.
    fn has_end(&self, node: usize) -> bool {
        let mut seen = vec![false; self.nodes.len()];
        let mut ahead = vec![node];
        while let Some(index) = ahead.pop() {
            let node = &self.nodes[index];
            let is_last = node.otherwise.is_none() && index + 1 == self.nodes.len();
            if is_last || node.targets().any(|to| !matches!(to, Target::Node(_))) {
                return true;
            }
            if !std::mem::replace(&mut seen[index], true) {
                ahead.extend(self.successors(index));
            }
        }
        false
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
