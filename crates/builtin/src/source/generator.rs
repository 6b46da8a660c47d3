//! Messages made up, for trying out a pipeline and for measuring it.

use super::feed::Digits;
use super::wait::LOOK_EVERY;
use crate::factory::{Plan, defaulted, optional};
use stageline_component::{
    AttributeError, AttributeKind, Attributes, EmitError, Emitter, Error, Kind, Message, Source,
    Spec, TooLarge, Value,
};
use std::thread;
use std::time::{Duration, Instant};

/// What stands in a template for the number of the message.
const NUMBER: &str = "{n}";

/// What a message is filled up with.
const FILLING: u8 = b'.';

/// The bounds of `rate`, in messages a second.
const RATE_LEAST: f64 = 1e-3;
const RATE_MOST: f64 = 1e9;

/// How many messages are emitted between two looks at the clock and at whether to stop.
const BURST: u64 = 64;

static SPEC: Spec = Spec {
    name: "generator",
    kind: Kind::Source,
    summary: "Makes up messages, with their number in them",
    attributes: &[
        optional("count", AttributeKind::Integer, "How many messages; without end unless set."),
        optional(
            "rate",
            AttributeKind::Number,
            "How many messages a second, from 0.001 to 1e9; as many as the pipeline takes unless set.",
        ),
        defaulted(
            "template",
            AttributeKind::Text,
            NUMBER,
            "What each message says. `{n}` stands for its number, which counts from 0.",
        ),
        optional(
            "size",
            AttributeKind::Size,
            "How many bytes each message has at least: shorter ones are filled up with dots.",
        ),
    ],
    doc: "\
Makes up messages. Where the pipeline is slower than `rate` says, what is late is made up for as fast as it can be.

```lua
local s = require(\"stageline\")
s.pipeline {
  s.generator { count = 1000, rate = 100, template = '{\"id\": {n}}' },
  s.stdout {},
}
```
",
};

#[derive(Clone)]
pub(super) struct Generator {
    count: u64,
    rate: Option<f64>,
    /// What stands before, between and behind the numbers.
    texts: Vec<String>,
    size: usize,
}

impl Plan for Generator {
    const SPEC: &'static Spec = &SPEC;

    fn new(attributes: &Attributes) -> Result<Self, Error> {
        let count = attributes.integer_in("count", 0..=i64::MAX)?;
        let rate = attributes.number("rate");
        if let Some(rate) = rate.filter(|rate| !(RATE_LEAST..=RATE_MOST).contains(rate)) {
            let expected = "a number from 0.001 to 1e9";
            return Err(AttributeError::invalid("rate", &rate.into(), expected).into());
        }
        let size = attributes.size("size").unwrap_or_default();
        let size = usize::try_from(size).map_err(|_| {
            let value = Value::from(size.to_string());
            AttributeError::invalid("size", &value, "as many bytes as there may be in memory")
        })?;
        let template = attributes.text("template").unwrap_or(NUMBER);
        let texts = template.split(NUMBER).map(str::to_owned).collect();
        Ok(Self { count: count.map_or(u64::MAX, |count| count as u64), rate, texts, size })
    }

    fn source(&self) -> Result<Box<dyn Source>, Error> {
        Ok(Box::new(self.clone()))
    }
}

impl Generator {
    fn fill(&self, number: u64, message: &mut Message) -> Result<(), TooLarge> {
        let data = message.data_mut();
        let mut digits = Digits::default();
        let digits = digits.of(number);
        for (index, text) in self.texts.iter().enumerate() {
            if index > 0 {
                data.extend_from_slice(digits)?;
            }
            data.extend_from_slice(text.as_bytes())?;
        }
        let len = data.len().max(self.size);
        data.resize(len, FILLING)
    }

    /// How many messages are due after this time.
    fn due(&self, since: Duration) -> u64 {
        self.rate.map_or(u64::MAX, |rate| ((since.as_secs_f64() * rate) as u64).saturating_add(1))
    }

