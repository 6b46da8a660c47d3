//! The example `flights`, run as a user runs it. Every number that it prints and every row that it
//! stores is compared with a plain fold over the same files, and the sums with constants that
//! Python's `csv` module and the `sqlite3` shell gave for them.

#[path = "flights/fold.rs"]
mod fold;

use fold::{DATA, Fold};
use rusqlite::Connection;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use tempfile::TempDir;

/// The example, beside this test. `cargo test` has built it, but `cargo test --test flights` has not,
/// and one from an earlier build must not be taken for it.
static EXAMPLE: LazyLock<PathBuf> = LazyLock::new(|| {
    let test = std::env::current_exe().expect("this test is a file");
    let directory = test.ancestors().nth(2).expect("TARGET/PROFILE/deps/TEST");
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--example", "flights", "--profile", profile]);
    build.arg("--target-dir").arg(directory.parent().expect("TARGET"));
    assert!(build.status().expect("cargo runs").success(), "{build:?}");
    directory.join("examples/flights").with_extension(std::env::consts::EXE_EXTENSION)
});

const HEADER: &str = "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,\
    arr_delay,carrier,flight,tailnum,origin,dest,air_time,distance,hour,minute,time_hour\n";
const GOOD: &str =
    "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z\n";

/// What a run left behind.
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Run {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the example prints UTF-8");
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// The words after `name` on its line of a section of the summary.
    fn words(&self, section: &str, name: &str) -> Vec<&str> {
        let start = self.stdout.find(section).unwrap_or_else(|| {
            panic!("no section {section}: {}{}", self.stdout, self.stderr);
        });
        let mut lines = self.stdout[start..].lines().take_while(|line| !line.is_empty());
        let line = lines.find(|line| line.split_whitespace().next() == Some(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in {section}: {}", self.stdout));
        line.split_whitespace().skip(1).collect()
    }

    fn number(&self, section: &str, name: &str) -> u64 {
        let word = self.words(section, name)[0];
        word.parse().unwrap_or_else(|_| panic!("{section}, {name}: {word}"))
    }

    #[track_caller]
    fn fails(&self, code: i32, messages: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        assert_eq!(self.stdout, "");
        for message in messages {
            assert!(self.stderr.contains(message), "no `{message}` in:\n{}", self.stderr);
        }
    }
}

/// A directory with the inputs and the database of one test.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().expect("a directory for temporary files"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("a file is written");
        path
    }

    /// Runs the example into the database `out.db` of this place.
    fn run(&self, inputs: &[&Path], options: &[&str]) -> Run {
        let mut command = Command::new(&*EXAMPLE);
        command.arg("--database").arg(self.path("out.db")).args(options);
        for input in inputs {
            command.arg("--input").arg(input);
        }
        Run::of(command.output().expect("the example runs"))
    }

    fn database(&self) -> Connection {
        assert!(self.path("out.db").exists(), "there is no database");
        Connection::open(self.path("out.db")).expect("the database opens")
    }

    /// The names of all files here.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("the directory is read");
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<String> =
            entries.map(|entry| name(entry).into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }
}

/// All rows of a query, each as its columns joined by `|`, sorted.
fn rows(connection: &Connection, sql: &str) -> Vec<String> {
    use rusqlite::types::ValueRef;
    let mut query = connection.prepare(sql).expect("the query fits the schema");
    let columns = query.column_count();
    let rows = query.query_map([], |row| {
        let column = |index| {
            Ok(match row.get_ref(index)? {
                ValueRef::Null => "null".to_owned(),
                ValueRef::Integer(value) => value.to_string(),
                other => other.as_str()?.to_owned(),
            })
        };
        let columns: Result<Vec<String>, rusqlite::Error> = (0..columns).map(column).collect();
        Ok(columns?.join("|"))
    });
    let mut rows: Vec<String> =
        rows.expect("the query runs").map(|row| row.expect("a row")).collect();
    rows.sort();
    rows
}

fn slice() -> Vec<PathBuf> {
    let file = |airport| Path::new(DATA).join(format!("january-{airport}.csv.gz"));
    ["EWR", "JFK", "LGA"].map(file).to_vec()
}

