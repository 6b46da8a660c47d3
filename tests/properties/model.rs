//! The reference: what becomes of a request whose script is run by the rules, one stage after the other.

use super::case::{Act, Job, Setting};

/// How a request ended, as its receiver saw it or as the model says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    Done,
    /// With the error of this visit.
    Failed(u64, usize),
    Dropped,
    Cancelled,
    Expired,
    Panicked(String),
    /// By this way, as it is displayed.
    Cyclic(String),
}

/// The way of an undisturbed request.
#[derive(Clone, Debug)]
pub struct Way {
    /// The stages that were called.
    pub visited: Vec<u8>,
    /// Stages that the request came to: those, and perhaps one that it was not let into.
    pub tries: usize,
    /// Calls of hooks.
    pub hooked: usize,
    pub ending: Ending,
    /// Of one that ended as cyclic, all stages of its trace.
    pub cycle: Vec<u8>,
}

impl Way {
    /// The way by these rules of the request with this number.
    pub fn of(job: &Job, number: u64, rules: &Setting) -> Self {
        let mut way =
            Self { visited: vec![], tries: 0, hooked: 0, ending: Ending::Done, cycle: vec![] };
        let mut stage = 0;
        while let Some(next) = way.step(job, number, rules, stage) {
            stage = next;
        }
        way
    }

    /// Comes to a stage; the next one, unless it ends there.
    fn step(&mut self, job: &Job, number: u64, rules: &Setting, stage: usize) -> Option<usize> {
        let (stages, visit) = (rules.table.len(), self.visited.len());
        if visit == rules.visits_max as usize {
            // The limit is looked at behind the stage before.
            return self.end_cyclic(stage);
        }
        self.tries += 1;
        if rules.dag && self.visited.contains(&(stage as u8)) {
            return self.end_cyclic(stage);
        }
        let act = job.0.get(visit).copied().unwrap_or(Act::Next);
        if rules.hooks > 0 {
            self.hooked += 1;
            match act {
                Act::HookFail => return self.end(Ending::Failed(number, visit)),
                Act::HookPanic => return self.end(panicked(number, "before", visit)),
                _ => self.hooked += rules.hooks - 1,
            }
        }
        self.visited.push(stage as u8);
        let next = match act {
            Act::Jump(to) => usize::from(to) % stages,
            Act::Off(beyond) => stages + usize::from(beyond),
            Act::Done => return self.end(Ending::Done),
            Act::Fail => return self.end(Ending::Failed(number, visit)),
            Act::Drop => return self.end(Ending::Dropped),
            Act::Panic | Act::FailThenPanic => return self.end(panicked(number, "at", visit)),
            Act::Bomb => {
                let text = "a panic whose payload is no string";
                return self.end(Ending::Panicked(text.to_owned()));
            }
            _ if stage + 1 == stages => return self.end(Ending::Done),
            _ => stage + 1,
        };
        let declared = rules.table.declared(stage);
        if rules.dag && declared.is_some_and(|next_ids| !next_ids.contains(&(next as u8))) {
            return self.end_cyclic(next);
        }
        if next >= stages {
            let text =
                format!("a stage answered with stage id {next}; the table has {stages} stages");
            return self.end(Ending::Panicked(text));
        }
        Some(next)
    }

    fn end(&mut self, ending: Ending) -> Option<usize> {
        self.ending = ending;
        None
    }

    fn end_cyclic(&mut self, last: usize) -> Option<usize> {
        self.cycle = self.visited.iter().copied().chain([last as u8]).collect();
        self.end(Ending::Cyclic(String::new()))
    }
}

fn panicked(number: u64, at: &str, visit: usize) -> Ending {
    Ending::Panicked(format!("{}{number} {at} {visit}", super::machine::PLANNED))
}

/// Whether a displayed way, of which stages may be only counted, is this one.
pub fn shows(text: &str, way: &[u8], stages: usize) -> bool {
    let mut rest = way;
    for part in text.split(" -> ") {
        let counted = part.strip_prefix('(').and_then(|part| {
            let (count, word) = part.strip_suffix(')')?.split_once(' ')?;
            ["stages", "more"].contains(&word).then(|| count.parse::<usize>().ok())?
        });
        if let Some(count) = counted {
            let Some(behind) = rest.get(count..) else { return false };
            rest = behind;
            continue;
        }
        let Some((stage, behind)) = rest.split_first() else { return false };
        let stage = usize::from(*stage);
        let name = if stage < stages { super::machine::stage_name(stage) } else { "?" };
        if part != name {
            return false;
        }
        rest = behind;
    }
    rest.is_empty()
}
