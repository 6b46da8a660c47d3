//! `stageline.pipeline { ... }`: from the table to the plan.

use super::{Draft, Handle};
use crate::plan::{
    Component, Node, OnFailure, Options, Plan, Problem, RetryPolicy, Route, Target, When,
};
use mlua::{Table, Value as LuaValue};
use stageline::{Order, WaitStrategy};
use stageline_builtin::Condition;
use stageline_component::{AttributeKind, AttributeSpec, Attributes, Kind, Spec, Value, nearest};

/// The names of a pipeline's table that are options.
static OPTIONS: Spec = Spec {
    name: "pipeline",
    kind: Kind::Transform,
    summary: "",
    attributes: &[
        option("name", AttributeKind::Text),
        option("workers", AttributeKind::Integer),
        option("cores", AttributeKind::List),
        option("order", AttributeKind::OneOf(&["completion", "submission"])),
        option("window", AttributeKind::Integer),
        option("wait", AttributeKind::OneOf(&["park", "yield", "spin"])),
        option("message_capacity", AttributeKind::Size),
        option("message_max", AttributeKind::Size),
        option("on_failure", AttributeKind::OneOf(&["continue", "stop"])),
        option("dag", AttributeKind::Boolean),
        option("drain_at_most", AttributeKind::Duration),
    ],
    doc: "",
};

static RETRY: Spec = Spec {
    name: "retry",
    kind: Kind::Transform,
    summary: "",
    attributes: &[
        option("attempts", AttributeKind::Integer),
        option("first", AttributeKind::Duration),
        option("factor", AttributeKind::Number),
        option("cap", AttributeKind::Duration),
        option("jitter", AttributeKind::Number),
    ],
    doc: "",
};

const fn option(name: &'static str, kind: AttributeKind) -> AttributeSpec {
    AttributeSpec { name, kind, default: None, required: false, doc: "" }
}

const PARTS: [&str; 6] = ["source", "sources", "stages", "sinks", "dead_letter", "retry"];
const STAGE_PARTS: [&str; 6] = ["name", "component", "routes", "otherwise", "retry", "to"];
const ROUTE_PARTS: [&str; 6] = ["status", "when", "has", "attribute", "equals", "to"];

type Result<T> = std::result::Result<T, String>;

/// Makes the plan; what is wrong is written down.
pub(super) fn create(draft: &mut Draft, line: Option<usize>, table: &LuaValue) -> mlua::Result<()> {
    if draft.makes_none {
        return Ok(());
    }
    draft.pipelines += 1;
    if draft.pipelines > 1 {
        let text = "the script creates a second pipeline: there can be one";
        draft.problems.push(Problem::error(line, text));
        return Ok(());
    }
    let LuaValue::Table(table) = table else {
        let text = format!("a pipeline is made of a table, and not of a {}", table.type_name());
        draft.problems.push(Problem::error(line, text));
        return Ok(());
    };
    let mut reader = Reader { draft, line, plan: Plan::default() };
    if let Err(text) = reader.read(table) {
        reader.wrong(text);
    }
    draft.plan = Some(std::mem::take(&mut reader.plan));
    Ok(())
}

struct Reader<'d> {
    draft: &'d mut Draft,
    line: Option<usize>,
    plan: Plan,
}

