//! `stageline.pipeline { ... }`: from the table to the plan.

mod options;
mod route;

use super::super::Text;
use super::super::values::shown;
use super::table::{Wrong, entries, get, known, list, text};
use super::{COLON, Caller, Draft, Handle, State, catalogue, is_module};
use crate::plan::{Component, Node, Place, Plan, Problem, RetryPolicy, Route, Target};
use mlua::{Table, Value as LuaValue};
use options::policy;
use route::{route, target};
use stageline_component::{AttributeError, Error, Factory, Kind, Spec, Value, nearest};

const PARTS: [&str; 6] = ["source", "sources", "stages", "sinks", "dead_letter", "retry"];
const SOURCE_PARTS: [&str; 2] = ["component", "to"];
const STAGE_PARTS: [&str; 5] = ["name", "component", "routes", "otherwise", "retry"];

/// Makes the plan; what is wrong is written down.
pub(super) fn create(draft: &mut Draft, script: &Text, caller: &Caller, table: &LuaValue) {
    if draft.makes_none {
        return;
    }
    draft.pipelines += 1;
    let wrong = match table {
        _ if draft.pipelines > 1 => {
            String::from("the script creates a second pipeline: there can be one")
        }
        LuaValue::Table(table) if is_module(table) => COLON.to_owned(),
        LuaValue::Table(table) => {
            let plan = Plan { line: caller.line, ..Plan::default() };
            let mut reader =
                Reader { draft, script, caller, plan, is_whole: true, sources: 0, stages: 0 };
            reader.read(table);
            let (plan, is_whole) = (std::mem::take(&mut reader.plan), reader.is_whole);
            (draft.plan, draft.is_whole) = (Some(plan), is_whole);
            return;
        }
        other => format!(
            "a pipeline is made of a table, `stageline.pipeline {{ ... }}`, and not of {}",
            shown(other)
        ),
    };
    draft.problems.push(caller.problem(&wrong));
}

struct Reader<'d> {
    draft: &'d mut Draft,
    script: &'d Text,
    caller: &'d Caller,
    plan: Plan,
    /// What is not in the plan is not missed by who checks it: nothing was left out.
    is_whole: bool,
    /// The sources and stages that were read, those that are wrong included.
    sources: usize,
    stages: usize,
}

