//! The Lua that a script runs in: without files, processes and bytecode, and with limits on memory and time.

use super::module::{self, Draft};
use super::{Text, code, read, utf8};
use crate::limits::{SCRIPT_INSTRUCTIONS_PER_LOOK, SCRIPT_MEMORY_MAX, SCRIPT_TIME_MAX};
use crate::plan::{Plan, Problem};
use mlua::chunk::ChunkMode;
use mlua::{Error, HookTriggers, Lua, LuaOptions, StdLib, Table, Value, VmState};
use std::io::ErrorKind;
use std::path::{Component as Part, Path};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// What ends a script that takes too long: when that is, and how long it may take.
pub(super) type Deadline = Arc<Mutex<Option<(Instant, Duration)>>>;

/// A script's Lua.
pub(super) struct Sandbox {
    pub lua: Lua,
    text: Text,
    pub draft: Arc<Mutex<Draft>>,
    deadline: Deadline,
}

impl Sandbox {
    pub fn new(text: &Text) -> Result<Self, Problem> {
        let new = || -> mlua::Result<Self> {
            // Without coroutines: what ends a script that takes too long does not reach them.
            let libraries =
                StdLib::TABLE | StdLib::STRING | StdLib::UTF8 | StdLib::MATH | StdLib::OS;
            let lua = Lua::new_with(libraries, LuaOptions::default())?;
            lua.set_memory_limit(SCRIPT_MEMORY_MAX)?;
            let deadline = Deadline::default();
            watch(&lua, &deadline)?;
            let draft = Arc::<Mutex<Draft>>::default();
            let sandbox = Self { lua, text: text.clone(), draft, deadline };
            sandbox.close_doors()?;
            Ok(sandbox)
        };
        new().map_err(|error| problem_of(text, &error))
    }

    /// Runs the script: the pipeline that it creates, if it creates one, and all that is wrong.
    pub fn run(&self) -> (Option<Plan>, Vec<Problem>) {
        let ended = self.execute();
        let mut draft = lock(&self.draft);
        // An error ends the script, and does not take away what was found before it.
        draft.problems.extend(ended.err().map(|error| problem_of(&self.text, &error)));
        draft.finish()
    }

    /// Runs the script for what its functions are.
    pub fn execute(&self) -> mlua::Result<()> {
        self.limited(SCRIPT_TIME_MAX, || {
            let text = code(&self.text.text);
            self.lua.load(text).set_name(self.text.chunk()).set_mode(ChunkMode::Text).exec()
        })
    }

    /// Calls something that may take no longer.
    pub fn limited<R>(
        &self,
        at_most: Duration,
        call: impl FnOnce() -> mlua::Result<R>,
    ) -> mlua::Result<R> {
        *lock(&self.deadline) = Instant::now().checked_add(at_most).map(|end| (end, at_most));
        let result = call();
        let deadline = lock(&self.deadline).take();
        if deadline.is_some_and(|(end, _)| Instant::now() > end) {
            watch(&self.lua, &self.deadline)?;
        }
        result
    }

    /// Takes away what reaches out of the sandbox, and puts the modules in.
    fn close_doors(&self) -> mlua::Result<()> {
        let globals = self.lua.globals();
        for name in ["dofile", "loadfile", "load", "loadstring", "collectgarbage"] {
            globals.set(name, Value::Nil)?;
        }
        let os: Table = globals.get("os")?;
        let kept = self.lua.create_table()?;
        for name in ["clock", "date", "difftime", "getenv", "time"] {
            kept.set(name, os.get::<Value>(name)?)?;
        }
        globals.set("os", kept)?;
        // A finalizer would run where nothing ends it.
        let set: mlua::Function = globals.get("setmetatable")?;
        let guarded =
            self.lua.create_function(move |_, (table, meta): (Table, Option<Table>)| {
                let finalizes =
                    meta.as_ref().map(|meta| meta.raw_get::<Value>("__gc")).transpose()?;
                if finalizes.is_some_and(|value| !value.is_nil()) {
                    return Err(Error::runtime("the sandbox has no finalizers (`__gc`)"));
                }
                set.call::<Table>((table, meta))
            })?;
        globals.set("setmetatable", guarded)?;
        // The output is the pipeline's.
        let print = self.lua.create_function(|_, values: mlua::Variadic<Value>| {
            // A text of Lua may be any bytes.
            let shown = |value: &Value| match value {
                Value::String(text) => Ok(text.to_string_lossy()),
                other => other.to_string(),
            };
            let texts: mlua::Result<Vec<_>> = values.iter().map(shown).collect();
            crate::say!("{}", texts?.join("\t"));
            Ok(())
        })?;
        globals.set("print", print)?;
        let module = module::table(&self.lua, &self.text, &self.draft)?;
        let loaded = self.lua.create_table()?;
        for name in ["stageline", "gopiper"] {
            loaded.set(name, &module)?;
        }
        let folder = self.text.path.parent().map(Path::to_owned).unwrap_or_default();
        // What is required now, and by what.
        let under_way = Mutex::new(Vec::<String>::new());
        let require = self.lua.create_function(move |lua, name: String| {
            if let Some(module) = loaded.get::<Option<Value>>(&*name)? {
                return Ok(module);
            }
            if lock(&under_way).contains(&name) {
                let text = format!("the module `{name}` is required by what it requires itself");
                return Err(Error::runtime(text));
            }
            lock(&under_way).push(name.clone());
            let module = require(lua, &folder, &name);
            lock(&under_way).pop();
            let module = Some(module?).filter(|module| !module.is_nil());
            let module = module.unwrap_or(Value::Boolean(true));
            loaded.set(&*name, &module)?;
            Ok(module)
        })?;
        globals.set("require", require)
    }
}

