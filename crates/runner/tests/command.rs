//! The command, as a user runs it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn stageline(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stageline"));
    command.args(arguments).current_dir(folder);
    command
}

fn script(text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("main.lua"), format!("local s = require(\"stageline\")\n{text}"))
        .unwrap();
    folder
}

/// Runs it with this input; `(status, stdout, stderr)`.
fn run(command: &mut Command, input: &str) -> (i32, String, String) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let feed = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap();
    told(output)
}

fn told(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn signal(child: &Child, name: &str) {
    let sent =
        Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn lines_go_through() {
    let folder = script(
        "s.pipeline { s.stdin {}, s.lua { handle = function(m) m.data = m.data:upper() end }, s.stdout {} }",
    );
    let (code, out, err) =
        run(&mut stageline(&["run", "main.lua"], folder.path()), "one\ntwo\nthree");
    assert_eq!((code, out.as_str()), (0, "ONE\nTWO\nTHREE\n"), "{err}");
    assert!(err.contains("3 messages in") && err.contains("3 done, 0 dropped, 0 failed"), "{err}");
    let (code, out, err) = run(&mut stageline(&["run", "-q", "main.lua"], folder.path()), "");
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
}

#[test]
fn a_failure_is_told_and_ends_in_1() {
    let text = "s.pipeline { s.stdin {}, s.lua { handle = function(m) if m.data == 'x' then error('no x') end end }, s.stdout {} }";
    let folder = script(text);
    let summary = folder.path().join("summary.json");
    let arguments = ["run", "main.lua", "--json-summary", summary.to_str().unwrap()];
    let (code, out, err) = run(&mut stageline(&arguments, folder.path()), "a\nx\nb\n");
    assert_eq!((code, out.as_str()), (1, "a\nb\n"), "{err}");
    assert!(
        err.contains("message 2 of `stdin` failed at `lua` with status 290: line 2: no x"),
        "{err}"
    );
    let summary: serde_json::Value = serde_json::from_slice(&fs::read(summary).unwrap()).unwrap();
    assert_eq!((&summary["total"]["done"], &summary["total"]["failed"]), (&2.into(), &1.into()));
    assert_eq!(summary["clean"], false);
}

#[test]
fn a_wrong_script_ends_in_78_and_wrong_usage_in_2() {
    let folder = script("s.pipeline { s.stdni {} }");
    for command in ["run", "check"] {
        let (code, out, err) = run(&mut stageline(&[command, "main.lua"], folder.path()), "");
        assert_eq!((code, out.as_str()), (78, ""));
        assert!(
            err.contains("main.lua:2: there is no component `stdni`; did you mean `stdin`?"),
            "{err}"
        );
        assert!(err.contains("    2 | s.pipeline { s.stdni {} }"), "{err}");
    }
    assert_eq!(run(&mut stageline(&["run", "absent.lua"], folder.path()), "").0, 78);
    assert_eq!(run(&mut stageline(&["rnu"], folder.path()), "").0, 2);
}

#[test]
fn a_number_of_workers_that_cannot_be_is_wrong_usage() {
    let folder = script("s.pipeline { s.generator { count = 1 }, s.null {} }");
    for workers in ["0", "257", "many"] {
        let arguments = ["run", "main.lua", "--workers", workers];
        let (code, _, err) = run(&mut stageline(&arguments, folder.path()), "");
        assert!(code == 2 && err.contains(&format!("'{workers}' for '--workers <N>'")), "{err}");
    }
    let (code, _, err) =
        run(&mut stageline(&["run", "main.lua", "--workers", "2"], folder.path()), "");
    assert_eq!(code, 0, "{err}");
}

#[test]
fn check_shows_the_pipeline() {
    let folder = script(
        "s.pipeline { s.stdin {}, { name = 'a', s.null {}, routes = { { status = 0, to = 'b' } } }, { name = 'b', s.null {} } }",
    );
    let (code, out, _) = run(&mut stageline(&["check", "main.lua"], folder.path()), "");
    assert_eq!(code, 0);
    assert!(out.contains("a (null) -> b (null)   if status 0"), "{out}");
    for (format, part) in [("dot", "digraph"), ("mermaid", "graph LR")] {
        let (code, out, _) =
            run(&mut stageline(&["check", "--format", format, "main.lua"], folder.path()), "");
        assert!(code == 0 && out.contains(part), "{out}");
    }
    let folder = script("s.pipeline { s.stdin {}, { s.null {}, otherwise = 'end' }, s.count {} }");
    let (code, _, err) = run(&mut stageline(&["check", "main.lua"], folder.path()), "");
    assert!(code == 0, "{err}");
    assert!(err.starts_with("warning: main.lua:2: no message comes to the stage `count`"), "{err}");
}

#[test]
fn each_problem_says_what_it_is() {
    let folder = script("s.null { x = 1 }\ns.pipeline { s.generator {}, { s.nul {}, name = 3 } }");
    let (code, out, err) = run(&mut stageline(&["check", "main.lua"], folder.path()), "");
    assert_eq!((code, out.as_str()), (78, ""));
    let problems: Vec<_> = err.lines().filter(|line| !line.starts_with("    ")).collect();
    assert_eq!(problems.len(), 3, "{err}");
    let begins =
        |(problem, line): (&&str, usize)| problem.starts_with(&format!("error: main.lua:{line}: "));
    assert!(problems.iter().zip([2, 3, 3]).all(begins), "{err}");
}

#[test]
fn components_are_described() {
    let folder = tempfile::tempdir().unwrap();
    let (code, all, _) = run(&mut stageline(&["components"], folder.path()), "");
    assert_eq!(code, 0);
    for line in all.lines() {
        let name = line.split_whitespace().next().unwrap();
        let (code, page, _) = run(&mut stageline(&["components", name], folder.path()), "");
        assert!(code == 0 && page.starts_with(name), "{name}");
    }
    let (code, _, err) = run(&mut stageline(&["components", "stdotu"], folder.path()), "");
    assert!(code == 2 && err.contains("did you mean `stdout`?"), "{err}");
    let (code, _, err) = run(&mut stageline(&["components", "./stdout"], folder.path()), "");
    assert!(code == 2 && err.contains("plugin `./stdout`: cannot be found"), "{err}");
}

#[test]
fn colours_are_where_they_are_wanted() {
    let folder = script("s.stdni {}");
    let colored = |arguments: &[&str]| {
        let mut command = stageline(arguments, folder.path());
        run(&mut command, "").2.contains('\x1b')
    };
    assert!(!colored(&["check", "main.lua"]), "stderr is no terminal");
    assert!(colored(&["--color", "always", "check", "main.lua"]));
    assert!(!colored(&["--color", "never", "check", "main.lua"]));
}

#[test]
fn completions_and_the_man_page_are_written() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, _) = run(&mut stageline(&["completions", shell], folder.path()), "");
        assert!(code == 0 && out.contains("stageline"));
    }
    let (code, out, _) = run(&mut stageline(&["man"], folder.path()), "");
    assert!(code == 0 && out.contains(".TH stageline"), "{out}");
}

