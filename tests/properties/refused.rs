//! Random values of the builder, in and out of their ranges.

use super::machine::{Machine, Parcel, World};
use super::strategy;
use proptest::prelude::{Strategy, any};
use stageline::{BuildError, Pipeline};
use std::collections::BTreeSet;

/// Values as a user might give them.
#[derive(Clone, Debug)]
pub struct Raw {
    workers: usize,
    groups: usize,
    window: usize,
    batch_max: usize,
    visits_max: u32,
    sample_every: u64,
    /// By stage, the declared successors.
    next: Vec<Option<Vec<u8>>>,
    dag: bool,
}

pub fn raw() -> impl Strategy<Value = Raw> {
    let sizes = (0_usize..=3, 0_usize..=3, 1_usize..=64, 0_usize..=300);
    let rules = (0_u32..=4, 0_u64..=9, strategy::any_declarations(), any::<bool>());
    (sizes, rules).prop_map(|(sizes, rules)| {
        let (workers, groups, window, batch_max) = sizes;
        let (visits_max, sample_every, next, dag) = rules;
        Raw { workers, groups, window, batch_max, visits_max, sample_every, next, dag }
    })
}

/// The fields that have to be refused.
fn expected(raw: &Raw) -> BTreeSet<&'static str> {
    let stages = raw.next.len();
    let edges = |from: usize| raw.next[from].iter().flatten().map(|to| usize::from(*to));
    let is_unknown = (0..stages).flat_map(edges).any(|to| to >= stages);
    let is_open = |from: &usize| raw.next[*from].is_none();
    let mut reached: BTreeSet<usize> = (0..stages.min(1)).collect();
    let mut cyclic = false;
    if !is_unknown {
        for _ in 0..stages {
            reached.extend(reached.clone().into_iter().flat_map(edges));
        }
        // A way of as many steps as there are stages comes somewhere twice.
        let mut ways: BTreeSet<usize> = (0..stages).collect();
        for _ in 0..stages {
            ways = ways.into_iter().flat_map(edges).collect();
        }
        cyclic = !ways.is_empty();
    }
    let is_lost = reached.len() < stages && !reached.iter().any(is_open);
    let refused = [
        ("workers", raw.workers == 0),
        ("groups", raw.groups == 0),
        ("window", raw.window < 2 || !raw.window.is_power_of_two()),
        ("batch_max", !(1..=256).contains(&raw.batch_max)),
        ("visits_max", raw.visits_max == 0),
        ("sample_every", !raw.sample_every.is_power_of_two()),
        ("stages", stages == 0 || is_unknown || is_lost),
        ("dag", raw.dag && cyclic),
    ];
    refused.into_iter().filter(|(_, is_refused)| *is_refused).map(|(field, _)| field).collect()
}

/// What is wrong with how these values were taken, if anything is.
pub fn violation(raw: &Raw) -> Option<String> {
    let world = World::empty();
    let (machines, census) = (world.clone(), world.census.clone());
    let factory = move || Machine::new(&machines);
    let mut builder = Pipeline::builder_with(factory, move || Parcel::blank(&census))
        .workers(raw.workers)
        .groups(raw.groups)
        .window(raw.window)
        .batch_max(raw.batch_max)
        .visits_max(raw.visits_max)
        .sample_every(raw.sample_every)
        .stages(Machine::runtime_stages(&raw.next));
    if raw.dag {
        builder = builder.dag();
    }
    let refused: BTreeSet<_> = match builder.build() {
        Ok(pipeline) => {
            drop(pipeline);
            BTreeSet::new()
        }
        Err(BuildError::Invalid(problems)) => problems.iter().map(|it| it.field).collect(),
        Err(error) => return Some(error.to_string()),
    };
    let expected = expected(raw);
    if refused != expected {
        return Some(format!("refused: {refused:?} in place of {expected:?}"));
    }
    (!world.census.is_empty()).then(|| format!("leak: {:?}", world.census))
}
