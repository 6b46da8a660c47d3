//! When messages that are held must go before they are old enough: because somebody waits for room that they take.

use super::counts::Counts;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long the engine holds messages at most before it is looked whether they must go.
const LOOK: Duration = Duration::from_millis(2);
/// The same while somebody waits for room.
const LOOK_CROWDED: Duration = Duration::from_micros(200);
/// Who has waited so long for room for one message gets it, if held messages are what takes it. Until then it may be
/// that components are slow.
const WAIT_MAX: Duration = Duration::from_millis(50);

/// Who waits for room: the sources, and those who send their messages to the dead letter.
pub struct Waits {
    /// For each, odd while it waits, and never the same twice. Written by its own thread, read by those who hold
    /// messages, as a hint: Relaxed.
    turns: Box<[AtomicU64]>,
}

impl Waits {
    pub fn new(sources: usize) -> Self {
        Self { turns: (0..2 * sources).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Calls what waits until there is room for a message of this source.
    pub fn of_source<R>(&self, source: usize, wait: impl FnOnce() -> R) -> R {
        self.during(2 * source, wait)
    }

    /// Calls what waits until there is room for a dead letter of this source.
    pub fn of_letters<R>(&self, source: usize, wait: impl FnOnce() -> R) -> R {
        self.during(2 * source + 1, wait)
    }

    fn during<R>(&self, index: usize, wait: impl FnOnce() -> R) -> R {
        self.turns[index].fetch_add(1, Ordering::Relaxed);
        let result = wait();
        self.turns[index].fetch_add(1, Ordering::Relaxed);
        result
    }

    fn now(&self) -> impl Iterator<Item = u64> {
        self.turns.iter().map(|turn| turn.load(Ordering::Relaxed))
    }

    fn is_any(&self) -> bool {
        self.now().any(is_waiting)
    }

    /// How long to hold messages until the next look.
    pub fn look(&self) -> Duration {
        if self.is_any() { LOOK_CROWDED } else { LOOK }
    }
}

fn is_waiting(turn: u64) -> bool {
    !turn.is_multiple_of(2)
}

/// What a thread that holds messages has seen at its looks.
pub struct Looks {
    /// How often components had been called when nothing seemed to go on.
    idle_at: Option<u64>,
    /// The turn of each that may wait, and since when it is this one.
    turns: Vec<(u64, Instant)>,
}

impl Looks {
    pub fn new(waits: &Waits) -> Self {
        let now = Instant::now();
        Self { idle_at: None, turns: waits.now().map(|turn| (turn, now)).collect() }
    }

    /// Whether somebody waits for room, and either no component has been called since the last look, so that nothing
    /// but what is held fills the window or keeps it from moving on; or it has waited for long.
    pub fn is_stuck(&mut self, waits: &Waits, counts: &Counts, now: Instant) -> bool {
        let idle_at = if waits.is_any() { counts.handled_if_idle() } else { None };
        let before = std::mem::replace(&mut self.idle_at, idle_at);
        let mut is_late = false;
        for (turn, seen) in waits.now().zip(&mut self.turns) {
            if seen.0 != turn {
                *seen = (turn, now);
            }
            is_late |= is_waiting(turn) && now.saturating_duration_since(seen.1) > WAIT_MAX;
        }
        is_late || idle_at.is_some() && before == idle_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_long_is_seen_although_others_go_on() {
        let (waits, counts) = (Waits::new(2), Counts::new(1));
        let mut looks = Looks::new(&waits);
        let own = counts.of_thread();
        own.set_running(true);
        let start = Instant::now();
        let late = start + 2 * WAIT_MAX;
        assert!(!looks.is_stuck(&waits, &counts, late), "nobody waits");
        assert_eq!(waits.look(), LOOK);
        waits.of_source(1, || {
            assert_eq!(waits.look(), LOOK_CROWDED);
            assert!(!looks.is_stuck(&waits, &counts, start));
            assert!(!looks.is_stuck(&waits, &counts, start + WAIT_MAX));
            assert!(looks.is_stuck(&waits, &counts, late));
        });
        waits.of_letters(1, || {
            assert!(!looks.is_stuck(&waits, &counts, late), "another one waits since now");
        });
    }

    #[test]
    fn where_nothing_goes_on_it_is_seen_at_the_second_look() {
        let (waits, counts) = (Waits::new(1), Counts::new(1));
        let mut looks = Looks::new(&waits);
        let now = Instant::now();
        waits.of_source(0, || {
            assert!(!looks.is_stuck(&waits, &counts, now));
            assert!(looks.is_stuck(&waits, &counts, now));
        });
        assert!(!looks.is_stuck(&waits, &counts, now));
    }
}
