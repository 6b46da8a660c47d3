//! The module `stageline`, as scripts see it: components, and pipelines of them.

use super::Text;
use super::function;
use super::sandbox::lock;
use super::values::shown;
use crate::plan::{Component, Plan, Problem};
use component::{Given, Origin};
use mlua::{
    Function, Lua, MetaMethod, Table, UserData, UserDataFields, UserDataMethods, Value as LuaValue,
};
use stageline_builtin::builtins;
use stageline_component::{Kind, Spec, nearest};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

mod component;
mod paths;
mod pipeline;
mod table;

/// What a script has said so far.
#[derive(Default)]
pub(super) struct Draft {
    pub plan: Option<Plan>,
    pub problems: Vec<Problem>,
    /// The functions that components are given.
    pub functions: Vec<Function>,
    /// Nothing is made: the script runs for its functions.
    pub makes_none: bool,
    /// The components, in the order in which they were made.
    slots: Vec<Slot>,
    /// The files of those that are made.
    files: Vec<paths::Use>,
    /// How many pipelines were created.
    pipelines: usize,
    /// Nothing of the script's pipeline is missing in the plan.
    is_whole: bool,
}

/// A component that a script has made.
struct Slot {
    line: Option<usize>,
    /// As the script names it.
    name: String,
    state: State,
}

/// What there is of a component.
enum State {
    /// It stands in no pipeline yet.
    Ready(Component),
    /// Its attributes were wrong, which has been told: it is good for the checks that follow, and for nothing else.
    Wrong(Component),
    /// It is not known what it is, which has been told.
    Unknown,
    /// It stands at this place.
    Used(String),
}

/// A component, as scripts hold it.
#[derive(Clone, Copy)]
struct Handle(usize);

impl UserData for Handle {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        // What Lua calls it in errors.
        fields.add_meta_field(MetaMethod::Type, "component");
    }

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

/// What a component says of itself: one that scripts may name, or a plugin, which is loaded, by its path from the
/// working directory.
///
/// # Errors
///
/// There is none, which may be misspelt, or it cannot be loaded.
pub fn spec_of(name_or_path: &str) -> Result<&'static Spec, String> {
    // Of a script it takes the folder, and there is none.
    let text = Text { path: PathBuf::new(), text: Arc::from("") };
    Origin::of(&text, Maker::Either, name_or_path).map(|origin| origin.spec())
}

const STATUSES: [(&str, u32); 5] =
    [("DONE", 0), ("CONTINUE", 1), ("RETRY", 100), ("FAIL", 200), ("DROP", 300)];
const MAKERS: [(&str, Maker); 3] =
    [("component", Maker::ByName), ("plugin", Maker::Plugin), ("loadComponent", Maker::Either)];
const CREATORS: [&str; 2] = ["pipeline", "createPipeline"];

/// What is told of `stageline:stdin {}`.
const COLON: &str = "`:` hands the module over: call it with `.`, as in `stageline.stdin { ... }`";

/// Whether it is the table that [`table`] gives.
fn is_module(table: &Table) -> bool {
    matches!(table.raw_get(CREATORS[0]), Ok(LuaValue::Function(_)))
}

/// Whether there is such a component; if not, what may have been meant.
fn known(name: &str) -> Result<(), String> {
    let Err(error) = Origin::by_name(name) else { return Ok(()) };
    let statuses = STATUSES.iter().map(|(name, _)| *name);
    let functions = MAKERS.iter().map(|(name, _)| *name).chain(CREATORS);
    match nearest(name, statuses.chain(functions)) {
        Some(nearest) => Err(format!("`stageline` has no `{name}`; did you mean `{nearest}`?")),
        None => Err(error),
    }
}

