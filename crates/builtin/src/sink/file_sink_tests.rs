use super::*;
use crate::factory::testing::{message, prepared, refused};
use crate::sink::testing::{Runner, texts};
use stageline_component::Value;
use std::path::Path;
use std::thread;
use tempfile::TempDir;

fn path(folder: &TempDir) -> PathBuf {
    folder.path().join("out.log")
}

/// A sink that writes each message by itself.
fn sink(path: &Path, values: &[(&str, Value)]) -> Runner {
    let mut all = vec![("path", path.to_str().unwrap().into()), ("batch", 1.into())];
    all.extend_from_slice(values);
    Runner::new(prepared::<FileSink>(&all).unwrap().component().unwrap())
}

/// The files of a folder and what they say.
fn files(folder: &TempDir) -> Vec<String> {
    let paths = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let say = |path: PathBuf| {
        let text = fs::read(&path).unwrap().escape_ascii().to_string();
        format!("{} {text}", path.file_name().unwrap().to_str().unwrap())
    };
    let mut files: Vec<_> = paths.map(say).collect();
    files.sort();
    files
}

#[test]
fn a_file_goes_on_or_is_emptied() {
    let folder = TempDir::new().unwrap();
    for (mode, expected) in [("append", r"old\nnew\n"), ("truncate", r"new\n")] {
        fs::write(path(&folder), "old\n").unwrap();
        let mut runner = sink(&path(&folder), &[("mode", mode.into())]);
        assert_eq!(texts(&runner.give(&["new"])), ["new 0"]);
        assert_eq!(files(&folder), [format!("out.log {expected}")]);
        runner.close().unwrap();
    }
}

/// As a process leaves it that was stopped while it wrote.
#[test]
fn a_last_line_without_an_end_gets_one() {
    let folder = TempDir::new().unwrap();
    let cases = [
        ("lines", r"ol\nnew\nx\n"),
        ("none", "olnewx"),
        ("length_prefixed", r"ol\x00\x00\x00\x03new\x00\x00\x00\x01x"),
    ];
    for (codec, expected) in cases {
        fs::write(path(&folder), "ol").unwrap();
        let mut runner = sink(&path(&folder), &[("codec", codec.into())]);
        assert_eq!(texts(&runner.give(&["new", "x"])), ["new 0", "x 0"]);
        assert_eq!(files(&folder), [format!("out.log {expected}")]);
    }
}

#[test]
fn messages_are_done_when_they_are_written() {
    let folder = TempDir::new().unwrap();
    let mut runner = sink(&path(&folder), &[("batch", 2.into()), ("sync", "batch".into())]);
    assert!(runner.give(&["a"]).is_empty());
    assert_eq!(files(&folder), ["out.log "]);
    assert_eq!(texts(&runner.give(&["b"])), ["a 0", "b 0"]);
    assert_eq!(files(&folder), [r"out.log a\nb\n"]);
}

#[test]
fn files_are_finished_by_size() {
    let folder = TempDir::new().unwrap();
    let values = [("rotate_size", 6.into()), ("sync", "rotate".into())];
    let mut runner = sink(&path(&folder), &values);
    runner.give(&["1", "2", "3"]);
    assert_eq!(files(&folder), [r"out.log.part 1\n2\n3\n"], "as large as it may be");
    runner.give(&["4", "larger than it may be"]);
    let finished = [r"out.000001.log 1\n2\n3\n", r"out.000002.log 4\n"];
    assert_eq!(files(&folder)[..2], finished);
    assert_eq!(files(&folder)[2], r"out.log.part larger than it may be\n");
    runner.close().unwrap();
    assert_eq!(files(&folder)[2], r"out.000003.log larger than it may be\n");
    assert_eq!(files(&folder).len(), 3);
}

