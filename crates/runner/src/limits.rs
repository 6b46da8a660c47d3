//! The limits that stand on everything.

use std::time::Duration;

/// The most components of a pipeline, sources included.
pub const COMPONENTS_MAX: usize = 256;
/// The bytes that a message has memory for at the start.
pub const MESSAGE_CAPACITY_DEFAULT: usize = 512;
/// The bytes that a message may have.
pub const MESSAGE_MAX_DEFAULT: usize = 16 * 1024 * 1024;
/// The most that `message_max` may say.
pub const MESSAGE_MAX_MAX: usize = 1 << 30;
/// The messages in flight of each source.
pub const WINDOW_DEFAULT: usize = 4096;
/// The most that `window` may say.
pub const WINDOW_MAX: usize = 1 << 16;
/// How long threads beside the workers sleep that have something to do again and again, so that they need not be woken
/// each time.
pub const NAP: Duration = Duration::from_micros(200);
/// The memory that a script may use.
pub const SCRIPT_MEMORY_MAX: usize = 256 * 1024 * 1024;
/// The bytes of a script.
pub const SCRIPT_SIZE_MAX: u64 = 4 * 1024 * 1024;
/// The time that a script has to say what the pipeline is.
pub const SCRIPT_TIME_MAX: Duration = Duration::from_secs(5);
/// The time that a function of the script has for a message.
pub const FUNCTION_TIME_MAX: Duration = Duration::from_secs(10);
/// The instructions of a script between two looks at the clock.
pub const SCRIPT_INSTRUCTIONS_PER_LOOK: u32 = 100_000;
/// The failures that are told one by one; those after are only counted.
pub const FAILURES_TOLD: u64 = 20;
/// The depth of tables that a script may give as values.
pub const VALUE_DEPTH_MAX: usize = 16;
/// The entries of a table that a script may give as a value.
pub const VALUE_ENTRIES_MAX: usize = 100_000;
/// The problems of a script that are told one by one; those after are only counted.
pub const PROBLEMS_TOLD: usize = 100;
/// The characters of a problem that are shown.
pub const TEXT_SHOWN: usize = 2000;
/// The characters of a line of a script that are shown.
pub const LINE_SHOWN: usize = 200;
