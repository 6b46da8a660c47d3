//! Once their buffers have grown, transforms allocate nothing for a message, where their documentation says so.

// (Memory does not run out here.)
#[allow(dead_code)]
#[path = "../../../tests/common/counting.rs"]
mod counting;

use counting::{Counting, calls, wait_for_others};
use stageline_builtin::builtin;
use stageline_component::host::Call;
use stageline_component::{Component, Message, Report, Value};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Messages in a round: the rows ten times.
const ROUND: usize = 400;

/// Rounds after which every buffer has the size that it needs.
const WARM_UP: usize = 4;

fn component(name: &str, attributes: &[(&str, Value)]) -> Box<dyn Component> {
    let mut factory = (builtin(name).unwrap().factory)();
    for (name, value) in attributes {
        factory.set_attribute(name, value).unwrap();
    }
    factory.prepare().unwrap();
    factory.component().unwrap()
}

/// Sends messages round and round, and counts in the last one how many were done or held.
#[track_caller]
fn allocates_nothing(name: &str, attributes: &[(&str, Value)], data: &[Vec<u8>]) -> usize {
    let mut component = component(name, attributes);
    let mut message = Message::new(4096, 1 << 20);
    let (mut taken, mut held) = (0, 0);
    let mut round = || {
        taken = 0;
        for data in data.iter().cycle().take(ROUND) {
            message.clear();
            message.set_data(data).unwrap();
            message.set_attribute("csv.header", b"id,carrier,delay").unwrap();
            message.prepare(Call { attempt: 1, flush: None, held });
            let report = component.handle(&mut message);
            assert!(
                matches!(report, Report::DONE | Report::CONTINUE | Report::DROP),
                "{name}: {message:?}"
            );
            held = if report == Report::CONTINUE { held + 1 } else { 0 };
            taken += usize::from(report != Report::DROP);
        }
    };
    (0..WARM_UP).for_each(|_| round());
    let before = calls();
    round();
    let made = calls() - before;
    assert_eq!(made, 0, "{name} {attributes:?}: allocations and deallocations");
    taken
}

fn list(texts: &[&str]) -> Value {
    Value::List(texts.iter().copied().map(Value::from).collect())
}

fn map(pairs: &[(&str, Value)]) -> Value {
    Value::Map(pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

/// One test, so that no other thread is counted.
#[test]
fn transforms_allocate_nothing_for_a_message() {
    wait_for_others();
    let rows =
        |text: fn(usize) -> String| (0..40).map(|i| text(i).into_bytes()).collect::<Vec<_>>();
    let json =
        rows(|i| format!("{{\"id\":{i},\"carrier\":\"UA\",\"delay\":{},\"note\":null}}", i % 60));
    let csv = rows(|i| format!("{i},UA,\"{}\"\n", i % 60));
    let filter = ("filter", Value::from("delay > 30 && carrier == \"UA\" || note == 1"));
    let select = ("select", list(&["delay", "id"]));
    let few = allocates_nothing("json", &[filter, select], &json);
    assert!((1..ROUND).contains(&few), "{few} pass");
    let edits = [
        ("rename", map(&[("id", "number".into())])),
        ("set", map(&[("from", "carrier".into()), ("delay", 1.into())])),
        ("remove", list(&["note"])),
    ];
    assert_eq!(allocates_nothing("json", &edits, &json), ROUND);
    let set =
        [("set", map(&[("topic", "carrier".into()), ("n", 7.into())])), ("remove", list(&["x"]))];
    assert_eq!(allocates_nothing("attributes", &set, &json), ROUND);
    let typed = [("types", map(&[("id", "integer".into())])), ("infer", true.into())];
    assert_eq!(allocates_nothing("csv_to_json", &typed, &csv), ROUND);
    let pattern = ("pattern", Value::from(r#""id":(?<id>\d+).*(?<note>null)"#));
    assert_eq!(allocates_nothing("regex", std::slice::from_ref(&pattern), &json), ROUND);
    let to_attributes = [pattern, ("to", "attributes".into())];
    assert_eq!(allocates_nothing("regex", &to_attributes, &json), ROUND);
    assert_eq!(allocates_nothing("batch", &[("count", 50.into())], &json), ROUND);
    let arrays = [("count", 50.into()), ("format", "json".into())];
    assert_eq!(allocates_nothing("batch", &arrays, &json), ROUND);
    // More keys than are remembered, so that each message is new.
    let by_id = [("key", "id".into()), ("memory", 20.into()), ("within", "1h".into())];
    assert_eq!(allocates_nothing("dedupe", &by_id, &json), ROUND);
    let sample = [("rate", 0.5.into()), ("key", "id".into())];
    allocates_nothing("sample", &sample, &json);
    assert_eq!(allocates_nothing("gzip", &[("level", 1.into())], &json), ROUND);
    let mut gzip = component("gzip", &[]);
    let files: Vec<_> = json
        .iter()
        .map(|data| {
            let mut message = Message::new(64, 1 << 20);
            message.set_data(data).unwrap();
            assert_eq!(gzip.handle(&mut message), Report::DONE);
            message.data().to_vec()
        })
        .collect();
    assert_eq!(allocates_nothing("gunzip", &[], &files), ROUND);
    assert!(calls() > 0, "the counter counts");
}
