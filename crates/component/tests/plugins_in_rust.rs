//! Plugins in Rust: those of the examples, and one that panics.

mod common;

use common::{cargo_build, kept, library, message};
use stageline_component::host::Call;
use stageline_component::loader::Plugin;
use stageline_component::{EmitError, Emitter, Factory, Flush, Kind, Message, Report, TooLarge};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

/// The folder of the plugins, built once a process.
fn built() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let packages = ["stageline-plugin-panics", "stageline-plugin-reverse"];
        cargo_build(&packages.map(|package| ["-p", package]).concat()).join("debug")
    })
}

fn reverse() -> Box<dyn Factory> {
    Plugin::load(library(built(), "reverse_component")).unwrap().factory()
}

/// The factory of the plugin that panics, told where.
fn panics(at: &str) -> Box<dyn Factory> {
    let plugin = Plugin::load(library(built(), "panics_component")).unwrap();
    let mut factory = plugin.factory();
    factory.set_attribute("at", &at.into()).unwrap();
    factory
}

#[test]
fn the_example_is_loaded_and_run() {
    let plugin = Plugin::load(library(built(), "reverse_component")).unwrap();
    let spec = plugin.spec();
    assert_eq!((spec.name, spec.kind, plugin.version()), ("reverse", Kind::Transform, "0.1.0"));
    assert_eq!(spec.attributes.len(), 3);
    assert_eq!(spec.attributes[0].kind.to_string(), "one of \"bytes\", \"lines\"");
    for (by, expected) in [("bytes", &b"fe\nd\ncba"[..]), ("lines", b"ef\nd\nabc")] {
        let mut factory = plugin.factory();
        factory.set_attribute("by", &by.into()).unwrap();
        factory.prepare().unwrap();
        let mut message = message(b"abc\nd\nef");
        assert_eq!(factory.component().unwrap().handle(&mut message), Report::DONE);
        assert_eq!(message.data(), expected);
    }
    let mut factory = reverse();
    let error = factory.set_attribute("gather", &0.into()).unwrap_err().to_string();
    assert_eq!(error, "`gather` = 0: expected a number from 1 to 1000");
    let error = factory.source().err().unwrap().to_string();
    assert_eq!(error, "`reverse`: `reverse` is a transform: it produces no messages of its own");
}

#[test]
fn a_component_holds_messages_and_lets_them_go() {
    let mut factory = reverse();
    factory.set_attribute("gather", &3.into()).unwrap();
    factory.set_attribute("age", &"5ms".into()).unwrap();
    factory.prepare().unwrap();
    let mut component = factory.component().unwrap();
    let mut call = |data: &[u8], flush, held| {
        let mut message = message(data);
        message.prepare(Call { attempt: 1, flush, held });
        let report = component.handle(&mut message);
        let text = String::from_utf8(message.data().to_vec()).unwrap();
        (report, text, message.hold_at_most(), message.take_led())
    };
    let (report, _, age, _) = call(b"ab", None, 0);
    assert_eq!((report, age), (Report::CONTINUE, Duration::from_millis(5)));
    assert_eq!(call(b"cd", None, 1).0, Report::CONTINUE);
    let (report, text, ..) = call(b"ef", None, 2);
    assert_eq!((report, text.as_str()), (Report::DONE, "fe\ndc\nba"));
    assert_eq!(call(b"gh", None, 0).0, Report::CONTINUE);
    let (report, text, ..) = call(b"hg", Some(Flush::Drain), 1);
    assert_eq!((report, text.as_str()), (Report::DONE, "hg"));
    // More than a message may have: the batch fails as a whole.
    assert_eq!(call(&[b'x'; 900], None, 0).0, Report::CONTINUE);
    assert_eq!(call(&[b'x'; 900], None, 1).0, Report::CONTINUE);
    let (report, _, _, led) = call(b"", None, 2);
    assert_eq!((report, led), (Report::FAIL, true));
}

