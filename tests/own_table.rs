//! A machine's own table, which the hot loop runs by calls that the compiler sees through, beside a table of the
//! same stages that is put together at run time, and a model of both.

mod common;

use common::{ORDERS, Random, ending, finish, watchdog};
use stageline::{
    Order, Pipeline, Request, RequestGroup, RuntimeStage, Stage, StageFn, StageId, StageTable,
    StateMachine, Step,
};

/// What a stage answers of a journey.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// The stage behind it in the table, or done.
    Straight,
    Next(u16),
    Done,
    Drop,
    Fail,
    Panic,
}

/// What its stages are to answer, the last first, and the stages that it has been through.
#[derive(Clone, Debug, Default)]
struct Journey {
    answers: Vec<Answer>,
    seen: Vec<usize>,
}

/// A machine of so many stages, at most ten.
struct Traveller<const STAGES: usize>;

impl<const STAGES: usize> Traveller<STAGES> {
    const LIST: &'static [Stage<Self>; 10] = &[
        Self::stage::<0>("a"),
        Self::stage::<1>("b"),
        Self::stage::<2>("c"),
        Self::stage::<3>("d"),
        Self::stage::<4>("e"),
        Self::stage::<5>("f"),
        Self::stage::<6>("g"),
        Self::stage::<7>("h"),
        Self::stage::<8>("i"),
        Self::stage::<9>("j"),
    ];

    const fn stage<const AT: usize>(name: &'static str) -> Stage<Self> {
        Stage { name, run: Self::visit::<AT>, next: None, pool: None }
    }

    fn visit<const AT: usize>(&mut self, journey: &mut Request<'_, Self>) -> Step {
        assert_eq!(journey.stage().index(), AT, "the request knows its stage");
        journey.seen.push(AT);
        match journey.answers.pop().unwrap_or(Answer::Straight) {
            Answer::Straight if AT + 1 == STAGES => journey.done(),
            Answer::Straight => journey.next(StageId::new(AT as u16 + 1)),
            Answer::Next(stage) => journey.next(StageId::new(stage)),
            Answer::Done => journey.done(),
            Answer::Drop => journey.drop(),
            Answer::Fail => journey.fail(format!("in {AT}")),
            Answer::Panic => panic!("in {AT}"),
        }
    }
}

impl<const STAGES: usize> StateMachine for Traveller<STAGES> {
    type Data = Journey;
    type Error = String;
    const STAGES: StageTable<Self> = StageTable::new(Self::LIST.split_at(STAGES).0);
}

/// What a journey through so many stages comes to.
fn model(journey: &Journey, stages: usize) -> (Vec<usize>, String) {
    let (mut answers, mut seen, mut at) = (journey.answers.clone(), Vec::new(), 0);
    let ending = loop {
        if at >= stages {
            break format!(
                "panicked: a stage answered with stage id {at}; the table has {stages} stages"
            );
        }
        seen.push(at);
        match answers.pop().unwrap_or(Answer::Straight) {
            Answer::Straight if at + 1 == stages => break "done".to_owned(),
            Answer::Straight => at += 1,
            Answer::Next(stage) => at = usize::from(stage),
            Answer::Done => break "done".to_owned(),
            Answer::Drop => break "dropped".to_owned(),
            Answer::Fail => break format!("failed: in {at}"),
            Answer::Panic => break format!("panicked: in {at}"),
        }
    };
    (seen, ending)
}

/// Most go straight for a while, and many to the end.
fn journey(random: &mut Random, stages: usize) -> Journey {
    let mut answers = Vec::new();
    if random.below(3) == 0 {
        for _ in 0..random.below(4) {
            answers.push(match random.below(40) {
                0 => Answer::Panic,
                1..4 => Answer::Fail,
                4..7 => Answer::Drop,
                7..10 => Answer::Done,
                10 => Answer::Next(stages as u16),
                _ => Answer::Next(random.below(stages as u64) as u16),
            });
            answers.extend((0..random.below(stages as u64)).map(|_| Answer::Straight));
        }
    }
    Journey { answers, seen: Vec::new() }
}

/// Receives what was submitted, and compares it with the model.
fn receive<const STAGES: usize>(
    group: &mut RequestGroup<Traveller<STAGES>>,
    sent: &[Journey],
    entered: &mut [u64],
    context: &str,
) {
    for journey in sent {
        let output = group.recv().expect("as many as were sent");
        let (seen, how) = model(journey, STAGES);
        assert_eq!((&output.seen, ending(&output)), (&seen, how), "{context}: {journey:?}");
        seen.into_iter().for_each(|stage| entered[stage] += 1);
    }
}

