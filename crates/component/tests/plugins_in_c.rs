//! Plugins in C: the example, and one that uses all that the host offers.

mod common;

use common::{c_plugin, compiler, kept, message, of_workspace, package, succeed};
use stageline_component::host::Call;
use stageline_component::loader::Plugin;
use stageline_component::{
    AttributeKind, Factory, Flush, FunctionRef, Kind, Message, Report, ReportKind, Value,
};
use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

fn upper() -> Plugin {
    let folder = tempfile::tempdir().unwrap();
    Plugin::load(c_plugin(folder.path(), &of_workspace("examples/plugins/upper.c"), &[])).unwrap()
}

fn probe() -> Plugin {
    let folder = tempfile::tempdir().unwrap();
    Plugin::load(c_plugin(folder.path(), &package().join("tests/plugins/probe.c"), &[])).unwrap()
}

#[test]
fn the_example_is_loaded_and_run() {
    let plugin = upper();
    let spec = plugin.spec();
    assert_eq!((spec.name, spec.kind, plugin.version()), ("upper", Kind::Transform, "1.0"));
    assert_eq!((spec.summary, spec.doc), ("ASCII letters in upper case", ""));
    assert_eq!((spec.attributes[0].name, spec.attributes[0].default), ("prefix", Some("")));

    let mut factory = plugin.factory();
    factory.set_attribute("prefix", &"> ".into()).unwrap();
    factory.prepare().unwrap();
    assert_eq!(factory.pool_size(), None);
    let mut component = factory.component().unwrap();
    let mut lines = message("a line of z\u{e4}hlbar viel".as_bytes());
    assert_eq!(component.handle(&mut lines), Report::DONE);
    assert_eq!(str::from_utf8(lines.data()), Ok("> A LINE OF Z\u{e4}HLBAR VIEL"));
    // The message is full, but for one byte.
    lines.set_data(&[b'x'; 999]).unwrap();
    assert_eq!(component.handle(&mut lines), Report::FAIL);
    assert_eq!((lines.description(), lines.data().len()), ("no room for the prefix", 999));
    component.close().unwrap();
    assert_eq!(factory.source().err().unwrap().to_string(), "`upper`: `source_new` is null");
}

#[test]
fn attributes_are_checked_by_the_host_and_then_by_the_plugin() {
    let mut factory = upper().factory();
    let error = factory.set_attribute("prefx", &1.into()).unwrap_err().to_string();
    assert_eq!(error, "`upper` has no attribute `prefx`; did you mean `prefix`?");
    let error = factory.set_attribute("prefix", &true.into()).unwrap_err().to_string();
    assert_eq!(error, "`prefix` = true: expected a text");
    let long = Value::from("x".repeat(65));
    let error = factory.set_attribute("prefix", &long).unwrap_err().to_string();
    assert_eq!(error, format!("`prefix` = {long}: expected at most 64 bytes"));
}

#[test]
fn each_factory_has_its_attributes_and_each_thread_its_component() {
    let plugin = upper();
    let prefixes = [Some("a"), Some("b"), None];
    let factories = prefixes.map(|prefix| {
        let mut factory = plugin.factory();
        if let Some(prefix) = prefix {
            factory.set_attribute("prefix", &prefix.into()).unwrap();
        }
        factory.prepare().unwrap();
        factory
    });
    for (factory, prefix) in factories.iter().zip(prefixes) {
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut component = factory.component().unwrap();
                    for number in 0..1000 {
                        let mut message = message(format!("it {number}").as_bytes());
                        assert_eq!(component.handle(&mut message), Report::DONE);
                        let expected =
                            format!("{}IT {number}", prefix.unwrap_or("")).to_uppercase();
                        assert_eq!(message.data().to_ascii_uppercase(), expected.as_bytes());
                    }
                });
            }
        });
    }
}

#[test]
fn all_that_the_host_offers_works() {
    let mut factory = probe().factory();
    factory.set_attribute("needed", &true.into()).unwrap();
    factory.prepare().unwrap();
    assert_eq!(factory.pool_size(), Some(3));
    let mut component = factory.component().unwrap();
    let mut message = message(b"hello");
    message.set_attribute("from", b"rust").unwrap();
    message.prepare(Call { attempt: 3, flush: Some(Flush::Drain), held: 7 });
    message.set_status(105);
    let report = component.handle(&mut message);
    assert_eq!(report, Report::CONTINUE, "which check failed: {report}");
    assert_eq!(message.data(), b"bye");
    let attributes: Vec<_> = message.attributes().collect();
    assert_eq!(attributes, [("from", &b"rust"[..]), ("c", b"1")]);
    assert_eq!(message.description(), "all of it \u{fffd} works");
    assert_eq!(message.hold_at_most(), Duration::from_millis(5));
    assert!(message.take_led());
}

#[test]
fn what_a_spec_says_comes_across() {
    let plugin = probe();
    let spec = plugin.spec();
    let kinds: Vec<_> = spec.attributes.iter().map(|attribute| attribute.kind).collect();
    let expected = [
        AttributeKind::Text,
        AttributeKind::Integer,
        AttributeKind::Number,
        AttributeKind::Boolean,
        AttributeKind::Duration,
        AttributeKind::Size,
        AttributeKind::List,
        AttributeKind::Map,
        AttributeKind::OneOf(&["one", "two"]),
        AttributeKind::Boolean,
    ];
    assert_eq!(kinds, expected);
    let required: Vec<_> = spec.attributes.iter().filter(|attribute| attribute.required).collect();
    assert_eq!((required.len(), required[0].name), (1, "needed"));
    assert_eq!((spec.kind, spec.doc, plugin.version()), (Kind::Source, "Long.", "2.5"));
    assert_eq!(spec.attributes[0].doc, "A text.");
}

