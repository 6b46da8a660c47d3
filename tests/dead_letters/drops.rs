//! Payloads and errors whose `Drop` panics, on their way through letters.

use super::apart;
use crate::common::eventually;
use crate::common::values::{Value, Values};
use stageline::{DeadLetters, Order, Pipeline, Request, Step, state_machine};

/// A payload and an error that are counted.
struct Handler;

#[state_machine(data = Option<Value>, error = Value)]
impl Handler {
    #[stage]
    fn only(&mut self, request: &mut Request<'_, Self>) -> Step {
        let value = request.as_ref().expect("it was submitted with a value");
        value.look();
        let values = value.values();
        if request.position() % 4 == 3 { request.done() } else { request.fail(values.value()) }
    }
}

/// The k-th drop of a value panics, for every k: nothing is dropped twice or left, and no letter is lost.
pub fn at_every_drop() {
    let mut panics = 0;
    for panic_at in 1.. {
        let values = Values::new(panic_at);
        drops(values);
        values.assert_all_gone(&format!("drop {panic_at}"));
        if !values.has_panicked() {
            break;
        }
        panics += 1;
    }
    assert!(panics > 20, "{panics} drops");
}

fn drops(values: &'static Values) {
    let payload = move || Some(values.value());
    let builder = Pipeline::builder_with(|| Handler, payload).workers(1).groups(1).window(4);
    let pipeline = builder.dead_letters(3).build().unwrap();
    for round in 0..2 {
        let mut group = None;
        eventually("the group is free", || {
            let opened = values.attempt(|| pipeline.open(apart(Order::Submission)).ok());
            group = opened.flatten();
            group.is_some()
        });
        let mut group = group.unwrap();
        let mut letters = group.dead_letters().unwrap();
        let mut fail = |letters: &mut DeadLetters<Handler>, leave: usize| {
            let mut sent = 0;
            while sent < 4 {
                let value = Some(values.value());
                // A panic in it has replaced what the slot held: the request is submitted.
                sent +=
                    u64::from(values.attempt(|| group.try_submit(value).is_ok()) != Some(false));
            }
            let sent = group.stats().ledger.submitted;
            eventually("all are received", || {
                values.attempt(|| drop(group.try_recv()));
                group.stats().ledger.received == sent
            });
            let mut left = 3;
            while left > leave {
                let read = values.attempt(|| match left {
                    1 => drop(letters.try_recv().unwrap().replace(None)),
                    2 => drop(letters.try_recv().unwrap().into_error().ok().unwrap()),
                    _ => drop(letters.try_recv().unwrap()),
                });
                let _ = read;
                left -= 1;
            }
        };
        fail(&mut letters, 0);
        // Two are left in it, for the next opening or the end.
        fail(&mut letters, 2);
        if round == 0 {
            values.attempt(|| drop(letters));
            values.attempt(|| drop(group));
        }
    }
    values.attempt(|| drop(pipeline));
}
