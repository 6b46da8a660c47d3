//! How a worker learns that a group which it does not poll has become active.
//!
//! A worker polls the next slot of each of its *hot* groups directly. A group that falls idle leaves
//! the hot set; when it becomes active again its submitter rings a doorbell bit.
//!
//! ```text
//!          demoted by the worker            rung by a submitter
//!   Hot ────────────────────────► Cold ────────────────────────► Rung
//!    ▲                                                             │
//!    └─────────────────────────────────────────────────────────────┘
//!                    admitted by the worker, bit cleared
//! ```
//!
//! 1. A submitter publishes its slot, passes the light barrier, and looks at the group's
//!    [`Service`]. If it is Cold it swaps in Rung; whoever gets Cold back sets the doorbell bit.
//! 2. A worker that demotes a group stores Cold, passes the heavy barrier, and looks at the group's
//!    next slot again. If it is Ready the worker takes the group back.
//! 3. By the barriers, either the submitter sees Cold and rings, or the worker sees the slot. (Both
//!    may happen: the worker then finds a bit for a group that is hot, and ignores it.)
//! 4. When the workers have left, every group's Service is Gone for good, and the heavy barrier is
//!    passed. A submitter that published too late sees Gone and wakes the receiver, which ends what
//!    no worker will run.
//! 5. A doorbell bit is set before the summary bit of its word; the worker clears the summary first.
//!    So a bit that is set after the worker's look finds the summary cleared, and sets it again.

use crate::slab::{OutOfMemory, Slab};
use crate::sync::{AtomicU32, AtomicU64, Ordering};

const HOT: u32 = 0;
const COLD: u32 = 1;
const RUNG: u32 = 2;
const GONE: u32 = 3;

/// What a submitter finds when it looks at a group's [`Service`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attention {
    /// A worker polls the group, or has been rung for.
    Polled,
    /// This thread must ring the doorbell.
    MustRing,
    /// No worker will come.
    Gone,
}

/// Whether a group is polled by its home worker.
#[derive(Debug)]
pub struct Service {
    /// `HOT`, `COLD`, `RUNG` or `GONE`. Written by the home worker (Cold, Hot), by submitters (Cold
    /// to Rung) and by the last worker to leave (Gone); read by submitters once a
    /// publication, a line that is otherwise left alone.
    state: AtomicU32,
}

impl Default for Service {
    fn default() -> Self {
        Self { state: AtomicU32::new(COLD) }
    }
}

impl Service {
    /// For a submitter that has published and passed the light barrier.
    #[inline(always)]
    pub fn look(&self) -> Attention {
        // Relaxed: ordered after the publication by the light barrier.
        match self.state.load(Ordering::Relaxed) {
            HOT => Attention::Polled,
            _ => self.take_the_ring(),
        }
    }

    #[cold]
    fn take_the_ring(&self) -> Attention {
        // Of several producers one rings. Relaxed: the bell's own Release carries the publication.
        match self.state.compare_exchange(COLD, RUNG, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => Attention::MustRing,
            Err(GONE) => Attention::Gone,
            Err(_) => Attention::Polled,
        }
    }

    /// Whether the workers have left. Acquire: pairs with [`leave`](Self::leave).
    pub fn is_gone(&self) -> bool {
        self.state.load(Ordering::Acquire) == GONE
    }

    /// The workers have left. The caller must pass the heavy barrier (rule 4). Release: pairs with
    /// [`is_gone`](Self::is_gone), so that who sees it sees all that they completed.
    pub fn leave(&self) {
        self.state.store(GONE, Ordering::Release);
    }

    /// The worker polls the group from now on.
    pub fn admit(&self) {
        self.state.store(HOT, Ordering::Relaxed);
    }

    /// The worker stops polling the group. It must pass the heavy barrier and look again (rule 2).
    pub fn demote(&self) {
        self.state.store(COLD, Ordering::Relaxed);
    }
}

/// Bits in a word.
const WORD: usize = u64::BITS as usize;

/// A worker's doorbell: one bit for each of its groups, and a summary of one bit a word.
#[derive(Debug)]
pub struct Doorbell {
    /// Bit `b` of word `w` says that one of the groups in `words[64 w + b]` rang. Set by submitters,
    /// cleared by the worker, which polls it.
    summary: Slab<AtomicU64>,
    /// Bit `b` of word `w` says that the worker's group `64 w + b` rang. Set by submitters, cleared
    /// by the worker.
    words: Slab<AtomicU64>,
}

impl Doorbell {
    /// A silent doorbell for this many groups.
    pub fn try_new(groups: usize) -> Result<Self, OutOfMemory> {
        let words = Slab::try_new(groups.div_ceil(WORD), |_| AtomicU64::new(0))?;
        let summary = Slab::try_new(words.len().div_ceil(WORD), |_| AtomicU64::new(0))?;
        Ok(Self { summary, words })
    }

    /// Bytes that a doorbell for this many groups takes.
    pub fn bytes(groups: usize) -> usize {
        let words = groups.div_ceil(WORD);
        Slab::<AtomicU64>::bytes(words) + Slab::<AtomicU64>::bytes(words.div_ceil(WORD))
    }

