//! A plugin's factories, components and sources, as those of Rust.

use super::text;
use crate::abi::{ERROR_MAX, EmitterTable, Fill, INVALID, OK, PluginTable, STOPPING, TOO_LARGE};
use crate::attributes::Attributes;
use crate::buffer::TooLarge;
use crate::component::{Acknowledge, Component, EmitError, Emitter, Factory, Source};
use crate::error::Error;
use crate::functions::bytes;
use crate::message::Message;
use crate::report::Report;
use crate::spec::Spec;
use crate::value::{AttributeError, Value};
use std::any::Any;
use std::ffi::{CStr, CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};

/// The room for an error of a plugin.
struct ErrorRoom([c_char; ERROR_MAX]);

impl ErrorRoom {
    fn new() -> Self {
        Self([0; ERROR_MAX])
    }

    fn text(&mut self) -> String {
        self.0[ERROR_MAX - 1] = 0;
        // SAFETY: the last byte at least is a zero.
        let text = unsafe { CStr::from_ptr(self.0.as_ptr()) }.to_string_lossy().into_owned();
        if text.is_empty() { "the plugin does not say why".into() } else { text }
    }

    /// What a call says that answers with a code.
    fn code(call: impl FnOnce(*mut c_char, usize) -> i32) -> Result<(), String> {
        let mut room = Self::new();
        let code = call(room.0.as_mut_ptr(), ERROR_MAX);
        if code == OK { Ok(()) } else { Err(room.text()) }
    }

    /// What a call says that answers with a pointer.
    fn pointer(
        call: impl FnOnce(*mut c_char, usize) -> *mut c_void,
    ) -> Result<*mut c_void, String> {
        let mut room = Self::new();
        let made = call(room.0.as_mut_ptr(), ERROR_MAX);
        if made.is_null() { Err(room.text()) } else { Ok(made) }
    }
}

/// A factory of the plugin, freed when the last that it made is.
struct Handle {
    table: &'static PluginTable,
    /// By rule 3 its calls come one after another. The error says why there is none.
    factory: Mutex<Result<*mut c_void, String>>,
}

// SAFETY: by rule 3 a factory may be called on any thread, one call after another, and the lock sees to that.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Handle {
    /// Calls a function of the factory, if there is one.
    fn call<T>(&self, f: impl FnOnce(*mut c_void) -> Result<T, String>) -> Result<T, String> {
        let factory = self.factory.lock().unwrap_or_else(PoisonError::into_inner);
        factory.clone().and_then(f)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let factory = self.factory.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let (Ok(factory), Some(free)) = (factory, self.table.factory_free) {
            // SAFETY: the plugin made it, and what it made is freed, since that holds the handle.
            unsafe { free(*factory) };
        }
    }
}

/// A function of the table that [`super::check`] has found there.
macro_rules! function {
    ($table:expr, $name:ident) => {
        $table.$name.ok_or_else(|| concat!("`", stringify!($name), "` is null").to_owned())
    };
}

/// A factory of the plugin. The host checks the attributes, and gives the plugin those that are right.
pub struct PluginFactory {
    handle: Arc<Handle>,
    spec: &'static Spec,
    attributes: Attributes,
}

impl PluginFactory {
    pub fn new(table: &'static PluginTable, spec: &'static Spec) -> Self {
        // SAFETY: the room for an error is as large as is said.
        let made = function!(table, factory_new)
            .and_then(|new| ErrorRoom::pointer(|error, size| unsafe { new(error, size) }));
        let handle = Arc::new(Handle { table, factory: Mutex::new(made) });
        Self { handle, spec, attributes: Attributes::new(spec) }
    }

    fn error(&self, text: String) -> Error {
        Error::new(format!("`{}`: {text}", self.spec.name))
    }

    /// Hands a value to the plugin that stands in the attributes.
    fn hand_over(&self, name: &str, given: &Value) -> Result<(), AttributeError> {
        let handed = match text::of(&self.attributes, name) {
            None => return Ok(()),
            Some(Err(reason)) => Err(reason.to_owned()),
            Some(Ok(value)) => self.handle.call(|factory| {
                let set = function!(self.handle.table, factory_set_attribute)?;
                // (A name with a zero byte is in no plugin's table.)
                let name = CString::new(name).map_err(|error| error.to_string())?;
                let len = value.len();
                let value: Vec<u8> = value.into_bytes().into_iter().chain([0]).collect();
                // SAFETY: the factory is the plugin's; texts end with a zero byte, and the room is as large as is said.
                ErrorRoom::code(|error, size| unsafe {
                    set(factory, name.as_ptr(), value.as_ptr().cast(), len, error, size)
                })
            }),
        };
        let (attribute, value) = (name.to_owned(), given.to_string());
        handed.map_err(|reason| AttributeError::Refused { attribute, value, reason })
    }
}

