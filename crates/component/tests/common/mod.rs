//! What the tests share: plugins, built when they are needed.

// Each test binary uses a part of it.
#![allow(dead_code)]

use stageline_component::{EmitError, Emitter, Message, TooLarge};
use std::path::{Path, PathBuf};
use std::process::Command;

pub fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the workspace.
pub fn of_workspace(path: &str) -> PathBuf {
    package().join("../..").join(path)
}

pub fn compiler(name: &str) -> Command {
    let mut command = Command::new(name);
    command.args(["-Wall", "-Wextra", "-Werror", "-pedantic"]);
    command.arg("-I").arg(package().join("include"));
    command
}

#[track_caller]
pub fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{text}");
}

/// Builds a plugin of one C file into a folder.
#[track_caller]
pub fn c_plugin(folder: &Path, source: &Path, options: &[&str]) -> PathBuf {
    built(compiler("cc").arg("-std=gnu11").args(options), folder, source)
}

/// Builds a plugin of one C++ file into a folder.
#[track_caller]
pub fn cpp_plugin(folder: &Path, source: &Path) -> PathBuf {
    let options = ["-std=c++11", "-Wno-missing-field-initializers"];
    built(compiler("c++").args(options), folder, source)
}

#[track_caller]
fn built(compiler: &mut Command, folder: &Path, source: &Path) -> PathBuf {
    let built = folder.join(source.with_extension("so").file_name().unwrap());
    compiler.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&built).arg(source);
    succeed(compiler);
    built
}

/// Builds something of Rust, in a folder of its own below the target folder, so that nobody waits for the outer
/// cargo; and says where the folders of its profiles are.
#[track_caller]
pub fn cargo_build(what: &[&str]) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugins");
    let mut command = Command::new(env!("CARGO"));
    command.arg("build").args(what).arg("--target-dir").arg(&target).current_dir(package());
    succeed(&mut command);
    target
}

/// The file of a library that cargo has built.
pub fn library(folder: &Path, name: &str) -> PathBuf {
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    folder.join(format!("{prefix}{name}{suffix}"))
}

/// A message that says this.
pub fn message(data: &[u8]) -> Message {
    let mut message = Message::new(16, 1000);
    message.set_data(data).unwrap();
    message
}

/// Keeps what is emitted: messages of up to ten bytes, and so many of them.
pub struct Kept {
    pub messages: Vec<Message>,
    pub room: usize,
}

impl Emitter for Kept {
    fn emit(
        &mut self,
        fill: &mut dyn FnMut(&mut Message) -> Result<(), TooLarge>,
    ) -> Result<u64, EmitError> {
        if self.is_stopping() {
            return Err(EmitError::Stopping);
        }
        let mut message = Message::new(0, 10);
        fill(&mut message)?;
        self.messages.push(message);
        Ok(self.messages.len() as u64 - 1)
    }

    fn is_stopping(&self) -> bool {
        self.messages.len() == self.room
    }
}

pub fn kept(room: usize) -> Kept {
    Kept { messages: Vec::new(), room }
}
