//! Which CPUs the measuring threads stand on.

use core_affinity::CoreId;
use serde::{Deserialize, Serialize};

/// The CPUs of the measurement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cores {
    /// Of the thread that submits and receives.
    pub submitter: usize,
    /// Of the workers, one each; empty where there is one CPU in all.
    pub workers: Vec<usize>,
}

impl Cores {
    /// The CPUs that were asked for, isolated ones among them, or else all that the process may use, in
    /// their order. To be called before anything is pinned.
    pub fn choose(asked: &[usize]) -> Result<Self, String> {
        let allowed: Vec<usize> =
            core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
        for (at, cpu) in asked.iter().enumerate() {
            if asked[..at].contains(cpu) {
                return Err(format!("--cores: CPU {cpu} is named twice"));
            }
        }
        if let Some(cpu) = asked.iter().find(|cpu| !allowed.contains(cpu) && !can_be_had(**cpu)) {
            return Err(format!("--cores: CPU {cpu} is refused, and is none of {allowed:?}"));
        }
        let chosen = if asked.is_empty() { &allowed } else { asked };
        match chosen {
            [submitter, workers @ ..] => {
                Ok(Self { submitter: *submitter, workers: workers.to_vec() })
            }
            [] => Err(String::from("the system does not say which CPUs this process may use")),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        1 + self.workers.len()
    }

    /// All of them, the submitter's first.
    pub fn all(&self) -> Vec<usize> {
        std::iter::once(self.submitter).chain(self.workers.iter().copied()).collect()
    }

    /// The first worker's.
    pub fn worker(&self) -> usize {
        *self.workers.first().expect("scenarios of two threads are left out on one CPU")
    }
}

/// Whether a thread can be pinned there: isolated CPUs are in no mask and can be had all the same.
fn can_be_had(cpu: usize) -> bool {
    let try_it = move || core_affinity::set_for_current(CoreId { id: cpu });
    // A thread of its own, since this one must not be pinned.
    cpu <= stageline::limits::CPU_ID_MAX && std::thread::spawn(try_it).join().unwrap_or(false)
}

/// Pins the calling thread.
pub fn pin(cpu: usize) {
    assert!(core_affinity::set_for_current(CoreId { id: cpu }), "CPU {cpu} was refused");
}
