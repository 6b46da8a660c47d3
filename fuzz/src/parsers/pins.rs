//! Where workers are pinned, on machines of every kind.

use crate::topology::{PinPlan, PinWish, Topology, default_workers, plan};
use arbitrary::Arbitrary;
use stageline::limits::{CPU_ID_MAX, WORKERS_MAX};
use std::collections::BTreeSet;

/// A machine, and what the user asks of it.
#[derive(Arbitrary, Debug)]
pub struct Machine {
    /// CPUs in the mask, by the bits of these numbers; the others are those above.
    allowed: u64,
    more: Option<u64>,
    /// Of the mask, if there is one.
    quota: Option<u8>,
    workers: Option<u8>,
    cpus: Vec<u16>,
    reserve: Reserve,
    pin: bool,
    caller: Caller,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Reserve {
    Few(u8),
    Any(usize),
}

/// Where the thread may run that builds the pipeline.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Caller {
    Everywhere,
    Nowhere,
    /// On one CPU of the mask.
    Pinned(u8),
    Bits(u64),
}

fn bits(number: u64) -> impl Iterator<Item = usize> {
    (0..64).filter(move |bit| number >> bit & 1 == 1)
}

impl Machine {
    /// Plans, and checks what holds for every plan.
    pub fn check(&self) {
        let more = bits(self.more.unwrap_or(0)).map(|bit| CPU_ID_MAX - 63 + bit);
        let allowed: Vec<usize> = bits(self.allowed).chain(more).collect();
        let id = |cpu: &u16| usize::from(*cpu) % (CPU_ID_MAX + 1);
        let cpus: Vec<usize> = self.cpus.iter().map(id).take(WORKERS_MAX).collect();
        let caller: Vec<usize> = match self.caller {
            Caller::Everywhere => allowed.clone(),
            Caller::Nowhere => Vec::new(),
            Caller::Pinned(nth) => {
                allowed.iter().copied().cycle().skip(nth.into()).take(1).collect()
            }
            Caller::Bits(number) => bits(number).collect(),
        };
        // As the snapshot makes it.
        let usable = allowed.len().max(1);
        let quota = self.quota.map_or(usable, |quota| usize::from(quota).clamp(1, usable));
        let topology = Topology { allowed, quota };
        let reserve = match self.reserve {
            Reserve::Few(few) => few.into(),
            Reserve::Any(any) => any,
        };
        let by_default = default_workers(&topology, reserve);
        assert!((1..=topology.usable()).contains(&by_default));
        let asked = self.workers.map_or(by_default, |workers| usize::from(workers) + 1);
        let workers = if cpus.is_empty() { asked } else { cpus.len() };
        let wish = PinWish { workers, cpus: &cpus, reserve, pin: self.pin, caller: &caller };
        check(&topology, wish, &plan(&topology, wish));
    }
}

fn check(topology: &Topology, wish: PinWish<'_>, plan: &PinPlan) {
    let context = || format!("{topology:?}, {wish:?}: {plan:?}");
    assert_eq!(plan.cpus.len(), wish.workers, "{}", context());
    assert!((1..=wish.workers).contains(&plan.awake_max), "{}", context());
    assert!(!plan.reason.is_empty());
    let pinned: Vec<usize> = plan.cpus.iter().flatten().copied().collect();
    let distinct: BTreeSet<usize> = pinned.iter().copied().collect();
    if !wish.cpus.is_empty() {
        assert_eq!(pinned, wish.cpus, "as named: {}", context());
        assert_eq!(plan.awake_max, distinct.len(), "{}", context());
        return;
    }
    assert_eq!(distinct.len(), pinned.len(), "one worker a CPU: {}", context());
    assert!(pinned.iter().all(|cpu| topology.allowed.contains(cpu)), "{}", context());
    assert!(wish.pin || pinned.is_empty(), "{}", context());
    let fits = wish.workers.checked_add(wish.reserve).is_some_and(|all| all <= topology.usable());
    assert_eq!(plan.crowded, !fits, "{}", context());
    if wish.pin && !topology.allowed.is_empty() {
        // Those that have groups of their own are pinned; the others only help.
        assert_eq!(pinned.len(), plan.awake_max, "{}", context());
        assert!(plan.cpus[..plan.awake_max].iter().all(Option::is_some), "{}", context());
        if let ([own], true, false) = (wish.caller, wish.reserve > 0, plan.crowded) {
            assert!(!pinned.contains(own), "the caller's CPU is kept free: {}", context());
        }
    }
}
