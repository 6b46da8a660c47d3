//! A plugin in C++ that throws.

mod common;

use common::{cpp_plugin, message, package};
use stageline_component::host::Call;
use stageline_component::loader::Plugin;
use stageline_component::{Component, Error, Factory, Report};

fn throws(at: &str) -> Result<Box<dyn Component>, String> {
    let folder = tempfile::tempdir().unwrap();
    let plugin = cpp_plugin(folder.path(), &package().join("tests/plugins/throws.cpp"));
    let mut factory: Box<dyn Factory> = Plugin::load(plugin).unwrap().factory();
    factory.set_attribute("at", &at.into()).map_err(|error| error.to_string())?;
    let text = |error: Error| error.to_string();
    factory.prepare().map_err(text)?;
    factory.component().map_err(text)
}

#[test]
fn an_exception_is_an_error_of_what_was_called() {
    let refused = |at: &str| throws(at).err().unwrap();
    assert_eq!(refused("set"), "`at` = \"set\": threw: at set");
    assert_eq!(refused("prepare"), "`throws`: threw: at prepare");
    assert_eq!(refused("component"), "`throws`: threw: at component");
    assert_eq!(refused("prepare an int"), "`throws`: threw what is no std::exception");
    let error = throws("close").unwrap().close().unwrap_err();
    assert_eq!(error.to_string(), "threw: at close");
}

#[test]
fn a_message_fails_by_an_exception_with_what_is_held() {
    let mut component = throws("handle").unwrap();
    let (mut first, mut second) = (message(b"first"), message(b"second"));
    first.prepare(Call { attempt: 1, flush: None, held: 0 });
    assert_eq!(component.handle(&mut first), Report::CONTINUE);
    second.prepare(Call { attempt: 1, flush: None, held: 1 });
    assert_eq!(component.handle(&mut second), Report::FAIL);
    assert_eq!(second.description(), "threw: at handle");
    assert!(second.take_led(), "what it holds fails, too");
}