impl Reader<'_> {
    fn wrong(&mut self, text: String) {
        self.draft.problems.push(Problem::error(self.line, text));
    }

    fn read(&mut self, table: &Table) -> Result<()> {
        self.options(table)?;
        if let Some(retry) = get(table, "retry")? {
            self.plan.options.retry = policy(&retry, RetryPolicy::default())?;
        }
        for name in ["source", "sources"] {
            match get(table, name)? {
                None => {}
                Some(LuaValue::Table(sources)) => each(&sources, |entry| self.source(entry))?,
                Some(source) => self.source(&source)?,
            }
        }
        // Without names: a line, the sources first.
        each(table, |entry| self.entry(entry))?;
        if let Some(stages) = list(table, "stages")? {
            each(&stages, |entry| self.node(entry, false))?;
        }
        if let Some(sinks) = list(table, "sinks")? {
            each(&sinks, |entry| self.node(entry, true))?;
        }
        if let Some(letters) = get(table, "dead_letter")? {
            self.plan.dead_letter = self.component(&letters, "dead_letter")?;
        }
        Ok(())
    }

    fn options(&mut self, table: &Table) -> Result<()> {
        let known = || OPTIONS.attributes.iter().map(|option| option.name).chain(PARTS);
        let mut values = Attributes::new(&OPTIONS);
        for pair in table.pairs::<LuaValue, LuaValue>() {
            let (key, value) = pair.map_err(|error| error.to_string())?;
            let name = match &key {
                LuaValue::Integer(_) => continue,
                LuaValue::String(name) => name.to_string_lossy(),
                other => return Err(format!("a {} is no name in a pipeline", other.type_name())),
            };
            if PARTS.contains(&&*name) {
                continue;
            }
            if OPTIONS.attribute(&name).is_none() {
                self.wrong(unknown("a pipeline", &name, known()));
                continue;
            }
            if let Err(error) = plain(&value)
                .and_then(|value| values.set(&name, &value).map_err(|error| error.to_string()))
            {
                self.wrong(error);
            }
        }
        self.take_options(&values)
    }

    fn take_options(&mut self, values: &Attributes) -> Result<()> {
        let options = &mut self.plan.options;
        let whole = |name: &str| {
            let value = values.integer(name);
            value.map(|value| {
                usize::try_from(value)
                    .map_err(|_| format!("`{name}` = {value}: expected 1 or more"))
            })
        };
        if let Some(name) = values.text("name") {
            options.name = name.to_owned();
        }
        options.workers = whole("workers").transpose()?;
        options.window = whole("window").transpose()?.unwrap_or(options.window);
        if let Some(cores) = values.list("cores") {
            let core = |value: &Value| match value {
                Value::Integer(core) if *core >= 0 => Ok(*core as usize),
                other => Err(format!("`cores`: {other} is no CPU")),
            };
            options.cores = cores.iter().map(core).collect::<Result<_>>()?;
        }
        options.order = match values.text("order") {
            Some("submission") => Order::Submission,
            _ => Order::Completion,
        };
        options.wait = match values.text("wait") {
            Some("spin") => WaitStrategy::BusySpin,
            Some("yield") => WaitStrategy::SpinThenYield,
            _ => WaitStrategy::YieldThenPark,
        };
        let size =
            |name: &str, default: usize| values.size(name).map_or(default, |size| size as usize);
        let Options { message_capacity, message_max, .. } = *options;
        options.message_max = size("message_max", message_max);
        options.message_capacity =
            size("message_capacity", message_capacity.min(options.message_max));
        if values.text("on_failure") == Some("stop") {
            options.on_failure = OnFailure::Stop;
        }
        options.dag = values.boolean("dag").unwrap_or(false);
        options.drain_at_most = values.duration("drain_at_most");
        Ok(())
    }

    /// A component out of the draft; none if it was wrong, which has been told.
    fn component(&mut self, value: &LuaValue, place: &str) -> Result<Option<Component>> {
        let handle = match value {
            LuaValue::UserData(data) => data.borrow::<Handle>().ok().map(|handle| *handle),
            _ => None,
        };
        let Some(Handle(index)) = handle else {
            return Err(format!(
                "{place}: expected a component, such as `stageline.stdin {{}}`, and not a {}",
                value.type_name()
            ));
        };
        let component = self.draft.components[index].take();
        if component.is_none() && self.draft.problems.is_empty() {
            return Err(format!(
                "{place}: component #{} stands in two places; make one for each",
                index + 1
            ));
        }
        Ok(component)
    }

    fn source(&mut self, entry: &LuaValue) -> Result<()> {
        let (component, to) = match entry {
            LuaValue::Table(table) => {
                known(table, "a source", &["component", "to"])?;
                (part(table)?, text(table, "to")?)
            }
            other => (other.clone(), None),
        };
        if let Some(component) = self.component(&component, "source")? {
            self.plan.sources.push((component, to));
        }
        Ok(())
    }

    /// An entry without a name: a source, or a stage.
    fn entry(&mut self, entry: &LuaValue) -> Result<()> {
        if let LuaValue::Table(_) = entry {
            return self.node(entry, false);
        }
        if let Some(component) = self.component(entry, "pipeline")? {
            match component.kind() {
                Kind::Source if self.plan.nodes.is_empty() => {
                    self.plan.sources.push((component, None))
                }
                _ => self.push(component, None),
            }
        }
        Ok(())
    }

    fn push(&mut self, component: Component, name: Option<String>) {
        let name = name.unwrap_or_else(|| self.plan.free_name(component.name()));
        self.plan.nodes.push(Node::new(name, component));
    }

    /// A stage or a sink: a component, or a table of it, its name, its ways and its retries.
    fn node(&mut self, entry: &LuaValue, is_sink: bool) -> Result<()> {
        let LuaValue::Table(table) = entry else {
            if let Some(component) = self.component(entry, "stages")? {
                self.push(component, None);
                self.end_at(is_sink);
            }
            return Ok(());
        };
        known(table, "a stage", &STAGE_PARTS)?;
        let name = text(table, "name")?;
        let place = name.clone().unwrap_or_else(|| String::from("stages"));
        let Some(component) = self.component(&part(table)?, &place)? else { return Ok(()) };
        self.push(component, name);
        let routes = list(table, "routes")?;
        let mut made = Vec::new();
        if let Some(routes) = routes {
            each(&routes, |entry| {
                made.push(route(entry)?);
                Ok(())
            })?;
        }
        let to = text(table, "otherwise")?.or(text(table, "to")?);
        let retry = get(table, "retry")?
            .map(|retry| policy(&retry, self.plan.options.retry))
            .transpose()?;
        self.end_at(is_sink);
        let node = self.plan.nodes.last_mut().expect("just pushed");
        node.routes = made;
        node.retry = retry;
        if let Some(to) = to {
            node.otherwise = Some(target(&to));
        }
        Ok(())
    }

    /// From a sink of the list `sinks` messages go nowhere.
    fn end_at(&mut self, is_sink: bool) {
        if is_sink && let Some(node) = self.plan.nodes.last_mut() {
            node.otherwise = Some(Target::End);
        }
    }
}

