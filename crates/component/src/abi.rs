//! The C interface: one table of functions that a plugin gives, and one that it gets.
//!
//! A plugin is a shared object that exports one symbol, `stageline_component_plugin`, which answers with a
//! [`PluginTable`]. It links against nothing: what it needs of the host hangs on the message ([`HostTable`]) and on
//! the emitter ([`EmitterTable`]). `include/stageline_component.h` is made from this file.
//!
//! # Rules
//!
//! 1. The host reads `abi_version` first, then the sizes, and nothing else unless all of them are its own.
//! 2. The table and all that it points at stay as they are for ever; a plugin is never unloaded.
//! 3. The calls of one factory come one after another, on any thread. Those of one component, too: `component_new`
//!    and `component_handle` on the thread that runs it, `component_close` and `component_free` afterwards.
//! 4. `source_run` has a thread of its own, on which its emitter is used and nowhere else. What acknowledges is called
//!    on another thread meanwhile. What fills a message does not use the emitter.
//! 5. `factory_free` comes last, after all that the factory has made is freed.
//! 6. A message belongs to the component from the call of `component_handle` until it returns.
//! 7. No panic and no exception leaves a function of either side. (A foreign exception cannot be caught in Rust: a plugin in C++
//!    catches its own by the `stageline_guarded` of the header.)
//! 8. A text is UTF-8 and ends with a zero byte, unless a length stands beside it. An error is written with
//!    its zero byte into the `error_size` bytes at `error`, and cut off where it is longer.
//!
//! # What became of gopiper's factory
//!
//! | there | here |
//! |---|---|
//! | `Create(postponed)` | `component_new`, or `source_new` for what used `postponed`: `source_run` gets an emitter in its place |
//! | `Amount()`, `PoolSize()` | `factory_pool_size`; 0 lets the workers of the pipeline run it |
//! | `ChannelSize()` | nothing: the window of the pipeline bounds what is on its way, and no component has a queue |
//! | `SetAttribute(key, value) error` | `factory_set_attribute`, with values that were checked against `attributes` |
//! | `Destroy()` | `component_close`, which may fail, then `component_free`; at the end `factory_free` |
//! | `Release` of a message | nothing: a report settles it |

use crate::message::Message;
use std::ffi::{c_char, c_void};

/// The version of this interface. It changes with any field of any struct.
pub const ABI_VERSION: u32 = 2;

/// The name of the one symbol of a plugin.
pub const SYMBOL: &str = "stageline_component_plugin";

/// How many bytes the host gives a plugin for an error.
pub const ERROR_MAX: usize = 512;

/// It went well.
pub const OK: i32 = 0;
/// There would be more bytes than there may be.
pub const TOO_LARGE: i32 = 1;
/// A name that is no UTF-8, or a pointer that is null.
pub const INVALID: i32 = 2;
/// The run ends: the source is to return.
pub const STOPPING: i32 = 3;
/// It did not go well, and the error text says why.
pub const FAILED: i32 = 4;

/// It produces messages.
pub const KIND_SOURCE: u32 = 1;
/// It changes them.
pub const KIND_TRANSFORM: u32 = 2;
/// It takes them elsewhere.
pub const KIND_SINK: u32 = 3;

/// Text.
pub const ATTRIBUTE_TEXT: u32 = 1;
/// A whole number of 64 bits, in decimal.
pub const ATTRIBUTE_INTEGER: u32 = 2;
/// A number, in decimal.
pub const ATTRIBUTE_NUMBER: u32 = 3;
/// `true` or `false`.
pub const ATTRIBUTE_BOOLEAN: u32 = 4;
/// A time, in nanoseconds: `250000000ns`.
pub const ATTRIBUTE_DURATION: u32 = 5;
/// A number of bytes, in decimal.
pub const ATTRIBUTE_SIZE: u32 = 6;
/// Texts, each with a line feed behind it.
pub const ATTRIBUTE_LIST: u32 = 7;
/// Names and texts, each pair as `name=text` with a line feed behind it.
pub const ATTRIBUTE_MAP: u32 = 8;
/// One of the texts in `choices`.
pub const ATTRIBUTE_ONE_OF: u32 = 9;

