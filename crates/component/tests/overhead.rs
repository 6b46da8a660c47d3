//! What the C interface costs a message, beside a component that was built in.
//!
//! ```sh
//! cargo test --release -p stageline-component --test overhead -- --ignored --nocapture
//! ```

mod common;

use common::{c_plugin, cargo_build, library, message, package};
use stageline_component::loader::Plugin;
use stageline_component::{Component, Message, Report};
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

const CALLS: u32 = 1_000_000;
const ROUNDS: usize = 25;

/// What a call through the interface may cost more than another, in nanoseconds.
const GOAL_NS: f64 = 25.0;

/// Does nothing, or looks at a byte.
struct BuiltIn {
    reads: bool,
}

impl Component for BuiltIn {
    fn handle(&mut self, message: &mut Message) -> Report {
        match self.reads && message.data().first() == Some(&b'x') {
            true => Report::DROP,
            false => Report::DONE,
        }
    }
}

fn of_plugin(path: &Path) -> Box<dyn Component> {
    Plugin::load(path).unwrap().factory().component().unwrap()
}

fn round_ns(component: &mut dyn Component, message: &mut Message) -> f64 {
    let start = Instant::now();
    for _ in 0..CALLS {
        assert_eq!(black_box(&mut *component).handle(black_box(message)), Report::DONE);
    }
    start.elapsed().as_nanos() as f64 / f64::from(CALLS)
}

#[test]
#[ignore = "takes times: run it in release, alone"]
fn of_a_call() {
    let folder = tempfile::tempdir().unwrap();
    let (nothing, reads) = (folder.path().join("0"), folder.path().join("1"));
    let source = package().join("tests/plugins/cost.c");
    let [nothing, reads] = [(nothing, "-DNOTHING"), (reads, "-DREAD")].map(|(folder, option)| {
        std::fs::create_dir(&folder).unwrap();
        of_plugin(&c_plugin(&folder, &source, &[option]))
    });
    let built = cargo_build(&["--release", "-p", "stageline-plugin-panics"]).join("release");
    let in_rust = of_plugin(&library(&built, "panics_component"));
    let mut cases: [(&str, Box<dyn Component>, Vec<f64>); 5] = [
        ("built in, nothing", Box::new(BuiltIn { reads: false }), Vec::new()),
        ("built in, reads a byte", Box::new(BuiltIn { reads: true }), Vec::new()),
        ("plugin in C, nothing", nothing, Vec::new()),
        ("plugin in C, reads a byte", reads, Vec::new()),
        ("plugin in Rust, compares five bytes", in_rust, Vec::new()),
    ];
    let mut message = message(b"spare");
    // In turns, so that a slow moment of the machine hits all.
    for _ in 0..ROUNDS {
        for (_, component, times) in &mut cases {
            times.push(round_ns(&mut **component, &mut message));
        }
    }
    // The least of many rounds is what the call takes; the rest is what else runs here.
    let least = cases.map(|(name, _, mut times)| {
        times.sort_by(f64::total_cmp);
        println!("{name:36} {:6.2} ns at least, {:6.2} in the median", times[0], times[ROUNDS / 2]);
        times[0]
    });
    for (plugin, built_in) in [(2, 0), (3, 1), (4, 1)] {
        let more = least[plugin] - least[built_in];
        assert!(more < GOAL_NS, "{more} ns more than built in");
    }
}