fn route(entry: &LuaValue) -> Result<Route> {
    let LuaValue::Table(table) = entry else {
        return Err(format!(
            "`routes`: expected a table such as {{ when = \"...\", to = \"...\" }}, and not a {}",
            entry.type_name()
        ));
    };
    known(table, "a route", &ROUTE_PARTS)?;
    let to =
        text(table, "to")?.ok_or("a route needs `to`, the name of a stage, `end` or `fail`")?;
    let mut conditions = Vec::new();
    if let Some(status) = get(table, "status")? {
        conditions.push(When::Status(statuses(&status)?));
    }
    if let Some(expression) = text(table, "when")? {
        conditions.push(When::Expression(
            Condition::new(&expression).map_err(|error| format!("`when`: {error}"))?,
        ));
    }
    if let Some(name) = text(table, "has")? {
        conditions.push(When::Attribute(name, None));
    }
    if let Some(name) = text(table, "attribute")? {
        let value = text(table, "equals")?.ok_or("a route with `attribute` needs `equals`")?;
        conditions.push(When::Attribute(name, Some(value.into_bytes())));
    }
    match conditions.len() {
        1 => Ok(Route { when: conditions.remove(0), to: target(&to) }),
        _ => Err(String::from(
            "a route needs one of `status`, `when`, `has`, or `attribute` with `equals`",
        )),
    }
}

fn statuses(value: &LuaValue) -> Result<std::ops::RangeInclusive<u32>> {
    let expected =
        || format!("`status` = {}: expected a status, or two such as {{200, 299}}", shown(value));
    let status = |value: &LuaValue| match value {
        LuaValue::Integer(status) => u32::try_from(*status).map_err(|_| expected()),
        _ => Err(expected()),
    };
    let range = match value {
        LuaValue::Table(table) => {
            let end =
                |index: i64| table.raw_get::<LuaValue>(index).map_err(|error| error.to_string());
            status(&end(1)?)?..=status(&end(2)?)?
        }
        one => status(one)?..=status(one)?,
    };
    if range.is_empty() { Err(expected()) } else { Ok(range) }
}

fn target(name: &str) -> Target {
    match name {
        "end" => Target::End,
        "fail" => Target::Fail,
        name => Target::Node(name.to_owned()),
    }
}

