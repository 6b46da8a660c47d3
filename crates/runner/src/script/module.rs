//! The module `stageline`, as scripts see it: components, and pipelines of them.

use super::Text;
use super::function;
use super::sandbox::lock;
use super::values::value_of;
use crate::plan::{Component, Plan, Problem};
use mlua::{Function, Lua, MetaMethod, Table, UserData, UserDataMethods, Value as LuaValue};
use stageline_builtin::{builtin, builtins};
use stageline_component::{Factory, Kind, Spec, Value, loader::Plugin, nearest};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

mod pipeline;

/// What a script has said so far.
#[derive(Default)]
pub(super) struct Draft {
    pub plan: Option<Plan>,
    pub problems: Vec<Problem>,
    /// The functions that components are given.
    pub functions: Vec<Function>,
    /// Nothing is made: the script runs for its functions.
    pub makes_none: bool,
    /// Those that stand in no pipeline yet; `None` where something was wrong, which has been told.
    components: Vec<Option<Component>>,
    /// How many pipelines were created.
    pipelines: usize,
}

/// A component, as scripts hold it.
#[derive(Clone, Copy)]
struct Handle(usize);

impl UserData for Handle {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| {
            Ok(format!("component #{}", this.0 + 1))
        });
    }
}

/// The components that scripts may name, and their attributes.
pub fn catalogue() -> Vec<&'static Spec> {
    let mut specs: Vec<_> = builtins().map(|builtin| builtin.spec).collect();
    let at = specs.iter().position(|spec| spec.kind == Kind::Sink).unwrap_or(specs.len());
    specs.insert(at, &function::SPEC);
    specs
}

fn factory(name: &str) -> Result<Box<dyn Factory>, String> {
    if name == function::SPEC.name {
        return Ok(Box::new(function::Functions::new()));
    }
    builtin(name).map(|builtin| (builtin.factory)()).ok_or_else(|| {
        let names: Vec<_> = catalogue().iter().map(|spec| spec.name).collect();
        match nearest(name, names.iter().copied()) {
            Some(nearest) => format!("there is no component `{name}`; did you mean `{nearest}`?"),
            None => format!(
                "there is no component `{name}`; `stageline components` lists those that there are"
            ),
        }
    })
}

/// The table that `require("stageline")` gives.
pub(super) fn table(lua: &Lua, text: &Text, draft: &Arc<Mutex<Draft>>) -> mlua::Result<Table> {
    let module = lua.create_table()?;
    for (name, status) in
        [("DONE", 0), ("CONTINUE", 1), ("RETRY", 100), ("FAIL", 200), ("DROP", 300)]
    {
        module.set(name, status)?;
    }
    let makers =
        [("component", Maker::ByName), ("plugin", Maker::Plugin), ("loadComponent", Maker::Either)];
    for (name, maker) in makers {
        let (text, draft) = (text.clone(), Arc::clone(draft));
        let make =
            lua.create_function(move |lua, (name, attributes): (String, Option<LuaValue>)| {
                make(lua, &text, &draft, maker, &name, attributes)
            })?;
        module.set(name, make)?;
    }
    for name in ["pipeline", "createPipeline"] {
        let (text, draft) = (text.clone(), Arc::clone(draft));
        let create = lua.create_function(move |lua, table: LuaValue| {
            let line = line_of_caller(lua, &text);
            pipeline::create(&mut lock(&draft), line, &table)
        })?;
        module.set(name, create)?;
    }
    // `stageline.json { ... }`: any other name is a component's.
    let (text, draft) = (text.clone(), Arc::clone(draft));
    let by_name = lua.create_function(move |lua, (_, name): (Table, String)| {
        if let Err(error) = factory(&name) {
            return Err(mlua::Error::runtime(error));
        }
        let (text, draft) = (text.clone(), Arc::clone(&draft));
        lua.create_function(move |lua, attributes: Option<LuaValue>| {
            make(lua, &text, &draft, Maker::ByName, &name, attributes)
        })
    })?;
    let meta = lua.create_table()?;
    meta.set("__index", by_name)?;
    meta.set("__metatable", false)?;
    module.set_metatable(Some(meta))?;
    Ok(module)
}

