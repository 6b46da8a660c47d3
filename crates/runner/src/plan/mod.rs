//! What a pipeline is: its components, the ways between them, and its options.

mod check;
mod options;
mod view;

pub use check::Problem;
pub(crate) use check::{Place, START};
pub use view::View;

use crate::limits::{MESSAGE_CAPACITY_DEFAULT, MESSAGE_MAX_DEFAULT, WINDOW_DEFAULT};
use stageline::{Order, WaitStrategy};
use stageline_component::{Factory, Kind};
use std::ops::RangeInclusive;
use std::time::Duration;

/// A component with its attributes, and where it was named.
pub struct Component {
    /// What makes its instances. All attributes are set.
    pub factory: Box<dyn Factory>,
    /// The line of the script, if there is one.
    pub line: Option<usize>,
}

impl Component {
    /// What it is called in lists: `json`.
    pub fn name(&self) -> &'static str {
        self.factory.spec().name
    }

    /// Where it may stand.
    pub fn kind(&self) -> Kind {
        self.factory.spec().kind
    }
}

/// A component that handles messages, and where they go from there.
pub struct Node {
    /// Its name in the pipeline, unique.
    pub name: String,
    /// What handles the messages.
    pub component: Component,
    /// Looked at in this order; the first that holds says where a message goes.
    pub routes: Vec<Route>,
    /// Where a message goes that was done and for which no route holds. `None`: to the next node, or to the end.
    pub otherwise: Option<Target>,
    /// How it is retried; `None` for the policy of the pipeline.
    pub retry: Option<RetryPolicy>,
}

/// A way from one node to another.
#[derive(Debug)]
pub struct Route {
    /// When it holds.
    pub when: When,
    /// Where it leads.
    pub to: Target,
}

/// When a route holds.
pub enum When {
    /// The component has answered with one of these statuses.
    Status(RangeInclusive<u32>),
    /// The message has this attribute, with this value if one is said.
    Attribute(String, Option<Vec<u8>>),
    /// The expression is true of the message, which is a JSON object.
    Expression(stageline_builtin::Condition),
}

impl std::fmt::Debug for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(range) if range.start() == range.end() => {
                write!(f, "status {}", range.start())
            }
            Self::Status(range) => write!(f, "status {} to {}", range.start(), range.end()),
            Self::Attribute(name, None) => write!(f, "has {name}"),
            Self::Attribute(name, Some(value)) => {
                write!(f, "{name} = {}", String::from_utf8_lossy(value))
            }
            Self::Expression(expression) => f.write_str(expression.text()),
        }
    }
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To the node of this name.
    Node(String),
    /// Its journey is over, and it is settled as done.
    End,
    /// Its journey is over, and it is settled as failed.
    Fail,
}

/// How often and when something is tried again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// The attempts, the first included.
    pub attempts: u32,
    /// The time before the second.
    pub first: Duration,
    /// By how much the time grows from one to the next.
    pub factor: f64,
    /// The longest time.
    pub cap: Duration,
    /// The part of the time that may be taken off at random.
    pub jitter: f64,
}

impl Default for RetryPolicy {
    /// Five attempts within some three seconds.
    fn default() -> Self {
        Self {
            attempts: 5,
            first: Duration::from_millis(100),
            factor: 3.0,
            cap: Duration::from_secs(10),
            jitter: 0.5,
        }
    }
}

/// What becomes of the run when a message fails that no dead letter takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// It goes on, and ends with an error.
    #[default]
    Continue,
    /// It drains and ends with an error.
    Stop,
}

/// How a pipeline is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// What it is called.
    pub name: String,
    /// The threads that run what computes; `None` for as many as there are CPUs, less one for the sources.
    pub workers: Option<usize>,
    /// The CPUs that they are pinned to; empty for any.
    pub cores: Vec<usize>,
    /// The order in which messages are settled with their source.
    pub order: Order,
    /// The messages in flight of each source.
    pub window: usize,
    /// How threads wait.
    pub wait: WaitStrategy,
    /// The bytes that a message has memory for at the start.
    pub message_capacity: usize,
    /// The bytes that a message may have.
    pub message_max: usize,
    /// How messages are retried where the node says nothing else.
    pub retry: RetryPolicy,
    /// What a failed message does.
    pub on_failure: OnFailure,
    /// No message may come to a node twice.
    pub dag: bool,
    /// How long the end of a run may take.
    pub drain_at_most: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: String::from("pipeline"),
            workers: None,
            cores: Vec::new(),
            order: Order::Completion,
            window: WINDOW_DEFAULT,
            wait: WaitStrategy::YieldThenPark,
            message_capacity: MESSAGE_CAPACITY_DEFAULT,
            message_max: MESSAGE_MAX_DEFAULT,
            retry: RetryPolicy::default(),
            on_failure: OnFailure::Continue,
            dag: false,
            drain_at_most: None,
        }
    }
}

/// A whole pipeline.
#[derive(Default)]
pub struct Plan {
    /// The line of the script that creates it, if there is one.
    pub line: Option<usize>,
    /// How it is run.
    pub options: Options,
    /// Where messages come from, each with the node that they go to (`None`: the first).
    pub sources: Vec<(Component, Option<String>)>,
    /// What handles them, in order.
    pub nodes: Vec<Node>,
    /// What gets those that failed, one component after the other. Those that fail here are lost.
    pub dead_letter: Vec<Component>,
}

impl Plan {
    /// The index of the node with this name.
    pub fn node(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.name == name)
    }

    /// A line of components: the sources first. Names are theirs, numbered where one comes twice.
    pub fn line(components: impl IntoIterator<Item = Component>) -> Self {
        let mut plan = Self::default();
        for component in components {
            match component.kind() {
                Kind::Source => plan.sources.push((component, None)),
                _ => {
                    let name = plan.free_name(component.name());
                    plan.nodes.push(Node::new(name, component));
                }
            }
        }
        plan
    }

    /// This name, or with a number behind it if a node has it already.
    pub fn free_name(&self, name: &str) -> String {
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let mut names = std::iter::once(name.to_owned()).chain(numbered);
        names.find(|name| self.node(name).is_none()).expect("there are numbers enough")
    }
}

impl Node {
    /// A node from which messages go on to the next one.
    pub fn new(name: String, component: Component) -> Self {
        Self { name, component, routes: Vec::new(), otherwise: None, retry: None }
    }
}
