//! The machine, looked at before anything is measured: what a reader must know to trust the figures.

use crate::cores::Cores;
use crate::limits::ping_pong;
use crate::lost::{cpu_ticks, steal_ticks};
use crate::meter::{Meter, Size};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

/// Below this, two CPUs bounce a line as two threads of one core do.
const SAME_CORE_NS: f64 = 80.0;
/// A CPU that others keep busier than this spoils figures.
const BUSY_SHARE_MAX: f64 = 0.05;
/// How long others are watched.
const WATCH: Duration = Duration::from_millis(300);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Audit {
    pub cpu_model: String,
    pub kernel: String,
    pub cpus_online: String,
    /// CPUs of the measurement, the submitter's first.
    pub cores: Vec<usize>,
    /// Spinning threads that the widest scenario has.
    pub threads_max: usize,
    /// CPUs whose whole time the process may have: fewer than it may stand on where there is a quota.
    pub cpus_usable: usize,
    /// Scaling governor of each of these CPUs; `none` where the system has none (most virtual machines).
    pub governors: BTreeMap<usize, String>,
    /// CPUs that share the core of each.
    pub smt_siblings: BTreeMap<usize, String>,
    /// CPUs that the scheduler leaves alone; empty for none.
    pub isolated: String,
    /// Whether the processor says that it is virtual.
    pub hypervisor: bool,
    pub load_1min: f64,
    /// The share of each CPU that was busy before anything was measured.
    pub busy_by_others: BTreeMap<usize, f64>,
    /// Ticks that the hypervisor took from these CPUs before and while the suite ran.
    pub steal_ticks_before: u64,
    pub steal_ticks_meanwhile: u64,
    /// A line bounced between the first two CPUs: a hint whether they are one core.
    pub ping_pong_ns: Option<f64>,
    /// What two reads of the clock take.
    pub clock_ns: f64,
    /// Whether the system says how long threads wait for a CPU.
    pub wait_is_known: bool,
    /// What a reader should bear in mind.
    pub warnings: Vec<String>,
}

impl Audit {
    /// Looks at the machine, before anything is pinned.
    pub fn take(cores: &Cores, threads_max: usize) -> Self {
        let all = cores.all();
        let per_cpu = |file: &str| -> BTreeMap<usize, String> {
            let read = |cpu: &usize| {
                let text = line_of(&format!("/sys/devices/system/cpu/cpu{cpu}/{file}"));
                (*cpu, text.unwrap_or_else(|| String::from("none")))
            };
            all.iter().map(read).collect()
        };
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let mut audit = Self {
            cpu_model: field_of(&cpuinfo, "model name").unwrap_or("unknown").to_owned(),
            kernel: line_of("/proc/sys/kernel/osrelease").unwrap_or_default(),
            cpus_online: line_of("/sys/devices/system/cpu/online").unwrap_or_default(),
            threads_max,
            cpus_usable: std::thread::available_parallelism().map_or(all.len(), usize::from),
            governors: per_cpu("cpufreq/scaling_governor"),
            smt_siblings: per_cpu("topology/thread_siblings_list"),
            isolated: line_of("/sys/devices/system/cpu/isolated").unwrap_or_default(),
            hypervisor: field_of(&cpuinfo, "flags")
                .is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor")),
            load_1min: line_of("/proc/loadavg")
                .and_then(|line| line.split_whitespace().next()?.parse().ok())
                .unwrap_or(0.0),
            busy_by_others: busy(&all),
            steal_ticks_before: steal_ticks(&stat(), &all),
            steal_ticks_meanwhile: 0,
            ping_pong_ns: bounce(cores),
            clock_ns: clock_ns(),
            wait_is_known: fs::metadata("/proc/self/schedstat").is_ok(),
            warnings: Vec::new(),
            cores: all,
        };
        audit.warn();
        audit
    }