    /// How long it is until this message is due, if not longer than between two looks.
    fn pause(&self, number: u64, since: Duration) -> Duration {
        let seconds = self.rate.map_or(0.0, |rate| number as f64 / rate - since.as_secs_f64());
        Duration::try_from_secs_f64(seconds).unwrap_or_default().min(LOOK_EVERY)
    }
}

impl Source for Generator {
    fn run(&mut self, out: &mut dyn Emitter) -> Result<(), Error> {
        let started = Instant::now();
        let mut number = 0;
        while number < self.count && !out.is_stopping() {
            let since = started.elapsed();
            let until = self.due(since).min(number.saturating_add(BURST)).min(self.count);
            if number >= until {
                thread::sleep(self.pause(number, since));
            }
            while number < until {
                match out.emit(&mut |message| {
                    message.data_mut().clear();
                    self.fill(number, message)
                }) {
                    Ok(_) => number += 1,
                    Err(EmitError::TooLarge(error)) => {
                        let text = format!("generator: message {number} is too large");
                        return Err(Error::with_source(text, error));
                    }
                    Err(_) => return Ok(()),
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::testing::{prepared, refused};
    use crate::source::testing::Collected;

    fn run(values: &[(&str, Value)], mut out: Collected) -> (Result<(), Error>, Vec<String>) {
        let mut source = prepared::<Generator>(values).unwrap().source().unwrap();
        (source.run(&mut out), out.texts())
    }

    #[test]
    fn it_counts_as_far_as_it_is_told() {
        let (result, texts) = run(&[("count", 200.into())], Collected::default());
        assert!(result.is_ok());
        assert_eq!(texts, Vec::from_iter((0..200).map(|number| number.to_string())));
        assert_eq!(run(&[("count", 0.into())], Collected::default()).1.len(), 0);
    }

    #[test]
    fn a_template_has_numbers_and_a_message_its_size() {
        let template = ("template", "<{n}|{n}>".into());
        let values = [template.clone(), ("count", 11.into()), ("size", 6.into())];
        let (_, texts) = run(&values, Collected::default());
        assert_eq!((texts[0].as_str(), texts[10].as_str()), ("<0|0>.", "<10|10>"));
        let values = [("template", "{}".into()), ("count", 1.into())];
        assert_eq!(run(&values, Collected::default()).1, ["{}"]);
    }

    #[test]
    fn without_a_count_it_ends_when_it_is_to_stop() {
        let (result, texts) = run(&[], Collected::after(1));
        assert!(result.is_ok());
        assert_eq!(texts.len() as u64, BURST);
        let mut out = Collected::default();
        out.messages_max = 3;
        let (result, texts) = run(&[], out);
        assert!(result.is_ok() && texts.len() == 3);
    }

    #[test]
    fn a_rate_is_kept() {
        let started = Instant::now();
        let (_, texts) = run(&[("rate", 100.into()), ("count", 31.into())], Collected::default());
        assert_eq!(texts.len(), 31);
        assert!(started.elapsed() >= Duration::from_millis(300), "{:?}", started.elapsed());
    }

    #[test]
    fn a_slow_rate_stops_no_later() {
        let mut looks = 0;
        let out = Collected::until(move |_| {
            looks += 1;
            looks > 3
        });
        let started = Instant::now();
        let (_, texts) = run(&[("rate", 0.001.into())], out);
        assert_eq!(texts, ["0"]);
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_message_too_large_is_an_error() {
        let mut out = Collected::default();
        out.bytes_max = 10;
        let (result, texts) = run(&[("size", 11.into())], out);
        let error = format!("{:#}", result.unwrap_err());
        assert!(error.starts_with("generator: message 0 is too large: 11 bytes"), "{error}");
        assert_eq!(texts.len(), 0);
    }

    #[test]
    fn values_out_of_bounds_are_refused() {
        let error = refused::<Generator>(&[("count", (-1).into())]);
        assert!(error.starts_with("`count` = -1: expected a number from 0 to"), "{error}");
        for rate in [0.0, -1.0, 1e10] {
            let error = refused::<Generator>(&[("rate", rate.into())]);
            assert_eq!(error, format!("`rate` = {rate}: expected a number from 0.001 to 1e9"));
        }
    }
}
