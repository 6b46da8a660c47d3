//! Messages that are folded into one, handled as by who runs components.

use super::messages;
use super::objects::json;
use crate::parts::{MESSAGE_MAX, Runner, Settled, prepared};
use stageline_component::{Factory, Message, Report};
use std::sync::LazyLock;

const TOO_LARGE: u32 = 201;
const NOT_JSON: u32 = 210;
const COUNT: usize = 3;
const BYTES: usize = 64;
const SEPARATOR: &str = "--\n";

static FACTORIES: LazyLock<[Box<dyn Factory>; 3]> = LazyLock::new(|| {
    let limits = [("count", (COUNT as i64).into()), ("bytes", (BYTES as i64).into())];
    let with = |more: &[_]| prepared("batch", &[&limits[..], more].concat());
    [with(&[]), with(&[("format", "json".into())]), with(&[("separator", SEPARATOR.into())])]
});

/// What a batch of these messages says.
fn batch(variant: usize, came: &[Vec<u8>]) -> Vec<u8> {
    match variant {
        0 => came.join(&b"\n"[..]),
        2 => came.join(SEPARATOR.as_bytes()),
        _ => {
            let values = came.iter().map(|data| json(data).expect("it was taken").as_bytes());
            let values: Vec<&[u8]> = values.collect();
            [b"[", &values.join(&b","[..])[..], b"]"].concat()
        }
    }
}

/// Every message ends once, in a batch or alone, in the order in which they came.
pub fn check(variant: usize, max: usize, rest: &[u8]) {
    let variant = variant % FACTORIES.len();
    let mut runner = Runner::new("batch", FACTORIES[variant].component().expect("a transform"));
    let mut given = Vec::new();
    for data in messages(rest) {
        let mut message = Message::new(16, max);
        if message.set_data(data).is_ok() {
            given.push(data.to_vec());
            runner.give(message);
        }
    }
    let (mut folded, mut alone) = (Vec::new(), 0);
    for Settled { report, message, came } in runner.close() {
        match report.status() {
            NOT_JSON => {
                assert!(variant == 1 && came.len() == 1 && json(&came[0]).is_none(), "{came:?}");
                alone += 1;
            }
            TOO_LARGE => {
                // An array of it has two bytes more.
                let of_one = |data: &Vec<u8>| batch(variant, std::slice::from_ref(data)).len();
                assert!(max < MESSAGE_MAX && came.len() == 1 && of_one(&came[0]) > max, "{came:?}");
                alone += 1;
            }
            status => {
                assert_eq!(status, Report::DONE.status());
                assert!(came.len() <= COUNT, "{came:?}");
                let expected = batch(variant, &came).escape_ascii().to_string();
                assert_eq!(message.data().escape_ascii().to_string(), expected);
                folded.extend(came);
            }
        }
    }
    assert_eq!(folded.len() + alone, given.len(), "each ends once");
    let mut rest = given.iter();
    assert!(folded.iter().all(|data| rest.any(|given| given == data)), "{folded:?}: {given:?}");
}
