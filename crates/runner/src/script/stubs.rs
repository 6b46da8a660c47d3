//! Types for the language server of Lua (LuaLS), made of what the components say of themselves.

use super::catalogue;
use stageline_component::{AttributeKind, Spec};
use std::fmt::Write;

const HEAD: &str = r#"---@meta stageline
-- Made by `stageline components --lua-types`; not to be run.

---A component, which stands in one place of a pipeline.
---@class stageline.Component

---A message, in a function that handles it.
---@class stageline.Message
---@field data string
---@field attempt integer
---@field held integer
---@field flush "age"|"drain"|nil
local message = {}

---@param name string
---@return string?
function message:get(name) end

---@param name string
---@param value string?
function message:set(name, value) end

---The message, which must be JSON of at most 127 levels of arrays and objects. Null is `stageline.NULL`, which is true in a condition. Whole numbers from -2^63 to
---2^63 - 1 are integers, and exact; larger ones become floats, as those with a fraction or an exponent are: of 64 bits,
---which keep 15 digits. `data` has all of them. A number that is too large for a float, as `1e400`, is an error.
---@return any
function message:json() end

---A table with elements is written as an array, another one as an object, its fields by name; one that was an empty array
---in `json()` is one again. A field that is nil is none: `stageline.NULL` is null. An error, and the message stays as it
---is, if there is a number that is not finite, a text that is no UTF-8, a function, a table with both elements and names, or
---more than 128 levels.
---@param value any
function message:set_json(value) end

function message:lead() end

---@param time string|number A number is in seconds.
---@return integer status
function message:hold(time) end

---@class stageline.Retry
---@field attempts integer?
---@field first string|number|nil
---@field factor number?
---@field cap string|number|nil
---@field jitter number?

---@class stageline.Route
---@field status integer|integer[]|nil The status of the report, or the first and the last of a range.
---@field when string? An expression in CEL over the message.
---@field has string? The name of an attribute that the message has.
---@field attribute string? The name of an attribute that has the value `equals`.
---@field equals string? See `attribute`.
---@field to string The name of a stage; or `end`, or `fail`.

---@class stageline.Stage
---@field [1] stageline.Component? The component.
---@field component stageline.Component? The component, by name.
---@field name string? What routes call it; that of the component unless set.
---@field routes stageline.Route[]? Where messages go on: the first route that holds.
---@field otherwise string? Where those go for which no route holds: to the next stage unless set.
---@field retry stageline.Retry? How messages are retried here.
---@field to string? For a source: the stage that its messages go to.

---@class stageline.Pipeline
---@field name string? What it is called.
---@field workers integer? Threads that run what computes: as many as there are CPUs, less one, unless set.
---@field cores integer[]? The CPUs that they are pinned to.
---@field order "completion"|"submission"|nil In which messages are settled with their source; as they are done unless set.
---@field window integer? The messages in flight of each source: a power of two, 4096 unless set.
---@field wait "park"|"yield"|"spin"|nil What threads do that have nothing to do: sleep, unless set.
---@field message_capacity string|integer|nil The bytes that a message has memory for at the start: 512 unless set.
---@field message_max string|integer|nil The bytes that a message may have: 16 MiB unless set.
---@field retry stageline.Retry? How messages are retried where the stage says nothing else.
---@field on_failure "continue"|"stop"|nil Whether a message that fails ends the run.
---@field dag boolean? No message may come to a stage twice.
---@field drain_at_most string|number|nil How long the end may take after a signal or a failure that ends the run.
---@field source stageline.Component? Where messages come from.
---@field sources (stageline.Component|stageline.Stage)[]? Where they come from, with `to` for where they go.
---@field stages (stageline.Component|stageline.Stage)[]? What handles them, in order.
---@field sinks (stageline.Component|stageline.Stage)[]? What takes them, behind the stages.
---@field dead_letter stageline.Component|stageline.Component[]|nil Gets what has failed, one component after the other, with the attributes `error.stage`, `error.status` and `error.text`.
---@field [integer] stageline.Component|stageline.Stage

---@class stageline
---@field DONE integer
---@field CONTINUE integer
---@field RETRY integer
---@field FAIL integer
---@field DROP integer
---@field NULL lightuserdata What null is in the JSON of a message.
local stageline = {}

---@param pipeline stageline.Pipeline
function stageline.pipeline(pipeline) end

---@param components stageline.Component[]
function stageline.createPipeline(components) end

---@param path string
---@param attributes table?
---@return stageline.Component
function stageline.plugin(path, attributes) end

---@param name string
---@param attributes table?
---@return stageline.Component
function stageline.component(name, attributes) end

---@param name_or_path string
---@param attributes table?
---@return stageline.Component
function stageline.loadComponent(name_or_path, attributes) end
"#;

/// The file of types.
pub fn lua_types() -> String {
    let mut text = HEAD.to_owned();
    for spec in catalogue() {
        component(&mut text, spec);
    }
    text.push_str("\nreturn stageline\n");
    text
}

fn component(text: &mut String, spec: &Spec) {
    let Spec { name, summary, attributes, .. } = spec;
    let _ = write!(text, "\n---@class stageline.attributes.{name}\n");
    for attribute in *attributes {
        let optional = if attribute.required { "" } else { "?" };
        let kind = kind_of(attribute.kind);
        let doc = attribute.doc.split('\n').collect::<Vec<_>>().join(" ");
        let _ = writeln!(text, "---@field {}{optional} {kind} {doc}", attribute.name);
    }
    let _ = write!(
        text,
        "\n---{summary}\n---@param attributes stageline.attributes.{name}?\n---@return stageline.Component\nfunction \
         stageline.{name}(attributes) end\n"
    );
}

fn kind_of(kind: AttributeKind) -> String {
    match kind {
        AttributeKind::Text => String::from("string|number"),
        AttributeKind::Integer => String::from("integer"),
        AttributeKind::Number => String::from("number"),
        AttributeKind::Boolean => String::from("boolean"),
        AttributeKind::Duration | AttributeKind::Size => String::from("string|number"),
        AttributeKind::List => String::from("any[]|string"),
        AttributeKind::Map => String::from("table<string, any>"),
        AttributeKind::Function => {
            String::from("fun(message: stageline.Message): integer?, string?")
        }
        AttributeKind::OneOf(choices) => {
            choices.iter().map(|choice| format!("{choice:?}")).collect::<Vec<_>>().join("|")
        }
    }
}
