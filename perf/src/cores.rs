//! Which CPUs the measuring threads stand on.

use core_affinity::CoreId;

/// The CPUs of the measurement: the submitter's and the worker's.
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    /// Submits and receives.
    pub submitter: usize,
    /// Runs the stages.
    pub worker: usize,
}

impl Cores {
    /// The first two CPUs that the process may use.
    pub fn choose() -> Result<Self, String> {
        let ids = core_affinity::get_core_ids().unwrap_or_default();
        match ids.as_slice() {
            [submitter, worker, ..] => Ok(Self { submitter: submitter.id, worker: worker.id }),
            _ => Err(String::from(
                "two CPUs are needed: a spinning pair on one CPU measures nothing",
            )),
        }
    }
}

/// Pins the calling thread.
pub fn pin(cpu: usize) {
    assert!(core_affinity::set_for_current(CoreId { id: cpu }), "CPU {cpu} was refused");
}

/// One line on the machine.
pub fn describe() -> String {
    let cpus = core_affinity::get_core_ids().unwrap_or_default().len();
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!("{cpus} CPUs, {}", model.map_or("unknown model", |(_, name)| name))
}
