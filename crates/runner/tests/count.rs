//! Lines by TCP, through a filter and batches, into a file, with a sink that fails now and then and an end in the
//! middle: every line that was read is in the file or in the dead letter, none twice.

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
use std::thread;

/// Lines that are sent. (`STAGELINE_LINES` says another number; RELIABILITY.md, the last one.)
const LINES: u64 = 200_000;

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
    let count = std::env::var("STAGELINE_LINES").map_or(LINES, |lines| lines.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (out, failed) = (folder.path().join("out"), folder.path().join("failed"));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
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
    plan.dead_letter = Some(place("file_sink", &[("path", path(&failed))]));
    plan.options.message_capacity = 256;
    plan.options.retry.first = std::time::Duration::from_micros(200);
    let run = Run::start(plan, |text| eprintln!("{text}")).unwrap();
    let sender = thread::spawn(move || {
        let mut stream = (0..500)
            .find_map(|_| {
                thread::sleep(std::time::Duration::from_millis(10));
                TcpStream::connect(&address).ok()
            })
            .expect("it listens");
        let mut sent = 0;
        while sent < count {
            let mut text = String::new();
            for number in sent..(sent + 1000).min(count) {
                text += &format!("{{\"n\":{number},\"rest\":\"{number:06}\"}}\n");
            }
            sent += 1000;
            if stream.write_all(text.as_bytes()).is_err() {
                return;
            }
        }
    });
    while run.progress().total().emitted < count * 3 / 4 {
        thread::yield_now();
    }
    run.stop();
    let summary = run.wait();
    sender.join().unwrap();
    assert!(summary.is_clean() && summary.ended == Ended::Asked, "{summary:?}");
    let total = summary.progress.total();
    assert!(total.emitted >= count * 3 / 4);
    let (mut written, letters) = (numbers(&out), numbers(&failed));
    assert!(!letters.is_empty(), "some failed");
    assert!(summary.progress.nodes.last().is_some());
    written.extend(letters);
    written.sort_unstable();
    let expected = (0..total.emitted).filter(|number| number % 10 != 3);
    assert!(
        written.iter().copied().eq(expected),
        "each line once: {} of {}",
        written.len(),
        total.emitted
    );
}
