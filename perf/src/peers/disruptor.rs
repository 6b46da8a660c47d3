//! The crate disruptor: one ring in which the payloads stay. The submitter publishes in batches; a handler
//! on its own thread runs the stages in place; the results are read from the same ring by an event poller
//! that stands behind the handler and that the submitter's thread polls. That is the cheapest way back
//! that is correct: no second ring, no copy, one more cursor; and a slot is written again only when the
//! poller has passed it.

use crate::cores::pin;
use crate::driver::Stream;
use crate::payload::{Payload, payload, table, work};
use disruptor::{
    BusySpin, EventPoller, Producer, SingleConsumerBarrier, SingleProducer, build_single_producer,
};
use std::cell::UnsafeCell;

/// A payload that the handler changes where it stands: it is given a shared reference only.
struct Event(UnsafeCell<Payload>);

// SAFETY: the ring's cursors give an event to one thread at a time: the producer's, then the handler's,
// then the poller's, and the producer's again when the poller has passed it.
unsafe impl Sync for Event {}

pub struct Ring {
    producer: SingleProducer<Event, SingleConsumerBarrier>,
    results: EventPoller<Event, SingleConsumerBarrier>,
}

pub fn stream(cpu: usize, window: usize, _batch: usize) -> Ring {
    let stages = table();
    // Pinned here: the crate's own way looks for the CPU among those of the calling thread, which is pinned.
    let pinned = move || pin(cpu);
    let (results, builder) =
        build_single_producer(window, || Event(UnsafeCell::new(payload(0))), BusySpin)
            .handle_events_and_state_with(
                move |(), event: &Event, _, _| {
                    // SAFETY: the event has been published, and nobody else may look at it until this
                    // handler has passed it.
                    work(&stages, unsafe { &mut *event.0.get() });
                },
                pinned,
            )
            .and_then()
            .new_event_poller();
    Ring { producer: builder.build(), results }
}

impl Stream for Ring {
    #[inline(always)]
    fn submit(&mut self, values: &mut impl ExactSizeIterator<Item = Payload>) -> usize {
        let count = values.len();
        if count > 0 {
            self.producer.batch_publish(count, |events| {
                for (event, value) in events.zip(values) {
                    *event.0.get_mut() = value;
                }
            });
        }
        count
    }

    #[inline(always)]
    fn receive(&mut self, max: usize, each: &mut impl FnMut(&Payload)) -> usize {
        let Ok(mut events) = self.results.take(max as u64) else { return 0 };
        let events = &mut events;
        let count = events.len();
        // SAFETY: the handler has passed these events, and the producer waits for this poller.
        events.for_each(|event| each(unsafe { &*event.0.get() }));
        count
    }
}
