//! Which CPUs this process may use, and pinning threads to them.

use core_affinity::CoreId;
use std::num::NonZero;
use std::sync::OnceLock;

/// The CPUs that the process may run on, as they were before this library pinned anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Topology {
    /// Ids of the CPUs in the affinity mask (and so in the cpuset), ascending.
    pub(crate) allowed: Vec<usize>,
    /// How many CPUs' worth of time the process gets: the affinity mask and the cgroup's quota.
    pub(crate) quota: usize,
}

impl Topology {
    /// The snapshot, taken at the first call: a thread that is pinned later sees a shrunken mask, and
    /// its children inherit that.
    pub(crate) fn snapshot() -> &'static Self {
        static SNAPSHOT: OnceLock<Topology> = OnceLock::new();
        SNAPSHOT.get_or_init(|| {
            // The caller may be a pinned thread; the process's first one says more, then.
            let mut allowed = allowed_now();
            allowed.extend(allowed_to_process());
            allowed.sort_unstable();
            allowed.dedup();
            let quota = std::thread::available_parallelism().map_or(1, NonZero::get);
            Self { quota: quota.min(allowed.len().max(1)), allowed }
        })
    }

    /// CPUs that can be busy at once.
    pub(crate) fn usable(&self) -> usize {
        self.quota.max(1)
    }
}

/// The CPUs that the calling thread may run on now, ascending. Empty where the system does not say.
pub(crate) fn allowed_now() -> Vec<usize> {
    let ids = core_affinity::get_core_ids().unwrap_or_default();
    let mut allowed: Vec<usize> = ids.into_iter().map(|core| core.id).collect();
    allowed.sort_unstable();
    allowed
}

/// The CPUs that the process's first thread may run on.
#[cfg(target_os = "linux")]
fn allowed_to_process() -> Vec<usize> {
    // SAFETY: a `cpu_set_t` of zeros is an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    let process = std::process::id() as libc::pid_t;
    // SAFETY: the set is of the size that is given, and stays empty if the call fails.
    unsafe { libc::sched_getaffinity(process, size_of::<libc::cpu_set_t>(), &mut set) };
    // SAFETY: each id is within the set.
    let is_in = |cpu: &usize| unsafe { libc::CPU_ISSET(*cpu, &set) };
    (0..libc::CPU_SETSIZE as usize).filter(is_in).collect()
}

/// Elsewhere a mask belongs to no process.
#[cfg(not(target_os = "linux"))]
fn allowed_to_process() -> Vec<usize> {
    Vec::new()
}

/// Pins the calling thread to one CPU, and says whether the system then reports just that.
pub(crate) fn pin_to(cpu: usize) -> bool {
    core_affinity::set_for_current(CoreId { id: cpu }) && allowed_now() == [cpu]
}

/// Lets the calling thread run on all CPUs of the process: one that is not pinned must not inherit the
/// narrow mask of a pinned thread that built the pipeline, which would leave it that thread's CPU.
#[cfg(target_os = "linux")]
pub(crate) fn unpin(allowed: &[usize]) {
    // SAFETY: a `cpu_set_t` of zeros is an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    let fitting = allowed.iter().filter(|cpu| **cpu < libc::CPU_SETSIZE as usize);
    // SAFETY: each id is within the set.
    fitting.for_each(|cpu| unsafe { libc::CPU_SET(*cpu, &mut set) });
    // SAFETY: the set is initialised and of the size that is given; 0 is the calling thread. If the
    // system refuses, the thread keeps the mask that it has, which is a valid one.
    unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) };
}

/// Elsewhere a mask is not inherited.
#[cfg(not(target_os = "linux"))]
pub(crate) fn unpin(_allowed: &[usize]) {}

/// Which CPU each worker is to be pinned to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PinPlan {
    /// By worker; `None` for one that the system may move.
    pub(crate) cpus: Vec<Option<usize>>,
    /// There are more workers, with the CPUs kept free, than CPUs.
    pub(crate) crowded: bool,
    /// Workers that can be busy at once. So many have groups of their own; the others help.
    pub(crate) awake_max: usize,
    /// Why it is so.
    pub(crate) reason: String,
}

/// What the user asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PinWish<'a> {
    pub(crate) workers: usize,
    /// CPUs named by the user, one for each worker; empty if none were named.
    pub(crate) cpus: &'a [usize],
    /// CPUs to keep free for submitters and receivers.
    pub(crate) reserve: usize,
    pub(crate) pin: bool,
    /// CPUs that the calling thread may run on now.
    pub(crate) caller: &'a [usize],
}

