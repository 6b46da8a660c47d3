//! Stages: tables put together at run time, hooks, the acyclic mode, visits, traces and drawings.

mod common;

use common::{Act, Lab, ORDERS, ending, finish, job, lab, pass, watchdog};
use stageline::{
    Builder, Order, Outcome, Pipeline, Request, RuntimeStage, Stage, StageFn, StageId, StageTable,
    StateMachine, Step,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// A machine without a table of its own: each request carries the way that it is to take.
struct Walker;

type Way = Vec<u16>;

impl StateMachine for Walker {
    type Data = Way;
    type Error = String;
    const STAGES: StageTable<Self> = StageTable::EMPTY;
}

/// Goes to the last stage of the way that is left; 1000 asks to be dropped.
fn walk(_: &mut Walker, request: &mut Request<'_, Walker>) -> Step {
    match request.pop() {
        None => request.done(),
        Some(1000) => request.drop(),
        Some(next) => request.next(StageId::new(next)),
    }
}

fn stage(name: &str, next: Option<&[u16]>) -> RuntimeStage<Walker> {
    let next = next.map(|next| next.iter().copied().map(StageId::new).collect());
    RuntimeStage { name: name.to_owned(), run: walk, next, pool: None }
}

fn walker(stages: Vec<RuntimeStage<Walker>>) -> Builder<Walker> {
    Pipeline::builder(|| Walker).workers(1).groups(1).window(4).stages(stages)
}

/// How a request that goes this way after stage 0 ends.
#[track_caller]
fn ends_as(pipeline: &Pipeline<Walker>, way: &[u16], expected: &str) {
    for order in ORDERS {
        let mut group = pipeline.open(order).unwrap();
        group.submit(way.iter().rev().copied().collect()).unwrap();
        assert_eq!(ending(&group.recv().unwrap()), expected, "{way:?}");
    }
}

#[test]
fn a_table_is_put_together_at_run_time() {
    let _dog = watchdog(60);
    let names = ["first", "second", "third"];
    let pipeline = walker(names.iter().map(|name| stage(name, None)).collect()).build().unwrap();
    ends_as(&pipeline, &[], "done");
    ends_as(&pipeline, &[1, 2, 0, 2], "done");
    ends_as(&pipeline, &[2, 1000], "dropped");
    ends_as(
        &pipeline,
        &[1, 3],
        "panicked: a stage answered with stage id 3; the table has 3 stages",
    );
    let far = "panicked: a stage answered with stage id 65535; the table has 3 stages";
    ends_as(&pipeline, &[65535], far);
    let stats = pipeline.stats();
    let entered: Vec<_> = stats.stages.iter().map(|s| (s.name.as_str(), s.entered)).collect();
    // Twice each way: 5 starts and one return at the first.
    assert_eq!(entered, [("first", 12), ("second", 4), ("third", 6)]);
    finish(pipeline);
}

#[test]
fn a_run_time_table_takes_the_place_of_the_machines_own() {
    let _dog = watchdog(60);
    fn only(_: &mut Lab, job: &mut Request<'_, Lab>) -> Step {
        assert_eq!((job.stage().index(), job.stage_name()), (0, "only"));
        job.value = 1234;
        job.done()
    }
    let only = RuntimeStage { name: "only".into(), run: only, next: Some(vec![]), pool: None };
    let pipeline = lab().stages([only]).build().unwrap();
    let mut group = pipeline.open(Order::Submission).unwrap();
    group.submit(pass(1)).unwrap();
    assert_eq!(group.recv().unwrap().value, 1234);
    assert_eq!(pipeline.graph().dot().matches("label").count(), 1);
}

#[test]
fn an_acyclic_machine_ends_a_request_that_comes_back_with_its_way() {
    let _dog = watchdog(60);
    let names = ["a", "b", "c", "d"];
    let pipeline =
        walker(names.iter().map(|name| stage(name, None)).collect()).dag().build().unwrap();
    ends_as(&pipeline, &[1, 3], "done");
    ends_as(&pipeline, &[1, 0], "cyclic: a -> b -> a");
    ends_as(&pipeline, &[0], "cyclic: a -> a");
    ends_as(&pipeline, &[3, 2, 1, 2], "cyclic: a -> d -> c -> b -> c");
    ends_as(&pipeline, &[3, 2, 1], "done");
}

#[test]
fn a_long_way_shows_both_ends() {
    let _dog = watchdog(60);
    let names: Vec<String> = (0..200).map(|index| format!("s{index}")).collect();
    let stages: Vec<_> = names.iter().map(|name| stage(name, None)).collect();
    let pipeline = walker(stages).dag().build().unwrap();
    let way: Vec<u16> = (1..200).chain([5]).collect();
    let expected = format!(
        "cyclic: {} -> (187 more) -> {} -> s5",
        names[..7].join(" -> "),
        names[194..].join(" -> ")
    );
    ends_as(&pipeline, &way, &expected);
    ends_as(&pipeline, &way[..199], "done");
}

#[test]
fn declared_ways_are_checked_in_an_acyclic_machine() {
    let _dog = watchdog(60);
    let stages = || vec![stage("a", Some(&[1, 2])), stage("b", Some(&[2])), stage("c", Some(&[]))];
    let checked = walker(stages()).dag().build().unwrap();
    ends_as(&checked, &[1, 2], "done");
    ends_as(&checked, &[2], "done");
    ends_as(&checked, &[2, 1], "cyclic: a -> c -> b");
    ends_as(&checked, &[2], "done");
    let unchecked = walker(stages()).build().unwrap();
    ends_as(&unchecked, &[2, 1], "done");
}

#[test]
fn a_request_may_run_through_so_many_stages() {
    let _dog = watchdog(60);
    for (limit, turns) in [(1_u32, 0_usize), (2, 1), (14, 13), (15, 14), (100, 99), (5_000, 4_999)]
    {
        let stages = vec![stage("a", None)];
        let pipeline = walker(stages).visits_max(limit).sample_every(2).build().unwrap();
        for order in ORDERS {
            let mut group = pipeline.open(order).unwrap();
            // Both positions of the sample: one has its times taken, the other has not.
            for _ in 0..2 {
                group.submit(vec![0; turns]).unwrap();
                assert_eq!(ending(&group.recv().unwrap()), "done", "{turns} of {limit}");
                group.submit(vec![0; turns + 1]).unwrap();
                let output = group.recv().unwrap();
                assert!(matches!(output.outcome(), Outcome::Cyclic(_)), "{limit}: {output:?}");
                assert_eq!(output.len(), 0, "{limit}: its last step was taken, and not followed");
            }
        }
        let entered = pipeline.stats().stages[0].entered;
        assert_eq!(entered, 2 * 4 * u64::from(limit), "no stage ran more often than it may");
    }
}

#[test]
fn the_trace_of_too_many_stages_has_their_end() {
    let _dog = watchdog(60);
    let stages = || vec![stage("a", None), stage("b", None)];
    let way: Way = (1..200).map(|visit| visit % 2).collect();
    let few = walker(stages()).visits_max(3).build().unwrap();
    ends_as(&few, &way, "cyclic: a -> b -> a -> b");
    // The last 14 stages are known, with the one that it would have gone to; one is left out.
    let many = walker(stages()).visits_max(100).sample_every(1 << 63).build().unwrap();
    let mut group = many.open(Order::Submission).unwrap();
    group.submit(vec![]).unwrap(); // Position 0, which is sampled.
    drop(group.recv().unwrap());
    drop(group);
    let half = "a -> b -> a -> b -> a -> b -> a";
    let trace = format!("cyclic: (86 stages) -> {half} -> (1 more) -> {half}");
    ends_as(&many, &way, &trace);
}

/// Counts the calls of the hooks, by the stage that they come before.
#[derive(Default)]
struct Hooked {
    log: Vec<String>,
}

impl Hooked {
    const TABLE: &[Stage<Self>] = &[
        Stage {
            name: "one",
            run: Self::one as StageFn<Self>,
            next: Some(&[StageId::new(1)]),
            pool: None,
        },
        Stage { name: "two", run: Self::two as StageFn<Self>, next: Some(&[]), pool: None },
    ];

    fn one(&mut self, request: &mut Request<'_, Self>) -> Step {
        self.log.push("run one".into());
        request.next(StageId::new(1))
    }

    fn two(&mut self, request: &mut Request<'_, Self>) -> Step {
        self.log.push("run two".into());
        **request = self.log.join(", ");
        self.log.clear();
        request.done()
    }

    fn first_hook(&mut self, request: &mut Request<'_, Self>) -> Result<(), String> {
        self.log.push(format!("first {}", request.stage_name()));
        Ok(())
    }

    fn second_hook(&mut self, request: &mut Request<'_, Self>) -> Result<(), String> {
        let stage = request.stage().index();
        self.log.push(format!("second {stage}"));
        match (stage, request.as_str()) {
            (0, "refuse one") | (1, "refuse two") => {
                let log = std::mem::take(&mut self.log).join(", ");
                Err(format!("refused after {log}"))
            }
            _ => Ok(()),
        }
    }
}

impl StateMachine for Hooked {
    type Data = String;
    type Error = String;
    const STAGES: StageTable<Self> = StageTable::new(Self::TABLE);
}

#[test]
fn hooks_run_before_each_stage_in_their_order() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let builder = Pipeline::builder(Hooked::default).workers(1).groups(1);
        let builder = builder.before_stage(Hooked::first_hook).before_stage(Hooked::second_hook);
        let pipeline = builder.build().unwrap();
        let mut group = pipeline.open(order).unwrap();
        for value in ["go", "refuse one", "refuse two", "go"] {
            group.submit(value.to_owned()).unwrap();
        }
        let whole = "first one, second 0, run one, first two, second 1, run two";
        assert_eq!(*group.recv().unwrap(), whole);
        let error = group.recv().unwrap().into_error().ok();
        assert_eq!(error.as_deref(), Some("refused after first one, second 0"));
        let error = group.recv().unwrap().into_error().ok();
        let late = "refused after first one, second 0, run one, first two, second 1";
        assert_eq!(error.as_deref(), Some(late));
        assert_eq!(*group.recv().unwrap(), whole);
        drop(group);
        assert_eq!(pipeline.stats().stages[0].entered, 3, "a refused stage is not entered");
        assert_eq!(finish(pipeline).failed, 2);
    }
}

