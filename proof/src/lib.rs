//! Faults brought into the engine from outside, and the soak.
//!
//! - [`stalls`]: stops one thread at a time by a signal, and measures whom that holds up.
//! - [`soak`]: all features at once, for as long as asked, with every request accounted for.
//! - [`mill`], [`oracle`]: the machine that both run, and what checks that each request came back once,
//!   in its order, to its own group.
//! - [`signal`], [`threads`], [`child`]: the means: a signal that sleeps, the threads of this process,
//!   and a test run again in a process of its own.
//!
//! Linux alone has the means; elsewhere the package is empty.

#![cfg(target_os = "linux")]

/// What the engine's own tests share.
#[allow(missing_docs, clippy::should_implement_trait)]
#[path = "../../tests/common/mod.rs"]
pub mod common;

pub mod child;
pub mod mill;
pub mod oracle;
pub mod signal;
pub mod soak;
pub mod stalls;
pub mod threads;
