//! The command `stageline`.

mod command;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before there are threads.
    stageline::prepare();
    command::main()
}
