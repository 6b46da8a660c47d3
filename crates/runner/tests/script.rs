//! Scripts: what they say, and what is told of those that are wrong.

mod common;

use common::{Reasons, reasons, run};
use stageline_runner::{Plan, Script, View};
use std::path::Path;

fn parse(text: &str) -> Result<Plan, String> {
    Script::parse(Path::new("test.lua"), text)
        .map(|script| script.plan)
        .map_err(|diagnosis| diagnosis.to_string())
}

/// What is told of a script whose first line is `local s = require("stageline")`.
fn wrong(text: &str) -> String {
    parse(&format!("local s = require(\"stageline\")\n{text}")).err().expect("it is wrong")
}

fn plan(text: &str) -> Plan {
    parse(&format!("local s = require(\"stageline\")\n{text}"))
        .unwrap_or_else(|told| panic!("{told}"))
}

#[test]
fn a_line_of_components() {
    let plan = plan("s.pipeline { s.generator { count = 3 }, s.null {}, s.null {} }");
    let names: Vec<_> = plan.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!((plan.sources.len(), names), (1, vec!["null", "null_2"]));
    let view =
        "pipeline pipeline\n  generator -> null\n  null -> null_2 (null)\n  null_2 (null) -> end\n";
    assert_eq!(plan.view(View::Text), view);
}

#[test]
fn a_whole_table() {
    let plan = plan(
        r#"s.pipeline {
            name = "whole", workers = 2, order = "submission", window = 64, wait = "yield", message_capacity = "1KiB",
            message_max = "2KiB", retry = { attempts = 7, first = "5ms" }, on_failure = "stop", drain_at_most = "3s",
            sources = { s.generator { count = 1 }, { s.generator { count = 2 }, to = "late" } },
            stages = {
                { name = "first", s.null {}, routes = {
                    { status = { 200, 299 }, to = "fail" },
                    { has = "x", to = "late" },
                    { attribute = "y", equals = "1", to = "end" },
                }, otherwise = "late", retry = { attempts = 2 } },
            },
            sinks = { { name = "late", component = s.null {} }, s.count {} },
            dead_letter = s.null {},
        }"#,
    );
    let options = &plan.options;
    assert_eq!((options.name.as_str(), options.workers, options.window), ("whole", Some(2), 64));
    assert_eq!((options.message_capacity, options.message_max), (1024, 2048));
    assert_eq!((options.retry.attempts, plan.nodes[0].retry.unwrap().attempts), (7, 2));
    assert_eq!(plan.nodes[0].routes.len(), 3);
    assert_eq!(plan.dead_letter.len(), 1);
    let ways: Vec<_> =
        plan.view(View::Text).lines().skip(1).map(|line| line.trim().to_owned()).collect();
    assert_eq!(
        ways,
        [
            "generator #1 -> first (null)",
            "generator #2 -> late (null)",
            "first (null) -> dead letter   if status 200 to 299",
            "first (null) -> late (null)   if has x",
            "first (null) -> end   if y = 1",
            "first (null) -> late (null)   if otherwise",
            "late (null) -> end",
            "count -> end",
            "dead letter -> null",
        ]
    );
}

#[test]
fn views_are_for_tools_too() {
    let plan = plan("s.pipeline { s.generator { count = 3 }, s.null {} }");
    assert_eq!(
        plan.view(View::Dot),
        "digraph \"pipeline\" {\n  n0 [label=\"generator\"];\n  n1 [label=\"null\"];\n  n2 [label=\"end\"];\n  \
         n0 -> n1;\n  n1 -> n2;\n}\n"
    );
    assert_eq!(
        plan.view(View::Mermaid),
        "graph LR\n  n0[\"generator\"]\n  n1[\"null\"]\n  n2[\"end\"]\n  n0 --> n1\n  n1 --> n2\n"
    );
}

#[test]
fn points_of_a_view_are_as_many_as_there_are() {
    let plan = plan(
        r#"s.pipeline { name = "a \"b\"", s.generator {},
            { name = "a-b", s.null {}, routes = { { when = "x ==\n '\"\\\\&<'", to = "end" } } },
            { name = "a_b", s.null {} }, s.null {}, dead_letter = s.null {} }"#,
    );
    let dot = plan.view(View::Dot);
    let labels = ["a-b (null)", "end", "a_b (null)", "null", "dead letter", "null"];
    for (index, label) in labels.iter().enumerate() {
        assert!(dot.contains(&format!("  n{} [label=\"{label}\"];\n", index + 1)), "{dot}");
    }
    assert!(dot.starts_with("digraph \"a \\\"b\\\"\" {"), "{dot}");
    assert!(dot.contains("n1 -> n2 [label=\"x == '\\\"\\\\\\\\&amp;<'\"];"), "{dot}");
    let mermaid = plan.view(View::Mermaid);
    assert!(mermaid.contains("  n1[\"a#45;b #40;null#41;\"]\n"), "{mermaid}");
    assert!(mermaid.contains("  n3[\"a_b #40;null#41;\"]\n"), "{mermaid}");
    assert!(
        mermaid.contains("n1 -->|\"x #61;#61; #39;#34;#92;#92;#38;#60;#39;\"| n2"),
        "{mermaid}"
    );
    assert!(plan.view(View::Text).contains("  a-b (null) -> end   if x == '\"\\\\&<'\n"));
}

