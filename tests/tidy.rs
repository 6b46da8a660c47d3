//! The rules that the sources keep, checked on the sources; and each check checked on a bad snippet.

#[path = "tidy/checks.rs"]
mod checks;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/source.rs"]
mod source;

use checks::{
    EXCEPTIONS, FUNCTION_LINES_MAX, file_length, function_length, primitives, private_paths,
    unfinished, unsafe_without_reason,
};
use source::Source;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where Rust sources stand.
const ROOTS: [&str; 9] =
    ["src", "crates", "examples", "tests", "loom-tests", "proof", "fuzz", "perf", "benches"];

/// The macro's tests feed it methods without a body.
const UNFINISHED_BY_PURPOSE: [&str; 1] = ["crates/macros/src/tests"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder, build outputs left out.
fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap_or_default();
        if entry.is_dir() {
            if name != "target" && name != ".git" {
                files_below(&entry, found);
            }
        } else {
            found.push(entry);
        }
    }
}

fn from_root(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/")
}

fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    ROOTS.iter().for_each(|folder| files_below(&root().join(folder), &mut files));
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    files.sort();
    let read = |file: &PathBuf| Source::new(&from_root(file), &fs::read_to_string(file).unwrap());
    let sources: Vec<_> = files.iter().map(read).collect();
    assert!(sources.len() > 30, "the sources are found");
    sources
}

fn engine() -> Vec<Source> {
    sources().into_iter().filter(|source| source.path.starts_with("src/")).collect()
}

