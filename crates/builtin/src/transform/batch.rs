//! Folds messages into one.

use super::NOT_JSON;
use crate::factory::{Plan, answer, bytes, defaulted, optional, time, too_large};
use crate::json;
use crate::status::NO_ROOM;
use stageline_component::{
    AttributeError, AttributeKind, Attributes, Buffer, Component, Error, Flush, Kind, Message,
    Report, Spec, TooLarge,
};
use std::time::Duration;

/// How many messages may be folded into one.
const COUNT_MAX: i64 = 1_000_000;

static SPEC: Spec = Spec {
    name: "batch",
    kind: Kind::Transform,
    summary: "Folds messages into one, which goes on when there are enough of them",
    attributes: &[
        defaulted(
            "count",
            AttributeKind::Integer,
            "100",
            "How many messages make a batch, from 1 to 1000000.",
        ),
        defaulted(
            "bytes",
            AttributeKind::Size,
            "64KiB",
            "A batch that has so many bytes, separators included, goes on.",
        ),
        defaulted(
            "age",
            AttributeKind::Duration,
            "1s",
            "A batch whose first message is so old goes on.",
        ),
        defaulted(
            "format",
            AttributeKind::OneOf(&["text", "json"]),
            "text",
            "What a batch is: `text`, the messages with separators between them, or `json`, an array of them.",
        ),
        optional(
            "separator",
            AttributeKind::Text,
            "What stands between two messages of a `text`: LF, unless set. Between those of `json` it is a comma.",
        ),
    ],
    doc: r#"
    s.batch { count = 500, age = "200ms", format = "json" }

The messages of a batch are held, and settled together with the one that goes on in their place, by whatever becomes of
it. That is the last one, which made the batch complete, or the first, if it became too old or the run ends. Its
attributes are those of the batch. Each instance fills batches of its own.

A message that is held takes a slot of the window: where that has fewer than `count`, batches go on when it is full.

A batch goes on early, when another message as large as the largest one of it might not fit. Should one not fit after all,
the batch goes on, and it is asked for again (status 110). With `format = "json"`, a message that is no JSON value, or has
more than 128 levels of arrays and objects, fails with the status 210, and one that is too large for an array of its own
with 201. Nothing is allocated for a message once the buffer has the size of a batch.
"#,
};

/// When a batch is complete, and what it is.
#[derive(Clone)]
pub(crate) struct Batch {
    count: usize,
    bytes: usize,
    age: Duration,
    frame: Frame,
}

/// What stands before, between and behind the messages.
#[derive(Clone)]
struct Frame {
    is_json: bool,
    before: &'static [u8],
    between: Vec<u8>,
    behind: &'static [u8],
}

impl Plan for Batch {
    const SPEC: &'static Spec = &SPEC;

    fn new(attributes: &Attributes) -> Result<Self, Error> {
        let count = attributes.integer_in("count", 1..=COUNT_MAX)?.unwrap_or(1);
        let bytes = bytes(attributes, "bytes")?.unwrap_or(u64::MAX);
        let separator = attributes.text("separator");
        let is_json = attributes.text("format") == Some("json");
        let frame = match separator {
            Some(separator) if is_json => {
                let expected =
                    "none with `format` = \"json\", where a comma stands between two messages";
                return Err(
                    AttributeError::invalid("separator", &separator.into(), expected).into()
                );
            }
            _ if is_json => Frame { is_json, before: b"[", between: b",".to_vec(), behind: b"]" },
            separator => {
                let between = separator.unwrap_or("\n").into();
                Frame { is_json, before: b"", between, behind: b"" }
            }
        };
        Ok(Self {
            count: count as usize,
            bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
            age: time(attributes, "age")?.unwrap_or(Duration::MAX),
            frame,
        })
    }

    fn component(&self) -> Result<Box<dyn Component>, Error> {
        let folded = Buffer::default();
        Ok(Box::new(Folds { plan: self.clone(), folded, count: 0, largest: 0, expected: 0 }))
    }
}

struct Folds {
    plan: Batch,
    /// What the batch will say, but for what stands behind.
    folded: Buffer,
    /// How many messages are in it.
    count: usize,
    /// What the largest of them takes.
    largest: usize,
    /// What one takes that had no room and comes again: until then there is to be room for it.
    expected: usize,
}

impl Folds {
    fn empty(&mut self) {
        self.folded.clear();
        (self.count, self.largest) = (0, 0);
    }

    /// How many bytes a batch of this has, with its end.
    fn size_with(&self, data: usize) -> usize {
        let frame = &self.plan.frame;
        let begin = if self.count == 0 { frame.before.len() } else { frame.between.len() };
        self.folded.len() + begin + data + frame.behind.len()
    }

