use super::*;
use crate::factory::testing::{list, refused};
use crate::source::testing::{Collected, checked};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::{self, OpenOptions};
use std::io::Write;
use tempfile::TempDir;

fn text(path: &Path) -> Value {
    path.to_str().unwrap().into()
}

#[track_caller]
fn run(values: &[(&str, Value)], out: &mut Collected) -> Result<(), String> {
    let mut source = FileSource::new(&checked(&SPEC, values)).unwrap().source().unwrap();
    source.run(out).map_err(|error| format!("{error:#}"))
}

#[track_caller]
fn texts(values: &[(&str, Value)]) -> Vec<String> {
    let mut out = Collected::default();
    run(values, &mut out).unwrap();
    out.texts()
}

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn files_are_read_in_order_and_each_once() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (name, data) in [("b.log", "b1\nb2"), ("a.log", "a1\n"), ("c.txt", "c1"), ("[x]", "x")] {
        fs::write(path(name), data).unwrap();
    }
    fs::create_dir(path("d.log")).unwrap();
    let all = text(&path("*.log"));
    assert_eq!(texts(&[("path", all.clone())]), ["a1", "b1", "b2"]);
    let several = Value::List(vec![text(&path("c.txt")), all, text(&path("a.log"))]);
    assert_eq!(texts(&[("path", several)]), ["c1", "a1", "b1", "b2"]);
    assert_eq!(texts(&[("path", text(&path("[x]")))]), ["x"]);
}

#[test]
fn what_is_packed_is_unpacked() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a");
    // Two members, and a line that goes from one to the other.
    fs::write(&path, [packed("one\ntw"), packed("o\nthree")].concat()).unwrap();
    assert_eq!(texts(&[("path", text(&path))]), ["one", "two", "three"]);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    let error = run(&[("path", text(&path))], &mut Collected::default()).unwrap_err();
    assert!(error.starts_with(&format!("file_source: cannot read {path:?}: ")), "{error}");
    // More than the buffer that is unpacked from.
    for zeros in [1, 10, 100_000] {
        let padding = vec![0; zeros];
        fs::write(&path, [&whole[..], &padding].concat()).unwrap();
        assert_eq!(texts(&[("path", text(&path))]), ["one", "two", "three"], "{zeros}");
        fs::write(&path, [&whole[..], &padding, &whole].concat()).unwrap();
        let error = run(&[("path", text(&path))], &mut Collected::default()).unwrap_err();
        assert!(error.ends_with("bytes stand behind the zeros at its end"), "{error}");
    }
    fs::write(&path, [0x1f]).unwrap();
    assert_eq!(texts(&[("path", text(&path))]), [r"\x1f"]);
}

#[test]
fn a_file_may_be_called_as_no_pattern_is_written() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a[b.log");
    fs::write(&path, "x").unwrap();
    assert_eq!(texts(&[("path", text(&path))]), ["x"]);
    let quoted = folder.path().join("a[[]b.*");
    assert_eq!(texts(&[("path", text(&quoted))]), ["x"]);
}

#[test]
fn messages_name_their_files_and_lines() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.csv");
    fs::write(&path, "h\n\"1\n2\"\n3\n").unwrap();
    let values = [("path", text(&path)), ("annotate", true.into()), ("codec", "csv".into())];
    let mut out = Collected::default();
    run(&values, &mut out).unwrap();
    let attribute = |index: usize, name| out.messages[index].attribute(name);
    assert_eq!(attribute(1, PATH), Some(path.to_str().unwrap().as_bytes()));
    assert_eq!((attribute(0, LINE), attribute(1, LINE)), (Some(&b"2"[..]), Some(&b"4"[..])));
    assert_eq!(attribute(1, "csv.header"), Some(&b"h"[..]));
    let mut out = Collected::default();
    run(&values[..1], &mut out).unwrap();
    assert_eq!(out.messages[0].attributes().count(), 0);
}