#[track_caller]
fn none(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn files_are_short() {
    none(sources().iter().flat_map(file_length).collect());
}

#[test]
fn functions_are_short() {
    none(sources().iter().flat_map(function_length).collect());
}

#[test]
fn imports_run_down() {
    none(layers::check(&engine(), layers::LAYERS, layers::CYCLES));
}

#[test]
fn primitives_enter_by_one_door() {
    let (found, used): (Vec<_>, Vec<_>) = engine().iter().map(primitives).unzip();
    none(found.concat());
    let used: BTreeSet<_> = used.concat().into_iter().collect();
    let listed: BTreeSet<_> = EXCEPTIONS.iter().map(|(_, beginning, _)| *beginning).collect();
    assert_eq!(used, listed, "exceptions that nobody needs");
}

#[test]
fn every_unsafe_has_its_reason() {
    none(sources().iter().flat_map(unsafe_without_reason).collect());
}

#[test]
fn nothing_is_left_unfinished() {
    let by_purpose =
        |source: &&Source| UNFINISHED_BY_PURPOSE.iter().any(|path| source.path.starts_with(path));
    none(sources().iter().filter(|source| !by_purpose(source)).flat_map(unfinished).collect());
}

/// The files of the repository, or of the folder where there is none.
fn tracked() -> Vec<PathBuf> {
    let listing = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    match listing {
        Ok(output) if output.status.success() => {
            let names = String::from_utf8(output.stdout).unwrap();
            names.lines().map(|name| root().join(name)).collect()
        }
        _ => {
            let mut files = Vec::new();
            files_below(root(), &mut files);
            files
        }
    }
}

#[test]
fn no_file_names_a_place_of_this_machine() {
    let own = root().to_str().unwrap().to_owned();
    let home = std::env::var("HOME").ok().filter(|home| home.len() > 1);
    let home = home.map(|home| format!("{}/", home.trim_end_matches('/')));
    // In parts, so that this file does not name them.
    let fixed = [concat!("../", "shared"), concat!("/wo", "rk/")].map(str::to_owned);
    let places: Vec<_> = fixed.into_iter().chain([own]).chain(home).collect();
    let texts = tracked().into_iter().filter_map(|path| {
        let text = fs::read_to_string(&path).ok()?;
        Some(private_paths(&from_root(&path), &text, &places))
    });
    none(texts.flatten().collect());
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_default()
}

/// Where tests and models stand.
const TESTS: [&str; 7] = [
    "tests",
    "crates/component/tests",
    "crates/runner/tests",
    "loom-tests/tests",
    "proof/tests",
    "proof/stress/tests",
    "proof/shuttle/tests",
];

/// Whether a test with this name, of a file and a function in it, is there.
fn has_test(file: &str, test: &str) -> bool {
    // Whatever attributes it has, one stands before it.
    let function = format!("]\nfn {test}()");
    TESTS.iter().any(|folder| read(&format!("{folder}/{file}.rs")).contains(&function))
}

/// What stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Tests and models as `file::test`, `compile_fail/case`, and mutants by their names.
#[test]
fn the_table_of_tests_names_what_is_there() {
    let (table, mutants) = (read("tests/README.md"), read("loom-tests/mutants.toml"));
    let is_there = |name: &str| match name.split_once("::") {
        Some((file, test)) => has_test(file, test),
        None => match name.strip_prefix("compile_fail/") {
            Some(case) => root().join(format!("tests/compile_fail/{case}.rs")).exists(),
            None => mutants.contains(&format!("name = '{name}'")),
        },
    };
    let third = |line: &str| line.split('|').nth(3).unwrap_or_default().to_owned();
    let cells = table.lines().filter(|line| line.starts_with("| ")).map(third);
    let cells: Vec<String> = cells.collect();
    let names: Vec<&str> = cells.iter().flat_map(|cell| quoted(cell)).collect();
    assert!(names.len() > 100, "the table is read: {} names", names.len());
    let missing = names.into_iter().filter(|name| !is_there(name));
    none(missing.map(|name| format!("tests/README.md: `{name}` is not there")).collect());
}

#[test]
fn the_promises_name_what_is_there() {
    let text = read("RELIABILITY.md");
    // Of a command with arguments, the command.
    let place = |name: &str| name.split(' ').next().unwrap_or_default().to_owned();
    let is_there = |name: &&str| match name.split_once("::") {
        Some((file, test)) => has_test(file, test),
        None => TESTS.iter().chain(&["."]).any(|dir| root().join(dir).join(place(name)).exists()),
    };
    let is_place = |name: &&str| {
        let place = place(name);
        place.contains("::") && !place.contains("std::")
            || place.ends_with(".rs")
            || place.contains('/')
    };
    let names: Vec<&str> = quoted(&text).filter(is_place).collect();
    assert!(names.len() > 40, "the promises are read: {} names", names.len());
    let missing = names.into_iter().filter(|name| !is_there(name));
    none(missing.map(|name| format!("RELIABILITY.md: `{name}` is not there")).collect());
}

// ---- the checks, checked ----

fn snippet(text: &str) -> Source {
    Source::new("src/window.rs", text)
}

#[test]
fn the_scanner_tells_code_from_the_rest() {
    let text = "let a = \"fn \\\" {\"; // unsafe {\nlet b = 'x'; /* dbg!() /* { */ */ let c = '\\'';\n\
                fn f<'a>(x: &'a str) {} r#\"} \" \"#; br\"\\\"; let r = 1;\n";
    let source = snippet(text);
    assert_eq!(source.text.len(), 3);
    let code: Vec<String> = source
        .code
        .iter()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let expected = ["let a = ;", "let b = ; let c = ;", "fn f<'a>(x: &'a str) {} ; b ; let r = 1;"];
    assert_eq!(code, expected);
    assert_eq!(source.comments[0].trim(), "// unsafe {");
    assert_eq!(source.comments[1].trim(), "/* dbg!() /* { */ */");
}

#[test]
fn a_long_file_is_found_and_its_unit_tests_do_not_count() {
    let long = "const A: u8 = 1;\n".repeat(501);
    assert_eq!(file_length(&snippet(&long)).len(), 1);
    let tested = format!("{}#[cfg(test)]\nmod tests {{\n{long}}}\n", &long[17..]);
    assert!(file_length(&snippet(&tested)).is_empty());
    let both = tested.replace("#[cfg(test)]", "#[cfg(all(test, not(stageline_models)))]");
    assert!(file_length(&snippet(&both)).is_empty());
}

#[test]
fn a_long_function_is_found() {
    let body = |lines: usize| format!("fn f(a: [u8; 2]) {{\n{}}}\n", "    g();\n".repeat(lines));
    assert!(function_length(&snippet(&body(FUNCTION_LINES_MAX - 2))).is_empty());
    let found = function_length(&snippet(&body(FUNCTION_LINES_MAX - 1)));
    assert_eq!(found, ["src/window.rs:1: a function of 71 lines, more than 70"]);
    let pointer =
        format!("type F = fn(u8);\nfn declared(a: u8);\n{}", "const A: u8 = 1;\n".repeat(90));
    assert!(function_length(&snippet(&pointer)).is_empty());
}

#[test]
fn a_bare_unsafe_is_found() {
    let good = [
        "// SAFETY: it is.\nunsafe { f() }\n",
        "// SAFETY: it is,\n// really.\nlet a = unsafe { f() };\n",
        "/// # Safety\n///\n/// Always.\n#[inline]\npub unsafe fn f() {}\n",
        "// SAFETY: it is.\nlet a = b\n    .c()\n    .d(unsafe { f() });\n",
        "#![deny(unsafe_op_in_unsafe_fn)]\ntype F = unsafe fn(u8);\n",
        "type F = Option<unsafe extern \"C\" fn(u8)>;\n",
        "// unsafe { f() }\nlet a = \"unsafe {\";\n",
    ];
    for text in good {
        assert_eq!(unsafe_without_reason(&snippet(text)), [""; 0], "{text}");
    }
    let bad = [
        "unsafe { f() }\n",
        "// It is.\nunsafe { f() }\n",
        "// SAFETY: of the other.\ng();\nunsafe { f() }\n",
        "// SAFETY: too far.\n\nunsafe { f() }\n",
        "// SAFETY: inside.\nfn f() {\n    unsafe { f() }\n}\n",
        "unsafe impl Send for A {}\n",
        "unsafe extern \"C\" fn f(a: u8) {}\n",
    ];
    for text in bad {
        assert_eq!(unsafe_without_reason(&snippet(text)).len(), 1, "{text}");
    }
}

#[test]
fn unfinished_work_is_found() {
    for text in ["// TODO: more\n", "/* FIXME */\n", "todo!()\n", "dbg!(a);\n", "unimplemented!(\n"]
    {
        assert_eq!(unfinished(&snippet(text)).len(), 1, "{text}");
    }
    for text in ["let todo = 1;\n", "\"TODO\";\n", "// METHODOLOGY\n", "fn dbg() {}\n"] {
        assert_eq!(unfinished(&snippet(text)).len(), 0, "{text}");
    }
}

#[test]
fn a_primitive_by_another_door_is_found() {
    let bad = [
        "use std::sync::atomic::AtomicU64;\n",
        "std::thread::spawn(f);\n",
        "use std::{fmt, sync::Mutex};\n",
        "fence(Ordering::SeqCst);\n",
        "use loom::thread;\n",
        "let cell = std::cell::UnsafeCell::new(1);\n",
        "use crossbeam_queue::ArrayQueue;\n",
        "use std::sync::mpsc::channel;\n",
    ];
    for text in bad {
        assert!(!primitives(&snippet(text)).0.is_empty(), "{text}");
    }
    let good = "use crate::sync::{AtomicU64, thread};\nuse std::time::Instant;\nlet defence = 1;\n\
                // std::sync::Mutex\n#[cfg(test)]\nmod tests { use std::thread; }\n";
    assert_eq!(primitives(&snippet(good)), (vec![], vec![]));
    let excepted = Source::new("src/topology.rs", "use std::sync::OnceLock;\n");
    assert_eq!(primitives(&excepted), (vec![], vec!["std::sync::OnceLock"]));
    let inside = Source::new("src/sync/system.rs", bad[0]);
    assert_eq!(primitives(&inside).0, [""; 0]);
}

#[test]
fn a_private_place_is_found() {
    let places = ["/secret/".to_owned()];
    let found = private_paths("README.md", "fine\nsee /secret/place\n", &places);
    assert_eq!(found, ["README.md:2: mentions `/secret/`"]);
}

#[test]
fn an_arrow_that_runs_up_is_found() {
    let low = |text: &str| Source::new("src/low/inner.rs", text);
    let high = |text: &str| Source::new("src/high.rs", text);
    let layers: &[&[&str]] = &[&["low"], &["high", "peer"]];
    let peer = |text: &str| Source::new("src/peer.rs", text);
    let check = |sources: &[Source], cycles| layers::check(sources, layers, cycles);
    let fine = [low(""), high("use crate::low::{A, B};\n"), peer("crate::low::f()")];
    assert_eq!(check(&fine, &[]), [""; 0]);
    let up = [low("use crate::{low::A, high::{B, C}};\n"), high(""), peer("")];
    assert_eq!(check(&up, &[]), ["src/low/inner.rs: `low` uses `high`, which stands above it"]);
    let cyclic = [low(""), high("use crate::peer::A;\n"), peer("use crate::high::A;\n")];
    assert_eq!(check(&cyclic, &[]).len(), 2);
    assert_eq!(check(&cyclic, &[("high", "peer", "why")]), [""; 0]);
    assert_eq!(check(&fine, &[("high", "peer", "why")]).len(), 1, "a cycle that is none");
    let root = [low("use crate::A;\n"), high(""), peer("")];
    assert_eq!(check(&root, &[]), ["src/low/inner.rs: `crate::A` is no ranked module"]);
    let unranked = [low(""), high(""), peer(""), Source::new("src/new.rs", "")];
    assert_eq!(check(&unranked, &[]).len(), 1);
    assert_eq!(check(&[low(""), high("")], &[]).len(), 1, "a rank without a module");
    let in_tests = [low("#[cfg(test)]\nmod tests { use crate::high::A; }\n"), high(""), peer("")];
    assert_eq!(check(&in_tests, &[]), [""; 0]);
}