/// Workers to start if the user does not say.
pub(crate) fn default_workers(topology: &Topology, reserve: usize) -> usize {
    topology.usable().saturating_sub(reserve).max(1)
}

/// Chooses a CPU for each worker.
pub(crate) fn plan(topology: &Topology, wish: PinWish<'_>) -> PinPlan {
    let PinWish { workers, cpus, reserve, pin, caller } = wish;
    let usable = topology.usable();
    let free = usable.saturating_sub(reserve);
    if !cpus.is_empty() {
        // Named CPUs may lie outside the mask (isolated ones do); they count as they are.
        let mut distinct = cpus.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let outside = distinct.iter().filter(|cpu| !topology.allowed.contains(cpu)).count();
        let crowded = distinct.len() < workers || workers > free + outside;
        return PinPlan {
            cpus: cpus.iter().copied().map(Some).collect(),
            crowded,
            awake_max: workers.min(distinct.len()),
            reason: format!("on the {} CPUs that were named", distinct.len()),
        };
    }
    let crowded = workers > free;
    // Beyond the number of CPUs workers only help.
    let awake_max = if crowded { free.max(1) } else { workers };
    if !pin || topology.allowed.is_empty() {
        let reason = if pin { "the system does not name its CPUs" } else { "as asked" };
        let reason = format!("not pinned: {reason}");
        return PinPlan { cpus: vec![None; workers], crowded, awake_max, reason };
    }
    // A caller that is pinned keeps its CPU; the lowest ones are kept free otherwise.
    let own = if caller.len() == 1 { caller[0] } else { topology.allowed[0] };
    let (kept, others): (Vec<_>, Vec<_>) =
        topology.allowed.iter().copied().partition(|cpu| reserve > 0 && *cpu == own);
    let by_choice = others.into_iter().rev().chain(kept);
    let homes = by_choice.take(awake_max).map(Some);
    let mut reason = format!("one worker a CPU, {reserve} of {usable} CPUs kept free");
    if crowded {
        reason += &format!(
            "; {} of {workers} workers only help, and are not pinned",
            workers - awake_max
        );
    }
    PinPlan {
        cpus: homes.chain(std::iter::repeat(None)).take(workers).collect(),
        crowded,
        awake_max,
        reason,
    }
}

#[cfg(all(test, not(stageline_models)))]
mod tests {
    use super::*;

    fn machine(cpus: usize) -> Topology {
        Topology { allowed: (0..cpus).collect(), quota: cpus }
    }

    fn wish(workers: usize) -> PinWish<'static> {
        PinWish { workers, cpus: &[], reserve: 1, pin: true, caller: &[] }
    }

    #[test]
    fn the_callers_cpu_is_kept_free() {
        assert_eq!(plan(&machine(2), wish(1)).cpus, [Some(1)]);
        let pinned = PinWish { caller: &[3], ..wish(3) };
        assert_eq!(plan(&machine(4), pinned).cpus, [Some(2), Some(1), Some(0)]);
    }

    #[test]
    fn workers_beyond_the_cpus_are_not_pinned() {
        let crowded = plan(&machine(2), wish(10));
        assert_eq!(crowded.cpus[0], Some(1));
        assert_eq!(crowded.cpus[1..], [None; 9]);
        assert!(crowded.crowded);
        assert_eq!(crowded.awake_max, 1);
        let all = plan(&machine(2), PinWish { reserve: 0, ..wish(2) });
        assert!(!all.crowded);
        assert_eq!(all.cpus, [Some(1), Some(0)]);
    }

    #[test]
    fn a_quota_counts_as_so_many_cpus() {
        let quota = Topology { allowed: (0..16).collect(), quota: 2 };
        assert_eq!(default_workers(&quota, 1), 1);
        assert!(plan(&quota, wish(2)).crowded);
    }

    #[test]
    fn named_cpus_are_taken_as_they_are() {
        let isolated = PinWish { cpus: &[6, 7], ..wish(2) };
        let planned = plan(&machine(4), isolated);
        assert_eq!(planned.cpus, [Some(6), Some(7)]);
        assert!(!planned.crowded);
        let twice = PinWish { cpus: &[1, 1], ..wish(2) };
        assert!(plan(&machine(4), twice).crowded);
    }
}