#[test]
fn a_batch_is_no_larger_than_a_file() {
    let folder = TempDir::new().unwrap();
    let mut runner = sink(&path(&folder), &[("rotate_size", 6.into()), ("batch", 100.into())]);
    assert!(runner.give(&["12", "3"])[..].is_empty());
    assert_eq!(runner.give(&["4"]).len(), 3);
}

#[test]
fn files_are_finished_by_age() {
    let folder = TempDir::new().unwrap();
    let mut runner = sink(&path(&folder), &[("rotate_every", "20ms".into())]);
    thread::sleep(Duration::from_millis(40));
    // An empty one is not old.
    runner.give(&["1"]);
    thread::sleep(Duration::from_millis(40));
    runner.give(&["2"]);
    runner.close().unwrap();
    assert_eq!(files(&folder), [r"out.000001.log 1\n", r"out.000002.log 2\n"]);
    let mut runner = sink(&path(&folder), &[("rotate_every", "1h".into())]);
    runner.give(&["3", "4"]);
    assert_eq!(files(&folder)[2], r"out.log.part 3\n4\n");
    assert_eq!(files(&folder).len(), 3);
}

#[test]
fn what_a_crash_has_left_goes_on() {
    for (mode, expected) in [("append", r"left\nnew\n"), ("truncate", r"new\n")] {
        let folder = TempDir::new().unwrap();
        let values = [("rotate_size", "1MiB".into()), ("mode", mode.into())];
        sink(&path(&folder), &values[..1]).give(&["left"]);
        assert_eq!(files(&folder), [r"out.log.part left\n"]);
        let mut runner = sink(&path(&folder), &values);
        runner.give(&["new"]);
        runner.close().unwrap();
        assert_eq!(files(&folder), [format!("out.000001.log {expected}")]);
    }
}

#[test]
fn a_run_without_messages_leaves_no_finished_file() {
    let folder = TempDir::new().unwrap();
    sink(&path(&folder), &[("rotate_size", 6.into())]).close().unwrap();
    assert_eq!(files(&folder).len(), 0);
}

#[test]
fn each_file_begins_with_the_header() {
    let folder = TempDir::new().unwrap();
    let mut runner = sink(&path(&folder), &[("rotate_size", 4.into()), ("codec", "csv".into())]);
    for text in ["1", "2"] {
        let mut message = message(text);
        message.set_attribute("csv.header", b"h").unwrap();
        assert_eq!(runner.handle(message).len(), 1);
    }
    runner.close().unwrap();
    assert_eq!(files(&folder), [r"out.000001.log h\n1\n", r"out.000002.log h\n2\n"]);
    let mut runner = sink(&folder.path().join("out.000001.log"), &[("codec", "csv".into())]);
    let mut message = message("3");
    message.set_attribute("csv.header", b"h").unwrap();
    runner.handle(message);
    assert_eq!(files(&folder)[0], r"out.000001.log h\n1\n3\n", "one that goes on has it");
}

fn with_header(text: &str, header: &str) -> stageline_component::Message {
    let mut message = message(text);
    message.set_attribute("csv.header", header.as_bytes()).unwrap();
    message
}

#[test]
fn the_header_counts_for_the_size() {
    let folder = TempDir::new().unwrap();
    let values = [("rotate_size", 10.into()), ("codec", "csv".into()), ("batch", 100.into())];
    let mut runner = sink(&path(&folder), &values);
    for text in ["10", "11", "12", "13"] {
        runner.handle(with_header(text, "a,b"));
    }
    runner.close().unwrap();
    let expected = [r"out.000001.log a,b\n10\n11\n", r"out.000002.log a,b\n12\n13\n"];
    assert_eq!(files(&folder), expected);
}

