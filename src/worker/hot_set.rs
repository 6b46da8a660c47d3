//! The groups that a worker polls, and how groups enter and leave them.

use crate::bell::Service;
use crate::shared::Shared;
use crate::stage::StateMachine;
use crate::sync;

/// Fruitless polls in a row after which a group leaves the hot set. At some ten nanoseconds a poll
/// that is about 50 microseconds of silence.
const IDLE_POLLS_MAX: u32 = 4096;

/// A group that is polled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hot {
    pub(super) group: u32,
    /// Fruitless polls in a row.
    pub(super) idle: u32,
}

/// A worker's hot set.
pub(crate) struct HotSet {
    worker: usize,
    entries: Vec<Hot>,
    /// Some entry may have been idle for too long.
    stale: bool,
    /// The entry whose turn it is, where the groups do not take them all in a row.
    turn: usize,
}

impl HotSet {
    /// An empty set with room for all groups of the worker.
    pub(super) fn with_capacity(worker: usize, groups: usize) -> Self {
        Self { worker, entries: Vec::with_capacity(groups), stale: false, turn: 0 }
    }

    /// Bytes that a set of this capacity allocates.
    pub(super) fn bytes(groups: usize) -> usize {
        groups.saturating_mul(size_of::<Hot>())
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The group of an entry, if there are so many.
    #[inline(always)]
    pub(super) fn group(&self, at: usize) -> Option<u32> {
        self.entries.get(at).map(|entry| entry.group)
    }

    /// The groups.
    pub(super) fn groups(&self) -> impl Iterator<Item = u32> + '_ {
        self.entries.iter().map(|entry| entry.group)
    }

    /// The entry whose turn it is, and its group; the turn is then the next one's. There must be one.
    #[inline]
    pub(super) fn next_turn(&mut self) -> (usize, u32) {
        // The set may have become smaller.
        let at = if self.turn < self.entries.len() { self.turn } else { 0 };
        self.turn = at + 1;
        (at, self.entries[at].group)
    }

    /// Takes note of whether the poll of an entry found something.
    #[inline(always)]
    pub(super) fn polled(&mut self, at: usize, found: bool) {
        let entry = &mut self.entries[at];
        if found {
            entry.idle = 0;
        } else {
            entry.idle = entry.idle.saturating_add(1);
            self.stale |= entry.idle >= IDLE_POLLS_MAX;
        }
    }

    /// The hot group, where there is one and no more.
    #[inline(always)]
    pub(super) fn only(&self) -> Option<u32> {
        match self.entries.as_slice() {
            [only] => Some(only.group),
            _ => None,
        }
    }

    /// Whether one of the groups has a request that can be claimed. A hint.
    pub(super) fn has_ready<M: StateMachine>(&self, shared: &Shared<M>) -> bool {
        self.entries.iter().any(|entry| shared.group(entry.group).window.has_ready(0))
    }

    /// Takes in the groups that rang.
    #[cold]
    pub(crate) fn admit_rung<M: StateMachine>(&mut self, shared: &Shared<M>) {
        let homes = shared.homes;
        let own = &shared.workers[self.worker];
        own.bell.answer(|local| self.admit(shared, (local * homes + self.worker) as u32));
    }

    fn admit<M: StateMachine>(&mut self, shared: &Shared<M>, group: u32) {
        // A bit that came late, for a group that never left (rule 3 of `bell`).
        let own = &shared.workers[self.worker];
        let local = group as usize / shared.homes;
        if own.hot.contains(local) {
            return;
        }
        shared.group(group).front.service.admit();
        own.hot.set(local, true);
        self.entries.push(Hot { group, idle: 0 });
    }

    /// Lets go of the groups that have been idle for long, but for the last one: to poll one group
    /// costs nothing that an empty loop would not.
    #[inline]
    pub(super) fn demote_idle<M: StateMachine>(&mut self, shared: &Shared<M>) {
        if self.stale {
            self.stale = false;
            if self.entries.len() > 1 {
                self.demote(shared, |entry| entry.idle >= IDLE_POLLS_MAX);
            }
        }
    }

    /// Lets go of all groups. Those that turn out to have a request stay.
    #[cold]
    pub(super) fn demote_all<M: StateMachine>(&mut self, shared: &Shared<M>) {
        self.demote(shared, |_| true);
    }

    /// Rule 2 of `bell`: all of them with one barrier.
    #[cold]
    fn demote<M: StateMachine>(&mut self, shared: &Shared<M>, chosen: impl Fn(&Hot) -> bool) {
        let service = |entry: &Hot| -> &Service { &shared.group(entry.group).front.service };
        self.entries.iter().filter(|entry| chosen(entry)).for_each(|entry| service(entry).demote());
        sync::heavy_barrier();
        let own = &shared.workers[self.worker];
        self.entries.retain_mut(|entry| {
            if !chosen(entry) {
                return true;
            }
            if shared.group(entry.group).window.is_waiting() {
                service(entry).admit();
                entry.idle = 0;
                return true;
            }
            own.hot.set(entry.group as usize / shared.homes, false);
            false
        });
    }
}
