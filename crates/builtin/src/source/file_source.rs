//! Files, to their ends or for as long as they grow.

use super::feed::{ANNOTATE, Feed, Origin, Stop, ended};
use super::tail::{Identity, Tail, identity, open};
use super::wait::LOOK_EVERY;
use crate::codec::{DECODE, Decoding, joined};
use crate::factory::{Plan, defaulted, required};
use glob::Pattern;
use stageline_component::{
    AttributeError, AttributeKind, AttributeSpec, Attributes, Emitter, Error, Kind, Source, Spec,
    Value,
};
use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The attributes of a message that name its file and the line in which it begins.
const PATH: &str = "file.path";
pub(super) const LINE: &str = "file.line";

/// How often files that are new are looked for.
const SEARCH_EVERY: Duration = Duration::from_secs(1);

/// How many files are followed at once: each is open.
const FOLLOWED_MAX: usize = 512;

/// Of how many files that were read to their ends it is remembered that they were.
const FINISHED_MAX: usize = 4096;

const OWN: [AttributeSpec; 3] = [
    required(
        "path",
        AttributeKind::List,
        "The files: a path, or several. `*`, `?`, `[ab]` and `**` stand for parts of names, unless a file is called so; \
         `[*]`, `[?]` and `[[]` for these signs themselves.",
    ),
    defaulted(
        "follow",
        AttributeKind::Boolean,
        "false",
        "Whether to go on at the ends of the files, and to wait for more, and for more files.",
    ),
    defaulted(
        "start",
        AttributeKind::OneOf(&["beginning", "end"]),
        "beginning",
        "Where to begin in the files that are there at the start, if they are followed.",
    ),
];

static SPEC: Spec = Spec {
    name: "file_source",
    kind: Kind::Source,
    summary: "Reads messages from files, and follows them as they grow",
    attributes: &joined::<10>(&[&OWN, &DECODE, &[ANNOTATE]]),
    doc: "\
Reads files one after the other, in the order of `path`, those of a pattern by name; none twice. A file that begins as
gzip does is unpacked, and zeros at its end are left out. Each file is a stream of its own: its last line needs no end.
What a pattern finds that is a folder, or a link that leads nowhere, is left out; a file that cannot be read ends the run.

With `follow` it reads up to 512 files at once as they grow, and ends when the run is to stop. A path that is not
there yet, or cannot be read, is waited for. When another file has taken a name, the rest of the old one is read first; a file that has
become shorter is read from its beginning. What a pattern finds again by another name is not read again. A file that has no
name any more is left when nothing has come for 10 seconds. A packed file must be whole when it gets its name. The last line then is whole when its end has come, or another file has.

With `annotate` each message has the attributes `file.path` and, if its codec has lines, `file.line`, which counts
from where the file was begun.

```lua
local s = require(\"stageline\")
s.pipeline { s.file_source { path = \"/var/log/app/*.log\", follow = true, annotate = true }, s.stdout {} }
```
",
};

#[derive(Clone)]
pub(super) struct FileSource {
    paths: Vec<String>,
    follow: bool,
    starts_at_end: bool,
    decoding: Decoding,
    is_annotated: bool,
}

impl Plan for FileSource {
    const SPEC: &'static Spec = &SPEC;

    fn new(attributes: &Attributes) -> Result<Self, Error> {
        let list = attributes.list("path").unwrap_or_default();
        let invalid = |value: &Value, expected: &str| {
            Error::from(AttributeError::invalid("path", value, expected))
        };
        let text = |value: &Value| {
            let text = value.to_text().filter(|text| !text.is_empty());
            let text = text.ok_or_else(|| invalid(value, "paths of files"))?;
            // A file may be called as no pattern is written.
            let pattern =
                if Path::new(&text).exists() { Ok(()) } else { Pattern::new(&text).map(drop) };
            pattern.map_err(|error| {
                let expected = format!(
                    "a pattern, or a file that is there; at character {}: {} (`[[]` stands for `[`, `[*]` for `*`)",
                    error.pos, error.msg
                );
                invalid(value, &expected)
            })?;
            Ok(text)
        };
        let paths = list.iter().map(text).collect::<Result<Vec<_>, Error>>()?;
        if paths.is_empty() {
            return Err(invalid(&Value::List(Vec::new()), "a path at least"));
        }
        let follow = attributes.boolean("follow") == Some(true);
        let starts_at_end = attributes.text("start") == Some("end");
        if starts_at_end && !follow {
            let expected = "\"beginning\", or `follow` = true";
            return Err(AttributeError::invalid("start", &"end".into(), expected).into());
        }
        Ok(Self {
            paths,
            follow,
            starts_at_end,
            decoding: Decoding::of(attributes)?,
            is_annotated: attributes.boolean("annotate") == Some(true),
        })
    }

    fn source(&self) -> Result<Box<dyn Source>, Error> {
        Ok(Box::new(self.clone()))
    }
}

