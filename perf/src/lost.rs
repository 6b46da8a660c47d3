//! CPU time that the measuring threads lost to others while they measured.
//!
//! A repetition in which a thread stood in a run queue, or in which the hypervisor took the CPU away, says
//! nothing about what was measured. It is rejected and done again (`scenarios/rounds.rs`).

use std::fs;

/// Run-queue wait of all threads of the process together that a repetition may have, as a share of its
/// time: a wake-up of some other thread costs a few microseconds and is no reason to reject.
pub const WAIT_SHARE_MAX: f64 = 0.005;
/// The wait that is accepted in any case, for repetitions that are short.
pub const WAIT_NS_MIN: u64 = 20_000;
/// Ticks (10 ms by common settings) that the hypervisor may take from the CPUs of the measurement.
pub const STEAL_TICKS_MAX: u64 = 0;

/// The counters at one moment. What the system does not tell is zero, and then nothing is rejected.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Nanoseconds that the threads of the process that live now have waited in run queues.
    wait_ns: u64,
    /// Ticks that the hypervisor has taken from the CPUs of the measurement.
    steal_ticks: u64,
}

impl Counters {
    /// Reads them, for these CPUs.
    pub fn read(cpus: &[usize]) -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        Self { wait_ns: threads_wait_ns(), steal_ticks: steal_ticks(&stat, cpus) }
    }

    /// What has been lost since an earlier moment.
    pub fn since(self, before: Self) -> Lost {
        Lost {
            wait_ns: self.wait_ns.saturating_sub(before.wait_ns),
            steal_ticks: self.steal_ticks.saturating_sub(before.steal_ticks),
        }
    }
}

/// What a repetition lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    pub wait_ns: u64,
    pub steal_ticks: u64,
}

impl Lost {
    /// Whether a repetition that took so long is to be rejected.
    pub fn is_too_much(self, elapsed_ns: u64) -> bool {
        let bound = (elapsed_ns as f64 * WAIT_SHARE_MAX).max(WAIT_NS_MIN as f64);
        self.wait_ns as f64 > bound || self.steal_ticks > STEAL_TICKS_MAX
    }
}

/// The second field of each thread's `schedstat`: nanoseconds that it was runnable and did not run. It
/// counts involuntary switches by what they cost.
fn threads_wait_ns() -> u64 {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return 0 };
    let waits = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        wait_of(&text)
    });
    waits.sum()
}

fn wait_of(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().nth(1)?.parse().ok()
}

/// The eighth figure of the lines `cpuN` of `/proc/stat`.
pub fn steal_ticks(stat: &str, cpus: &[usize]) -> u64 {
    cpus.iter().filter_map(|cpu| cpu_ticks(stat, *cpu)?.get(7).copied()).sum()
}

/// The figures of one CPU's line of `/proc/stat`.
pub fn cpu_ticks(stat: &str, cpu: usize) -> Option<Vec<u64>> {
    let name = format!("cpu{cpu}");
    let mut fields = stat
        .lines()
        .map(str::split_whitespace)
        .find_map(|mut fields| (fields.next() == Some(&*name)).then_some(fields))?;
    let mut ticks = Vec::new();
    fields.try_for_each(|field| field.parse().map(|tick| ticks.push(tick))).ok()?;
    Some(ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 3 4 5 6 7 8 9 10\n\
                        cpu1 1 2 3 4 5 6 7 20 9 10\ncpu10 1 2 3 4 5 6 7 400 9 10\n";

    #[test]
    fn steal_is_that_of_the_named_cpus() {
        assert_eq!(steal_ticks(STAT, &[0]), 8);
        assert_eq!(steal_ticks(STAT, &[0, 1]), 28);
        assert_eq!(steal_ticks(STAT, &[10, 2]), 400, "a CPU without a line counts nothing");
    }

    #[test]
    fn the_wait_is_the_second_figure() {
        assert_eq!(wait_of("100 23 4\n"), Some(23));
        assert_eq!(wait_of(""), None);
    }

    #[test]
    fn a_repetition_is_rejected_above_the_bounds() {
        let lost = |wait_ns, steal_ticks| Lost { wait_ns, steal_ticks };
        assert!(!lost(WAIT_NS_MIN, 0).is_too_much(0));
        assert!(lost(WAIT_NS_MIN + 1, 0).is_too_much(0));
        assert!(!lost(500_000, 0).is_too_much(100_000_000));
        assert!(lost(500_001, 0).is_too_much(100_000_000));
        assert!(lost(0, 1).is_too_much(u64::MAX));
    }
}
