//! What is told of scripts that are wrong: all of it at once, with its place.

use stageline_runner::Script;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// What is told of a script whose first line is `local s = require("stageline")`, each with its line and without the
/// text of that.
fn told(text: &str) -> Vec<String> {
    let text = format!("local s = require(\"stageline\")\n{text}");
    let found = match Script::parse(Path::new("test.lua"), &text) {
        Ok(script) => script.warnings,
        Err(diagnosis) => diagnosis,
    };
    let shown = |problem: &stageline_runner::Problem| {
        let warning = if problem.is_warning { "warning: " } else { "" };
        let line = problem.line.map(|line| format!("{line}: ")).unwrap_or_default();
        format!("{line}{warning}{}", problem.text)
    };
    found.problems.iter().map(shown).collect()
}

#[test]
fn a_name_is_one_that_can_be_shown_and_is_free() {
    for (name, expected) in [
        ("(start)", "no stage may have this name: the engine uses it"),
        ("end", "no stage may have this name: routes use the word"),
        ("", "the name is empty: expected a letter at least"),
        ("a\\nb", "the name \"a\\nb\" has a control character, which none may have"),
        ("a\\0b", "the name \"a\\0b\" has a control character, which none may have"),
    ] {
        let stage = format!(
            "s.pipeline {{ s.generator {{}},\n{{ name = \"{name}\", s.null {{}} }},\ns.count {{}} }}"
        );
        let place = format!("3: stage 1 \"{name}\"");
        assert_eq!(told(&stage), [format!("{place}: {expected}")]);
    }
    let twice = "s.pipeline { s.generator {}, s.count {},\n{ name = \"count\", s.null {} } }";
    assert_eq!(told(twice), ["3: stage 2 \"count\": stage 1 has this name already"]);
    let pipeline = |name: &str| {
        told(&format!("\ns.pipeline {{ name = \"{name}\", s.generator {{}}, s.null {{}} }}"))
    };
    assert_eq!(pipeline(""), ["3: `name`: the name is empty: expected a letter at least"]);
    assert!(pipeline("a\\0b")[0].starts_with("3: `name`: the name \"a\\0b\" has a control"));
    assert_eq!(pipeline("flüge 2"), [""; 0]);
}

#[test]
fn a_file_is_that_of_one_component() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().display();
    let with = |source: &str, first: &str, second: &str| {
        told(&format!(
            "s.pipeline {{ {source},\ns.file_sink {{ path = '{folder}/a', {first} }},\ns.file_sink {{ path = '{folder}/./a', {second} }} }}"
        ))
    };
    let source = "s.generator {}";
    assert_eq!(with(source, "", "flush_every = 0"), [""; 0], "each adds to what there is");
    for (first, second) in [("mode = 'truncate'", ""), ("", "rotate_size = '1MiB'")] {
        let told = with(source, first, second);
        let expected = format!(
            "4: `file_sink`: `path` = \"{folder}/./a\": the `file_sink` in line 3 writes this file, too, and one would lose \
             what the other writes: give each a file of its own"
        );
        assert_eq!(told, [expected]);
    }
    std::fs::write(format!("{folder}/a"), "x").unwrap();
    let told = with(&format!("s.file_source {{ path = '{folder}/a' }}"), "", "");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("3: warning: `file_sink`: `path` = "), "{told:?}");
    assert!(told[0].ends_with(
        "the `file_source` in line 2 reads this file, and would read what is written here"
    ));
}

#[test]
fn a_dead_letter_is_a_component_or_a_line_of_them() {
    let letters = |letters: &str| {
        told(&format!("s.pipeline {{ s.generator {{}}, s.null {{}}, dead_letter = {letters} }}"))
    };
    assert_eq!(letters("s.count {}"), [""; 0]);
    assert_eq!(letters("{ s.template { source = 'x' }, s.count {} }"), [""; 0]);
    assert_eq!(letters("{}"), ["2: dead_letter: expected a component, or several"]);
    let source = letters("{ s.count {}, s.stdin {} }");
    assert_eq!(source, ["2: `stdin` is a source, and cannot take dead letters"]);
}

