//! When requests are due: a hierarchical timing wheel, after Varghese and Lauck, "Hashed and Hierarchical Timing
//! Wheels" (1987).
//!
//! A level has 64 buckets; a bucket of level `l` spans 64^l ticks. A request stands in the level of the highest six
//! bits in which its tick differs from the present one, and comes down a level each time its bucket is reached. To
//! put one in costs a constant time; to bring one down the same, at most once a level. Buckets are lists through
//! the entries of the requests, so that a wheel is never full.

use super::{Entries, Link};

/// Nanoseconds of a tick, as a power of two: 16.4 us. What is due runs late by less than a tick.
const TICK_BITS: u32 = 14;
const BITS: u32 = 6;
const BUCKETS: usize = 1 << BITS;
/// So many that all ticks of 64-bit nanoseconds have a place.
const LEVELS: usize = (u64::BITS - TICK_BITS).div_ceil(BITS) as usize;

/// The requests of one thread that are due later.
#[derive(Debug)]
pub struct Wheel {
    /// The present tick.
    now: u64,
    /// How many are in it.
    len: usize,
    levels: [Level; LEVELS],
}

#[derive(Clone, Copy, Debug)]
struct Level {
    /// Bit `b` says that bucket `b` is not empty.
    filled: u64,
    buckets: [Link; BUCKETS],
}

impl Default for Wheel {
    fn default() -> Self {
        let level = Level { filled: 0, buckets: [Link::NONE; BUCKETS] };
        Self { now: 0, len: 0, levels: [level; LEVELS] }
    }
}

impl Wheel {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts in a request, whose entry says when it is due.
    pub fn insert(&mut self, entries: &impl Entries, link: Link) {
        self.len += 1;
        self.place(entries, link);
    }

    fn place(&mut self, entries: &impl Entries, link: Link) {
        entries.entry(link, |entry| {
            // The tick that begins when it is due, or after; what is due by now is in the present one.
            let tick = entry.due_ns.div_ceil(1 << TICK_BITS).max(self.now);
            let level = ((tick ^ self.now) | 1).ilog2() / BITS;
            let bucket = (tick >> (level * BITS)) as usize % BUCKETS;
            let level = &mut self.levels[level as usize];
            entry.next = level.buckets[bucket];
            level.buckets[bucket] = link;
            level.filled |= 1 << bucket;
        });
    }

    /// The level and bucket that are reached first, and the tick at which they are.
    fn first(&self) -> Option<(usize, usize, u64)> {
        (0..LEVELS).find_map(|level| {
            let filled = self.levels[level].filled;
            // No bucket lies behind the present one: those were emptied when they were reached.
            (filled != 0).then(|| {
                let bucket = filled.trailing_zeros();
                let span = level as u32 * BITS;
                let above = self.now >> (span + BITS) << (span + BITS);
                (level, bucket as usize, above | u64::from(bucket) << span)
            })
        })
    }

    /// When to look again: no request is due before, in nanoseconds since the pipeline's start; `u64::MAX` if
    /// the wheel is empty.
    pub fn next_ns(&self) -> u64 {
        self.first().map_or(u64::MAX, |(_, _, tick)| tick.saturating_mul(1 << TICK_BITS))
    }

    /// Takes out one request that is due, if any is.
    pub fn pop_due(&mut self, entries: &impl Entries, now_ns: u64) -> Option<Link> {
        let now = now_ns >> TICK_BITS;
        while let Some((level, bucket, tick)) = self.first() {
            if tick > now {
                break;
            }
            self.now = tick;
            if level == 0 {
                return Some(self.pop_from(entries, level, bucket));
            }
            // Brought down: each to the level of its own tick.
            let mut link = self.take(level, bucket);
            while let Some(one) = link.some() {
                link = entries.entry(one, |entry| entry.next);
                self.place(entries, one);
            }
        }
        None
    }

    fn take(&mut self, level: usize, bucket: usize) -> Link {
        let level = &mut self.levels[level];
        level.filled &= !(1 << bucket);
        std::mem::replace(&mut level.buckets[bucket], Link::NONE)
    }