#[test]
fn a_file_that_goes_on_must_have_the_same_header() {
    for (there, is_same) in [
        ("a,b\n1,2\n", true),
        ("\u{feff}a,b\r\n1,2\n", true),
        ("a,b", true),
        ("b,a\n1,2\n", false),
        ("a,bc\n1,2\n", false),
        ("1\n", false),
    ] {
        let folder = TempDir::new().unwrap();
        fs::write(path(&folder), there).unwrap();
        let mut runner = sink(&path(&folder), &[("codec", "csv".into())]);
        for _ in 0..2 {
            let settled = runner.handle(with_header("3,4", "a,b"));
            if is_same {
                assert_eq!(settled[0].status(), 0, "{there}");
            } else {
                assert_eq!(settled[0].status(), OTHER_HEADER.status(), "{there}");
                let text = settled[0].description();
                assert!(text.contains("out.log: it begins with \""), "{text}");
                assert!(text.ends_with(", not with \"a,b\\n\""), "{text}");
            }
        }
        let end = if there.ends_with('\n') { "" } else { "\n" };
        let rows = if is_same { format!("{end}3,4\n3,4\n") } else { String::new() };
        assert_eq!(fs::read_to_string(path(&folder)).unwrap(), format!("{there}{rows}"));
        let values = [("codec", "csv".into()), ("csv_header", false.into())];
        let settled = sink(&path(&folder), &values).handle(with_header("3,4", "a,b"));
        assert_eq!(settled[0].status(), 0);
    }
}

#[test]
fn errors_fail_the_batch() {
    let mut runner = sink(Path::new("/dev/full"), &[("batch", 2.into())]);
    let settled = runner.give(&["a", "b"]);
    // What was written there cannot be cut off.
    assert_eq!(texts(&settled), ["a 224", "b 224"]);
    assert!(settled[1].description().starts_with("/dev/full: No space left"));
}

/// A disk that has room for so many bytes.
struct Disk {
    bytes: Vec<u8>,
    room: usize,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let free = self.room - self.bytes.len();
        if free == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(&bytes[..free.min(bytes.len())]);
        Ok(free.min(bytes.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Medium for Disk {
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.bytes.truncate(len as usize);
        Ok(())
    }
}

#[test]
fn a_full_disk_is_a_retry_and_keeps_nothing() {
    let mut disk = Disk { bytes: b"old".to_vec(), room: 9 };
    let (report, _) = put(&mut disk, 3, [b"head", b"body"]).unwrap_err();
    assert_eq!((report, &disk.bytes[..]), (DISK_FULL, &b"old"[..]));
    disk.room = 11;
    put(&mut disk, 3, [b"head", b"body"]).unwrap();
    assert_eq!(disk.bytes, b"oldheadbody");
    assert_eq!(report.kind(), stageline_component::ReportKind::Retry);
    assert_eq!(super::report(&io::ErrorKind::PermissionDenied.into()), FILE_UNWRITTEN);
}

#[test]
fn what_cannot_be_opened_is_found_before_the_first_message() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("none/out.log");
    for values in [vec![], vec![("rotate_size", 1.into())]] {
        let mut all = vec![("path", path.to_str().unwrap().into())];
        all.extend(values);
        let error = prepared::<FileSink>(&all).unwrap().component().err().unwrap();
        assert_eq!(error.text(), format!("file_sink: cannot write {path:?}"));
    }
}

#[test]
fn values_out_of_bounds_are_refused() {
    assert_eq!(refused::<FileSink>(&[]), "`file_sink` needs the attribute `path`");
    assert_eq!(
        refused::<FileSink>(&[("path", "..".into())]),
        "`path` = \"..\": expected the path of a file"
    );
    let with =
        |name: &str, value: Value| refused::<FileSink>(&[("path", "a".into()), (name, value)]);
    assert_eq!(with("rotate_size", 0.into()), "`rotate_size` = 0: expected a byte at least");
    assert_eq!(with("rotate_every", 0.into()), "`rotate_every` = 0: expected more than no time");
    assert!(with("mode", "new".into()).contains("one of \"append\", \"truncate\""));
    assert!(with("sync", "always".into()).contains("\"never\", \"rotate\", \"batch\""));
    assert_eq!(prepared::<FileSink>(&[("path", "a".into())]).unwrap().pool_size(), Some(1));
}