fn travel<const STAGES: usize>(at_run_time: bool) {
    let seed = 0x5eed_0000 + STAGES as u64;
    let context = format!("{STAGES} stages, put together at run time: {at_run_time}, seed {seed}");
    let mut random = Random(seed);
    for order in ORDERS {
        let mut builder = Pipeline::builder(|| Traveller::<STAGES>).workers(1).groups(1).window(64);
        if at_run_time {
            let stages = Traveller::<STAGES>::LIST[..STAGES].iter();
            builder = builder.stages(stages.map(|stage| RuntimeStage {
                name: stage.name.to_owned(),
                run: stage.run as StageFn<_>,
                next: None,
                pool: None,
            }));
        }
        let pipeline = builder.build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        let mut entered = [0; STAGES];
        for round in 0..24 {
            // Alone, and in batches.
            let count = if round % 4 == 0 { 1 } else { 50 };
            let sent: Vec<_> = (0..count).map(|_| journey(&mut random, STAGES)).collect();
            assert_eq!(group.submit_batch(&mut sent.iter().cloned()), count, "{context}");
            receive(&mut group, &sent, &mut entered, &context);
        }
        let stats = pipeline.stats();
        let counted: Vec<_> = stats.stages.iter().map(|stage| stage.entered).collect();
        assert_eq!(counted, entered, "{context}, {order:?}");
        drop(group);
        finish(pipeline);
    }
}

#[test]
fn journeys_are_the_same_by_either_table() {
    let _dog = watchdog(120);
    for at_run_time in [false, true] {
        travel::<1>(at_run_time);
        travel::<2>(at_run_time);
        // The hot loop calls eight stages by name, and those behind them by the table.
        travel::<7>(at_run_time);
        travel::<8>(at_run_time);
        travel::<9>(at_run_time);
        travel::<10>(at_run_time);
    }
}

/// What a stage that is a part of the loop leaves in registers must be known when a later one panics.
#[test]
fn the_request_that_panics_is_found_among_those_that_do_not() {
    let _dog = watchdog(60);
    struct Trap;
    impl Trap {
        fn first(&mut self, number: &mut Request<'_, Self>) -> Step {
            **number += 1000;
            number.next(StageId::new(1))
        }
        fn second(&mut self, number: &mut Request<'_, Self>) -> Step {
            assert_ne!(**number % 1000, 17, "a trap");
            number.done()
        }
    }
    impl StateMachine for Trap {
        type Data = u64;
        type Error = String;
        const STAGES: StageTable<Self> = StageTable::new(&[
            Stage { name: "first", run: Self::first, next: None, pool: None },
            Stage { name: "second", run: Self::second, next: None, pool: None },
        ]);
    }
    let pipeline = Pipeline::builder(|| Trap).workers(1).groups(1).window(64).build().unwrap();
    let mut group = pipeline.open(Order::Submission).unwrap();
    for _ in 0..50 {
        assert_eq!(group.submit_batch(&mut (0..64)), 64);
        for number in 0..64 {
            let output = group.recv().unwrap();
            let panicked = ending(&output).starts_with("panicked: ");
            assert_eq!((*output, panicked), (number + 1000, number == 17));
        }
    }
    assert_eq!(pipeline.stats().stages[1].entered, 50 * 64);
}

#[test]
fn a_table_put_together_at_run_time_is_the_one_that_runs() {
    let _dog = watchdog(60);
    struct Either;
    impl Either {
        fn own(&mut self, number: &mut Request<'_, Self>) -> Step {
            **number += 1000;
            number.done()
        }
        fn given(&mut self, number: &mut Request<'_, Self>) -> Step {
            **number += 2000;
            number.done()
        }
    }
    impl StateMachine for Either {
        type Data = u64;
        type Error = String;
        const STAGES: StageTable<Self> =
            StageTable::new(&[Stage { name: "own", run: Self::own, next: None, pool: None }]);
    }
    let given = RuntimeStage { name: "given".into(), run: Either::given, next: None, pool: None };
    let builder = Pipeline::builder(|| Either).workers(1).groups(1).window(64);
    let pipeline = builder.stages([given]).build().unwrap();
    let mut group = pipeline.open(Order::Submission).unwrap();
    for count in [1, 1, 64, 64, 64, 64, 64, 64, 64, 1] {
        assert_eq!(group.submit_batch(&mut (0..count)), count as usize);
        (0..count).for_each(|number| assert_eq!(*group.recv().unwrap(), number + 2000));
    }
}
