//! A plan that runs: its threads, from the sources to those who settle.

mod counts;
mod emit;
mod graph;
mod held;
mod machine;
mod parcel;
mod settle;
mod signals;
mod summary;

pub use counts::NodeCounts;
pub use summary::{Ended, Progress, SourceCounts, Summary};

use crate::limits::NAP;
use crate::plan::{Component, Plan, Problem, RetryPolicy};
use emit::Port;
use graph::{Graph, stage_of};
use machine::{Line, text_of};
use parcel::Parcel;
use settle::{Letters, Settler};
use signals::Why;
use stageline::{
    BuildError, OpenError, Pipeline, Pool, Receiver, RequestGroup, Retry, SharedSubmitter, StageId,
};
use stageline_component::{Message, Source};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::{self, JoinHandle};
use std::time::Instant;
use std::{error, fmt, io};

/// A plan that runs, until its sources end or it is stopped. One that is dropped is stopped, and waited for.
pub struct Run {
    graph: Arc<Graph>,
    /// Until the end.
    pipeline: Option<Pipeline<Line>>,
    feeds: Vec<Feed>,
    letters: Option<Feed>,
    /// Keeps the dead letters' group open until those that fill it have ended.
    letters_end: Option<SharedSubmitter<Line>>,
    told: Arc<AtomicU64>,
    start: Instant,
}

/// The threads of one source. The dead letters have no source.
struct Feed {
    name: String,
    /// Which source it is.
    source: Option<usize>,
    group: usize,
    reader: Option<JoinHandle<()>>,
    settler: Option<JoinHandle<()>>,
}

/// Why a plan cannot run.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// The plan is wrong.
    Plan(Vec<Problem>),
    /// The engine refuses it.
    Build(BuildError),
    /// A group cannot be opened.
    Open(OpenError),
    /// A source cannot be made.
    Source(String),
    /// There is no thread to be had.
    Thread(io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan(problems) => {
                let texts: Vec<_> = problems.iter().map(Problem::to_string).collect();
                f.write_str(&texts.join("\n"))
            }
            Self::Build(error) => write!(f, "the pipeline cannot be built: {error}"),
            Self::Open(error) => write!(f, "a source has no place in the pipeline: {error}"),
            Self::Source(text) => f.write_str(text),
            Self::Thread(error) => write!(f, "no thread can be started: {error}"),
        }
    }
}

impl error::Error for RunError {}

impl Run {
    /// Builds the pipeline and starts its sources. `on_trouble` is told what goes wrong, message by message and up
    /// to a limit, on several threads.
    ///
    /// # Errors
    ///
    /// If the plan has [problems](Plan::check), or threads, memory or groups are not to be had.
    pub fn start(plan: Plan, on_trouble: fn(&str)) -> Result<Self, RunError> {
        let problems: Vec<_> =
            plan.check().into_iter().filter(|problem| !problem.is_warning).collect();
        if !problems.is_empty() {
            return Err(RunError::Plan(problems));
        }
        let graph = Arc::new(Graph::new(plan, on_trouble));
        // All are made before the first one begins to read.
        let sources = sources(graph.plan())?;
        let mut run = Self {
            pipeline: Some(build(&graph)?),
            graph,
            feeds: Vec::new(),
            letters: None,
            letters_end: None,
            told: Arc::default(),
            start: Instant::now(),
        };
        if run.graph.letters().is_some() {
            run.open_letters()?;
        }
        run.tell_pins();
        // Where one cannot be opened, the drop of `run` ends those before it.
        for (index, source) in sources.into_iter().enumerate() {
            run.open(index, source)?;
        }
        Ok(run)
    }

    /// What was asked for by `cores` and is not so.
    fn tell_pins(&self) {
        let workers = self.pipeline.as_ref().map(|pipeline| &pipeline.report().workers);
        for worker in workers.into_iter().flatten().filter(|worker| !worker.pinned) {
            if let Some(cpu) = worker.cpu {
                let text = format!("no worker could be pinned to CPU {cpu}: it runs on any");
                self.graph.tell(&text);
            }
        }
    }

    fn group(&self) -> Result<RequestGroup<Line>, RunError> {
        let order = self.graph.plan().options.order;
        let pipeline = self.pipeline.as_ref().expect("it has not ended");
        pipeline.open(order).map_err(RunError::Open)
    }