fn policy(value: &LuaValue, default: RetryPolicy) -> Result<RetryPolicy> {
    let LuaValue::Table(table) = value else {
        return Err(format!(
            "`retry`: expected a table such as {{ attempts = 5 }}, and not a {}",
            value.type_name()
        ));
    };
    let mut values = Attributes::new(&RETRY);
    for pair in table.pairs::<String, LuaValue>() {
        let (name, value) = pair.map_err(|error| format!("`retry`: {error}"))?;
        values.set(&name, &plain(&value)?).map_err(|error| error.to_string())?;
    }
    let attempts = values.integer("attempts").map(|attempts| {
        u32::try_from(attempts).map_err(|_| format!("`attempts` = {attempts}: expected 1 or more"))
    });
    Ok(RetryPolicy {
        attempts: attempts.transpose()?.unwrap_or(default.attempts),
        first: values.duration("first").unwrap_or(default.first),
        factor: values.number("factor").unwrap_or(default.factor),
        cap: values.duration("cap").unwrap_or(default.cap),
        jitter: values.number("jitter").unwrap_or(default.jitter),
    })
}

/// The component of a table: by its name, or the first that has none.
fn part(table: &Table) -> Result<LuaValue> {
    match get(table, "component")? {
        Some(component) => Ok(component),
        None => table.raw_get(1).map_err(|error| error.to_string()),
    }
}

fn known(table: &Table, what: &str, names: &[&'static str]) -> Result<()> {
    for pair in table.pairs::<LuaValue, LuaValue>() {
        let (key, _) = pair.map_err(|error| error.to_string())?;
        match key {
            LuaValue::Integer(1) => {}
            LuaValue::String(name) if names.contains(&&*name.to_string_lossy()) => {}
            LuaValue::String(name) => {
                return Err(unknown(what, &name.to_string_lossy(), names.iter().copied()));
            }
            other => return Err(format!("{what} has {}, which is no name", shown(&other))),
        }
    }
    Ok(())
}

fn unknown<'a>(what: &str, name: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(name, names.clone()) {
        Some(nearest) => format!("{what} has no `{name}`; did you mean `{nearest}`?"),
        None => format!("{what} has no `{name}`; it has {}", names.collect::<Vec<_>>().join(", ")),
    }
}

fn get(table: &Table, name: &str) -> Result<Option<LuaValue>> {
    let value: LuaValue = table.raw_get(name).map_err(|error| error.to_string())?;
    Ok(Some(value).filter(|value| !value.is_nil()))
}

fn text(table: &Table, name: &str) -> Result<Option<String>> {
    match get(table, name)? {
        None => Ok(None),
        Some(LuaValue::String(text)) => Ok(Some(text.to_string_lossy())),
        Some(other) => Err(format!("`{name}` is a {}: expected a text", other.type_name())),
    }
}

fn list(table: &Table, name: &str) -> Result<Option<Table>> {
    match get(table, name)? {
        None => Ok(None),
        Some(LuaValue::Table(list)) => Ok(Some(list)),
        Some(other) => Err(format!("`{name}` is a {}: expected a list", other.type_name())),
    }
}

/// The entries without names, in their order.
fn each(table: &Table, mut each: impl FnMut(&LuaValue) -> Result<()>) -> Result<()> {
    for index in 1..=table.raw_len() {
        each(&table.raw_get(index).map_err(|error| error.to_string())?)?;
    }
    Ok(())
}

/// The value of an option.
fn plain(value: &LuaValue) -> Result<Value> {
    Ok(match value {
        LuaValue::Boolean(is_true) => Value::Boolean(*is_true),
        LuaValue::Integer(number) => Value::Integer(*number),
        LuaValue::Number(number) => Value::Number(*number),
        LuaValue::String(text) => Value::Text(text.to_string_lossy()),
        LuaValue::Table(table) => {
            let mut values = Vec::new();
            each(table, |value| {
                values.push(plain(value)?);
                Ok(())
            })?;
            Value::List(values)
        }
        other => return Err(format!("a {} is no value for an option", other.type_name())),
    })
}

fn shown(value: &LuaValue) -> String {
    value.to_string().unwrap_or_else(|_| value.type_name().to_owned())
}