impl Reader<'_> {
    /// Writes down what is wrong with the component of this value.
    fn tell(&mut self, place: &str, value: &LuaValue, wrong: Wrong) {
        let line = handle_of(value).and_then(|Handle(index)| self.draft.slots[index].line);
        for text in wrong.found {
            let text = if place.is_empty() { text } else { format!("{place}: {text}") };
            self.draft.problems.push(match line {
                Some(line) => Problem::error(Some(line), text),
                None => self.caller.problem(&text),
            });
        }
    }

    fn read(&mut self, table: &Table) {
        let mut wrong = Wrong::default();
        self.plan.options = options::options(table, self.script, &mut wrong);
        self.tell("", &LuaValue::Nil, std::mem::take(&mut wrong));
        // What is misspelt may be a part.
        known(table, "a pipeline", &options::names_with(&PARTS), &mut wrong);
        let sources = match get(table, "source") {
            Some(LuaValue::Table(entry)) if is_entry(&entry) => {
                vec![(String::from("source"), LuaValue::Table(entry))]
            }
            Some(LuaValue::Table(_)) => list(table, "source", &mut wrong),
            Some(source) => vec![(String::from("source"), source)],
            None => Vec::new(),
        };
        for (place, entry) in sources.into_iter().chain(list(table, "sources", &mut wrong)) {
            self.source(place, &entry);
        }
        // Without names: a line, the sources first.
        for (place, entry) in entries(table, &mut wrong, |index| format!("entry {index}")) {
            match self.kind_of(&entry) {
                Some(Kind::Source) if self.stages == 0 => self.source(place, &entry),
                _ => self.stage(place, &entry, false),
            }
        }
        for (place, entry) in list(table, "stages", &mut wrong) {
            self.stage(place, &entry, false);
        }
        for (place, entry) in list(table, "sinks", &mut wrong) {
            self.stage(place, &entry, true);
        }
        let letters = match get(table, "dead_letter") {
            None => Vec::new(),
            Some(LuaValue::Table(letters)) if letters.is_empty() => {
                wrong.add("dead_letter", "expected a component, or several");
                Vec::new()
            }
            Some(LuaValue::Table(_)) => list(table, "dead_letter", &mut wrong),
            Some(letters) => vec![(String::from("dead_letter"), letters)],
        };
        for (place, entry) in letters {
            let mut wrong = Wrong::default();
            let component = self.component(&entry, Kind::Sink, &place, &mut wrong);
            self.plan.dead_letter.extend(component);
            self.tell(&place, &entry, wrong);
        }
        self.is_whole &= wrong.found.is_empty();
        self.tell("", &LuaValue::Nil, wrong);
    }

    /// Where an entry that has no name may stand.
    fn kind_of(&self, entry: &LuaValue) -> Option<Kind> {
        let component = match entry {
            LuaValue::Table(table) => part(table),
            component => component.clone(),
        };
        let Handle(index) = handle_of(&component)?;
        match &self.draft.slots[index].state {
            State::Ready(component) | State::Wrong(component) => Some(component.kind()),
            // So that those which follow are what they would be.
            State::Unknown | State::Used(_) => (self.sources == 0).then_some(Kind::Source),
        }
    }

    /// What the component of a value is called, if it is one.
    fn name_of(&self, value: &LuaValue) -> Option<&str> {
        let Handle(index) = handle_of(value)?;
        let slot = &self.draft.slots[index];
        match &slot.state {
            State::Ready(component) | State::Wrong(component) => Some(component.name()),
            State::Unknown | State::Used(_) => Some(&slot.name),
        }
    }

    /// A component out of the draft, for this place, where one of this kind may stand.
    fn component(
        &mut self,
        value: &LuaValue,
        kind: Kind,
        place: &str,
        wrong: &mut Wrong,
    ) -> Option<Component> {
        let component = match handle_of(value) {
            None => {
                let hint = match value {
                    LuaValue::Nil => "nil: is it left out, or a variable not set?".to_owned(),
                    LuaValue::Function(_) => "a function: are its braces missing?".to_owned(),
                    other => shown(other),
                };
                let text = format!(
                    "expected a component, such as `stageline.stdin {{}}`, and found {hint}"
                );
                wrong.add("", text);
                None
            }
            Some(Handle(index)) => {
                let slot = &mut self.draft.slots[index];
                match std::mem::replace(&mut slot.state, State::Used(place.to_owned())) {
                    State::Ready(component) | State::Wrong(component) => Some(component),
                    State::Unknown => {
                        let (factory, line) = (Box::new(Unmade::of(&slot.name, kind)), slot.line);
                        Some(Component { factory, line })
                    }
                    State::Used(first) => {
                        let text = format!(
                            "`{}` stands in two places, at {first} as well: make one for each",
                            slot.name
                        );
                        slot.state = State::Used(first);
                        wrong.add("", text);
                        None
                    }
                }
            }
        };
        self.is_whole &= component.is_some();
        component
    }

    /// A source: a component, or a table of it and where its messages go.
    fn source(&mut self, place: String, entry: &LuaValue) {
        let (mut wrong, mut to) = (Wrong::default(), None);
        let value = match entry {
            LuaValue::Table(table) => {
                known(table, "a source", &SOURCE_PARTS, &mut wrong);
                one_part(table, &mut wrong);
                to = text(table, "to", &mut wrong);
                part(table)
            }
            component => component.clone(),
        };
        self.is_whole &= wrong.found.is_empty();
        let name = self.name_of(&value);
        let place = name.map_or(place, |name| Place::Source(self.sources, name).to_string());
        self.sources += 1;
        if let Some(component) = self.component(&value, Kind::Source, &place, &mut wrong) {
            self.plan.sources.push((component, to));
        }
        self.tell(&place, &value, wrong);
    }

    /// Whether nothing is known of a component, not even what it would be called.
    fn is_unknown(&self, value: &LuaValue) -> bool {
        handle_of(value).is_some_and(|Handle(index)| {
            let slot = &self.draft.slots[index];
            matches!(slot.state, State::Unknown) && meant(&slot.name).is_none()
        })
    }

    /// A stage or a sink: a component, or a table of it, its name, its ways and its retries.
    fn stage(&mut self, place: String, entry: &LuaValue, is_sink: bool) {
        let mut wrong = Wrong::default();
        let (value, table) = match entry {
            LuaValue::Table(table) => (part(table), Some(table)),
            component => (component.clone(), None),
        };
        let mut name = None;
        if let Some(table) = table {
            known(table, "a stage", &STAGE_PARTS, &mut wrong);
            one_part(table, &mut wrong);
            name = text(table, "name", &mut wrong);
        }
        // Under another name it is not the stage that routes speak of.
        let is_known = !self.is_unknown(&value) && wrong.found.is_empty();
        self.is_whole &= name.is_some() || is_known;
        let shown = name.as_deref().or_else(|| self.name_of(&value));
        let place = match shown {
            Some(name) => Place::Stage(self.stages, name).to_string(),
            None => place,
        };
        self.stages += 1;
        let ways = table.map(|table| self.ways(table, &mut wrong)).unwrap_or_default();
        if let Some(component) = self.component(&value, Kind::Transform, &place, &mut wrong) {
            let name = name.unwrap_or_else(|| self.plan.free_name(component.name()));
            let end = is_sink.then_some(Target::End);
            let Ways { routes, otherwise, retry } = ways;
            let otherwise = otherwise.or(end);
            self.plan.nodes.push(Node { routes, otherwise, retry, ..Node::new(name, component) });
        }
        self.tell(&place, &value, wrong);
    }

    fn ways(&self, table: &Table, wrong: &mut Wrong) -> Ways {
        let mut routes = Vec::new();
        for (place, entry) in list(table, "routes", wrong) {
            routes.extend(wrong.within(&place, |wrong| route(&entry, wrong)));
        }
        let otherwise = text(table, "otherwise", wrong);
        let default = self.plan.options.retry;
        let retry = get(table, "retry").map(|retry| {
            wrong.within("retry", |wrong| policy(&retry, default, self.script, wrong))
        });
        Ways { routes, otherwise: otherwise.as_deref().map(target), retry }
    }
}