    fn open_letters(&mut self) -> Result<(), RunError> {
        let group = self.group()?;
        let index = group.index();
        let (submitter, receiver) = group.split();
        self.letters_end = Some(submitter.share());
        let settler = self.settler(None, receiver);
        let feed = self.letters.insert(Feed::new("dead letters", None, index));
        feed.settler = Some(spawn("settle", &feed.name, move || settler.run())?);
        Ok(())
    }

    fn open(&mut self, index: usize, mut source: Box<dyn Source>) -> Result<(), RunError> {
        let name = self.graph.plan().sources[index].0.name();
        let group = self.group()?;
        let mut feed = Feed::new(name, Some(index), group.index());
        let (submitter, receiver) = group.split();
        let mut port = Port::new(submitter, index, self.scratch(), &self.graph);
        let settler =
            Settler { acknowledge: source.acknowledger(), ..self.settler(Some(index), receiver) };
        feed.settler = Some(spawn("settle", name, move || settler.run())?);
        let graph = Arc::clone(&self.graph);
        let reader = move || {
            run_source(name, source, &mut port, &graph);
            graph.source_ended(port.emitted());
        };
        // The settler ends when the port has gone, with the thread or without one.
        let reader = spawn("source", name, reader).inspect_err(|_| self.graph.source_ended(0));
        let reader = reader.map(|reader| feed.reader = Some(reader));
        self.feeds.push(feed);
        reader
    }

    fn settler(&self, source: Option<usize>, receiver: Receiver<Line>) -> Settler {
        let letters = source.zip(self.letters_end.as_ref()).zip(self.graph.letters());
        Settler {
            counts: Arc::clone(self.graph.settled(source)),
            graph: Arc::clone(&self.graph),
            receiver,
            acknowledge: None,
            letters: letters.map(|((source, submitter), entry)| Letters {
                graph: Arc::clone(&self.graph),
                source,
                submitter: submitter.clone(),
                entry,
                scratch: self.scratch(),
            }),
            source: source.map(|source| self.graph.plan().sources[source].0.name()),
            told: Arc::clone(&self.told),
        }
    }

    fn scratch(&self) -> Message {
        let options = &self.graph.plan().options;
        Message::new(options.message_capacity, options.message_max)
    }

    /// Tells the sources to return. What they have emitted runs to its end.
    pub fn stop(&self) {
        self.graph.stop().set(Why::Asked);
    }

    /// Whether a reason has come to end before the sources do.
    pub fn is_stopping(&self) -> bool {
        self.graph.stop().is_set()
    }

    /// Whether the sources have ended, and all that they emitted is settled, and so are the dead letters.
    pub fn is_settled(&self) -> bool {
        let has_ended = |feed: &Feed| feed.settler.as_ref().is_none_or(JoinHandle::is_finished);
        self.feeds.iter().all(has_ended) && self.graph.are_letters_settled()
    }

    /// What has been done so far.
    pub fn progress(&self) -> Progress {
        let names = self.graph.plan().nodes.iter().map(|node| node.name.clone());
        Progress {
            elapsed: self.start.elapsed(),
            sources: self.feeds.iter().map(|feed| self.counts(feed)).collect(),
            letters: self.letters.as_ref().map(|feed| self.counts(feed)),
            nodes: names.zip(self.graph.counts().sum()).collect(),
        }
    }

    /// Messages under way, the dead letters included.
    pub fn in_flight(&self) -> u64 {
        self.feeds.iter().chain(&self.letters).map(|feed| self.counts(feed).in_flight()).sum()
    }

    fn counts(&self, feed: &Feed) -> SourceCounts {
        let stats = self.pipeline.as_ref().and_then(|pipeline| pipeline.group_stats(feed.group));
        let submitted = stats.map(|stats| stats.ledger.submitted);
        SourceCounts::of(&feed.name, self.graph.settled(feed.source), submitted)
    }

    /// Waits until the sources have ended and all that they emitted is settled, and ends the pipeline.
    pub fn wait(mut self) -> Summary {
        self.end();
        let stop = self.graph.stop();
        Summary {
            name: self.graph.plan().options.name.clone(),
            progress: self.progress(),
            troubles: self.graph.take_troubles(),
            output_closed: stop.is_output_closed(),
            ended: match stop.why() {
                None => Ended::BySources,
                Some(Why::Asked) => Ended::Asked,
                Some(Why::OutputClosed) => Ended::OutputClosed,
                Some(Why::Failed(text)) => Ended::Failed(text.clone()),
            },
        }
    }

