//! The job in one thread, without a pipeline: lines, the component `json`, lines.

use stageline_builtin::builtin;
use stageline_component::host::Call;
use stageline_component::{Message, ReportKind, Value};
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};

const BUFFER: usize = 64 * 1024;

pub fn run(rows: &str, filter: &str) -> Result<(), Box<dyn Error>> {
    let mut factory = (builtin("json").ok_or("no component `json`")?.factory)();
    let select = ["carrier", "flight", "origin", "dest", "dep_delay"].map(Value::from);
    factory.set_attribute("filter", &filter.into())?;
    factory.set_attribute("select", &Value::List(select.into()))?;
    factory.prepare()?;
    let mut json = factory.component()?;
    let mut lines = BufReader::with_capacity(BUFFER, File::open(rows)?);
    let mut out = BufWriter::with_capacity(BUFFER, std::io::stdout().lock());
    let mut message = Message::new(4096, 1 << 20);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        message.reset();
        message.set_data(line.strip_suffix(b"\n").unwrap_or(&line))?;
        message.prepare(Call { attempt: 1, flush: None, held: 0 });
        if json.handle(&mut message).kind() == ReportKind::Done {
            out.write_all(message.data())?;
            out.write_all(b"\n")?;
        }
        line.clear();
    }
    Ok(out.flush()?)
}