#[test]
fn views_do_not_act_on_the_terminal() {
    let plan = plan(
        r#"s.pipeline { s.generator {}, { name = "n", s.null {}, routes = {
            { has = "\27[31m", to = "end" }, { when = "a == '\7\u{9b}'", to = "fail" } } } }"#,
    );
    for view in [View::Text, View::Dot, View::Mermaid] {
        let text = plan.view(view);
        assert!(!text.replace('\n', "").contains(char::is_control), "{text:?}");
    }
    let text = plan.view(View::Text);
    assert!(text.contains(r"  n (null) -> end   if has \u{1b}[31m"), "{text}");
    assert!(text.contains(r"  n (null) -> failed   if a == '\u{7}\u{9b}'"), "{text}");
    assert!(plan.view(View::Dot).contains(r#"[label="has \\u{1b}[31m"];"#));
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let told = wrong("\nlocal a = s.generator { cuont = 3 }\ns.pipeline { a, s.null {} }");
    let expected = "test.lua:3: `generator` has no attribute `cuont`; did you mean `count`?\n    3 | local a = \
                    s.generator { cuont = 3 }";
    assert_eq!(told, expected);
    assert!(
        wrong("s.stdni {}")
            .starts_with("test.lua:2: there is no component `stdni`; did you mean `stdin`?")
    );
    assert!(
        wrong("s.pipeline { wrokers = 2, s.generator {}, s.null {} }")
            .contains("did you mean `workers`?")
    );
    assert!(
        wrong("s.pipeline { window = 3, s.generator {}, s.null {} }")
            .contains("expected a power of two")
    );
    assert!(wrong("s.pipeline { 7 }").contains("expected a component"));
    assert!(wrong("s.pipeline { s.null {}, s.generator {} }").contains("has no source"));
    assert!(wrong("s.pipeline {}").contains("the pipeline is empty"));
    assert!(wrong("s.pipeline(7)").contains("is made of a table"));
    assert!(wrong("").contains("creates no pipeline"));
    let two = "s.pipeline { s.generator {}, s.null {} }\ns.pipeline { s.generator {}, s.null {} }";
    assert!(wrong(two).starts_with("test.lua:3: the script creates a second pipeline"));
    let twice = "local n = s.null {}\ns.pipeline { s.generator {}, n, n }";
    assert!(wrong(twice).contains("stands in two places"));
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let told = wrong(
        "local a = s.generator { x = 1 }\nlocal b = s.null { y = 2 }\ns.pipeline { a, b, window = 3 }",
    );
    assert_eq!(told.lines().filter(|line| line.starts_with("test.lua:")).count(), 3, "{told}");
    assert!(told.contains("`x`") && told.contains("`y`") && told.contains("`window`"));
}

#[test]
fn routes_are_checked() {
    let stage = |rest: &str| {
        format!(
            "s.pipeline {{ s.generator {{}}, {{ name = \"a\", s.null {{}}, {rest} }}, s.null {{}} }}"
        )
    };
    assert!(wrong(&stage("routes = { { to = \"x\" } }")).contains("a route needs one of"));
    assert!(wrong(&stage("routes = { { status = 300 } }")).contains("a route needs `to`"));
    assert!(
        wrong(&stage("routes = { { status = 300, to = \"nul\" } }"))
            .contains("did you mean `null`?")
    );
    assert!(
        wrong(&stage("routes = { { status = { 300, 200 }, to = \"null\" } }"))
            .contains("expected a status")
    );
    assert!(wrong(&stage("routs = {}")).contains("did you mean `routes`?"));
    assert!(
        wrong(&stage("routes = { { when = \"a >\", to = \"null\" } }"))
            .contains("routes[1].when: ")
    );
    assert!(wrong(&stage("retry = { atempts = 1 }")).contains("did you mean `attempts`?"));
}

#[test]
fn lua_says_where_it_fails() {
    assert!(wrong("local x = = 3").starts_with("test.lua:2: "));
    let told = wrong("local function f() error(\"what now\") end\n\nf()");
    assert!(told.starts_with("test.lua:2: what now"), "{told}");
    let told = wrong("\nlocal x = nil + 1");
    assert!(told.starts_with("test.lua:3: attempt to perform arithmetic on a nil value"), "{told}");
    let told = wrong("\nerror({ code = 3 })");
    assert!(told.starts_with("test.lua:3: the error is a table, which says nothing"), "{told}");
}

#[test]
fn a_script_does_not_reach_out() {
    for text in [
        "io.open('x')",
        "os.execute('true')",
        "os.exit(3)",
        "load('return 1')()",
        "loadfile('x')",
        "dofile('x')",
        "debug.getinfo(1)",
        "package.loadlib('x', 'y')",
        "require('../x')",
        "require('/etc/passwd')",
        "require('absent')",
    ] {
        // (A script that goes on to its end is told that it has no pipeline.)
        let told = wrong(text);
        assert!(told.starts_with("test.lua:2: "), "{text}: {told}");
    }
    assert!(wrong("require('absent')").contains("there is no module `absent`"));
}

/// It is not checked, and may do whatever the process can. A script may make some, which is only a text.
#[test]
fn bytecode_is_made_and_not_run() {
    let told = wrong("local code = string.dump(function() end)\nassert(#code > 0)\nload(code)()");
    assert!(told.starts_with("test.lua:4: ") && told.contains("global 'load'"), "{told}");
    let bytecode = "\u{1b}LuaT\0";
    let told = parse(bytecode).err().unwrap();
    assert!(told.contains("attempt to load a binary chunk"), "{told}");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("code.lua"), bytecode).unwrap();
    let path = folder.path().join("main.lua");
    let told = Script::parse(&path, "require('stageline')\nrequire('code')").err().unwrap();
    assert!(told.to_string().contains("attempt to load a binary chunk"), "{told}");
}

