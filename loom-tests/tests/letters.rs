//! `src/common/letters.rs`, with the ends of `src/group/`: results that are kept apart, and the end that they
//! come out of.
//!
//! Proven: for one group with a window of two, one letter or two, a receiver and a reader of the letters: each
//! result comes out once, at one of the two ends, with its payload; a reader that waits is woken by a letter
//! and by the end of the receiver, and who is told `Closed` has all letters; the last of three ends hands the
//! group on, once.
//! Bound: none, two preemptions where three ends are dropped.
//! Not proven: the queues of letters are crossbeam's; here a locked queue stands for them.

mod common;

use common::engine::{Engine, Machine, lettered_engine, open};
use common::stageline::cold::Failure;
use common::stageline::slot::Phase;
use common::stageline::window::Order::{Completion, Submission};
use common::stageline::{DeadLetters, GroupOptions, Receiver, Submitter, TryRecvError};
use common::{ALL, TWO, explore, join, spawn, step};

/// What a stage makes of the payload of a request that fails.
fn failed(position: u64) -> u64 {
    position * 10
}

/// The ends of a group in which so many requests have failed. (It has two workers, so that either order is what
/// it says.)
fn ends(
    letters: usize,
    requests: u64,
    options: GroupOptions,
) -> (Engine, Submitter<Machine>, Receiver<Machine>, DeadLetters<Machine>) {
    let engine = lettered_engine(2, letters);
    let (mut submitter, mut receiver) = open(&engine, options.dead_letters());
    let reader = receiver.dead_letters().expect("asked for");
    for _ in 0..requests {
        let position = submitter.try_submit(0).expect("there is room");
        let (window, mut slots) = (&engine.group(0).window, [0]);
        let claimed = window.claim(1, &mut slots).expect("it was submitted");
        let slot = window.index_of(window.claimed_slot(claimed, &slots, 0));
        // SAFETY: the slot has just been claimed.
        unsafe {
            window.value(slot, |value| *value = failed(position));
            window.cold(slot, |cold| (*cold).failure = Failure::Error(()));
        }
        window.complete(0, claimed, &slots, Some(&[Phase::Failed]));
    }
    (engine, submitter, receiver, reader)
}

/// The next result of the receive end: its position.
fn receive(receiver: &mut Receiver<Machine>) -> Option<u64> {
    let output = receiver.try_recv().ok()?;
    assert_eq!(*output, failed(output.position()));
    Some(output.position())
}

/// The next letter, or what is said in its place.
fn read(reader: &mut DeadLetters<Machine>) -> Result<u64, TryRecvError> {
    let mut letter = reader.try_recv()?;
    assert_eq!(*letter, failed(letter.position()));
    // Written to, as its end may.
    *letter = 0;
    Ok(letter.position())
}

/// Two results for one letter: the second comes out here or there, once.
#[test]
fn a_result_comes_out_once() {
    let expected = ["[1] apart, [2] here", "[1, 2] apart, [] here"];
    for order in [Submission, Completion] {
        explore("letters::a_result_comes_out_once", ALL, &expected, move || {
            let (_engine, _submitter, mut receiver, mut reader) =
                ends(1, 2, GroupOptions::new(order));
            let receiver = spawn(move || {
                let first = receive(&mut receiver);
                step();
                (first.into_iter().chain(receive(&mut receiver)).collect::<Vec<_>>(), receiver)
            });
            let reader = spawn(move || {
                let first = read(&mut reader).ok();
                step();
                (first.into_iter().chain(read(&mut reader).ok()).collect::<Vec<_>>(), reader)
            });
            let ((here, mut receiver), (mut apart, mut reader)) = (join(receiver), join(reader));
            apart.extend(std::iter::from_fn(|| read(&mut reader).ok()));
            assert_eq!(receive(&mut receiver), None);
            format!("{apart:?} apart, {here:?} here")
        });
    }
}

/// Who is told that nothing more comes has all that came.
#[test]
fn who_is_told_closed_has_every_letter() {
    explore("letters::who_is_told_closed_has_every_letter", ALL, &["2, 0", "2, 1", "2, 2"], || {
        let (_engine, submitter, mut receiver, mut reader) =
            ends(2, 2, GroupOptions::new(Submission));
        let receiver = spawn(move || {
            // All that is in flight is kept apart with the first look.
            assert_eq!(receive(&mut receiver), None);
            drop(receiver);
        });
        let reader = spawn(move || {
            let (mut letters, mut looks) = (0, 0);
            // As often as a look may find something; whatever is left then, the last one finds.
            while looks < 3 {
                looks += 1;
                match read(&mut reader) {
                    Ok(_) => letters += 1,
                    Err(TryRecvError::Closed) => {
                        assert_eq!(letters, 2, "closed with letters left");
                        return (letters, "closed", reader);
                    }
                    Err(_) => {}
                }
                step();
            }
            (letters, "open", reader)
        });
        join(receiver);
        let (letters, _, mut reader) = join(reader);
        let left = std::iter::from_fn(|| read(&mut reader).ok()).count();
        assert_eq!(read(&mut reader), Err(TryRecvError::Closed));
        drop(submitter);
        format!("{}, {}", letters + left, letters)
    });
}

// ---- waiting ----

#[test]
fn a_reader_is_woken_by_a_letter() {
    explore("letters::a_reader_is_woken_by_a_letter", ALL, &["1"], || {
        let (_engine, _submitter, mut receiver, mut reader) =
            ends(1, 1, GroupOptions::new(Submission));
        let receiver = spawn(move || {
            assert_eq!(receive(&mut receiver), None);
            receiver
        });
        let reader = spawn(move || {
            let position = reader.recv().expect("there is one").position();
            (position, reader)
        });
        let (_receiver, (position, _reader)) = (join(receiver), join(reader));
        format!("{position}")
    });
}

#[test]
fn a_reader_is_woken_by_the_receivers_end() {
    for says_closed in [false, true] {
        let expected = ["closed"];
        explore("letters::a_reader_is_woken_by_the_receivers_end", ALL, &expected, move || {
            let (_engine, submitter, mut receiver, mut reader) =
                ends(1, 0, GroupOptions::new(Submission));
            if says_closed {
                drop(submitter);
            }
            let receiver = spawn(move || {
                // It says `Closed`, or is dropped.
                if !says_closed {
                    return None;
                }
                assert_eq!(receiver.try_recv().err(), Some(TryRecvError::Closed));
                Some(receiver)
            });
            let reader = spawn(move || {
                assert!(reader.recv().is_err());
                reader
            });
            let (_receiver, _reader) = (join(receiver), join(reader));
            "closed".to_owned()
        });
    }
}

// ---- the ends ----

#[test]
fn the_last_of_three_ends_hands_the_group_on() {
    explore("letters::the_last_of_three_ends_hands_the_group_on", TWO, &["(1, 0)"], || {
        let (engine, submitter, receiver, reader) = ends(1, 0, GroupOptions::new(Submission));
        let keep = |engine: &Engine| {
            let engine = engine.clone();
            move || assert_eq!(engine.free.len() + engine.retired.len(), 0, "handed on too soon")
        };
        let (first, second, third) = (keep(&engine), keep(&engine), keep(&engine));
        let threads = [
            spawn(move || {
                first();
                drop(submitter);
            }),
            spawn(move || {
                second();
                drop(receiver);
            }),
            spawn(move || {
                third();
                drop(reader);
            }),
        ];
        threads.into_iter().for_each(join);
        format!("{:?}", (engine.free.len(), engine.retired.len()))
    });
}