/// Compares all that a run over the slice printed and stored with the fold and the constants.
#[track_caller]
fn check_slice(run: &Run, database: &Connection) {
    static FOLD: LazyLock<Fold> = LazyLock::new(|| Fold::over(&slice()));
    let fold = &*FOLD;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(run.stderr, "", "not a terminal, nothing malformed");

    let outcomes = ["read", "written", "cancelled", "diverted", "malformed"];
    let printed = outcomes.map(|outcome| run.number("rows by outcome", outcome));
    let written = fold.read - fold.cancelled - fold.diverted;
    assert_eq!(printed, [fold.read, written, fold.cancelled, fold.diverted, 0]);
    assert_eq!(printed, [27_004, 26_398, 521, 85, 0]);
    assert_eq!(run.number("written without a name", "airport"), fold.unnamed);
    assert_eq!(fold.unnamed, 678);
    assert_eq!(run.number("written without a name", "airline"), 0);

    for (bucket, flights) in &fold.buckets {
        assert_eq!(run.number("flights by delay", bucket), *flights, "{bucket}");
    }
    let minutes: i64 = fold.carriers.values().map(|(_, minutes)| minutes).sum();
    assert_eq!((minutes, fold.scores), (161_819, 361_287));
    let mean = format!("(mean {:.2} min)", minutes as f64 / written as f64);
    assert_eq!(mean, "(mean 6.13 min)");
    assert!(run.stdout.contains(&mean), "{}", run.stdout);

    let mut carriers: Vec<(&String, &(u64, i64))> = fold.carriers.iter().collect();
    // The larger mean first, by whole numbers.
    carriers.sort_by(|(_, (n, a)), (_, (m, b))| (b * *n as i64).cmp(&(a * *m as i64)));
    let order: Vec<&str> = carriers[..5].iter().map(|(carrier, _)| carrier.as_str()).collect();
    assert_eq!(order, ["OO", "HA", "EV", "F9", "YV"]);
    for (carrier, (flights, minutes)) in &carriers[..5] {
        let words = run.words("most delayed", carrier);
        let mean = format!("{:.2}", *minutes as f64 / *flights as f64);
        assert_eq!(words[..2], [flights.to_string(), mean]);
    }

    let [parse, screen, join, on_time, late, write] =
        ["parse", "screen", "join", "on_time", "late", "write"]
            .map(|stage| run.number("stages", stage));
    let punctual = fold.buckets["early"] + fold.buckets["on-time"];
    assert_eq!([parse, screen, join, write], [fold.read, fold.read, written, written]);
    assert_eq!([on_time, late], [punctual, written - punctual]);
    assert_eq!([on_time, late], [20_197, 6_201]);
    assert_eq!(run.number("run", "transactions"), fold.read.div_ceil(4096));

    assert!(rows(database, "SELECT * FROM flights") == fold.flights, "the stored flights differ");
    assert_eq!(rows(database, "SELECT input, line, reason FROM rejects"), fold.rejects);
    assert_eq!(rows(database, "SELECT count(*) FROM inputs"), ["3"]);
}

#[test]
fn the_shipped_slice_gives_the_figures_of_a_plain_fold() {
    let place = Place::new();
    let run = place.run(&[], &[]);
    check_slice(&run, &place.database());
    assert_eq!(place.names(), ["out.db"]);
    for stage in ["parse", "write"] {
        let words = run.words("stages", stage);
        let [mean, p99] = [1, 3].map(|word| words[word].parse::<f64>().expect("a time"));
        assert!(mean > 0.0 && p99 > 0.0, "{words:?}");
    }
}

#[test]
fn the_number_of_workers_changes_no_figure() {
    let place = Place::new();
    let run = place.run(&[], &["--workers", "4"]);
    check_slice(&run, &place.database());
    assert_eq!(run.words("run", "workers"), ["4"]);
}

#[test]
fn verbose_tells_the_setup_and_the_ledger() {
    let place = Place::new();
    let cancelled = GOOD.replace("517,515,2,830,819,11,", "NA,515,NA,NA,819,NA,");
    let file = place.file("a.csv", [HEADER, GOOD, &cancelled, GOOD].concat());
    let told = place.run(&[&file], &["--workers", "3", "--verbose"]).stderr;
    assert!(told.contains("pipeline `flights`") && told.contains("workers  3"), "{told}");
    assert!(told.contains("submitted 3 = done 2 + failed 1 + dropped 0"), "{told}");
}

#[test]
fn plain_gzip_and_zip_files_are_read_alike() {
    let place = Place::new();
    let text = format!("{HEADER}{}", GOOD.repeat(3));
    let plain = place.file("a.csv", &text);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).expect("compressed");
    let gzip = place.file("b.csv.gz", gzip.finish().expect("compressed"));
    let archive = File::create(place.path("c.zip")).expect("a file");
    let mut archive = zip::ZipWriter::new(archive);
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated);
    archive.start_file("c.csv", options).expect("an entry");
    archive.write_all(text.as_bytes()).expect("compressed");
    archive.finish().expect("an archive");

    let run = place.run(&[&plain, &gzip, &place.path("c.zip")], &[]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let by_input = "SELECT input, count(*), sum(arr_delay) FROM flights GROUP BY 1";
    assert_eq!(rows(&place.database(), by_input), ["0|3|33", "1|3|33", "2|3|33"]);
}

