//! The command line.
//!
//! Data go to stdout, all else to stderr. Exit status: 0 well, 1 something failed while it ran, 2 usage, 78 the script
//! is wrong, 130 or 143 ended by a signal.

mod components;
mod man;
mod progress;
mod run;
mod scaffold;
mod style;

use clap::{ColorChoice, CommandFactory, Parser, Subcommand, ValueEnum};
use stageline_runner::{Script, View};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Something failed while it ran.
pub(crate) const FAILED: u8 = 1;
/// The script is wrong (`EX_CONFIG` of sysexits).
pub(crate) const CONFIGURATION: u8 = 78;

/// Runs message pipelines of components, which a Lua script puts together.
#[derive(Parser)]
#[command(name = "stageline", version, propagate_version = true)]
#[command(
    after_help = "Exit status: 0 well, 1 something failed, 2 usage, 78 the script is wrong, 130 or 143 a signal."
)]
struct Cli {
    /// Whether to use colours.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the pipeline of a script until its sources end, or a signal comes.
    Run(run::Args),
    /// Say all that is wrong with a script, or what its pipeline is.
    ///
    /// The script is run, and no message: components get their attributes, plugins are loaded, and tables to look
    /// things up in are read. Nothing is written, and no connection is made. Files and folders that sources and sinks
    /// name are looked for; one that is not there is a warning, since it may be there when the pipeline runs. Nobody is
    /// asked for addresses, and nothing is known of patterns that find no file, and of paths of plugins.
    Check {
        /// The script; `-` for stdin.
        file: PathBuf,
        /// How to write the pipeline.
        #[arg(long, default_value = "text")]
        format: Format,
    },
    /// List the components, or describe one.
    ///
    /// A plugin is loaded to be described, which runs code of it.
    Components {
        /// Its name, or the path of a plugin, such as `./libfoo.so`.
        name: Option<String>,
        /// Write types for the language server of Lua.
        #[arg(long, conflicts_with = "name")]
        lua_types: bool,
        /// Describe all of them, as a page of Markdown.
        #[arg(long, conflicts_with_all = ["name", "lua_types"])]
        markdown: bool,
    },
    /// Write a pipeline or a component to begin with, that builds and runs.
    New(scaffold::Args),
    /// Write the completions of a shell to stdout.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the man page to stdout, or those of all commands into a folder.
    ///
    /// The page on stdout is that of `stageline` itself, which names the commands. The options of each stand in
    /// its own page: `stageline man --into FOLDER` writes them all, by the names that they are installed as.
    Man(man::Args),
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// A line for each way.
    Text,
    /// For Graphviz.
    Dot,
    /// For Mermaid.
    Mermaid,
}

pub fn main() -> ExitCode {
    ignore_broken_pipes();
    let cli = Cli::parse();
    let style = style::Style::of_stderr(cli.color);
    match cli.command {
        Command::Run(args) => run::run(&args, style),
        Command::Check { file, format } => match Script::load(&file) {
            Ok(script) => {
                style.tell(&script.warnings);
                print(&script.plan.view(match format {
                    Format::Text => View::Text,
                    Format::Dot => View::Dot,
                    Format::Mermaid => View::Mermaid,
                }))
            }
            Err(diagnosis) => {
                style.tell(&diagnosis);
                ExitCode::from(CONFIGURATION)
            }
        },
        Command::Components { lua_types: true, .. } => print(&stageline_runner::lua_types()),
        Command::Components { markdown: true, .. } => print(&components::markdown()),
        Command::Components { name, .. } => components::components(name.as_deref(), style),
        Command::New(args) => scaffold::new(&args, style),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "stageline", &mut text);
            print(&String::from_utf8_lossy(&text))
        }
        Command::Man(args) => man::man(&args, Cli::command(), style),
    }
}

/// A reader that has gone is an error of the write, and no signal.
fn ignore_broken_pipes() {
    // Rust's runtime ignores SIGPIPE already; this says so, and holds where the default is another.
    #[cfg(unix)]
    // SAFETY: to ignore a signal has no handler that could be unsound.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
    }
}

/// To stdout. Nobody who reads is a clean end.
fn print(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            stageline_runner::say!("stageline: stdout: {error}");
            ExitCode::from(FAILED)
        }
        _ => ExitCode::SUCCESS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
