//! The component `lua`: a function of the script that handles messages.
//!
//! A Lua is one thread's. So each thread that runs such a component runs the whole script again, in a Lua of its own
//! and without making components, and takes the same function out of it: its upvalues are there, each thread's own.

use super::Text;
use super::message::Lent;
use super::sandbox::{Sandbox, lock, problem_of};
use super::values::{shown, status_of, text_of};
use crate::limits::FUNCTION_TIME_MAX;
use mlua::{Function, Value as LuaValue};
use stageline_component::{
    AttributeError, AttributeKind, AttributeSpec, Attributes, Component, Error, Factory, Kind,
    Message, Report, Spec, Value,
};

/// Which function of which script.
#[derive(Clone, Debug)]
pub(super) struct FunctionPlace {
    pub script: Text,
    /// Its number among those that components are given.
    pub index: usize,
}

/// The status of a message whose function failed.
const FUNCTION_FAILED: u32 = 290;
/// The status of a message for which a function answers what is no report.
const NO_REPORT: u32 = 291;

pub(super) static SPEC: Spec = Spec {
    name: "lua",
    kind: Kind::Transform,
    summary: "A function of the script that handles messages",
    attributes: &[
        AttributeSpec {
            name: "handle",
            kind: AttributeKind::Function,
            default: None,
            required: true,
            doc: "Called with each message. It returns a status, or nothing for done, and a description.",
        },
        AttributeSpec {
            name: "threads",
            kind: AttributeKind::Integer,
            default: None,
            required: false,
            doc: "Run it on so many threads of its own: for a function that is slow, or 1 for one that counts.",
        },
    ],
    doc: r#"
The function gets the message:

| | |
|---|---|
| `message.data` | what it says, read and set |
| `message:get(name)`, `message:set(name, value)` | an attribute; nil is none |
| `message:json()`, `message:set_json(value)` | the data as a value of Lua, and back; null is `stageline.NULL`, and whole numbers beyond 64 bits become floats |
| `message.attempt` | which attempt this is, from 1 |
| `message.held` | how many messages the function holds; one that comes again is counted |
| `message:hold(time)` | to be returned: the message is held, and comes again when it is so old, in seconds or as `"250ms"`, or at the end |
| `message.flush` | why a message that was held comes again: `"age"` or `"drain"`; else nil |
| `message:lead()` | what is held shares what becomes of this message: what it is returned with, or that it fails. A message that is done leads without it |

It returns a status, `stageline.DONE`, `CONTINUE`, `RETRY`, `FAIL`, `DROP`, or a number of their ranges, or nothing for done, and a
description. A message whose function fails has 290, and one for which it answers something else 291. Each thread that runs
it has a Lua of its own, in which the whole script has run: what a function keeps in a variable is that thread's.

```lua
local s = require("stageline")
s.pipeline {
  s.stdin { codec = "ndjson" },
  s.lua { handle = function(message)
    local row = message:json()
    row.late = row.dep_delay > 30
    message:set_json(row)
  end },
  s.stdout {},
}
```
"#,
};

/// The factory of the component.
pub(super) struct Functions(Attributes);

impl Functions {
    pub fn new() -> Self {
        Self(Attributes::new(&SPEC))
    }
}

const THREADS_MAX: i64 = 64;

impl Factory for Functions {
    fn spec(&self) -> &Spec {
        &SPEC
    }

    fn set_attribute(&mut self, name: &str, value: &Value) -> Result<(), AttributeError> {
        self.0.set(name, value)
    }

    fn prepare(&mut self) -> Result<(), Error> {
        self.0.complete()?;
        self.0.integer_in("threads", 1..=THREADS_MAX)?;
        self.place().map(drop)
    }

    fn component(&self) -> Result<Box<dyn Component>, Error> {
        let place = self.place()?;
        Ok(Box::new(Handler::new(&place)?))
    }

    fn pool_size(&self) -> Option<usize> {
        self.0.integer("threads").map(|threads| threads as usize)
    }
}

impl Functions {
    fn place(&self) -> Result<FunctionPlace, Error> {
        let function =
            self.0.function("handle").and_then(|function| function.downcast::<FunctionPlace>());
        let place = function.ok_or_else(|| Error::new("`handle` is no function of this script"))?;
        Ok((*place).clone())
    }
}

/// One thread's function.
struct Handler {
    sandbox: Sandbox,
    function: Function,
    script: Text,
}

impl Handler {
    fn new(place: &FunctionPlace) -> Result<Self, Error> {
        let failed = |text: String| Error::new(format!("{}: {text}", place.script.path.display()));
        let sandbox = Sandbox::new(&place.script).map_err(|problem| failed(problem.to_string()))?;
        lock(&sandbox.draft).makes_none = true;
        let told = |error: &mlua::Error| failed(problem_of(&place.script, error).to_string());
        sandbox.execute().map_err(|error| told(&error))?;
        let function = lock(&sandbox.draft).functions.get(place.index).cloned();
        let function = function
            .ok_or_else(|| failed(String::from("a second run of the script says otherwise")))?;
        Ok(Self { sandbox, function, script: place.script.clone() })
    }

    fn call(&self, message: &mut Message) -> mlua::Result<(LuaValue, LuaValue)> {
        // One for each call: a function that keeps it has nothing of the next message.
        let lent = self.sandbox.lua.create_userdata(Lent::new(message))?;
        let result = self.sandbox.limited(FUNCTION_TIME_MAX, || self.function.call(&lent));
        lent.borrow::<Lent>()?.take_back();
        result
    }

    /// What the function says of the message, as a report.
    fn report(
        &self,
        message: &mut Message,
        status: &LuaValue,
        description: LuaValue,
    ) -> Result<Report, String> {
        if !description.is_nil() {
            let text = text_of(&self.sandbox.lua, description);
            let text = text.map_err(|wrong| format!("the description: {wrong}"))?;
            message.describe(&text.to_string_lossy());
        }
        match status {
            LuaValue::Nil => Ok(Report::DONE),
            status => status_of(status).map(Report::from_status).ok_or_else(|| {
                let found = shown(status);
                format!(
                    "expected a status, a whole number from 0 to {}, and found {found}",
                    u32::MAX
                )
            }),
        }
    }
}

impl Component for Handler {
    fn handle(&mut self, message: &mut Message) -> Report {
        match self.call(message) {
            Ok((status, description)) => {
                self.report(message, &status, description).unwrap_or_else(|wrong| {
                    message.describe(&wrong);
                    Report::fail(NO_REPORT)
                })
            }
            Err(error) => {
                message.describe(&problem_of(&self.script, &error).to_string());
                Report::fail(FUNCTION_FAILED)
            }
        }
    }
}
