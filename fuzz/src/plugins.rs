//! Tables of plugins, as a shared object hands them over: what is wrong is refused by its field, and what is right says
//! in the words of Rust what the table says.

use crate::allow_asked_panics;
use arbitrary::{Arbitrary, Unstructured};
use stageline_component::abi::{
    ABI_VERSION, ATTRIBUTE_ONE_OF, ATTRIBUTE_TEXT, AttributeEntry, KIND_SINK, KIND_SOURCE, OK,
    PluginTable,
};
use stageline_component::loader::Plugin;
use stageline_component::{AttributeKind, Buffer, Message, Report, Spec, Value};
use std::collections::BTreeSet;
use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const ENTRIES_MAX: usize = 4;
const CHOICES_MAX: usize = 3;
/// Of so many tables that are right: what they say stays in memory, as that of a plugin does.
const RIGHT_MAX: usize = 300_000;
static RIGHT: AtomicUsize = AtomicUsize::new(0);

/// A text of the plugin, or what stands in its place. A null is as frequent as each of the others.
#[derive(Arbitrary, Clone, Debug)]
enum Text {
    Null,
    Word(u8),
    Utf8(String),
    Bytes(Vec<u8>),
}

const WORDS: [&CStr; 8] =
    [c"it", c"path", c"1", c"250ms", c"true", c"a\nb", c"\xc3\xa4", c"18446744073709551616"];

impl Text {
    fn bytes(&self) -> Option<Vec<u8>> {
        let bytes = match self {
            Self::Null => return None,
            Self::Word(word) => WORDS[usize::from(*word) % WORDS.len()].to_bytes(),
            Self::Utf8(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        };
        // It ends at its first zero.
        Some(bytes.iter().copied().take_while(|byte| *byte != 0).collect())
    }

    /// What the host makes of it; what is wrong is named.
    fn told(&self, field: &str, must_be: bool, wrong: &mut BTreeSet<String>) -> Option<String> {
        let Some(bytes) = self.bytes() else {
            wrong.extend(must_be.then(|| format!("`{field}` is null")));
            return None;
        };
        let text = String::from_utf8(bytes).ok();
        wrong.extend(text.is_none().then(|| format!("`{field}` is no text in UTF-8")));
        text
    }
}

#[derive(Arbitrary, Clone, Debug)]
struct Entry {
    name: Text,
    doc: Text,
    default: Text,
    choices: Option<Vec<Text>>,
    kind: u8,
    required: bool,
}

#[derive(Arbitrary, Debug)]
struct Table {
    /// Which of the numbers at the head is another, and which; behind those, whether a function is missing, or there is one
    /// that needs others.
    head: u8,
    number: u32,
    kind: u8,
    name: Text,
    version: Text,
    summary: Text,
    doc: Text,
    entries: Vec<Entry>,
    /// The function that is missing, if one is.
    missing: u8,
    /// Values that attributes are set to, by number.
    given: Vec<(u8, String)>,
}

/// What of a table is in memory of its own, which stays.
#[derive(Default)]
struct Kept {
    texts: Vec<CString>,
    choices: Vec<Vec<*const c_char>>,
    entries: Vec<AttributeEntry>,
    table: Option<Box<PluginTable>>,
}

// SAFETY: nobody changes what the pointers point at, which is kept with them.
unsafe impl Send for Kept {}

/// What plugins that were taken point at.
static KEPT: Mutex<Vec<(Kept, Plugin)>> = Mutex::new(Vec::new());

impl Kept {
    fn text(&mut self, text: &Text) -> *const c_char {
        let Some(bytes) = text.bytes() else { return ptr::null() };
        self.texts.push(CString::new(bytes).expect("it was cut at a zero"));
        self.texts[self.texts.len() - 1].as_ptr()
    }