impl Factory for PluginFactory {
    fn spec(&self) -> &Spec {
        self.spec
    }

    fn set_attribute(&mut self, name: &str, value: &Value) -> Result<(), AttributeError> {
        self.attributes.set(name, value)?;
        self.hand_over(name, value)
    }

    fn prepare(&mut self) -> Result<(), Error> {
        self.handle.call(|_| Ok(())).map_err(|text| self.error(text))?;
        let unset: Vec<_> = (self.spec.attributes.iter())
            .filter(|attribute| !self.attributes.is_set(attribute.name))
            .collect();
        self.attributes.complete()?;
        for attribute in unset {
            self.hand_over(attribute.name, &attribute.default.unwrap_or_default().into())?;
        }
        let Some(prepare) = self.handle.table.factory_prepare else { return Ok(()) };
        let prepared = self.handle.call(|factory| {
            // SAFETY: the factory is the plugin's, and the room is as large as is said.
            ErrorRoom::code(|error, size| unsafe { prepare(factory, error, size) })
        });
        prepared.map_err(|text| self.error(text))
    }

    fn component(&self) -> Result<Box<dyn Component>, Error> {
        let table = self.handle.table;
        let made = self.handle.call(|factory| {
            let new = function!(table, component_new)?;
            let handle = function!(table, component_handle)?;
            // SAFETY: as above.
            let made = ErrorRoom::pointer(|error, size| unsafe { new(factory, error, size) })?;
            Ok((made, handle))
        });
        let (component, handle) = made.map_err(|text| self.error(text))?;
        Ok(Box::new(PluginComponent { component, handle, factory: Arc::clone(&self.handle) }))
    }

    fn source(&self) -> Result<Box<dyn Source>, Error> {
        let table = self.handle.table;
        let made = self.handle.call(|factory| {
            let new = function!(table, source_new)?;
            // SAFETY: as above.
            ErrorRoom::pointer(|error, size| unsafe { new(factory, error, size) })
        });
        let source = made.map_err(|text| self.error(text))?;
        Ok(Box::new(PluginSource { source, factory: Arc::clone(&self.handle) }))
    }

    fn pool_size(&self) -> Option<usize> {
        let ask = self.handle.table.factory_pool_size?;
        // SAFETY: the factory is the plugin's.
        let size = self.handle.call(|factory| Ok(unsafe { ask(factory) }));
        size.ok().filter(|size| *size > 0)
    }
}

struct PluginComponent {
    component: *mut c_void,
    handle: unsafe extern "C" fn(*mut c_void, *mut Message) -> u32,
    factory: Arc<Handle>,
}

// SAFETY: by rule 3 it may be closed and freed on another thread than the one that runs it; until then whoever has
// the box is that thread.
unsafe impl Send for PluginComponent {}

impl Component for PluginComponent {
    #[inline]
    fn handle(&mut self, message: &mut Message) -> Report {
        // SAFETY: the component is the plugin's, and the message is lent for the call.
        Report::from_status(unsafe { (self.handle)(self.component, message) })
    }

    fn close(&mut self) -> Result<(), Error> {
        let Some(close) = self.factory.table.component_close else { return Ok(()) };
        // SAFETY: the component is the plugin's, and the room is as large as is said.
        ErrorRoom::code(|error, size| unsafe { close(self.component, error, size) })
            .map_err(Error::new)
    }
}

impl Drop for PluginComponent {
    fn drop(&mut self) {
        if let Some(free) = self.factory.table.component_free {
            // SAFETY: the plugin made it, and nobody uses it any more.
            unsafe { free(self.component) };
        }
    }
}

struct PluginSource {
    source: *mut c_void,
    factory: Arc<Handle>,
}

// SAFETY: by rule 4 it runs on one thread, which need not be the one that made it.
unsafe impl Send for PluginSource {}