#[test]
fn what_the_engine_would_refuse_is_told_before() {
    let options = |options: &str| {
        told(&format!("s.pipeline {{ {options}, s.generator {{}}, s.null {{}} }}")).join("\n")
    };
    for (text, expected) in [
        ("workers = 0", "2: `workers` = 0: expected a number from 1 to 256"),
        ("workers = 257", "2: `workers` = 257: expected a number from 1 to 256"),
        ("window = 3", "2: `window` = 3: expected a power of two from 2 to 65536"),
        (
            "message_max = 0",
            "2: `message_max` = 0: expected a number of bytes from 1 to 1073741824",
        ),
        (
            "cores = { 0, 1 }, workers = 3",
            "2: `cores` names 2 CPUs for 3 workers: expected one each",
        ),
        ("cores = { 1024 }", "2: `cores`: 1024 is no CPU: expected 0 to 1023"),
        (
            "retry = { attempts = 0 }",
            "2: retry: `attempts` = 0: expected a number from 1 to 1000000",
        ),
        ("retry = { factor = 0.5 }", "2: retry: `factor` = 0.5: expected a number from 1 to 1000"),
        ("retry = { jitter = 2 }", "2: retry: `jitter` = 2: expected a number from 0 to 1"),
        ("retry = { cap = \"25h\" }", "2: retry: `cap` = 90000s: expected 24h at most"),
    ] {
        assert_eq!(options(text), expected);
    }
    assert_eq!(options("cores = { 0, 0 }"), "");
    let stage =
        "s.pipeline { s.generator {},\n{ s.null {}, retry = { attempts = 0, factor = 0 } } }";
    let expected = [
        "3: stage 1 \"null\": retry: `attempts` = 0: expected a number from 1 to 1000000",
        "3: stage 1 \"null\": retry: `factor` = 0: expected a number from 1 to 1000",
    ];
    assert_eq!(told(stage), expected);
    let many = |count: usize, threads: usize| {
        format!(
            "local t = {{ s.generator {{}} }}\nfor i = 1, {count} do t[i + 1] = s.lua {{ threads = {threads}, handle = \
             function() end }} end\n\ns.pipeline(t)"
        )
    };
    let expected = "5: 65 components have threads of their own, more than 64: take some out";
    assert_eq!(told(&many(65, 1)), [expected]);
    let expected =
        "5: components have 1088 threads of their own, more than 1024: set their `threads` lower";
    assert_eq!(told(&many(17, 64)), [expected]);
    assert_eq!(told(&many(16, 64)), [""; 0]);
}

#[test]
fn a_pipeline_that_does_nothing_is_told() {
    let expected = "2: warning: the pipeline has no stage: its messages are read, and go nowhere";
    assert_eq!(told("s.pipeline { s.generator {} }"), [expected]);
}

#[test]
fn what_is_wrong_is_shown_without_a_call_of_the_script() {
    let text = "local t = setmetatable({}, { __tostring = function() s.null {} return 'called' end })\n\
                s.pipeline { s.generator {}, { s.null {}, routes = { { status = t, to = 'end' } }, [t] = 1 } }";
    let (done, waits) = mpsc::channel();
    std::thread::spawn(move || done.send(told(text)));
    let told = waits.recv_timeout(Duration::from_secs(30)).expect("it locks itself out");
    assert!(told.len() == 2 && !told.join("").contains("called"), "{told:?}");
}

#[test]
fn all_that_is_wrong_with_a_component_is_told() {
    // What has no name, no value that an attribute can have, no such type, no place, and what is missing.
    let text = "s.file_sink { 7, pth = 'a', batch = 'many', rotate_size = print, codec = coroutine, format = io }\n\
                s.file_sink { pth = 'a', batch = s.null {} }\ns.pipeline { s.generator {}, s.null {} }";
    let expected = [
        "2: an attribute of `file_sink` has no name: expected `name = value`, and found 7",
        "2: `file_sink` has no attribute `pth`; did you mean `path`?",
        "2: `file_sink`: `batch` = \"many\": expected a whole number of 64 bits",
        "2: `file_sink`: `rotate_size` = a function: expected a number of bytes such as \"4KiB\"",
        "2: `file_sink` needs the attribute `path`",
        "3: `file_sink`: `batch`: a userdata is no value for an attribute",
        "3: `file_sink` has no attribute `pth`; did you mean `path`?",
        "3: `file_sink` needs the attribute `path`",
    ];
    let mut told = told(text);
    told.sort();
    let mut expected = expected.map(str::to_owned);
    expected.sort();
    assert_eq!(told, expected);
}

