//! How a pipeline is run, and how its messages are retried.

use super::super::super::Text;
use super::super::super::values::{shown, value_of};
use super::super::table::{Wrong, entries, get, names, no_other_keys};
use crate::plan::{OnFailure, Options, RetryPolicy};
use mlua::{Table, Value as LuaValue};
use stageline::{Order, WaitStrategy};
use stageline_component::{AttributeKind, AttributeSpec, Attributes, Kind, Spec, Value};

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

/// The names of the options, and these others that the table of a pipeline may have.
pub(super) fn names_with(parts: &[&'static str]) -> Vec<&'static str> {
    OPTIONS.attributes.iter().map(|option| option.name).chain(parts.iter().copied()).collect()
}

/// The options of a pipeline. Those that are wrong are as if they were not set.
pub(super) fn options(table: &Table, script: &Text, wrong: &mut Wrong) -> Options {
    let mut values = Attributes::new(&OPTIONS);
    for name in names(table).iter().filter(|name| OPTIONS.attribute(name).is_some()) {
        set(&mut values, table, name, script, wrong);
    }
    let mut options = taken(&values, wrong);
    if get(table, "message_max").is_some() && !values.is_set("message_max") {
        // What it is compared with is not known.
        options.message_capacity = options.message_capacity.min(options.message_max);
    }
    if let Some(retry) = get(table, "retry") {
        options.retry = wrong.within("retry", |wrong| policy(&retry, options.retry, script, wrong));
    }
    options
}

fn set(values: &mut Attributes, table: &Table, name: &str, script: &Text, wrong: &mut Wrong) {
    let Some(value) = get(table, name) else { return };
    // No option is a function: none is called elsewhere.
    match value_of(&value, script, &mut Vec::new(), 0) {
        Err(error) => wrong.add("", format!("`{name}`: {error}")),
        Ok(value) => {
            if let Err(error) = values.set(name, &value) {
                wrong.add("", error.to_string());
            }
        }
    }
}

fn taken(values: &Attributes, wrong: &mut Wrong) -> Options {
    let mut options = Options::default();
    let mut whole = |name: &str| {
        let value = values.integer(name)?;
        let number = usize::try_from(value).ok();
        if number.is_none() {
            wrong.add("", format!("`{name}` = {value}: expected 1 or more"));
        }
        number
    };
    options.workers = whole("workers");
    options.window = whole("window").unwrap_or(options.window);
    if let Some(name) = values.text("name") {
        options.name = name.to_owned();
    }
    let core = |value: &Value| match value {
        Value::Integer(core) => usize::try_from(*core).map_err(|_| value.to_string()),
        other => Err(other.to_string()),
    };
    match values.list("cores").unwrap_or_default().iter().map(core).collect() {
        Ok(cores) => options.cores = cores,
        Err(value) => {
            wrong.add("", format!("`cores`: {value} is no CPU: expected a number from 0 on"));
        }
    }
    // A core is for one worker: who names them says how many there are.
    let count = Some(options.cores.len()).filter(|count| *count > 0);
    options.workers = options.workers.or(count);
    options.order = match values.text("order") {
        Some("submission") => Order::Submission,
        _ => Order::Completion,
    };
    options.wait = match values.text("wait") {
        Some("spin") => WaitStrategy::BusySpin,
        Some("yield") => WaitStrategy::SpinThenYield,
        _ => WaitStrategy::YieldThenPark,
    };
    let size = |name: &str, default: usize| values.size(name).map_or(default, |size| size as usize);
    let Options { message_capacity, message_max, .. } = options;
    options.message_max = size("message_max", message_max);
    options.message_capacity = size("message_capacity", message_capacity.min(options.message_max));
    if values.text("on_failure") == Some("stop") {
        options.on_failure = OnFailure::Stop;
    }
    options.dag = values.boolean("dag").unwrap_or(false);
    options.drain_at_most = values.duration("drain_at_most");
    options
}

/// What a table says of retries; the rest is as in the default.
pub(super) fn policy(
    value: &LuaValue,
    default: RetryPolicy,
    script: &Text,
    wrong: &mut Wrong,
) -> RetryPolicy {
    let LuaValue::Table(table) = value else {
        let text =
            format!("expected a table such as {{ attempts = 5 }}, and found {}", shown(value));
        wrong.add("", text);
        return default;
    };
    let mut values = Attributes::new(&RETRY);
    for name in names(table) {
        set(&mut values, table, &name, script, wrong);
    }
    for (_, value) in entries(table, wrong, |index| format!("[{index}]")) {
        wrong.add("", format!("it has names alone, such as `attempts`, and not {}", shown(&value)));
    }
    no_other_keys(table, "it", wrong);
    let attempts = values.integer("attempts").map(|attempts| {
        u32::try_from(attempts).unwrap_or_else(|_| {
            wrong.add("", format!("`attempts` = {attempts}: expected 1 or more"));
            default.attempts
        })
    });
    RetryPolicy {
        attempts: attempts.unwrap_or(default.attempts),
        first: values.duration("first").unwrap_or(default.first),
        factor: values.number("factor").unwrap_or(default.factor),
        cap: values.duration("cap").unwrap_or(default.cap),
        jitter: values.number("jitter").unwrap_or(default.jitter),
    }
}
