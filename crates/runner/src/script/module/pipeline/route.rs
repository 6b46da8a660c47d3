//! The ways from a stage.

use super::super::super::values::{shown, status_of};
use super::super::table::{Wrong, entries, get, known, text};
use crate::plan::{Route, Target, When};
use mlua::{Table, Value as LuaValue};
use stageline_builtin::Condition;
use std::ops::RangeInclusive;

/// The statuses that no message goes on with.
const WITHOUT_ROUTES: RangeInclusive<u32> = 1..=99;

const PARTS: [&str; 6] = ["status", "when", "has", "attribute", "equals", "to"];

/// A route, if it is one.
pub(super) fn route(entry: &LuaValue, wrong: &mut Wrong) -> Option<Route> {
    let LuaValue::Table(table) = entry else {
        let text = format!(
            "expected a table such as {{ when = \"...\", to = \"...\" }}, and found {}",
            shown(entry)
        );
        wrong.add("", text);
        return None;
    };
    let before = wrong.found.len();
    known(table, "a route", &PARTS, wrong);
    for (_, value) in entries(table, wrong, |index| format!("[{index}]")) {
        wrong.add("", format!("a route has names alone, and not {}", shown(&value)));
    }
    let to = text(table, "to", wrong);
    if get(table, "to").is_none() {
        wrong.add("", "a route needs `to`, the name of a stage, `end` or `fail`");
    }
    let when = condition(table, wrong);
    // What is wrong with the names may be what is missing.
    let (to, when) = (to?, when?);
    (wrong.found.len() == before).then(|| Route { when, to: target(&to) })
}

/// The one condition of a route.
fn condition(table: &Table, wrong: &mut Wrong) -> Option<When> {
    let conditions = ["status", "when", "has", "attribute"];
    let set: Vec<_> = conditions.into_iter().filter(|name| get(table, name).is_some()).collect();
    match set.len() {
        0 if get(table, "equals").is_some() => {
            wrong.add("", "a route with `equals` needs `attribute`");
        }
        0 => wrong
            .add("", "a route needs one of `status`, `when`, `has`, or `attribute` with `equals`"),
        1 if set[0] != "attribute" && get(table, "equals").is_some() => {
            let text =
                format!("`equals` is for `attribute`, and not for `{}`: take it out", set[0]);
            wrong.add("", text);
        }
        1 => {}
        _ => {
            let names = set.join("` and `");
            wrong.add("", format!("a route has one condition, and not `{names}`: write two"));
        }
    }
    let mut found = None;
    for name in set {
        found = match name {
            "status" => status(table, wrong),
            "when" => expression(table, wrong),
            "has" => text(table, "has", wrong).map(|name| When::Attribute(name, None)),
            _ => attribute(table, wrong),
        };
    }
    found
}

fn expression(table: &Table, wrong: &mut Wrong) -> Option<When> {
    let expression = text(table, "when", wrong)?;
    match Condition::new(&expression) {
        Ok(condition) => Some(When::Expression(condition)),
        Err(error) => {
            wrong.add("when", &error);
            None
        }
    }
}

fn attribute(table: &Table, wrong: &mut Wrong) -> Option<When> {
    if get(table, "equals").is_none() {
        wrong.add("", "a route with `attribute` needs `equals`; `has` asks whether it is there");
    }
    let (name, value) = (text(table, "attribute", wrong), text(table, "equals", wrong));
    Some(When::Attribute(name?, Some(value?.into_bytes())))
}

fn status(table: &Table, wrong: &mut Wrong) -> Option<When> {
    let value = get(table, "status")?;
    let range = match &value {
        LuaValue::Table(ends) => match (ends.raw_len(), end(ends, 1), end(ends, 2)) {
            (2, Some(first), Some(last)) => Some(first..=last),
            _ => None,
        },
        one => status_of(one).map(|status| status..=status),
    };
    let range = range.filter(|range: &RangeInclusive<u32>| !range.is_empty());
    if range.is_none() {
        let found = match &value {
            LuaValue::Table(ends) => {
                let ends = entries(ends, &mut Wrong::default(), |_| String::new());
                let ends: Vec<_> = ends.iter().map(|(_, value)| shown(value)).collect();
                format!("{{{}}}", ends.join(", "))
            }
            other => shown(other),
        };
        let text = format!(
            "expected a status, or the first and the last of a range such as {{200, 299}}, and found {found}"
        );
        wrong.add("status", text);
    }
    let never = range.as_ref().is_some_and(|range| {
        WITHOUT_ROUTES.contains(range.start()) && WITHOUT_ROUTES.contains(range.end())
    });
    if never {
        let text = "no route holds for a status from 1 to 99: 1 is of a message that is held, and one with a reserved \
                    status, from 2 to 99, fails with 299";
        wrong.add("status", text);
    }
    range.map(When::Status)
}

fn end(ends: &Table, index: i64) -> Option<u32> {
    status_of(&ends.raw_get(index).ok()?)
}

pub(super) fn target(name: &str) -> Target {
    match name {
        "end" => Target::End,
        "fail" => Target::Fail,
        name => Target::Node(name.to_owned()),
    }
}