#[test]
fn a_stage_sees_its_requests_circumstances() {
    let _dog = watchdog(60);
    fn look(_: &mut Walker, request: &mut Request<'_, Walker>) -> Step {
        let seen = (request.group(), request.position(), request.deadline());
        request.fail(format!("{} {} {}", seen.0, seen.1, seen.2.is_some()))
    }
    let stage =
        RuntimeStage { name: "look".to_owned(), run: look as StageFn<_>, next: None, pool: None };
    let pipeline = walker(vec![stage]).groups(2).build().unwrap();
    for order in ORDERS {
        let _other = pipeline.open(order).unwrap();
        let mut group = pipeline.open(order).unwrap();
        let index = group.index();
        for deadline in [None, Some(Instant::now() + Duration::from_secs(3600))] {
            group.set_deadline(deadline);
            let position = group.submit(vec![]).unwrap();
            let seen = group.recv().unwrap().into_error().ok().unwrap();
            assert_eq!(seen, format!("{index} {position} {}", deadline.is_some()));
        }
    }
}

#[test]
fn the_graph_is_drawn_in_two_languages() {
    let stages = vec![stage("in", Some(&[1, 2])), stage("a \"b\"", Some(&[2])), stage("out", None)];
    let graph = walker(stages).build().unwrap().graph();
    let dot = "digraph stages {\n    rankdir=LR;\n    node [shape=box];\n    s0 [label=\"in\"];\n    \
               s1 [label=\"a \\\"b\\\"\"];\n    s2 [label=\"out\"];\n    any [label=\"?\", \
               shape=plaintext];\n    s0 -> s1;\n    s0 -> s2;\n    s1 -> s2;\n    \
               s2 -> any [style=dashed];\n}\n";
    assert_eq!(graph.dot(), dot);
    let mermaid = "flowchart LR\n    s0[\"in\"]\n    s1[\"a #quot;b#quot;\"]\n    s2[\"out\"]\n    \
                   s0 --> s1\n    s0 --> s2\n    s1 --> s2\n    s2 -.-> any([\"?\"])\n";
    assert_eq!(graph.mermaid(), mermaid);
}

