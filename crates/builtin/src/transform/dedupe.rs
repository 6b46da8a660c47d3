//! Drops messages that came before.

use super::key::{KEY, Key, KeyMaker};
use crate::factory::{Plan, defaulted, optional, threads, time};
use stageline_component::{
    AttributeKind, AttributeSpec, Attributes, Component, Error, Kind, Message, Report, Spec,
};
use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// How many keys may be remembered.
const MEMORY_MAX: i64 = 100_000_000;

const THREADS: AttributeSpec = optional(
    "threads",
    AttributeKind::Integer,
    "Runs it on so many threads of its own, from 1 to 256, in place of the workers. With 1 it sees all messages.",
);

static SPEC: Spec = Spec {
    name: "dedupe",
    kind: Kind::Transform,
    summary: "Drops messages whose key came before",
    attributes: &[
        KEY,
        defaulted(
            "memory",
            AttributeKind::Integer,
            "100000",
            "How many keys are remembered, from 1 to 100000000; the oldest is forgotten for a new one.",
        ),
        optional(
            "within",
            AttributeKind::Duration,
            "How long a key is remembered after its message came. Without it, until there are too many.",
        ),
        THREADS,
    ],
    doc: r#"
    s.dedupe { key = "order_id", memory = 1000000, within = "10m", threads = 1 }

The first message with a key goes on; those that follow are dropped as long as the key is remembered, and do not make
that longer. A key is the text of the value: `1` and `"1"` are the same, `1` and `1.0` are not. A message whose key is null goes on.

**Each instance remembers for itself.** The workers each have one, and a message may come to any of them. Where nothing may
pass twice, `threads = 1` gives it one thread of its own, and so one memory.

**A message that fails later** has left its key here: when its source sends it again, it is dropped. Put `dedupe` where what
follows does not fail, or remember `within` less than the time until it is sent again.

A key takes 16 bytes of hash, which is keyed anew in every run, and about 60 in all. Two keys of a million have the
same hash once in 10^26 runs. Nothing is allocated for a message once the memory has grown to its size.

What is no JSON object, or has more than 128 levels, fails with the status 210 if the key reads fields, and a key without a value with 211.
"#,
};

/// How long what is remembered.
pub(crate) struct Dedupe {
    key: Key,
    memory: usize,
    within: Option<Duration>,
    threads: Option<usize>,
}

impl Plan for Dedupe {
    const SPEC: &'static Spec = &SPEC;

    fn new(attributes: &Attributes) -> Result<Self, Error> {
        let memory = attributes.integer_in("memory", 1..=MEMORY_MAX)?.unwrap_or(1);
        Ok(Self {
            key: Key::new(attributes)?,
            memory: memory as usize,
            within: time(attributes, "within")?,
            threads: attributes.is_set("threads").then(|| threads(attributes)).transpose()?,
        })
    }

    fn component(&self) -> Result<Box<dyn Component>, Error> {
        Ok(Box::new(Drops {
            keys: self.key.maker(),
            seen: Seen::new(self.memory, self.within),
            hashers: [RandomState::new(), RandomState::new()],
            start: Instant::now(),
        }))
    }

    fn pool_size(&self) -> Option<usize> {
        self.threads
    }
}

type Hash = [u64; 2];

/// The keys that are remembered, and since when, the oldest first.
struct Seen {
    memory: usize,
    within: Option<Duration>,
    known: HashSet<Hash>,
    order: VecDeque<(Hash, Instant)>,
}

impl Seen {
    fn new(memory: usize, within: Option<Duration>) -> Self {
        Self { memory, within, known: HashSet::new(), order: VecDeque::new() }
    }

    /// Whether it is new, after which it is not.
    fn is_new(&mut self, hash: Hash, now: Instant) -> bool {
        let is_over = |at: Instant, within| now.saturating_duration_since(at) >= within;
        while let (Some(within), Some(&(oldest, at))) = (self.within, self.order.front())
            && is_over(at, within)
        {
            self.forget(oldest);
        }
        if self.known.contains(&hash) {
            return false;
        }
        if self.order.len() == self.memory
            && let Some(&(oldest, _)) = self.order.front()
        {
            self.forget(oldest);
        }
        self.known.insert(hash);
        self.order.push_back((hash, now));
        true
    }

    fn forget(&mut self, oldest: Hash) {
        self.known.remove(&oldest);
        self.order.pop_front();
    }
}

struct Drops {
    keys: KeyMaker,
    seen: Seen,
    hashers: [RandomState; 2],
    start: Instant,
}

