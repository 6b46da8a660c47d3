//! A plan that runs: its threads, from the sources to those who settle.

mod counts;
mod emit;
mod machine;
mod settle;
mod signals;
mod summary;

pub use counts::NodeCounts;
pub use summary::{Ended, Progress, SourceCounts, Summary};

use crate::limits::NAP;
use crate::plan::{Plan, Problem, RetryPolicy};
use emit::Port;
use machine::{Graph, Line, Parcel, stage_of, text_of};
use settle::{Letters, Settled, Settler};
use signals::{Stop, Why};
use stageline::{
    BuildError, GroupOptions, OpenError, Pipeline, Pool, RequestGroup, Retry, StageId,
};
use stageline_component::{Message, Source};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::{self, JoinHandle};
use std::time::Instant;
use std::{error, fmt, io};

/// A plan that runs, until its sources end or it is stopped.
pub struct Run {
    graph: Arc<Graph>,
    pipeline: Pipeline<Line>,
    sources: Vec<Feed>,
    letters: Option<Feed>,
    /// Keeps the dead letters' group open until those that fill it have ended.
    letters_end: Option<stageline::SharedSubmitter<Line>>,
    stop: Arc<Stop>,
    start: Instant,
}

/// The threads of one source, and its counts. The dead letters have no source.
struct Feed {
    name: String,
    group: usize,
    counts: Arc<Settled>,
    source: Option<JoinHandle<()>>,
    settler: JoinHandle<()>,
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
        let graph = Arc::new(Graph::new(plan));
        let pipeline = build(&graph)?;
        let stop = Arc::clone(graph.stop());
        let told = Arc::<AtomicU64>::default();
        let options = &graph.plan().options;
        let mut letters_end = None;
        let feed = |name: &str, group: RequestGroup<Line>| (name.to_owned(), group);
        let settle = |receiver, acknowledge, letters| Settler {
            graph: Arc::clone(&graph),
            receiver,
            counts: Arc::default(),
            acknowledge,
            letters,
            stop: Arc::clone(&stop),
            told: Arc::clone(&told),
            on_trouble,
        };
        let letters = match graph.letters() {
            None => None,
            Some(_) => {
                let (name, group) =
                    feed("dead letters", pipeline.open(options.order).map_err(RunError::Open)?);
                let index = group.index();
                let (submitter, receiver) = group.split();
                letters_end = Some(submitter.share());
                let settler = settle(receiver, None, None);
                Some(Feed::start(name, index, settler, None)?)
            }
        };
        // All are made before the first one begins to read.
        let mut made = Vec::new();
        for (component, _) in &graph.plan().sources {
            let name = component.name();
            let failed = |error| {
                RunError::Source(format!("the source `{name}` cannot be started: {error:#}"))
            };
            made.push((name, component.factory.source().map_err(failed)?));
        }
        let mut sources = Vec::new();
        for (index, (name, mut source)) in made.into_iter().enumerate() {
            let group = pipeline.open(GroupOptions::new(options.order)).map_err(RunError::Open)?;
            let (name, group) = feed(name, group);
            let at = group.index();
            let (submitter, receiver) = group.split();
            let sizes = (options.message_capacity, options.message_max);
            let port = Port::new(submitter, graph.entry(index), sizes, &graph, &stop);
            let letters = letters_end.as_ref().zip(graph.letters());
            let letters = letters.map(|(end, entry)| {
                let (submitter, scratch) = (end.clone(), Message::new(sizes.0, sizes.1));
                Letters { submitter, entry, scratch }
            });
            let settler = settle(receiver, source.acknowledger(), letters);
            sources.push(Feed::start(name, at, settler, Some((source, port)))?);
        }
        Ok(Self { graph, pipeline, sources, letters, letters_end, stop, start: Instant::now() })
    }

    /// Tells the sources to return. What they have emitted runs to its end.
    pub fn stop(&self) {
        self.stop.set(Why::Asked);
    }

    /// Whether the sources have ended, and all that they emitted is settled.
    pub fn is_settled(&self) -> bool {
        self.sources.iter().all(|feed| feed.settler.is_finished())
    }

    /// What has been done so far.
    pub fn progress(&self) -> Progress {
        let of = |feed: &Feed| {
            let submitted =
                self.pipeline.group_stats(feed.group).map(|stats| stats.ledger.submitted);
            SourceCounts::of(&feed.name, &feed.counts, submitted)
        };
        let names = self.graph.plan().nodes.iter().map(|node| node.name.clone());
        Progress {
            elapsed: self.start.elapsed(),
            sources: self.sources.iter().map(of).collect(),
            letters: self.letters.as_ref().map(of),
            nodes: names.zip(self.graph.counts().sum()).collect(),
        }
    }

    /// Waits until the sources have ended and all that they emitted is settled, and ends the pipeline.
    pub fn wait(mut self) -> Summary {
        for feed in &mut self.sources {
            if let Some(source) = feed.source.take() {
                join(source, &self.graph);
            }
        }
        let mut counts = Vec::new();
        for feed in std::mem::take(&mut self.sources) {
            join(feed.settler, &self.graph);
            counts.push(SourceCounts::of(&feed.name, &feed.counts, None));
        }
        self.letters_end = None;
        let letters = self.letters.take().map(|feed| {
            join(feed.settler, &self.graph);
            SourceCounts::of(&feed.name, &feed.counts, None)
        });
        self.pipeline.close();
        let names = self.graph.plan().nodes.iter().map(|node| node.name.clone());
        Summary {
            name: self.graph.plan().options.name.clone(),
            progress: Progress {
                elapsed: self.start.elapsed(),
                sources: counts,
                letters,
                nodes: names.zip(self.graph.counts().sum()).collect(),
            },
            troubles: self.graph.take_troubles(),
            output_closed: self.stop.is_output_closed(),
            ended: match self.stop.why() {
                None => Ended::BySources,
                Some(Why::Asked) => Ended::Asked,
                Some(Why::OutputClosed) => Ended::OutputClosed,
                Some(Why::Failed(text)) => Ended::Failed(text.clone()),
            },
        }
    }
}