    /// Rings for one of the worker's groups. Release: pairs with [`answer`](Self::answer), so that
    /// the worker sees what was published before.
    pub fn ring(&self, group: usize) {
        let word = group / WORD;
        self.words[word].fetch_or(1 << (group % WORD), Ordering::Release);
        self.summary[word / WORD].fetch_or(1 << (word % WORD), Ordering::Release);
    }

    /// Whether somebody rang.
    #[inline(always)]
    pub fn is_rung(&self) -> bool {
        self.summary.iter().any(|bits| bits.load(Ordering::Relaxed) != 0)
    }

    /// The groups that rang and have not been answered, for a helper. A hint.
    pub fn rung(&self) -> impl Iterator<Item = usize> + '_ {
        members(&self.words)
    }

    /// Calls `admit` for each group that rang, and clears it. Acquire: pairs with
    /// [`ring`](Self::ring).
    #[cold]
    pub fn answer(&self, mut admit: impl FnMut(usize)) {
        for (index, summary) in self.summary.iter().enumerate() {
            for word in bits(summary.swap(0, Ordering::Acquire)).map(|bit| index * WORD + bit) {
                let rung = self.words[word].swap(0, Ordering::Acquire);
                bits(rung).for_each(|bit| admit(word * WORD + bit));
            }
        }
    }
}

/// A set of a worker's groups that other workers may read: the ones that it polls, or that are express.
#[derive(Debug)]
pub struct GroupSet {
    /// Bit `b` of word `w` stands for the worker's group `64 w + b`. Written by the set's owner, or bit by
    /// bit by whoever has the group; read by helpers, as a hint: Relaxed.
    words: Slab<AtomicU64>,
}

impl GroupSet {
    /// An empty set for this many groups.
    pub fn try_new(groups: usize) -> Result<Self, OutOfMemory> {
        Ok(Self { words: Slab::try_new(groups.div_ceil(WORD), |_| AtomicU64::new(0))? })
    }

    /// Bytes that a set for this many groups takes.
    pub fn bytes(groups: usize) -> usize {
        Slab::<AtomicU64>::bytes(groups.div_ceil(WORD))
    }

    /// Puts a group in or takes it out. For the owner alone.
    pub fn set(&self, group: usize, member: bool) {
        let word = &self.words[group / WORD];
        let bit = 1 << (group % WORD);
        let others = word.load(Ordering::Relaxed) & !bit;
        word.store(if member { others | bit } else { others }, Ordering::Relaxed);
    }

    /// As [`set`](Self::set), for a set that has no owner.
    pub fn assign(&self, group: usize, member: bool) {
        let (word, bit) = (&self.words[group / WORD], 1 << (group % WORD));
        match member {
            true => word.fetch_or(bit, Ordering::Relaxed),
            false => word.fetch_and(!bit, Ordering::Relaxed),
        };
    }

    /// Whether a group is in the set.
    pub fn contains(&self, group: usize) -> bool {
        self.words[group / WORD].load(Ordering::Relaxed) & (1 << (group % WORD)) != 0
    }

    /// The groups in the set.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        members(&self.words)
    }

    /// The groups that are in another set of the same size, too.
    pub fn both<'s>(&'s self, other: &'s Self) -> impl Iterator<Item = usize> + 's {
        self.words.iter().zip(other.words.iter()).enumerate().flat_map(|(index, (one, other))| {
            let word = one.load(Ordering::Relaxed) & other.load(Ordering::Relaxed);
            bits(word).map(move |bit| index * WORD + bit)
        })
    }
}

/// Indices of the bits that are set in an array of words.
fn members(words: &[AtomicU64]) -> impl Iterator<Item = usize> + '_ {
    words.iter().enumerate().flat_map(|(index, word)| {
        bits(word.load(Ordering::Relaxed)).map(move |bit| index * WORD + bit)
    })
}

/// Indices of the bits that are set.
fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros();
        (word != 0).then(|| {
            word &= word - 1;
            bit as usize
        })
    })
}

#[cfg(all(test, not(stageline_models)))]
mod tests {
    use super::*;

    #[test]
    fn each_bit_is_answered_once() {
        let bell = Doorbell::try_new(10_000).expect("little memory");
        for group in [0, 63, 64, 4095, 4096, 9_999] {
            bell.ring(group);
        }
        assert!(bell.is_rung());
        let mut answered = Vec::new();
        bell.answer(|group| answered.push(group));
        assert_eq!(answered, [0, 63, 64, 4095, 4096, 9_999]);
        assert!(!bell.is_rung());
        bell.answer(|group| panic!("group {group} did not ring"));
    }

    #[test]
    fn a_group_set_holds_its_members() {
        let set = GroupSet::try_new(200).expect("little memory");
        set.set(3, true);
        set.set(199, true);
        set.set(3, false);
        set.set(64, true);
        assert_eq!(set.iter().collect::<Vec<_>>(), [64, 199]);
        let other = GroupSet::try_new(200).expect("little memory");
        [3, 65, 199].into_iter().for_each(|group| other.assign(group, true));
        assert_eq!(set.both(&other).collect::<Vec<_>>(), [199]);
        other.assign(199, false);
        assert_eq!(set.both(&other).count(), 0);
        assert!(other.contains(65), "the others stay");
    }
}
