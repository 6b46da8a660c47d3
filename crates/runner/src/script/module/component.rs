//! From a call such as `stageline.json { ... }` to a component, or to all that is wrong with it.

use super::super::Text;
use super::super::function;
use super::super::values::{shown, value_of};
use super::{COLON, Maker, State, catalogue, is_module};
use crate::limits::PROBLEMS_TOLD;
use crate::plan::Component;
use mlua::{Function, Table, Value as LuaValue};
use stageline_builtin::{Builtin, builtin};
use stageline_component::{AttributeError, Factory, Spec, Value, loader::Plugin, nearest};
use std::path::{Path, PathBuf};

/// What makes a component's factories.
pub(super) enum Origin {
    Builtin(Builtin),
    Function,
    Plugin(Plugin),
}

impl Origin {
    /// What a script means by a name.
    pub fn of(text: &Text, maker: Maker, name: &str) -> Result<Self, String> {
        let is_path = name.contains('/') || name.ends_with(".so");
        match maker {
            Maker::ByName => Self::by_name(name),
            Maker::Either if !is_path => Self::by_name(name),
            Maker::Plugin | Maker::Either => plugin(text, name).map(Self::Plugin),
        }
    }

    pub fn by_name(name: &str) -> Result<Self, String> {
        if name == function::SPEC.name {
            return Ok(Self::Function);
        }
        builtin(name).map(Self::Builtin).ok_or_else(|| {
            let names: Vec<_> = catalogue().iter().map(|spec| spec.name).collect();
            let hint = match nearest(name, names.iter().copied()) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => String::from("`stageline components` lists those that there are"),
            };
            format!("there is no component `{name}`; {hint}")
        })
    }

    pub fn spec(&self) -> &'static Spec {
        match self {
            Self::Builtin(builtin) => builtin.spec,
            Self::Function => &function::SPEC,
            Self::Plugin(plugin) => plugin.spec(),
        }
    }

    fn factory(&self) -> Box<dyn Factory> {
        match self {
            Self::Builtin(builtin) => (builtin.factory)(),
            Self::Function => Box::new(function::Functions::new()),
            Self::Plugin(plugin) => plugin.factory(),
        }
    }

    /// The component, or one that only stands in for it, where something was wrong.
    pub fn make(&self, given: &Given, line: Option<usize>, wrong: &mut Vec<String>) -> State {
        let mut factory = self.factory();
        if given.is_none {
            return State::Wrong(Component { factory, line });
        }
        let mut refused: Vec<_> = given.unusable.iter().map(|name| Refused::whole(name)).collect();
        for (name, value) in &given.values {
            if let Err(error) = factory.set_attribute(name, value) {
                wrong.push(named(&*factory, error.to_string()));
                refused.push(Refused::whole(name));
            }
        }
        if !refused.is_empty() {
            wrong.extend(given.missing(&*factory).map(|error| error.to_string()));
            self.find_more(given, refused, wrong);
            return State::Wrong(Component { factory, line });
        }
        match factory.prepare() {
            Ok(()) if wrong.is_empty() => State::Ready(Component { factory, line }),
            Ok(()) => State::Wrong(Component { factory, line }),
            Err(error) => {
                let text = format!("{error:#}");
                refused.extend(given.attribute_of(&text));
                wrong.push(named(&*factory, text));
                if !refused.is_empty() {
                    self.find_more(given, refused, wrong);
                }
                State::Wrong(Component { factory, line })
            }
        }
    }

    /// A factory says one thing at a time of what it finds as it is prepared. So others are asked, each without the
    /// values that were refused so far.
    fn find_more(&self, given: &Given, mut refused: Vec<Refused>, wrong: &mut Vec<String>) {
        // A factory may say the same for ever.
        while wrong.len() < PROBLEMS_TOLD {
            let mut factory = self.factory();
            let left = given.without(&refused);
            let is_left = |name: &str| left.iter().any(|(left, _)| left == name);
            let mut required = factory.spec().attributes.iter().filter(|it| it.required);
            if required.any(|attribute| !is_left(attribute.name)) {
                return;
            }
            if left.iter().any(|(name, value)| factory.set_attribute(name, value).is_err()) {
                return;
            }
            let Err(error) = factory.prepare() else { return };
            let text = format!("{error:#}");
            // What names a value that was refused may be wrong because that is not set now.
            let is_news = !refused.iter().any(|refused| text.contains(&refused.shown()));
            let Some(more) = given.attribute_of(&text).filter(|_| is_news) else { return };
            wrong.push(named(&*factory, text));
            refused.push(more);
        }
    }
}

/// A value that was refused: that of an attribute, or one of the values by name of which it is made.
struct Refused {
    attribute: String,
    key: Option<String>,
}

impl Refused {
    fn whole(attribute: &str) -> Self {
        Self { attribute: attribute.to_owned(), key: None }
    }

    /// As errors name it: `` `set` ``, `` `set.delay` ``.
    fn shown(&self) -> String {
        match &self.key {
            None => format!("`{}`", self.attribute),
            Some(key) => format!("`{}.{key}`", self.attribute),
        }
    }
}

