//! Components that tests are made of.
#![allow(dead_code, reason = "each test uses some")]

use stageline_component::{
    Acknowledge, AttributeError, Component, Emitter, Error, Factory, Kind, Message, Report, Source,
    Spec, Value,
};
use stageline_runner::{Component as Place, Plan, Run, Summary};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A factory that makes what a closure says.
pub struct Made<F> {
    spec: Spec,
    make: F,
    pool: Option<usize>,
}

pub const fn spec(name: &'static str, kind: Kind) -> Spec {
    Spec { name, kind, summary: "", attributes: &[], doc: "" }
}

impl<F: Fn() -> Result<Box<dyn Component>, Error> + Send + Sync> Factory for Made<F> {
    fn spec(&self) -> &Spec {
        &self.spec
    }
    fn set_attribute(&mut self, _: &str, _: &Value) -> Result<(), AttributeError> {
        Ok(())
    }
    fn prepare(&mut self) -> Result<(), Error> {
        Ok(())
    }
    fn component(&self) -> Result<Box<dyn Component>, Error> {
        (self.make)()
    }
    fn pool_size(&self) -> Option<usize> {
        self.pool
    }
}

/// A component of a closure.
pub struct Handles<F>(pub F);

impl<F: FnMut(&mut Message) -> Report + Send> Component for Handles<F> {
    fn handle(&mut self, message: &mut Message) -> Report {
        (self.0)(message)
    }
}

