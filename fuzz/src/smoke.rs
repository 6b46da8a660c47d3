//! The targets without a fuzzer: the seeds, and byte strings that a generator makes, of its own or
//! from the seeds.

use crate::common::{Random, watchdog_over};
use crate::{builder, groups, parsers, plugins, scripts, streams, transforms};
use std::fs;
use std::panic::{catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// Byte strings for one target, at most.
const RUNS_MAX: u32 = 3_000;
/// After this time there are no more: all targets take 14 s.
const TIME_MAX: Duration = Duration::from_millis(2_000);
const BYTES_MAX: u64 = 600;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    // The engine's package and that of the targets both compile this file.
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = [package.join("fuzz/seeds"), package.join("seeds")];
    let folder = folder.iter().find(|folder| folder.is_dir()).expect("the seeds").join(target);
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("seeds").map(|file| file.expect("a file").path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files.iter().map(|file| fs::read(file).expect("a seed")).collect()
}

/// Bytes of their own, or a seed with some of its bytes changed, cut off or repeated.
fn variant(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let seed = &seeds[random.below(seeds.len() as u64) as usize];
    if random.below(3) == 0 {
        // The first byte says what the others are.
        let fresh = (0..random.below(BYTES_MAX)).map(|_| random.next() as u8);
        return seed.iter().copied().take(1).chain(fresh).collect();
    }
    let mut bytes = seed.clone();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len().max(1) as u64) as usize;
        match random.below(6) {
            0 => bytes.truncate(at.max(1)),
            1 => bytes.extend_from_within(at.min(bytes.len())..),
            2 => bytes.insert(at.min(bytes.len()), random.next() as u8),
            3 => bytes.insert(at.min(bytes.len()), b'0' + random.below(10) as u8),
            _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = random.next() as u8),
        }
    }
    bytes
}

/// Where stderr goes while a target runs whose components write to it, once for each message that they leave out. Panics
/// are shown by the harness, by another way.
#[cfg(target_os = "linux")]
mod stderr {
    use std::fs::File;
    use std::io;
    use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
    use std::sync::Mutex;

    static SAVED: Mutex<Option<OwnedFd>> = Mutex::new(None);

    fn becomes(file: RawFd) {
        // SAFETY: both are open, and what the second was is kept by `SAVED`, or is `/dev/null`.
        let made = unsafe { libc::dup2(file, libc::STDERR_FILENO) };
        assert_ne!(made, -1, "{}", io::Error::last_os_error());
    }

    pub fn hush() {
        let nowhere = File::options().write(true).open("/dev/null").expect("there is one");
        *SAVED.lock().unwrap() =
            Some(io::stderr().as_fd().try_clone_to_owned().expect("it is open"));
        becomes(nowhere.as_raw_fd());
    }

    pub fn restore() {
        if let Some(saved) = SAVED.lock().unwrap().take() {
            becomes(saved.as_raw_fd());
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod stderr {
    pub fn hush() {}
    pub fn restore() {}
}

/// Feeds a target. What makes it panic is shown as a string that a test can take over.
fn feed(target: &str, seed: u64, run: fn(&[u8])) {
    let what = || {
        stderr::restore();
        String::from("it")
    };
    let _dog = watchdog_over(120, what);
    let (start, seeds, mut random) = (Instant::now(), seeds(target), Random(seed));
    let mut inputs = seeds.clone();
    let mut runs = 0;
    while runs < RUNS_MAX && start.elapsed() < TIME_MAX {
        let bytes = inputs.pop().unwrap_or_else(|| variant(&mut random, &seeds));
        if let Err(panicked) = catch_unwind(|| run(&bytes)) {
            stderr::restore();
            println!("{target}, seed {seed}, run {runs}: b\"{}\"", bytes.escape_ascii());
            resume_unwind(panicked);
        }
        runs += 1;
    }
    assert!(runs > seeds.len() as u32, "too slow to be of use");
}

#[test]
fn operations_on_groups_do_what_the_model_does() {
    feed("groups", 1, groups::run);
}

#[test]
fn any_values_are_built_or_refused_by_field() {
    feed("builder", 2, builder::run);
}

#[test]
fn any_text_is_read_or_refused_and_what_is_drawn_can_be_read() {
    feed("parsers", 3, parsers::run);
}

#[test]
fn what_a_stream_says_is_read_and_what_is_written_is_read_again() {
    stderr::hush();
    feed("streams", 4, streams::run);
    stderr::restore();
}

#[test]
fn any_message_is_transformed_or_refused_by_status() {
    feed("transforms", 5, transforms::run);
}

#[test]
fn any_script_is_a_plan_or_told_what_is_wrong() {
    feed("scripts", 6, scripts::run);
}

#[test]
fn any_table_of_a_plugin_is_taken_or_refused_by_field() {
    feed("plugins", 7, plugins::run);
}