#[test]
fn all_values_out_of_range_are_told() {
    let sink =
        |rest: &str| told(&format!("s.pipeline {{ s.generator {{}},\ns.file_sink {{ {rest} }} }}"));
    // The wording is the component's.
    let begin = |told: Vec<String>, expected: &[&str]| {
        let begins = |expected: &&str| told.iter().any(|text| text.starts_with(*expected));
        assert!(told.len() == expected.len() && expected.iter().all(begins), "{told:?}");
    };
    let all = sink("path = 'a', rotate_size = 0, rotate_every = 0, batch = 0");
    begin(
        all,
        &[
            "3: `file_sink`: `rotate_size` = 0: ",
            "3: `file_sink`: `rotate_every` = 0: ",
            "3: `file_sink`: `batch` = 0: ",
        ],
    );
    // Each expression by itself, in the order of names.
    let json = "s.json { filter = 'c(a)', set = { z = 'a + 1', y = 'b(a)', x = 'a(a)' }, rename = { a = 1 } }";
    begin(
        told(&format!("s.pipeline {{ s.generator {{}},\n{json} }}")),
        &[
            "3: `json`: `filter` = \"c(a)\": ",
            "3: `json`: `rename.a` = 1: ",
            "3: `json`: `set.x` = \"a(a)\": ",
            "3: `json`: `set.y` = \"b(a)\": ",
        ],
    );
    // And beside one of a wrong type.
    let both = sink("path = 'a', rotate_size = 0, rotate_every = 'often'");
    begin(
        both,
        &[
            "3: `file_sink`: `rotate_size` = 0: ",
            "3: `file_sink`: `rotate_every` = \"often\": expected a duration",
        ],
    );
    // What only follows from the first is not told.
    let source =
        "s.pipeline { s.file_source { path = 'a', follow = 'yes', start = 'end' }, s.null {} }";
    assert_eq!(told(source), ["2: `file_source`: `follow` = \"yes\": expected true or false"]);
}

#[test]
fn the_components_that_follow_are_looked_at() {
    let text = "local a = s.generator { cuont = 3 }\nlocal b = s.stdni {}\nlocal c = s.component('jsno', { x = 1 })\n\
                local d = s.null { y = 1 }\ns.pipeline { a, b, c, d }";
    let expected = [
        "2: `generator` has no attribute `cuont`; did you mean `count`?",
        "3: there is no component `stdni`; did you mean `stdin`?",
        "4: there is no component `jsno`; did you mean `json`?",
        "5: `null` has no attribute `y`: it has none",
    ];
    assert_eq!(told(text), expected);
    // An error of the script ends it, and what was found before is told all the same.
    let text = "s.generator { cuont = 3 }\nlocal x = nil + 1";
    let expected =
        ["2: `generator` has no attribute `cuont`; did you mean `count`?", "3: attempt to"];
    let told = told(text);
    assert!(
        told.len() == 2 && told.iter().zip(expected).all(|(t, e)| t.starts_with(e)),
        "{told:?}"
    );
}

#[test]
fn a_name_that_the_module_does_not_have_is_told() {
    for (text, expected) in [
        ("s.pipline {}", "2: `stageline` has no `pipline`; did you mean `pipeline`?"),
        ("local x = s.DNOE", "2: `stageline` has no `DNOE`; did you mean `DONE`?"),
        (
            "s.kafka {}",
            "2: there is no component `kafka`; `stageline components` lists those that there are",
        ),
    ] {
        assert_eq!(told(text), [expected]);
    }
    let expected =
        "2: `:` hands the module over: call it with `.`, as in `stageline.stdin { ... }`";
    assert_eq!(told("s.pipeline { s:file_source {}, s.null {} }"), [expected]);
    assert_eq!(told("s:pipeline { s.stdin {}, s.null {} }"), [expected]);
}

