use super::*;
use crate::factory::testing::{list, map, message, prepared, refused};
use crate::sink::testing::{Runner, texts};
use stageline_component::{Flush, Value};
use std::path::Path;
use tempfile::TempDir;

fn path(folder: &TempDir) -> PathBuf {
    folder.path().join("it.db")
}

fn values(path: &Path, more: &[(&'static str, Value)]) -> Vec<(&'static str, Value)> {
    let mut all = vec![
        ("path", path.to_str().unwrap().into()),
        ("table", "t".into()),
        ("create", true.into()),
        ("batch", 2.into()),
    ];
    all.extend_from_slice(more);
    all
}

fn sink(path: &Path, more: &[(&'static str, Value)]) -> Runner {
    Runner::new(prepared::<Sqlite>(&values(path, more)).unwrap().component().unwrap())
}

fn columns(names: &[&str]) -> (&'static str, Value) {
    ("columns", list(names))
}

/// What a query finds, a line for each row.
fn rows(path: &Path, query: &str) -> Vec<String> {
    let database = Connection::open(path).unwrap();
    let mut statement = database.prepare(query).unwrap();
    let width = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        let cells = (0..width).map(|index| row.get(index).unwrap());
        let cells: Vec<_> = cells.map(|cell: Cell| format!("{cell:?}")).collect();
        Ok(cells.join(" "))
    };
    let rows = statement.query_map((), row).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn a_batch_is_written_at_once() {
    let folder = TempDir::new().unwrap();
    let mut runner = sink(&path(&folder), &[columns(&["a"])]);
    assert!(runner.give(&[r#"{"a": 1}"#]).is_empty());
    assert_eq!(rows(&path(&folder), "SELECT * FROM t").len(), 0);
    assert_eq!(runner.give(&[r#"{"a": 2}"#]).len(), 2);
    runner.give(&[r#"{"a": 3}"#]);
    assert_eq!(runner.flush(Flush::Age).len(), 1);
    let expected = ["Integer(1)", "Integer(2)", "Integer(3)"];
    assert_eq!(rows(&path(&folder), "SELECT * FROM t"), expected);
}

/// A name is that of a field, whatever it is in an expression.
#[test]
fn columns_are_fields_of_any_name() {
    let folder = TempDir::new().unwrap();
    let names = ["a-b", "type", "a.b", "this", "a b", "q\"\\"];
    let mut runner = sink(&path(&folder), &[columns(&names), ("batch", 1.into())]);
    let row = r#"{"a-b": 1, "type": 2, "a.b": 3, "this": 4, "a b": 5, "q\"\\": 6, "a": {"b": 7}, "b": 8}"#;
    assert_eq!(runner.give(&[row])[0].status(), 0);
    let expected = "Integer(1) Integer(2) Integer(3) Integer(4) Integer(5) Integer(6)";
    assert_eq!(rows(&path(&folder), "SELECT * FROM t"), [expected]);
}

#[test]
fn values_keep_their_types() {
    let folder = TempDir::new().unwrap();
    let names = ["n", "r", "t", "b", "l", "o", "z", "u", "missing"];
    let mut runner = sink(&path(&folder), &[columns(&names), ("batch", 1.into())]);
    let text = r#"{"n": -7, "r": 1.5, "t": "a\u00e4\"", "b": true, "l": [1, 2], "o": {"x": 1}, "z": null,
                   "u": 18446744073709551615}"#;
    assert_eq!(runner.give(&[text])[0].status(), 0);
    let found = rows(&path(&folder), "SELECT n, r, t, b, l FROM t");
    assert_eq!(found, [r#"Integer(-7) Real(1.5) Text("aä\"") Integer(1) Text("[1, 2]")"#]);
    let found = rows(&path(&folder), "SELECT o, z, u, missing FROM t");
    assert_eq!(found, [r#"Text("{\"x\": 1}") Null Text("18446744073709551615") Null"#]);
}

#[test]
fn columns_have_expressions_attributes_and_the_message() {
    let folder = TempDir::new().unwrap();
    let from = map([
        ("sum", "a + b.c".into()),
        ("file", "attributes[\"file.path\"]".into()),
        ("raw", "@data".into()),
    ]);
    let names = columns(&["a", "sum", "file", "raw"]);
    let mut runner = sink(&path(&folder), &[names, ("values", from), ("batch", 1.into())]);
    let mut message = message(r#"{"a":1,"b":{"c":2}}"#);
    message.set_attribute("file.path", b"x.log").unwrap();
    assert_eq!(runner.handle(message)[0].status(), 0);
    let found = rows(&path(&folder), "SELECT a, sum, file, raw FROM t");
    let expected = r#"Integer(1) Integer(3) Text("x.log") Text("{\"a\":1,\"b\":{\"c\":2}}")"#;
    assert_eq!(found, [expected]);
}

#[test]
fn a_message_that_is_no_json_may_be_a_value_all_the_same() {
    let folder = TempDir::new().unwrap();
    let from = map([("raw", "@data".into())]);
    let mut runner = sink(&path(&folder), &[("values", from), ("batch", 1.into())]);
    assert_eq!(runner.give(&["no JSON"])[0].status(), 0);
    assert_eq!(runner.handle(message([0xff]))[0].status(), 0);
    let found = rows(&path(&folder), "SELECT raw FROM t");
    assert_eq!(found, [r#"Text("no JSON")"#, "Blob([255])"]);
}

#[test]
fn a_bad_message_fails_alone() {
    let folder = TempDir::new().unwrap();
    let from = map([("b", "1 / a".into())]);
    let mut runner = sink(&path(&folder), &[columns(&["a", "b"]), ("values", from)]);
    let settled = runner.give(&[r#"{"a": 1}"#, r#"{"a": }"#, r#"{"a": 0}"#]);
    assert_eq!(settled.iter().map(Message::status).collect::<Vec<_>>(), [210, 211]);
    assert!(settled[0].description().starts_with("no JSON object: "), "{settled:?}");
    assert!(settled[0].description().ends_with(" at byte 6"), "{settled:?}");
    assert!(settled[1].description().starts_with("column `b`: "), "{settled:?}");
    assert_eq!(runner.give(&[r#"{"a": 1}"#]).len(), 2);
    assert_eq!(rows(&path(&folder), "SELECT * FROM t"), ["Integer(1) Integer(1)"; 2]);
}

#[test]
fn a_batch_with_a_row_that_is_refused_fails_as_a_whole() {
    for (policy, statuses, expected) in [
        ("fail", [226, 226], vec!["Integer(1) Text(\"old\")"]),
        ("ignore", [0, 0], vec!["Integer(1) Text(\"old\")", "Integer(2) Text(\"new\")"]),
        ("replace", [0, 0], vec!["Integer(1) Text(\"new\")", "Integer(2) Text(\"new\")"]),
    ] {
        let folder = TempDir::new().unwrap();
        let database = Connection::open(path(&folder)).unwrap();
        database.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, v)", ()).unwrap();
        database.execute("INSERT INTO t VALUES (1, 'old')", ()).unwrap();
        let more = [columns(&["k", "v"]), ("on_conflict", policy.into())];
        let mut runner = sink(&path(&folder), &more);
        let settled = runner.give(&[r#"{"k": 2, "v": "new"}"#, r#"{"k": 1, "v": "new"}"#]);
        assert_eq!([settled[0].status(), settled[1].status()], statuses, "{policy}");
        if policy == "fail" {
            let error = "row 2 of 2: UNIQUE constraint failed: t.k";
            assert_eq!(settled[1].description(), error);
        }
        assert_eq!(rows(&path(&folder), "SELECT * FROM t ORDER BY k"), expected, "{policy}");
    }
}

#[test]
fn a_database_that_is_held_is_waited_for_and_retried() {
    let folder = TempDir::new().unwrap();
    let mut runner = sink(&path(&folder), &[columns(&["a"]), ("timeout", "1ms".into())]);
    let holder = Connection::open(path(&folder)).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(runner.give(&[r#"{"a": 1}"#, r#"{"a": 2}"#]).is_empty());
    assert!(runner.retry().is_empty());
    holder.execute_batch("ROLLBACK").unwrap();
    let settled = runner.retry();
    assert_eq!(texts(&settled).len(), 2);
    let error = "cannot begin to write 2 rows: database is locked";
    assert_eq!(settled[1].description(), error, "what it said last");
    assert_eq!(rows(&path(&folder), "SELECT * FROM t"), ["Integer(1)", "Integer(2)"]);
}

#[test]
fn a_batch_that_cannot_be_committed_blames_no_row() {
    let folder = TempDir::new().unwrap();
    let database = Connection::open(path(&folder)).unwrap();
    let deferred = "CREATE TABLE other (a PRIMARY KEY);
                    CREATE TABLE t (a REFERENCES other DEFERRABLE INITIALLY DEFERRED)";
    database.execute_batch(deferred).unwrap();
    let mut runner = sink(&path(&folder), &[columns(&["a"]), ("batch", 1.into())]);
    let settled = runner.give(&[r#"{"a": 1}"#]);
    let error = "cannot commit 1 row: FOREIGN KEY constraint failed";
    assert_eq!((settled[0].status(), settled[0].description()), (226, error));
}

#[test]
fn a_row_that_is_refused_meanwhile_is_no_fault_of_a_batch_that_comes_again() {
    let folder = TempDir::new().unwrap();
    let holder = Connection::open(path(&folder)).unwrap();
    holder.execute_batch("CREATE TABLE t (a UNIQUE); BEGIN IMMEDIATE").unwrap();
    let more = [columns(&["a"]), ("wal", false.into()), ("timeout", "1ms".into())];
    let mut runner = sink(&path(&folder), &more);
    assert!(runner.give(&[r#"{"a": 1}"#, r#"{"a": 2}"#, r#"{"a": 1}"#]).is_empty());
    holder.execute_batch("ROLLBACK").unwrap();
    assert_eq!(runner.retry().iter().map(Message::status).collect::<Vec<_>>(), [0, 0]);
    let settled = runner.flush(Flush::Age);
    assert_eq!(settled[0].status(), 226);
    assert!(settled[0].description().starts_with("row 1 of 1: UNIQUE"), "{settled:?}");
    assert_eq!(rows(&path(&folder), "SELECT * FROM t"), ["Integer(1)", "Integer(2)"]);
}

/// By whatever another connection does, in whatever mode the database is.
#[test]
fn a_database_that_is_held_is_waited_for_when_it_is_opened() {
    for (mode, has_log, begin) in [
        ("delete", true, "BEGIN IMMEDIATE"),
        ("delete", true, "BEGIN EXCLUSIVE"),
        ("delete", false, "BEGIN EXCLUSIVE"),
        ("wal", true, "BEGIN IMMEDIATE"),
        ("wal", false, "BEGIN IMMEDIATE"),
    ] {
        let what = format!("{begin} in {mode}, {has_log}");
        let folder = TempDir::new().unwrap();
        let holder = Connection::open(path(&folder)).unwrap();
        holder.pragma_update(None, "journal_mode", mode).unwrap();
        holder
            .execute_batch(&format!(
                "CREATE TABLE other (a); {begin}; INSERT INTO other VALUES (1)"
            ))
            .unwrap();
        let more =
            |timeout: &str| [columns(&["a"]), ("wal", has_log.into()), ("timeout", timeout.into())];
        let factory = prepared::<Sqlite>(&values(&path(&folder), &more("30ms"))).unwrap();
        let started = Instant::now();
        let error = format!("{:#}", factory.component().err().unwrap());
        assert!(started.elapsed() >= Duration::from_millis(30), "{what}: {:?}", started.elapsed());
        assert!(error.contains("another connection has held it for 30ms"), "{what}: {error}");
        assert!(error.contains("database is locked"), "{what}: {error}");
        let release = thread::spawn(move || {
            thread::sleep(Duration::from_millis(100));
            holder.execute_batch("COMMIT").unwrap();
        });
        let mut runner = sink(&path(&folder), &more("30s"));
        release.join().unwrap();
        assert_eq!(runner.give(&[r#"{"a": 1}"#, r#"{"a": 2}"#]).len(), 2, "{what}");
        assert_eq!(rows(&path(&folder), "SELECT * FROM t").len(), 2, "{what}");
    }
}

#[test]
fn the_log_is_kept_or_not() {
    for (has_log, mode) in [(true, "Text(\"wal\")"), (false, "Text(\"delete\")")] {
        let folder = TempDir::new().unwrap();
        let _runner = sink(&path(&folder), &[columns(&["a"]), ("wal", has_log.into())]);
        assert_eq!(rows(&path(&folder), "PRAGMA journal_mode"), [mode]);
    }
}

#[test]
fn names_are_taken_as_they_are() {
    let folder = TempDir::new().unwrap();
    let from = map([("a \"b\"; DROP", "a".into())]);
    let mut all = values(&path(&folder), &[("values", from), ("batch", 1.into())]);
    all[1].1 = "x\"; --".into();
    let component = prepared::<Sqlite>(&all).unwrap().component().unwrap();
    assert_eq!(Runner::new(component).give(&[r#"{"a": 1}"#])[0].status(), 0);
    let found = rows(&path(&folder), "SELECT \"a \"\"b\"\"; DROP\" FROM \"x\"\"; --\"");
    assert_eq!(found, ["Integer(1)"]);
}

#[test]
fn what_is_not_there_is_found_before_the_first_message() {
    let folder = TempDir::new().unwrap();
    let more = [columns(&["a"]), ("create", false.into())];
    let factory = prepared::<Sqlite>(&values(&path(&folder), &more)).unwrap();
    let error = format!("{:#}", factory.component().err().unwrap());
    assert!(error.starts_with("sqlite: cannot write \"t\" in "), "{error}");
    assert!(error.contains("no such table: t"), "{error}");
    sink(&path(&folder), &[columns(&["a"])]);
    let factory = prepared::<Sqlite>(&values(&path(&folder), &[columns(&["b"])])).unwrap();
    let error = format!("{:#}", factory.component().err().unwrap());
    assert!(error.contains("no column named b"), "{error}");
}

#[test]
fn values_out_of_bounds_are_refused() {
    let with = |more: &[(&'static str, Value)]| refused::<Sqlite>(&values(Path::new("a"), more));
    assert_eq!(refused::<Sqlite>(&[]), "`sqlite` needs the attributes `path`, `table`");
    let error = "`columns` = {}: expected 1 to 1000 columns, or some in `values`";
    assert_eq!(with(&[]), error);
    assert_eq!(with(&[columns(&[])]), error);
    assert_eq!(with(&[columns(&["a", "A"])]), "`columns` = \"A\": expected each column once");
    assert!(with(&[columns(&[""])]).starts_with("`columns` = \"\": expected a text"));
    let error = with(&[("values", map([("a", "1 +".into())]))]);
    assert!(error.starts_with("`values.a` = \"1 +\": expected "), "{error}");
    let error = with(&[columns(&["a"]), ("values", map([("b", "1".into())]))]);
    assert_eq!(error, "`values.b` = \"1\": expected a name that is in `columns`");
    assert!(with(&[("table", "".into())]).starts_with("`table` = \"\": expected a name"));
    let error = with(&[columns(&["a"]), ("timeout", "2h".into())]);
    assert_eq!(error, "`timeout` = 7200: expected up to 1h");
    assert!(with(&[columns(&["a"]), ("on_conflict", "x".into())]).contains("\"replace\""));
    let more = [columns(&["a"]), ("threads", 3.into())];
    let factory = prepared::<Sqlite>(&values(Path::new("a"), &more)).unwrap();
    assert_eq!(factory.pool_size(), Some(3));
}

#[test]
fn a_row_that_comes_again_takes_its_place() {
    let folder = TempDir::new().unwrap();
    let more = [
        columns(&["a", "b"]),
        ("key", list(&["a"])),
        ("on_conflict", "replace".into()),
        ("batch", 1.into()),
    ];
    let mut runner = sink(&path(&folder), &more);
    for text in [r#"{"a": 1, "b": 1}"#, r#"{"a": 2, "b": 1}"#, r#"{"a": 1, "b": 2}"#] {
        assert_eq!(runner.give(&[text])[0].status(), 0);
    }
    let found = rows(&path(&folder), "SELECT a, b FROM t ORDER BY a");
    assert_eq!(found, ["Integer(1) Integer(2)", "Integer(2) Integer(1)"]);
    let more = [columns(&["a"]), ("key", list(&["x"]))];
    assert!(refused::<Sqlite>(&values(&path(&folder), &more)).contains("columns of the table"));
}
