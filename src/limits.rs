//! The limits that stand on everything a user can ask for, as named constants.
//!
//! [`Builder::build`](crate::Builder::build) checks each value against them and reports every
//! violation at once.

use std::time::Duration;

/// Workers of one pipeline, at most.
pub const WORKERS_MAX: usize = 256;
/// The largest id of a CPU that a worker can be pinned to: the system's CPU sets have 1024 bits.
pub const CPU_ID_MAX: usize = 1023;
/// Request groups of one pipeline, at most.
pub const GROUPS_MAX: usize = 65_536;
/// Request groups of one pipeline, by default.
pub const GROUPS_DEFAULT: usize = 32;
/// Slots of one group, at least.
pub const WINDOW_MIN: usize = 2;
/// Slots of one group, at most.
pub const WINDOW_MAX: usize = 1 << 20;
/// Slots of one group, by default.
pub const WINDOW_DEFAULT: usize = 1024;
/// Dead letters of one group, at most.
pub const DEAD_LETTERS_MAX: usize = 1 << 20;
/// Requests that a worker claims at once, at most.
pub const BATCH_MAX: usize = 256;
/// Bound on a claimed batch, by default.
pub const BATCH_DEFAULT: usize = 128;
/// A group's weight, at most.
pub const WEIGHT_MAX: u32 = 1000;
/// Of a worker's time its ordinary groups are left one part in this many while its express groups always
/// have requests, or one batch after each of theirs where that is less.
pub const ORDINARY_PART: u64 = 10;
/// Stages of one machine, at most.
pub const STAGES_MAX: usize = 4096;
/// Hooks that run before each stage, at most.
pub const HOOKS_MAX: usize = 64;
/// Stages that one request may run through, by default, before it ends as cyclic.
pub const VISITS_DEFAULT: u32 = 1_000_000;
/// Stage ids kept in the trace of a request that ended as cyclic.
pub const TRACE_LEN: usize = 14;
/// One request in this many has its times taken, by default.
pub const SAMPLE_DEFAULT: u64 = 1024;
/// Shortest time after which a group can be said to be stalled, in milliseconds.
pub const STALL_MS_MIN: u64 = 1;
/// Longest time after which a group can be said to be stalled, in milliseconds (one day).
pub const STALL_MS_MAX: u64 = 86_400_000;

/// Bytes of what a stage says of a request ([`Request::describe`](crate::Request::describe)), at most.
pub const DESCRIPTION_MAX: usize = 120;
/// Attempts that a request has at a stage that asks for retries, by default.
pub const RETRY_ATTEMPTS_DEFAULT: u32 = 3;
/// Attempts that a request can have at a stage, at most.
pub const RETRY_ATTEMPTS_MAX: u32 = 1_000_000;
/// The time before the first retry, by default.
pub const RETRY_FIRST_DEFAULT: Duration = Duration::from_millis(1);
/// By how much it grows from one retry to the next, by default.
pub const RETRY_FACTOR_DEFAULT: f64 = 2.0;
/// By how much it can grow from one retry to the next, at most.
pub const RETRY_FACTOR_MAX: f64 = 1000.0;
/// The longest time before a retry, by default.
pub const RETRY_CAP_DEFAULT: Duration = Duration::from_secs(1);
/// The longest time before a retry that can be asked for (one day).
pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(86_400);
/// The part of it that may be taken off at random, by default.
pub const RETRY_JITTER_DEFAULT: f64 = 0.5;
/// Pools of one pipeline, at most.
pub const POOLS_MAX: usize = 64;
/// Threads of all pools of one pipeline, at most.
pub const POOL_THREADS_MAX: usize = 1024;
/// How long a request is held at most whose stage answers by the status 1 without saying how long.
pub const HOLD_DEFAULT: Duration = Duration::from_millis(100);
/// Bytes that [`prefetch`](crate::prefetch) and [`prefetch_to_write`](crate::prefetch_to_write) ask for, at most.
pub const PREFETCH_MAX: usize = 512;
/// The largest status that a stage can answer with.
pub const STATUS_MAX: u32 = i32::MAX as u32;

const _: () = assert!(WINDOW_MAX <= 1 << 31, "a slot index and its lap bit share 32 bits");
const _: () = assert!(STAGES_MAX <= 1 << 16, "a stage id has 16 bits");
const _: () = assert!(GROUPS_MAX <= 1 << 32, "a group index has 32 bits");
const _: () = assert!(BATCH_DEFAULT <= BATCH_MAX);
const _: () = assert!(ORDINARY_PART > 1, "express groups have the other parts");
const _: () = assert!(WINDOW_MIN.is_power_of_two() && WINDOW_MAX.is_power_of_two());