    fn add(&mut self, data: &[u8]) -> Result<(), TooLarge> {
        let frame = &self.plan.frame;
        let begin = if self.count == 0 { frame.before } else { &frame.between };
        self.folded.extend_from_slice(begin)?;
        self.folded.extend_from_slice(data)?;
        self.count += 1;
        self.largest = self.largest.max(data.len());
        Ok(())
    }

    /// Whether it goes on before there is another message.
    fn is_complete(&self, max: usize) -> bool {
        let Batch { count, bytes, frame, .. } = &self.plan;
        let is_full = self.folded.len() + frame.behind.len() >= *bytes;
        let next = self.largest.max(self.expected);
        self.count >= *count || is_full || self.size_with(next) > max
    }

    /// The message goes on with all that was folded.
    fn go_on(&mut self, message: &mut Message) -> Report {
        let behind = self.plan.frame.behind;
        let written = self.folded.extend_from_slice(behind);
        let written = written.and_then(|()| message.data_mut().swap(&mut self.folded));
        self.empty();
        match written {
            Ok(()) => Report::DONE,
            Err(error) => {
                message.lead();
                too_large(message, error)
            }
        }
    }
}

impl Component for Folds {
    fn handle(&mut self, message: &mut Message) -> Report {
        if let Some(Flush::Age | Flush::Drain) = message.flush() {
            return if self.count == 0 { Report::DONE } else { self.go_on(message) };
        }
        if message.held() == 0 {
            // Those of an earlier batch are gone, however that was.
            self.empty();
        }
        let max = message.data_mut().max();
        let data = if self.plan.frame.is_json {
            match json::value(message.data()) {
                Ok(value) => value.as_bytes(),
                Err(error) => return answer(message, NOT_JSON, format_args!("not JSON: {error}")),
            }
        } else {
            message.data()
        };
        let wanted = self.size_with(data.len());
        if wanted > max {
            if self.count == 0 {
                return too_large(message, TooLarge { wanted, max });
            }
            self.expected = self.expected.max(data.len());
            message.let_go();
            return answer(message, NO_ROOM, "no room in the batch: it must go on first");
        }
        if message.attempt() > 1 && data.len() >= self.expected {
            self.expected = 0;
        }
        if let Err(error) = self.add(data) {
            self.empty();
            message.lead();
            return too_large(message, error);
        }
        if self.is_complete(max) { self.go_on(message) } else { message.hold_for(self.plan.age) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::testing::{component, message, refused};
    use crate::status::TOO_LARGE;
    use stageline_component::Value;
    use stageline_component::host::Call;

    /// Hands messages to a batch as a runner does.
    struct Run {
        batch: Box<dyn Component>,
        held: Vec<Message>,
    }

    impl Run {
        fn new(values: &[(&str, Value)]) -> Self {
            Self { batch: component::<Batch>(values), held: Vec::new() }
        }

        fn call(&mut self, message: &mut Message, flush: Option<Flush>) -> Report {
            message.prepare(Call { attempt: 1, flush, held: self.held.len() });
            self.batch.handle(message)
        }

        /// What goes on because of this message, or its report.
        fn send(&mut self, mut message: Message) -> Result<String, Report> {
            let report = self.call(&mut message, None);
            match report {
                Report::DONE => {
                    self.held.clear();
                    Ok(text(&message))
                }
                Report::CONTINUE => {
                    self.held.push(message);
                    Err(report)
                }
                _ => Err(report),
            }
        }

        fn flush(&mut self, flush: Flush) -> String {
            let mut first = self.held.remove(0);
            self.held.insert(0, message(""));
            assert_eq!(self.call(&mut first, Some(flush)), Report::DONE);
            self.held.clear();
            text(&first)
        }
    }

    fn text(message: &Message) -> String {
        String::from_utf8(message.data().to_vec()).unwrap()
    }

    const HELD: Result<String, Report> = Err(Report::CONTINUE);

    fn sent(run: &mut Run, all: &[&str]) -> Vec<Result<String, Report>> {
        all.iter().map(|data| run.send(message(data))).collect()
    }

    #[test]
    fn so_many_messages_make_a_batch() {
        let mut run = Run::new(&[("count", 3.into())]);
        let all = sent(&mut run, &["a", "b", "c", "d", "", "f", "g"]);
        let expected = [HELD, HELD, Ok("a\nb\nc".into()), HELD, HELD, Ok("d\n\nf".into()), HELD];
        assert_eq!(all, expected);
        assert_eq!(run.flush(Flush::Drain), "g");
        assert_eq!(
            sent(&mut Run::new(&[("count", 1.into())]), &["a", "b"]),
            [Ok("a".into()), Ok("b".into())]
        );
    }

    #[test]
    fn so_many_bytes_make_a_batch() {
        let mut run = Run::new(&[("bytes", 8.into()), ("separator", "--".into())]);
        let all = sent(&mut run, &["abc", "de", "f", "0123456789", "a"]);
        assert_eq!(all, [HELD, HELD, Ok("abc--de--f".into()), Ok("0123456789".into()), HELD]);
    }

    #[test]
    fn the_first_goes_on_when_it_is_old_or_the_run_ends() {
        let mut run = Run::new(&[("age", "7ms".into()), ("format", "json".into())]);
        let mut first = message("1");
        assert_eq!(run.call(&mut first, None), Report::CONTINUE);
        assert_eq!(first.hold_at_most(), Duration::from_millis(7));
        run.held.push(first);
        assert_eq!(run.send(message("2")), HELD);
        assert_eq!(run.flush(Flush::Age), "[1,2]");
        assert_eq!(run.send(message("3")), HELD);
        assert_eq!(run.flush(Flush::Drain), "[3]");
    }

    #[test]
    fn json_makes_an_array() {
        let mut run = Run::new(&[("count", 2.into()), ("format", "json".into())]);
        let all = sent(&mut run, &[" {\"a\": 1} \n", "[]", "x"]);
        assert_eq!(all, [HELD, Ok("[{\"a\": 1},[]]".into()), Err(NOT_JSON)]);
        let mut bad = message("{\"a\":}");
        assert_eq!(run.call(&mut bad, None), NOT_JSON);
        assert_eq!(bad.description(), "not JSON: expected a value at byte 5");
    }

    fn small(data: &str) -> Message {
        let mut message = Message::new(8, 10);
        message.set_data(data.as_bytes()).unwrap();
        message
    }

    #[test]
    fn a_batch_has_room_in_a_message() {
        let mut run = Run::new(&[("format", "json".into())]);
        assert_eq!(run.send(small("111")), HELD);
        assert_eq!(run.send(small("222")), Ok("[111,222]".into()), "a third does not fit");
        assert_eq!(run.send(small("1")), HELD);
        let mut large = small("22222222");
        assert_eq!(run.call(&mut large, None), NO_ROOM);
        assert_eq!(large.description(), "no room in the batch: it must go on first");
        assert_eq!(large.hold_at_most(), Duration::ZERO, "which it does now");
        assert_eq!(run.flush(Flush::Age), "[1]");
        // Until it comes again there is room for it after each one.
        assert_eq!(run.send(small("2")), Ok("[2]".into()));
        large.prepare(Call { attempt: 2, flush: None, held: 0 });
        assert_eq!(run.batch.handle(&mut large), Report::DONE);
        assert_eq!(text(&large), "[22222222]");
        assert_eq!(run.send(small("3")), HELD);
        assert_eq!(run.flush(Flush::Age), "[3]");
        let mut larger = small("333333333");
        assert_eq!(run.call(&mut larger, None), TOO_LARGE);
        assert!(larger.description().contains("11 bytes are more than the 10"));
    }

    #[test]
    fn a_batch_whose_messages_are_gone_is_forgotten() {
        let mut run = Run::new(&[("count", 2.into())]);
        assert_eq!(run.send(message("a")), HELD);
        run.held.clear();
        assert_eq!(run.send(message("b")), HELD);
        assert_eq!(run.send(message("c")), Ok("b\nc".into()));
        let mut alone = message("d");
        assert_eq!(run.call(&mut alone, Some(Flush::Drain)), Report::DONE);
        assert_eq!(alone.data(), b"d");
    }

    #[test]
    fn wrong_attributes_are_named() {
        let cases = [
            ("count", Value::from(0), "`count` = 0: expected a number from 1 to 1000000"),
            ("bytes", 0.into(), "`bytes` = 0: expected a byte at least"),
            ("age", 0.into(), "`age` = 0: expected more than no time"),
            ("bytes", "many".into(), "`bytes` = \"many\": expected a number of bytes"),
            ("age", "old".into(), "`age` = \"old\": expected a duration"),
            ("format", "xml".into(), "`format` = \"xml\": expected one of \"text\", \"json\""),
            ("separator", true.into(), "`separator` = true: expected a text"),
        ];
        for (name, value, expected) in cases {
            let error = refused::<Batch>(&[(name, value)]);
            assert!(error.starts_with(expected), "{error}");
        }
        let both = [("format", "json".into()), ("separator", ";".into())];
        let error = refused::<Batch>(&both);
        assert!(
            error.starts_with("`separator` = \";\": expected none with `format` = \"json\""),
            "{error}"
        );
    }
}