#[test]
fn a_script_has_its_limits() {
    let told = wrong("\nwhile true do end");
    assert!(
        told.starts_with("test.lua:3: the script takes too long: it has 5s for this"),
        "{told}"
    );
    let caught = "while true do pcall(function() while true do end end) end";
    assert!(wrong(caught).contains("takes too long"));
    assert!(wrong("setmetatable({}, { __gc = print })").contains("no finalizers"));
    assert!(wrong("coroutine.wrap(print)()").contains("coroutine"));
    assert!(
        wrong("error(getmetatable(setmetatable({}, { __name = 'kept' })).__name)").contains("kept")
    );
    assert!(
        wrong("local t = {} while true do t[#t + 1] = string.rep('x', 1 << 20) .. #t end")
            .contains("memory")
    );
}

#[test]
fn functions_of_the_script_handle_messages() {
    let plan = plan(
        r#"
        local offset = 100
        local seen = 0
        s.pipeline {
            workers = 1,
            s.generator { count = 5, template = '{"n":{n}}' },
            s.lua { handle = function(message)
                seen = seen + 1
                local row = message:json()
                if row.n == 3 then return s.DROP end
                if row.n == 4 then return s.FAIL + 4, "four is " .. seen end
                message:set("sum", tostring(row.n + offset))
                message:set_json({ n = row.n, sum = tonumber(message:get("sum")) })
            end },
            s.lua { handle = function(message)
                assert(message.data == '{"n":' .. message:json().n .. ',"sum":' .. message:get("sum") .. '}')
                if message.attempt < 3 then return s.RETRY end
            end },
            s.null {},
        }"#,
    );
    let summary = run(plan);
    let total = summary.progress.total();
    assert_eq!((total.done, total.dropped, total.failed), (3, 1, 1), "{summary:?}");
    assert_eq!(summary.progress.nodes[1].1.retried, 6);
}

#[test]
fn json_goes_through_a_function_as_it_was() {
    let plan = plan(
        r#"
        local text = '{"a":null,"b":[],"c":[null],"d":{},"e":9223372036854775807,"f":1.0}'
        s.pipeline {
            workers = 1,
            s.generator { count = 1, template = "x" },
            s.lua { handle = function(message)
                message.data = text
                local row = message:json()
                assert(row.a == s.NULL and row.c[1] == s.NULL)
                message:set_json(row)
                assert(message.data == text, message.data)
                assert(not pcall(message.set_json, message, { 0 / 0 }))
                assert(message.data == text, "it stays as it is")
                message:set_json({ a = s.NULL })
                assert(message.data == '{"a":null}', message.data)
            end },
            s.null {},
        }"#,
    );
    let summary = run(plan);
    assert_eq!(summary.progress.total().done, 1, "{summary:?}");
    assert!(
        wrong("s.generator { count = s.NULL }").contains("`NULL` is no value for an attribute")
    );
}

