//! After the build and a warm-up nothing is allocated or freed, by any thread, for requests that are retried, held,
//! suspended, described, run by pools, and put into letters when they fail.

mod common;

use common::counting::{Counting, calls, wait_for_others};
use common::{ORDERS, watchdog};
use stageline::{
    DeadLetters, GroupOptions, Pipeline, Pool, Request, RequestGroup, Retry, Step, Ticket,
    state_machine,
};
use std::sync::Mutex;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const WINDOW: usize = 64;

struct Everything {
    tickets: SyncSender<Ticket<Self>>,
}

#[state_machine(data = u64, error = u32, keeps)]
impl Everything {
    #[stage]
    fn sort(&mut self, number: &mut Request<'_, Self>) -> Step {
        match **number % 8 {
            0 => number.done(),
            1 if number.attempt() < 3 => number.retry(1),
            2 => number.retry(2),
            3 | 4 => number.next(Self::HOLD),
            5 => {
                let tickets = &self.tickets;
                number.suspend(|ticket| tickets.send(ticket).expect("somebody resumes"))
            }
            6 => number.next(Self::WRITE),
            7 => Step::from_status(250).expect("a failure"),
            _ => number.next(Self::END),
        }
    }

    #[stage]
    fn hold(&mut self, number: &mut Request<'_, Self>) -> Step {
        if number.flush().is_none() && number.held() < 3 {
            return number.hold(Duration::from_micros(200));
        }
        number.lead();
        number.for_each_follower(|follower| *follower |= 1 << 32);
        number.next(Self::WRITE)
    }

    #[stage(pool = "writers")]
    fn write(&mut self, number: &mut Request<'_, Self>) -> Step {
        number.describe("written by a pool");
        number.next(Self::END)
    }

    #[stage]
    fn end(&mut self, number: &mut Request<'_, Self>) -> Step {
        number.done()
    }
}

/// Streams requests through, a window full at a time. How many were done; the others come as letters, unless they are full.
fn stream(
    group: &mut RequestGroup<Everything>,
    letters: &mut DeadLetters<Everything>,
    count: u64,
) -> u64 {
    let (mut sent, mut back, mut done) = (0, 0, 0);
    while back < count {
        while sent < count && group.try_submit(sent).is_ok() {
            sent += 1;
        }
        // Where the last ones have become letters, nothing is in flight.
        if let Ok(output) = group.recv() {
            done += u64::from(output.is_done());
            back += 1;
        }
        back += letters.drain(WINDOW, |letter| assert!(!letter.outcome().is_done())) as u64;
    }
    done
}

/// One test, since another would allocate meanwhile.
#[test]
fn nothing_is_allocated_for_what_is_kept() {
    let _dog = watchdog(120);
    wait_for_others();
    for workers in [1, 2] {
        let (tickets, given) = sync_channel::<Ticket<Everything>>(WINDOW * 2);
        let clerk = std::thread::spawn(move || {
            given
                .into_iter()
                .for_each(|ticket| ticket.resume_with(Everything::END, |number| *number += 8));
        });
        let tickets = Mutex::new(tickets);
        let machine = move || Everything { tickets: tickets.lock().unwrap().clone() };
        let builder =
            Pipeline::builder(machine).workers(workers).groups(2).window(WINDOW).dead_letters(8);
        let builder = builder.retry(Retry::attempts(3).first(Duration::from_micros(20)));
        let pipeline = builder.pool(Pool::threads("writers", 2)).build().unwrap();
        for order in ORDERS {
            let mut group = pipeline.open(GroupOptions::new(order).dead_letters()).unwrap();
            let mut letters = group.dead_letters().unwrap();
            // Twice for the warm-up: threads wake in other ways the second time.
            (0..2).for_each(|_| assert_eq!(stream(&mut group, &mut letters, 4_000), 3_000));
            let before = calls();
            assert_eq!(stream(&mut group, &mut letters, 16_000), 12_000);
            assert_eq!(calls() - before, 0, "{order:?}, {workers} workers");
            assert!(group.stats().dead_letters > 0);
        }
        common::finish(pipeline);
        clerk.join().unwrap();
    }
}