#[test]
fn values_come_across_in_the_form_of_their_kind() {
    let mut factory = probe().factory();
    let list = Value::List(vec!["a".into(), 2.into(), "".into()]);
    let map = BTreeMap::from([("k".to_owned(), Value::from("v=w")), ("l".to_owned(), 1.5.into())]);
    let values: [(&str, Value); 9] = [
        ("text", "tell".into()),
        ("number", "1e3".into()),
        ("boolean", "false".into()),
        ("duration", "250ms".into()),
        ("list", list),
        ("map", map.into()),
        ("choice", "two".into()),
        ("needed", true.into()),
        ("number", 0.5.into()),
    ];
    values.iter().for_each(|(name, value)| factory.set_attribute(name, value).unwrap());
    // It refuses to be prepared, and says what it got; the defaults of those that were not set come last.
    let error = factory.prepare().unwrap_err().to_string();
    let expected = "`probe`: text=tell;number=1000;boolean=false;duration=250000000ns;list=a\n2\n\n;\
                    map=k=v=w\nl=1.5\n;choice=two;needed=true;number=0.5;integer=7;size=1024;";
    assert_eq!(error, expected);
}

#[test]
fn what_cannot_come_across_is_refused() {
    let mut factory = probe().factory();
    let nested = Value::List(vec![Value::List(vec![])]);
    let function = Value::List(vec![FunctionRef::new(()).into()]);
    let named = Value::Map(BTreeMap::from([("a=b".to_owned(), Value::from(1))]));
    let cases = [
        ("list", nested, "a plugin takes texts, numbers and booleans alone in it"),
        ("list", function, "a plugin takes texts, numbers and booleans alone in it"),
        ("list", Value::List(vec!["a\nb".into()]), "a plugin takes no line feeds in it"),
        ("map", named, "no `=` in a name"),
    ];
    for (name, value, reason) in cases {
        let error = factory.set_attribute(name, &value).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("`{name}` = {value}: ")) && error.contains(reason),
            "{error}"
        );
    }
    let error = factory.prepare().unwrap_err().to_string();
    assert_eq!(error, "`probe` needs the attribute `needed`");
}

fn prepared(plugin: &Plugin) -> Box<dyn Factory> {
    let mut factory = plugin.factory();
    factory.set_attribute("needed", &true.into()).unwrap();
    factory.prepare().unwrap();
    factory
}

#[test]
fn a_source_emits_until_the_end() {
    let factory = prepared(&probe());
    let mut source = factory.source().unwrap();
    let mut out = kept(2);
    let error = source.run(&mut out).unwrap_err().to_string();
    // Sent, too large, no function, sent, stopping; their numbers; not stopping, stopping.
    assert_eq!(error, "0 1 2 0 3; 0 1; 1 1");
    let data: Vec<_> = out.messages.iter().map(Message::data).collect();
    assert_eq!(data, [&b"filled"[..], b"data"]);
    assert_eq!(out.messages[0].attribute("by"), Some(&b"fill"[..]));
}

#[test]
fn what_acknowledges_is_told_on_another_thread() {
    let mut factory = probe().factory();
    factory.set_attribute("needed", &true.into()).unwrap();
    factory.set_attribute("text", &"tell".into()).unwrap();
    let mut told = factory.source().unwrap().acknowledger().unwrap();
    thread::spawn(move || told.settled(1, 200, "why")).join().unwrap();
    // The plugin notes all in one place, and tells of it.
    let error = factory.prepare().unwrap_err().to_string();
    assert!(error.contains("text=tell;1:200:why;"), "{error}");
}

/// The plugin ends the process if a factory is freed too early.
#[test]
fn the_factory_is_freed_last() {
    let factory = prepared(&probe());
    let (mut component, source) = (factory.component().unwrap(), factory.source().unwrap());
    drop(factory);
    drop(source);
    let mut other = message(b"other");
    assert_eq!(component.handle(&mut other).kind(), ReportKind::Fail);
    let error = component.close().unwrap_err().to_string();
    assert_eq!(error, "0".repeat(511), "cut off where the room ends");
}

#[test]
fn the_header_is_taken_by_c99_and_cpp() {
    let folder = tempfile::tempdir().unwrap();
    let upper = of_workspace("examples/plugins/upper.c");
    succeed(compiler("cc").args(["-std=c99", "-fsyntax-only"]).arg(upper));
    let text = "#include \"stageline_component.h\"\n\
                static const stageline_plugin it = {STAGELINE_PLUGIN_HEAD};\n\
                const stageline_plugin *stageline_component_plugin(void) { return &it; }\n";
    let file = folder.path().join("it.cpp");
    fs::write(&file, text).unwrap();
    let options = ["-std=c++11", "-fsyntax-only", "-Wno-missing-field-initializers"];
    succeed(compiler("c++").args(options).arg(file));
}