/// What a name stands for.
#[derive(Clone, Copy, PartialEq)]
enum Maker {
    /// A component that is compiled in.
    ByName,
    /// A shared object.
    Plugin,
    /// A shared object if it looks like a path, else one that is compiled in.
    Either,
}

/// Makes a component. What is wrong with it is written down, so that all of it is told at once.
fn make(
    lua: &Lua,
    text: &Text,
    draft: &Mutex<Draft>,
    maker: Maker,
    name: &str,
    attributes: Option<LuaValue>,
) -> mlua::Result<Handle> {
    let line = line_of_caller(lua, text);
    let mut draft = lock(draft);
    let draft = &mut *draft;
    let mut wrong = Vec::new();
    let attributes = match attributes {
        None => Vec::new(),
        Some(LuaValue::Table(table)) => {
            attributes_of(&table, text, &mut draft.functions, &mut wrong)
        }
        Some(other) => {
            wrong.push(format!(
                "the attributes of `{name}` are a {}: expected a table",
                other.type_name()
            ));
            Vec::new()
        }
    };
    let component = match draft.makes_none {
        true => None,
        false => component(text, maker, name, attributes, line, &mut wrong),
    };
    draft.problems.extend(wrong.into_iter().map(|text| Problem::error(line, text)));
    draft.components.push(component);
    Ok(Handle(draft.components.len() - 1))
}

fn attributes_of(
    table: &Table,
    text: &Text,
    functions: &mut Vec<Function>,
    wrong: &mut Vec<String>,
) -> Vec<(String, Value)> {
    let mut attributes = Vec::new();
    let mut pairs: Vec<_> = Vec::new();
    for pair in table.pairs::<LuaValue, LuaValue>() {
        match pair {
            Ok((LuaValue::String(name), value)) => pairs.push((name.to_string_lossy(), value)),
            Ok((key, _)) => wrong.push(format!("a {} is no name of an attribute", key.type_name())),
            Err(error) => wrong.push(error.to_string()),
        }
    }
    // The order of a table's names is none; that of functions must be the same in each run of the script.
    pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (name, value) in pairs {
        match value_of(&value, text, functions, 0) {
            Ok(value) => attributes.push((name, value)),
            Err(error) => wrong.push(format!("`{name}`: {error}")),
        }
    }
    attributes
}

fn component(
    text: &Text,
    maker: Maker,
    name: &str,
    attributes: Vec<(String, Value)>,
    line: Option<usize>,
    wrong: &mut Vec<String>,
) -> Option<Component> {
    let is_path = name.contains('/') || name.ends_with(".so");
    let made = match maker {
        Maker::ByName => factory(name),
        Maker::Either if !is_path => factory(name),
        Maker::Plugin | Maker::Either => plugin(text, name),
    };
    let mut factory = match made {
        Ok(factory) => factory,
        Err(error) => {
            wrong.push(error);
            return None;
        }
    };
    let before = wrong.len();
    for (name, value) in &attributes {
        if let Err(error) = factory.set_attribute(name, value) {
            wrong.push(error.to_string());
        }
    }
    if wrong.len() > before {
        return None;
    }
    match factory.prepare() {
        Ok(()) => Some(Component { factory, line }),
        Err(error) => {
            wrong.push(error.to_string());
            None
        }
    }
}

/// A plugin; a path that is relative is so to the working directory, and else to the script.
fn plugin(text: &Text, name: &str) -> Result<Box<dyn Factory>, String> {
    let path = Path::new(name);
    let beside = text.path.parent().map_or_else(PathBuf::new, |folder| folder.join(path));
    let path = if path.exists() || !beside.exists() { path } else { &beside };
    let plugin = Plugin::load(path).map_err(|error| error.to_string())?;
    Ok(plugin.factory())
}

/// The line of the script that called the function that runs.
fn line_of_caller(lua: &Lua, text: &Text) -> Option<usize> {
    let name = format!("@{}", text.path.display());
    lua.inspect_stack(1, |caller| {
        let is_script = caller.source().source.is_some_and(|source| source == name);
        if is_script { caller.current_line() } else { None }
    })
    .flatten()
}
