//! What a plugin says of itself, checked before anything of it is used.

use super::error::LoadError;
use crate::abi::{self, ABI_VERSION, AttributeEntry, PluginTable, SYMBOL};
use crate::buffer::Buffer;
use crate::functions::text;
use crate::message::Message;
use crate::spec::{AttributeKind, AttributeSpec, Kind, Spec};
use std::ffi::c_char;
use std::path::Path;
use std::slice;

/// A table, and what it says in the words of Rust.
type Checked = (&'static PluginTable, &'static Spec, &'static str);

/// Checks a table by rule 1 of the interface.
///
/// # Safety
///
/// It is null or a table of some version of the interface, which keeps the rules.
pub unsafe fn table(table: *const PluginTable, path: &Path) -> Result<Checked, LoadError> {
    if table.is_null() {
        return Err(LoadError::Null { path: path.to_owned(), field: format!("{SYMBOL}()") });
    }
    // SAFETY: a table of any version begins with its version; then with its size and the others, which are asked for
    // in this order, and read as long as they are what this host knows.
    let heads = unsafe {
        [(&raw const (*table).abi_version).read(), (&raw const (*table).struct_size).read()]
    };
    if heads[0] != ABI_VERSION {
        let (found, expected) = (heads[0], ABI_VERSION);
        return Err(LoadError::Version { path: path.to_owned(), found, expected });
    }
    same_size::<PluginTable>("stageline_plugin", heads[1], path)?;
    // SAFETY: it has the version and the size of this type, whose values are all valid; it stays by rule 2.
    let table = unsafe { &*table };
    same_size::<Message>("stageline_message", table.message_size, path)?;
    same_size::<Buffer>("stageline_buffer", table.buffer_size, path)?;
    // SAFETY: the table keeps the rules.
    let (spec, version) = unsafe { Reader { path }.spec(table)? };
    Ok((table, Box::leak(Box::new(spec)), version))
}

fn same_size<T>(name: &'static str, found: u32, path: &Path) -> Result<(), LoadError> {
    let expected = size_of::<T>() as u32;
    if found == expected {
        return Ok(());
    }
    Err(LoadError::Size { path: path.to_owned(), name, found, expected })
}

/// Reads texts and kinds; its errors name the file.
struct Reader<'a> {
    path: &'a Path,
}

