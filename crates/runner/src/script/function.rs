//! The component `lua`: a function of the script that handles messages.
//!
//! A Lua is one thread's. So each thread that runs such a component runs the whole script again, in a Lua of its own
//! and without making components, and takes the same function out of it: its upvalues are there, each thread's own.

use super::Text;
use super::json;
use super::sandbox::{Sandbox, lock, problem_of};
use crate::limits::FUNCTION_TIME_MAX;
use mlua::{Function, UserData, UserDataFields, UserDataMethods, Value as LuaValue};
use stageline_component::{
    AttributeError, AttributeKind, AttributeSpec, Attributes, Component, Error, Factory, Flush,
    Kind, Message, Report, Spec, Value,
};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

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
| `message:hold(seconds)` | to be returned: the message is held, and comes again when it is so old, or at the end |
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

    fn call(&self, message: &mut Message) -> mlua::Result<(LuaValue, Option<mlua::LuaString>)> {
        // One for each call: a function that keeps it has nothing of the next message.
        let lent = self.sandbox.lua.create_userdata(Lent(AtomicPtr::new(message)))?;
        let result = self.sandbox.limited(FUNCTION_TIME_MAX, || self.function.call(&lent));
        lent.borrow::<Lent>()?.0.store(ptr::null_mut(), Ordering::Relaxed);
        result
    }
}

impl Component for Handler {
    fn handle(&mut self, message: &mut Message) -> Report {
        match self.call(message) {
            Ok((status, description)) => {
                if let Some(text) = description {
                    message.describe(&text.to_string_lossy());
                }
                match status {
                    LuaValue::Nil => Report::DONE,
                    LuaValue::Integer(status) if u32::try_from(status).is_ok() => {
                        Report::from_status(status as u32)
                    }
                    other => {
                        message.describe(&format!(
                            "the function answered a {}: no status",
                            other.type_name()
                        ));
                        Report::fail(NO_REPORT)
                    }
                }
            }
            Err(error) => {
                message.describe(&problem_of(&self.script, &error).to_string());
                Report::fail(FUNCTION_FAILED)
            }
        }
    }
}

/// The message that a function handles; null after the call. One thread's: it is atomic because Lua's values must
/// be such as any thread may have.
struct Lent(AtomicPtr<Message>);

impl Lent {
    fn with<R>(&self, f: impl FnOnce(&mut Message) -> R) -> mlua::Result<R> {
        // SAFETY: set by `call` for as long as the function runs, which has it alone; `f` calls no Lua.
        let message = unsafe { self.0.load(Ordering::Relaxed).as_mut() };
        message.map(f).ok_or_else(|| {
            mlua::Error::runtime("a message must not be used after it was reported on")
        })
    }
}

impl UserData for Lent {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("data", |lua, this| {
            lua.create_string(this.with(|it| it.data().to_vec())?)
        });
        fields.add_field_method_set("data", |_, this, data: mlua::LuaString| {
            this.with(|it| it.set_data(&data.as_bytes()))?.map_err(mlua::Error::external)
        });
        fields.add_field_method_get("attempt", |_, this| this.with(|it| it.attempt()));
        fields.add_field_method_get("held", |_, this| this.with(|it| it.held()));
        fields.add_field_method_get("flush", |_, this| {
            this.with(|it| {
                it.flush().map(|flush| match flush {
                    Flush::Age => "age",
                    Flush::Drain => "drain",
                })
            })
        });
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("get", |lua, this, name: String| {
            let value = this.with(|it| it.attribute(&name).map(<[u8]>::to_vec))?;
            value.map(|value| lua.create_string(value)).transpose()
        });
        methods.add_method("set", |_, this, (name, value): (String, Option<mlua::LuaString>)| {
            this.with(|it| match value {
                Some(value) => it.set_attribute(&name, &value.as_bytes()),
                None => {
                    it.remove_attribute(&name);
                    Ok(())
                }
            })?
            .map_err(mlua::Error::external)
        });
        methods.add_method("json", |lua, this, ()| {
            let value = this.with(|it| json::parse(it.data()))??;
            json::to_lua(lua, &value)
        });
        methods.add_method("set_json", |lua, this, value: LuaValue| {
            let data = json::write(lua, &value)?;
            this.with(|it| it.set_data(&data))?.map_err(mlua::Error::external)
        });
        methods.add_method("lead", |_, this, ()| {
            this.with(|it| {
                it.lead();
            })
        });
        methods.add_method("hold", |_, this, seconds: f64| {
            let at_most = Duration::try_from_secs_f64(seconds).map_err(mlua::Error::external)?;
            this.with(|it| it.hold_for(at_most).status())
        });
    }
}