    /// Looks at the machine again, when everything has been measured.
    pub fn finish(&mut self) {
        let steal = steal_ticks(&stat(), &self.cores).saturating_sub(self.steal_ticks_before);
        self.steal_ticks_meanwhile = steal;
        if steal > 0 {
            self.warnings.push(format!("the hypervisor took {steal} ticks while the suite ran"));
        }
    }

    fn warn(&mut self) {
        let mut warnings = Vec::new();
        if self.threads_max > self.cores.len() {
            let (threads, cpus) = (self.threads_max, self.cores.len());
            warnings.push(format!("{threads} threads are needed and {cpus} CPUs are there"));
        }
        if self.cpus_usable < self.cores.len() {
            let (usable, cpus) = (self.cpus_usable, self.cores.len());
            warnings.push(format!("the process may use the time of {usable} of these {cpus} CPUs"));
        }
        for (cpu, governor) in &self.governors {
            if !matches!(governor.as_str(), "performance" | "none") {
                warnings.push(format!("CPU {cpu} has the governor {governor}"));
            }
        }
        for (cpu, siblings) in &self.smt_siblings {
            let shared = |other: &&usize| *other != cpu && cpus_in(siblings).contains(other);
            if let Some(other) = self.cores.iter().find(shared) {
                warnings.push(format!("CPU {cpu} and CPU {other} are threads of one core"));
            }
        }
        if self.ping_pong_ns.is_some_and(|ns| ns < SAME_CORE_NS) {
            warnings
                .push(String::from("the first two CPUs answer as fast as two threads of one core"));
        }
        if self.hypervisor {
            warnings.push(String::from("a virtual machine: only ratios of one run mean something"));
        }
        for (cpu, share) in &self.busy_by_others {
            if *share > BUSY_SHARE_MAX {
                warnings.push(format!("CPU {cpu} is {:.0} % busy with other work", share * 100.0));
            }
        }
        if !self.wait_is_known {
            warnings.push(String::from("the system does not say how long threads wait for a CPU"));
        }
        self.warnings = warnings;
    }

    /// What is printed.
    pub fn lines(&self) -> Vec<String> {
        let list = |map: &BTreeMap<usize, String>| {
            map.iter().map(|(cpu, text)| format!("{cpu}: {text}")).collect::<Vec<_>>().join(", ")
        };
        let busy =
            self.busy_by_others.iter().map(|(cpu, busy)| format!("{cpu}: {:.0} %", busy * 100.0));
        let isolated = if self.isolated.is_empty() { "none" } else { &self.isolated };
        let bounce =
            self.ping_pong_ns.map_or_else(|| String::from("-"), |ns| format!("{ns:.0} ns"));
        let mut lines = vec![
            format!(
                "machine    {}, CPUs {} online, kernel {}",
                self.cpu_model, self.cpus_online, self.kernel
            ),
            format!(
                "cpus       {:?} measured on (the submitter's first), {} threads at most",
                self.cores, self.threads_max
            ),
            format!("governors  {}", list(&self.governors)),
            format!("siblings   {}", list(&self.smt_siblings)),
            format!("isolated   {isolated}"),
            format!("virtual    {}", if self.hypervisor { "yes" } else { "no" }),
            format!(
                "load       {:.1} over a minute; busy with other work: {}",
                self.load_1min,
                busy.collect::<Vec<_>>().join(", ")
            ),
            format!(
                "stolen     {} ticks before, {} meanwhile",
                self.steal_ticks_before, self.steal_ticks_meanwhile
            ),
            format!("ping-pong  {bounce}; two reads of the clock {:.0} ns", self.clock_ns),
        ];
        lines.extend(self.warnings.iter().map(|warning| format!("note       {warning}")));
        lines
    }
}

fn line_of(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

fn stat() -> String {
    fs::read_to_string("/proc/stat").unwrap_or_default()
}

/// The value of the first such field of /proc/cpuinfo.
fn field_of<'t>(cpuinfo: &'t str, name: &str) -> Option<&'t str> {
    cpuinfo.lines().find_map(|line| {
        let (field, value) = line.split_once(':')?;
        (field.trim() == name).then_some(value.trim())
    })
}

