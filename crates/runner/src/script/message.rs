//! A message, as a function of the script sees it. What its methods are given is looked at here: what `mlua` says of a
//! value that it cannot convert is in words of Rust.

use super::json;
use super::values::{shown, text_of};
use mlua::{
    AnyUserData, Error, FromLuaMulti, IntoLuaMulti, Lua, LuaString, MetaMethod, Result, UserData,
    UserDataFields, UserDataMethods, Value as LuaValue,
};
use stageline_component::{Flush, Message, Value};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

/// How long a message may be held: what a count of nanoseconds has room for, some 300 years.
const HOLD_SECONDS_MAX: u64 = 10_000_000_000;

/// The message that a function handles; null after the call. One thread's: it is atomic because Lua's values must
/// be such as any thread may have.
pub(super) struct Lent(AtomicPtr<Message>);

impl Lent {
    /// Who lends the message has to [take it back](Self::take_back) before doing anything else with it.
    pub fn new(message: &mut Message) -> Self {
        Self(AtomicPtr::new(message))
    }

    /// From here on it is an error to use it.
    pub fn take_back(&self) {
        self.0.store(ptr::null_mut(), Ordering::Relaxed);
    }

    fn with<R>(&self, f: impl FnOnce(&mut Message) -> R) -> Result<R> {
        // SAFETY: set for as long as the function runs, which has it alone; `f` calls no Lua.
        let message = unsafe { self.0.load(Ordering::Relaxed).as_mut() };
        message
            .map(f)
            .ok_or_else(|| Error::runtime("a message must not be used after it was reported on"))
    }

    fn set_data(&self, data: &[u8]) -> Result<()> {
        self.with(|it| it.set_data(data))?.map_err(Error::external)
    }

    fn attribute(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.with(|it| it.attribute(name).map(<[u8]>::to_vec))
    }

    fn set_attribute(&self, name: &str, value: Option<&[u8]>) -> Result<()> {
        self.with(|it| match value {
            Some(value) => it.set_attribute(name, value),
            None => {
                it.remove_attribute(name);
                Ok(())
            }
        })?
        .map_err(Error::external)
    }
}

/// A text that a field or a method is given.
fn given(lua: &Lua, to: &str, value: LuaValue) -> Result<LuaString> {
    text_of(lua, value).map_err(|wrong| Error::runtime(format!("{to}: {wrong}")))
}

/// The name of an attribute that a method is given.
fn name(lua: &Lua, method: &str, value: LuaValue) -> Result<String> {
    let name = given(lua, &format!("the name for {method}"), value)?;
    let name = name.to_str().map(|name| name.to_owned());
    name.map_err(|_| Error::runtime(format!("the name for {method}: it must be UTF-8")))
}

fn time(value: &LuaValue) -> Result<Duration> {
    let time = match value {
        LuaValue::Integer(seconds) => Value::from(*seconds).to_duration(),
        LuaValue::Number(seconds) => Value::from(*seconds).to_duration(),
        LuaValue::String(text) => Value::from(text.to_string_lossy()).to_duration(),
        _ => None,
    };
    let longest = Duration::from_secs(HOLD_SECONDS_MAX);
    time.filter(|time| *time <= longest).ok_or_else(|| {
        let found = shown(value);
        Error::runtime(format!(
            "`message:hold`: expected seconds from 0 to 1e10, or a text such as \"250ms\", and found {found}"
        ))
    })
}

/// A method, of which it is told when it is called without the message.
fn add<A, R>(
    methods: &mut impl UserDataMethods<Lent>,
    name: &'static str,
    call: impl Fn(&Lua, &Lent, A) -> Result<R> + Send + 'static,
) where
    A: FromLuaMulti,
    R: IntoLuaMulti,
{
    methods.add_function(name, move |lua, (this, rest): (Option<LuaValue>, A)| {
        let this = this.as_ref().and_then(LuaValue::as_userdata).map(AnyUserData::borrow::<Lent>);
        let Some(Ok(this)) = this else {
            return Err(Error::runtime(format!("call it with `:`, as in `message:{name}(...)`")));
        };
        call(lua, &this, rest)
    });
}

impl UserData for Lent {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        // What Lua calls it in errors.
        fields.add_meta_field(MetaMethod::Type, "message");
        fields.add_field_method_get("data", |lua, this| {
            lua.create_string(this.with(|it| it.data().to_vec())?)
        });
        fields.add_field_method_set("data", |lua, this, data: LuaValue| {
            this.set_data(&given(lua, "`message.data`", data)?.as_bytes())
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
        add(methods, "get", |lua, this, attribute: LuaValue| {
            let value = this.attribute(&name(lua, "`message:get`", attribute)?)?;
            value.map(|value| lua.create_string(value)).transpose()
        });
        add(methods, "set", |lua, this, (attribute, value): (LuaValue, LuaValue)| {
            let name = name(lua, "`message:set`", attribute)?;
            if value.is_nil() {
                return this.set_attribute(&name, None);
            }
            let value = given(lua, &format!("`message:set` of {name:?}"), value)?;
            this.set_attribute(&name, Some(&value.as_bytes()))
        });
        add(methods, "json", |lua, this, ()| {
            let value = this.with(|it| json::parse(it.data()))??;
            json::to_lua(lua, &value)
        });
        add(methods, "set_json", |lua, this, value: LuaValue| {
            this.set_data(&json::write(lua, &value)?)
        });
        add(methods, "lead", |_, this, ()| {
            this.with(|it| {
                it.lead();
            })
        });
        add(methods, "hold", |_, this, at_most: LuaValue| {
            let at_most = time(&at_most)?;
            this.with(|it| it.hold_for(at_most).status())
        });
    }
}