/// Counts its own instances that were closed, and those dropped.
struct Closing(Arc<(AtomicUsize, AtomicUsize)>);

impl StateMachine for Closing {
    type Data = u8;
    type Error = String;
    const STAGES: StageTable<Self> =
        StageTable::new(&[Stage { name: "only", run: Self::only, next: None, pool: None }]);

    fn close(&mut self) {
        self.0.0.fetch_add(1, SeqCst);
    }
}

impl Closing {
    fn only(&mut self, request: &mut Request<'_, Self>) -> Step {
        assert_ne!(**request, 13, "unlucky");
        request.done()
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.1.fetch_add(1, SeqCst);
    }
}

#[test]
fn every_machine_that_lives_to_the_end_is_closed_once_and_dropped() {
    let _dog = watchdog(60);
    let counts = Arc::<(AtomicUsize, AtomicUsize)>::default();
    let seen = Arc::clone(&counts);
    let now = || (counts.0.load(SeqCst), counts.1.load(SeqCst));
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let factory = move || {
        counted.fetch_add(1, SeqCst);
        Closing(Arc::clone(&seen))
    };
    let pipeline = Pipeline::builder(factory).workers(3).groups(1).build().unwrap();
    let mut group = pipeline.open(Order::Submission).unwrap();
    group.submit(1).unwrap();
    assert!(group.recv().unwrap().is_done());
    assert_eq!(now(), (0, 0));
    group.submit(13).unwrap();
    assert!(!group.recv().unwrap().is_done());
    assert_eq!(now(), (0, 1), "the one that panicked is dropped, not closed");
    group.submit(2).unwrap();
    assert!(group.recv().unwrap().is_done());
    drop(group);
    finish(pipeline);
    // A worker whose machine panicked makes another one when it next has a request.
    let made = made.load(SeqCst);
    assert!((3..=4).contains(&made));
    assert_eq!(now(), (made - 1, made));
}