#[test]
fn a_panic_is_an_error_of_what_was_called() {
    let plugin = Plugin::load(library(built(), "panics_component")).unwrap();
    let error = plugin.factory().set_attribute("at", &"set".into()).unwrap_err().to_string();
    assert_eq!(error, "`at` = \"set\": panicked: at set");
    let error = panics("prepare").prepare().unwrap_err().to_string();
    assert_eq!(error, "`panics`: panicked: at prepare");
    let error = panics("component").component().err().unwrap().to_string();
    assert_eq!(error, "`panics`: panicked: at component");
    let error = panics("source").source().err().unwrap().to_string();
    assert_eq!(error, "`panics`: panicked: at source");
    assert_eq!((panics("pool").pool_size(), panics("").pool_size()), (None, Some(2)));
    let error = panics("close").component().unwrap().close().unwrap_err().to_string();
    assert_eq!(error, "panicked: at close");
    let error = panics("").component().unwrap().close().unwrap_err().to_string();
    assert_eq!(error, "cannot close: gone");
    // A panic of a drop has nobody to be told of.
    let factory = panics("drop");
    drop((factory.component().unwrap(), factory.source().unwrap()));
    drop(factory);
}

#[test]
fn a_panic_while_a_message_is_handled_fails_the_message_alone() {
    for (at, description) in
        [("handle", "panicked: at handle"), ("bomb", "panicked: with a payload that is no text")]
    {
        let mut component = panics(at).component().unwrap();
        for _ in 0..3 {
            let mut hit = message(b"hit");
            assert_eq!(component.handle(&mut hit), Report::FAIL, "{at}");
            assert_eq!(hit.description(), description);
            assert_eq!(component.handle(&mut message(b"spare")), Report::DONE, "{at}");
        }
    }
}

#[test]
fn a_source_runs_and_its_panics_are_errors() {
    let run = |at: &str, room: usize| {
        let mut out = kept(room);
        let ended = panics(at).source().unwrap().run(&mut out).map_err(|error| error.to_string());
        (ended, out.messages)
    };
    let (ended, messages) = run("", 1);
    assert_eq!((ended, messages.len()), (Ok(()), 1));
    assert_eq!(messages[0].attribute("a"), Some(&b"b"[..]));
    let (ended, messages) = run("emit", 2);
    let too_large = "the message is too large: 19 bytes are more than the 10 that there may be";
    assert_eq!(ended, Err(too_large.to_owned()));
    let data: Vec<_> = messages.iter().map(Message::data).collect();
    assert_eq!(data, [&b"first"[..], b"next"]);
    assert_eq!(run("", 0).0, Err("the run ends".to_owned()));
    for at in ["run", "fill"] {
        let (ended, messages) = run(at, 1);
        assert_eq!((ended, messages.len()), (Err(format!("panicked: at {at}")), 0));
    }
}

#[test]
fn what_acknowledges_is_told() {
    let told = |at: &str| {
        let mut source = panics(at).source().unwrap();
        let told = source.acknowledger();
        drop(source);
        told.map(|mut told| told.settled(4, 200, "why"))
    };
    let mut component = panics("").component().unwrap();
    let mut last = || {
        let mut message = message(b"told");
        assert_eq!(component.handle(&mut message), Report::DONE);
        String::from_utf8(message.data().to_vec()).unwrap()
    };
    // A panic has nobody to be told of; it tells nothing, and nobody else is hurt.
    assert_eq!((told("settled"), last().as_str()), (Some(()), ""));
    assert_eq!((told("nobody"), told("acknowledger")), (None, None));
    assert_eq!((told(""), last().as_str()), (Some(()), "4 200 why"));
}

/// A host whose emitter panics: the panic goes through the plugin, and comes out where the host had called it.
struct Broken;

impl Emitter for Broken {
    fn emit(
        &mut self,
        _fill: &mut dyn FnMut(&mut Message) -> Result<(), TooLarge>,
    ) -> Result<u64, EmitError> {
        panic!("of the host")
    }

    fn is_stopping(&self) -> bool {
        false
    }
}

#[test]
fn a_panic_of_the_host_comes_back_to_the_host() {
    let mut source = panics("").source().unwrap();
    let ended = catch_unwind(AssertUnwindSafe(|| source.run(&mut Broken)));
    let payload = ended.expect_err("it panics");
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"of the host"));
}
