//! `stageline man`.

use super::style::Style;
use super::{FAILED, print};
use clap::Command;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {
    /// Write the pages of all commands into this folder, which is made if it is not there: `stageline.1`,
    /// `stageline-run.1`, `stageline-check.1` and so on.
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
}

pub fn man(args: &Args, command: Command, style: Style) -> ExitCode {
    let Some(folder) = &args.into else {
        let mut text = Vec::new();
        return match clap_mangen::Man::new(command).render(&mut text) {
            Ok(()) => print(&String::from_utf8_lossy(&text)),
            Err(error) => failed(style, &error.to_string()),
        };
    };
    match pages(folder, command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(style, &format!("{}: {error}", folder.display())),
    }
}

fn pages(folder: &Path, command: Command) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    clap_mangen::generate_to(command, folder)
}

fn failed(style: Style, text: &str) -> ExitCode {
    style.error(&text);
    ExitCode::from(FAILED)
}