#[test]
fn a_message_is_the_functions_for_the_call_alone() {
    let plan = plan(
        r#"
        local kept
        s.pipeline {
            workers = 1,
            s.generator { count = 2 },
            s.lua { handle = function(message)
                if kept and pcall(function() kept.data = "another" end) then return s.FAIL end
                kept = message
            end },
        }"#,
    );
    let total = run(plan).progress.total();
    assert_eq!((total.done, total.failed), (2, 0));
}

#[test]
fn a_function_that_fails_costs_its_message() {
    let plan = plan(
        "s.pipeline { workers = 1, s.generator { count = 3 }, s.lua { handle = function(message)\n\
         if message.data == '1' then error('one') end\n\
         if message.data == '2' then return {} end\n\
         end } }",
    );
    let total = run(plan).progress.total();
    assert_eq!((total.done, total.failed), (1, 2));
}

/// What becomes of one message: the statuses that the function's stage failed with, and the texts.
fn failed(body: &str) -> Vec<(String, String)> {
    let mut plan = plan(&format!(
        "s.pipeline {{ workers = 1, s.generator {{ count = 1 }}, s.lua {{ handle = function(m)\n{body} end }} }}"
    ));
    let said = Reasons::default();
    plan.dead_letter = vec![reasons(&said)];
    run(plan);
    let said = said.lock().unwrap();
    said.iter().map(|(_, status, text)| (status.clone(), text.clone())).collect()
}

#[test]
fn a_function_is_told_in_words_of_the_script() {
    let no_status = "expected a status, a whole number from 0 to 4294967295, and found";
    let no_time = "expected seconds from 0 to 1e10, or a text such as \"250ms\", and found";
    for (body, expected) in [
        ("return -1", format!("{no_status} -1")),
        ("return 99999999999", format!("{no_status} 99999999999")),
        ("return 200.5", format!("{no_status} 200.5")),
        ("return '200'", format!("{no_status} \"200\"")),
        ("return m", format!("{no_status} a message")),
        ("return s.FAIL, {}", "the description: expected a text, and found a table".into()),
        ("m:hold(1e30)", format!("line 3: `message:hold`: {no_time} 1e30")),
        ("m:hold(-1)", format!("line 3: `message:hold`: {no_time} -1")),
        ("m:hold('soon')", format!("line 3: `message:hold`: {no_time} \"soon\"")),
        ("m:hold()", format!("line 3: `message:hold`: {no_time} nil")),
        ("m.data = nil", "line 3: `message.data`: expected a text, and found nil".into()),
        ("m.data = s.NULL", "line 3: `message.data`: expected a text, and found `NULL`".into()),
        (
            "m:get({})",
            "line 3: the name for `message:get`: expected a text, and found a table".into(),
        ),
        ("m:get('\\xff')", "line 3: the name for `message:get`: it must be UTF-8".into()),
        ("m:set()", "line 3: the name for `message:set`: expected a text, and found nil".into()),
        (
            "m:set('a', true)",
            "line 3: `message:set` of \"a\": expected a text, and found true".into(),
        ),
        ("m.get('a')", "line 3: call it with `:`, as in `message:get(...)`".into()),
        ("m.json()", "line 3: call it with `:`, as in `message:json(...)`".into()),
        ("return 'a' .. m", "line 3: attempt to concatenate a message value (local 'm')".into()),
    ] {
        let status = if body.starts_with("return") && !body.contains("..") { "291" } else { "290" };
        assert_eq!(failed(body), [(status.to_owned(), expected)], "{body}");
    }
}

#[test]
fn a_function_answers_with_whole_floats_and_times_as_texts() {
    assert_eq!(failed("return 210.0, 7"), [("210".to_owned(), "7".to_owned())]);
    assert!(failed("if not m.flush then return m:hold('1m30s') end").is_empty());
    assert!(failed("if not m.flush then return m:hold(0.01) end").is_empty());
    assert!(failed("m.data = 5; m:set('a', 1); m:set('a'); assert(m:get('a') == nil)").is_empty());
}

#[test]
fn modules_lie_beside_the_script() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("lib")).unwrap();
    std::fs::write(folder.path().join("lib/more.lua"), "return { count = 4 }").unwrap();
    let path = folder.path().join("main.lua");
    let text = "local s = require('stageline')\nlocal more = require('lib.more')\nassert(more == require('lib.more'))\n\
                s.pipeline { s.generator { count = more.count }, s.null {} }";
    std::fs::write(&path, text).unwrap();
    let script = Script::load(&path).unwrap_or_else(|told| panic!("{told}"));
    assert_eq!(run(script.plan).progress.total().done, 4);
}
