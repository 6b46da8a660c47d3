//! Values that are counted, each with a number, so that one that is dropped twice, or looked at after
//! its end, is found; and drops that panic.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::sync::Mutex;

/// Its drop panics with another one, for ever.
#[derive(Debug)]
pub struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic_any(Bomb);
    }
}

/// Runs `f`, which is to panic with a [`Bomb`], and keeps it from going off again.
#[track_caller]
pub fn defuse<R>(f: impl FnOnce() -> R) {
    let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else { panic!("it did not panic") };
    assert!(payload.is::<Bomb>(), "another panic");
    std::mem::forget(payload);
}

/// What a drop that is to panic panics with.
struct Planned;

/// The values of one run of a test.
#[derive(Debug, Default)]
pub struct Values(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    alive: HashSet<u64>,
    made: u64,
    drops: u64,
    /// Drops of values that were not alive.
    twice: u64,
    /// The drop that is to panic, by its number.
    panic_at: u64,
    panicked: bool,
}

impl Values {
    /// No values yet; the `panic_at`-th drop will panic, if there is one (the first is 1). It lives for
    /// ever, so that a value that is used after its end still finds it.
    pub fn new(panic_at: u64) -> &'static Self {
        Box::leak(Box::new(Self(Mutex::new(Counts { panic_at, ..Counts::default() }))))
    }

    #[inline(never)]
    pub fn value(&'static self) -> Value {
        let mut counts = self.counts();
        counts.made += 1;
        let number = counts.made;
        counts.alive.insert(number);
        Value { number, values: self }
    }

    /// Runs `f`; says whether the planned panic came out of it. Another panic goes on.
    pub fn attempt<R>(&self, f: impl FnOnce() -> R) -> Option<R> {
        match catch_unwind(AssertUnwindSafe(f)) {
            Ok(result) => Some(result),
            Err(payload) if payload.is::<Planned>() => None,
            Err(payload) => resume_unwind(payload),
        }
    }

    pub fn alive(&self) -> usize {
        self.counts().alive.len()
    }

    /// Drops so far.
    pub fn drops(&self) -> u64 {
        self.counts().drops
    }

    /// Whether the planned panic has come.
    pub fn has_panicked(&self) -> bool {
        self.counts().panicked
    }

    /// Everything that was made was dropped once.
    #[track_caller]
    pub fn assert_all_gone(&self, what: &str) {
        let counts = self.counts();
        let is_sound = counts.alive.is_empty() && counts.twice == 0 && counts.drops == counts.made;
        assert!(is_sound, "{what}: {counts:?}");
    }

    /// Whether a value with this number has been made and not yet dropped.
    #[inline(never)]
    fn is_alive(&self, number: u64) -> bool {
        self.counts().alive.contains(&number)
    }

    /// Takes note of the drop of a value with this number. Whether it is the one that is to panic.
    #[inline(never)]
    fn take_back(&self, number: u64) -> bool {
        let mut counts = self.counts();
        counts.drops += 1;
        counts.twice += u64::from(!counts.alive.remove(&number));
        let panics = counts.drops == counts.panic_at;
        counts.panicked |= panics;
        panics
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(|poison| poison.into_inner())
    }
}

/// One of them.
#[derive(Debug)]
pub struct Value {
    number: u64,
    values: &'static Values,
}

impl Value {
    pub fn values(&self) -> &'static Values {
        self.values
    }

    /// Panics if it has been dropped.
    #[track_caller]
    pub fn look(&self) {
        assert!(self.values.is_alive(self.number), "{} is gone", self.number);
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        if self.values.take_back(self.number) {
            // Without the panic hook: there are thousands of these.
            resume_unwind(Box::new(Planned));
        }
    }
}
