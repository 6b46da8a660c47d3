//! What the targets of message pipelines have in common: components by the public doors, and who runs them.

use flate2::bufread::GzDecoder;
use stageline_builtin::{STATUSES, builtin};
use stageline_component::host::Call;
use stageline_component::{
    Component, EmitError, Emitter, Factory, Flush, Message, Report, ReportKind, TooLarge, Value,
};
use std::io::Read;

/// More than any message of these targets has.
pub const MESSAGE_MAX: usize = 1 << 20;

/// A prepared factory of a built-in component. The attributes are the target's own: they are right.
pub fn prepared(name: &str, attributes: &[(&str, Value)]) -> Box<dyn Factory> {
    let mut factory = (builtin(name).expect("a built-in component").factory)();
    for (attribute, value) in attributes {
        factory.set_attribute(attribute, value).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    factory.prepare().unwrap_or_else(|error| panic!("{name}: {error:#}"));
    factory
}

pub fn list(texts: &[&str]) -> Value {
    Value::List(texts.iter().copied().map(Value::from).collect())
}

pub fn map(pairs: &[(&str, Value)]) -> Value {
    Value::Map(pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

/// Keeps what a source emits.
pub struct Collected {
    pub messages: Vec<Message>,
    /// How many bytes a message has at most.
    pub bytes_max: usize,
    /// The run ends when one more is to be emitted.
    pub messages_max: usize,
}

impl Emitter for Collected {
    fn emit(
        &mut self,
        fill: &mut dyn FnMut(&mut Message) -> Result<(), TooLarge>,
    ) -> Result<u64, EmitError> {
        if self.messages.len() == self.messages_max {
            return Err(EmitError::Stopping);
        }
        let mut message = Message::new(16, self.bytes_max);
        fill(&mut message)?;
        self.messages.push(message);
        Ok(self.messages.len() as u64 - 1)
    }

    fn is_stopping(&self) -> bool {
        false
    }
}

/// A message on its way, and what it said when it came.
pub struct Held {
    pub message: Message,
    pub came: Vec<u8>,
}

/// A message whose journey through a component is over, with those that were held and follow it.
pub struct Settled {
    pub report: Report,
    pub message: Message,
    /// What all of them said when they came, in that order.
    pub came: Vec<Vec<u8>>,
}

/// Holds, leads and tries again as who runs components does.
pub struct Runner {
    name: &'static str,
    component: Box<dyn Component>,
    held: Vec<Held>,
    pub settled: Vec<Settled>,
}

impl Runner {
    pub fn new(name: &'static str, component: Box<dyn Component>) -> Self {
        Self { name, component, held: Vec::new(), settled: Vec::new() }
    }

    /// Handles a message. One that asks for what is held to go on first comes again when it has.
    pub fn give(&mut self, message: Message) {
        let came = message.data().to_vec();
        let mut given = Held { message, came };
        for attempt in 1..=2 {
            let call = Call { attempt, flush: None, held: self.held.len() };
            let report = self.call(&mut given.message, call);
            match report.kind() {
                ReportKind::Continue => return self.held.push(given),
                ReportKind::Retry => {
                    let lets_go = given.message.hold_at_most().is_zero();
                    assert!(attempt == 1 && lets_go && !self.held.is_empty(), "{report}");
                    assert_eq!(given.message.data(), given.came);
                    self.flush(Flush::Age);
                }
                _ => {
                    let leads = given.message.take_led() || report == Report::DONE;
                    return self.settle(given, report, leads);
                }
            }
        }
    }

    /// The first of those that are held comes again.
    pub fn flush(&mut self, flush: Flush) {
        if self.held.is_empty() {
            return;
        }
        let held = self.held.len();
        let mut first = self.held.remove(0);
        let report = self.call(&mut first.message, Call { attempt: 1, flush: Some(flush), held });
        let leads = first.message.take_led() || report == Report::DONE;
        assert!(leads, "{report}: the others would be held for ever");
        let mut came = vec![std::mem::take(&mut first.came)];
        came.extend(self.held.drain(..).map(|held| held.came));
        self.settled.push(Settled { report, message: first.message, came });
    }

    /// The run ends.
    pub fn close(mut self) -> Vec<Settled> {
        self.flush(Flush::Drain);
        self.component.close().unwrap_or_else(|error| panic!("{}: {error:#}", self.name));
        self.settled
    }

    fn call(&mut self, message: &mut Message, call: Call) -> Report {
        message.prepare(call);
        let report = self.component.handle(message);
        check_answer(self.name, report, message);
        report
    }

    fn settle(&mut self, last: Held, report: Report, leads: bool) {
        let mut came: Vec<_> = Vec::new();
        if leads {
            came.extend(self.held.drain(..).map(|held| held.came));
        }
        came.push(last.came);
        self.settled.push(Settled { report, message: last.message, came });
    }
}

/// What a component answers stands in the table, as its own; and what fails says why.
pub fn check_answer(name: &str, report: Report, message: &Message) {
    if [Report::DONE, Report::CONTINUE, Report::DROP].contains(&report) {
        return;
    }
    let known = STATUSES.iter().find(|status| status.report == report);
    let known = known.unwrap_or_else(|| panic!("{name} answers {report}"));
    assert!(known.components.contains(&name), "{name} answers {report}");
    assert!(!message.description().is_empty(), "{name} answers {report} without a word");
}

/// Calls a component that answers each message at once. One that fails stays as it was. `None` where the message
/// cannot be so large.
pub fn answered(
    name: &str,
    component: &mut dyn Component,
    data: &[u8],
    attributes: &[(&str, &[u8])],
    max: usize,
) -> Option<(Report, Message)> {
    let mut message = Message::new(16, max);
    message.set_data(data).ok()?;
    for (name, value) in attributes {
        message.set_attribute(name, value).ok()?;
    }
    message.prepare(Call { attempt: 1, flush: None, held: 0 });
    let report = component.handle(&mut message);
    check_answer(name, report, &message);
    if report != Report::DONE {
        assert_eq!(message.data(), data, "{name} answers {report}, and has changed the message");
    }
    Some((report, message))
}

/// What is in a gzip file, of any number of members and with zeros behind them, as `flate2` reads it; and whether it
/// is whole.
pub fn unpacked(mut file: &[u8]) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    loop {
        let mut member = GzDecoder::new(file);
        if member.read_to_end(&mut all).is_err() {
            return (all, false);
        }
        file = member.into_inner();
        match file.iter().position(|byte| *byte != 0) {
            None => return (all, true),
            Some(0) => {}
            Some(_) => return (all, false),
        }
    }
}
