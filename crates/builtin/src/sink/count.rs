//! Counts messages.

use crate::factory::{Plan, optional};
use stageline_component::{
    AttributeKind, Attributes, Component, Error, Kind, Message, Report, Spec,
};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// How many values are counted apart; messages with others are counted together.
const VALUES_MAX: usize = 100_000;

static SPEC: Spec = Spec {
    name: "count",
    kind: Kind::Sink,
    summary: "Counts messages, and says at the end how many there were",
    attributes: &[
        optional("by", AttributeKind::Text, "The attribute of messages whose values are counted apart."),
        optional("output", AttributeKind::Text, "The file to write to, which is replaced; stderr unless set."),
    ],
    doc: "\
Each message is done. When the run ends, a line is written for all of them, and with `by` one before it for each
value, the most frequent first: the number, a tab, the value. Messages without the attribute have the value
`(none)`. Of more than 100000 values the rest is counted as `(others)`.

```lua
local s = require(\"stageline\")
s.pipeline { s.file_source { path = \"*.log\", annotate = true }, s.count { by = \"file.path\" } }
```
",
};

#[derive(Default)]
struct Counts {
    all: u64,
    none: u64,
    others: u64,
    by_value: HashMap<Vec<u8>, u64>,
}

impl Counts {
    fn add(&mut self, value: &[u8], count: u64) {
        let is_full = self.by_value.len() == VALUES_MAX;
        match self.by_value.get_mut(value) {
            Some(known) => *known += count,
            None if is_full => self.others += count,
            None => {
                self.by_value.insert(value.to_owned(), count);
            }
        }
    }

    fn append(&mut self, other: &mut Self) {
        self.all += other.all;
        self.none += other.none;
        self.others += other.others;
        other.by_value.drain().for_each(|(value, count)| self.add(&value, count));
        *other = Self::default();
    }

    fn text(&self, is_parted: bool) -> String {
        let value = |value: &[u8]| value.escape_ascii().to_string();
        let mut lines: Vec<_> =
            self.by_value.iter().map(|(bytes, count)| (*count, value(bytes))).collect();
        let special = [(self.none, "(none)"), (self.others, "(others)")];
        lines.extend(special.map(|(count, name)| (count, name.to_owned())));
        lines.retain(|(count, _)| is_parted && *count > 0);
        lines.sort_by(|(a, one), (b, other)| b.cmp(a).then_with(|| one.cmp(other)));
        lines.push((self.all, "messages".to_owned()));
        let mut text = String::new();
        for (count, name) in lines {
            // (A string takes all that there is memory for.)
            let _ = writeln!(text, "{count}\t{name}");
        }
        text
    }
}

/// What the instances of all threads have counted that have ended, and how many have not.
#[derive(Default)]
struct Shared {
    counts: Counts,
    running: usize,
}

#[derive(Clone)]
pub(super) struct Count {
    by: Option<String>,
    output: Option<PathBuf>,
    shared: Arc<Mutex<Shared>>,
}

impl Plan for Count {
    const SPEC: &'static Spec = &SPEC;

    fn new(attributes: &Attributes) -> Result<Self, Error> {
        let text = |name| attributes.text(name).map(str::to_owned);
        Ok(Self {
            by: text("by"),
            output: text("output").map(PathBuf::from),
            shared: Arc::default(),
        })
    }

    fn component(&self) -> Result<Box<dyn Component>, Error> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).running += 1;
        Ok(Box::new(Counter { plan: self.clone(), counts: Counts::default(), is_running: true }))
    }
}

struct Counter {
    plan: Count,
    counts: Counts,
    is_running: bool,
}

impl Component for Counter {
    fn handle(&mut self, message: &mut Message) -> Report {
        self.counts.all += 1;
        if let Some(by) = &self.plan.by {
            match message.attribute(by) {
                Some(value) => self.counts.add(value, 1),
                None => self.counts.none += 1,
            }
        }
        Report::DONE
    }

    fn close(&mut self) -> Result<(), Error> {
        let Some(text) = self.end() else { return Ok(()) };
        match &self.plan.output {
            None => Ok(std::io::stderr().write_all(text.as_bytes())?),
            Some(path) => std::fs::write(path, text).map_err(|error| {
                Error::with_source(format!("count: cannot write {path:?}"), error)
            }),
        }
    }
}

impl Counter {
    /// What all have counted, if this is the last one.
    fn end(&mut self) -> Option<String> {
        let mut shared = self.plan.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.counts.append(&mut self.counts);
        shared.running -= usize::from(std::mem::take(&mut self.is_running));
        (shared.running == 0).then(|| shared.counts.text(self.plan.by.is_some()))
    }
}

/// One that is not closed, since something has panicked, keeps no other from saying what it knows.
impl Drop for Counter {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::testing::{message, prepared, refused};
    use std::fs;
    use tempfile::TempDir;

    fn count(counter: &mut Box<dyn Component>, values: &[Option<&str>]) {
        for value in values {
            let mut message = message("a");
            if let Some(value) = value {
                message.set_attribute("v", value.as_bytes()).unwrap();
            }
            assert_eq!(counter.handle(&mut message), Report::DONE);
        }
    }

    #[test]
    fn the_last_instance_says_what_all_have_counted() {
        for (by, expected) in
            [(Some("v"), "3\tb\n2\ta\n1\t(none)\n1\tc\\n\n7\tmessages\n"), (None, "7\tmessages\n")]
        {
            let folder = TempDir::new().unwrap();
            let path = folder.path().join("counts");
            let mut values = vec![("output", path.to_str().unwrap().into())];
            values.extend(by.map(|by| ("by", by.into())));
            let factory = prepared::<Count>(&values).unwrap();
            let mut counters: Vec<_> = (0..3).map(|_| factory.component().unwrap()).collect();
            count(&mut counters[0], &[Some("a"), Some("b"), None]);
            count(&mut counters[1], &[Some("b"), Some("b"), Some("c\n")]);
            count(&mut counters[2], &[Some("a")]);
            counters[0].close().unwrap();
            // One is gone without an end.
            counters.remove(2);
            assert!(!path.exists());
            counters[1].close().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        }
    }

    #[test]
    fn of_many_values_the_rest_is_counted_together() {
        let mut counts = Counts::default();
        for number in 0..VALUES_MAX + 3 {
            counts.add(number.to_string().as_bytes(), 1);
        }
        counts.add(b"0", 1);
        let text = counts.text(true);
        assert!(text.starts_with("3\t(others)\n2\t0\n1\t1\n"), "{}", &text[..40]);
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("none/counts");
        let factory = prepared::<Count>(&[("output", path.to_str().unwrap().into())]).unwrap();
        let error = factory.component().unwrap().close().unwrap_err();
        assert_eq!(error.text(), format!("count: cannot write {path:?}"));
        assert!(prepared::<Count>(&[]).unwrap().component().unwrap().close().is_ok());
        assert!(refused::<Count>(&[("key", "a".into())]).contains("`by`"));
    }
}
