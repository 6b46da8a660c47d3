use super::*;
use crate::sink::testing::{Runner, texts};
use stageline_component::Flush;
use std::sync::{Arc, Mutex};

/// What was written, and what the next writes answer.
#[derive(Clone, Default)]
struct Log {
    written: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<Vec<Report>>>,
}

impl Target for Log {
    type Batch = Vec<String>;

    fn add(&mut self, message: &mut Message, batch: &mut Vec<String>) -> Result<(), Report> {
        let text = String::from_utf8(message.data().to_vec()).unwrap();
        if text == "bad" {
            return Err(answer(message, Report::FAIL, "it is bad"));
        }
        batch.push(text);
        Ok(())
    }

    fn is_full(&self, batch: &Vec<String>) -> bool {
        batch.last().is_some_and(|text| text == "large")
    }

    fn clear(&self, batch: &mut Vec<String>) {
        batch.clear();
    }

    fn write(&mut self, batch: &mut Vec<String>) -> Result<(), Failure> {
        match self.answers.lock().unwrap().pop() {
            Some(report) if report != Report::DONE => {
                Err(Failure { report, text: "the disk is full".into() })
            }
            _ => {
                self.written.lock().unwrap().push(batch.join(" "));
                Ok(())
            }
        }
    }
}

/// A sink that writes three at once, and its log.
fn sink(answers: &[Report]) -> (Runner, Log) {
    let log = Log::default();
    *log.answers.lock().unwrap() = answers.iter().rev().copied().collect();
    let limits = Limits { messages_max: 3, flush_every: Duration::from_secs(60) };
    (Runner::new(Box::new(Batched::new(log.clone(), limits))), log)
}

impl Log {
    fn written(&self) -> Vec<String> {
        self.written.lock().unwrap().clone()
    }
}

#[test]
fn messages_are_done_when_they_are_written() {
    let (mut runner, log) = sink(&[]);
    assert!(runner.give(&["a", "b"]).is_empty() && log.written().is_empty());
    assert_eq!(texts(&runner.give(&["c"])), ["a 0", "b 0", "c 0"]);
    assert_eq!(log.written(), ["a b c"]);
    runner.give(&["d", "e"]);
    assert_eq!(runner.hold_at_most(), Duration::from_secs(60));
    assert_eq!(texts(&runner.flush(Flush::Age)), ["e 0", "d 0"]);
    assert_eq!(texts(&runner.give(&["large"])), ["large 0"]);
    runner.give(&["f"]);
    assert_eq!(texts(&runner.flush(Flush::Drain)), ["f 0"]);
    runner.close().unwrap();
    assert_eq!(log.written(), ["a b c", "d e", "large", "f"]);
}

#[test]
fn a_bad_message_fails_alone() {
    let (mut runner, log) = sink(&[]);
    assert_eq!(texts(&runner.give(&["a", "bad", "b"])), ["bad 200"]);
    assert_eq!(texts(&runner.give(&["c"])), ["a 0", "b 0", "c 0"]);
    assert_eq!(log.written(), ["a b c"]);
}

#[test]
fn a_batch_fails_as_a_whole() {
    let (mut runner, log) = sink(&[Report::fail(250)]);
    let settled = runner.give(&["a", "b", "c"]);
    assert_eq!(texts(&settled), ["a 250", "b 250", "c 250"]);
    assert_eq!(settled[2].description(), "the disk is full");
    assert_eq!(texts(&runner.give(&["d", "e", "f"])).len(), 3);
    assert_eq!(log.written(), ["d e f"], "what has failed is forgotten");
}

#[test]
fn a_batch_is_written_again_with_its_leader() {
    let (mut runner, log) = sink(&[Report::RETRY, Report::RETRY]);
    assert!(runner.give(&["a", "b", "c"]).is_empty());
    assert!(runner.retry().is_empty());
    let settled = runner.retry();
    assert_eq!(texts(&settled), ["a 0", "b 0", "c 0"]);
    assert!(settled.iter().all(|message| message.attribute(MARK).is_none()));
    assert_eq!(log.written(), ["a b c"]);
}

#[test]
fn what_is_held_meanwhile_is_held_on() {
    let (mut runner, log) = sink(&[Report::RETRY]);
    runner.give(&["a", "b", "c", "d", "e"]);
    assert_eq!(texts(&runner.retry()), ["a 0", "b 0", "c 0"]);
    assert_eq!(log.written(), ["a b c"]);
    assert_eq!(texts(&runner.give(&["f"])), ["d 0", "e 0", "f 0"]);
    assert_eq!(log.written(), ["a b c", "d e f"], "no batch has more than three");
}

#[test]
fn what_is_held_meanwhile_has_attempts_of_its_own() {
    for last in [Report::RETRY, Report::fail(250)] {
        let (mut runner, log) = sink(&[Report::RETRY, last]);
        runner.give(&["a", "b", "c", "d", "e"]);
        let settled = runner.retry();
        let expected: &[&str] =
            if last == Report::RETRY { &[] } else { &["a 250", "b 250", "c 250"] };
        assert_eq!(texts(&settled), expected);
        assert_eq!(texts(&runner.give(&["f"])), ["d 0", "e 0", "f 0"]);
        assert_eq!(log.written(), ["d e f"]);
        if last == Report::RETRY {
            assert_eq!(texts(&runner.retry()), ["a 0", "b 0", "c 0"]);
        }
    }
}

