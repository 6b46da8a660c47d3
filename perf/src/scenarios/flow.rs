//! What keeping requests costs: the machine that may and does not, a retry, a batch that is held, a request that is
//! suspended and resumed.

use super::round_trip::WINDOW as ROUND_TRIP_WINDOW;
use super::{List, PAIR, Setup};
use crate::driver::{Stream, WINDOW, round_trip, stream};
use crate::engine::{Single, pinned};
use crate::meter::Timed;
use crate::payload::{Payload, first, second, third};
use crossbeam_queue::ArrayQueue;
use stageline::{Order, Request, Retry, Step, Ticket, state_machine};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// Requests of a batch that is held.
const BATCH: usize = 64;
/// How long a batch is held at most. It fills in a fraction of that, but for the last one of a repetition.
const HELD_MAX: Duration = Duration::from_micros(100);
/// What a request takes, about: of a machine that keeps nothing, and of one that does.
const ABOUT_NS: (u64, u64) = (12, 100);

/// The trivial stages, of a machine that may keep requests and keeps none.
struct Keeping;

#[state_machine(data = Payload, error = Infallible, keeps)]
impl Keeping {
    #[stage(next = [two])]
    fn one(&mut self, request: &mut Request<'_, Self>) -> Step {
        first(request);
        request.next(Self::TWO)
    }

    #[stage(next = [three])]
    fn two(&mut self, request: &mut Request<'_, Self>) -> Step {
        second(request);
        request.next(Self::THREE)
    }

    #[stage(next = [])]
    fn three(&mut self, request: &mut Request<'_, Self>) -> Step {
        third(request);
        request.done()
    }
}

/// What happens to each request on its way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Straight,
    /// Is retried once, with a delay of 0.
    Retried,
    /// Is held until there are [`BATCH`].
    Held,
    /// Is suspended, and resumed before the stage returns.
    ResumedInside,
    /// Is suspended, and resumed by the thread that submits and receives.
    ResumedOutside,
}

type Tickets = Arc<ArrayQueue<Ticket<Flow>>>;

/// The trivial stages, and what happens on the way.
struct Flow {
    way: Way,
    tickets: Tickets,
}

#[state_machine(data = Payload, error = (), keeps)]
impl Flow {
    #[stage]
    fn one(&mut self, request: &mut Request<'_, Self>) -> Step {
        first(request);
        request.next(Self::TWO)
    }

    #[stage]
    fn two(&mut self, request: &mut Request<'_, Self>) -> Step {
        second(request);
        match self.way {
            Way::Retried if request.attempt() == 1 => request.retry(()),
            Way::ResumedInside => request.suspend(|ticket| ticket.resume(Self::THREE)),
            Way::ResumedOutside => request.suspend(|ticket| {
                self.tickets.push(ticket).expect("a place for each request");
            }),
            _ => request.next(Self::THREE),
        }
    }

    #[stage]
    fn three(&mut self, request: &mut Request<'_, Self>) -> Step {
        third(request);
        if self.way == Way::Held {
            if request.flush().is_none() && request.held() + 1 < BATCH {
                return request.hold(HELD_MAX);
            }
            request.lead();
        }
        request.done()
    }
}

/// The stream of a machine whose requests go some way. Its thread resumes what the stages suspend.
struct Line {
    single: Single<Flow>,
    /// Where there may be any.
    tickets: Option<Tickets>,
}

impl Line {
    fn new(setup: &Setup, window: usize, way: Way) -> Self {
        let tickets = Tickets::new(ArrayQueue::new(window));
        let of_machine = Arc::clone(&tickets);
        let machine = move || Flow { way, tickets: Arc::clone(&of_machine) };
        let at_once = Retry::attempts(2).first(Duration::ZERO).jitter(0.0);
        let pipeline = pinned(&setup.cores, machine, |builder| {
            builder.groups(1).window(window).retry(at_once)
        });
        let single = Single::of(pipeline, Order::Completion);
        Self { single, tickets: (way == Way::ResumedOutside).then_some(tickets) }
    }
}

impl Stream for Line {
    #[inline(always)]
    fn submit(&mut self, values: &mut impl ExactSizeIterator<Item = Payload>) -> usize {
        self.single.submit(values)
    }

    #[inline(always)]
    fn receive(&mut self, max: usize, each: &mut impl FnMut(&Payload)) -> usize {
        if let Some(tickets) = &self.tickets {
            std::iter::from_fn(|| tickets.pop()).for_each(|ticket| ticket.resume(Flow::THREE));
        }
        self.single.receive(max, each)
    }
}

/// The scenarios of [`Flow`]: what their names begin with.
const WAYS: [(&str, Way); 5] = [
    ("flow", Way::Straight),
    ("retry", Way::Retried),
    ("hold", Way::Held),
    ("suspend_inside", Way::ResumedInside),
    ("suspend_outside", Way::ResumedOutside),
];
/// Those of which single requests would wait, for a tick or for the rest of their batch.
const NOT_ALONE: [Way; 2] = [Way::Retried, Way::Held];

pub fn add(list: &mut List<Timed>) {
    for (name, order) in [("submission", Order::Submission), ("completion", Order::Completion)] {
        list.add(format!("keeps_round_trip_{name}"), PAIR, move |setup| {
            round_trip(&setup.meter, &mut keeping(setup, ROUND_TRIP_WINDOW, order))
        });
        list.add(format!("keeps_stream_64_{name}"), PAIR, move |setup| {
            let requests = setup.meter.requests(ABOUT_NS.0);
            stream(&setup.meter, [keeping(setup, WINDOW, order)], (WINDOW, 64), requests)
        });
    }
    for (name, way) in WAYS {
        list.add(format!("{name}_stream_64"), PAIR, move |setup| {
            // Whole batches, those of the warm-up included.
            let requests = setup.meter.requests(ABOUT_NS.1).next_multiple_of(10 * BATCH as u64);
            stream(&setup.meter, [Line::new(setup, WINDOW, way)], (WINDOW, 64), requests)
        });
        if !NOT_ALONE.contains(&way) {
            list.add(format!("{name}_round_trip"), PAIR, move |setup| {
                round_trip(&setup.meter, &mut Line::new(setup, ROUND_TRIP_WINDOW, way))
            });
        }
    }
}

fn keeping(setup: &Setup, window: usize, order: Order) -> Single<Keeping> {
    let configure = |builder: stageline::Builder<Keeping>| builder.groups(1).window(window);
    Single::of(pinned(&setup.cores, || Keeping, configure), order)
}

/// The ratios: scenario, what it is divided by in short, and its name.
pub fn ratios() -> impl Iterator<Item = (String, &'static str, String)> {
    let plain = [
        ("round_trip_submission", "round_trip_submission"),
        ("round_trip_completion", "round_trip_completion"),
        ("stream_64_submission", "stream_64"),
        ("stream_64_completion", "stream_64_completion"),
    ];
    let keeps = plain.map(|(name, plain)| (format!("keeps_{name}"), "keeps_nothing", plain.into()));
    let of_flow = WAYS.iter().skip(1).flat_map(|(name, way)| {
        let kinds: &[&str] =
            if NOT_ALONE.contains(way) { &["stream_64"] } else { &["stream_64", "round_trip"] };
        kinds.iter().map(move |kind| (format!("{name}_{kind}"), "flow", format!("flow_{kind}")))
    });
    keeps.into_iter().chain(of_flow)
}
