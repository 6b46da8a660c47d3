//! What was really set up: placement, memory, wait strategy.

use crate::wait::WaitStrategy;
use std::fmt;

/// What a pipeline was really given, as opposed to what was asked for.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Name of the pipeline.
    pub name: String,
    /// Where each worker runs.
    pub workers: Vec<WorkerReport>,
    /// Why the workers are placed as they are.
    pub placement: String,
    /// CPUs in the process's affinity mask, when it was first looked at.
    pub allowed_cpus: Vec<usize>,
    /// CPUs that the process can keep busy at once: the mask and the cgroup's quota.
    pub usable_cpus: usize,
    /// Whether there are more workers, with the CPUs kept free, than CPUs.
    pub crowded: bool,
    /// Bytes that the pipeline allocated.
    pub memory_bytes: usize,
    /// The wait strategy that was asked for.
    pub wait_asked: WaitStrategy,
    /// The wait strategy in force.
    pub wait: WaitStrategy,
    /// Whether submissions do without a fence, by `membarrier`.
    pub asymmetric_barrier: bool,
}

/// Where a worker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerReport {
    /// The CPU that it was to be pinned to, if any.
    pub cpu: Option<usize>,
    /// Whether the system says that it runs there and nowhere else.
    pub pinned: bool,
}

impl WorkerReport {
    pub(super) fn new((cpu, pinned): (&Option<usize>, bool)) -> Self {
        Self { cpu: *cpu, pinned }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "pipeline `{}`", self.name)?;
        writeln!(f, "  cpus     {} usable, allowed {:?}", self.usable_cpus, self.allowed_cpus)?;
        writeln!(f, "  workers  {} ({})", self.workers.len(), self.placement)?;
        for (index, worker) in self.workers.iter().enumerate() {
            match (worker.cpu, worker.pinned) {
                (Some(cpu), true) => writeln!(f, "    {index}: pinned to CPU {cpu}")?,
                (Some(cpu), false) => writeln!(f, "    {index}: NOT pinned, CPU {cpu} refused")?,
                (None, _) => writeln!(f, "    {index}: not pinned")?,
            }
        }
        writeln!(f, "  memory   {} bytes", self.memory_bytes)?;
        write!(f, "  wait     {:?}", self.wait)?;
        if self.wait != self.wait_asked {
            write!(f, " instead of {:?}", self.wait_asked)?;
        }
        if self.crowded {
            f.write_str(": more threads than CPUs, so idle ones sleep at once")?;
        }
        writeln!(f)?;
        let barrier =
            if self.asymmetric_barrier { "asymmetric (membarrier)" } else { "full fence" };
        write!(f, "  barrier  {barrier}")
    }
}