/// The table that `require("stageline")` gives.
pub(super) fn table(lua: &Lua, text: &Text, draft: &Arc<Mutex<Draft>>) -> mlua::Result<Table> {
    let module = lua.create_table()?;
    for (name, status) in STATUSES {
        module.set(name, status)?;
    }
    // (`null` is a component.)
    module.set("NULL", LuaValue::NULL)?;
    for (function, maker) in MAKERS {
        let (text, draft) = (text.clone(), Arc::clone(draft));
        let make =
            lua.create_function(move |lua, (name, attributes): (LuaValue, Option<LuaValue>)| {
                let name = match &name {
                    LuaValue::String(name) => name.to_string_lossy(),
                    other => {
                        let found = shown(other);
                        let text = format!(
                            "`{function}` needs a name: expected a text, and found {found}"
                        );
                        return Err(mlua::Error::runtime(text));
                    }
                };
                make(lua, &text, &draft, maker, &name, attributes)
            })?;
        module.set(function, make)?;
    }
    for name in CREATORS {
        let (text, draft) = (text.clone(), Arc::clone(draft));
        let create = lua.create_function(move |lua, table: LuaValue| {
            let caller = Caller::of(lua, &text);
            pipeline::create(&mut lock(&draft), &text, &caller, &table);
            Ok(())
        })?;
        module.set(name, create)?;
    }
    // `stageline.json { ... }`: any other name is a component's.
    let (text, draft) = (text.clone(), Arc::clone(draft));
    let by_name = lua.create_function(move |lua, (_, name): (Table, String)| {
        let known = known(&name);
        let (place, mut draft_now) = (Caller::of(lua, &text), lock(&draft));
        if let Err(error) = &known {
            // A function of the script that runs has nobody who looks at the draft.
            if draft_now.makes_none {
                return Err(mlua::Error::runtime(error));
            }
            draft_now.problems.push(place.problem(error));
        }
        drop(draft_now);
        let (text, draft) = (text.clone(), Arc::clone(&draft));
        lua.create_function(move |lua, attributes: Option<LuaValue>| match known {
            Ok(()) => make(lua, &text, &draft, Maker::ByName, &name, attributes),
            Err(_) => Ok(lock(&draft).add(None, &name, State::Unknown)),
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
    let caller = Caller::of(lua, text);
    let mut draft = lock(draft);
    let draft = &mut *draft;
    let mut wrong = Vec::new();
    let given = Given::of(name, attributes, text, &mut draft.functions, &mut wrong);
    let state = match draft.makes_none {
        true => State::Unknown,
        false => match Origin::of(text, maker, name) {
            Ok(origin) => origin.make(&given, caller.line, &mut wrong),
            Err(error) => {
                wrong.push(error);
                State::Unknown
            }
        },
    };
    draft.problems.extend(wrong.iter().map(|text| caller.problem(text)));
    if let State::Ready(component) = &state {
        let astray = paths::astray(component.name(), &given.values);
        let warning = |text: &String| Problem { is_warning: true, ..caller.problem(text) };
        draft.problems.extend(astray.iter().map(warning));
        let clashes =
            paths::clashes(&mut draft.files, component.name(), &given.values, caller.line);
        draft.problems.extend(
            clashes
                .iter()
                .map(|clash| Problem { is_warning: !clash.is_loss, ..caller.problem(&clash.text) }),
        );
    }
    Ok(draft.add(caller.line, name, state))
}

impl Draft {
    /// The plan, and all that is wrong with it and with what it is made of.
    pub fn finish(&mut self) -> (Option<Plan>, Vec<Problem>) {
        let (plan, mut problems) = (self.plan.take(), std::mem::take(&mut self.problems));
        let is_right = |problems: &[Problem]| problems.iter().all(|problem| problem.is_warning);
        match &plan {
            Some(plan) if is_right(&problems) => {
                problems.extend(plan.check());
                if is_right(&problems) {
                    problems.extend(self.unused());
                }
            }
            Some(plan) => problems.extend(plan.check_parts(self.is_whole)),
            None if is_right(&problems) => {
                let text = "the script creates no pipeline: call `stageline.pipeline { ... }`";
                problems.push(Problem::error(None, text));
            }
            None => {}
        }
        (plan, problems)
    }

    /// Components that stand nowhere: a variable that is misspelt is nil, and ends a list without a word.
    fn unused(&self) -> impl Iterator<Item = Problem> {
        self.slots.iter().filter(|slot| matches!(slot.state, State::Ready(_))).map(|slot| {
            let text = format!("`{}` stands in no pipeline: put it in, or take it out", slot.name);
            Problem::warning(slot.line, text)
        })
    }

    fn add(&mut self, line: Option<usize>, name: &str, state: State) -> Handle {
        self.slots.push(Slot { line, name: name.to_owned(), state });
        Handle(self.slots.len() - 1)
    }
}

/// Where a function of this module is called.
struct Caller {
    /// The line of the script, which may have called another that called the function.
    line: Option<usize>,
    /// The place in a module of the script's, if that called it.
    module: Option<String>,
}

impl Caller {
    fn of(lua: &Lua, text: &Text) -> Self {
        let script = text.chunk();
        // The function itself is at level 0.
        let place = |level: usize| {
            lua.inspect_stack(level, |caller| {
                let source = caller.source().source.map(|source| source.into_owned());
                (source, caller.current_line())
            })
        };
        let mut module = None;
        for (level, (source, line)) in (1..).map_while(|level| Some((level, place(level)?))) {
            let Some(source) = source else { continue };
            if source == script {
                return Self { line, module };
            }
            if let (1, Some(path), Some(line)) = (level, source.strip_prefix('@'), line) {
                module = Some(format!("{path}:{line}"));
            }
        }
        Self { line: None, module }
    }

    fn problem(&self, text: &str) -> Problem {
        match &self.module {
            None => Problem::error(self.line, text),
            Some(module) => Problem::error(self.line, format!("{module}: {text}")),
        }
    }
}