/// Lines that are wrong, each with what is said of it.
fn malformed() -> Vec<(Vec<u8>, &'static str)> {
    let good = GOOD.trim_end();
    let with = |old: &str, new: &str| {
        assert_eq!(good.matches(old).count(), 1, "{old}");
        good.replace(old, new).into_bytes()
    };
    let mut not_text = with("N14228", "N1");
    let at = good.find("N14228").expect("the tail number") + 2;
    not_text.insert(at, 0xff);
    vec![
        (b"2013,1,1,517".to_vec(), "column 5 (sched_dep_time): expected 19 columns, found 4"),
        (with("515,2", "515,2,2"), "column 20: expected 19 columns, found 20"),
        (
            with("515,2", "515,late"),
            "column 6 (dep_delay): expected a number from -20160 to 20160, or NA, found \"late\"",
        ),
        (
            with("2013,1,", "2013,13,"),
            "column 2 (month): expected a number from 1 to 12, found \"13\"",
        ),
        (
            with("1,517", "1,1275"),
            "column 4 (dep_time): expected a time from 0 to 2400, or NA, found \"1275\"",
        ),
        (
            with("227", ""),
            "column 15 (air_time): expected a number from 1 to 1440, or NA, found \"\"",
        ),
        (
            with("UA", "UAL"),
            "column 10 (carrier): expected up to 2 letters and digits, found \"UAL\"",
        ),
        (
            with("UA", "NA\t"),
            "column 10 (carrier): expected up to 2 letters and digits, found \"NA\\t\"",
        ),
        (not_text, "column 12 (tailnum): expected UTF-8 text, or NA, found \"N1\\xff\""),
        (
            with("1400", &"9".repeat(60)),
            "column 16 (distance): expected a number from 1 to 20000, found \"9999999999999999999999999999999999999999...\"",
        ),
        // The file ends inside of a line.
        (
            with(":00:00Z", ":0"),
            "column 19 (time_hour): expected a time such as 2013-01-01T10:00:00Z, found \"2013-01-01T10:0\"",
        ),
    ]
}

/// A file with good lines before, between and after malformed ones, the last of which is cut short.
fn malformed_file(place: &Place) -> (PathBuf, Vec<String>) {
    let mut text = [HEADER, GOOD].concat().into_bytes();
    let path = place.path("bad.csv");
    let mut messages = Vec::new();
    for (index, (line, message)) in malformed().into_iter().enumerate() {
        text.extend_from_slice(GOOD.as_bytes());
        text.extend_from_slice(&line);
        text.push(b'\n');
        messages.push(format!("{}:{}: {message}", path.display(), 2 * index + 4));
    }
    text.pop();
    (place.file("bad.csv", text), messages)
}

#[test]
fn strict_tells_each_malformed_row_and_writes_nothing() {
    let place = Place::new();
    let (path, messages) = malformed_file(&place);
    let mut expected: Vec<&str> = messages.iter().map(String::as_str).collect();
    expected.push("error: 11 malformed rows with --strict: no database was written");
    let good = place.file("good.csv", [HEADER, GOOD].concat());
    let run = place.run(&[&path, &good], &["--strict"]);
    run.fails(1, &expected);
    assert_eq!(run.stderr.lines().count(), 12, "{}", run.stderr);
    assert_eq!(place.names(), ["bad.csv", "good.csv"]);
    assert_eq!(place.run(&[&good], &["--strict"]).code, Some(0));
}

