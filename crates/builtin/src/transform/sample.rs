//! Lets a part of the messages through.

use super::key::{Key, KeyMaker};
use crate::factory::{Plan, optional};
use stageline_component::{
    AttributeError, AttributeKind, Attributes, Component, Error, Kind, Message, Report, Spec,
};
use std::hash::{DefaultHasher, Hasher};

static SPEC: Spec = Spec {
    name: "sample",
    kind: Kind::Transform,
    summary: "Lets a part of the messages through, and drops the others",
    attributes: &[
        optional(
            "rate",
            AttributeKind::Number,
            "Which part, from 0 to 1. This or `every` must be set.",
        ),
        optional("every", AttributeKind::Integer, "One in so many: the first, and then each n-th."),
        optional(
            "key",
            AttributeKind::Text,
            "An expression: all messages with the same value go the same way, in every run. With `rate`.",
        ),
        optional(
            "seed",
            AttributeKind::Integer,
            "Chooses otherwise, and the same in every run. With `rate`; without it, at random.",
        ),
    ],
    doc: r#"
    s.sample { rate = 0.01, key = "user.id" }
    s.sample { every = 100 }

With a `key`, the hash of its text decides, which is the same on every machine and in every instance: a message whose key is
null is dropped. Without, each message is decided on its own; where there are several workers, each has its own
sequence of random numbers, or counts for itself, so `seed` makes a run repeatable only with one worker.

What is no JSON object, or has more than 128 levels, fails with the status 210 if the key reads fields, and a key without a value with 211. Nothing is
allocated for a key that is a field.
"#,
};

/// What is let through.
#[derive(Clone)]
pub(crate) enum Sample {
    Every(u64),
    Random { rate: f64, seed: Option<u64> },
    Hash { rate: f64, seed: u64, key: Key },
}

impl Plan for Sample {
    const SPEC: &'static Spec = &SPEC;

    fn new(attributes: &Attributes) -> Result<Self, Error> {
        let seed = attributes.integer("seed").map(i64::cast_unsigned);
        let (Some(rate), None) = (attributes.number("rate"), attributes.integer("every")) else {
            return Self::every(attributes);
        };
        if !(0.0..=1.0).contains(&rate) {
            return Err(
                AttributeError::invalid("rate", &rate.into(), "a number from 0 to 1").into()
            );
        }
        if attributes.is_set("key") {
            let key = Key::new(attributes)?;
            return Ok(Self::Hash { rate, seed: seed.unwrap_or(0), key });
        }
        Ok(Self::Random { rate, seed })
    }

    fn component(&self) -> Result<Box<dyn Component>, Error> {
        Ok(match self.clone() {
            Self::Every(every) => Box::new(Counts { every, count: 0 }),
            Self::Random { rate, seed } => {
                let random = seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
                Box::new(Throws { rate, random })
            }
            Self::Hash { rate, seed, key } => Box::new(Hashes { rate, seed, keys: key.maker() }),
        })
    }
}

impl Sample {
    fn every(attributes: &Attributes) -> Result<Self, Error> {
        let Some(every) = attributes.integer_in("every", 1..=i64::MAX)? else {
            return Err("`sample` needs the attribute `rate` or `every`".into());
        };
        for other in ["rate", "key", "seed"] {
            if attributes.is_set(other) {
                let expected = format!("no `{other}` beside it");
                return Err(AttributeError::invalid("every", &every.into(), expected).into());
            }
        }
        Ok(Self::Every(every.cast_unsigned()))
    }
}

fn report(passes: bool) -> Report {
    if passes { Report::DONE } else { Report::DROP }
}

