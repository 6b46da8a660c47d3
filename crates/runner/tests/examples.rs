//! The pipelines of `examples/pipelines`, as their README says.

use rusqlite::Connection;
use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn example(name: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stageline"));
    command.args(["run", &format!("examples/pipelines/{name}.lua")]).current_dir(root());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn well(command: &mut Command) -> (String, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{err}");
    (out, err)
}

/// The sums are those of `tests/flights.rs`, which compares the example of the engine with Python's `csv` module.
#[test]
fn flights_come_into_their_tables() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flights.sqlite");
    for _ in 0..2 {
        well(example("flights").env("DATABASE", &path));
        let database = Connection::open(&path).unwrap();
        let one = |query: &str| database.query_row(query, (), |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(
            one("SELECT count(*) FROM flights") + one("SELECT count(*) FROM rejects"),
            27_004
        );
        assert_eq!(one("SELECT count(*) FROM rejects WHERE reason = 'cancelled'"), 521);
        assert_eq!(
            one("SELECT count(*) FROM flights WHERE airline IS NULL OR origin_name IS NULL"),
            0
        );
        let late = "SELECT count(*) FROM flights WHERE (arr_delay >= 15) != (bucket IN ('minor', 'major', 'severe'))";
        assert_eq!(one(late), 0);
        let scores = "SELECT count(*) FROM flights WHERE score != iif(arr_delay >= 15, 100 * arr_delay / air_time, 0)";
        assert_eq!(one(scores), 0);
    }
    assert!(
        !root().join("flights.failed").exists()
            || fs::metadata(root().join("flights.failed")).unwrap().len() == 0
    );
}

#[test]
fn a_log_is_parted() {
    let log = fs::File::open(root().join("examples/pipelines/access.log")).unwrap();
    let (out, err) = well(example("logs").stdin(log));
    let expected = concat!(
        "{\"why\":\"failed\",\"status\":503,\"path\":\"/orders\"}\n",
        "{\"why\":\"slow\",\"status\":200,\"path\":\"/report?year=2025\"}\n",
        "{\"why\":\"failed\",\"status\":500,\"path\":\"/orders/7\"}\n",
    );
    assert_eq!(out, expected, "{err}");
}

/// The folder with `build` in it, with the plugins that the scripts name.
fn plugins() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (build, target) = (folder.path().join("build"), folder.path().join("target"));
    let packages = ["stdin-component", "stdout-component", "stageline-plugin-reverse"];
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--offline"]).arg("--target-dir").arg(&target);
    cargo.args(packages.map(|package| ["-p", package]).concat()).current_dir(root());
    assert!(cargo.status().unwrap().success());
    fs::create_dir(&build).unwrap();
    for name in ["stdin", "stdout", "reverse"] {
        let library = target.join(format!("debug/lib{name}_component.so"));
        fs::copy(library, build.join(format!("{name}_component.so"))).unwrap();
    }
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-shared", "-fPIC", "-I", "crates/component/include", "-o"]);
    cc.arg(build.join("upper.so")).arg("examples/plugins/upper.c").current_dir(root());
    assert!(cc.status().unwrap().success());
    folder
}

/// That of gopiper's documentation is there word for word; it names the plugins in `build`.
#[test]
fn plugins_and_the_script_of_gopiper_run() {
    let folder = plugins();
    let run = |script: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stageline"));
        command.arg("run").arg(script).current_dir(folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"hello\nyou\n").unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let scripts = root().join("examples/pipelines");
    assert_eq!(run(&scripts.join("plugins.lua")), "OLLEH :c\nUOY :c\n");
    assert_eq!(run(&scripts.join("gopiper.lua")), "hello\nyou\n");
    // The components that are built in, by the same script.
    let text = fs::read_to_string(scripts.join("gopiper.lua")).unwrap();
    let by_name = text.replace("build/", "").replace("_component.so", "");
    assert_ne!(by_name, text);
    let script = folder.path().join("by_name.lua");
    fs::write(&script, by_name).unwrap();
    assert_eq!(run(&script), "hello\nyou\n");
}

#[test]
fn three_sources_become_one() {
    let (_, err) = well(&mut example("fan_in"));
    assert!(err.contains("1200\tmessages") && err.contains("3000 messages"), "{err}");
}

#[test]
fn lines_by_tcp_come_into_files() {
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let mut command = example("tcp_to_file");
    command.env("LISTEN", &address).env("OUTPUT", folder.path().join("received.log"));
    let child = command.spawn().unwrap();
    let lines = 30_000;
    let senders = [0, 1].map(|sender| {
        let address = address.clone();
        thread::spawn(move || {
            let connect = |_| {
                thread::sleep(Duration::from_millis(10));
                TcpStream::connect(&address).ok()
            };
            let mut stream = (0..1000).find_map(connect).expect("it listens");
            let text: String = (0..lines).map(|line| format!("{sender} {line:060}\n")).collect();
            stream.write_all(text.as_bytes()).unwrap();
        })
    });
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    let received = || {
        let files = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
        files.map(|path| fs::read_to_string(path).unwrap_or_default()).collect::<Vec<_>>()
    };
    for _ in 0..3000 {
        if received().iter().map(|text| text.lines().count()).sum::<usize>() >= 2 * lines {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{}", String::from_utf8_lossy(&output.stderr));
    let files = received();
    assert!(files.len() > 2, "they rotate");
    let mut all: Vec<&str> = files.iter().flat_map(|text| text.lines()).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 2 * lines, "each line once");
}
