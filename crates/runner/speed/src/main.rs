//! `make` writes the rows, `straight` does the job in one thread, `compare` runs all programs that are there.

mod straight;

use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 7;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["make", input, output] => make(input, output),
        ["straight", rows] => straight::run(rows, &env::var("FILTER").unwrap_or(FILTER.into())),
        ["compare", rows] => compare(rows),
        _ => Err("usage: runner-speed make CSV NDJSON | straight NDJSON | compare NDJSON".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("runner-speed: {error}");
            ExitCode::FAILURE
        }
    }
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Records of CSV as objects: numbers where they are such, null for `NA`.
fn make(input: &str, output: &str) -> Result<()> {
    let mut records = csv::Reader::from_path(input)?;
    let header = records.headers()?.clone();
    let mut out = BufWriter::new(File::create(output)?);
    for record in records.records() {
        let record = record?;
        let field = |(name, text): (&str, &str)| {
            let value = match text.parse::<i64>() {
                _ if text == "NA" => serde_json::Value::Null,
                Ok(number) => number.into(),
                Err(_) => text.into(),
            };
            (name.to_owned(), value)
        };
        let row: serde_json::Map<_, _> = header.iter().zip(&record).map(field).collect();
        serde_json::to_writer(&mut out, &row)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// One way to do the job. What it writes is compared with what the others do, but for blanks.
struct Way {
    name: &'static str,
    command: Command,
    /// It writes to this file, and not to its standard output.
    writes: bool,
}

/// Comparisons, which the component `json` makes by itself.
const FILTER: &str = "dep_delay > 30 && carrier == \"UA\"";
/// The same rows, by what the interpreter of CEL has to evaluate: more work for each.
const HEAVY: &str = "(carrier + origin).startsWith(\"UA\") && dep_delay > 30";

const JQ: &str =
    "select(.dep_delay > 30 and .carrier == \"UA\") | {carrier, flight, origin, dest, dep_delay}";
const MLR: &str = "typeof($dep_delay) == \"int\" && $dep_delay > 30 && $carrier == \"UA\"";

fn ways(rows: &str, out: &str) -> Result<Vec<Way>> {
    let own = env::current_exe()?;
    let folder = own.parent().ok_or("no folder")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR"));
    let stageline = |workers: &str, out: &str, filter: &str| {
        let mut command = Command::new(folder.join("stageline"));
        command.args(["run", "--quiet", "--workers", workers]).arg(script.join("pipeline.lua"));
        command.env("ROWS", rows).env("OUT", out).env("FILTER", filter);
        command
    };
    let command = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments);
        command
    };
    let way = |name, command| Way { name, command, writes: false };
    let straight = |filter: &str| {
        let mut command = Command::new(&own);
        command.args(["straight", rows]).env("FILTER", filter);
        command
    };
    let python = env::var("PYTHON").unwrap_or_else(|_| String::from("python3"));
    let flow = script.join("flow.py");
    let mut ways = vec![
        way("stageline, 1 worker", stageline("1", "stdout", FILTER)),
        way("stageline, 2 workers", stageline("2", "stdout", FILTER)),
        way("stageline to null, 1 worker", stageline("1", "null", FILTER)),
        way("stageline to null, 2 workers", stageline("2", "null", FILTER)),
        way("one thread, no pipeline", straight(FILTER)),
        way("stageline, 1 worker, more work", stageline("1", "stdout", HEAVY)),
        way("stageline, 2 workers, more work", stageline("2", "stdout", HEAVY)),
        way("one thread, no pipeline, more work", straight(HEAVY)),
        way("jq -c", command("jq", &["-c", JQ, rows])),
        way(
            "Miller",
            command(
                "mlr",
                &[
                    "--ijsonl",
                    "--ojsonl",
                    "filter",
                    MLR,
                    "then",
                    "cut",
                    "-o",
                    "-f",
                    "carrier,flight,origin,dest,dep_delay",
                    rows,
                ],
            ),
        ),
    ];
    let flow = flow.to_str().ok_or("a path that is no text")?;
    ways.push(Way { name: "bytewax", command: command(&python, &[flow, rows, out]), writes: true });
    Ok(ways)
}

fn compare(rows: &str) -> Result<()> {
    let out = format!("{rows}.out");
    let mut ways = ways(rows, &out)?;
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); ways.len()];
    let mut expected = None;
    for round in 0..ROUNDS {
        for (way, times) in ways.iter_mut().zip(&mut times) {
            if round > 0 && times.is_empty() {
                continue;
            }
            let file = File::create(&out)?;
            let stdout = if way.writes { Stdio::null() } else { file.into() };
            let start = Instant::now();
            let status = way.command.stdout(stdout).stderr(Stdio::null()).status();
            let time = start.elapsed();
            if !status.is_ok_and(|status| status.success()) {
                eprintln!("{}: not there, or it failed", way.name);
                continue;
            }
            times.push(time);
            let text = fs::read_to_string(&out)?.replace(' ', "");
            let mut lines: Vec<_> = text.lines().collect();
            lines.sort_unstable();
            let lines = lines.join("\n");
            if !way.name.contains("null") && *expected.get_or_insert_with(|| lines.clone()) != lines
            {
                return Err(format!("{} wrote something else", way.name).into());
            }
        }
    }
    println!(
        "| program | median s | least .. most | times stageline's, 1 worker |\n|---|---|---|---|"
    );
    let median = |times: &[Duration]| {
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        sorted[sorted.len() / 2].as_secs_f64()
    };
    let reference = median(&times[0]);
    for (way, times) in ways.iter().zip(&times).filter(|(_, times)| !times.is_empty()) {
        let (least, most) = (times.iter().min(), times.iter().max());
        let seconds = |time: Option<&Duration>| time.map_or(0.0, Duration::as_secs_f64);
        let (least, most, median) = (seconds(least), seconds(most), median(times));
        println!(
            "| {} | {median:.3} | {least:.3} .. {most:.3} | {:.2} |",
            way.name,
            median / reference
        );
    }
    fs::remove_file(&out)?;
    Ok(())
}