#[test]
fn without_strict_malformed_rows_are_counted_and_told() {
    let place = Place::new();
    let (path, messages) = malformed_file(&place);
    let run = place.run(&[&path], &[]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let told: Vec<&str> = run.stderr.lines().collect();
    let warnings: Vec<String> =
        messages.iter().map(|message| format!("warning: {message}")).collect();
    assert_eq!(told, warnings);
    let counts = ["read", "written", "malformed"].map(|name| run.number("rows by outcome", name));
    assert_eq!(counts, [23, 12, 11]);
    let stages = ["parse", "screen"].map(|stage| run.number("stages", stage));
    assert_eq!(stages, [23, 12]);
    let stored = rows(&place.database(), "SELECT line, reason, message FROM rejects");
    assert_eq!(stored.len(), 11);
    assert!(
        stored.contains(
            &"4|malformed|column 5 (sched_dep_time): expected 19 columns, found 4".into()
        )
    );
    assert_eq!(place.run(&[&path], &["--quiet"]).stderr, "");
}

#[test]
fn of_many_malformed_rows_the_first_are_told_and_the_others_counted() {
    let place = Place::new();
    let path = place.file("bad.csv", format!("{HEADER}{}", "x\n".repeat(3000)));
    let run = place.run(&[&path], &[]);
    assert_eq!((run.code, run.number("rows by outcome", "malformed")), (Some(0), 3000));
    assert_eq!(run.stderr.lines().count(), 21);
    assert_eq!(run.stderr.lines().last(), Some("warning: 2980 more malformed rows"));
}

#[test]
fn files_that_are_not_of_flights_fail_the_run_and_are_all_named() {
    let place = Place::new();
    let empty = place.file("empty.csv", "");
    let headless = place.file("headless.csv", GOOD);
    let other = place.file("other.csv", HEADER.replace("dep_delay", "delay"));
    let wide = place.file("wide.csv", HEADER.replace('\n', ",more\n"));
    let not_gzip = place.file("text.csv.gz", HEADER);
    let whole = fs::read(&slice()[0]).expect("the slice is there");
    let cut = place.file("cut.csv.gz", &whole[..whole.len() / 2]);
    let inputs = [&*empty, &headless, &other, &wide, &not_gzip, &cut];
    for options in [&["--strict"][..], &[]] {
        place.run(&inputs, options).fails(1, &[
            "empty.csv:1: column 1 (year): expected the header `year`, found \"\"",
            "headless.csv:1: column 1 (year): expected the header `year`, found \"2013\"",
            "other.csv:1: column 6 (dep_delay): expected the header `dep_delay`, found \"delay\"",
            "wide.csv:1: column 20: expected 19 columns, found 20",
            "text.csv.gz:1: invalid gzip header",
            "cut.csv.gz:",
            "incomplete deflate stream",
        ]);
    }
    assert!(!place.path("out.db").exists());
    assert_eq!(place.names().len(), 6, "nothing is left behind");

    let not_zip = place.file("text.zip", HEADER);
    let inputs = [&*place.path("nowhere.csv"), place.0.path(), &not_zip];
    place.run(&inputs, &[]).fails(
        1,
        &[
            "nowhere.csv: No such file",
            ": is a directory, not a file of flights",
            "text.zip: invalid Zip archive",
        ],
    );
}

#[test]
fn a_header_alone_is_a_file_of_no_flights() {
    let place = Place::new();
    let path = place.file("none.csv", HEADER);
    let run = place.run(&[&path], &["--strict"]);
    assert_eq!((run.code, run.number("rows by outcome", "read")), (Some(0), 0));
    assert_eq!(rows(&place.database(), "SELECT count(*) FROM flights"), ["0"]);
}

#[test]
fn only_a_database_of_its_own_is_replaced_and_only_by_a_whole_one() {
    let place = Place::new();
    let good = place.file("good.csv", [HEADER, GOOD].concat());
    let (bad, _) = malformed_file(&place);
    let foreign = place.file("out.db", "not a database");
    place.run(&[&good], &[]).fails(1, &["was not written by this example", "--force"]);
    assert_eq!(fs::read(foreign).expect("left as it was"), b"not a database");
    assert_eq!(place.run(&[&good], &["--force"]).code, Some(0));
    assert_eq!(rows(&place.database(), "SELECT count(*) FROM flights"), ["1"]);
    place.run(&[&bad], &["--strict"]).fails(1, &[]);
    assert_eq!(rows(&place.database(), "SELECT count(*) FROM flights"), ["1"]);
    assert_eq!(place.run(&[&bad], &[]).code, Some(0));
    assert_eq!(rows(&place.database(), "SELECT count(*) FROM flights"), ["12"]);

    let nowhere = place.path("no/such/out.db");
    let nowhere = nowhere.to_str().expect("UTF-8");
    let run = Command::new(&*EXAMPLE).args(["--database", nowhere]).output();
    Run::of(run.expect("the example runs"))
        .fails(1, &["cannot write the database", "no/such/out.db: ", "No such file"]);
    let here = place.0.path().to_str().expect("UTF-8");
    let run = Command::new(&*EXAMPLE).args(["--force", "--database", here]).output();
    Run::of(run.expect("the example runs")).fails(1, &["is a directory"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_refuses_the_rows_fails_the_run() {
    let place = Place::new();
    let script = "trap '' XFSZ; ulimit -f 300; exec \"$0\" --database \"$1\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(&*EXAMPLE).arg(place.path("out.db"));
    Run::of(shell.output().expect("sh runs")).fails(1, &["cannot write the database"]);
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn arguments_that_cannot_be_used_are_refused() {
    let place = Place::new();
    place.run(&[], &["--workers", "0"]).fails(2, &["workers: 0 is not in 1..=256"]);
    place.run(&[], &["--workers", "many"]).fails(2, &["invalid value 'many'"]);
    place.run(&[], &["--no-such-option"]).fails(2, &["--no-such-option"]);
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let place = Place::new();
    let mut command = Command::new(&*EXAMPLE);
    command.arg("--database").arg(place.path("out.db"));
    command.arg("--input").arg(place.file("a.csv", [HEADER, GOOD].concat()));
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the example runs");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert!(place.path("out.db").exists());
}