#[test]
fn each_command_has_a_man_page_with_its_options() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["man", "--into", "share/man1"];
    let (code, out, err) = run(&mut stageline(&arguments, folder.path()), "");
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    for (page, option) in [
        ("stageline", "color"),
        ("stageline-run", "json\\-summary"),
        ("stageline-check", "format"),
        ("stageline-man", "into"),
        ("stageline-new-component", "sdk"),
    ] {
        let text = fs::read_to_string(folder.path().join(format!("share/man1/{page}.1"))).unwrap();
        assert!(text.contains(&format!("\n\\fB\\-\\-{option}\\fR")), "{page}: {text}");
    }
    fs::write(folder.path().join("file"), "").unwrap();
    let (code, _, err) = run(&mut stageline(&["man", "--into", "file"], folder.path()), "");
    assert!(code == 1 && err.contains("file: "), "{err}");
}

#[test]
fn a_reader_that_goes_is_a_clean_end() {
    let folder = script("s.pipeline { s.generator { template = 'line {n}' }, s.stdout {} }");
    let mut child = stageline(&["run", "main.lua"], folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "line 0");
    drop(lines);
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{err}");
}

#[test]
fn the_first_signal_drains() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let folder = script(
            "s.pipeline { s.generator { template = '{n}' }, s.file_sink { path = 'out.txt' } }",
        );
        let out = folder.path().join("out.txt");
        let mut child =
            stageline(&["run", "main.lua", "--json-summary", "summary.json"], folder.path())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
        let size = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
        let part = folder.path().join("out.txt.part");
        wait_for("something is written", || size(&out) + size(&part) > 1000);
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(code));
        let summary = fs::read(folder.path().join("summary.json")).unwrap();
        let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
        let count = summary["total"]["emitted"].as_u64().unwrap();
        assert_eq!(summary["total"]["done"].as_u64(), Some(count));
        let written = fs::read_to_string(&out).unwrap();
        let mut numbers: Vec<u64> = written.lines().map(|line| line.parse().unwrap()).collect();
        numbers.sort_unstable();
        assert!(numbers.iter().copied().eq(0..count), "each line once");
    }
}

