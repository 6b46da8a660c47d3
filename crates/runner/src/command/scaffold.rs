//! `stageline new`: files to begin with.

use super::style::Style;
use super::{FAILED, print};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// A script: `NAME.lua`.
    Pipeline {
        /// Its name: letters, digits and `_`.
        #[arg(value_parser = named)]
        name: String,
    },
    /// A plugin: a folder NAME, of Rust or of C.
    Component {
        /// Its name: letters, digits and `_`.
        #[arg(value_parser = named_in_code)]
        name: String,
        /// In C: one file, which needs the header that comes with it and nothing else.
        #[arg(long)]
        c: bool,
        /// Where `stageline-component` is, a folder; else it comes from the registry.
        #[arg(long, value_name = "FOLDER", conflicts_with = "c")]
        sdk: Option<PathBuf>,
    },
}

/// A name that files and functions may have.
fn named(name: &str) -> Result<String, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    match begins && name.chars().all(is_name) {
        true => Ok(name.to_owned()),
        false => Err(String::from("expected letters, digits and `_`, and a letter first")),
    }
}

/// What Cargo refuses as the name of a package, or warns of, by lists of its own.
const TAKEN: &str = "abstract alloc as async await become box break const continue core crate do dyn else enum \
                     extern false final fn for gen if impl in let loop macro match mod move mut override priv \
                     proc_macro pub ref return self static std struct super test trait true try type typeof unsafe \
                     unsized use virtual where while yield";

/// A name that a package may have, too.
fn named_in_code(name: &str) -> Result<String, String> {
    match TAKEN.split_whitespace().any(|word| word == name.to_lowercase()) {
        true => Err(String::from("the word is one of Rust's: expected another")),
        false => named(name),
    }
}

const PIPELINE: &str = include_str!("scaffold/pipeline.lua");
const RUST_MANIFEST: &str = include_str!("scaffold/Cargo.toml.txt");
const RUST_SOURCE: &str = include_str!("scaffold/lib.rs.txt");
const C_SOURCE: &str = include_str!("scaffold/component.c");

pub fn new(args: &Args, style: Style) -> ExitCode {
    match files(&args.what).and_then(|(files, hint)| write(&files).map(|()| hint)) {
        Ok(hint) => print(&hint),
        Err(error) => {
            style.error(&error);
            ExitCode::from(FAILED)
        }
    }
}

type Files = Vec<(PathBuf, String)>;

fn files(what: &What) -> Result<(Files, String), String> {
    match what {
        What::Pipeline { name } => {
            let path = PathBuf::from(format!("{name}.lua"));
            let hint = format!("wrote {name}.lua; run it: stageline run {name}.lua\n");
            Ok((vec![(path, PIPELINE.replace("NAME", name))], hint))
        }
        What::Component { name, c: false, sdk } => {
            let folder = Path::new(name);
            let source = match sdk {
                None => format!("{:?}", env!("CARGO_PKG_VERSION")),
                Some(sdk) => {
                    let sdk = sdk
                        .canonicalize()
                        .map_err(|error| format!("{}: {error}", sdk.display()))?;
                    format!("{{ path = {:?} }}", sdk)
                }
            };
            let files = vec![
                (
                    folder.join("Cargo.toml"),
                    RUST_MANIFEST.replace("NAME", name).replace("SOURCE", &source),
                ),
                (folder.join("src/lib.rs"), RUST_SOURCE.replace("NAME", name)),
            ];
            let registry = match sdk {
                None => {
                    "it takes `stageline-component` from the registry; `--sdk crates/component` takes it from a clone\n"
                }
                Some(_) => "",
            };
            let hint = format!(
                "wrote {name}/; build it: cargo build --release --manifest-path {name}/Cargo.toml\nthen load \
                 {name}/target/release/lib{name}.so by stageline.plugin\n{registry}"
            );
            Ok((files, hint))
        }
        What::Component { name, c: true, .. } => {
            let folder = Path::new(name);
            let files = vec![
                (folder.join(format!("{name}.c")), C_SOURCE.replace("NAME", name)),
                (folder.join("stageline_component.h"), stageline_component::HEADER.to_owned()),
            ];
            let hint = format!(
                "wrote {name}/; build it: cc -shared -fPIC -O2 -o {name}/{name}.so {name}/{name}.c\nthen load \
                 {name}/{name}.so by stageline.plugin\n"
            );
            Ok((files, hint))
        }
    }
}

/// Writes files that are not there yet.
fn write(files: &Files) -> Result<(), String> {
    if let Some((path, _)) = files.iter().find(|(path, _)| path.exists()) {
        return Err(format!("{} is there already", path.display()));
    }
    for (path, text) in files {
        let failed = |error| format!("{}: {error}", path.display());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        fs::write(path, text).map_err(failed)?;
    }
    Ok(())
}
