//! Lets messages through no faster than is said.

use crate::factory::{Plan, defaulted, required};
use stageline_component::{
    AttributeError, AttributeKind, Attributes, Component, Error, Kind, Message, Report, Spec,
};
use std::thread;
use std::time::{Duration, Instant};

/// The least rate, so that a wait, which nothing ends, has a bound: 10 s.
const PER_SECOND_MIN: f64 = 0.1;

const PER_SECOND_MAX: f64 = 1e9;

const BURST_MAX: i64 = 1_000_000_000;

static SPEC: Spec = Spec {
    name: "rate_limit",
    kind: Kind::Transform,
    summary: "Lets messages through no faster than is said",
    attributes: &[
        required(
            "per_second",
            AttributeKind::Number,
            "How many messages a second, from 0.1 to 1e9.",
        ),
        defaulted(
            "burst",
            AttributeKind::Integer,
            "1",
            "How many may go at once after a time in which fewer came, from 1 to 1000000000.",
        ),
    ],
    doc: r#"
    s.rate_limit { per_second = 1000, burst = 100 }

It has one thread of its own, which sleeps, so that no worker waits; messages queue up before it, and slow their source
down. Of the first messages, `burst` go at once. In any time of `t` seconds no more than `burst + t * per_second` go
through. A run that is told to end waits for what is under way here.
"#,
};

/// How many, how fast.
#[derive(Clone, Copy)]
pub(crate) struct RateLimit {
    interval: Duration,
    burst: u32,
}

impl Plan for RateLimit {
    const SPEC: &'static Spec = &SPEC;

    fn new(attributes: &Attributes) -> Result<Self, Error> {
        let per_second = attributes.number("per_second").unwrap_or_default();
        if !(PER_SECOND_MIN..=PER_SECOND_MAX).contains(&per_second) {
            let expected = "a number from 0.1 to 1e9";
            return Err(AttributeError::invalid("per_second", &per_second.into(), expected).into());
        }
        let burst = attributes.integer_in("burst", 1..=BURST_MAX)?.unwrap_or(1);
        Ok(Self { interval: Duration::from_secs_f64(1.0 / per_second), burst: burst as u32 })
    }

    fn component(&self) -> Result<Box<dyn Component>, Error> {
        Ok(Box::new(Waits { limit: *self, next: None }))
    }

    /// One, which sees all messages.
    fn pool_size(&self) -> Option<usize> {
        Some(1)
    }
}

struct Waits {
    limit: RateLimit,
    /// When the next message would go if there were no bursts.
    next: Option<Instant>,
}

impl Waits {
    /// How long the message that comes now has to wait. (The generic cell rate algorithm: `next` runs ahead of the
    /// clock by at most a burst.)
    fn wait(&mut self, now: Instant) -> Duration {
        let RateLimit { interval, burst } = self.limit;
        let next = self.next.map_or(now, |next| next.max(now));
        self.next = Some(next + interval);
        let ahead = next.saturating_duration_since(now);
        ahead.saturating_sub(interval.saturating_mul(burst - 1))
    }
}

impl Component for Waits {
    fn handle(&mut self, _message: &mut Message) -> Report {
        let wait = self.wait(Instant::now());
        if !wait.is_zero() {
            thread::sleep(wait);
        }
        Report::DONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::testing::{component, message, prepared, refused};
    use stageline_component::Value;

    fn waits(per_second: u32, burst: u32) -> Waits {
        let interval = Duration::from_secs(1) / per_second;
        Waits { limit: RateLimit { interval, burst }, next: None }
    }

    #[test]
    fn messages_wait_for_their_turn() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let ms = |wait: Duration| wait.as_millis();
        let mut one = waits(10, 1);
        assert_eq!([one.wait(at(0)), one.wait(at(0)), one.wait(at(0))].map(ms), [0, 100, 200]);
        assert_eq!(ms(one.wait(at(250))), 50);
        assert_eq!(ms(one.wait(at(1000))), 0, "what was not used is not saved up");
        assert_eq!(ms(one.wait(at(1000))), 100);
        let mut three = waits(10, 3);
        assert_eq!([(); 5].map(|()| ms(three.wait(at(0)))), [0, 0, 0, 100, 200]);
        assert_eq!([(); 4].map(|()| ms(three.wait(at(5000)))), [0, 0, 0, 100]);
    }

    /// In any time, no more than the burst and the rate give.
    #[test]
    fn no_time_has_more_than_its_share() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        for burst in [1, 2, 10] {
            let (mut limit, start) = (waits(100, burst), Instant::now());
            let (mut now, mut gone) = (start, Vec::new());
            for _ in 0..500 {
                let most = *random.choice(&[1, 20_000, 300_000]).unwrap();
                now += Duration::from_micros(random.u64(0..most));
                // The one thread goes on when it has waited.
                now += limit.wait(now);
                gone.push(now);
            }
            for first in 0..gone.len() {
                for last in first..gone.len().min(first + 50) {
                    let time = (gone[last] - gone[first]).as_secs_f64();
                    let most = f64::from(burst) + time * 100.0 + 1e-6;
                    assert!((last - first + 1) as f64 <= most, "{first}..={last} in {time} s");
                }
            }
        }
    }

    #[test]
    fn it_sleeps_on_a_thread_of_its_own() {
        let values = [("per_second", Value::from(50)), ("burst", 2.into())];
        assert_eq!(prepared::<RateLimit>(&values).unwrap().pool_size(), Some(1));
        let mut component = component::<RateLimit>(&values);
        let start = Instant::now();
        for _ in 0..4 {
            assert_eq!(component.handle(&mut message("a")), Report::DONE);
        }
        // Two at once, one at 20 ms, one at 40.
        assert!(start.elapsed() >= Duration::from_millis(40), "{:?}", start.elapsed());
    }

    #[test]
    fn wrong_attributes_are_named() {
        assert_eq!(refused::<RateLimit>(&[]), "`rate_limit` needs the attribute `per_second`");
        for rate in [0.05, 1e10, -1.0] {
            let error = refused::<RateLimit>(&[("per_second", rate.into())]);
            assert!(error.ends_with("expected a number from 0.1 to 1e9"), "{error}");
        }
        let error = refused::<RateLimit>(&[("per_second", 1.into()), ("burst", 0.into())]);
        assert_eq!(error, "`burst` = 0: expected a number from 1 to 1000000000");
    }
}
