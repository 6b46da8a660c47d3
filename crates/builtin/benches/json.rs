//! What `json` takes for a message: 20,000 rows of 340 bytes, in memory, the best of 10 passes. Prints a line for each case.

use stageline_builtin::builtin;
use stageline_component::{Message, Report, Value};
use std::time::Instant;

const ROWS: usize = 20_000;

fn rows() -> Vec<String> {
    let carriers = ["UA", "AA", "DL"];
    let row = |i: usize| {
        format!(
            "{{\"year\":2013,\"month\":{},\"day\":{},\"dep_time\":{},\"sched_dep_time\":515,\"dep_delay\":{},\
             \"arr_time\":830,\"sched_arr_time\":819,\"arr_delay\":11,\"carrier\":\"{}\",\"flight\":{},\
             \"tailnum\":\"N14228\",\"origin\":\"EWR\",\"dest\":\"IAH\",\"air_time\":227,\"distance\":1400,\"hour\":5,\
             \"minute\":15,\"time_hour\":\"2013-01-01T10:00:00Z\",\"name\":\"United Air Lines Inc.\"}}",
            i % 12 + 1,
            i % 28 + 1,
            i % 2400,
            (i * 7919) % 120,
            carriers[i % 3],
            i % 7000
        )
    };
    (0..ROWS).map(row).collect()
}

fn measure(what: &str, attributes: &[(&str, Value)]) {
    let mut factory = (builtin("json").unwrap().factory)();
    for (name, value) in attributes {
        factory.set_attribute(name, value).unwrap();
    }
    factory.prepare().unwrap();
    let mut json = factory.component().unwrap();
    let rows = rows();
    let mut message = Message::new(4096, 1 << 20);
    let (mut best, mut done) = (f64::MAX, 0);
    for _ in 0..10 {
        done = 0;
        let start = Instant::now();
        for row in &rows {
            message.set_data(row.as_bytes()).unwrap();
            done += usize::from(json.handle(&mut message) == Report::DONE);
        }
        best = best.min(start.elapsed().as_nanos() as f64 / ROWS as f64);
    }
    println!("{what:24} {best:7.0} ns a row, {done} of {ROWS} done");
}

fn main() {
    let filter = ("filter", Value::from("dep_delay > 30 && carrier == \"UA\""));
    let computed = ("filter", Value::from("dep_delay + 1 > 31 && carrier == \"UA\""));
    let names = ["carrier", "flight", "dep_delay", "origin", "dest"];
    let select = ("select", Value::List(names.map(Value::from).to_vec()));
    let rename = ("rename", Value::Map([("dep_delay".to_owned(), "delay".into())].into()));
    measure("check", &[]);
    measure("filter", std::slice::from_ref(&filter));
    measure("filter, by cel", &[computed]);
    measure("filter and select", &[filter, select.clone()]);
    measure("select", &[select]);
    measure("rename", &[rename]);
}
