//! What one thread keeps: requests that it will go on with by itself, when they are due or when a stage lets a batch
//! go on. Each thread that runs stages has one; no other thread touches it.

use super::Common;
use crate::kept::{Entries, Kept, Link, Wheel};
use crate::limits::BATCH_MAX;
use crate::slab::{OutOfMemory, Slab};
use crate::sync::UnsafeCell;

/// A keeper in its cell.
pub struct KeeperCell<E>(UnsafeCell<Keeper<E>>);

// SAFETY: reached only by `with`, whose contract is that the caller is the thread whose keeper it is. What it
// holds of `E` is a function.
unsafe impl<E> Sync for KeeperCell<E> {}

impl<E> KeeperCell<E> {
    /// Runs `f` on the keeper.
    ///
    /// # Safety
    ///
    /// The calling thread is the one that the keeper belongs to, or a stage's that this thread waits for; calls
    /// do not nest.
    #[inline]
    pub unsafe fn with<R>(&self, f: impl FnOnce(&mut Keeper<E>) -> R) -> R {
        // SAFETY: by this function's contract.
        self.0.with_mut(|keeper| f(unsafe { &mut *keeper }))
    }
}

/// What one thread keeps.
pub struct Keeper<E> {
    /// Requests that are to be retried.
    pub wheel: Wheel,
    /// Requests that are held, for each stage.
    pub holds: Slab<Hold>,
    /// How many are held.
    held: usize,
    /// How the error of a batch is shared.
    pub share: Option<fn(&E) -> E>,
    /// How long the next request that is held may be, in nanoseconds; 0 if its stage does not say.
    pub hold_ns: u64,
    /// Why the stage that runs is called with a batch that was held.
    pub flush: Option<Flush>,
    /// Requests of the running batch that lead others, counted from its first.
    pub leaders: Vec<u16>,
    /// Those for which a ticket was made, and whose stages have not answered that they are suspended.
    pub ticketed: Vec<u16>,
    /// For the jitter of retries.
    pub random: fastrand::Rng,
    /// How many cancellations it knows of.
    pub cancels: u64,
}

/// Why a stage is called again with requests that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flush {
    /// The first of them has been held for as long as it may be.
    Age,
    /// The pipeline drains: no more will come.
    Drain,
}

/// The requests that one stage of one machine holds, in the order in which they came.
#[derive(Debug)]
pub struct Hold {
    first: Link,
    last: Link,
    /// How many there are.
    pub len: usize,
    /// When the first of them has been held for long enough.
    pub due_ns: u64,
}

impl Default for Hold {
    fn default() -> Self {
        Self { first: Link::NONE, last: Link::NONE, len: 0, due_ns: u64::MAX }
    }
}

impl Hold {
    /// Appends a request.
    pub fn push(&mut self, entries: &impl Entries, link: Link) {
        entries.entry(link, |entry| entry.next = Link::NONE);
        match self.last.some() {
            Some(last) => entries.entry(last, |entry| entry.next = link),
            None => self.first = link,
        }
        self.last = link;
        self.len += 1;
    }

    /// Takes the first one out.
    pub fn pop(&mut self, entries: &impl Entries) -> Option<Link> {
        let first = self.first.some()?;
        self.first = entries.entry(first, |entry| std::mem::replace(&mut entry.next, Link::NONE));
        self.len -= 1;
        if self.len == 0 {
            *self = Self::default();
        }
        Some(first)
    }

    /// Hangs all of them on a leader, before those that it leads already. How many they are.
    pub fn follow(&mut self, entries: &impl Entries, leader: Link) -> usize {
        let taken = std::mem::take(self);
        if let Some(last) = taken.last.some() {
            let before =
                entries.entry(leader, |entry| std::mem::replace(&mut entry.followers, taken.first));
            entries.entry(last, |entry| entry.next = before);
        }
        entries.entry(leader, |entry| entry.led = taken.len as u32);
        taken.len
    }
}

impl<E> Keeper<E> {
    /// Keeps nothing yet, of a machine with so many stages; for a machine that keeps nothing, no stages.
    pub fn try_new(stages: usize, seed: u64) -> Result<KeeperCell<E>, OutOfMemory> {
        Ok(KeeperCell(UnsafeCell::new(Self {
            wheel: Wheel::default(),
            holds: Slab::try_new(stages, |_| Hold::default())?,
            held: 0,
            share: None,
            hold_ns: 0,
            flush: None,
            leaders: Vec::with_capacity(if stages == 0 { 0 } else { BATCH_MAX }),
            ticketed: Vec::with_capacity(if stages == 0 { 0 } else { BATCH_MAX }),
            random: fastrand::Rng::with_seed(seed),
            cancels: 0,
        })))
    }

    /// Bytes that a keeper for so many stages allocates.
    pub fn bytes(stages: usize) -> usize {
        let lists = if stages == 0 { 0 } else { 2 * BATCH_MAX * size_of::<u16>() };
        Slab::<Hold>::bytes(stages).saturating_add(lists)
    }

    /// Whether it keeps nothing.
    pub fn is_empty(&self) -> bool {
        self.held == 0 && self.wheel.is_empty()
    }

    /// Whether some stage holds a request.
    pub fn holds_any(&self) -> bool {
        self.held > 0
    }

    /// When to look again for what is due, in nanoseconds since the pipeline's start.
    pub fn next_ns(&self) -> u64 {
        match self.held {
            0 => self.wheel.next_ns(),
            _ => self.holds.iter().fold(self.wheel.next_ns(), |next, hold| next.min(hold.due_ns)),
        }
    }

    /// A stage holds a request. `due_ns` counts if it is the first one.
    pub fn hold(&mut self, entries: &impl Entries, stage: usize, link: Link, due_ns: u64) {
        let hold = &mut self.holds[stage];
        if hold.len == 0 {
            hold.due_ns = due_ns;
        }
        hold.push(entries, link);
        self.held += 1;
    }

    /// Hangs what a stage holds on a leader. How many they are.
    pub fn lead(&mut self, entries: &impl Entries, stage: usize, leader: Link) -> usize {
        let led = self.holds[stage].follow(entries, leader);
        self.held -= led;
        led
    }

    /// Takes out the first request of a stage that holds some which are due.
    pub fn pop_held(
        &mut self,
        entries: &impl Entries,
        is_due: impl Fn(&Hold) -> bool,
    ) -> Option<(usize, Link)> {
        if self.held == 0 {
            return None;
        }
        let stage = self.holds.iter().position(|hold| hold.len > 0 && is_due(hold))?;
        self.held -= 1;
        self.holds[stage].pop(entries).map(|link| (stage, link))
    }
}

/// The entries of slots that the calling thread owns.
pub struct Owned<'a, T, E>(&'a Common<T, E>);

impl<'a, T, E> Owned<'a, T, E> {
    /// Access to the entries of these groups' slots.
    ///
    /// # Safety
    ///
    /// It is asked only for entries of slots that the calling thread owns, and no other reference to such an entry
    /// is in use.
    pub unsafe fn new(common: &'a Common<T, E>) -> Self {
        Self(common)
    }
}

impl<T, E> Entries for Owned<'_, T, E> {
    fn entry<R>(&self, link: Link, f: impl FnOnce(&mut Kept) -> R) -> R {
        let window = &self.0.group(link.group()).window;
        // SAFETY: by the contract of `new`.
        unsafe { window.kept(link.slot(), |kept| f(&mut *kept)) }
    }
}