/// A number from 0 to 1, of the upper 53 bits.
fn fraction(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

struct Counts {
    every: u64,
    count: u64,
}

impl Component for Counts {
    fn handle(&mut self, _message: &mut Message) -> Report {
        let passes = self.count == 0;
        self.count = (self.count + 1) % self.every;
        report(passes)
    }
}

struct Throws {
    rate: f64,
    random: fastrand::Rng,
}

impl Component for Throws {
    fn handle(&mut self, _message: &mut Message) -> Report {
        report(self.random.f64() < self.rate)
    }
}

struct Hashes {
    rate: f64,
    seed: u64,
    keys: KeyMaker,
}

impl Component for Hashes {
    fn handle(&mut self, message: &mut Message) -> Report {
        let seed = self.seed;
        let hash = |key: &[u8]| {
            // (SipHash with a key of zeros.)
            let mut hasher = DefaultHasher::new();
            hasher.write(&seed.to_le_bytes());
            hasher.write(key);
            hasher.finish()
        };
        match self.keys.make(message, hash) {
            Ok(hash) => report(hash.is_some_and(|hash| fraction(hash) < self.rate)),
            Err(report) => report,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::testing::{component, message, refused};
    use crate::transform::{NO_VALUE, NOT_JSON};
    use stageline_component::Value;

    /// Which of so many messages pass.
    fn passed(values: &[(&str, Value)], count: usize) -> Vec<usize> {
        let mut component = component::<Sample>(values);
        let mut passes = |i: &usize| {
            component.handle(&mut message(format!("{{\"id\":{}}}", i / 2))) == Report::DONE
        };
        (0..count).filter(|i| passes(i)).collect()
    }

    #[test]
    fn one_in_so_many_passes() {
        assert_eq!(passed(&[("every", 3.into())], 8), [0, 3, 6]);
        assert_eq!(passed(&[("every", 1.into())], 3), [0, 1, 2]);
    }

    #[test]
    fn a_part_passes_at_random() {
        assert!(passed(&[("rate", 0.into())], 1000).is_empty());
        assert_eq!(passed(&[("rate", 1.into())], 1000).len(), 1000);
        let seeded = |seed: i64| passed(&[("rate", 0.3.into()), ("seed", seed.into())], 10_000);
        assert!((2_700..3_300).contains(&seeded(7).len()), "{}", seeded(7).len());
        assert_eq!(seeded(7), seeded(7));
        assert_ne!(seeded(7), seeded(8));
        // Once in 2^2000 the two are the same.
        assert_ne!(passed(&[("rate", 0.5.into())], 2_000), passed(&[("rate", 0.5.into())], 2_000));
    }

    #[test]
    fn messages_with_the_same_key_go_the_same_way() {
        let by_id = |seed: i64| {
            let values = [("rate", 0.5.into()), ("key", "id".into()), ("seed", seed.into())];
            passed(&values, 4_000)
        };
        let passed = by_id(0);
        assert!((1_800..2_200).contains(&passed.len()), "{}", passed.len());
        for pair in passed.chunks(2) {
            assert_eq!(pair[0] + 1, pair[1], "both with the same id");
        }
        assert_eq!(by_id(0), passed);
        assert_ne!(by_id(1), passed);
        let few = self::passed(&[("rate", 0.05.into()), ("key", "id".into())], 4_000);
        assert!(few.iter().all(|i| passed.contains(i)), "a lower rate chooses among the same");
    }

    #[test]
    fn bad_messages_fail_and_those_without_a_key_are_dropped() {
        let mut component = component::<Sample>(&[("rate", 1.into()), ("key", "1 / id".into())]);
        assert_eq!(component.handle(&mut message("[]")), NOT_JSON);
        assert_eq!(component.handle(&mut message("{\"id\":0}")), NO_VALUE);
        assert_eq!(component.handle(&mut message("{}")), Report::DROP);
    }

    #[test]
    fn wrong_attributes_are_named() {
        let cases: [(&[(&str, Value)], &str); 6] = [
            (&[], "`sample` needs the attribute `rate` or `every`"),
            (&[("rate", 1.5.into())], "`rate` = 1.5: expected a number from 0 to 1"),
            (&[("every", 0.into())], "`every` = 0: expected a number from 1 to"),
            (
                &[("every", 2.into()), ("rate", 1.into())],
                "`every` = 2: expected no `rate` beside it",
            ),
            (
                &[("every", 2.into()), ("key", "a".into())],
                "`every` = 2: expected no `key` beside it",
            ),
            (
                &[("rate", 1.into()), ("key", "(".into())],
                "`key` = \"(\": expected an expression in CEL",
            ),
        ];
        for (values, expected) in cases {
            let error = refused::<Sample>(values);
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
