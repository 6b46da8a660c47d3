//! Scripts as files: of any editor, with modules beside them, and with the paths that they name.

use stageline_runner::Script;
use std::path::Path;

/// All that is told of a file with these bytes, and of one beside it that it may require, as `main.lua` and
/// `part.lua`.
fn shown(main: &[u8], part: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("main.lua");
    std::fs::write(&path, main).unwrap();
    std::fs::write(folder.path().join("part.lua"), part).unwrap();
    let told = match Script::load(&path) {
        Ok(script) => script.warnings.to_string(),
        Err(diagnosis) => diagnosis.to_string(),
    };
    told.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn a_script_may_come_from_any_editor() {
    let lines = ["local s = require('stageline')", "", "\ts.pipeline { s.generator {}, s.nul {} }"];
    let expected = "main.lua:3: there is no component `nul`; did you mean `null`?\n    3 | \ts.pipeline { \
                    s.generator {}, s.nul {} }";
    for end in ["\n", "\r\n", "\r", "\n\r"] {
        let text = lines.join(end);
        assert_eq!(shown(text.as_bytes(), b""), expected, "{end:?}");
        assert_eq!(shown(format!("\u{feff}{text}").as_bytes(), b""), expected, "{end:?}");
    }
    let shebang = "\u{feff}#!/usr/bin/env stageline\nlocal x = = 1";
    for shebang in [shebang, &shebang.replace('\n', "\r")] {
        assert_eq!(
            shown(shebang.as_bytes(), b""),
            "main.lua:2: unexpected symbol near '='\n    2 | local x = = 1"
        );
    }
    let required = "local s = require('stageline')\ns.pipeline(require('part'))";
    let part = "\u{feff}#!lua\nlocal s = require('stageline') return { s.generator {}, s.null {} }";
    assert_eq!(shown(required.as_bytes(), part.as_bytes()), "");
}

#[test]
fn what_is_no_text_is_told_with_its_line() {
    let expected = "main.lua:2: byte 6 of the line is no UTF-8: save the script in that encoding\n    2 | -- Fl\u{fffd}ge";
    assert_eq!(shown(b"local s\n-- Fl\xfcge\n", b""), expected);
    assert_eq!(shown(b"local s\r-- Fl\xfcge\r", b""), expected);
    let told = shown(b"require('part')", b"\n\n\xff");
    let expected = "main.lua:1: part.lua:3: byte 1 of the line is no UTF-8: save the script in that encoding\n    1 | \
                    require('part')";
    assert_eq!(told, expected);
    assert!(
        shown(b"require('absent')", b"").starts_with("main.lua:1: there is no module `absent`")
    );
    let told = shown(b"require('part')", b"require('part')");
    assert!(
        told.starts_with("main.lua:1: the module `part` is required by what it requires"),
        "{told}"
    );
}

#[test]
fn what_is_shown_has_an_end_and_does_not_act_on_the_terminal() {
    let long = format!("local x = '{}' .. nil", "x".repeat(10_000));
    let told = shown(long.as_bytes(), b"");
    assert!(told.starts_with("main.lua:1: attempt to concatenate") && told.len() < 400, "{told}");
    let value = "require('stageline').generator { count = string.rep('x', 100000) }";
    let told = shown(value.as_bytes(), b"");
    assert!(
        told.starts_with("main.lua:1: `generator`: `count` = \"xxx") && told.len() < 2500,
        "{told}"
    );
    let told = shown(b"error('\x1b[31mred') -- \x1b[2J", b"");
    assert_eq!(told, "main.lua:1: \\u{1b}[31mred\n    1 | error('\\u{1b}[31mred') -- \\u{1b}[2J");
    let many = "local s = require('stageline')\nfor i = 1, 1000 do s.null { x = i } end";
    let told = shown(many.as_bytes(), b"");
    assert_eq!(told.lines().count(), 201);
    assert!(told.ends_with("\nmain.lua: 900 more, which are not shown"), "{told}");
}

#[test]
fn a_script_of_a_long_path_is_told_with_its_lines() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("a folder whose name is longer than what Lua shows of a name");
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("main.lua");
    for (text, expected) in [
        ("\nlocal x = = 1", ":2: unexpected symbol near '='\n    2 | local x = = 1"),
        ("\nerror('no')", ":2: no\n    2 | error('no')"),
        (
            "\nrequire('stageline').nul {}",
            ":2: there is no component `nul`; did you mean `null`?\n    2 | ",
        ),
    ] {
        std::fs::write(&path, text).unwrap();
        let told = Script::load(&path).err().expect("it is wrong").to_string();
        assert!(told.starts_with(&format!("{}{expected}", path.display())), "{told}");
    }
}

#[test]
fn paths_that_lead_nowhere_are_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let line = |source: &str, sink: &str| {
        let text = format!("local s = require('stageline')\ns.pipeline {{ {source},\n{sink} }}");
        let script = Script::parse(Path::new("main.lua"), &text.replace("DIR", folder));
        let script = script.unwrap_or_else(|told| panic!("{told}"));
        let told: Vec<_> = script.warnings.problems.iter().map(ToString::to_string).collect();
        told.join("\n").replace(folder, "DIR")
    };
    let sqlite = |path: &str| {
        format!(
            "s.sqlite {{ path = '{path}', table = 't', columns = {{ 'a' }}, values = {{ a = '1' }} }}"
        )
    };
    for (source, sink, expected) in [
        (
            "s.file_source { path = 'DIR/x' }",
            "s.null {}",
            "line 2: `file_source`: `path` = \"DIR/x\": there is no such file",
        ),
        (
            "s.file_source { path = { 'DIR' } }",
            "s.null {}",
            "line 2: `file_source`: `path` = \"DIR\": it is a folder, and no file",
        ),
        ("s.file_source { path = 'DIR/x', follow = true }", "s.null {}", ""),
        ("s.file_source { path = 'DIR/*.log' }", "s.null {}", ""),
        (
            "s.unix_source { path = 'DIR/a/x' }",
            "s.null {}",
            "line 2: `unix_source`: `path` = \"DIR/a/x\": there is no folder \"DIR/a\"",
        ),
        (
            "s.stdin {}",
            "s.file_sink { path = 'DIR/a/x' }",
            "line 3: `file_sink`: `path` = \"DIR/a/x\": there is no folder \"DIR/a\"",
        ),
        (
            "s.stdin {}",
            "s.file_sink { path = 'DIR' }",
            "line 3: `file_sink`: `path` = \"DIR\": it is a folder, and no file",
        ),
        ("s.stdin {}", "s.file_sink { path = 'DIR/x' }", ""),
        ("s.stdin {}", "s.file_sink { path = 'x' }", ""),
        (
            "s.stdin {}",
            &sqlite("DIR/a/x"),
            "line 3: `sqlite`: `path` = \"DIR/a/x\": there is no folder \"DIR/a\"",
        ),
        ("s.stdin {}", &sqlite(":memory:"), ""),
    ] {
        assert_eq!(line(source, sink), expected);
    }
}
