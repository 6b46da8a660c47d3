//! Properties of whole pipelines: random machines, settings and operations against a model, by the
//! public API alone.
//!
//! `PROPTEST_CASES=20000` makes the run longer, `PROPTEST_RNG_SEED=7` another one. A failing case is
//! shrunk and printed as the expression that makes it: put it into `properties/replayed.rs` to run it
//! again. A case that hangs ends the process with that text.

#[path = "properties/case.rs"]
mod case;
#[path = "properties/checked.rs"]
mod checked;
mod common;
#[path = "properties/drive.rs"]
mod drive;
#[path = "properties/invariants.rs"]
mod invariants;
#[path = "properties/log.rs"]
mod log;
#[path = "properties/machine.rs"]
mod machine;
#[path = "properties/model.rs"]
mod model;
#[path = "properties/reach.rs"]
mod reach;
#[path = "properties/receive.rs"]
mod receive;
#[path = "properties/refused.rs"]
mod refused;
#[path = "properties/replayed.rs"]
mod replayed;
#[path = "properties/session.rs"]
mod session;
#[path = "properties/strategy.rs"]
mod strategy;
#[path = "properties/submit.rs"]
mod submit;

use case::Case;
use common::{watchdog, watchdog_over};
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use reach::Reach;
use std::cell::{Cell, RefCell};
use std::panic;
use std::sync::Once;

/// Of a run that is not told otherwise.
const CASES: u32 = 256;
const SEED: u64 = 1;

/// Longer than a case takes on a loaded machine.
const CASE_SECONDS_MAX: u64 = 30;

/// How often a case is run again.
const REPLAYS: u32 = 5;

/// How often a smaller case is tried before it counts as one that does not fail: threads do not always
/// meet in the same way.
const TRIES_WHILE_SHRINKING: u32 = 8;
const SHRINK_MILLIS_MAX: u32 = 60_000;

/// Keeps panics that were asked for from being printed: there are thousands.
fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !log::is_planned(info.payload()) && !log::is_off_the_table(info.payload()) {
                before(info);
            }
        }));
    });
}

/// Runs a case; what it violates.
fn violations(case: &Case, reach: &mut Reach) -> Vec<String> {
    hush();
    let shown = case.clone();
    let _dog = watchdog_over(CASE_SECONDS_MAX, move || format!("{shown:#?}"));
    let report = drive::run(case);
    reach.add(case, &report);
    invariants::violations(case, &report)
}

/// The settings of a run: those of the environment, where it says something.
fn config() -> Config {
    let mut config = Config::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(SEED);
    }
    Config { failure_persistence: None, max_shrink_time: SHRINK_MILLIS_MAX, ..config }
}

/// Runs the test on random values; a failure says by which seed.
fn prove<S: Strategy>(values: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = config();
    let seed = config.rng_seed;
    if let Err(error) = TestRunner::new(config).run(&values, test) {
        panic!("PROPTEST_RNG_SEED={seed}: {error}");
    }
}

#[test]
fn random_cases_keep_every_invariant() {
    let (has_failed, reach) = (Cell::new(false), RefCell::new(Reach::default()));
    prove(strategy::case(), |case| {
        let tries = if has_failed.get() { TRIES_WHILE_SHRINKING } else { 1 };
        for _ in 0..tries {
            let found = violations(&case, &mut reach.borrow_mut());
            if !found.is_empty() {
                has_failed.set(true);
                return Err(TestCaseError::fail(found.join("\n")));
            }
        }
        Ok(())
    });
    let reach = reach.into_inner();
    println!("{reach}");
    let is_long = config().cases >= CASES;
    assert!(!is_long || reach.missed().is_empty(), "not reached: {:?}", reach.missed());
}

#[test]
fn cases_to_run_again_keep_every_invariant() {
    for case in replayed::cases() {
        for _ in 0..REPLAYS {
            let found = violations(&case, &mut Reach::default());
            assert!(found.is_empty(), "{}\n{case:#?}", found.join("\n"));
        }
    }
}

#[test]
fn the_builder_refuses_what_is_out_of_range_and_no_more() {
    let _dog = watchdog(1800);
    prove(refused::raw(), |raw| match refused::violation(&raw) {
        Some(violation) => Err(TestCaseError::fail(violation)),
        None => Ok(()),
    });
}

#[test]
fn the_model_follows_a_script() {
    checked::check_the_model();
    checked::check_what_shows_a_way();
}

#[test]
fn every_invariant_sees_what_breaks_it() {
    let _dog = watchdog(60);
    hush();
    checked::check_the_invariants();
    checked::check_the_census();
}
