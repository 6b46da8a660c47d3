//! The engine's state machine: each stage is a node of the plan, and runs its component.

use super::counts::ThreadCounts;
use super::graph::{Graph, To, node_of, stage_of};
use super::held::Looks;
use super::parcel::{Fate, Parcel};
use crate::plan::{Route, START, When};
use stageline::limits::STATUS_MAX;
use stageline::{
    Flush as EngineFlush, Request, RuntimeStage, StageId, StageTable, StateMachine, Step,
};
use stageline_builtin::{Judge, SINK_MARK};
use stageline_component::{
    Component, DESCRIPTION_MAX, Flush, Kind, Message, Report, ReportKind, host::Call,
};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
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

/// What a thread runs: its own instance of each component, made when the first message comes to it.
pub struct Line {
    graph: Arc<Graph>,
    instances: Box<[Option<Box<dyn Component>>]>,
    /// For the routes of each node that are expressions.
    judges: Box<[Vec<Option<Judge>>]>,
    /// Until when each component wants to hold what it holds.
    held_until: Box<[Option<Instant>]>,
    looks: Looks,
    counts: Arc<ThreadCounts>,
}

impl Line {
    pub fn new(graph: &Arc<Graph>) -> Self {
        let instances = graph.plan().nodes.iter().map(|_| None).collect();
        let held_until = vec![None; graph.plan().nodes.len()].into();
        let judge = |route: &Route| match &route.when {
            When::Expression(condition) => Some(condition.judge()),
            When::Status(_) | When::Attribute(..) => None,
        };
        let judges =
            graph.plan().nodes.iter().map(|node| node.routes.iter().map(judge).collect()).collect();
        Self {
            instances,
            judges,
            held_until,
            counts: graph.counts().of_thread(),
            looks: Looks::new(graph.waits()),
            graph: Arc::clone(graph),
        }
    }

    fn instance(&mut self, node: usize) -> Result<&mut Box<dyn Component>, String> {
        let place = &mut self.instances[node];
        if place.is_none() {
            let made = self.graph.plan().nodes[node].component.factory.component();
            *place = Some(made.map_err(|error| format!("cannot be started: {error:#}"))?);
        }
        Ok(place.as_mut().expect("just made"))
    }
}

impl Line {
    /// Why the component gets what it holds once more, or how long that is left alone.
    fn let_go(&mut self, node: usize, why: EngineFlush) -> Result<Flush, Duration> {
        if why != EngineFlush::Age || self.graph.is_all_held() {
            return Ok(Flush::Drain);
        }
        let now = Instant::now();
        let until = self.held_until[node];
        let left = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        let waits = self.graph.waits();
        if left.is_zero() || self.looks.is_stuck(waits, self.graph.counts(), now) {
            return Ok(Flush::Age);
        }
        Err(left.min(waits.look()))
    }

    /// The journey of a message is over.
    fn end(&self, step: Step) -> Step {
        self.counts.gone(1);
        step
    }

