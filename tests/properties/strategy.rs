//! Random cases. What is rare in a list is rare in the cases; the first of a list is what a failing case
//! shrinks to.

use super::case::{
    Act, Case, Due, End, Fill, Finish, Get, How, Job, Op, Put, Session, Setting, Shape, Stream,
    Table, Take, Wait,
};
use super::machine::STAGES;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any};
use proptest::sample::select;
use proptest::strategy::Union;
use stageline::{Order, WaitStrategy};

/// One of these values, by weight.
fn pick<T: Clone + std::fmt::Debug + 'static>(values: Vec<(u32, T)>) -> impl Strategy<Value = T> {
    Union::new_weighted(values.into_iter().map(|(weight, value)| (weight, Just(value))).collect())
}

pub fn case() -> impl Strategy<Value = Case> {
    let streams = vec(stream(), 1..=4);
    (setting(), streams, finish()).prop_map(|(setting, streams, finish)| Case {
        setting,
        streams,
        finish,
    })
}

fn setting() -> impl Strategy<Value = Setting> {
    let visits_max = Union::new_weighted(vec![
        (3, Just(1_000_000).boxed()),
        (1, (1_u32..12).boxed()),
        (1, (12_u32..40).boxed()),
    ]);
    let rules =
        (table(), pick(vec![(4, 0_usize), (1, 1), (1, 2)]), pick(vec![(3, false), (1, true)]));
    // More workers than most machines of a test have CPUs take their time when it is loaded.
    let workers = pick(vec![(3, 1_usize), (3, 2), (1, 3), (1, 4)]);
    let sizes = (workers, 1_usize..=4, (1_u32..=6).prop_map(|bits| 1 << bits), batch_max());
    let sample = pick(vec![(2, 1024_u64), (1, 1), (1, 2), (1, 4), (1, 1 << 63)]);
    let waits = vec![
        (6, WaitStrategy::SpinThenPark),
        (4, WaitStrategy::SpinThenYield),
        (1, WaitStrategy::BusySpin),
    ];
    let rest =
        (sample, first_position(), pick(waits), any::<bool>(), pick(vec![(7, false), (1, true)]));
    (rules, visits_max, sizes, rest).prop_map(|(rules, visits_max, sizes, rest)| {
        let (table, hooks, dag) = rules;
        let (workers, groups, window, batch_max) = sizes;
        let (sample_every, first_position, wait, pin, watch) = rest;
        Setting {
            table,
            hooks,
            dag,
            visits_max,
            workers,
            groups,
            window,
            batch_max,
            sample_every,
            first_position,
            wait,
            pin,
            watch,
        }
    })
}

fn batch_max() -> impl Strategy<Value = usize> {
    Union::new_weighted(vec![
        (1, Just(128).boxed()),
        (2, (1_usize..=9).boxed()),
        (1, (10_usize..=256).boxed()),
    ])
}

/// Some laps of a small window before an edge, or on it.
fn first_position() -> impl Strategy<Value = u64> {
    let edges = [0, 1 << 31, u64::from(u32::MAX), 1 << 32, 1 << 59, 1 << 60, 1 << 63, u64::MAX];
    (select(edges.to_vec()), 0_u64..160)
        .prop_map(|(edge, before)| if edge == 0 { before } else { edge.wrapping_sub(before) })
}

/// A table whose declarations can be built, acyclic or not: each stage may go to the one behind it.
fn table() -> impl Strategy<Value = Table> {
    let runtime =
        vec((any::<u8>(), pick(vec![(2, true), (1, false)])), 1..=STAGES).prop_map(|stages| {
            let last = stages.len() - 1;
            let declared = |(here, (more, declares)): (usize, (u8, bool))| {
                declares.then(|| {
                    let is_next = |to: &usize| *to == here + 1 || more >> to & 1 == 1;
                    (here + 1..=last).filter(is_next).map(|to| to as u8).collect()
                })
            };
            Table::Runtime(stages.into_iter().enumerate().map(declared).collect())
        });
    Union::new_weighted(vec![(1, Just(Table::Fixed).boxed()), (1, runtime.boxed())])
}

/// Declarations of any kind, for up to 5 stages.
pub fn any_declarations() -> impl Strategy<Value = Vec<Option<Vec<u8>>>> {
    let next =
        option::weighted(0.9, vec(pick(vec![(8, 0), (8, 1), (8, 2), (4, 3), (1, 4)]), 0..=3));
    vec(next, 0..=5)
}

fn stream() -> impl Strategy<Value = Stream> {
    (0_u8..4, vec(session(), 1..=3)).prop_map(|(thread, sessions)| Stream { thread, sessions })
}

fn session() -> impl Strategy<Value = Session> {
    let orders = pick(vec![(1, Order::Submission), (1, Order::Completion)]);
    let shapes = pick(vec![(3, Shape::Whole), (2, Shape::Split), (2, Shape::Shared)]);
    let op = Union::new_weighted(vec![
        (5, put().prop_map(Op::Put).boxed()),
        (4, get().prop_map(Op::Get).boxed()),
    ]);
    (orders, shapes, vec(op, 0..=16), end()).prop_map(|(order, shape, ops, end)| Session {
        order,
        shape,
        ops,
        end,
    })
}

