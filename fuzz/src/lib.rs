//! The bodies of the fuzz targets. Each takes a byte string, makes of it what it needs, and panics
//! where the engine, or what message pipelines are made of, does not do what a model of it does.
//!
//! The targets in `fuzz_targets/` hand them what libFuzzer finds. The engine's package has this file
//! as its test `fuzz`, which hands them the seeds and what a generator makes of those, so that the
//! bodies are compiled and run by every `cargo test`.

pub mod builder;
pub mod groups;
pub mod parsers;
pub mod plugins;
pub mod scripts;
pub mod streams;
pub mod transforms;

#[cfg(test)]
mod smoke;

#[path = "../../tests/common/mod.rs"]
mod common;
mod parts;

// What has no public door is compiled in: nothing in the sources has to be opened for this crate, and
// none of these modules knows the rest of its own.
#[allow(dead_code, reason = "a test needs no pinning")]
#[path = "../../src/topology.rs"]
mod topology;

mod failure;
#[allow(dead_code, reason = "the database is left out")]
#[path = "../../examples/flights/flight.rs"]
mod flight;
#[allow(dead_code, reason = "the database is left out")]
#[path = "../../examples/flights/lookup.rs"]
mod lookup;
#[allow(dead_code, reason = "the database is left out")]
#[path = "../../examples/flights/machine.rs"]
mod machine;

use arbitrary::{Arbitrary, Unstructured};
use std::panic;
use std::sync::Once;

/// As many values as the bytes hold. (A `Vec` of `arbitrary` asks a byte before each value whether there
/// is one, so that bytes taken at random hold one or two.)
fn all_of<'b, T: Arbitrary<'b>>(bytes: &mut Unstructured<'b>) -> impl Iterator<Item = T> {
    std::iter::from_fn(move || if bytes.is_empty() { None } else { bytes.arbitrary().ok() })
}

/// How the message of a panic begins that a target has asked for.
const ASKED: &str = "as asked: ";
/// How the engine's begins when a stage names one that is not in the table.
const BEYOND: &str = "a stage answered with stage id";

/// Lets panics that are asked for pass silently. libFuzzer's hook, which this one calls for all
/// others, ends the process at the first panic of any thread.
fn allow_asked_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |panicked| {
            let payload = panicked.payload();
            let text = payload.downcast_ref::<&str>().copied();
            let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
            let is_asked = |text: &str| text.starts_with(ASKED) || text.starts_with(BEYOND);
            if !text.is_some_and(is_asked) {
                others(panicked);
            }
        }));
    });
}