    /// Has the node's component handle a message. One that panics fails the message, and is made anew for the next.
    fn call(&mut self, node: usize, message: &mut Message) -> Report {
        let instance = match self.instance(node) {
            Ok(instance) => instance,
            Err(text) => {
                message.describe(&text);
                if message.attempt() < self.graph.attempts(node) {
                    self.graph.await_node(node, &text);
                    return Report::retry(UNMADE_YET);
                }
                // Not this message's fault, and no other's will fare better.
                self.graph.fail(&self.graph.plan().nodes[node].name, &text);
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
        let instances = self.instances.iter_mut().zip(&self.graph.plan().nodes);
        for (instance, node) in instances.filter_map(|(place, node)| Some((place.take()?, node))) {
            close(&self.graph, &node.name, instance);
        }
    }
}

fn close(graph: &Graph, name: &str, mut instance: Box<dyn Component>) {
    let error = match catch_unwind(AssertUnwindSafe(move || instance.close())) {
        Ok(Ok(())) => return,
        Ok(Err(error)) => format!("{error:#}"),
        Err(panic) => format!("it panicked: {}", text_of(&*panic)),
    };
    graph.trouble(format!("`{name}` did not close well: {error}"));
}

/// Makes and closes the sinks that no message came to: a file is emptied, a count is told, although there was nothing.
pub fn close_unused(graph: &Graph) {
    for (index, (node, counts)) in graph.plan().nodes.iter().zip(graph.counts().sum()).enumerate() {
        let is_closed = graph.stop().is_output_closed() && graph.is_stdout(stage_of(index));
        if node.component.kind() == Kind::Sink && counts.handled() == 0 && !is_closed {
            match node.component.factory.component() {
                Ok(instance) => close(graph, &node.name, instance),
                Err(error) => {
                    graph.trouble(format!("`{}` cannot be started: {error:#}", node.name));
                }
            }
        }
    }
}

/// The table of the engine, with the pool of each node that has one.
pub fn stages(graph: &Graph, pools: &[Option<String>]) -> Vec<RuntimeStage<Line>> {
    let start = RuntimeStage { name: String::from(START), run: start, next: None, pool: None };
    let nodes = graph.plan().nodes.iter().zip(pools).map(|(node, pool)| RuntimeStage {
        name: node.name.clone(),
        run: handle,
        next: None,
        pool: pool.clone(),
    });
    std::iter::once(start as RuntimeStage<Line>).chain(nodes).collect()
}

/// The first stage of all: to where the message starts.
fn start(line: &mut Line, request: &mut Request<'_, Line>) -> Step {
    match request.entry {
        0 => line.end(request.done()),
        entry => request.next(StageId::new(entry)),
    }
}

/// The stage of a node.
fn handle(line: &mut Line, request: &mut Request<'_, Line>) -> Step {
    let stage = request.stage().index() as u16;
    let node = node_of(stage);
    if let Some(report) = request.fate.report() {
        request.fate = Fate::OWN;
        let way = way(line, node, report, &request.message);
        return go_on(line, request, report, way);
    }
    let attempt = request.attempt_here();
    let flush = match request.flush().map(|why| line.let_go(node, why)).transpose() {
        Ok(flush) => flush,
        Err(at_most) => return request.hold(at_most),
    };
    // With one that comes again those that came after it are held.
    let held = match flush {
        Some(_) => request.lead() + 1,
        None => request.held(),
    };
    request.at = stage;
    if flush == Some(Flush::Drain) {
        request.fate = request.fate.drained_once_more();
        if request.fate.drains() > line.graph.plan().nodes.len() {
            let why = "it comes to be held again and again at the end of the run, when what is held must go";
            return hold_back(line, node, request, why);
        }
    }
    let message = &mut request.message;
    let call = Call { attempt, flush, held };
    message.prepare(call);
    line.counts.set_running(true);
    let mut report = line.call(node, message);
    line.counts.set_running(false);
    if report.kind() == ReportKind::Reserved {
        let text = format!("the component answered {}, a reserved status", report.status());
        message.describe(&text);
        report = Report::fail(RESERVED);
    }
    message.set_status(report.status());
    let goes_alone = message.goes_alone();
    let leads = message.take_led() || flush.is_some();
    match report.kind() {
        ReportKind::Continue => hold(line, node, request, call),
        ReportKind::Done if held > 0 && !goes_alone => answered(line, request, report, call, true),
        _ => answered(line, request, report, call, leads),
    }
}

/// The component has answered for the message, and for all that it leads.
fn answered(
    line: &mut Line,
    request: &mut Request<'_, Line>,
    report: Report,
    call: Call,
    leads: bool,
) -> Step {
    let (node, kind) = (node_of(request.at), report.kind());
    let led = if leads { lead(line, request) } else { 0 };
    // One that comes again was held, too.
    line.counts.let_go(node, led + u64::from(call.flush.is_some()));
    let way = way(line, node, report, &request.message);
    let comes_again =
        kind == ReportKind::Retry && way.is_none() && call.attempt < line.graph.attempts(node);
    let followers = match led > 0 || call.attempt > 1 {
        true => share(line, node, request, report),
        false => 0,
    };
    let counted = match kind {
        ReportKind::Retry if !comes_again => {
            request.message.remove_attribute(SINK_MARK);
            ReportKind::Fail
        }
        kind => kind,
    };
    line.counts.count(node, counted, 1 + followers);
    if comes_again {
        // Its next attempt may be let go here, too.
        request.fate = Fate::OWN;
        if request.message.hold_at_most().is_zero() {
            // It waits for those that are held to go.
            line.held_until[node] = None;
        }
        describe(request);
        return step_of(report.status());
    }
    go_on(line, request, report, way)
}

/// The component keeps the message.
fn hold(line: &mut Line, node: usize, request: &mut Request<'_, Line>, call: Call) -> Step {
    if call.flush == Some(Flush::Drain) {
        let why = "held back at the end of the run, when nothing comes any more";
        return hold_back(line, node, request, why);
    }
    if call.flush.is_none() {
        line.counts.count(node, ReportKind::Continue, 1);
    }
    let at_most = request.message.hold_at_most();
    let until = Instant::now().checked_add(at_most);
    let before = line.held_until[node].filter(|_| call.held > 0 && call.flush.is_none());
    line.held_until[node] = before.into_iter().chain(until).min();
    request.hold(at_most.min(line.graph.waits().look()))
}

/// At the end of the run a message, and what is held with it, fails rather than to be held for ever.
fn hold_back(line: &Line, node: usize, request: &mut Request<'_, Line>, why: &str) -> Step {
    request.message.describe(why);
    let led = lead(line, request);
    line.counts.let_go(node, 1 + led);
    let followers = share(line, node, request, Report::fail(HELD_BACK));
    line.counts.count(node, ReportKind::Fail, 1 + followers);
    let step = fail(request, HELD_BACK);
    line.end(step)
}

/// Whether a message that its component has answered so for may go on from its node.
fn leads_on(line: &Line, node: usize, report: Report) -> bool {
    let is_done = report.kind() == ReportKind::Done;
    let holds = |route: &Route| match &route.when {
        When::Status(range) => range.contains(&report.status()),
        When::Attribute(..) | When::Expression(_) => is_done,
    };
    let onward = is_done && matches!(line.graph.ways(node).otherwise, To::Stage(_));
    onward || line.graph.plan().nodes[node].routes.iter().any(holds)
}

/// The component has answered for all that follows the message, too. What it has folded into the message is told of with
/// that; of the rest each goes on by itself if there may be a way, for which it comes to its node once more, and
/// else shares what becomes of the message. How many answers that are.
fn share(line: &Line, node: usize, request: &mut Request<'_, Line>, report: Report) -> u64 {
    let folds = report.kind() == ReportKind::Done && line.graph.ways(node).folds;
    let goes_on = !folds && leads_on(line, node, report);
    let (said, stage) = (Said::of(&request.message), request.stage());
    let text = said.as_ref().map_or("", Said::as_str);
    let mut followers = 0;
    let parted = request.part(stage, |parcel| {
        if parcel.fate == Fate::FOLDED {
            return false;
        }
        followers += 1;
        parcel.at = stage.index() as u16;
        parcel.message.describe(text);
        parcel.message.set_status(report.status());
        parcel.fate = match goes_on {
            true => Fate::reported(report),
            false if folds => Fate::FOLDED,
            false => Fate::SHARED,
        };
        goes_on
    });
    line.counts.parted(parted as u64);
    followers
}

/// Where the message goes by its report, which is the last one here.
fn go_on(line: &Line, request: &mut Request<'_, Line>, report: Report, way: Option<To>) -> Step {
    let kind = report.kind();
    let step = match way {
        Some(To::Stage(stage)) => return request.next(StageId::new(stage)),
        Some(To::End) => request.done(),
        Some(To::Fail) if kind == ReportKind::Done => fail(request, ROUTED),
        Some(To::Fail) => fail(request, report.status()),
        None if kind == ReportKind::Retry => {
            describe(request);
            step_of(report.status())
        }
        None if kind == ReportKind::Drop => step_of(report.status()),
        None => fail(request, report.status()),
    };
    line.end(step)
}

/// Where the routes send the message; `None` if its report is looked at.
fn way(line: &mut Line, node: usize, report: Report, message: &Message) -> Option<To> {
    let (graph, judges) = (&line.graph, &mut line.judges[node]);
    let (routes, ways) = (&graph.plan().nodes[node].routes, graph.ways(node));
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
fn lead(line: &Line, request: &mut Request<'_, Line>) -> u64 {
    let led = request.lead() as u64;
    line.counts.gone(led);
    led
}

fn fail(request: &mut Request<'_, Line>, status: u32) -> Step {
    describe(request);
    request.message.set_status(status);
    step_of(if (200..300).contains(&status) { status } else { ROUTED })
}

/// What the component said about a message, apart from it.
struct Said {
    text: [u8; DESCRIPTION_MAX],
    len: usize,
}

impl Said {
    fn of(message: &Message) -> Option<Self> {
        let said = message.description();
        let mut text = [0; DESCRIPTION_MAX];
        text[..said.len()].copy_from_slice(said.as_bytes());
        (!said.is_empty()).then_some(Self { text, len: said.len() })
    }

    fn as_str(&self) -> &str {
        str::from_utf8(&self.text[..self.len]).expect("it was text")
    }
}

/// Tells what the component said to who receives the message.
fn describe(request: &mut Request<'_, Line>) {
    if let Some(said) = Said::of(&request.message) {
        request.describe(said.as_str());
    }
}

fn step_of(status: u32) -> Step {
    Step::from_status(status.min(STATUS_MAX)).expect("neither reserved nor above the limit")
}

/// What a panic said.
pub fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("of no text")
}
