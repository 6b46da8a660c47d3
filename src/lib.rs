//! An engine for staged pipelines: a state machine run in place by pinned workers, shared by many
//! independent streams.
//!
//! A user writes stages as methods of one type, and each stage says which comes next. A
//! [`Pipeline`] runs them on workers pinned to CPUs. Any number of [`RequestGroup`]s stream values
//! in and results out of the same workers, each getting only its own results back.
//!
//! ```
//! use stageline::{Order, Pipeline, Request, Step, TryRecvError, TrySubmitError, state_machine};
//!
//! struct Pricing { rate: u64 }
//!
//! #[state_machine(data = u64, error = String)]
//! impl Pricing {
//!     #[stage]
//!     fn check(&mut self, order: &mut Request<'_, Self>) -> Step {
//!         if **order == 0 { order.fail("nothing to price".into()) } else { order.next(Self::PRICE) }
//!     }
//!     #[stage]
//!     fn price(&mut self, order: &mut Request<'_, Self>) -> Step {
//!         **order *= self.rate;
//!         order.done()
//!     }
//! }
//!
//! let pipeline = Pipeline::builder(|| Pricing { rate: 3 }).build()?;
//! let mut group = pipeline.open(Order::Submission)?;
//! assert_eq!(group.try_recv().err(), Some(TryRecvError::Empty));
//! while let Ok(_position) = group.try_submit(14) {}
//! assert_eq!(group.try_submit(15), Err(TrySubmitError::Full(15)));
//! while let Ok(price) = group.recv() {
//!     assert_eq!(*price, 42);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which module stands on which
//!
//! ```text
//! pipeline ──► worker, group ──► shared ──► request, stage ──► common ──► window ──► ring ──► slot ──► sync
//!                                                               └──► bell, wait, stats, cold
//! ```
//!
//! Arrows run one way; `ARCHITECTURE.md` follows a request through them.
//!
//! # Features
//!
//! - `macros` (default): the attribute [`state_machine`].

#![cfg_attr(stageline_models, allow(missing_docs, dead_code))]

/// Declares modules that are private, but public for the models of `loom-tests`.
macro_rules! internal {
    ($($(#[$attribute:meta])* $module:ident),+ $(,)?) => {
        $(
            $(#[$attribute])*
            #[cfg(stageline_models)]
            pub mod $module;
            $(#[$attribute])*
            #[cfg(not(stageline_models))]
            mod $module;
        )+
    };
}

/// What the models need beside those modules.
#[cfg(stageline_models)]
#[path = "../loom-tests/engine.rs"]
pub mod model;

internal!(bell, cold, common, kept, pace, ring, shared, slab, slot, sync, wait, window);

mod error;
mod graph;
mod group;
pub mod limits;
mod outcome;
mod panics;
mod pipeline;
mod request;
mod retry;
mod stage;
mod stats;
mod status;
mod topology;
mod worker;

pub use common::{Flush, GroupOptions, Overflow};
pub use error::{
    BuildError, CloseTimeout, OpenError, Problem, RecvError, RecvTimeoutError, SubmitError,
    SubmitTimeoutError, TryRecvError, TrySubmitError,
};
pub use graph::Graph;
pub use group::{
    DeadLetter, DeadLetters, Output, Receiver, RequestGroup, SharedSubmitter, SubmitEnd, Submitter,
};
pub use outcome::{Cycle, Outcome};
pub use pipeline::{Builder, Pipeline, Pool, Report, WorkerReport, prepare};
pub use request::{Request, Ticket};
pub use retry::Retry;
pub use stage::{Hook, RuntimeStage, Stage, StageFn, StageId, StageTable, StateMachine, Step};
pub use stats::{GroupStats, Histogram, Ledger, StageStats, Stats, WorkerStats};
pub use status::ReservedStatus;
pub use sync::{prefetch, prefetch_to_write};
pub use wait::WaitStrategy;
pub use window::Order;

#[cfg(feature = "macros")]
pub use stageline_macros::state_machine;

/// The README's example is one of the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
