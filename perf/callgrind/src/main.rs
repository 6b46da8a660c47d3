//! Instructions a request, by part: submit, claim + run + complete, receive.
//!
//! `cargo run --release -p callgrind-counts` runs this program under `valgrind --tool=callgrind`, once for
//! each part, and compares the counts with those of `bounds.toml`: a rise above 3 % fails. With `--record`
//! it writes the bounds anew. Counts depend on the compiler, so the file names its version.
//!
//! One thread plays all parts, so there is no waiting that could be counted; the clock of the engine stands
//! still, so the same requests take the same batches each time.

mod bounds;
mod count;
mod parts;

use bounds::{Bounds, Verdict};
use std::path::Path;
use std::process::{Command, ExitCode};

const BOUNDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bounds.toml");

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // What runs under valgrind.
        ["--play"] => {
            parts::play();
            Ok(true)
        }
        [] => check(),
        ["--record"] => record().map(|()| true),
        _ => Err(String::from("usage: callgrind-counts [--record]")),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("callgrind-counts: {error}");
            ExitCode::from(2)
        }
    }
}

fn compiler() -> String {
    let version = Command::new("rustc").arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    version.unwrap_or_else(|_| String::from("unknown"))
}

/// Counts, and compares with the bounds. Whether all is well.
fn check() -> Result<bool, String> {
    let bounds = Bounds::read(Path::new(BOUNDS))?;
    let compiler = compiler();
    if bounds.compiler != compiler {
        println!("the bounds are those of {}, this is {compiler}", bounds.compiler);
    }
    let mut fine = true;
    println!("{:16} {:>9} {:>9}   instructions a request", "part", "counted", "bound");
    for (part, counted) in count::all()? {
        let bound = bounds.of(part)?;
        let verdict = bounds::judge(counted, bound);
        let word = match verdict {
            Verdict::Same => "",
            Verdict::Fewer => "fewer: record the bounds anew",
            Verdict::More => "MORE than 3 % above the bound",
        };
        println!("{part:16} {counted:>9.2} {bound:>9.2}   {word}");
        fine &= verdict != Verdict::More;
    }
    Ok(fine)
}

fn record() -> Result<(), String> {
    let bounds = Bounds::new(compiler(), count::all()?);
    let text = bounds.text();
    print!("{text}");
    std::fs::write(BOUNDS, text).map_err(|error| format!("{BOUNDS}: {error}"))
}