#[test]
fn files_that_are_not_there_are_errors() {
    let folder = TempDir::new().unwrap();
    for (name, says) in [("none", "cannot read"), ("*.log", "no file is")] {
        let path = folder.path().join(name);
        let error = run(&[("path", text(&path))], &mut Collected::default()).unwrap_err();
        assert!(error.starts_with(&format!("file_source: {says} {path:?}")), "{error}");
    }
    let error = run(&[("path", text(folder.path()))], &mut Collected::default()).unwrap_err();
    assert!(error.ends_with(": it is a folder"), "{error}");
    let pipe = folder.path().join("pipe");
    let name = std::ffi::CString::new(pipe.to_str().unwrap()).unwrap();
    // SAFETY: the name ends with NUL, and is there for the call.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let error = run(&[("path", text(&pipe))], &mut Collected::default()).unwrap_err();
    assert!(error.ends_with(": it is a pipe, which `stdin` can read"), "{error}");
}

#[test]
fn a_stop_ends_it_between_two_chunks() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a");
    fs::write(&path, "line\n".repeat(100_000)).unwrap();
    let mut out = Collected::after(1);
    run(&[("path", text(&path))], &mut out).unwrap();
    let count = out.messages.len();
    assert!((1..=super::super::feed::CHUNK / 5 + 1).contains(&count), "{count}");
}

/// Follows, and does the next of these things whenever so many messages have come as it says; stops at the end.
#[track_caller]
fn follow(values: &[(&str, Value)], things: Vec<(usize, Box<dyn Fn()>)>) -> Vec<String> {
    let mut things = things.into_iter().peekable();
    let mut out = Collected::until(move |messages| {
        while let Some((_, thing)) = things.next_if(|(count, _)| messages.len() >= *count) {
            thing();
        }
        things.peek().is_none()
    });
    let mut all = vec![("follow", true.into())];
    all.extend_from_slice(values);
    run(&all, &mut out).unwrap();
    out.texts()
}

/// What is done at a number of messages, to a file of this name.
fn at(count: usize, path: &Path, thing: impl Fn(&Path) + 'static) -> (usize, Box<dyn Fn()>) {
    let path = path.to_owned();
    (count, Box::new(move || thing(&path)))
}

#[test]
fn a_file_is_followed_as_it_grows() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a");
    let things = vec![
        at(0, &path, |path| append(path, "1\n2")),
        at(1, &path, |path| append(path, "2\n3\n")),
        at(3, &path, |path| append(path, "4")),
        at(3, &path, |path| append(path, "4\n5")),
        at(4, &path, |_| {}),
    ];
    assert_eq!(follow(&[("path", text(&path))], things), ["1", "22", "3", "44"]);
}

#[test]
fn it_begins_at_the_end_if_it_is_told_to() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a");
    append(&path, "old\n");
    // It is open when it has been looked at twice.
    let looks = std::cell::Cell::new(0);
    let grow = path.clone();
    let mut out = Collected::until(move |messages| {
        looks.set(looks.get() + 1);
        if looks.get() == 2 {
            append(&grow, "new\n");
        }
        if messages.len() == 1 {
            // The start is for the first file alone.
            fs::rename(&grow, grow.with_extension("1")).unwrap();
            append(&grow, "other\n");
        }
        messages.len() > 1
    });
    let values = [("path", text(&path)), ("follow", true.into()), ("start", "end".into())];
    run(&values, &mut out).unwrap();
    assert_eq!(out.texts(), ["new", "other"]);
}

#[test]
fn records_that_come_at_the_end_have_the_header_of_the_beginning() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a");
    append(&path, "a,b\n1,2\n");
    let looks = std::cell::Cell::new(0);
    let grow = path.clone();
    let mut out = Collected::until(move |messages| {
        looks.set(looks.get() + 1);
        if looks.get() == 2 {
            append(&grow, "3,4\n5,6\n7");
        }
        messages.len() == 2
    });
    let values = [
        ("path", text(&path)),
        ("follow", true.into()),
        ("start", "end".into()),
        ("codec", "csv".into()),
    ];
    run(&values, &mut out).unwrap();
    assert_eq!(out.texts(), ["3,4", "5,6"]);
    assert!(out.messages.iter().all(|message| message.attribute("csv.header") == Some(b"a,b")));
}