/// The component that a name which is none was probably meant to be.
fn meant(name: &str) -> Option<&'static str> {
    nearest(name, catalogue().into_iter().map(|spec| spec.name))
}

/// Stands where a component is that is not known, so that the rest of the pipeline can be checked.
struct Unmade(Spec);

impl Unmade {
    fn of(name: &str, kind: Kind) -> Self {
        let name = meant(name).unwrap_or("unknown");
        Self(Spec { name, kind, summary: "", attributes: &[], doc: "" })
    }
}

impl Factory for Unmade {
    fn spec(&self) -> &Spec {
        &self.0
    }

    fn set_attribute(&mut self, _: &str, _: &Value) -> Result<(), AttributeError> {
        Ok(())
    }

    fn prepare(&mut self) -> Result<(), Error> {
        Err(Error::new("it is not known what it is"))
    }
}

/// What a table says beside the component.
#[derive(Default)]
struct Ways {
    routes: Vec<Route>,
    otherwise: Option<Target>,
    retry: Option<RetryPolicy>,
}

fn handle_of(value: &LuaValue) -> Option<Handle> {
    match value {
        LuaValue::UserData(data) => data.borrow::<Handle>().ok().map(|handle| *handle),
        _ => None,
    }
}

/// Whether a table is one entry, and no list of them.
fn is_entry(table: &Table) -> bool {
    SOURCE_PARTS.iter().any(|name| get(table, name).is_some())
}

/// The component of a table: by its name, or the first that has none.
fn part(table: &Table) -> LuaValue {
    let first = || table.raw_get(1).unwrap_or(LuaValue::Nil);
    get(table, "component").unwrap_or_else(first)
}

/// Tells of a table that has more than one component.
fn one_part(table: &Table, wrong: &mut Wrong) {
    let unnamed = entries(table, wrong, |index| format!("[{index}]")).len();
    if unnamed + usize::from(get(table, "component").is_some()) > 1 {
        wrong.add("", "expected one component, and found more: each is an entry of its own");
    }
}