impl Source for PluginSource {
    fn run(&mut self, out: &mut dyn Emitter) -> Result<(), Error> {
        let run = function!(self.factory.table, source_run).map_err(Error::new)?;
        let mut host = Host { out, panic: None };
        let mut table =
            EmitterTable { context: (&raw mut host).cast(), emit, emit_data, is_stopping };
        // SAFETY: the source is the plugin's; the emitter stays until it returns, and the room is as large as is said.
        let ended =
            ErrorRoom::code(|error, size| unsafe { run(self.source, &raw mut table, error, size) });
        match host.panic {
            Some(payload) => resume_unwind(payload),
            None => ended.map_err(Error::new),
        }
    }

    fn acknowledger(&mut self) -> Option<Box<dyn Acknowledge>> {
        let table = self.factory.table;
        let (new, settled) = (table.acknowledger_new?, table.acknowledger_settled?);
        // SAFETY: the source is the plugin's.
        let told = unsafe { new(self.source) };
        let factory = Arc::clone(&self.factory);
        (!told.is_null()).then(|| Box::new(PluginAcknowledger { told, settled, factory }) as _)
    }
}

impl Drop for PluginSource {
    fn drop(&mut self) {
        if let Some(free) = self.factory.table.source_free {
            // SAFETY: the plugin made it, and nobody uses it any more.
            unsafe { free(self.source) };
        }
    }
}

/// The emitter of the host, and its panic on the way through the plugin.
struct Host<'a> {
    out: &'a mut dyn Emitter,
    panic: Option<Box<dyn Any + Send>>,
}

// Of the three functions that follow the plugin warrants, by rule 4: the emitter is that of the call of `source_run` in
// which it is, and no other thread uses it; bytes and results have their places.

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn emit(
    emitter: *mut EmitterTable,
    fill: Fill,
    fill_context: *mut c_void,
    number: *mut u64,
) -> i32 {
    let Some(fill) = fill else { return INVALID };
    // SAFETY: by the contract above; `fill` is called with what it is for.
    unsafe {
        send(emitter, number, &mut |message| match fill(fill_context, message) {
            OK => Ok(()),
            _ => Err(TooLarge { wanted: usize::MAX, max: message.data_mut().max() }),
        })
    }
}

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn emit_data(
    emitter: *mut EmitterTable,
    data: *const u8,
    len: usize,
    number: *mut u64,
) -> i32 {
    // SAFETY: by the contract above.
    unsafe {
        let data = bytes(data, len);
        send(emitter, number, &mut |message| message.set_data(data))
    }
}

/// # Safety
///
/// As of the functions above.
unsafe fn send(
    emitter: *mut EmitterTable,
    number: *mut u64,
    fill: &mut dyn FnMut(&mut Message) -> Result<(), TooLarge>,
) -> i32 {
    // SAFETY: by the contract above.
    let (host, number) = unsafe { (&mut *(*emitter).context.cast::<Host<'_>>(), number.as_mut()) };
    match catch_unwind(AssertUnwindSafe(|| host.out.emit(fill))) {
        Ok(Ok(sent)) => {
            if let Some(number) = number {
                *number = sent;
            }
            OK
        }
        Ok(Err(EmitError::TooLarge(_))) => TOO_LARGE,
        Ok(Err(EmitError::Stopping)) => STOPPING,
        Err(payload) => {
            host.panic = Some(payload);
            STOPPING
        }
    }
}

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn is_stopping(emitter: *const EmitterTable) -> i32 {
    // SAFETY: by the contract above.
    let host = unsafe { &mut *(*emitter).context.cast::<Host<'_>>() };
    let is_stopping = catch_unwind(AssertUnwindSafe(|| host.out.is_stopping()));
    i32::from(host.panic.is_some() || is_stopping.unwrap_or(true))
}

struct PluginAcknowledger {
    told: *mut c_void,
    settled: unsafe extern "C" fn(*mut c_void, u64, u32, *const u8, usize),
    factory: Arc<Handle>,
}

// SAFETY: by rule 4 it is called on another thread than the one that made it.
unsafe impl Send for PluginAcknowledger {}

impl Acknowledge for PluginAcknowledger {
    fn settled(&mut self, number: u64, status: u32, description: &str) {
        let (text, len) = (description.as_ptr(), description.len());
        // SAFETY: it is the plugin's, and the text has these bytes.
        unsafe { (self.settled)(self.told, number, status, text, len) };
    }
}

impl Drop for PluginAcknowledger {
    fn drop(&mut self) {
        if let Some(free) = self.factory.table.acknowledger_free {
            // SAFETY: the plugin made it, and nobody uses it any more.
            unsafe { free(self.told) };
        }
    }
}