/// The next component gets the message.
pub const DONE: u32 = 0;
/// The component keeps the message and waits for more.
pub const CONTINUE: u32 = 1;
/// The message is handled again, later: 100 to 199.
pub const RETRY: u32 = 100;
/// The message has failed: 200 to 299.
pub const FAIL: u32 = 200;
/// The message is dropped: 300 and above.
pub const DROP: u32 = 300;

/// What a plugin may do with a message beside reading its fields. Each message points at it.
#[repr(C)]
pub struct HostTable {
    /// The size of this struct.
    pub struct_size: u32,
    /// The version of the interface that the host has.
    pub abi_version: u32,
    /// Puts `len` bytes in place of the message's data. OK or TOO_LARGE, which changes nothing.
    pub set_data: unsafe extern "C" fn(message: *mut Message, data: *const u8, len: usize) -> i32,
    /// Appends `len` bytes to the message's data. OK or TOO_LARGE, which changes nothing.
    pub append_data:
        unsafe extern "C" fn(message: *mut Message, data: *const u8, len: usize) -> i32,
    /// Makes room for `additional` bytes behind the data, whose place may change. OK or TOO_LARGE.
    pub reserve: unsafe extern "C" fn(message: *mut Message, additional: usize) -> i32,
    /// Finds an attribute: 1 and its value, which stays until an attribute is changed, or 0.
    pub attribute: unsafe extern "C" fn(
        message: *const Message,
        name: *const c_char,
        value: *mut *const u8,
        len: *mut usize,
    ) -> i32,
    /// Sets an attribute. OK, TOO_LARGE, which changes nothing, or INVALID.
    pub set_attribute: unsafe extern "C" fn(
        message: *mut Message,
        name: *const c_char,
        value: *const u8,
        len: usize,
    ) -> i32,
    /// Removes an attribute: 1 if there was one, else 0.
    pub remove_attribute: unsafe extern "C" fn(message: *mut Message, name: *const c_char) -> i32,
    /// Walks the attributes: 1, the one of this index (from 0), and its name without a zero byte; or 0 at the end.
    pub attribute_at: unsafe extern "C" fn(
        message: *const Message,
        index: usize,
        name: *mut *const u8,
        name_len: *mut usize,
        value: *mut *const u8,
        len: *mut usize,
    ) -> i32,
    /// Says something about the report that follows, in as many bytes as a description has.
    pub describe: unsafe extern "C" fn(message: *mut Message, text: *const c_char),
    /// The answer CONTINUE, for a message that is to be kept no longer than this.
    pub hold_for: unsafe extern "C" fn(message: *mut Message, nanoseconds: u64) -> u32,
    /// The messages that the component holds are settled together with this one, by the report that follows.
    pub lead: unsafe extern "C" fn(message: *mut Message),
}

/// Fills an empty message that is to be emitted: OK, or anything else to emit nothing.
pub type Fill = Option<unsafe extern "C" fn(context: *mut c_void, message: *mut Message) -> i32>;

/// Where a source puts its messages.
#[repr(C)]
pub struct EmitterTable {
    /// The host's own.
    pub context: *mut c_void,
    /// Waits until there is room for a message, has it filled by `fill` with `fill_context`, and sends it on its
    /// way: OK, TOO_LARGE if the filling was not OK, or STOPPING. Its number goes to `number`, if that is not null.
    pub emit: unsafe extern "C" fn(
        emitter: *mut EmitterTable,
        fill: Fill,
        fill_context: *mut c_void,
        number: *mut u64,
    ) -> i32,
    /// Emits a message with these bytes and no attributes, as `emit` does.
    pub emit_data: unsafe extern "C" fn(
        emitter: *mut EmitterTable,
        data: *const u8,
        len: usize,
        number: *mut u64,
    ) -> i32,
    /// Whether the source is to return soon: 1 or 0. One that waits for input asks every 100 ms or so.
    pub is_stopping: unsafe extern "C" fn(emitter: *const EmitterTable) -> i32,
}

/// One attribute of a component.
#[repr(C)]
pub struct AttributeEntry {
    /// What scripts call it.
    pub name: *const c_char,
    /// What it is for.
    pub doc: *const c_char,
    /// The value that it has if none is set, written as in a script; or null.
    pub default_value: *const c_char,
    /// The texts of ATTRIBUTE_ONE_OF; null for the others.
    pub choices: *const *const c_char,
    /// How many choices there are.
    pub choice_count: u32,
    /// What its values are: one of the ATTRIBUTE constants.
    pub kind: u32,
    /// Whether a value must be set: 1 or 0.
    pub required: u32,
}