#[test]
fn what_a_module_makes_is_told_with_both_places() {
    let folder = tempfile::tempdir().unwrap();
    let part = "local s = require('stageline')\nreturn {\n  source = s.generator { cuont = 1 },\n  \
                sink = function() return { s.null { x = 1 } } end,\n}";
    std::fs::write(folder.path().join("part.lua"), part).unwrap();
    let path = folder.path().join("main.lua");
    let told = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Script::load(&path).err().expect("it is wrong").to_string()
    };
    let text = "local s = require('stageline')\nlocal part = require('part')\n\
                s.pipeline {\n  part.source,\n  part.sink() }";
    let (main, part) = (path.display(), folder.path().join("part.lua"));
    let expected = format!(
        "{main}:2: {part}:3: `generator` has no attribute `cuont`; did you mean `count`?\n    2 | local part = \
         require('part')\n{main}:5: {part}:4: `null` has no attribute `x`: it has none\n    5 |   part.sink() }}",
        part = part.display()
    );
    assert_eq!(told(text), expected);
    // Wrong in itself, or where it runs.
    for (part, expected) in [
        ("return {\n  x = = 1 }", ":2: unexpected symbol near '='"),
        ("\nlocal x = nil + 1", ":2: attempt to perform arithmetic on a nil value"),
        (
            "local s = require('stageline')\n\ns.pipeline(7)",
            ":3: a pipeline is made of a table, `stageline.pipeline { ... }`, and not of 7",
        ),
    ] {
        std::fs::write(folder.path().join("part.lua"), part).unwrap();
        let told = told("local s = require('stageline')\n\nrequire('part')");
        let place = format!("{main}:3: ");
        assert!(
            told.starts_with(&place) && told.contains(&format!("part.lua{expected}")),
            "{told}"
        );
        assert!(told.ends_with("\n    3 | require('part')"), "{told}");
    }
}

#[test]
fn all_that_is_wrong_with_a_pipeline_is_told() {
    let text = r#"
local src = s.generator {}
local filter = s.json { filter = "a > 1" }
local out = s.null {}
s.pipeline {
  wrokers = 2, window = "wide", name = 7 > 6, cores = { "a" }, [true] = 1,
  retry = { atempts = 1, first = "soon" },
  source = { src, to = 5 },
  stages = {
    { name = "filter", filter, retry = { factor = "x", jitter = print }, routs = {},
      routes = { { to = "x" }, { when = "a >", to = "y" }, { status = "no", to = "z" }, 7 } },
    s.stdin,
    { name = "none" },
  },
  sinks = { out, out, nil, s.count {} },
  dead_letter = "null",
}"#;
    let expected = [
        "3: source 1 \"generator\": to: expected a text, and found 5",
        "4: stage 1 \"filter\": a stage has no `routs`; did you mean `routes`?",
        "4: stage 1 \"filter\": routes[1]: a route needs one of `status`, `when`, `has`, or `attribute` with `equals`",
        "4: stage 1 \"filter\": routes[2].when: ",
        "4: stage 1 \"filter\": routes[3].status: expected a status, or the first and the last of a range such as \
         {200, 299}, and found \"no\"",
        "4: stage 1 \"filter\": routes[4]: expected a table such as { when = \"...\", to = \"...\" }, and found 7",
        "4: stage 1 \"filter\": retry: `factor` = \"x\": expected a number",
        "4: stage 1 \"filter\": retry: `jitter` = a function: expected a number",
        "5: stage 5 \"null\": `null` stands in two places, at stage 4 \"null\" as well: make one for each",
        "6: stages[2]: expected a component, such as `stageline.stdin {}`, and found a function: are its braces missing?",
        "6: stage 3 \"none\": expected a component, such as `stageline.stdin {}`, and found nil: is it left out, or a \
         variable not set?",
        "6: dead_letter: expected a component, such as `stageline.stdin {}`, and found \"null\"",
        "6: `name` = true: expected a text",
        "6: `window` = \"wide\": expected a whole number of 64 bits",
        "6: a pipeline has no `wrokers`; did you mean `workers`?",
        "6: a pipeline has true, which is no name",
        "6: `cores`: \"a\" is no CPU: expected a number from 0 on",
        "6: retry: `retry` has no attribute `atempts`; did you mean `attempts`?",
        "6: retry: `first` = \"soon\": expected a duration such as \"250ms\" or \"1m30s\"",
        "6: sinks[3]: found nil: is it a variable that is not set?",
    ];
    let told = told(text);
    for expected in expected {
        assert!(told.iter().any(|told| told.starts_with(expected)), "{expected:?}: {told:#?}");
    }
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    let lines = told.iter().map(|told| told.split(':').next());
    assert!(lines.is_sorted(), "{told:#?}");
}

