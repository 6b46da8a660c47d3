//! LMAX Disruptor, on the Java virtual machine: left out where there is no `java`, `javac` or jar. The
//! machine starts once a process and runs all its scenarios in turn; it cannot pin its threads, so it is
//! kept to the two CPUs as a whole (`taskset`), where its compiler is a third thread at first.

use crate::lost::{Counters, Lost};
use crate::meter::Size;
use crate::scenarios::{BATCHES, Line, Orders, Setup};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where Debian's package libdisruptor-java puts it.
pub const JARS: &str = "/usr/share/java";
const PREFIX: &str = "lmax_disruptor_";

/// How its threads stand.
pub const THREADS: (usize, &str) =
    (2, "publisher and poller on one thread, one handler; the virtual machine is kept to two CPUs");

/// Its scenarios.
pub fn names() -> Vec<String> {
    let streams = BATCHES.map(|batch| format!("{PREFIX}stream_{batch}"));
    let others = ["groups_16", "round_trip"].map(|name| format!("{PREFIX}{name}"));
    streams.into_iter().chain(others).collect()
}

/// The jar, or what is missing.
pub fn find(jars: &Path) -> Result<PathBuf, String> {
    for tool in ["java", "javac", "taskset"] {
        let found = std::env::var_os("PATH").is_some_and(|path| {
            std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
        });
        if !found {
            return Err(format!("`{tool}` is not there"));
        }
    }
    let is_jar = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("disruptor") && name.ends_with(".jar") && path.is_file()
    };
    let entries = std::fs::read_dir(jars).map(|entries| entries.flatten().collect::<Vec<_>>());
    let mut found: Vec<PathBuf> =
        entries.unwrap_or_default().iter().map(|entry| entry.path()).filter(is_jar).collect();
    found.sort();
    found.into_iter().next().ok_or_else(|| format!("no disruptor*.jar in {}", jars.display()))
}

/// The version in the name of the jar, or of the file that it stands for.
pub fn version(jar: &Path) -> String {
    let real = jar.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    real.trim_start_matches("disruptor").trim_start_matches('-').to_owned()
}

/// Measures what the orders name of it. Where the virtual machine fails (another version of the jar, too
/// little memory), it is left out, and the reason told.
pub fn measure(setup: &Setup, orders: &Orders, tell: &mut impl FnMut(Line)) {
    let Some(jar) = &orders.lmax_jar else { return };
    let wanted: Vec<&str> =
        orders.scenarios.iter().filter_map(|name| name.strip_prefix(PREFIX)).collect();
    if wanted.is_empty() {
        return;
    }
    match samples(setup, orders, jar, &wanted) {
        Ok(lines) => lines.into_iter().for_each(tell),
        Err(why) => wanted.iter().for_each(|name| {
            tell(Line::LeftOut { name: format!("{PREFIX}{name}"), why: why.clone() });
        }),
    }
}

fn samples(
    setup: &Setup,
    orders: &Orders,
    jar: &Path,
    wanted: &[&str],
) -> Result<Vec<Line>, String> {
    let requests = match setup.meter.size {
        Size::Full => 2_000_000,
        Size::Quick => 400_000,
        Size::Tiny => 2_000,
    };
    let before = Counters::read(&setup.meter.cpus);
    let output = Command::new("taskset")
        .args(["-c", &format!("{},{}", setup.cores.submitter, setup.cores.worker())])
        .args(["java", "-cp"])
        .arg(jar)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/LmaxDisruptor.java"))
        .args([orders.rounds.to_string(), requests.to_string()])
        .args(wanted)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("taskset: {error}"))?;
    if !output.status.success() {
        return Err(format!("the virtual machine failed: {}", output.status));
    }
    let lost = Counters::read(&setup.meter.cpus).since(before);
    // Of its threads only the stolen time is known.
    let disturbed = Lost { wait_ns: 0, ..lost }.is_too_much(0);
    let mut rounds = std::collections::BTreeMap::new();
    let sample = |line: &str| {
        let (name, ns) = parse(line).ok_or_else(|| format!("not a sample: {line:?}"))?;
        let name = format!("{PREFIX}{name}");
        let next = rounds.entry(name.clone()).or_insert(0);
        let round = std::mem::replace(next, *next + 1);
        Ok(Line::Sample { name, round, ns, rejected: 0, disturbed })
    };
    String::from_utf8_lossy(&output.stdout).lines().map(sample).collect()
}

fn parse(line: &str) -> Option<(&str, f64)> {
    let (name, ns) = line.split_once(' ')?;
    Some((name, ns.parse().ok().filter(|ns: &f64| *ns > 0.0)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_the_jar_is_named() {
        let why = find(Path::new("/nowhere/at/all")).expect_err("no such folder");
        assert!(why.contains("/nowhere/at/all") || why.contains("is not there"), "{why}");
    }

    #[test]
    fn a_line_is_a_name_and_a_time() {
        assert_eq!(parse("stream_64 12.5"), Some(("stream_64", 12.5)));
        assert_eq!(parse("stream_64 -1"), None);
        assert_eq!(parse("stream_64"), None);
    }
}
