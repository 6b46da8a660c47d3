//! How late retries begin: the time between when a request was due and when its stage is called again. The stage
//! reads the clock as it asks and as it is called again; so the engine's own way from the answer to its read of the
//! clock is counted as lateness, too.

use super::passes::{Recorded, recorded};
use super::work::{uniform, work};
use super::{List, PAIR, Setup};
use crate::driver::WINDOW;
use crate::engine::pinned;
use crate::meter::Timed;
use crate::summary::median;
use stageline::{
    GroupOptions, Order, Pipeline, Request, RequestGroup, Retry, Step, WaitStrategy, state_machine,
};
use std::time::{Duration, Instant};

/// What the names of the scenarios begin with.
pub const PREFIX: &str = "retry_late_";
/// The engine's tick, about: requests ask at any time within one.
const TICK_NS: u64 = 1 << 14;
/// A retry's delay where the worker spins, and where it is to fall asleep meanwhile.
const SHORT: Duration = Duration::from_micros(50);
const LONG: Duration = Duration::from_millis(2);

/// What the worker does until a retry is due.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    wait: WaitStrategy,
    delay: Duration,
    /// What a request of the group takes whose window is always full; none without one.
    beside_ns: Option<u64>,
}

const SPINS: Case =
    Case { name: "idle", wait: WaitStrategy::BusySpin, delay: SHORT, beside_ns: None };
const CASES: [Case; 4] = [
    SPINS,
    Case { name: "busy_light", beside_ns: Some(100), ..SPINS },
    Case { name: "busy_heavy", beside_ns: Some(10_000), ..SPINS },
    Case { name: "asleep", wait: WaitStrategy::SpinThenPark, delay: LONG, ..SPINS },
];

#[derive(Clone, Copy, Default)]
struct Probe {
    number: u64,
    /// When it asked for its retry.
    asked: Option<Instant>,
    late_ns: u64,
    /// The work of one that is not retried.
    turns: u64,
}

struct Late {
    delay: Duration,
}

#[state_machine(data = Probe, error = (), keeps)]
impl Late {
    #[stage(next = [])]
    fn only(&mut self, probe: &mut Request<'_, Self>) -> Step {
        if probe.turns > 0 {
            std::hint::black_box(work(probe.turns, probe.number));
            return probe.done();
        }
        let now = Instant::now();
        match probe.asked {
            None => {
                probe.asked = Some(now);
                probe.retry(())
            }
            Some(asked) => {
                let due = asked + self.delay;
                assert!(now >= due, "a retry came early");
                probe.late_ns = (now - due).as_nanos() as u64;
                probe.done()
            }
        }
    }
}

/// The group that keeps the worker busy.
struct Beside {
    group: RequestGroup<Late>,
    turns: u64,
    sent: u64,
}

impl Beside {
    fn refill(&mut self) {
        self.group.drain(WINDOW, |_| {});
        let (turns, first) = (self.turns, self.sent);
        let probes = |number| Probe { number, turns, ..Probe::default() };
        self.sent += self.group.submit_batch(&mut (first..).map(probes)) as u64;
    }
}

/// A worker that retries requests, alone or beside others.
struct Scene {
    // The groups go first: what is in flight is then nobody's to wait for.
    probes: RequestGroup<Late>,
    beside: Option<Beside>,
    _pipeline: Pipeline<Late>,
    made: u64,
}

impl Scene {
    fn new(setup: &Setup, case: Case) -> Self {
        let Case { wait, delay, beside_ns, .. } = case;
        let policy = Retry::attempts(2).first(delay).jitter(0.0);
        let pipeline = pinned(
            &setup.cores,
            move || Late { delay },
            |builder| builder.groups(2).window(WINDOW).wait(wait).retry(policy),
        );
        let open = || pipeline.open(GroupOptions::new(Order::Completion)).expect("two groups");
        let beside = beside_ns.map(|ns| Beside {
            group: open(),
            turns: uniform(0, ns, setup.turns_per_us),
            sent: 0,
        });
        Self { probes: open(), beside, _pipeline: pipeline, made: 0 }
    }

    /// How late the retry of one request is, which is submitted at any time within a tick.
    fn late_ns(&mut self) -> u64 {
        self.made += 1;
        let phase = self.made.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let begin = Instant::now() + Duration::from_nanos(phase % TICK_NS);
        self.beside.iter_mut().for_each(Beside::refill);
        while Instant::now() < begin {}
        assert!(self.probes.try_submit(Probe::default()).is_ok(), "nothing is in flight");
        loop {
            if let Ok(probe) = self.probes.try_recv() {
                assert!(probe.asked.is_some(), "it was not retried");
                return probe.late_ns;
            }
            self.beside.iter_mut().for_each(Beside::refill);
            std::hint::spin_loop();
        }
    }
}

fn name(case: &Case) -> String {
    format!("{PREFIX}{}", case.name)
}

/// Retries of a repetition, which should take about as long as those of other scenarios.
fn retries(setup: &Setup, case: Case) -> u64 {
    let budget_ns = setup.meter.blocks().0 as u64 * 800_000;
    (budget_ns / case.delay.as_nanos() as u64).max(10)
}

/// The medians.
pub fn add(list: &mut List<Timed>) {
    for case in CASES {
        list.add(name(&case), PAIR, move |setup| {
            let mut scene = Scene::new(setup, case);
            let retries = retries(setup, case);
            (0..retries / 10).for_each(|_| {
                scene.late_ns();
            });
            setup.meter.whole(|| {
                let mut times: Vec<f64> = (0..retries).map(|_| scene.late_ns() as f64).collect();
                median(&mut times)
            })
        });
    }
}

/// The histograms, for a pass of their own.
pub fn add_latencies(list: &mut List<Recorded>) {
    for case in CASES {
        list.add(name(&case), PAIR, move |setup| {
            let mut scene = Scene::new(setup, case);
            recorded(setup, |record| {
                let trips = setup.meter.latency_trips();
                setup.meter.each(trips, &mut || scene.late_ns(), record);
            })
        });
    }
}

/// The ratios: each scenario over the first.
pub fn ratios() -> impl Iterator<Item = (String, String)> {
    CASES.iter().skip(1).map(|case| (name(case), name(&SPINS)))
}
