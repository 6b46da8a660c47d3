//! The side of a plugin: an ordinary [`Factory`] behind the functions of the C interface.

use crate::abi::{
    self, ABI_VERSION, AttributeEntry, EmitterTable, FAILED, OK, PluginTable, TOO_LARGE,
};
use crate::buffer::{Buffer, TooLarge};
use crate::component::{Acknowledge, Component, EmitError, Emitter, Factory, Source};
use crate::error::Error;
use crate::functions::{bytes, text};
use crate::message::Message;
use crate::panics::{caught, dropped};
use crate::report::Report;
use crate::spec::{AttributeKind, AttributeSpec, Kind};
use crate::value::AttributeError;
use std::ffi::{CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;
use std::{ptr, thread};

/// Exports the components of a [`Factory`] as a plugin: `export_component!(Uppers);` in a library of the crate type
/// `cdylib`. The factory is made by its `Default`.
///
/// A panic ends at the interface: that of [`Component::handle`] becomes a failure with the panic's text as its
/// description, any other an error. The component goes on with its next message as the panic left it. (With
/// `panic = "abort"` the process ends instead.)
#[macro_export]
macro_rules! export_component {
    ($factory:ty) => {
        /// What this plugin is.
        // SAFETY: no other function of a plugin has this name.
        #[unsafe(no_mangle)]
        pub extern "C" fn stageline_component_plugin() -> *const $crate::abi::PluginTable {
            static EXPORTED: $crate::export::Exported = $crate::export::Exported::new();
            EXPORTED.table::<$factory>(env!("CARGO_PKG_VERSION"))
        }
    };
}

/// The table of a plugin, made when it is asked for. For [`export_component!`](crate::export_component).
pub struct Exported(OnceLock<Option<&'static PluginTable>>);

impl Exported {
    /// Not asked for yet.
    #[allow(clippy::new_without_default, reason = "made in one place")]
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The table; null if the factory panics or its texts have zero bytes.
    pub fn table<F: Factory + Default + 'static>(&self, version: &str) -> *const PluginTable {
        let made = self.0.get_or_init(|| caught(|| table::<F>(version)).ok().flatten());
        made.map_or(ptr::null(), ptr::from_ref)
    }
}

/// A text that stays for ever.
fn leaked(text: &str) -> Option<*const c_char> {
    CString::new(text).ok().map(|text| text.into_raw().cast_const())
}

fn entry(attribute: &AttributeSpec) -> Option<AttributeEntry> {
    let (kind, choices): (_, &[&str]) = match attribute.kind {
        AttributeKind::Text => (abi::ATTRIBUTE_TEXT, &[]),
        AttributeKind::Integer => (abi::ATTRIBUTE_INTEGER, &[]),
        AttributeKind::Number => (abi::ATTRIBUTE_NUMBER, &[]),
        AttributeKind::Boolean => (abi::ATTRIBUTE_BOOLEAN, &[]),
        AttributeKind::Duration => (abi::ATTRIBUTE_DURATION, &[]),
        AttributeKind::Size => (abi::ATTRIBUTE_SIZE, &[]),
        AttributeKind::List => (abi::ATTRIBUTE_LIST, &[]),
        AttributeKind::Map => (abi::ATTRIBUTE_MAP, &[]),
        AttributeKind::OneOf(choices) => (abi::ATTRIBUTE_ONE_OF, choices),
        // A function is of the host's script, and does not come across.
        AttributeKind::Function => return None,
    };
    let choices: Option<Vec<_>> = choices.iter().map(|choice| leaked(choice)).collect();
    let choices = choices?.leak();
    Some(AttributeEntry {
        name: leaked(attribute.name)?,
        doc: leaked(attribute.doc)?,
        default_value: attribute.default.map_or(Some(ptr::null()), leaked)?,
        choices: choices.as_ptr(),
        choice_count: u32::try_from(choices.len()).ok()?,
        kind,
        required: attribute.required.into(),
    })
}

fn table<F: Factory + Default + 'static>(version: &str) -> Option<&'static PluginTable> {
    let factory = F::default();
    let spec = factory.spec();
    let attributes: Option<Vec<_>> = spec.attributes.iter().map(entry).collect();
    let attributes = attributes?.leak();
    Some(Box::leak(Box::new(PluginTable {
        abi_version: ABI_VERSION,
        struct_size: size_of::<PluginTable>() as u32,
        message_size: size_of::<Message>() as u32,
        buffer_size: size_of::<Buffer>() as u32,
        kind: match spec.kind {
            Kind::Source => abi::KIND_SOURCE,
            Kind::Transform => abi::KIND_TRANSFORM,
            Kind::Sink => abi::KIND_SINK,
        },
        attribute_count: u32::try_from(attributes.len()).ok()?,
        attributes: attributes.as_ptr(),
        name: leaked(spec.name)?,
        version: leaked(version)?,
        summary: leaked(spec.summary)?,
        doc: leaked(spec.doc)?,
        factory_new: Some(factory_new::<F>),
        factory_set_attribute: Some(factory_set_attribute::<F>),
        factory_prepare: Some(factory_prepare::<F>),
        factory_pool_size: Some(factory_pool_size::<F>),
        factory_free: Some(free::<F>),
        component_new: Some(component_new::<F>),
        component_handle: Some(component_handle),
        component_close: Some(component_close),
        component_free: Some(free::<Box<dyn Component>>),
        source_new: Some(source_new::<F>),
        source_run: Some(source_run),
        source_free: Some(free::<Box<dyn Source>>),
        acknowledger_new: Some(acknowledger_new),
        acknowledger_settled: Some(acknowledger_settled),
        acknowledger_free: Some(free::<Box<dyn Acknowledge>>),
    })))
}

/// Where an error is written: the bytes that the host gave for it.
struct ErrorText(*mut c_char, usize);

impl ErrorText {
    /// What came of a function that may panic; its error is written, as far as there is room.
    fn of<T>(self, f: impl FnOnce() -> Result<T, Error>) -> Option<T> {
        let error = match caught(f) {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(error)) => format!("{error:#}"),
            Err(text) => text,
        };
        if let Some(room) = self.1.checked_sub(1) {
            let mut end = error.len().min(room);
            while !error.is_char_boundary(end) {
                end -= 1;
            }
            // SAFETY: the host gave so many bytes, of which the text and its end take no more.
            unsafe {
                self.0.cast::<u8>().copy_from_nonoverlapping(error.as_ptr(), end);
                self.0.add(end).write(0);
            }
        }
        None
    }

    fn code(self, f: impl FnOnce() -> Result<(), Error>) -> i32 {
        if self.of(f).is_some() { OK } else { FAILED }
    }

    /// Something on the heap that the host gets a pointer to.
    fn pointer<T>(self, f: impl FnOnce() -> Result<T, Error>) -> *mut c_void {
        self.of(f).map_or(ptr::null_mut(), |value| Box::into_raw(Box::new(value)).cast())
    }
}

