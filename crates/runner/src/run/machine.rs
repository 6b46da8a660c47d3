//! The engine's state machine: each stage is a node of the plan, and runs its component.

use super::counts::{Counts, ThreadCounts};
use super::signals::{Stop, Why};
use crate::plan::{Node, Plan, Route, Target, When};
use stageline::{
    Flush as EngineFlush, Request, RuntimeStage, StageId, StageTable, StateMachine, Step,
};
use stageline_builtin::Judge;
use stageline_component::{Component, Flush, Kind, Message, Report, ReportKind, host::Call};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The status of a message that its component holds although the run ends.
pub const HELD_BACK: u32 = 295;
/// The status of a message whose component could not be made, which ends the run.
pub const UNMADE: u32 = 296;
/// The status by which such a message is tried again first: what a component needs may not be there yet.
const UNMADE_YET: u32 = 196;
/// The status of a message whose component panicked.
pub const PANICKED: u32 = 298;
/// The status of a message whose component answered with a status that means nothing.
pub const RESERVED: u32 = 299;
/// The status of a message that a route sends to `fail`.
pub const ROUTED: u32 = 297;

/// What a slot of the engine holds. What goes from one CPU to another with each message stands first.
#[repr(C)]
pub struct Parcel {
    /// The stage that it starts at.
    pub entry: u16,
    /// The last stage that handled it.
    pub at: u16,
    /// It was folded into another one, by a transform: what becomes of that one is told of that one alone.
    pub is_folded: bool,
    /// The message.
    pub message: Message,
    _rest: [u64; 5],
}

/// With the engine's word before it, so that each slot begins with a line.
const _: () = assert!((size_of::<Parcel>() + size_of::<u64>()).is_multiple_of(64));

impl Parcel {
    pub fn new(capacity: usize, max: usize) -> Self {
        let message = Message::new(capacity, max);
        Self { entry: 0, at: 0, is_folded: false, message, _rest: [0; 5] }
    }

    /// Begins its way with this message; what stood here takes its place.
    pub fn begin(&mut self, message: &mut Message, entry: u16) {
        self.message.take_from(message);
        (self.entry, self.at, self.is_folded) = (entry, 0, false);
    }
}

/// Where a message goes, by indices.
#[derive(Clone, Copy)]
enum To {
    Stage(u16),
    End,
    Fail,
}

/// What all threads have of a plan.
pub struct Graph {
    plan: Plan,
    nodes: Vec<Ways>,
    counts: Counts,
    /// The stage of the dead letter's component.
    letters: Option<u16>,
    /// No source will emit any more: what is held is let go.
    drains: AtomicBool,
    /// Sources that run.
    sources: AtomicUsize,
    /// Sources that wait for room.
    waiting: AtomicUsize,
    /// What components said as they were closed.
    troubles: Mutex<Vec<String>>,
    /// The wish to end the run.
    stop: Arc<Stop>,
}

/// The ways from a node.
struct Ways {
    routes: Vec<To>,
    otherwise: To,
    /// What it holds is folded into what it lets go on.
    folds: bool,
}

/// The first node's stage: before it stands the one that sends each message to where it starts.
const FIRST: u16 = 1;

