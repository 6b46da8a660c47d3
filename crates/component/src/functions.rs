//! The functions of the host's table, which every message carries.

use crate::abi::{ABI_VERSION, HostTable, INVALID, OK, TOO_LARGE};
use crate::buffer::TooLarge;
use crate::message::Message;
use crate::report::Report;
use std::ffi::{CStr, c_char};
use std::slice;
use std::time::Duration;

/// What each message points at.
pub static HOST: HostTable = HostTable {
    struct_size: size_of::<HostTable>() as u32,
    abi_version: ABI_VERSION,
    set_data,
    append_data,
    reserve,
    attribute,
    set_attribute,
    remove_attribute,
    attribute_at,
    describe,
    hold_for,
    lead,
};

/// Bytes that the other side names; none where it names none.
///
/// # Safety
///
/// There are `len` bytes at `data` for as long as the slice is used, unless `len` is 0.
pub unsafe fn bytes<'a>(data: *const u8, len: usize) -> &'a [u8] {
    match len {
        // (Nobody says that the pointer to nothing is valid.)
        0 => &[],
        // SAFETY: by the contract.
        _ => unsafe { slice::from_raw_parts(data, len) },
    }
}

/// A text of the other side, up to its zero byte; `None` if it is null or no UTF-8.
///
/// # Safety
///
/// It is null, or stays as it is, with a zero byte, for as long as it is used.
pub unsafe fn text<'a>(text: *const c_char) -> Option<&'a str> {
    // SAFETY: by the contract.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })?.to_str().ok()
}

fn code(result: Result<(), TooLarge>) -> i32 {
    if result.is_ok() { OK } else { TOO_LARGE }
}

// Of each function that follows the caller warrants: the message is one that it handles or fills, so that it is its
// own; `len` bytes stand at the pointer before the length; texts end with a zero byte; results have a place to go to.

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn set_data(message: *mut Message, data: *const u8, len: usize) -> i32 {
    // SAFETY: by the contract above.
    let (message, data) = unsafe { (&mut *message, bytes(data, len)) };
    code(message.set_data(data))
}

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn append_data(message: *mut Message, data: *const u8, len: usize) -> i32 {
    // SAFETY: by the contract above.
    let (message, data) = unsafe { (&mut *message, bytes(data, len)) };
    code(message.data_mut().extend_from_slice(data))
}

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn reserve(message: *mut Message, additional: usize) -> i32 {
    // SAFETY: by the contract above.
    let message = unsafe { &mut *message };
    code(message.data_mut().reserve(additional))
}

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn attribute(
    message: *const Message,
    name: *const c_char,
    value: *mut *const u8,
    len: *mut usize,
) -> i32 {
    // SAFETY: by the contract above.
    let (message, name) = unsafe { (&*message, text(name)) };
    let Some(found) = name.and_then(|name| message.attribute(name)) else { return 0 };
    // SAFETY: by the contract above.
    unsafe { (*value, *len) = (found.as_ptr(), found.len()) };
    1
}

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn set_attribute(
    message: *mut Message,
    name: *const c_char,
    value: *const u8,
    len: usize,
) -> i32 {
    // SAFETY: by the contract above.
    let (message, name, value) = unsafe { (&mut *message, text(name), bytes(value, len)) };
    name.map_or(INVALID, |name| code(message.set_attribute(name, value)))
}

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn remove_attribute(message: *mut Message, name: *const c_char) -> i32 {
    // SAFETY: by the contract above.
    let (message, name) = unsafe { (&mut *message, text(name)) };
    i32::from(name.is_some_and(|name| message.remove_attribute(name)))
}

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn attribute_at(
    message: *const Message,
    index: usize,
    name: *mut *const u8,
    name_len: *mut usize,
    value: *mut *const u8,
    len: *mut usize,
) -> i32 {
    // SAFETY: by the contract above.
    let message = unsafe { &*message };
    let Some((found, its_value)) = message.attributes().nth(index) else { return 0 };
    // SAFETY: by the contract above.
    unsafe {
        (*name, *name_len) = (found.as_ptr(), found.len());
        (*value, *len) = (its_value.as_ptr(), its_value.len());
    }
    1
}

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn describe(message: *mut Message, text: *const c_char) {
    // SAFETY: by the contract above.
    let message = unsafe { &mut *message };
    // SAFETY: by the contract above.
    let text = if text.is_null() { c"" } else { unsafe { CStr::from_ptr(text) } };
    message.describe_bytes(text.to_bytes());
}

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn hold_for(message: *mut Message, nanoseconds: u64) -> u32 {
    // SAFETY: by the contract above.
    let message = unsafe { &mut *message };
    Report::status(message.hold_for(Duration::from_nanos(nanoseconds)))
}

// SAFETY: the caller keeps the contract above.
unsafe extern "C" fn lead(message: *mut Message) {
    // SAFETY: by the contract above.
    let message = unsafe { &mut *message };
    message.lead();
}
