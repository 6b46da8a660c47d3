//! What a component of a message pipeline is, for Rust and for C.
//!
//! A [`Component`] handles a [`Message`] in place and answers with a [`Report`]. A [`Source`] produces messages. A
//! [`Factory`] makes either, as its [`Spec`] and the [`Attributes`] of a script say. Who runs them, finds what it
//! needs in [`host`].
//!
//! Components that come from shared objects, in C or in Rust, cross the C interface of [`abi`]: a plugin in Rust is
//! exported by [`export_component!`], and a host loads either with `loader::Plugin`.
//!
//! # Which module stands on which
//!
//! ```text
//! loader, export ──► abi, functions
//!             └────► component ──► attributes ──► value, spec, units, nearest
//!                            └───► host ──► message ──► entries ──► buffer
//!                                               └────► report, abi
//! ```
//!
//! # Features
//!
//! - `loader`: loads plugins at run time.

pub mod abi;
mod attributes;
mod buffer;
mod component;
mod entries;
mod error;
#[doc(hidden)]
pub mod export;
mod functions;
pub mod host;
#[cfg(feature = "loader")]
pub mod loader;
mod message;
mod nearest;
mod panics;
mod report;
mod spec;
mod units;
mod value;

/// The header of the C interface, for who writes it beside a plugin.
#[cfg(feature = "loader")]
pub const HEADER: &str = include_str!("../include/stageline_component.h");

pub use attributes::Attributes;
pub use buffer::{Buffer, TooLarge};
pub use component::{Acknowledge, Component, EmitError, Emitter, Factory, Source};
pub use error::Error;
pub use message::{ATTRIBUTES_MAX, DESCRIPTION_MAX, Flush, Message};
pub use nearest::nearest;
pub use report::{HOLD_DEFAULT, Report, ReportKind};
pub use spec::{AttributeKind, AttributeSpec, Kind, Spec};
pub use value::{AttributeError, FunctionRef, Value};