/// What is told of a pipeline of a generator, and then this, on line 3.
fn behind_a_source(text: &str) -> Vec<String> {
    told(&format!("s.pipeline {{ s.generator {{}},\n{text} }}"))
}

#[test]
fn tables_of_another_form_are_told_and_nothing_in_them_is_lost() {
    for (text, expected) in [
        (
            "{ s.null {}, routes = { status = 300, to = 'end' } }",
            "3: stage 1 \"null\": routes: expected a list, `{ { ... }, { ... } }`, and found `status`",
        ),
        (
            "{ s.null {}, s.null {} }",
            "3: stage 1 \"null\": expected one component, and found more: each is an entry of its own",
        ),
        (
            "{ s.null {}, to = 'end' }",
            "3: stage 1 \"null\": a stage has no `to`; did you mean `otherwise`?",
        ),
        (
            "{ s.null {}, routes = { { status = 1, has = 'x', to = 'end' } } }",
            "3: stage 1 \"null\": routes[1]: a route has one condition, and not `status` and `has`: write two",
        ),
        (
            "{ s.null {}, routes = { { equals = 'x', to = 'end' } } }",
            "3: stage 1 \"null\": routes[1]: a route with `equals` needs `attribute`",
        ),
        (
            "{ s.null {}, routes = { { status = 210, equals = 'x', to = 'end' } } }",
            "3: stage 1 \"null\": routes[1]: `equals` is for `attribute`, and not for `status`: take it out",
        ),
        (
            "{ s.null {}, routes = { { status = 5, to = 'end' } } }",
            "3: stage 1 \"null\": routes[1].status: no route holds for a status from 1 to 99: 1 is of a message that \
             is held, and one with a reserved status, from 2 to 99, fails with 299",
        ),
        (
            "{ s.null {}, routes = { { status = { 1, 99 }, to = 'end' } } }",
            "3: stage 1 \"null\": routes[1].status: no route holds for a status from 1 to 99: 1 is of a message that \
             is held, and one with a reserved status, from 2 to 99, fails with 299",
        ),
        (
            "{ s.null {}, routes = { { attribute = 'x', to = 'end' } } }",
            "3: stage 1 \"null\": routes[1]: a route with `attribute` needs `equals`; `has` asks whether it is there",
        ),
        (
            "{ s.null {}, routes = { { status = { 200, 250, 299 }, to = 'end' } } }",
            "3: stage 1 \"null\": routes[1].status: expected a status, or the first and the last of a range such as \
             {200, 299}, and found {200, 250, 299}",
        ),
        ("{ s.null {}, name = 'a\\xff' }", "3: stage 1 \"null\": name: the text is not UTF-8"),
        (
            "s.null {}, stages = { name = 'a', s.count {} }",
            "2: stages: expected a list, `{ { ... }, { ... } }`, and found `name`",
        ),
        ("nil, s.null {}", "2: entry 2: found nil: is it a variable that is not set?"),
        ("s.null {}, [0] = s.null {}", "2: entry 0: the first place of a list is 1"),
        ("s.null {}, sinks = 7", "2: sinks: expected a list, `{ ... }`, and found 7"),
    ] {
        let told = behind_a_source(text);
        assert_eq!(told.first().map(String::as_str), Some(expected), "{told:?}");
    }
    // Of these some go on.
    for status in ["0", "{ 0, 50 }", "{ 50, 100 }", "210.0"] {
        let route =
            format!("{{ s.null {{}}, routes = {{ {{ status = {status}, to = 'end' }} }} }}");
        assert_eq!(behind_a_source(&route), [""; 0]);
    }
    let deep = "local t = {}\nt[1] = t\ns.pipeline { cores = t, s.generator {}, s.null {} }";
    assert!(told(deep)[0].starts_with("4: `cores`: tables are nested deeper"), "{:?}", told(deep));
    // A source with its way is one, wherever it stands.
    let ways = "s.pipeline { source = { s.generator {}, to = 'b' }, { s.generator {}, to = 'b' }, s.null {},\n\
                { name = 'b', s.null {} } }";
    assert_eq!(told(ways), ["2: warning: no message comes to the stage `null`"]);
}