    fn entry(&mut self, entry: &Entry) -> AttributeEntry {
        let choices = entry.choices.as_ref().map(|choices| {
            choices.iter().take(CHOICES_MAX).map(|choice| self.text(choice)).collect::<Vec<_>>()
        });
        let choice_count = choices.as_ref().map_or(1, Vec::len) as u32;
        self.choices.extend(choices.clone());
        let choices =
            choices.and(self.choices.last()).map_or(ptr::null(), |choices| choices.as_ptr());
        let (name, doc, default_value) =
            (self.text(&entry.name), self.text(&entry.doc), self.text(&entry.default));
        let (kind, required) = (kind_of(entry.kind), u32::from(entry.required));
        AttributeEntry { name, doc, default_value, choices, choice_count, kind, required }
    }
}

/// One more than there is on either side.
fn kind_of(byte: u8) -> u32 {
    u32::from(byte) % (ATTRIBUTE_ONE_OF + 2)
}

extern "C" fn new(_: *mut c_char, _: usize) -> *mut c_void {
    ptr::dangling_mut::<u8>().cast()
}

extern "C" fn of(_: *mut c_void, _: *mut c_char, _: usize) -> *mut c_void {
    ptr::dangling_mut::<u8>().cast()
}

extern "C" fn set(
    _: *mut c_void,
    name: *const c_char,
    value: *const c_char,
    len: usize,
    _: *mut c_char,
    _: usize,
) -> i32 {
    // SAFETY: a name ends with a zero.
    assert!(unsafe { CStr::from_ptr(name) }.to_str().is_ok());
    // SAFETY: a value has so many bytes, and a zero behind them.
    let value = unsafe { std::slice::from_raw_parts(value.cast::<u8>(), len + 1) };
    assert!(str::from_utf8(&value[..len]).is_ok() && value[len] == 0);
    OK
}

extern "C" fn free(_: *mut c_void) {}

extern "C" fn handle(_: *mut c_void, _: *mut Message) -> u32 {
    stageline_component::abi::DONE
}

impl Table {
    fn kind(&self) -> u32 {
        u32::from(self.kind) % (KIND_SINK + 2)
    }

    /// Most of the numbers say that nothing is wrong there.
    fn head(&self) -> u8 {
        self.head % 16
    }

    fn has(&self, function: u8) -> bool {
        self.head() != 6 || self.missing % 8 != function
    }

    /// The table in memory, which is kept as long as its parts are.
    fn made(&self, kept: &mut Kept) -> *const PluginTable {
        kept.entries = self.entries.iter().map(|entry| kept.entry(entry)).collect();
        let own = |field: u8, own: u32| if self.head() == field { self.number } else { own };
        let size = |size: usize| size as u32;
        let table = PluginTable {
            abi_version: own(1, ABI_VERSION),
            struct_size: own(2, size(size_of::<PluginTable>())),
            message_size: own(3, size(size_of::<Message>())),
            buffer_size: own(4, size(size_of::<Buffer>())),
            kind: self.kind(),
            attribute_count: kept.entries.len() as u32,
            attributes: kept.entries.as_ptr(),
            name: kept.text(&self.name),
            version: kept.text(&self.version),
            summary: kept.text(&self.summary),
            doc: kept.text(&self.doc),
            factory_new: self.has(0).then_some(new),
            factory_set_attribute: self.has(1).then_some(set),
            factory_prepare: None,
            factory_pool_size: None,
            factory_free: self.has(2).then_some(free),
            component_new: self.has(3).then_some(of),
            component_handle: self.has(4).then_some(handle),
            component_close: None,
            component_free: self.has(5).then_some(free),
            // (No source is run: there is none.)
            source_new: None,
            source_run: None,
            source_free: None,
            acknowledger_new: None,
            acknowledger_settled: None,
            acknowledger_free: if self.head() == 5 { Some(free) } else { None },
        };
        &raw const **kept.table.insert(Box::new(table))
    }