// Of each function that follows the host warrants, by the rules of `abi`: a pointer is one that the function which makes
// such things returned and that was not freed; nobody else uses it meanwhile; texts and errors have the bytes that they
// are said to have.

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn free<T>(made: *mut c_void) {
    // SAFETY: by the contract above; it was made by `ErrorText::pointer` or in `acknowledger_new`, as a box.
    dropped(unsafe { Box::from_raw(made.cast::<T>()) });
}

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn factory_new<F: Factory + Default>(
    error: *mut c_char,
    error_size: usize,
) -> *mut c_void {
    ErrorText(error, error_size).pointer(|| Ok(F::default()))
}

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn factory_set_attribute<F: Factory>(
    factory: *mut c_void,
    name: *const c_char,
    value: *const c_char,
    value_len: usize,
    error: *mut c_char,
    error_size: usize,
) -> i32 {
    // SAFETY: by the contract above.
    let (factory, name, value) =
        unsafe { (&mut *factory.cast::<F>(), text(name), bytes(value.cast(), value_len)) };
    ErrorText(error, error_size).code(|| {
        let (Some(name), Ok(value)) = (name, str::from_utf8(value)) else {
            return Err(Error::new("expected a text in UTF-8"));
        };
        factory.set_attribute(name, &value.into()).map_err(|error| match error {
            // The host names the rest.
            AttributeError::Invalid { expected, .. } => Error::new(format!("expected {expected}")),
            other => other.into(),
        })
    })
}

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn factory_prepare<F: Factory>(
    factory: *mut c_void,
    error: *mut c_char,
    error_size: usize,
) -> i32 {
    // SAFETY: by the contract above.
    let factory = unsafe { &mut *factory.cast::<F>() };
    ErrorText(error, error_size).code(|| factory.prepare())
}

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn factory_pool_size<F: Factory>(factory: *mut c_void) -> usize {
    // SAFETY: by the contract above.
    let factory = unsafe { &*factory.cast::<F>() };
    caught(|| factory.pool_size()).ok().flatten().unwrap_or(0)
}

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn component_new<F: Factory>(
    factory: *mut c_void,
    error: *mut c_char,
    error_size: usize,
) -> *mut c_void {
    // SAFETY: by the contract above.
    let factory = unsafe { &*factory.cast::<F>() };
    ErrorText(error, error_size).pointer(|| factory.component())
}

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn component_handle(component: *mut c_void, message: *mut Message) -> u32 {
    // SAFETY: by the contract above.
    let (component, message) =
        unsafe { (&mut *component.cast::<Box<dyn Component>>(), &mut *message) };
    match caught(|| component.handle(message)) {
        Ok(report) => report.status(),
        Err(text) => {
            message.describe(&text);
            Report::FAIL.status()
        }
    }
}

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn component_close(
    component: *mut c_void,
    error: *mut c_char,
    error_size: usize,
) -> i32 {
    // SAFETY: by the contract above.
    let component = unsafe { &mut *component.cast::<Box<dyn Component>>() };
    ErrorText(error, error_size).code(|| component.close())
}

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn source_new<F: Factory>(
    factory: *mut c_void,
    error: *mut c_char,
    error_size: usize,
) -> *mut c_void {
    // SAFETY: by the contract above.
    let factory = unsafe { &*factory.cast::<F>() };
    ErrorText(error, error_size).pointer(|| factory.source())
}

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn source_run(
    source: *mut c_void,
    emitter: *mut EmitterTable,
    error: *mut c_char,
    error_size: usize,
) -> i32 {
    // SAFETY: by the contract above.
    let source = unsafe { &mut *source.cast::<Box<dyn Source>>() };
    ErrorText(error, error_size).code(|| source.run(&mut HostEmitter(emitter)))
}

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn acknowledger_new(source: *mut c_void) -> *mut c_void {
    // SAFETY: by the contract above.
    let source = unsafe { &mut *source.cast::<Box<dyn Source>>() };
    let made = caught(|| source.acknowledger()).ok().flatten();
    made.map_or(ptr::null_mut(), |made| Box::into_raw(Box::new(made)).cast())
}

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn acknowledger_settled(
    acknowledger: *mut c_void,
    number: u64,
    status: u32,
    description: *const u8,
    description_len: usize,
) {
    // SAFETY: by the contract above.
    let (acknowledger, description) = unsafe {
        (&mut *acknowledger.cast::<Box<dyn Acknowledge>>(), bytes(description, description_len))
    };
    let description = String::from_utf8_lossy(description);
    // The hook has told of a panic, and there is no answer.
    let _ = caught(|| acknowledger.settled(number, status, &description));
}