    /// Waits for all threads, the pipeline's included.
    fn end(&mut self) {
        for feed in &mut self.feeds {
            join(feed.reader.take(), &self.graph);
        }
        for feed in &mut self.feeds {
            join(feed.settler.take(), &self.graph);
        }
        self.letters_end = None;
        if let Some(letters) = &mut self.letters {
            join(letters.settler.take(), &self.graph);
        }
        let Some(pipeline) = self.pipeline.take() else { return };
        pipeline.close();
        if !matches!(self.graph.stop().why(), Some(Why::Failed(_))) {
            machine::close_unused(&self.graph);
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.stop();
        self.end();
    }
}

impl Feed {
    fn new(name: &str, source: Option<usize>, group: usize) -> Self {
        Self { name: name.to_owned(), source, group, reader: None, settler: None }
    }
}

fn spawn(
    kind: &str,
    name: &str,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, RunError> {
    thread::Builder::new().name(format!("{kind} {name}")).spawn(run).map_err(RunError::Thread)
}

fn sources(plan: &Plan) -> Result<Vec<Box<dyn Source>>, RunError> {
    let make = |(component, _): &(Component, Option<String>)| {
        let name = component.name();
        let failed =
            |error| RunError::Source(format!("the source `{name}` cannot be started: {error:#}"));
        component.factory.source().map_err(failed)
    };
    plan.sources.iter().map(make).collect()
}

/// Runs a source to its end. One that fails ends the run.
fn run_source(name: &str, mut source: Box<dyn Source>, port: &mut Port, graph: &Graph) {
    let ended = catch_unwind(AssertUnwindSafe(|| source.run(port)));
    let error = match ended {
        Ok(Ok(())) => return,
        Ok(Err(error)) => format!("{error:#}"),
        Err(panic) => format!("it panicked: {}", text_of(&*panic)),
    };
    let text = format!("the source `{name}` failed: {error}");
    graph.trouble(text.clone());
    graph.stop().set(Why::Failed(text));
}

fn join(thread: Option<JoinHandle<()>>, graph: &Graph) {
    if let Some(Err(panic)) = thread.map(JoinHandle::join) {
        graph.trouble(format!("a thread of the runner panicked: {}", text_of(&*panic)));
    }
}

fn build(graph: &Arc<Graph>) -> Result<Pipeline<Line>, RunError> {
    let plan = graph.plan();
    let options = &plan.options;
    let sizes = plan.nodes.iter().map(|node| node.component.factory.pool_size());
    let pools: Vec<_> =
        plan.nodes.iter().zip(sizes).map(|(node, size)| Some((node.name.clone(), size?))).collect();
    let names: Vec<_> =
        pools.iter().map(|pool| pool.as_ref().map(|(name, _)| name.clone())).collect();
    let (capacity, max) = (options.message_capacity, options.message_max);
    let machine = {
        let graph = Arc::clone(graph);
        move || Line::new(&graph)
    };
    let mut builder = Pipeline::builder_with(machine, move || Parcel::new(capacity, max))
        .name(&options.name)
        // Each group is opened once: its positions are the numbers of its messages.
        .first_position(0)
        .groups(plan.sources.len() + usize::from(graph.letters().is_some()))
        .window(options.window)
        .wait(options.wait)
        .workers(options.workers.unwrap_or_else(default_workers))
        .reserve(0)
        .stages(machine::stages(graph, &names))
        .retry(retry(&options.retry));
    builder = match options.cores.is_empty() {
        true => builder.pin(false),
        false => builder.cpus(options.cores.iter().copied()),
    };
    for (name, size) in pools.into_iter().flatten() {
        builder = builder.pool(Pool::threads(name, size).nap(NAP));
    }
    for (index, node) in plan.nodes.iter().enumerate() {
        if let Some(policy) = &node.retry {
            builder = builder.retry_stage(StageId::new(stage_of(index)), retry(policy));
        }
    }
    builder.build().map_err(RunError::Build)
}

fn retry(policy: &RetryPolicy) -> Retry<Line> {
    Retry::attempts(policy.attempts)
        .first(policy.first)
        .factor(policy.factor)
        .cap(policy.cap)
        .jitter(policy.jitter)
}

/// As many as there are CPUs, but for one that the sources have.
fn default_workers() -> usize {
    thread::available_parallelism().map_or(1, |cpus| cpus.get().saturating_sub(1).max(1))
}
