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

---@return table
function message:json() end

---@param value table
function message:set_json(value) end

function message:lead() end

---@param seconds number
---@return integer status
function message:hold(seconds) end

---@class stageline.Retry
---@field attempts integer?
---@field first string|number|nil
---@field factor number?
---@field cap string|number|nil
---@field jitter number?

---@class stageline.Route
---@field status integer|integer[]|nil
---@field when string?
---@field has string?
---@field attribute string?
---@field equals string?
---@field to string

---@class stageline.Stage
---@field [1] stageline.Component?
---@field component stageline.Component?
---@field name string?
---@field routes stageline.Route[]?
---@field otherwise string?
---@field retry stageline.Retry?

---@class stageline.Pipeline
---@field name string?
---@field workers integer?
---@field cores integer[]?
---@field order "completion"|"submission"|nil
---@field window integer?
---@field wait "park"|"yield"|"spin"|nil
---@field message_capacity string|integer|nil
---@field message_max string|integer|nil
---@field retry stageline.Retry?
---@field on_failure "continue"|"stop"|nil
---@field dag boolean?
---@field drain_at_most string|number|nil
---@field source stageline.Component?
---@field sources (stageline.Component|stageline.Stage)[]?
---@field stages (stageline.Component|stageline.Stage)[]?
---@field sinks (stageline.Component|stageline.Stage)[]?
---@field dead_letter stageline.Component?
---@field [integer] stageline.Component|stageline.Stage

---@class stageline
---@field DONE integer
---@field CONTINUE integer
---@field RETRY integer
---@field FAIL integer
---@field DROP integer
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