impl Feed {
    fn start(
        name: String,
        group: usize,
        settler: Settler,
        source: Option<(Box<dyn Source>, Port)>,
    ) -> Result<Self, RunError> {
        let counts = Arc::clone(&settler.counts);
        let (graph, stop) = (Arc::clone(&settler.graph), Arc::clone(&settler.stop));
        let spawn = |kind: &str| thread::Builder::new().name(format!("{kind} {name}"));
        let settler = spawn("settle").spawn(move || settler.run()).map_err(RunError::Thread)?;
        let source = source.map(|(source, port)| {
            let name = name.clone();
            spawn("source")
                .spawn(move || {
                    run_source(&name, source, port, &graph, &stop);
                    graph.source_ended();
                })
                .map_err(RunError::Thread)
        });
        let source = source.transpose()?;
        Ok(Self { name, group, counts, source, settler })
    }
}

/// Runs a source to its end. One that fails ends the run.
fn run_source(name: &str, mut source: Box<dyn Source>, mut port: Port, graph: &Graph, stop: &Stop) {
    let ended = catch_unwind(AssertUnwindSafe(|| source.run(&mut port)));
    let error = match ended {
        Ok(Ok(())) => return,
        Ok(Err(error)) => format!("{error:#}"),
        Err(panic) => format!("it panicked: {}", text_of(&*panic)),
    };
    let text = format!("the source `{name}` failed: {error}");
    graph.trouble(text.clone());
    stop.set(Why::Failed(text));
}

fn join(thread: JoinHandle<()>, graph: &Graph) {
    if let Err(panic) = thread.join() {
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
        .stages(graph.stages(&names))
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
