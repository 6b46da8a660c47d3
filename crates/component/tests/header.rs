//! The header for C is what the sources say, and a C and a C++ compiler take it.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn header() -> PathBuf {
    root().join("include/stageline_component.h")
}

fn generated() -> String {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    let sources = ["buffer.rs", "message.rs", "abi.rs"].map(|file| root().join("src").join(file));
    let builder =
        sources.iter().fold(cbindgen::Builder::new(), |builder, file| builder.with_src(file));
    let mut text = Vec::new();
    builder.with_config(config).generate().unwrap().write(&mut text);
    String::from_utf8(text).unwrap()
}

/// `UPDATE_HEADER=1 cargo test -p stageline-component --test header` writes it anew.
#[test]
fn it_is_what_the_sources_say() {
    let text = generated();
    if env::var_os("UPDATE_HEADER").is_some() {
        fs::write(header(), &text).unwrap();
    }
    let committed = fs::read_to_string(header()).unwrap_or_default();
    let lines = committed.lines().zip(text.lines()).enumerate();
    let differs = lines.into_iter().find(|(_, (old, new))| old != new);
    assert_eq!(differs, None, "run this test with UPDATE_HEADER=1 and look at what has changed");
    assert_eq!(committed, text, "run this test with UPDATE_HEADER=1 and look at what has changed");
}