impl Source for FileSource {
    fn run(&mut self, out: &mut dyn Emitter) -> Result<(), Error> {
        let mut feed = Feed::new(SPEC.name, &self.decoding);
        let result =
            if self.follow { self.follow(&mut feed, out) } else { self.read(&mut feed, out) };
        feed.end();
        ended(result)
    }
}

/// Whether a path stands for files by a part of their names.
fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

impl FileSource {
    /// The files that there are. Where none is missing that must be there, all are found.
    fn files(&self, must_be_there: bool) -> Result<Vec<PathBuf>, Error> {
        let mut files: Vec<PathBuf> = Vec::new();
        for path in &self.paths {
            let before = files.len();
            // A file whose name looks like a pattern is found by it.
            if !is_pattern(path) || Path::new(path).exists() {
                files.push(path.into());
            } else {
                let found = glob::glob(path).map_err(|error| {
                    Error::with_source(format!("file_source: {path:?} is no pattern"), error)
                })?;
                // Folders that cannot be read are as if they were empty.
                files.extend(found.flatten().filter(|file| file.is_file()));
            }
            if must_be_there && files.len() == before {
                return Err(Error::new(format!("file_source: no file is {path:?}")));
            }
        }
        // By what they are: one file may have several names.
        let (mut names, mut seen) = (HashSet::new(), HashSet::new());
        files.retain(|file| {
            names.insert(file.clone()) && identity(file).is_none_or(|(file, _)| seen.insert(file))
        });
        Ok(files)
    }

    fn read(&self, feed: &mut Feed, out: &mut dyn Emitter) -> Result<(), Stop> {
        for path in self.files(true)? {
            let name = path.display().to_string();
            let mut opened = open(&path).map_err(|error| failed(&name, error))?;
            let mut decoder = self.decoding.decoder();
            let mut chunk = vec![0; super::feed::CHUNK];
            let origin = self.origin(&name);
            loop {
                if out.is_stopping() {
                    feed.leave(&decoder, &origin);
                    return Ok(());
                }
                match opened.read(&mut chunk).map_err(|error| failed(&name, error))? {
                    0 => break feed.finish(&mut decoder, &origin, out)?,
                    read => feed.push(&mut decoder, &chunk[..read], &origin, out)?,
                }
            }
        }
        Ok(())
    }

    fn origin<'a>(&self, name: &'a str) -> Origin<'a> {
        match self.is_annotated {
            true => Origin { name, attribute: Some((PATH, name)), line: Some(LINE) },
            false => Origin::plain(name),
        }
    }

    fn follow(&self, feed: &mut Feed, out: &mut dyn Emitter) -> Result<(), Stop> {
        let mut tails: Vec<Tail> = Vec::new();
        let mut finished = VecDeque::new();
        let mut is_full = false;
        let mut searched: Option<Instant> = None;
        let mut chunk = vec![0; super::feed::CHUNK];
        while !out.is_stopping() {
            if searched.is_none_or(|searched| searched.elapsed() >= SEARCH_EVERY) {
                let was_full = is_full;
                is_full = !self.search(&mut tails, &finished, searched.is_none())?;
                if is_full && !was_full {
                    feed.say(format_args!("more than {FOLLOWED_MAX} files: others are not read"));
                }
                searched = Some(Instant::now());
            }
            let mut has_read = false;
            for tail in &mut tails {
                let name = tail.name().to_owned();
                let mut to = To { feed: &mut *feed, origin: self.origin(&name), out: &mut *out };
                has_read |= tail.step(&self.decoding, &mut chunk, &mut to)?;
                finished.extend(tail.finished.take());
            }
            tails.retain(|tail| !tail.is_over);
            finished.drain(..finished.len().saturating_sub(FINISHED_MAX));
            if !has_read {
                thread::sleep(LOOK_EVERY);
            }
        }
        for tail in &tails {
            tail.leave(feed, &self.origin(tail.name()));
        }
        Ok(())
    }

    /// Adds the files that are new. Whether there was room for all.
    fn search(
        &self,
        tails: &mut Vec<Tail>,
        finished: &VecDeque<(Identity, u64)>,
        is_first: bool,
    ) -> Result<bool, Error> {
        for path in self.files(false)? {
            let file = identity(&path);
            let is_read =
                |tail: &Tail| tail.path() == path || file.is_some_and(|(file, _)| tail.reads(file));
            // One that has grown since is another, whose number was free again.
            if tails.iter().any(is_read) || file.is_some_and(|file| finished.contains(&file)) {
                continue;
            }
            if tails.len() == FOLLOWED_MAX {
                return Ok(false);
            }
            tails.push(Tail::new(path, is_first && self.starts_at_end));
        }
        Ok(true)
    }
}

pub(super) fn failed(name: &str, error: std::io::Error) -> Error {
    Error::with_source(format!("file_source: cannot read {name:?}"), error)
}

/// Where what was read of a file goes.
pub(super) struct To<'a> {
    pub(super) feed: &'a mut Feed,
    pub(super) origin: Origin<'a>,
    pub(super) out: &'a mut dyn Emitter,
}

#[cfg(test)]
#[path = "file_source_tests.rs"]
mod tests;