/// A module of Lua that lies beside the script, or in a folder below.
fn require(lua: &Lua, folder: &Path, name: &str) -> mlua::Result<Value> {
    let relative = Path::new(&name.replace('.', "/")).with_extension("lua");
    if !relative.components().all(|part| matches!(part, Part::Normal(_))) {
        return Err(Error::runtime(format!("`{name}` is no name of a module beside the script")));
    }
    let path = folder.join(relative);
    let bytes = read(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::runtime(format!(
            "there is no module `{name}`, which would be {}; the modules `stageline` and `gopiper` are built in",
            path.display()
        )),
        _ => Error::runtime(format!("{} cannot be read: {error}", path.display())),
    })?;
    let text = utf8(&bytes)
        .map_err(|(line, error)| Error::runtime(format!("{}:{line}: {error}", path.display())))?;
    lua.load(code(text)).set_name(format!("@{}", path.display())).set_mode(ChunkMode::Text).eval()
}

fn watch(lua: &Lua, deadline: &Deadline) -> mlua::Result<()> {
    let deadline = Arc::clone(deadline);
    let triggers = HookTriggers::new().every_nth_instruction(SCRIPT_INSTRUCTIONS_PER_LOOK);
    lua.set_global_hook(triggers, move |lua, at| match *lock(&deadline) {
        Some((end, at_most)) if Instant::now() > end => {
            let place = at.source().short_src.zip(at.current_line());
            let place = place.map_or_else(String::new, |(path, line)| format!("{path}:{line}: "));
            let text = format!("{place}the script takes too long: it has {at_most:?} for this");
            // Who catches the error gets it again at once, so that no `pcall` goes on.
            let each = HookTriggers::new().every_nth_instruction(1);
            let again = text.clone();
            lua.set_global_hook(each, move |_, _| Err(Error::runtime(&again)))?;
            Err(Error::runtime(text))
        }
        _ => Ok(VmState::Continue),
    })
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// What is to be done about an error of Lua, where that is known.
fn hint(said: &str) -> &'static str {
    match ["(global 'stageline')", "(global 'gopiper')"].iter().any(|name| said.contains(name)) {
        true => "; begin with `local stageline = require(\"stageline\")`",
        false => "",
    }
}

/// What Lua says, with the line of the script taken out of it.
pub(super) fn problem_of(text: &Text, error: &Error) -> Problem {
    let said = said_by(error);
    let first = said.split("\nstack traceback:").next().unwrap_or_default();
    let place = format!("{}:", text.chunk().trim_start_matches('@'));
    if let Some((line, rest)) = first.strip_prefix(&place).and_then(|rest| rest.split_once(':'))
        && let Ok(line) = line.parse()
    {
        return Problem::error(Some(line), format!("{}{}", rest.trim(), hint(rest)));
    }
    // A callback's error does not begin with its place, but its traceback has it.
    let line = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix(&place))
        .find_map(|rest| rest.split_once(':').and_then(|(line, _)| line.parse().ok()));
    Problem::error(line, without_address(first.trim()))
}

/// An error may be any value. Where that is no text Lua says what it is, and the address that it has just now.
fn without_address(said: &str) -> String {
    match said.split_once(": 0x") {
        Some((kind @ ("table" | "function" | "thread" | "userdata"), _)) => {
            format!("the error is a {kind}, which says nothing: give `error` a text")
        }
        _ => said.to_owned(),
    }
}

fn said_by(error: &Error) -> String {
    match error {
        Error::SyntaxError { message, .. } => message.clone(),
        Error::RuntimeError(text) => text.clone(),
        Error::MemoryError(_) => {
            format!("the script needs more than {SCRIPT_MEMORY_MAX} bytes of memory")
        }
        Error::CallbackError { traceback, cause } => {
            let cause = said_by(cause);
            if cause.contains("\nstack traceback:") {
                cause
            } else {
                format!("{cause}\nstack traceback:{traceback}")
            }
        }
        other => other.to_string(),
    }
}
