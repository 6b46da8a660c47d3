//! A machine is shown the payloads of requests that come next, in the batch that it runs.

mod common;

use common::{Gate, ORDERS, watchdog};
use stageline::{Outcome, Pipeline, Request, Step, state_machine};
use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    /// What a worker was shown since it ran a request.
    static SHOWN: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// A request, and the one that was shown before it began; at the value `PANICS` what shows it panics.
#[derive(Default)]
struct Card {
    number: u64,
    shown: Vec<u64>,
}

const PANICS: u64 = 40;
const CARDS: u64 = 64;

struct Dealer(Arc<Gate>);

#[state_machine(data = Card, error = ())]
impl Dealer {
    #[stage]
    fn turn(&mut self, card: &mut Request<'_, Self>) -> Step {
        if card.number == 0 {
            self.0.pass();
        }
        card.shown = SHOWN.take();
        card.done()
    }

    #[prefetch]
    fn show(next: &Card) {
        stageline::prefetch(&[0; 2 * stageline::limits::PREFETCH_MAX]);
        stageline::prefetch(&[]);
        stageline::prefetch_to_write(&mut []);
        assert_ne!(next.number, PANICS, "what shows the card panics");
        SHOWN.with_borrow_mut(|shown| shown.push(next.number));
    }
}

#[test]
fn the_next_payload_is_shown_as_a_request_begins() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let gate = Gate::closed();
        let machine = Arc::clone(&gate);
        let builder = Pipeline::builder(move || Dealer(Arc::clone(&machine)));
        let pipeline = builder.workers(1).reserve(0).pin(false).sample_every(1 << 40).build();
        let pipeline = pipeline.unwrap();
        let mut group = pipeline.open(order).unwrap();
        // The first holds up the worker until the others are there, so that they come in batches.
        for number in 0..CARDS {
            group.submit(Card { number, shown: Vec::new() }).unwrap();
        }
        gate.open();
        let mut shown = 0;
        for number in 0..CARDS {
            let card = group.recv().unwrap();
            assert_eq!(card.number, number);
            if number + 1 == PANICS && matches!(card.outcome(), Outcome::Panicked(_)) {
                // The request that was to begin, and no other.
                shown += 1;
                continue;
            }
            assert!(card.is_done(), "{number}: {:?}", card.outcome());
            let next = number + 1;
            assert!(card.shown.is_empty() || card.shown == [next], "{number}: {:?}", card.shown);
            shown += card.shown.len();
        }
        assert!(shown > 8, "{shown} of {CARDS}");
    }
}

/// Whatever is asked for, in a window that is empty, full, or closed, nothing else changes.
#[test]
fn a_submitter_may_ask_for_any_slot() {
    let _dog = watchdog(60);
    for order in ORDERS {
        let gate = Gate::closed();
        gate.open();
        let machine = Arc::clone(&gate);
        let builder = Pipeline::builder(move || Dealer(Arc::clone(&machine)));
        let pipeline = builder.workers(1).reserve(0).pin(false).window(8).build().unwrap();
        let (mut submitter, mut receiver) = pipeline.open(order).unwrap().split();
        for round in 0..20 {
            let mut submitted = 0;
            while submitter.try_submit_with(|card| card.number = round).is_ok() {
                submitted += 1;
                [0, 1, 7, 8].into_iter().for_each(|ahead| submitter.prefetch(ahead));
            }
            assert_eq!(submitted, 8);
            for _ in 0..submitted {
                assert_eq!(receiver.recv().unwrap().number, round);
            }
        }
        drop(receiver);
        submitter.prefetch(0);
        let producer = submitter.share();
        producer.prefetch(0);
    }
}
