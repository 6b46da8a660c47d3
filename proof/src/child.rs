//! A test run again in a process of its own, for what changes a whole process.

use std::env;
use std::process::Command;

/// Set in the child.
const CHILD: &str = "STAGELINE_PROOF_CHILD";

/// Whether this process is the child of [`run_again`].
pub fn is_child() -> bool {
    env::var_os(CHILD).is_some()
}

/// Runs the test of this name, of the calling test binary, in a process of its own, as `prepare` sets
/// it up. Returns what it printed.
///
/// # Panics
///
/// With what the child printed, if its test failed or there is no such test.
#[track_caller]
pub fn run_again(test: &str, prepare: impl FnOnce(&mut Command)) -> String {
    let mut command = Command::new(env::current_exe().expect("this binary has a path"));
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(CHILD, "1");
    prepare(&mut command);
    let output = command.output().expect("this binary can be started");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    // A name that fits no test is a success of no tests.
    let ran = printed.contains("1 passed");
    assert!(output.status.success() && ran, "{}\n{printed}\n{errors}", output.status);
    printed
}
