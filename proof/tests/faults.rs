//! Faults, by name: what user code does wrong, and what the system takes away. Each costs the request or
//! the group that it happens to, and the others go on.
//!
//! Beside these: drops and closures that panic, and memory that cannot be had at build (`tests/drops.rs`,
//! `tests/bombs.rs`, `tests/refused_memory.rs` and `tests/bad_input.rs` of the engine), a thread that
//! cannot be had (`tests/limits.rs`), a clock that jumps (`tests/clock.rs`), threads that are stopped
//! (`tests/stalls.rs`).

#![cfg(target_os = "linux")]

#[path = "faults/cpus.rs"]
mod cpus;
#[path = "faults/stages.rs"]
mod stages;