impl Graph {
    /// The plan, checked. A dead letter's component becomes its last node.
    pub fn new(mut plan: Plan) -> Self {
        let last = plan.nodes.len();
        let letters = plan.dead_letter.take().map(|component| {
            plan.nodes.push(Node::new(plan.free_name("dead_letter"), component));
            stage_of(last)
        });
        let to = |target: &Target| match target {
            Target::Node(name) => To::Stage(stage_of(plan.node(name).expect("a checked plan"))),
            Target::End => To::End,
            Target::Fail => To::Fail,
        };
        let nodes = plan.nodes.iter().enumerate().map(|(index, node)| Ways {
            routes: node.routes.iter().map(|route| to(&route.to)).collect(),
            otherwise: match &node.otherwise {
                Some(target) => to(target),
                None if index + 1 < last => To::Stage(stage_of(index + 1)),
                None => To::End,
            },
            folds: node.component.kind() == Kind::Transform,
        });
        let nodes = nodes.collect();
        let counts = Counts::new(plan.nodes.len());
        let (drains, sources) = (AtomicBool::new(false), AtomicUsize::new(plan.sources.len()));
        let (waiting, troubles) = (AtomicUsize::new(0), Mutex::default());
        let stop = Arc::default();
        Self { nodes, counts, letters, drains, sources, waiting, troubles, stop, plan }
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The wish to end the run.
    pub fn stop(&self) -> &Arc<Stop> {
        &self.stop
    }

    /// A component cannot be made: the run ends.
    #[cold]
    fn fail(&self, name: &str, text: &str) {
        self.stop.set(Why::Failed(format!("`{name}` {text}")));
    }

    /// The stage that this source's messages start at; for none, they end where they start.
    pub fn entry(&self, source: usize) -> u16 {
        let (_, to) = &self.plan.sources[source];
        self.plan.entry(to.as_deref()).map_or(0, stage_of)
    }

    /// The stage that dead letters start at.
    pub fn letters(&self) -> Option<u16> {
        self.letters
    }

    /// A source has ended; after the last one what is held is let go.
    pub fn source_ended(&self) {
        if self.sources.fetch_sub(1, Ordering::Relaxed) == 1 {
            // Relaxed: whoever holds messages looks at it again and again.
            self.drains.store(true, Ordering::Relaxed);
        }
    }

    /// Calls what waits until there is room for a message of a source.
    pub fn while_crowded<R>(&self, wait: impl FnOnce() -> R) -> R {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let result = wait();
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        result
    }

    fn is_crowded(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    fn look(&self) -> Duration {
        if self.is_crowded() { LOOK_CROWDED } else { LOOK }
    }

    /// The name of the node whose stage this is.
    pub fn name(&self, stage: u16) -> &str {
        let node = usize::from(stage).checked_sub(usize::from(FIRST));
        node.and_then(|node| self.plan.nodes.get(node)).map_or("source", |node| &node.name)
    }

    /// Whether this stage writes to the standard output.
    pub fn is_stdout(&self, stage: u16) -> bool {
        let node = usize::from(stage).checked_sub(usize::from(FIRST));
        node.and_then(|node| self.plan.nodes.get(node))
            .is_some_and(|node| node.component.name() == "stdout")
    }

    /// The table of the engine, with the pool of each node that has one.
    pub fn stages(&self, pools: &[Option<String>]) -> Vec<RuntimeStage<Line>> {
        let start =
            RuntimeStage { name: String::from("(start)"), run: start, next: None, pool: None };
        let nodes = self.plan.nodes.iter().zip(pools).map(|(node, pool)| RuntimeStage {
            name: node.name.clone(),
            run: handle,
            next: None,
            pool: pool.clone(),
        });
        std::iter::once(start as RuntimeStage<Line>).chain(nodes).collect()
    }

    /// Writes down what went wrong beside messages.
    pub fn trouble(&self, text: String) {
        self.troubles.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(text);
    }

    pub fn take_troubles(&self) -> Vec<String> {
        std::mem::take(&mut self.troubles.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }
}

/// The stage of a node.
pub fn stage_of(node: usize) -> u16 {
    FIRST + u16::try_from(node).expect("fewer nodes than `COMPONENTS_MAX`")
}

/// What a thread runs: its own instance of each component, made when the first message comes to it.
pub struct Line {
    graph: Arc<Graph>,
    instances: Box<[Option<Box<dyn Component>>]>,
    /// For the routes of each node that are expressions.
    judges: Box<[Vec<Option<Judge>>]>,
    /// Until when each component wants to hold what it holds.
    held_until: Box<[Option<Instant>]>,
    /// How often components had been called when nothing seemed to go on.
    idle_at: Option<u64>,
    counts: Arc<ThreadCounts>,
}

/// How long the engine holds messages at most before it is looked whether they must go: as the run drains, or
/// because nothing else goes on.
const LOOK: Duration = Duration::from_millis(2);
/// The same while a source waits for room.
const LOOK_CROWDED: Duration = Duration::from_micros(200);

impl Line {
    pub fn new(graph: &Arc<Graph>) -> Self {
        let instances = graph.plan.nodes.iter().map(|_| None).collect();
        let held_until = vec![None; graph.plan.nodes.len()].into();
        let judge = |route: &Route| match &route.when {
            When::Expression(condition) => Some(condition.judge()),
            When::Status(_) | When::Attribute(..) => None,
        };
        let judges =
            graph.plan.nodes.iter().map(|node| node.routes.iter().map(judge).collect()).collect();
        Self {
            instances,
            judges,
            held_until,
            counts: graph.counts.of_thread(),
            graph: Arc::clone(graph),
            idle_at: None,
        }
    }

    fn instance(&mut self, node: usize) -> Result<&mut Box<dyn Component>, String> {
        let place = &mut self.instances[node];
        if place.is_none() {
            let made = self.graph.plan.nodes[node].component.factory.component();
            *place = Some(made.map_err(|error| format!("cannot be started: {error:#}"))?);
        }
        Ok(place.as_mut().expect("just made"))
    }
}

impl Line {
    /// Whether a source waits for room, and no component has been called since the last look: what is held fills the
    /// window, or keeps it from moving on.
    fn is_stuck(&mut self) -> bool {
        let idle_at =
            if self.graph.is_crowded() { self.graph.counts.handled_if_idle() } else { None };
        let before = std::mem::replace(&mut self.idle_at, idle_at);
        idle_at.is_some() && before == idle_at
    }

    /// Has the node's component handle a message. One that panics fails the message, and is made anew for the next.
    fn call(&mut self, node: usize, message: &mut Message) -> Report {
        let instance = match self.instance(node) {
            Ok(instance) => instance,
            Err(text) => {
                message.describe(&text);
                let (node, options) = (&self.graph.plan.nodes[node], &self.graph.plan.options);
                if message.attempt() < node.retry.as_ref().unwrap_or(&options.retry).attempts {
                    return Report::retry(UNMADE_YET);
                }
                // Not this message's fault, and no other's will fare better.
                self.graph.fail(&node.name, &text);
                return Report::fail(UNMADE);
            }
        };
        match catch_unwind(AssertUnwindSafe(|| instance.handle(message))) {
            Ok(report) => report,
            Err(panic) => {
                message.describe(&format!("the component panicked: {}", text_of(&*panic)));
                // What it held fails with it.
                message.lead();
                self.instances[node] = None;
                Report::fail(PANICKED)
            }
        }
    }
}

impl StateMachine for Line {
    type Data = Parcel;
    type Error = ();
    const STAGES: StageTable<Self> = StageTable::EMPTY;
    const KEEPS: bool = true;

    fn prefetch(next: &Parcel) {
        stageline::prefetch(next.message.data());
    }

    fn close(&mut self) {
        let instances = self.instances.iter_mut().zip(&self.graph.plan.nodes);
        for (instance, node) in instances.filter_map(|(place, node)| Some((place.take()?, node))) {
            let mut instance = instance;
            let error = match catch_unwind(AssertUnwindSafe(move || instance.close())) {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => format!("{error:#}"),
                Err(panic) => format!("it panicked: {}", text_of(&*panic)),
            };
            self.graph.trouble(format!("`{}` did not close well: {error}", node.name));
        }
    }
}

/// The first stage of all: to where the message starts.
fn start(_line: &mut Line, request: &mut Request<'_, Line>) -> Step {
    match request.entry {
        0 => request.done(),
        entry => request.next(StageId::new(entry)),
    }
}

/// The stage of a node.
fn handle(line: &mut Line, request: &mut Request<'_, Line>) -> Step {
    let stage = request.stage().index() as u16;
    let node = usize::from(stage - FIRST);
    let (attempt, held) = (request.attempt(), request.held());
    let flush = match request.flush() {
        None => None,
        Some(EngineFlush::Age) if !line.graph.drains.load(Ordering::Relaxed) => {
            let left = line.held_until[node]
                .map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
            if !left.is_zero() && !line.is_stuck() {
                return request.hold(left.min(line.graph.look()));
            }
            Some(Flush::Age)
        }
        Some(_) => Some(Flush::Drain),
    };
    request.at = stage;
    let message = &mut request.message;
    message.prepare(Call { attempt, flush, held });
    line.counts.set_running(true);
    let report = line.call(node, message);
    line.counts.set_running(false);
    message.set_status(report.status());
    let leads = message.take_led() || flush.is_some();
    let kind = report.kind();
    if kind == ReportKind::Continue {
        return hold(line, node, request, Call { attempt, flush, held });
    }
    let is_done = kind == ReportKind::Done;
    let led = match leads || is_done && held > 0 {
        // What fails or panics has not folded them into its message.
        true => lead(request, line.graph.nodes[node].folds && is_done) as u64,
        false => 0,
    };
    line.counts.count(node, kind, 1 + led);
    // One that comes again was held, too.
    line.counts.let_go(node, led + u64::from(flush.is_some()));
    go_on(line, node, request, report)
}

/// The component keeps the message.
fn hold(line: &mut Line, node: usize, request: &mut Request<'_, Line>, call: Call) -> Step {
    if call.flush == Some(Flush::Drain) {
        // To hold them again would go on for ever.
        let messages = 1 + lead(request, false) as u64;
        line.counts.let_go(node, messages);
        line.counts.count(node, ReportKind::Fail, messages);
        request.message.describe("held back at the end of the run, when nothing comes any more");
        return fail(request, HELD_BACK);
    }
    if call.flush.is_none() {
        line.counts.count(node, ReportKind::Continue, 1);
    }
    let at_most = request.message.hold_at_most();
    let until = Instant::now().checked_add(at_most);
    let before = line.held_until[node].filter(|_| call.held > 0 && call.flush.is_none());
    line.held_until[node] = before.into_iter().chain(until).min();
    request.hold(at_most.min(line.graph.look()))
}

/// Where the message goes by its report.
fn go_on(line: &mut Line, node: usize, request: &mut Request<'_, Line>, report: Report) -> Step {
    match way(&line.graph, node, &mut line.judges[node], report, &request.message) {
        Some(To::Stage(stage)) => return request.next(StageId::new(stage)),
        Some(To::End) => return request.done(),
        Some(To::Fail) => {
            return fail(
                request,
                if report.kind() == ReportKind::Done { ROUTED } else { report.status() },
            );
        }
        None => {}
    }
    match report.kind() {
        ReportKind::Retry => {
            describe(request);
            step_of(report.status())
        }
        ReportKind::Drop => step_of(report.status()),
        ReportKind::Reserved => {
            let text = format!("the component answered {}, a reserved status", report.status());
            request.message.describe(&text);
            fail(request, RESERVED)
        }
        _ => fail(request, report.status()),
    }
}

/// Where the routes send the message; `None` if its report is looked at.
fn way(
    graph: &Graph,
    node: usize,
    judges: &mut [Option<Judge>],
    report: Report,
    message: &Message,
) -> Option<To> {
    let (routes, ways) = (&graph.plan.nodes[node].routes, &graph.nodes[node]);
    let is_done = report.kind() == ReportKind::Done;
    for ((route, to), judge) in routes.iter().zip(&ways.routes).zip(judges) {
        let holds = match &route.when {
            When::Status(range) => range.contains(&report.status()),
            When::Attribute(name, value) => {
                let found = message.attribute(name);
                is_done
                    && found.is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
            }
            When::Expression(_) => {
                is_done && judge.as_mut().is_some_and(|judge| judge.holds(message))
            }
        };
        if holds {
            return Some(*to);
        }
    }
    is_done.then_some(ways.otherwise)
}

/// What is held follows this message. How many that are.
fn lead(request: &mut Request<'_, Line>, folds: bool) -> usize {
    let led = request.lead();
    if folds {
        request.for_each_follower(|parcel| parcel.is_folded = true);
    }
    led
}

fn fail(request: &mut Request<'_, Line>, status: u32) -> Step {
    describe(request);
    request.message.set_status(status);
    step_of(if (200..300).contains(&status) { status } else { ROUTED })
}

/// Tells the engine what the component said, for who receives the message.
fn describe(request: &mut Request<'_, Line>) {
    if !request.message.description().is_empty() {
        let mut text = [0; stageline_component::DESCRIPTION_MAX];
        let said = request.message.description();
        let len = said.len();
        text[..len].copy_from_slice(said.as_bytes());
        request.describe(str::from_utf8(&text[..len]).expect("it was text"));
    }
}

fn step_of(status: u32) -> Step {
    Step::from_status(status.min(stageline::limits::STATUS_MAX))
        .expect("neither reserved nor above the limit")
}

/// What a panic said.
pub fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("of no text")
}