/// By a pattern, which finds the old file again by its new name.
#[test]
fn what_was_read_is_not_read_again_by_another_name() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.log");
    append(&path, "1\n2\n");
    let things = vec![
        at(2, &path, |path| {
            fs::rename(path, path.with_extension("log.1")).unwrap();
            append(path, "3\n");
        }),
        // Files are looked for again after a second, twice.
        at(3, &path, |_| thread::sleep(SEARCH_EVERY)),
        at(3, &path, |_| {}),
        at(3, &path, |_| thread::sleep(SEARCH_EVERY)),
        at(3, &path, |path| append(path, "4\n")),
        at(4, &path, |_| {}),
    ];
    let pattern = text(&folder.path().join("a.log*"));
    assert_eq!(follow(&[("path", pattern)], things), ["1", "2", "3", "4"]);
    let link = folder.path().join("b.log");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let both = Value::List(vec![text(&path), text(&link)]);
    assert_eq!(texts(&[("path", both)]), ["3", "4"]);
}

#[test]
fn a_file_that_is_replaced_is_read_to_its_end_first() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a");
    append(&path, "1\n");
    let things = vec![
        at(1, &path, |path| {
            let old = path.with_extension("1");
            fs::rename(path, &old).unwrap();
            append(&old, "2\n3");
        }),
        // Nothing has its name: the old one is kept.
        at(2, &path, |path| append(&path.with_extension("1"), "3\n4")),
        // It is longer than what was read of the old one: its length alone says nothing.
        at(3, &path, |path| append(path, "5\n6\n7\n8\n9\n")),
        at(9, &path, |_| {}),
    ];
    assert_eq!(
        follow(&[("path", text(&path))], things),
        ["1", "2", "33", "4", "5", "6", "7", "8", "9"]
    );
}

#[test]
fn a_file_that_is_cut_is_read_from_its_beginning() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a");
    append(&path, "1\n2\n3");
    let things = vec![
        at(2, &path, |path| fs::write(path, "4\n").unwrap()),
        at(4, &path, |path| append(path, "5\n")),
        at(5, &path, |_| {}),
    ];
    assert_eq!(follow(&[("path", text(&path))], things), ["1", "2", "3", "4", "5"]);
}

#[test]
fn files_that_come_later_are_followed_too() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.log");
    append(&path, "1\n");
    let things = vec![
        at(1, &path, |path| append(&path.with_file_name("b.log"), "2\n")),
        at(2, &path, |path| fs::write(path.with_file_name("c.log"), packed("3\n4")).unwrap()),
        at(4, &path, |path| append(path, "5\n")),
        at(5, &path, |_| {}),
    ];
    let pattern = folder.path().join("*.log");
    assert_eq!(follow(&[("path", text(&pattern))], things), ["1", "2", "3", "4", "5"]);
}

#[test]
fn values_out_of_bounds_are_refused() {
    assert_eq!(refused::<FileSource>(&[]), "`file_source` needs the attribute `path`");
    let path = |value: Value| refused::<FileSource>(&[("path", value)]);
    assert_eq!(path(list(&[])), "`path` = {}: expected a path at least");
    assert_eq!(path(list(&[""])), "`path` = \"\": expected paths of files");
    let error = path("a[".into());
    let start = "`path` = \"a[\": expected a pattern, or a file that is there; at character 1: ";
    assert!(error.starts_with(start) && error.contains("`[[]` stands for `[`"), "{error}");
    let error = refused::<FileSource>(&[("path", "a".into()), ("start", "end".into())]);
    assert_eq!(error, "`start` = \"end\": expected \"beginning\", or `follow` = true");
}
