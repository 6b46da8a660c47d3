//! Sinks.
//!
//! ```text
//! stdout, file_sink, tcp_sink ──► encoded ──► batch
//! sqlite ──► row, batch
//! udp_sink, null, count
//! ```

mod batch;
mod count;
mod encoded;
mod file_sink;
mod null;
mod parts;
mod row;
mod sqlite;
mod stdout;
mod tcp_sink;
mod udp_sink;

pub(crate) use batch::MARK;

use crate::Builtin;
use crate::factory::builtin;

pub(crate) const ALL: &[Builtin] = &[
    builtin::<stdout::Stdout>(),
    builtin::<file_sink::FileSink>(),
    builtin::<tcp_sink::TcpSink>(),
    builtin::<udp_sink::UdpSink>(),
    builtin::<sqlite::Sqlite>(),
    builtin::<count::Count>(),
    builtin::<null::Null>(),
];

/// What the tests of sinks have in common.
#[cfg(test)]
mod testing {
    use stageline_component::host::Call;
    use stageline_component::{Component, Error, Flush, Message, Report, ReportKind};
    use std::collections::VecDeque;
    use std::mem;
    use std::time::Duration;

    /// A message, those that follow it, and which attempt at it comes next.
    struct Journey {
        leader: Message,
        followers: Vec<Message>,
        attempt: u32,
    }

    /// Holds, leads and tries again as who runs components does.
    pub(super) struct Runner {
        component: Box<dyn Component>,
        held: Vec<Message>,
        waiting: VecDeque<Journey>,
    }

    impl Runner {
        pub(super) fn new(component: Box<dyn Component>) -> Self {
            Self { component, held: Vec::new(), waiting: VecDeque::new() }
        }

        /// What is settled when these have come.
        pub(super) fn give(&mut self, texts: &[&str]) -> Vec<Message> {
            let messages = texts.iter().map(crate::factory::testing::message);
            messages.flat_map(|message| self.handle(message)).collect()
        }

        /// What is settled when this one has come.
        pub(super) fn handle(&mut self, leader: Message) -> Vec<Message> {
            self.go_on(Journey { leader, followers: Vec::new(), attempt: 1 }, None)
        }

        /// What is settled when the first of those that are held comes again.
        pub(super) fn flush(&mut self, flush: Flush) -> Vec<Message> {
            let mut held = mem::take(&mut self.held);
            let leader = held.remove(0);
            self.go_on(Journey { leader, followers: held, attempt: 1 }, Some(flush))
        }

        /// What is settled when the first of those that are to be handled again is.
        pub(super) fn retry(&mut self) -> Vec<Message> {
            let journey = self.waiting.pop_front().expect("one is to be handled again");
            self.go_on(journey, None)
        }

        fn go_on(&mut self, mut journey: Journey, flush: Option<Flush>) -> Vec<Message> {
            let held = match flush {
                None => self.held.len(),
                Some(_) => journey.followers.len() + 1,
            };
            journey.leader.prepare(Call { attempt: journey.attempt, flush, held });
            let report = self.component.handle(&mut journey.leader);
            let goes_alone = journey.leader.goes_alone() && flush.is_none();
            let leads = journey.leader.take_led() || report == Report::DONE && !goes_alone;
            if leads && report.kind() != ReportKind::Continue {
                journey.followers.append(&mut self.held);
            }
            match report.kind() {
                ReportKind::Continue => {
                    assert!(journey.followers.is_empty(), "a batch is held again");
                    self.held.push(journey.leader);
                    Vec::new()
                }
                ReportKind::Retry => {
                    journey.attempt += 1;
                    self.waiting.push_back(journey);
                    Vec::new()
                }
                _ => {
                    let mut settled = journey.followers;
                    settled.push(journey.leader);
                    settled.iter_mut().for_each(|message| message.set_status(report.status()));
                    settled
                }
            }
        }

        /// How long the last one is held at most.
        pub(super) fn hold_at_most(&self) -> Duration {
            self.held.last().expect("one is held").hold_at_most()
        }

        pub(super) fn close(&mut self) -> Result<(), Error> {
            self.component.close()
        }
    }

    /// Each message and its status.
    pub(super) fn texts(messages: &[Message]) -> Vec<String> {
        let text =
            |message: &Message| format!("{} {}", message.data().escape_ascii(), message.status());
        messages.iter().map(text).collect()
    }
}
