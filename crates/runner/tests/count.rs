//! Lines by TCP, through a filter and batches, into a file, with a sink that fails now and then and an end in the
//! middle: every line that was read is in the file or in the dead letter, none twice. Once as a plan, and once as
//! the command runs a script, ended by a signal.

mod common;

use stageline_builtin::builtin;
use stageline_component::{
    AttributeError, Component, Error, Factory, Message, Report, Spec, Value,
};
use stageline_runner::{Component as Place, Ended, Plan, Run};
use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

/// Lines that are sent to the plan. (`STAGELINE_LINES` says another number; RELIABILITY.md, the last one.)
const LINES: u64 = 200_000;

/// Lines that are sent to the command.
const LINES_TO_COMMAND: u64 = 1_000_000;

fn place(name: &str, attributes: &[(&str, Value)]) -> Place {
    Place { factory: prepared(name, attributes), line: None }
}

fn prepared(name: &str, attributes: &[(&str, Value)]) -> Box<dyn Factory> {
    let mut factory = (builtin(name).unwrap().factory)();
    for (name, value) in attributes {
        factory.set_attribute(name, value).unwrap();
    }
    factory.prepare().unwrap();
    factory
}

/// A sink before which some messages are retried, and some fail.
struct Unsteady(Box<dyn Factory>);

struct UnsteadySink {
    sink: Box<dyn Component>,
    /// Xorshift (Marsaglia 2003).
    random: u64,
}

impl Factory for Unsteady {
    fn spec(&self) -> &Spec {
        self.0.spec()
    }
    fn set_attribute(&mut self, _: &str, _: &Value) -> Result<(), AttributeError> {
        unreachable!("it is prepared")
    }
    fn prepare(&mut self) -> Result<(), Error> {
        Ok(())
    }
    fn component(&self) -> Result<Box<dyn Component>, Error> {
        Ok(Box::new(UnsteadySink { sink: self.0.component()?, random: 0x9e37_79b9_7f4a_7c15 }))
    }
    fn pool_size(&self) -> Option<usize> {
        self.0.pool_size()
    }
}

impl Component for UnsteadySink {
    fn handle(&mut self, message: &mut Message) -> Report {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        match self.random % 100 {
            _ if message.flush().is_some() || message.attribute("stageline.batch").is_some() => {}
            0..10 => return Report::RETRY,
            10..12 => return Report::FAIL,
            _ => {}
        }
        self.sink.handle(message)
    }

    fn close(&mut self) -> Result<(), Error> {
        self.sink.close()
    }
}

/// How many lines are sent.
fn lines(usual: u64) -> u64 {
    std::env::var("STAGELINE_LINES").map_or(usual, |lines| lines.parse().unwrap())
}

fn free_address() -> String {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("127.0.0.1:{port}")
}

/// Sends so many lines to who listens there, or until it listens no more.
fn send(address: &str, count: u64) {
    let mut stream = (0..500)
        .find_map(|_| {
            thread::sleep(Duration::from_millis(10));
            TcpStream::connect(address).ok()
        })
        .expect("it listens");
    for first in (0..count).step_by(1000) {
        let line = |number| format!("{{\"n\":{number},\"rest\":\"{number:06}\"}}\n");
        let text: String = (first..(first + 1000).min(count)).map(line).collect();
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn numbers(path: &Path) -> Vec<u64> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| {
            line.strip_prefix("{\"n\":").unwrap().strip_suffix('}').unwrap().parse().unwrap()
        })
        .collect()
}

#[test]
fn every_line_is_somewhere_once() {
    let count = lines(LINES);
    let folder = tempfile::tempdir().unwrap();
    let (out, failed) = (folder.path().join("out"), folder.path().join("failed"));
    let address = free_address();
    let path = |path: &Path| Value::from(path.to_str().unwrap());
    let source =
        place("tcp_source", &[("address", address.as_str().into()), ("codec", "ndjson".into())]);
    let json = place(
        "json",
        &[("filter", "n % 10 != 3".into()), ("select", Value::List(vec!["n".into()]))],
    );
    let batch =
        place("batch", &[("count", 20.into()), ("age", "10ms".into()), ("separator", "\n".into())]);
    let file = Unsteady(prepared("file_sink", &[("path", path(&out))]));
    let mut plan = Plan::line([source, json, batch, Place { factory: Box::new(file), line: None }]);
    plan.dead_letter = vec![place("file_sink", &[("path", path(&failed))])];
    plan.options.message_capacity = 256;
    plan.options.retry.first = Duration::from_micros(200);
    let run = Run::start(plan, |text| eprintln!("{text}")).unwrap();
    let sender = thread::spawn(move || send(&address, count));
    while run.progress().total().emitted < count * 3 / 4 {
        thread::yield_now();
    }
    run.stop();
    let summary = run.wait();
    sender.join().unwrap();
    assert!(summary.is_clean() && summary.ended == Ended::Asked, "{summary:?}");
    let total = summary.progress.total();
    assert!(total.emitted >= count * 3 / 4);
    assert_once(&out, &failed, total.emitted);
}

/// The lines that were read, but for those that the filter drops, are in one of the files, once; some have failed.
#[track_caller]
fn assert_once(out: &Path, failed: &Path, read: u64) {
    let (mut written, letters) = (numbers(out), numbers(failed));
    assert!(!letters.is_empty(), "some failed");
    written.extend(letters);
    written.sort_unstable();
    let expected = (0..read).filter(|number| number % 10 != 3);
    assert!(written.iter().copied().eq(expected), "each line once: {} of {read}", written.len());
}

#[test]
fn a_signal_ends_the_command_and_every_line_is_somewhere_once() {
    let count = lines(LINES_TO_COMMAND);
    let folder = tempfile::tempdir().unwrap();
    let (out, failed) = (folder.path().join("out"), folder.path().join("failed"));
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = Command::new("cc")
        .args(["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-I"])
        .arg(manifest.join("../component/include"))
        .arg("-o")
        .args([folder.path().join("unsteady.so"), manifest.join("tests/unsteady.c")])
        .status();
    assert!(built.unwrap().success());
    let address = free_address();
    let script = format!(
        "local s = require('stageline')
        s.pipeline {{
          message_capacity = 256,
          retry = {{ first = '200us' }},
          s.tcp_source {{ address = '{address}', codec = 'ndjson' }},
          s.json {{ filter = 'n % 10 != 3', select = {{ 'n' }} }},
          s.batch {{ count = 20, age = '10ms', separator = '\\n' }},
          s.plugin('unsteady.so', {{ path = 'out' }}),
          dead_letter = s.file_sink {{ path = 'failed' }},
        }}"
    );
    fs::write(folder.path().join("main.lua"), script).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_stageline"))
        .args(["run", "--quiet", "--json-summary", "summary.json", "main.lua"])
        .current_dir(folder.path())
        .spawn()
        .unwrap();
    let sender = thread::spawn(move || send(&address, count));
    let is_half = |line: &str| line.contains(&format!("\"n\":{}", count / 2));
    let has_come_half_way = || fs::read_to_string(&out).is_ok_and(|text| text.lines().any(is_half));
    while !has_come_half_way() && !sender.is_finished() {
        thread::sleep(Duration::from_millis(50));
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    sender.join().unwrap();
    let summary = fs::read(folder.path().join("summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
    let read = summary["total"]["emitted"].as_u64().unwrap();
    assert!(read > count / 3, "{read} lines were read before the end");
    assert_once(&out, &failed, read);
}
