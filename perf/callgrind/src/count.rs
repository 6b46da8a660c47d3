//! Runs this program under valgrind, and reads what it counted.

use crate::parts::PARTS;
use std::path::Path;
use std::process::{Command, Stdio};

/// Instructions a request of each part.
pub fn all() -> Result<Vec<(&'static str, f64)>, String> {
    let found = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        return Err(String::from("valgrind is needed (Debian: apt-get install valgrind)"));
    }
    PARTS
        .iter()
        .map(|(part, function, requests)| Ok((*part, count(function)? / *requests as f64)))
        .collect()
}

/// Instructions inside of a function and of what it calls.
fn count(function: &str) -> Result<f64, String> {
    let own =
        std::env::current_exe().map_err(|error| format!("no path of this program: {error}"))?;
    let file = std::env::temp_dir().join(format!("callgrind-counts.{}", std::process::id()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", &format!("--toggle-collect=*{function}*")])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(own)
        .arg("--play")
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let counted = read(&file);
    // Left behind if valgrind failed, too.
    _ = std::fs::remove_file(&file);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("valgrind failed: {}\n{said}", output.status));
    }
    match counted? {
        0 => Err(format!("nothing was counted in `{function}`: was it inlined?")),
        total => Ok(total as f64),
    }
}

fn read(file: &Path) -> Result<u64, String> {
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    total(&text).ok_or_else(|| format!("{}: no totals", file.display()))
}

/// The line `totals: N` of callgrind's file.
fn total(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("totals:")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::total;

    #[test]
    fn the_total_is_found() {
        assert_eq!(total("events: Ir\nfn=(1) a\n1 2\ntotals: 1234\n"), Some(1234));
        assert_eq!(total("events: Ir\n"), None);
    }
}