    /// All that the host may complain of.
    fn wrong(&self) -> BTreeSet<String> {
        let mut wrong = BTreeSet::new();
        let heads = [
            ("version", ABI_VERSION as usize),
            ("stageline_plugin", size_of::<PluginTable>()),
            ("stageline_message", size_of::<Message>()),
            ("stageline_buffer", size_of::<Buffer>()),
        ];
        if let Some((name, own)) = heads.get(usize::from(self.head()).wrapping_sub(1))
            && *own != self.number as usize
        {
            // What is behind it may be anything.
            return BTreeSet::from([format!("head {name}")]);
        }
        let kind = self.kind();
        if !(KIND_SOURCE..=KIND_SINK).contains(&kind) {
            wrong.insert(format!("`kind` is {kind}, which is no kind"));
        }
        let is_source = kind == KIND_SOURCE;
        let functions = [
            ("factory_new", self.has(0)),
            ("factory_set_attribute", self.has(1) || self.entries.is_empty()),
            ("factory_free", self.has(2)),
            ("component_new", self.has(3) || is_source),
            ("component_handle", self.has(4) || is_source),
            ("component_free", self.has(5) || is_source),
            ("source_new", !is_source),
            ("source_run", !is_source),
            ("source_free", !is_source),
            ("acknowledger_new", self.head() != 5),
            ("acknowledger_settled", self.head() != 5),
        ];
        let missing = functions.iter().filter(|(_, is_right)| !is_right);
        wrong.extend(missing.map(|(name, _)| format!("`{name}` is null")));
        self.name.told("name", true, &mut wrong);
        self.version.told("version", true, &mut wrong);
        self.summary.told("summary", false, &mut wrong);
        self.doc.told("doc", false, &mut wrong);
        for (index, entry) in self.entries.iter().enumerate() {
            entry.check(index, &mut wrong);
        }
        wrong
    }
}

impl Entry {
    fn check(&self, index: usize, wrong: &mut BTreeSet<String>) {
        let field = |name: &str| format!("attributes[{index}].{name}");
        let kind = kind_of(self.kind);
        if !(ATTRIBUTE_TEXT..=ATTRIBUTE_ONE_OF).contains(&kind) {
            wrong.insert(format!("`{}` is {kind}, which is no kind", field("kind")));
        }
        match &self.choices {
            _ if kind != ATTRIBUTE_ONE_OF => {}
            None => drop(wrong.insert(format!("`{}` is null", field("choices")))),
            Some(choices) => choices.iter().take(CHOICES_MAX).for_each(|choice| {
                choice.told(&field("choices"), true, wrong);
            }),
        }
        self.name.told(&field("name"), true, wrong);
        self.default.told(&field("default_value"), false, wrong);
        self.doc.told(&field("doc"), false, wrong);
    }
}

/// One table, loaded and used.
pub fn run(data: &[u8]) {
    allow_asked_panics();
    let Ok(mut table) = Table::arbitrary_take_rest(Unstructured::new(data)) else { return };
    table.entries.truncate(ENTRIES_MAX);
    let wrong = table.wrong();
    if wrong.is_empty() && RIGHT.fetch_add(1, Ordering::Relaxed) >= RIGHT_MAX {
        return;
    }
    let mut kept = Kept::default();
    let made = table.made(&mut kept);
    // SAFETY: all that it points at is kept, for ever if it is taken. What its functions are given they do not use.
    let loaded = unsafe { Plugin::of_table(made, Path::new("it.so")) };
    match loaded {
        Err(error) => {
            let text = error.to_string();
            let text = text.strip_prefix("plugin `it.so`: ").expect("it names the file");
            let is_head = wrong.iter().any(|wrong| wrong.starts_with("head "));
            let is_told =
                if is_head { text.contains("build it with") } else { wrong.contains(text) };
            assert!(is_told, "{text}: {wrong:?}");
        }
        Ok(plugin) => {
            assert!(wrong.is_empty(), "{wrong:?}");
            check_spec(&table, plugin.spec());
            use_it(&table, &plugin);
            KEPT.lock().unwrap().push((kept, plugin));
        }
    }
}

fn check_spec(table: &Table, spec: &Spec) {
    let mut none = BTreeSet::new();
    let mut text = |text: &Text| text.told("", false, &mut none);
    assert_eq!(Some(spec.name.to_owned()), text(&table.name));
    assert_eq!(spec.summary, text(&table.summary).unwrap_or_default());
    assert_eq!(spec.doc, text(&table.doc).unwrap_or_default());
    assert_eq!(spec.attributes.len(), table.entries.len());
    for (attribute, entry) in spec.attributes.iter().zip(&table.entries) {
        assert_eq!(Some(attribute.name.to_owned()), text(&entry.name));
        assert_eq!(attribute.doc, text(&entry.doc).unwrap_or_default());
        assert_eq!(attribute.default.map(str::to_owned), text(&entry.default));
        assert_eq!(attribute.required, entry.required);
        if let AttributeKind::OneOf(choices) = attribute.kind {
            let told = entry.choices.iter().flatten().take(CHOICES_MAX).filter_map(&mut text);
            assert_eq!(choices, told.collect::<Vec<_>>());
        }
    }
}

/// Attributes are set to what the bytes say. What is not refused makes a component.
fn use_it(table: &Table, plugin: &Plugin) {
    let mut factory = plugin.factory();
    for (index, value) in &table.given {
        let attributes = plugin.spec().attributes;
        let name = attributes.get(usize::from(*index)).map_or("none", |attribute| attribute.name);
        if let Err(error) = factory.set_attribute(name, &Value::from(value.as_str())) {
            assert!(!error.to_string().is_empty());
        }
    }
    match factory.prepare() {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(()) => {
            let mut component = factory.component().expect("no source is taken");
            assert_eq!(component.handle(&mut Message::new(0, 1)), Report::DONE);
            component.close().expect("nothing is to be closed");
        }
    }
}