#[test]
fn names_that_lead_nowhere_are_told_beside_wrong_components() {
    let text = "s.pipeline {\n{ s.generator { x = 1 }, to = 'nul' },\n\
                { s.null { y = 1 }, routes = { { status = 300, to = 'cuont' } }, otherwise = 'b' },\ns.count {} }";
    let expected = [
        "3: `generator` has no attribute `x`: it has `count`, `rate`, `template`, `size`",
        "3: source 1 \"generator\": to: there is no stage `nul`; did you mean `null`?",
        "4: `null` has no attribute `y`: it has none",
        "4: stage 1 \"null\": routes[1].to: there is no stage `cuont`; did you mean `count`?",
        "4: stage 1 \"null\": otherwise: there is no stage `b`; the stages are `null`, `count`",
    ];
    assert_eq!(told(text), expected);
    // A stage that is not known is not missed, and the others are looked at.
    let text = "s.pipeline { s.generatr {},\n{ s.null {}, otherwise = 'b', routes = { { status = 300, to = 'cuont' } } },\n\
                { name = 'b', s.plugin('absent.so') }, s.cont {} }";
    let expected = [
        "2: there is no component `generatr`; did you mean `generator`?",
        "3: stage 1 \"null\": routes[1].to: there is no stage `cuont`; did you mean `count`?",
        "4: plugin `absent.so`: cannot be found: No such file or directory (os error 2)",
        "4: there is no component `cont`; did you mean `count`?",
    ];
    assert_eq!(told(text), expected);
    // It may be what is meant.
    let text = "s.pipeline { s.generator {}, { s.null {}, otherwise = 'kafka' }, s.kafka {} }";
    assert_eq!(told(text).len(), 1);
    let text =
        "s.pipeline { s.generator {}, { s.null {}, otherwise = 'b' }, { naem = 'b', s.count {} } }";
    let expected = ["2: stage 2 \"count\": a stage has no `naem`; did you mean `name`?"];
    assert_eq!(told(text), expected);
}

#[test]
fn options_are_told_whatever_else_is_wrong() {
    let text = "s.pipeline { window = 3, workers = 'x', cores = { 1, 'y' }, message_max = 'large',\n\
                message_capacity = '32MiB', s.generator {}, { s.null {}, otherwise = 'b' }, 7 }";
    let expected = [
        "2: `message_max` = \"large\": expected a number of bytes such as \"4KiB\"",
        "2: `workers` = \"x\": expected a whole number of 64 bits",
        "2: `cores`: \"y\" is no CPU: expected a number from 0 on",
        "2: entry 3: expected a component, such as `stageline.stdin {}`, and found 7",
        "2: `window` = 3: expected a power of two from 2 to 65536",
    ];
    assert_eq!(told(text), expected);
}

#[test]
fn a_component_that_stands_nowhere_is_told() {
    let text = "local a = s.null {}\ns.pipeline { s.generator {}, s.count {} }";
    assert_eq!(told(text), ["2: warning: `null` stands in no pipeline: put it in, or take it out"]);
}