impl Reader<'_> {
    fn null(&self, field: impl Into<String>) -> LoadError {
        LoadError::Null { path: self.path.to_owned(), field: field.into() }
    }

    fn kind(&self, field: &str, found: u32) -> LoadError {
        LoadError::Kind { path: self.path.to_owned(), field: field.to_owned(), found }
    }

    /// A text that must be there.
    ///
    /// # Safety
    ///
    /// It is null, or a text that stays, as all that follows.
    unsafe fn text(&self, place: *const c_char, field: &str) -> Result<&'static str, LoadError> {
        // SAFETY: by the contract.
        unsafe { self.text_if(place, field)? }.ok_or_else(|| self.null(field))
    }

    // SAFETY: the caller keeps the contract above.
    unsafe fn text_if(
        &self,
        place: *const c_char,
        field: &str,
    ) -> Result<Option<&'static str>, LoadError> {
        if place.is_null() {
            return Ok(None);
        }
        let broken = || LoadError::Text { path: self.path.to_owned(), field: field.to_owned() };
        // SAFETY: by the contract.
        unsafe { text(place) }.map(Some).ok_or_else(broken)
    }

    /// Which functions must be there, and are.
    fn functions(&self, table: &PluginTable, kind: Kind) -> Result<(), LoadError> {
        let is_source = kind == Kind::Source;
        let required = [
            ("factory_new", table.factory_new.is_some(), true),
            (
                "factory_set_attribute",
                table.factory_set_attribute.is_some(),
                table.attribute_count > 0,
            ),
            ("factory_free", table.factory_free.is_some(), true),
            ("component_new", table.component_new.is_some(), !is_source),
            ("component_handle", table.component_handle.is_some(), !is_source),
            ("component_free", table.component_free.is_some(), !is_source),
            ("source_new", table.source_new.is_some(), is_source),
            ("source_run", table.source_run.is_some(), is_source),
            ("source_free", table.source_free.is_some(), is_source),
        ];
        let settled = table.acknowledger_settled.is_some();
        let (new, free) = (table.acknowledger_new.is_some(), table.acknowledger_free.is_some());
        let told = [
            ("acknowledger_new", new, settled || free),
            ("acknowledger_settled", settled, new || free),
            ("acknowledger_free", free, new || settled),
        ];
        let mut all = required.into_iter().chain(told);
        match all.find(|(_, is_there, must_be)| *must_be && !is_there) {
            Some((field, ..)) => Err(self.null(field)),
            None => Ok(()),
        }
    }

    // SAFETY: the caller keeps the contract above.
    unsafe fn spec(&self, table: &PluginTable) -> Result<(Spec, &'static str), LoadError> {
        let kind = match table.kind {
            abi::KIND_SOURCE => Kind::Source,
            abi::KIND_TRANSFORM => Kind::Transform,
            abi::KIND_SINK => Kind::Sink,
            other => return Err(self.kind("kind", other)),
        };
        self.functions(table, kind)?;
        let entries = match table.attribute_count {
            0 => &[],
            _ if table.attributes.is_null() => return Err(self.null("attributes")),
            // SAFETY: by the contract there are so many.
            count => unsafe { slice::from_raw_parts(table.attributes, count as usize) },
        };
        // SAFETY: by the contract, for these and all that follow.
        let attributes: Result<Vec<_>, _> = (entries.iter().enumerate())
            .map(|(index, entry)| unsafe { self.attribute(index, entry) })
            .collect();
        // SAFETY: as above.
        let texts = unsafe {
            [
                self.text(table.name, "name")?,
                self.text(table.version, "version")?,
                self.text_if(table.summary, "summary")?.unwrap_or_default(),
                self.text_if(table.doc, "doc")?.unwrap_or_default(),
            ]
        };
        let [name, version, summary, doc] = texts;
        Ok((Spec { name, kind, summary, attributes: attributes?.leak(), doc }, version))
    }

    // SAFETY: the caller keeps the contract above.
    unsafe fn attribute(
        &self,
        index: usize,
        entry: &AttributeEntry,
    ) -> Result<AttributeSpec, LoadError> {
        let field = |name: &str| format!("attributes[{index}].{name}");
        let kind = match entry.kind {
            abi::ATTRIBUTE_TEXT => AttributeKind::Text,
            abi::ATTRIBUTE_INTEGER => AttributeKind::Integer,
            abi::ATTRIBUTE_NUMBER => AttributeKind::Number,
            abi::ATTRIBUTE_BOOLEAN => AttributeKind::Boolean,
            abi::ATTRIBUTE_DURATION => AttributeKind::Duration,
            abi::ATTRIBUTE_SIZE => AttributeKind::Size,
            abi::ATTRIBUTE_LIST => AttributeKind::List,
            abi::ATTRIBUTE_MAP => AttributeKind::Map,
            // SAFETY: by the contract.
            abi::ATTRIBUTE_ONE_OF => AttributeKind::OneOf(unsafe { self.choices(entry, &field)? }),
            other => return Err(self.kind(&field("kind"), other)),
        };
        // SAFETY: by the contract.
        unsafe {
            Ok(AttributeSpec {
                name: self.text(entry.name, &field("name"))?,
                kind,
                default: self.text_if(entry.default_value, &field("default_value"))?,
                required: entry.required != 0,
                doc: self.text_if(entry.doc, &field("doc"))?.unwrap_or_default(),
            })
        }
    }

    // SAFETY: the caller keeps the contract above.
    unsafe fn choices(
        &self,
        entry: &AttributeEntry,
        field: &dyn Fn(&str) -> String,
    ) -> Result<&'static [&'static str], LoadError> {
        if entry.choices.is_null() {
            return Err(self.null(field("choices")));
        }
        // SAFETY: by the contract there are so many.
        let choices = unsafe { slice::from_raw_parts(entry.choices, entry.choice_count as usize) };
        // SAFETY: by the contract.
        let read = choices.iter().map(|choice| unsafe { self.text(*choice, &field("choices")) });
        Ok(read.collect::<Result<Vec<_>, _>>()?.leak())
    }
}
