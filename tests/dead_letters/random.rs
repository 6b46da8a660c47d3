//! Random requests, sizes and threads: each comes out once, at the end that it belongs to.

use super::ends;
use crate::common::{Act, ORDERS, Random, assert_quiet, ending, finish, job, lab};
use stageline::{DeadLetters, Receiver};
use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

/// Random runs of the test.
const RUNS: u32 = 20;
/// Requests of one of them.
const EACH: u64 = 400;

/// How each request came out: its text, and whether in a letter.
type Out = Vec<(u64, String, bool)>;

fn receive(mut receiver: Receiver<crate::common::Lab>, seed: u64) -> Out {
    let (mut random, mut out) = (Random(seed), Vec::new());
    loop {
        if random.below(2) == 0 {
            receiver.drain(1 + random.below(9) as usize, |output| {
                out.push((output.position(), ending(output), false));
            });
        }
        match receiver.recv() {
            Ok(output) => out.push((output.position(), ending(&output), false)),
            Err(_) => break,
        }
    }
    assert_quiet(&receiver.stats());
    out
}

fn read(mut letters: DeadLetters<crate::common::Lab>, seed: u64) -> Out {
    let (mut random, mut out) = (Random(seed), Vec::new());
    while let Ok(letter) = letters.recv() {
        out.push((letter.position(), letter.outcome().to_string(), true));
        drop(letter);
        if random.below(16) == 0 {
            thread::sleep(Duration::from_micros(random.below(500)));
        }
    }
    out
}

pub fn random() {
    let seed = std::env::var("STAGELINE_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("STAGELINE_SEED={seed}");
    let mut random = Random(seed);
    let (mut in_letters, mut dead_outside) = (0, 0);
    for _ in 0..RUNS {
        let order = ORDERS[random.below(2) as usize];
        let (workers, capacity) = (1 + random.below(3) as usize, 1 + random.below(12) as usize);
        let starts = [0, u64::from(u32::MAX) - 9, u64::MAX - 9];
        let first = starts[random.below(3) as usize];
        let builder = lab().workers(workers).window(2 << random.below(5)).dead_letters(capacity);
        let pipeline = builder.first_position(first).build().unwrap();
        let (mut submitter, receiver, letters) = ends(&pipeline, order);
        let seeds = [random.next(), random.next(), random.next()];
        let case = format!("{order:?}, {workers} workers, {capacity} letters");
        let mut expected = BTreeMap::new();
        let out = thread::scope(|scope| {
            let receiver = scope.spawn(move || receive(receiver, seeds[0]));
            let letters = scope.spawn(move || read(letters, seeds[1]));
            let mut random = Random(seeds[2]);
            for value in 0..EACH {
                let (act, text) = match random.below(4) {
                    0 => (Act::Fail, format!("failed: failed at {}", value + 1)),
                    1 => (Act::Drop, "dropped".to_owned()),
                    _ => (Act::Pass, "done".to_owned()),
                };
                expected.insert(submitter.submit(job(act, value)).unwrap(), text);
            }
            drop(submitter);
            [receiver.join().unwrap(), letters.join().unwrap()].concat()
        });
        assert_eq!(out.len() as u64, EACH, "{case}");
        for (position, text, in_letter) in out {
            let is_dead = text.starts_with("failed");
            assert_eq!(expected.remove(&position), Some(text), "{case}: {position}");
            assert!(is_dead || !in_letter, "{case}: {position}");
            in_letters += u32::from(in_letter);
            dead_outside += u32::from(is_dead && !in_letter);
        }
        let ledger = finish(pipeline);
        assert_eq!(ledger.received, EACH);
    }
    assert!(in_letters > 0 && dead_outside > 0, "{in_letters} in letters, {dead_outside} not");
}