/// What a plugin is. Functions that are said to be for one kind may be null in the others.
#[repr(C)]
#[derive(Debug)]
pub struct PluginTable {
    /// ABI_VERSION.
    pub abi_version: u32,
    /// The size of this struct.
    pub struct_size: u32,
    /// The size of a message.
    pub message_size: u32,
    /// The size of a buffer.
    pub buffer_size: u32,
    /// One of the KIND constants.
    pub kind: u32,
    /// How many attributes there are.
    pub attribute_count: u32,
    /// The attributes; null where there are none.
    pub attributes: *const AttributeEntry,
    /// What scripts call the component.
    pub name: *const c_char,
    /// The version of the plugin.
    pub version: *const c_char,
    /// What it does, in a line; or null.
    pub summary: *const c_char,
    /// All that there is to say, in Markdown; or null.
    pub doc: *const c_char,

    /// Makes a factory, for one place in a pipeline; null with an error if it cannot.
    pub factory_new:
        Option<unsafe extern "C" fn(error: *mut c_char, error_size: usize) -> *mut c_void>,
    /// Sets an attribute, to a text in the form of its kind; OK or FAILED. Defaults are set, too. Null where there
    /// are no attributes.
    pub factory_set_attribute: Option<
        unsafe extern "C" fn(
            factory: *mut c_void,
            name: *const c_char,
            value: *const c_char,
            value_len: usize,
            error: *mut c_char,
            error_size: usize,
        ) -> i32,
    >,
    /// All attributes are set; OK or FAILED. May be null.
    pub factory_prepare: Option<
        unsafe extern "C" fn(factory: *mut c_void, error: *mut c_char, error_size: usize) -> i32,
    >,
    /// How many threads of their own run components that block; 0 if they do not block. May be null.
    pub factory_pool_size: Option<unsafe extern "C" fn(factory: *mut c_void) -> usize>,
    /// Frees a factory.
    pub factory_free: Option<unsafe extern "C" fn(factory: *mut c_void)>,

    /// Makes a component; null with an error if it cannot. For transforms and sinks, as all of component.
    pub component_new: Option<
        unsafe extern "C" fn(
            factory: *mut c_void,
            error: *mut c_char,
            error_size: usize,
        ) -> *mut c_void,
    >,
    /// Handles a message, and answers with the status of a report.
    pub component_handle:
        Option<unsafe extern "C" fn(component: *mut c_void, message: *mut Message) -> u32>,
    /// The run ends; OK or FAILED. May be null.
    pub component_close: Option<
        unsafe extern "C" fn(component: *mut c_void, error: *mut c_char, error_size: usize) -> i32,
    >,
    /// Frees a component.
    pub component_free: Option<unsafe extern "C" fn(component: *mut c_void)>,

    /// Makes a source; null with an error if it cannot. For sources, as all that follows.
    pub source_new: Option<
        unsafe extern "C" fn(
            factory: *mut c_void,
            error: *mut c_char,
            error_size: usize,
        ) -> *mut c_void,
    >,
    /// Emits messages until there are no more or the emitter is stopping; OK or FAILED.
    pub source_run: Option<
        unsafe extern "C" fn(
            source: *mut c_void,
            emitter: *mut EmitterTable,
            error: *mut c_char,
            error_size: usize,
        ) -> i32,
    >,
    /// Frees a source.
    pub source_free: Option<unsafe extern "C" fn(source: *mut c_void)>,
    /// Makes what is told when the journey of a message is over; null for nothing. Called once, before the run. May
    /// be null, together with the two that follow.
    pub acknowledger_new: Option<unsafe extern "C" fn(source: *mut c_void) -> *mut c_void>,
    /// The message of this number was settled with this status.
    pub acknowledger_settled: Option<
        unsafe extern "C" fn(
            acknowledger: *mut c_void,
            number: u64,
            status: u32,
            description: *const u8,
            description_len: usize,
        ),
    >,
    /// Frees what is told.
    pub acknowledger_free: Option<unsafe extern "C" fn(acknowledger: *mut c_void)>,
}

// SAFETY: by rule 2 all that it points at stays as it is.
unsafe impl Send for PluginTable {}
// SAFETY: as above.
unsafe impl Sync for PluginTable {}