    fn pop_from(&mut self, entries: &impl Entries, level: usize, bucket: usize) -> Link {
        let level = &mut self.levels[level];
        let link = level.buckets[bucket];
        level.buckets[bucket] = entries.entry(link, |entry| entry.next);
        if level.buckets[bucket] == Link::NONE {
            level.filled &= !(1 << bucket);
        }
        self.len -= 1;
        link
    }

    /// Takes out one request of those that are chosen, if there is any.
    pub fn pop_where(
        &mut self,
        entries: &impl Entries,
        chosen: impl Fn(Link) -> bool,
    ) -> Option<Link> {
        for level in 0..LEVELS {
            for bucket in 0..BUCKETS {
                let mut before = Link::NONE;
                let mut link = self.levels[level].buckets[bucket];
                while let Some(one) = link.some() {
                    let next = entries.entry(one, |entry| entry.next);
                    if chosen(one) {
                        match before.some() {
                            None => return Some(self.pop_from(entries, level, bucket)),
                            Some(before) => entries.entry(before, |entry| entry.next = next),
                        }
                        self.len -= 1;
                        return Some(one);
                    }
                    (before, link) = (one, next);
                }
            }
        }
        None
    }
}

#[cfg(all(test, not(stageline_models)))]
mod tests {
    use super::super::Kept;
    use super::*;
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    struct Slots(RefCell<Vec<Kept>>);

    impl Slots {
        fn due_at(times: &[u64]) -> Self {
            let entry = |due_ns: &u64| Kept { due_ns: *due_ns, ..Kept::new(0) };
            Self(RefCell::new(times.iter().map(entry).collect()))
        }
    }

    impl Entries for Slots {
        fn entry<R>(&self, link: Link, f: impl FnOnce(&mut Kept) -> R) -> R {
            f(&mut self.0.borrow_mut()[link.slot()])
        }
    }

    const TICK: u64 = 1 << TICK_BITS;

    /// Due times over all levels, in no order, against a set that is looked through.
    #[test]
    fn each_comes_when_it_is_due_and_once() {
        let mut random = 88_172_645_463_325_252_u64;
        let mut next = |bits: u32| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random >> (64 - bits)
        };
        for round in 0..50 {
            let widths = [15, 20, 26, 32, 38, 44, 50, 56, 62];
            let times: Vec<u64> = (0..200).map(|at| next(widths[(at + round) % 9])).collect();
            let slots = Slots::due_at(&times);
            let (mut wheel, mut now_ns, mut waiting) = (Wheel::default(), 0, BTreeSet::new());
            let mut put_in = times.iter().enumerate();
            loop {
                // Some are put in later than others.
                for (slot, due_ns) in put_in.by_ref().take(20) {
                    wheel.insert(&slots, Link::new(0, slot));
                    waiting.insert((*due_ns, slot));
                }
                let Some((first, _)) = waiting.first().copied() else { break };
                assert!(
                    wheel.next_ns() <= first.max(now_ns).saturating_add(TICK),
                    "it would oversleep"
                );
                now_ns = now_ns.max(wheel.next_ns());
                while let Some(link) = wheel.pop_due(&slots, now_ns) {
                    let due_ns = times[link.slot()];
                    assert!(due_ns <= now_ns, "too early");
                    assert!(waiting.remove(&(due_ns, link.slot())), "twice");
                }
                assert!(waiting.iter().all(|(due_ns, _)| due_ns + TICK > now_ns), "too late");
                assert_eq!(wheel.is_empty(), waiting.is_empty());
            }
            assert_eq!(wheel.next_ns(), u64::MAX);
        }
    }

    #[test]
    fn the_chosen_come_out_and_the_others_stay() {
        let times: Vec<u64> = (0..100).map(|slot| slot % 7 * 1_000_000).collect();
        let slots = Slots::due_at(&times);
        let mut wheel = Wheel::default();
        (0..100).for_each(|slot| wheel.insert(&slots, Link::new(slot as u32 % 3, slot)));
        let mut out = BTreeSet::new();
        while let Some(link) = wheel.pop_where(&slots, |link| link.group() == 1) {
            assert!(link.group() == 1 && out.insert(link.slot()));
        }
        assert_eq!(out.len(), 33);
        while let Some(link) = wheel.pop_due(&slots, 7_000_000) {
            assert!(link.group() != 1 && out.insert(link.slot()));
        }
        assert!(out.len() == 100 && wheel.is_empty());
    }
}