#[test]
fn what_is_held_meanwhile_fails_by_itself() {
    for last in [Report::RETRY, Report::fail(250)] {
        let (mut runner, log) = sink(&[Report::RETRY, Report::DONE, last]);
        runner.give(&["a", "b", "c", "d", "e"]);
        assert_eq!(texts(&runner.retry()), ["a 0", "b 0", "c 0"]);
        let settled = runner.give(&["f"]);
        if last == Report::RETRY {
            assert!(settled.is_empty());
            assert_eq!(texts(&runner.retry()), ["d 0", "e 0", "f 0"]);
            assert_eq!(log.written(), ["a b c", "d e f"]);
        } else {
            assert_eq!(texts(&settled), ["d 250", "e 250", "f 250"]);
            assert_eq!(log.written(), ["a b c"]);
        }
    }
}

#[test]
fn other_batches_pass_one_that_waits() {
    let (mut runner, log) = sink(&[Report::RETRY, Report::DONE, Report::RETRY]);
    let settled = runner.give(&["a", "b", "c", "d", "e", "f", "g"]);
    assert_eq!(texts(&settled), ["d 0", "e 0", "f 0"]);
    assert!(runner.flush(Flush::Age).is_empty());
    assert_eq!(texts(&runner.retry()), ["a 0", "b 0", "c 0"]);
    assert_eq!(texts(&runner.retry()), ["g 0"]);
    assert_eq!(log.written(), ["d e f", "a b c", "g"]);
}

#[test]
fn batches_whose_leaders_stay_away_are_given_up() {
    let (mut runner, log) = sink(&[Report::RETRY; ASIDE_MAX + 1]);
    for number in 0..=ASIDE_MAX {
        assert!(runner.give(&[&format!("{number}"), "x", "y"]).is_empty());
    }
    assert!(runner.give(&["held"]).is_empty());
    let settled = runner.retry();
    assert_eq!(texts(&settled), ["0 221", "x 221", "y 221"], "and not what is held");
    assert_eq!(settled[2].description(), "too many other batches failed meanwhile");
    assert_eq!(texts(&runner.retry()), ["1 0", "x 0", "y 0"]);
    assert_eq!(texts(&runner.flush(Flush::Age)), ["held 0"]);
    assert_eq!(log.written(), ["1 x y", "held"]);
}

#[test]
fn a_mark_of_another_place_is_no_batch() {
    let (mut runner, _) = sink(&[]);
    let mut message = crate::factory::testing::message("a");
    message.set_attribute(MARK, &7_u64.to_le_bytes()).unwrap();
    assert!(runner.handle(message).is_empty());
    assert_eq!(texts(&runner.flush(Flush::Age)), ["a 0"]);
}

#[test]
fn without_room_for_the_mark_there_is_no_retry() {
    let (mut runner, log) = sink(&[Report::RETRY]);
    let mut message = crate::factory::testing::message("large");
    message.set_attribute("a", &[0; stageline_component::ATTRIBUTES_MAX - 9]).unwrap();
    let settled = runner.handle(message);
    assert_eq!(texts(&settled), ["large 221"]);
    assert!(settled[0].description().starts_with("the disk is full; 6"));
    assert!(log.written().is_empty());
}

#[test]
fn what_was_not_asked_for_is_written_at_the_end() {
    let (mut runner, log) = sink(&[]);
    runner.give(&["a"]);
    runner.close().unwrap();
    assert_eq!(log.written(), ["a"]);
    let (mut runner, _) = sink(&[Report::FAIL]);
    runner.give(&["a"]);
    assert_eq!(runner.close().unwrap_err().text(), "the disk is full");
}

#[test]
fn limits_are_checked() {
    use stageline_component::{Kind, Spec, Value};
    static SPEC: Spec = Spec {
        name: "it",
        kind: Kind::Sink,
        summary: "",
        attributes: &[BATCH, FLUSH_EVERY],
        doc: "",
    };
    let limits = |name: &str, value: Value| {
        let attributes = Attributes::check(&SPEC, [(name, &value)]).unwrap();
        Limits::of(&attributes).map_err(|error| error.to_string())
    };
    assert_eq!(limits("batch", 7.into()).unwrap().messages_max, 7);
    assert_eq!(limits("batch", 7.into()).unwrap().flush_every, Duration::from_millis(50));
    assert_eq!(limits("flush_every", "1h".into()).unwrap().flush_every, HELD_MOST);
    let error = limits("batch", 0.into()).unwrap_err();
    assert_eq!(error, "`batch` = 0: expected a number from 1 to 1000000");
    let error = limits("flush_every", "2h".into()).unwrap_err();
    assert_eq!(error, "`flush_every` = 7200: expected up to 1h");
}
