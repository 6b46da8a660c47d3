//! What all threads of a run have of its plan: the ways by indices, the counts, and who waits.

use super::counts::Counts;
use super::held::Waits;
use super::settle::Settled;
use super::signals::{Stop, Why};
use crate::plan::{Node, Plan, Target};
use stageline_component::Kind;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Where a message goes, by indices.
#[derive(Clone, Copy)]
pub enum To {
    Stage(u16),
    End,
    Fail,
}

/// What all threads have of a plan.
pub struct Graph {
    plan: Plan,
    nodes: Vec<Ways>,
    counts: Counts,
    /// The stage that dead letters start at.
    letters: Option<u16>,
    /// Sources that run.
    sources: AtomicUsize,
    /// What the sources that have ended emitted.
    emitted: AtomicU64,
    /// How the messages of each source ended, and last how the dead letters did.
    settled: Box<[Arc<Settled>]>,
    waits: Waits,
    /// What components said as they were closed.
    troubles: Mutex<Vec<String>>,
    /// Whose component could not be made at once, which has been told. Relaxed: it is asked who is the first.
    awaited: Box<[AtomicBool]>,
    /// Told what goes wrong.
    on_trouble: fn(&str),
    /// The wish to end the run.
    stop: Arc<Stop>,
}

/// The ways from a node.
pub struct Ways {
    pub routes: Vec<To>,
    pub otherwise: To,
    /// What it holds is folded into what it lets go on.
    pub folds: bool,
}

/// The first node's stage: before it stands the one that sends each message to where it starts.
const FIRST: u16 = 1;

impl Graph {
    /// The plan, checked. The dead letter's components become its last nodes.
    pub fn new(mut plan: Plan, on_trouble: fn(&str)) -> Self {
        let last = plan.nodes.len();
        let letters = std::mem::take(&mut plan.dead_letter);
        let is_line = letters.len() > 1;
        for component in letters {
            let name = match is_line {
                true => format!("dead_letter.{}", component.name()),
                false => String::from("dead_letter"),
            };
            plan.nodes.push(Node::new(plan.free_name(&name), component));
        }
        let to = |target: &Target| match target {
            Target::Node(name) => To::Stage(stage_of(plan.node(name).expect("a checked plan"))),
            Target::End => To::End,
            Target::Fail => To::Fail,
        };
        let nodes = plan.nodes.iter().enumerate().map(|(index, node)| Ways {
            routes: node.routes.iter().map(|route| to(&route.to)).collect(),
            otherwise: match &node.otherwise {
                Some(target) => to(target),
                None if [last, plan.nodes.len()].contains(&(index + 1)) => To::End,
                None => To::Stage(stage_of(index + 1)),
            },
            folds: node.component.kind() == Kind::Transform,
        });
        let sources = plan.sources.len();
        Self {
            nodes: nodes.collect(),
            counts: Counts::new(plan.nodes.len()),
            letters: (plan.nodes.len() > last).then(|| stage_of(last)),
            sources: AtomicUsize::new(sources),
            emitted: AtomicU64::new(0),
            settled: (0..=sources).map(|_| Arc::default()).collect(),
            waits: Waits::new(sources),
            troubles: Mutex::default(),
            awaited: plan.nodes.iter().map(|_| AtomicBool::new(false)).collect(),
            on_trouble,
            stop: Arc::default(),
            plan,
        }
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub fn ways(&self, node: usize) -> &Ways {
        &self.nodes[node]
    }

    /// How often a node's component is called with a message at most.
    pub fn attempts(&self, node: usize) -> u32 {
        self.plan.nodes[node].retry.as_ref().unwrap_or(&self.plan.options.retry).attempts
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Who waits for room.
    pub fn waits(&self) -> &Waits {
        &self.waits
    }

    /// How the messages of this source have ended; of the dead letters for `None`.
    pub fn settled(&self, source: Option<usize>) -> &Arc<Settled> {
        &self.settled[source.unwrap_or(self.settled.len() - 1)]
    }

    /// The wish to end the run.
    pub fn stop(&self) -> &Arc<Stop> {
        &self.stop
    }

    /// A component cannot be made: the run ends.
    #[cold]
    pub fn fail(&self, name: &str, text: &str) {
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

    /// A source has ended, which has emitted so much.
    pub fn source_ended(&self, emitted: u64) {
        self.emitted.fetch_add(emitted, Ordering::Relaxed);
        // Release: pairs with the Acquire of `is_all_held`, for what was emitted.
        self.sources.fetch_sub(1, Ordering::Release);
    }

    /// Whether nothing more comes, and all that is under way is held. (Read while it changes it may be so a moment too
    /// early, and then batches are smaller; it is never missed, for whoever holds messages looks again and again.)
    pub fn is_all_held(&self) -> bool {
        if self.sources.load(Ordering::Acquire) > 0 {
            return false;
        }
        let letters: u64 = self.settled.iter().map(|settled| settled.letters()).sum();
        let stopped: u64 = self.settled.iter().map(|settled| settled.stopped()).sum();
        self.counts.is_all_held(self.emitted.load(Ordering::Relaxed) + letters, stopped)
    }

    /// Whether all dead letters are settled.
    pub fn are_letters_settled(&self) -> bool {
        let letters: u64 = self.settled.iter().map(|settled| settled.letters()).sum();
        self.settled(None).all() >= letters
    }

    /// The name of the node whose stage this is.
    pub fn name(&self, stage: u16) -> &str {
        self.node(stage).map_or("source", |node| &node.name)
    }

    /// Whether this stage writes to the standard output.
    pub fn is_stdout(&self, stage: u16) -> bool {
        self.node(stage).is_some_and(|node| node.component.name() == "stdout")
    }

    fn node(&self, stage: u16) -> Option<&Node> {
        let node = usize::from(stage).checked_sub(usize::from(FIRST))?;
        self.plan.nodes.get(node)
    }

    /// Tells whoever runs this, at once.
    pub fn tell(&self, text: &str) {
        (self.on_trouble)(text);
    }

    /// A component cannot be made yet. It is told once, since it may be for long that nothing else is.
    #[cold]
    pub fn await_node(&self, node: usize, text: &str) {
        if !self.awaited[node].swap(true, Ordering::Relaxed) {
            self.tell(&format!("`{}` {text}; it is tried again", self.plan.nodes[node].name));
        }
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

/// The node of a stage that is one.
pub fn node_of(stage: u16) -> usize {
    usize::from(stage - FIRST)
}
