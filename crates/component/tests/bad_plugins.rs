//! What is no plugin, and plugins that lie: an error that says what is wrong, with the file.

mod common;

use common::{c_plugin, message, package};
use stageline_component::loader::{LoadError, Plugin};
use stageline_component::{Report, ReportKind};
use std::fs;
use std::path::Path;

/// The plugin with one thing wrong.
fn bad(options: &[&str]) -> Result<Plugin, LoadError> {
    let folder = tempfile::tempdir().unwrap();
    Plugin::load(c_plugin(folder.path(), &package().join("tests/plugins/bad.c"), options))
}

#[track_caller]
fn refused(path: &Path) -> String {
    let error = Plugin::load(path).unwrap_err();
    assert_eq!(error.path(), path);
    let text = error.to_string();
    let file = format!("plugin `{}`: ", path.display());
    text.strip_prefix(&file).unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
fn what_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let text = refused(&folder.path().join("absent.so"));
    assert!(text.starts_with("cannot be found: "), "{text}");
    let text = refused(Path::new(""));
    assert!(text.starts_with("cannot be found: "), "{text}");
    // The C library is found by its name alone, but by the system's search, which is not used.
    let text = refused(Path::new("libc.so.6"));
    assert!(text.starts_with("cannot be found: "), "{text}");
}

#[test]
fn what_is_no_shared_object() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text.so");
    for content in ["some text\n", "", "\u{7f}ELF and no more"] {
        fs::write(&file, content).unwrap();
        let text = refused(&file);
        assert!(text.starts_with("is no shared object: "), "{content:?}: {text}");
    }
    let text = refused(folder.path());
    assert!(text.starts_with("is no shared object: "), "{text}");
}

#[test]
fn a_table_that_is_not_this_hosts_is_refused() {
    let cases = [
        ("-DVERSION=7", "has version 7 of the interface, and this host version 2"),
        ("-DVERSION=0", "has version 0 of the interface, and this host version 2"),
        ("-DSIZE=8", "`stageline_plugin` has 8 bytes there and "),
        ("-DMESSAGE_SIZE=1000", "`stageline_message` has 1000 bytes there and "),
        ("-DBUFFER_SIZE=16", "`stageline_buffer` has 16 bytes there and "),
        ("-DKIND=9", "`kind` is 9, which is no kind"),
        ("-DATTRIBUTE_KIND=77", "`attributes[0].kind` is 77, which is no kind"),
        ("-DATTRIBUTE_KIND=STAGELINE_ATTRIBUTE_ONE_OF", "`attributes[0].choices` is null"),
        ("-DATTRIBUTE_NAME=NULL", "`attributes[0].name` is null"),
        ("-DATTRIBUTES=NULL", "`attributes` is null"),
        ("-DNAME=NULL", "`name` is null"),
        ("-DNAME=\"\\xff\"", "`name` is no text in UTF-8"),
        ("-DTABLE=NULL", "`stageline_component_plugin()` is null"),
        ("-DFACTORY_NEW=NULL", "`factory_new` is null"),
        ("-DFACTORY_SET=NULL", "`factory_set_attribute` is null"),
        ("-DCOMPONENT_HANDLE=NULL", "`component_handle` is null"),
        ("-DKIND=STAGELINE_KIND_SOURCE", "`source_new` is null"),
        ("-DSETTLED=settled", "`acknowledger_new` is null"),
        ("-DNO_SYMBOL", "it does not export `stageline_component_plugin`"),
    ];
    for (option, expected) in cases {
        let error = bad(&[option]).expect_err(option).to_string();
        assert!(error.contains("bad.so`: ") && error.contains(expected), "{option}: {error}");
    }
    bad(&[]).expect("the same without anything wrong");
}

#[test]
fn a_reserved_status_is_known_as_one() {
    for status in [2, 99] {
        let mut factory = bad(&[&format!("-DSTATUS={status}")]).unwrap().factory();
        factory.prepare().unwrap();
        let mut message = message(b"");
        let report = factory.component().unwrap().handle(&mut message);
        assert_eq!((report.kind(), report.status()), (ReportKind::Reserved, status));
        assert_eq!(report, Report::from_status(status));
        // It says, too, that its description has more bytes than there are.
        assert_eq!(message.description().len(), 120);
    }
}

#[test]
fn a_factory_that_is_not_made_says_so_when_it_is_prepared() {
    let mut factory = bad(&["-DFACTORY_NEW=not_made"]).unwrap().factory();
    let error = factory.set_attribute("text", &"a".into()).unwrap_err().to_string();
    assert_eq!(error, "`text` = \"a\": the plugin does not say why");
    let error = factory.prepare().unwrap_err().to_string();
    assert_eq!(error, "`bad`: the plugin does not say why");
    assert!(factory.component().is_err());
    let mut factory = bad(&["-DFACTORY_NEW=without_end"]).unwrap().factory();
    let error = factory.prepare().unwrap_err().to_string();
    assert_eq!(error, format!("`bad`: {}", "e".repeat(511)));
}

#[test]
fn a_component_that_is_not_made_and_a_default_that_is_none() {
    let mut factory = bad(&["-DCOMPONENT_NEW=no_component"]).unwrap().factory();
    factory.prepare().unwrap();
    assert_eq!(factory.component().err().unwrap().to_string(), "`bad`: not today");
    let options = ["-DATTRIBUTE_KIND=STAGELINE_ATTRIBUTE_SIZE", "-DDEFAULT=\"much\""];
    let error = bad(&options).unwrap().factory().prepare().unwrap_err().to_string();
    assert!(error.starts_with("`text` = \"much\": expected a number of bytes"), "{error}");
}