/// A component that is busy with a message for longer than a test waits.
const BUSY: &str =
    "s.lua { handle = function() local t = os.clock() while os.clock() - t < 9 do end end }";

/// Runs the script, and returns when its first message has come through `s.stdout`.
fn started(folder: &Path) -> Child {
    let mut command = stageline(&["run", "main.lua"], folder);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "sign\n");
    child
}

#[test]
fn the_second_signal_ends_at_once() {
    let folder = script(&format!(
        "s.pipeline {{ s.generator {{ count = 1, template = 'sign' }}, s.stdout {{}}, {BUSY} }}"
    ));
    let mut child = started(folder.path());
    let mut err = BufReader::new(child.stderr.take().unwrap());
    signal(&child, "TERM");
    let mut line = String::new();
    err.read_line(&mut line).unwrap();
    assert!(line.contains("a second signal ends at once"), "{line}");
    let start = Instant::now();
    // What comes within 100 ms is the first one still.
    while child.try_wait().unwrap().is_none() {
        signal(&child, "TERM");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(start.elapsed() < Duration::from_secs(5));
    err.read_to_string(&mut line).unwrap();
    assert!(line.contains("1 messages were left"), "{line}");
}

/// Wherever it hangs: in the pipeline, or behind its dead letter.
#[test]
fn the_end_takes_no_longer_than_it_may() {
    let lines = [BUSY, &format!("s.lua {{ handle = error }}, dead_letter = {BUSY}")];
    for line in lines {
        let folder = script(&format!(
            "s.pipeline {{ drain_at_most = '300ms', s.generator {{ count = 1, template = 'sign' }}, s.stdout {{}}, {line} }}"
        ));
        let child = started(folder.path());
        let start = Instant::now();
        signal(&child, "TERM");
        let (code, _, err) = told(child.wait_with_output().unwrap());
        assert!(code == 143 && start.elapsed() < Duration::from_secs(5), "{err}");
        assert!(err.contains("the end took longer than 300ms: 1 messages were left"), "{err}");
    }
}

#[test]
fn the_script_of_the_readme_is_right() {
    let readme = include_str!("../README.md");
    let (_, script) = readme.split_once("```lua\n").unwrap();
    let (script, _) = script.split_once("```").unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("rows")).unwrap();
    fs::write(folder.path().join("main.lua"), script).unwrap();
    let (code, out, err) = run(&mut stageline(&["check", "main.lua"], folder.path()), "");
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("late (json) -> united (file_sink)"), "{out}");
}

#[test]
fn a_new_pipeline_runs() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(&mut stageline(&["new", "pipeline", "mine"], folder.path()), "").0, 0);
    let (code, out, err) = run(&mut stageline(&["run", "mine.lua"], folder.path()), "");
    assert_eq!((code, out.as_str()), (0, "0\n2\n4\n6\n8\n10\n12\n14\n16\n18\n"), "{err}");
    let (code, _, err) = run(&mut stageline(&["new", "pipeline", "mine"], folder.path()), "");
    assert!(code == 1 && err.contains("mine.lua is there already"), "{err}");
    for arguments in
        [["pipeline", "../x"], ["pipeline", ""], ["component", "a-b"], ["component", "type"]]
    {
        let (code, out, err) = run(stageline(&["new"], folder.path()).args(arguments), "");
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
        assert!(err.contains("expected"), "{err}");
    }
    assert!(!folder.path().join("type").exists());
}