/// The host's emitter, for a source in Rust.
struct HostEmitter(*mut EmitterTable);

/// The closure that fills a message, on its way through the host, and what came of it.
struct Filling<'a> {
    fill: &'a mut dyn FnMut(&mut Message) -> Result<(), TooLarge>,
    ended: Option<thread::Result<Result<(), TooLarge>>>,
}

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn fill(filling: *mut c_void, message: *mut Message) -> i32 {
    // SAFETY: the pointer is that of `HostEmitter::emit`, which waits for the host; the message is lent.
    let (filling, message) = unsafe { (&mut *filling.cast::<Filling<'_>>(), &mut *message) };
    let ended = catch_unwind(AssertUnwindSafe(|| (filling.fill)(message)));
    let is_filled = matches!(ended, Ok(Ok(())));
    filling.ended = Some(ended);
    if is_filled { OK } else { TOO_LARGE }
}

impl Emitter for HostEmitter {
    fn emit(
        &mut self,
        filler: &mut dyn FnMut(&mut Message) -> Result<(), TooLarge>,
    ) -> Result<u64, EmitError> {
        let mut filling = Filling { fill: filler, ended: None };
        let mut number = 0;
        // SAFETY: the host's emitter is there until the source returns, and `fill` gets what it is for.
        let code = unsafe {
            ((*self.0).emit)(self.0, Some(fill), (&raw mut filling).cast(), &raw mut number)
        };
        match filling.ended {
            // On its way to the function that the host called.
            Some(Err(payload)) => resume_unwind(payload),
            Some(Ok(Err(error))) => Err(error.into()),
            _ if code == OK => Ok(number),
            _ => Err(EmitError::Stopping),
        }
    }

    fn is_stopping(&self) -> bool {
        // SAFETY: the host's emitter is there until the source returns.
        unsafe { ((*self.0).is_stopping)(self.0) != 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Spec;
    use crate::value::Value;

    const fn said(name: &'static str, attributes: &'static [AttributeSpec]) -> Spec {
        Spec { name, kind: Kind::Sink, summary: "", attributes, doc: "" }
    }

    macro_rules! factory {
        ($name:ident, $made:expr) => {
            struct $name(Spec);

            impl Default for $name {
                fn default() -> Self {
                    Self($made)
                }
            }

            impl Factory for $name {
                fn spec(&self) -> &Spec {
                    &self.0
                }

                fn set_attribute(&mut self, _: &str, _: &Value) -> Result<(), AttributeError> {
                    Ok(())
                }

                fn prepare(&mut self) -> Result<(), Error> {
                    Ok(())
                }
            }
        };
    }

    const FUNCTION: AttributeSpec = AttributeSpec {
        name: "function",
        kind: AttributeKind::Function,
        default: None,
        required: false,
        doc: "",
    };

    factory!(Good, said("good", &[]));
    factory!(Zero, said("with a zero\0", &[]));
    factory!(Functions, said("functions", &[FUNCTION]));
    factory!(Panics, panics());

    fn panics() -> Spec {
        panic!("when it is made")
    }

    #[test]
    fn what_cannot_be_said_in_c_has_no_table() {
        assert!(!Exported::new().table::<Good>("1").is_null());
        assert!(Exported::new().table::<Good>("1\0").is_null());
        assert!(Exported::new().table::<Zero>("1").is_null());
        assert!(Exported::new().table::<Functions>("1").is_null());
        assert!(Exported::new().table::<Panics>("1").is_null());
    }

    #[test]
    fn the_table_is_made_once() {
        let exported = Exported::new();
        assert_eq!(exported.table::<Good>("1"), exported.table::<Good>("1"));
    }

    #[test]
    fn an_error_is_cut_off_at_a_whole_character() {
        for (size, expected) in [(8, "ab\u{20ac}c"), (6, "ab\u{20ac}"), (5, "ab"), (1, "")] {
            let mut room: [c_char; 8] = [1; 8];
            let text = ErrorText(room.as_mut_ptr(), size);
            assert_eq!(text.code(|| Err("ab\u{20ac}c".into())), FAILED);
            // SAFETY: it was written with its zero byte.
            assert_eq!(unsafe { crate::functions::text(room.as_ptr()) }, Some(expected), "{size}");
        }
        let mut none: [c_char; 1] = [7];
        assert_eq!(ErrorText(none.as_mut_ptr(), 0).code(|| Err("it".into())), FAILED);
        assert_eq!(none, [7]);
    }
}
