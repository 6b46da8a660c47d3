//! The names of the files that a sink writes one after the other.
//!
//! Of `out.log` the one that is written is `out.log.part`; those that are finished are `out.000001.log`,
//! `out.000002.log`, and so on, behind those that are there.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

pub(super) struct Parts {
    path: PathBuf,
    last: u64,
}

/// Of `out.log`: `out` and `.log`.
fn split(path: &Path) -> (OsString, OsString) {
    let stem = path.file_stem().unwrap_or_default().to_owned();
    let mut end = OsString::new();
    if let Some(extension) = path.extension() {
        end.push(".");
        end.push(extension);
    }
    (stem, end)
}

impl Parts {
    /// Looks which files are there.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let (stem, end) = split(path);
        let (stem, end) = (stem.to_string_lossy(), end.to_string_lossy());
        let mut last = 0;
        for entry in fs::read_dir(folder(path))? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            let middle = name.strip_prefix(&*stem).and_then(|rest| rest.strip_suffix(&*end));
            let number = middle.and_then(|middle| middle.strip_prefix('.')?.parse().ok());
            last = last.max(number.unwrap_or(0));
        }
        Ok(Self { path: path.to_owned(), last })
    }

    /// The one that is written.
    pub(super) fn current(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".part");
        name.into()
    }

    /// Gives the one that is written its name, at once and for good.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let (stem, end) = split(&self.path);
        loop {
            self.last += 1;
            let mut name = stem.clone();
            name.push(format!(".{:06}", self.last));
            name.push(&end);
            let finished = self.path.with_file_name(name);
            // Another one's is not replaced.
            if !finished.try_exists()? {
                return fs::rename(self.current(), finished);
            }
        }
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A name is on the disk when its folder is.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn names(folder: &TempDir) -> Vec<String> {
        let entries = fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn numbers_go_on_behind_those_that_are_there() {
        let folder = TempDir::new().unwrap();
        for name in ["out.000007.log", "out.x.log", "out.log", "out.9.txt", "other.12.log"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let mut parts = Parts::new(&folder.path().join("out.log")).unwrap();
        fs::write(parts.current(), "new").unwrap();
        // One that came meanwhile.
        fs::write(folder.path().join("out.000008.log"), "theirs").unwrap();
        parts.finish().unwrap();
        assert_eq!(fs::read(folder.path().join("out.000008.log")).unwrap(), b"theirs");
        assert_eq!(fs::read(folder.path().join("out.000009.log")).unwrap(), b"new");
        assert!(parts.finish().is_err(), "nothing is written");
        sync_folder(&folder.path().join("out.log")).unwrap();
    }

    #[test]
    fn names_without_an_extension_have_numbers_too() {
        let folder = TempDir::new().unwrap();
        let mut parts = Parts::new(&folder.path().join("out")).unwrap();
        for _ in 0..2 {
            fs::write(parts.current(), "").unwrap();
            parts.finish().unwrap();
        }
        assert_eq!(names(&folder), ["out.000001", "out.000002"]);
        assert!(Parts::new(&folder.path().join("none/out")).is_err());
    }
}