#[test]
fn a_summary_that_cannot_be_written_is_told_before_the_run() {
    let folder = script("s.pipeline { s.generator { count = 3 }, s.file_sink { path = 'out' } }");
    for summary in ["absent/summary.json", "."] {
        let arguments = ["run", "main.lua", "--json-summary", summary];
        let (code, _, err) = run(&mut stageline(&arguments, folder.path()), "");
        assert!(
            code == 1 && err.contains(&format!("--json-summary {summary}: it cannot")),
            "{err}"
        );
        assert!(!folder.path().join("out").exists());
    }
}

fn plugin_pipeline(library: &str, attributes: &str) -> String {
    format!(
        "local s = require('stageline')\ns.pipeline {{ s.stdin {{}}, s.plugin('{library}', {{ {attributes} }}), s.stdout {{}} }}"
    )
}

#[test]
fn a_new_component_in_c_builds_and_runs() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(&mut stageline(&["new", "component", "--c", "shout"], folder.path()), "").0, 0);
    let built = Command::new("cc")
        .args([
            "-shared",
            "-fPIC",
            "-O2",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-o",
            "shout/shout.so",
            "shout/shout.c",
        ])
        .current_dir(folder.path())
        .status()
        .unwrap();
    assert!(built.success());
    fs::write(folder.path().join("main.lua"), plugin_pipeline("shout/shout.so", "")).unwrap();
    let (code, out, err) = run(&mut stageline(&["run", "main.lua"], folder.path()), "hello\n");
    assert_eq!((code, out.as_str()), (0, "HELLO\n"), "{err}");
    let described = ["components", "shout/shout.so"];
    let (code, page, err) = run(&mut stageline(&described, folder.path()), "");
    assert!(code == 0 && page.starts_with("shout (transform): "), "{page}{err}");
}

#[test]
fn a_new_component_in_rust_builds_and_runs() {
    let folder = tempfile::tempdir().unwrap();
    let sdk = root().join("crates/component");
    let arguments = ["new", "component", "--sdk", sdk.to_str().unwrap(), "quote"];
    assert_eq!(run(&mut stageline(&arguments, folder.path()), "").0, 0);
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline", "--manifest-path", "quote/Cargo.toml"])
        .env_remove("CARGO_TARGET_DIR")
        .current_dir(folder.path())
        .status()
        .unwrap();
    assert!(built.success());
    let library = format!(
        "quote/target/debug/{}quote{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    );
    fs::write(folder.path().join("main.lua"), plugin_pipeline(&library, "prefix = '| '")).unwrap();
    let (code, out, err) = run(&mut stageline(&["run", "main.lua"], folder.path()), "hello\n");
    assert_eq!((code, out.as_str()), (0, "| hello\n"), "{err}");
    let (code, page, err) = run(&mut stageline(&["components", &library], folder.path()), "");
    assert!(code == 0 && page.contains("\nAttributes:\n  prefix: a text"), "{page}{err}");
}

#[test]
fn a_plugin_that_is_none_is_told_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("text.so"), "no library").unwrap();
    for (library, part) in [("absent.so", "absent.so"), ("text.so", "text.so")] {
        fs::write(folder.path().join("main.lua"), plugin_pipeline(library, "")).unwrap();
        let (code, _, err) = run(&mut stageline(&["check", "main.lua"], folder.path()), "");
        assert!(code == 78 && err.contains("main.lua:2:") && err.contains(part), "{err}");
    }
}

/// The same command writes them anew: `stageline components --markdown > crates/runner/COMPONENTS.md`.
#[test]
fn what_is_made_of_the_components_is_current() {
    for (format, file) in [("--lua-types", "lua/stageline.lua"), ("--markdown", "COMPONENTS.md")] {
        let (code, made, _) = run(&mut stageline(&["components", format], &root()), "");
        let there = fs::read_to_string(root().join("crates/runner").join(file)).unwrap();
        assert!(code == 0 && made == there, "{file} is not current");
    }
}