/// The CPUs of a list such as `0-2,5`.
fn cpus_in(list: &str) -> Vec<usize> {
    let ranges = list.split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    });
    ranges.flatten().collect()
}

fn busy(cpus: &[usize]) -> BTreeMap<usize, f64> {
    let before = stat();
    std::thread::sleep(WATCH);
    let after = stat();
    cpus.iter().filter_map(|cpu| Some((*cpu, busy_share(&before, &after, *cpu)?))).collect()
}

/// Everything but idle time and waiting for disks (the fourth and fifth figure), of all time.
fn busy_share(before: &str, after: &str, cpu: usize) -> Option<f64> {
    let (before, after) = (cpu_ticks(before, cpu)?, cpu_ticks(after, cpu)?);
    // The two figures behind the eighth are in others already.
    let passed: Vec<u64> = after
        .iter()
        .zip(&before)
        .take(8)
        .map(|(after, before)| after.saturating_sub(*before))
        .collect();
    let all: u64 = passed.iter().sum();
    let idle: u64 = passed.get(3..5)?.iter().sum();
    (all > 0).then(|| (all - idle) as f64 / all as f64)
}

/// On threads of its own: this one must not be pinned, since its children inherit that.
fn bounce(cores: &Cores) -> Option<f64> {
    if cores.workers.is_empty() {
        return None;
    }
    let (cores, meter) = (cores.clone(), Meter { cpus: cores.all(), size: Size::Quick });
    let bounce = std::thread::spawn(move || ping_pong::round_trip(&meter, &cores).ns);
    Some(bounce.join().expect("a bounce does not panic"))
}

fn clock_ns() -> f64 {
    const READS: u32 = 10_000;
    let start = Instant::now();
    (0..READS).for_each(|_| _ = std::hint::black_box(Instant::now()));
    2.0 * start.elapsed().as_nanos() as f64 / f64::from(READS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus_are_read() {
        assert_eq!(cpus_in("0-2,5"), [0, 1, 2, 5]);
        assert_eq!(cpus_in("3"), [3]);
        assert_eq!(cpus_in("none"), [0; 0]);
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "model name\t: A Processor\nmodel\t\t: 85\nflags\t: fpu hypervisor\n";
        assert_eq!(field_of(text, "model name"), Some("A Processor"));
        assert_eq!(field_of(text, "model"), Some("85"));
        assert_eq!(field_of(text, "bugs"), None);
    }

    #[test]
    fn waiting_for_a_disk_is_idle() {
        let before = "cpu0 0 0 0 0 0 0 0 0 0 0\n";
        let after = "cpu0 10 5 5 60 20 0 0 0 10 0\n";
        assert_eq!(busy_share(before, after, 0), Some(0.2));
        assert_eq!(busy_share(before, before, 0), None);
        assert_eq!(busy_share(before, after, 1), None);
    }

    #[test]
    fn what_spoils_figures_is_said() {
        let cores = Cores { submitter: 0, workers: vec![] };
        let mut audit = Audit::take(&cores, 3);
        audit.cores = vec![0, 1];
        audit.cpus_usable = 1;
        audit.governors = BTreeMap::from([(0, String::from("powersave"))]);
        audit.smt_siblings = BTreeMap::from([(0, String::from("0-1")), (1, String::from("none"))]);
        audit.ping_pong_ns = Some(40.0);
        audit.busy_by_others = BTreeMap::from([(1, 0.5)]);
        audit.warn();
        let text = audit.warnings.join("\n");
        for expected in
            ["3 threads", "time of 1 of", "powersave", "CPU 0 and CPU 1", "as fast as", "50 % busy"]
        {
            assert!(text.contains(expected), "{expected} in {text}");
        }
    }
}