fn put() -> impl Strategy<Value = Put> {
    let submit = (job(), wait()).prop_map(|(job, wait)| Put::Submit(job, wait));
    let batch = (vec(job(), 1..=6), 1_usize..=16, rarely(0_usize..40))
        .prop_map(|(jobs, times, panics_at)| Put::Batch { jobs, times, panics_at });
    let fills = vec![
        (3, Fill::Refill),
        (3, Fill::MoveIn),
        (2, Fill::Linger),
        (1, Fill::PanicBefore),
        (1, Fill::PanicAfter),
    ];
    let fill = (job(), pick(fills)).prop_map(|(job, fill)| Put::Fill(job, fill));
    let due = Union::new_weighted(vec![
        (3, Just(Due::Never).boxed()),
        (2, Just(Due::Past).boxed()),
        (1, Just(Due::Now).boxed()),
        (2, (0_u64..800).prop_map(Due::NearMicros).boxed()),
        (2, Just(Due::Far).boxed()),
    ]);
    Union::new_weighted(vec![
        (8, submit.boxed()),
        (5, batch.boxed()),
        (4, fill.boxed()),
        (2, due.prop_map(Put::Deadline).boxed()),
        (1, Just(Put::Cancel).boxed()),
    ])
}

fn get() -> impl Strategy<Value = Get> {
    let takes = vec![
        (6, Take::Leave),
        (2, Take::Own),
        (2, Take::Replace),
        (3, Take::IntoError),
        (2, Take::Leak),
    ];
    let receive = (wait(), pick(takes)).prop_map(|(wait, take)| Get::Receive(wait, take));
    let drain = (0_usize..=70, rarely(0_usize..8))
        .prop_map(|(max, panics_at)| Get::Drain { max, panics_at });
    Union::new_weighted(vec![
        (12, receive.boxed()),
        (5, drain.boxed()),
        (2, Just(Get::Look).boxed()),
        (1, Just(Get::CancelByReceiver).boxed()),
    ])
}

fn wait() -> impl Strategy<Value = Wait> {
    Union::new_weighted(vec![
        (2, Just(Wait::Block).boxed()),
        (2, Just(Wait::Try).boxed()),
        (1, (0_u64..300).prop_map(Wait::Micros).boxed()),
    ])
}

fn end() -> impl Strategy<Value = End> {
    let threads = (any::<bool>(), vec(vec(put(), 0..=10), 1..=2), vec(get(), 0..=8), any::<bool>())
        .prop_map(|(shared, producers, receiver, drains)| End::Threads {
            shared,
            producers,
            receiver,
            drains,
        });
    Union::new_weighted(vec![
        (3, Just(End::Drained).boxed()),
        (2, Just(End::SubmitterFirst).boxed()),
        (2, vec(put(), 0..=4).prop_map(End::ReceiverFirst).boxed()),
        (4, threads.boxed()),
    ])
}

fn finish() -> impl Strategy<Value = Finish> {
    let how = Union::new_weighted(vec![
        (3, Just(How::Close).boxed()),
        (2, (0_u64..6).prop_map(How::CloseWithinMillis).boxed()),
        (2, Just(How::Abort).boxed()),
        (2, Just(How::DropIt).boxed()),
    ]);
    (option::weighted(0.4, 0_u64..60), how).prop_map(|(after, how)| Finish { after, how })
}

fn rarely<T: std::fmt::Debug>(value: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    option::weighted(0.1, value)
}

/// Mostly requests that are done in the end, so that others are seen to be what they are.
fn job() -> impl Strategy<Value = Job> {
    let act = Union::new_weighted(vec![
        (12, Just(Act::Next).boxed()),
        (4, (0..STAGES as u8).prop_map(Act::Jump).boxed()),
        (1, (0_u8..40).prop_map(Act::Pause).boxed()),
        (1, Just(Act::Done).boxed()),
        (2, Just(Act::Fail).boxed()),
        (1, Just(Act::Drop).boxed()),
        (1, Just(Act::Panic).boxed()),
        (1, (0_u8..3).prop_map(Act::Off).boxed()),
        (1, Just(Act::Bomb).boxed()),
        (1, Just(Act::FailThenPanic).boxed()),
        (1, Just(Act::FailThenNext).boxed()),
        (1, Just(Act::HookFail).boxed()),
        (1, Just(Act::HookPanic).boxed()),
    ]);
    let loops = vec((0..STAGES as u8).prop_map(Act::Jump), 10..=40);
    let slow = vec((0_u8..12).prop_map(Act::Pause), 2..=8);
    let scripts = Union::new_weighted(vec![
        (4, Just(Vec::new()).boxed()),
        (8, vec(act, 1..=8).boxed()),
        (1, loops.boxed()),
        (1, slow.boxed()),
    ]);
    scripts.prop_map(Job)
}