impl Component for Drops {
    fn handle(&mut self, message: &mut Message) -> Report {
        // Without an age, the time is of no use, and the clock is not asked.
        let now = if self.seen.within.is_some() { Instant::now() } else { self.start };
        let hashers = &self.hashers;
        match self.keys.make(message, |key| hashers.each_ref().map(|hasher| hasher.hash_one(key))) {
            Ok(Some(hash)) if !self.seen.is_new(hash, now) => Report::DROP,
            Ok(_) => Report::DONE,
            Err(report) => report,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::testing::{component, message, prepared, refused};
    use crate::transform::{NO_VALUE, NOT_JSON};
    use stageline_component::Value;

    fn reports(values: &[(&str, Value)], all: &[&str]) -> Vec<Report> {
        let mut component = component::<Dedupe>(values);
        all.iter().map(|data| component.handle(&mut message(data))).collect()
    }

    const DONE: Report = Report::DONE;
    const DROP: Report = Report::DROP;

    #[test]
    fn what_came_before_is_dropped() {
        assert_eq!(reports(&[], &["a", "b", "a", "a ", "b"]), [DONE, DONE, DROP, DONE, DROP]);
    }

    #[test]
    fn the_key_is_a_value_of_the_message() {
        let rows = [
            r#"{"a":1,"b":1}"#,
            r#"{"a":1,"b":2}"#,
            r#"{"b":1}"#,
            r#"{"b":1}"#,
            r#"{"a":"1"}"#,
            r#"{"a":2}"#,
        ];
        assert_eq!(reports(&[("key", "a".into())], &rows), [DONE, DROP, DONE, DONE, DROP, DONE]);
        let sum = [("key", "string(a) + string(b)".into())];
        assert_eq!(reports(&sum, &[rows[0], rows[1], rows[0]]), [DONE, DONE, DROP]);
        let mut by_attribute = component::<Dedupe>(&[("key", "attributes.id".into())]);
        let mut with_id = |id: &[u8]| {
            let mut message = message("same");
            message.set_attribute("id", id).unwrap();
            by_attribute.handle(&mut message)
        };
        assert_eq!([b"1", b"2", b"1"].map(|id| with_id(id)), [DONE, DONE, DROP]);
    }

    #[test]
    fn the_memory_has_a_bound() {
        let values = [("memory", 2.into())];
        let all = ["a", "b", "c", "c", "b", "a", "b"];
        assert_eq!(reports(&values, &all), [DONE, DONE, DONE, DROP, DROP, DONE, DONE]);
    }

    #[test]
    fn a_key_is_forgotten_with_time() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut seen = Seen::new(10, Some(Duration::from_secs(5)));
        assert!(seen.is_new([1, 1], at(0)));
        assert!(!seen.is_new([1, 1], at(4)), "and this does not make it longer");
        assert!(seen.is_new([1, 2], at(4)));
        assert!(seen.is_new([1, 1], at(5)));
        assert!(!seen.is_new([1, 2], at(8)));
        assert!(seen.is_new([1, 2], at(9)));
        assert_eq!((seen.known.len(), seen.order.len()), (2, 2));
    }

    #[test]
    fn within_and_threads_are_taken() {
        let values = [("within", "1ns".into())];
        assert_eq!(reports(&values, &["a", "a"]), [DONE, DONE], "forgotten at once");
        assert_eq!(prepared::<Dedupe>(&[]).unwrap().pool_size(), None);
        assert_eq!(prepared::<Dedupe>(&[("threads", 1.into())]).unwrap().pool_size(), Some(1));
    }

    #[test]
    fn bad_messages_fail() {
        let mut component = component::<Dedupe>(&[("key", "1 / a".into())]);
        assert_eq!(component.handle(&mut message("x")), NOT_JSON);
        let mut zero = message("{\"a\":0}");
        assert_eq!(component.handle(&mut zero), NO_VALUE);
        assert_eq!(zero.description(), "`key`: Division by zero of Int(1)");
    }

    #[test]
    fn wrong_attributes_are_named() {
        let cases = [
            ("memory", Value::from(0), "`memory` = 0: expected a number from 1 to 100000000"),
            ("within", 0.into(), "`within` = 0: expected more than no time"),
            ("within", "soon".into(), "`within` = \"soon\": expected a duration"),
            ("key", "a b".into(), "`key` = \"a b\": expected an expression in CEL: line 1"),
            ("threads", 0.into(), "`threads` = 0: expected a number from 1 to 256"),
        ];
        for (name, value, expected) in cases {
            let error = refused::<Dedupe>(&[(name, value)]);
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