/// The attributes of a call.
#[derive(Default)]
pub(super) struct Given {
    pub values: Vec<(String, Value)>,
    /// The names of those whose values no attribute can have.
    unusable: Vec<String>,
    /// What was given is no table of attributes: nothing can be said of those.
    is_none: bool,
}

impl Given {
    pub fn of(
        name: &str,
        attributes: Option<LuaValue>,
        text: &Text,
        functions: &mut Vec<Function>,
        wrong: &mut Vec<String>,
    ) -> Self {
        let mut given = Self::default();
        match attributes {
            None => {}
            Some(LuaValue::Table(table)) if is_module(&table) => {
                given.is_none = true;
                wrong.push(COLON.to_owned());
            }
            Some(LuaValue::Table(table)) => given.take(name, &table, text, functions, wrong),
            Some(other) => {
                given.is_none = true;
                let found = shown(&other);
                wrong.push(format!("the attributes of `{name}` are {found}: expected a table"));
            }
        }
        given
    }

    fn take(
        &mut self,
        component: &str,
        table: &Table,
        text: &Text,
        functions: &mut Vec<Function>,
        wrong: &mut Vec<String>,
    ) {
        let mut pairs: Vec<_> = Vec::new();
        for pair in table.pairs::<LuaValue, LuaValue>() {
            match pair {
                Ok((LuaValue::String(name), value)) => pairs.push((name.to_string_lossy(), value)),
                Ok((LuaValue::Integer(_), value)) => wrong.push(format!(
                    "an attribute of `{component}` has no name: expected `name = value`, and found {}",
                    shown(&value)
                )),
                Ok((key, _)) => {
                    let key = shown(&key);
                    wrong.push(format!("{key} is no name of an attribute of `{component}`"));
                }
                Err(error) => wrong.push(error.to_string()),
            }
        }
        // The order of a table's names is none; that of functions must be the same in each run of the script.
        pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (name, value) in pairs {
            match value_of(&value, text, functions, 0) {
                Ok(value) => self.values.push((name, value)),
                Err(error) => {
                    wrong.push(format!("`{component}`: `{name}`: {error}"));
                    self.unusable.push(name);
                }
            }
        }
    }

    /// That attributes which must be set are not among these.
    fn missing(&self, factory: &dyn Factory) -> Option<AttributeError> {
        let spec = factory.spec();
        let is_given = |name: &str| {
            let names = self.values.iter().map(|(name, _)| name).chain(&self.unusable);
            names.into_iter().any(|given| given == name)
        };
        let required = spec.attributes.iter().filter(|attribute| attribute.required);
        let attributes: Vec<_> = required
            .filter(|attribute| !is_given(attribute.name))
            .map(|attribute| attribute.name.to_owned())
            .collect();
        let component = spec.name.to_owned();
        (!attributes.is_empty()).then_some(AttributeError::Missing { component, attributes })
    }

    /// The value that an error of a factory is about, as [`AttributeError`] writes it: the text is all that a plugin
    /// hands over.
    fn attribute_of(&self, text: &str) -> Option<Refused> {
        let text = text.strip_prefix('`')?;
        self.values.iter().find_map(|(name, value)| {
            let rest = text.strip_prefix(name)?;
            if rest.starts_with("` = ") {
                return Some(Refused::whole(name));
            }
            let rest = rest.strip_prefix('.')?;
            let is_about = |key: &&String| {
                rest.strip_prefix(key.as_str()).is_some_and(|rest| rest.starts_with("` = "))
            };
            let key = match value {
                Value::Map(values) => values.keys().find(is_about).cloned(),
                _ => None,
            };
            Some(Refused { attribute: name.clone(), key })
        })
    }

    /// What is left without these values. Of a map that is empty then, nothing.
    fn without(&self, refused: &[Refused]) -> Vec<(String, Value)> {
        let mut left = self.values.clone();
        left.retain_mut(|(name, value)| {
            let mut of_this = refused.iter().filter(|refused| refused.attribute == *name);
            of_this.all(|refused| match (&mut *value, &refused.key) {
                (Value::Map(values), Some(key)) => {
                    values.remove(key);
                    !values.is_empty()
                }
                _ => false,
            })
        });
        left
    }
}

/// An error with the name of the component: one line of a script may make several.
fn named(factory: &dyn Factory, text: String) -> String {
    let name = factory.spec().name;
    match text.starts_with(&format!("`{name}`")) {
        true => text,
        false => format!("`{name}`: {text}"),
    }
}

/// A plugin; a path that is relative is so to the working directory, and else to the script.
fn plugin(text: &Text, name: &str) -> Result<Plugin, String> {
    let path = Path::new(name);
    let beside = text.path.parent().map_or_else(PathBuf::new, |folder| folder.join(path));
    let path = if path.exists() || !beside.exists() { path } else { &beside };
    Plugin::load(path).map_err(|error| error.to_string())
}
