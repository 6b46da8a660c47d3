//! What an idle thread does, and how a sleeping one is woken.

use crate::sync::{self, AtomicU32, Condvar, Mutex, MutexGuard, Ordering};
use std::time::Instant;

/// What a thread does while there is nothing for it: a worker without requests, a submitter without
/// a free slot, a receiver without results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitStrategy {
    /// Polls without pause. The shortest latency; burns a CPU for each waiting thread.
    BusySpin,
    /// Polls for some microseconds, then gives its time slice away between polls.
    SpinThenYield,
    /// Polls for some tens of microseconds, then sleeps until it is woken. Idle costs nothing.
    #[default]
    SpinThenPark,
    /// Gives its time slice away between a few polls, then sleeps until it is woken: for threads that share their CPUs
    /// with others that have work.
    YieldThenPark,
}

/// Polls with a spin hint, before a strategy that begins so starts to yield.
const SPIN_ROUNDS: u32 = 2_000;
/// Yields before a strategy that sleeps does. None in the models, where the time is better spent on sleeping.
const YIELD_ROUNDS: u32 = if cfg!(any(stageline_loom, stageline_shuttle)) { 0 } else { 16 };
/// A waiting thread that minds a deadline reads the clock once in this many polls.
const ROUNDS_PER_CLOCK: u32 = 64;

/// A wait strategy as it applies on this machine.
#[derive(Clone, Copy, Debug)]
pub struct WaitPlan {
    /// The strategy in force.
    pub strategy: WaitStrategy,
    /// Whether there are more threads than CPUs, so that spinning would only keep the thread that
    /// is waited for from running.
    pub crowded: bool,
}

/// What to do after a poll that found nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Poll again.
    Again,
    /// Sleep until woken.
    Park,
}

/// Counts the fruitless polls of one wait.
#[derive(Clone, Copy, Debug)]
pub struct Spinner {
    plan: WaitPlan,
    rounds: u32,
}

impl Spinner {
    /// A wait that begins.
    pub fn new(plan: WaitPlan) -> Self {
        Self { plan, rounds: 0 }
    }

    /// The wait is over: something was found.
    #[inline(always)]
    pub fn reset(&mut self) {
        self.rounds = 0;
    }

    /// The fruitless polls so far.
    #[inline(always)]
    pub fn rounds(&self) -> u32 {
        self.rounds
    }

    /// Waits a little, or says that it is time to sleep.
    #[inline]
    pub fn pause(&mut self) -> Pause {
        self.rounds = self.rounds.wrapping_add(1);
        let WaitPlan { strategy, crowded } = self.plan;
        if strategy == WaitStrategy::BusySpin {
            return Pause::Again;
        }
        let spins = match crowded || strategy == WaitStrategy::YieldThenPark {
            true => 0,
            false => SPIN_ROUNDS,
        };
        if self.rounds <= spins {
            sync::spin_loop();
        } else if self.rounds <= spins + YIELD_ROUNDS {
            sync::thread::yield_now();
        } else if strategy == WaitStrategy::SpinThenYield {
            // The count goes on: who minds a deadline looks at the clock by it.
            sync::thread::yield_now();
        } else {
            return Pause::Park;
        }
        Pause::Again
    }
}

/// Polls `look` by the plan, and now and then, before each sleep and after each wake-up, `why`, which may cost
/// more; sleeps at `event`. What either has found, or `None` when the deadline has passed.
pub fn wait_for<R>(
    plan: WaitPlan,
    event: &Event,
    deadline: Option<Instant>,
    mut look: impl FnMut() -> Option<R>,
    mut why: impl FnMut() -> Option<R>,
) -> Option<R> {
    let mut spinner = Spinner::new(plan);
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        let pause = spinner.pause();
        if pause == Pause::Park || spinner.rounds().is_multiple_of(ROUNDS_PER_CLOCK) {
            if let Some(found) = why() {
                return Some(found);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return None;
            }
        }
        if pause == Pause::Park {
            let mut found = None;
            event.wait_until(deadline, || {
                found = why();
                found.is_some()
            });
            return found;
        }
    }
}

/// Where threads sleep until a condition holds that other threads bring about.
///
/// 1. A waiter counts itself in `waiting`, passes the heavy barrier, and then checks the condition
///    under the lock before each sleep.
/// 2. A notifier makes the condition true, passes the light barrier, and looks at `waiting`. If it is
///    not zero it passes through the lock and then wakes all.
/// 3. By the barriers, either the notifier sees the waiter counted or the waiter sees the condition.
///    In the first case the lock orders the notifier either before the waiter's check, which then
///    sees the condition, or into its sleep, from which it is woken. So no wake-up is lost.
///
/// While nobody waits a notification is one load of a line that is rarely written.
#[derive(Debug)]
pub struct Event {
    /// Threads inside [`wait_until`](Self::wait_until). Written by them, read by notifiers. Relaxed:
    /// ordered by the barriers of rules 1 and 2.
    waiting: AtomicU32,
    lock: Mutex<()>,
    condvar: Condvar,
}

impl Default for Event {
    fn default() -> Self {
        Self { waiting: AtomicU32::new(0), lock: Mutex::new(()), condvar: Condvar::new() }
    }
}

impl Event {
    /// Wakes the waiters, if any. The caller has made their condition true.
    #[inline(always)]
    pub fn notify(&self) {
        sync::light_barrier();
        self.notify_after_barrier();
    }

    /// As [`notify`](Self::notify), for a caller that has passed the light barrier since it made the
    /// condition true.
    #[inline(always)]
    pub fn notify_after_barrier(&self) {
        if self.is_awaited() {
            self.wake();
        }
    }

    /// As [`notify_after_barrier`](Self::notify_after_barrier), for waiters of which any one can do what has come
    /// to be done, and does not sleep again before it has looked.
    pub fn notify_one_after_barrier(&self) {
        if self.is_awaited() {
            drop(self.locked());
            self.condvar.notify_one();
        }
    }

    /// Whether some thread sleeps here, or is about to. A hint unless a barrier went before.
    #[inline(always)]
    pub fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) != 0
    }

    #[cold]
    fn wake(&self) {
        drop(self.locked());
        self.condvar.notify_all();
    }

    /// Sleeps until `ready` holds, or until `deadline`; says whether it holds.
    #[cold]
    pub fn wait_until(&self, deadline: Option<Instant>, mut ready: impl FnMut() -> bool) -> bool {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        sync::heavy_barrier();
        let mut guard = self.locked();
        let held = loop {
            if ready() {
                break true;
            }
            guard = match deadline {
                None => self.condvar.wait(guard).unwrap_or_else(|poison| poison.into_inner()),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break false;
                    }
                    let woken = self.condvar.wait_timeout(guard, left);
                    woken.unwrap_or_else(|poison| poison.into_inner()).0
                }
            };
        };
        drop(guard);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        held
    }

    /// The lock guards no data, so a panic elsewhere cannot have left it inconsistent.
    fn locked(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(|poison| poison.into_inner())
    }
}
