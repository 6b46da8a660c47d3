//! The peers: other ways from one thread to another and back, at the best configuration that we know.
//! Each does the same work as the engine: payloads of 56 bytes in, three stages by the function table of
//! `payload.rs`, and the results back to the thread that submitted them, which checks them.
//!
//! Each is a [`Stream`](crate::driver::Stream), driven by the same loop as the engine, with a worker on a CPU of its own
//! that polls without pause.

pub mod array_queue;
pub mod crossbeam_channel;
pub mod disruptor;
pub mod flume;
pub mod kanal;
pub mod lmax;
pub mod rayon;
pub mod rtrb;
pub mod thingbuf;
pub mod tokio_mpsc;

use crate::cores::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// A pinned thread that polls until it is dropped.
pub struct Worker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Calls `turn` without pause on this CPU; it says whether there was anything to do.
    pub fn spawn(cpu: usize, mut turn: impl FnMut() -> bool + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            pin(cpu);
            while turn() || !stopped.load(Ordering::Relaxed) {}
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a worker does not panic");
        }
    }
}

/// The crates, as the lock file of the workspace names them: their versions stand in the results.
pub const CRATES: [&str; 9] = [
    "rtrb",
    "disruptor",
    "crossbeam-queue",
    "crossbeam-channel",
    "kanal",
    "flume",
    "tokio",
    "rayon",
    "thingbuf",
];

/// Name and version of each peer.
pub fn versions() -> Vec<(&'static str, String)> {
    CRATES.iter().map(|name| (*name, version_of(name))).collect()
}

/// The version of a crate that this program was built with.
pub fn version_of(name: &str) -> String {
    version_in(include_str!("../../../Cargo.lock"), name)
}

fn version_in(lock: &str, name: &str) -> String {
    let named = format!("name = \"{name}\"");
    let mut lines = lock.lines().skip_while(|line| *line != named).skip(1);
    let version = lines.next().and_then(|line| line.strip_prefix("version = \""));
    version.map_or("unknown", |version| version.trim_end_matches('"')).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_known() {
        for (name, version) in versions() {
            assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{name}: {version}");
        }
        assert_eq!(version_in("name = \"ab\"\nversion = \"1.2.3\"\n", "ab"), "1.2.3");
        assert_eq!(version_in("name = \"ab\"\nversion = \"1.2.3\"\n", "a"), "unknown");
    }
}