/// A place for a component whose instances are all made of this closure.
pub fn handles<F>(name: &'static str, kind: Kind, pool: Option<usize>, f: F) -> Place
where
    F: FnMut(&mut Message) -> Report + Clone + Send + Sync + 'static,
{
    let make = move || Ok(Box::new(Handles(f.clone())) as Box<dyn Component>);
    Place { factory: Box::new(Made { spec: spec(name, kind), make, pool }), line: None }
}

pub fn transform<F>(name: &'static str, f: F) -> Place
where
    F: FnMut(&mut Message) -> Report + Clone + Send + Sync + 'static,
{
    handles(name, Kind::Transform, None, f)
}

pub fn sink<F>(name: &'static str, f: F) -> Place
where
    F: FnMut(&mut Message) -> Report + Clone + Send + Sync + 'static,
{
    handles(name, Kind::Sink, Some(1), f)
}

/// Emits the numbers from 0 on, until there are so many or it is to stop.
pub struct Numbers {
    pub count: u64,
    pub acks: Option<Acks>,
    pub pause: Duration,
}

/// What a source was told: number, status.
pub type Acks = Arc<Mutex<Vec<(u64, u32)>>>;

/// A factory that makes the source that a closure says.
struct MadeSource<F>(Spec, F);

impl<F: Fn() -> Box<dyn Source> + Send + Sync> Factory for MadeSource<F> {
    fn spec(&self) -> &Spec {
        &self.0
    }
    fn set_attribute(&mut self, _: &str, _: &Value) -> Result<(), AttributeError> {
        Ok(())
    }
    fn prepare(&mut self) -> Result<(), Error> {
        Ok(())
    }
    fn source(&self) -> Result<Box<dyn Source>, Error> {
        Ok((self.1)())
    }
}

pub fn made_source<F>(name: &'static str, make: F) -> Place
where
    F: Fn() -> Box<dyn Source> + Send + Sync + 'static,
{
    Place { factory: Box::new(MadeSource(spec(name, Kind::Source), make)), line: None }
}

pub fn numbers(count: u64) -> Place {
    slow_numbers(count, None, Duration::ZERO)
}

pub fn slow_numbers(count: u64, acks: Option<Acks>, pause: Duration) -> Place {
    made_source("numbers", move || Box::new(Numbers { count, acks: acks.clone(), pause }))
}

impl Source for Numbers {
    fn run(&mut self, out: &mut dyn Emitter) -> Result<(), Error> {
        for number in 0..self.count {
            if out.is_stopping() {
                break;
            }
            let text = number.to_string();
            if out.emit_data(text.as_bytes()).is_err() {
                break;
            }
            std::thread::sleep(self.pause);
        }
        Ok(())
    }

    fn acknowledger(&mut self) -> Option<Box<dyn Acknowledge>> {
        self.acks.clone().map(|acks| Box::new(Told(acks)) as Box<dyn Acknowledge>)
    }
}

/// Emits numbers until the flag is set, for a minute at most.
pub fn numbers_until(flag: &Arc<AtomicBool>) -> Place {
    let flag = Arc::clone(flag);
    made_source("until", move || Box::new(Until(Arc::clone(&flag))))
}

struct Until(Arc<AtomicBool>);

impl Source for Until {
    fn run(&mut self, out: &mut dyn Emitter) -> Result<(), Error> {
        let start = Instant::now();
        while !self.0.load(Ordering::Relaxed) {
            if start.elapsed() > Duration::from_secs(60) {
                return Err(Error::from("it was waited for in vain"));
            }
            out.emit_data(b"0").map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// Emits so many numbers, and then waits until the flag is set, for a minute at most.
pub fn waits_for(count: u64, flag: &Arc<AtomicBool>) -> Place {
    let flag = Arc::clone(flag);
    made_source("waits", move || Box::new(Waits(count, Arc::clone(&flag))))
}

struct Waits(u64, Arc<AtomicBool>);

impl Source for Waits {
    fn run(&mut self, out: &mut dyn Emitter) -> Result<(), Error> {
        for number in 0..self.0 {
            out.emit_data(number.to_string().as_bytes()).map_err(|error| error.to_string())?;
        }
        let start = Instant::now();
        while !self.1.load(Ordering::Relaxed) {
            if start.elapsed() > Duration::from_secs(60) {
                return Err(Error::from("it was waited for in vain"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

/// A sink that counts how often it is closed.
pub fn closes(closed: &Arc<AtomicU64>) -> Place {
    struct Closes(Arc<AtomicU64>);
    impl Component for Closes {
        fn handle(&mut self, _: &mut Message) -> Report {
            Report::DONE
        }
        fn close(&mut self) -> Result<(), Error> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }
    let closed = Arc::clone(closed);
    let make = move || Ok(Box::new(Closes(Arc::clone(&closed))) as Box<dyn Component>);
    let factory = Box::new(Made { spec: spec("closes", Kind::Sink), make, pool: Some(1) });
    Place { factory, line: None }
}

/// A place for a component that cannot be made.
pub fn unmade(name: &'static str) -> Place {
    let make = || Err(Error::with_source("it is not there", "nobody made it"));
    Place {
        factory: Box::new(Made { spec: spec(name, Kind::Transform), make, pool: None }),
        line: None,
    }
}

struct Told(Acks);

impl Acknowledge for Told {
    fn settled(&mut self, number: u64, status: u32, _: &str) {
        self.0.lock().unwrap().push((number, status));
    }
}

/// What a sink has got.
pub type Got = Arc<Mutex<Vec<String>>>;

/// A sink that keeps what it gets.
pub fn keep(name: &'static str, got: &Got) -> Place {
    let got = Arc::clone(got);
    sink(name, move |message| {
        got.lock().unwrap().push(text(message));
        Report::DONE
    })
}

/// What dead letters say: stage, status, text.
pub type Reasons = Arc<Mutex<Vec<(String, String, String)>>>;

/// A dead letter that keeps them.
pub fn reasons(said: &Reasons) -> Place {
    let said = Arc::clone(said);
    sink("letters", move |message| {
        let of = |name: &str| attribute(message, name);
        said.lock().unwrap().push((of("error.stage"), of("error.status"), of("error.text")));
        Report::DONE
    })
}

pub fn text(message: &Message) -> String {
    String::from_utf8_lossy(message.data()).into_owned()
}

pub fn attribute(message: &Message, name: &str) -> String {
    String::from_utf8(message.attribute(name).unwrap().to_vec()).unwrap()
}

pub fn number(message: &Message) -> u64 {
    text(message).parse().unwrap()
}

/// Runs it to its end.
pub fn run(plan: Plan) -> Summary {
    Run::start(plan, |_| {}).unwrap().wait()
}

pub fn line(components: impl IntoIterator<Item = Place>) -> Plan {
    let mut plan = Plan::line(components);
    plan.options.message_capacity = 64;
    plan.options.retry.first = Duration::from_micros(100);
    plan
}

/// The numbers below this, as a sink that gets all of them has them when sorted.
pub fn all(count: u64) -> Vec<u64> {
    (0..count).collect()
}

pub fn sorted(got: &Got) -> Vec<u64> {
    let mut numbers: Vec<u64> =
        got.lock().unwrap().iter().map(|text| text.parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}
