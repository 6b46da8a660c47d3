//! `src/wait.rs`: no wake-up of an `Event` is lost.
//!
//! Proven: for up to two waiters and two notifiers, in every order of the condition, the count, the
//! lock and the sleep, each waiter returns, and sees what its condition was made true with. A lost
//! wake-up is a deadlock, which loom reports.
//! Bound: none with two threads, three preemptions with more.
//! Not proven: deadlines (loom knows no time), and the asymmetric barrier: both sides are full fences
//! here.

mod common;

use common::stageline::sync::{Arc, AtomicU32, Ordering, light_barrier};
use common::stageline::wait::Event;
use common::{ALL, THREE, explore, join, spawn};

/// An event and a word of conditions, one bit each.
#[derive(Default)]
struct Bits {
    event: Event,
    bits: AtomicU32,
}

impl Bits {
    fn new() -> Arc<Self> {
        Arc::new(Self { event: Event::default(), bits: AtomicU32::new(0) })
    }

    /// Makes a condition true. Relaxed: what orders it is the event's to do.
    fn set(&self, bits: u32) {
        self.bits.fetch_or(bits, Ordering::Relaxed);
        self.event.notify();
    }

    /// Waits for all these bits; how often it looked.
    fn wait(&self, bits: u32) -> u32 {
        let mut looks = 0;
        let held = self.event.wait_until(None, || {
            looks += 1;
            self.bits.load(Ordering::Relaxed) & bits == bits
        });
        assert!(held);
        looks
    }
}

/// These waiters and notifiers, each for its bits. How often each waiter has looked.
fn run(waits: &[u32], sets: &[u32]) -> String {
    let event = Bits::new();
    let waiters: Vec<_> = waits
        .iter()
        .copied()
        .map(|bits| {
            let event = event.clone();
            spawn(move || event.wait(bits))
        })
        .collect();
    let notifiers: Vec<_> = sets
        .iter()
        .copied()
        .map(|bits| {
            let event = event.clone();
            spawn(move || event.set(bits))
        })
        .collect();
    notifiers.into_iter().for_each(join);
    let looks: Vec<u32> = waiters.into_iter().map(join).collect();
    assert!(!event.event.is_awaited(), "somebody is still counted");
    format!("{looks:?}")
}

#[test]
fn one_waiter_one_notifier() {
    explore("wait::one_waiter_one_notifier", ALL, &["[1]", "[2]"], || run(&[1], &[1]));
}

#[test]
fn two_waiters_are_both_woken() {
    let expected = ["[1, 1]", "[1, 2]", "[2, 1]", "[2, 2]"];
    explore("wait::two_waiters_are_both_woken", THREE, &expected, || run(&[1, 1], &[1]));
}

#[test]
fn one_waiter_for_two_notifiers() {
    let expected = ["[1]", "[2]", "[3]"];
    explore("wait::one_waiter_for_two_notifiers", THREE, &expected, || run(&[3], &[1, 2]));
}

/// One waiter leaves while the other goes on waiting: the count must not forget the latter.
#[test]
fn a_waiter_leaves_another_waits_on() {
    let expected = ["1 1", "1 2", "1 3", "2 1", "2 2", "2 3"];
    explore("wait::a_waiter_leaves_another_waits_on", THREE, &expected, || {
        let event = Bits::new();
        let early = spawn({
            let event = event.clone();
            move || event.wait(1)
        });
        let late = spawn({
            let event = event.clone();
            move || event.wait(2)
        });
        let notifier = spawn(move || {
            event.set(1);
            event.set(2);
        });
        join(notifier);
        format!("{} {}", join(early), join(late))
    });
}

/// The same thread waits twice, as a receiver does that takes one result after the other.
#[test]
fn waiting_again() {
    let expected = ["1 1", "1 2", "1 3", "2 1", "2 2"];
    explore("wait::waiting_again", THREE, &expected, || {
        let event = Bits::new();
        let waiter = spawn({
            let event = event.clone();
            move || (event.wait(1), event.wait(2))
        });
        let notifier = spawn(move || {
            event.set(1);
            event.set(2);
        });
        join(notifier);
        let (first, second) = join(waiter);
        format!("{first} {second}")
    });
}

/// One barrier serves for the look at something else and for the notification.
#[test]
fn a_notifier_that_has_passed_the_barrier() {
    explore("wait::a_notifier_that_has_passed_the_barrier", ALL, &["1", "2"], || {
        let event = Bits::new();
        let waiter = spawn({
            let event = event.clone();
            move || event.wait(1)
        });
        let notifier = spawn(move || {
            event.bits.fetch_or(1, Ordering::Relaxed);
            light_barrier();
            event.event.notify_after_barrier();
        });
        join(notifier);
        format!("{}", join(waiter))
    });
}