/// Keeps the answer of a request that failed, and gives it for one that did not.
struct Hoarder(Option<Step>);

#[stageline::state_machine(data = bool, error = String)]
impl Hoarder {
    #[stage]
    fn only(&mut self, request: &mut Request<'_, Self>) -> Step {
        if **request {
            self.0 = Some(request.fail("its own".to_owned()));
        }
        self.0.unwrap_or_else(|| request.done())
    }
}

/// Makes an error and answers otherwise, or gives the answer that it has kept.
struct Changeable(Option<Step>);

#[stageline::state_machine(data = bool, error = String)]
impl Changeable {
    #[stage]
    fn only(&mut self, request: &mut Request<'_, Self>) -> Step {
        if **request {
            self.0 = Some(request.fail("of another request".to_owned()));
            return request.done();
        }
        self.0.expect("errors come first")
    }
}

/// Each slot has an error left behind when the kept answer comes, in the same opening or in the next.
#[test]
fn an_error_that_was_left_behind_is_nobody_elses() {
    let _dog = watchdog(60);
    let pipeline =
        Pipeline::builder(|| Changeable(None)).workers(1).groups(1).window(2).build().unwrap();
    for requests in [&[true, true, false, false][..], &[true, true], &[false, false]] {
        let mut group = pipeline.open(Order::Submission).unwrap();
        for makes_an_error in requests {
            group.submit(*makes_an_error).unwrap();
            let output = group.recv().unwrap();
            assert_eq!(output.is_done(), *makes_an_error);
            assert!(!ending(&output).contains("another"), "{}", ending(&output));
        }
    }
}

/// Whatever such a request ends as, its receiver must be able to ask.
#[test]
fn an_answer_that_was_kept_takes_no_receiver_down() {
    let _dog = watchdog(60);
    let pipeline = Pipeline::builder(|| Hoarder(None)).workers(1).build().unwrap();
    let mut group = pipeline.open(Order::Submission).unwrap();
    for fails in [true, false, false] {
        group.submit(fails).unwrap();
    }
    assert_eq!(ending(&group.recv().unwrap()), "failed: its own");
    assert_ne!(ending(&group.recv().unwrap()), "done");
    assert!(group.recv().unwrap().into_error().is_err());
}

#[test]
fn the_macro_and_a_table_by_hand_make_the_same() {
    let names: Vec<_> = lab().build().unwrap().stats().stages.into_iter().map(|s| s.name).collect();
    assert_eq!(names, ["count", "end"]);
    assert_eq!(format!("{:?}", StageId::<Lab>::new(7)), "StageId(7)");
    assert_eq!(job(Act::Pass, 1), pass(1));
}
