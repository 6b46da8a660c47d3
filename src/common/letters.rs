//! Where a group keeps results apart that nobody wants among the others: letters, allocated with the group.
//!
//! ```text
//!            the receive end swaps a result in             the dead-letter end lends it
//!  empty ──────────────────────────────────────► full ────────────────────────────────► lent
//!    ▲                                                                                    │
//!    └────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! 1. A letter's index is in one of the two queues, or with the end that took it out; who has the index owns
//!    the letter. The queues hand it on with Release and Acquire of their own.
//! 2. Each queue has a place for each letter, so no push fails. The receive end takes empty letters out, the
//!    dead-letter end full ones; a receive end that finds no empty one keeps its result.
//! 3. The payload is swapped, so the slot goes on with that of the letter, and nothing is allocated or dropped.
//! 4. Nothing more comes when the receive end has said `Closed`, or is gone. It then sets `over`, with
//!    Release, and notifies. The dead-letter end reads `over`, with Acquire, before it looks at the queue for
//!    the last time, and so finds all that was put there.
//! 5. Between two openings of the group all letters are empty ones again: whoever opens it owns them.

use crate::cold::Failure;
use crate::limits::DESCRIPTION_MAX;
use crate::panics;
use crate::slab::Slab;
use crate::slot::Phase;
use crate::sync::{self, ArrayQueue, AtomicBool, AtomicU64, Ordering, UnsafeCell};
use crate::wait::Event;
use arrayvec::ArrayString;

/// A result that was kept apart.
pub struct Letter<T, E> {
    pub payload: T,
    pub failure: Failure<E>,
    /// How the request ended.
    pub phase: Phase,
    /// The status of that, if it is not the usual one.
    pub status: Option<u32>,
    /// The stage that it was in, or was about to enter.
    pub stage: u16,
    pub position: u64,
    /// How many attempts it had at the stage that last asked for a retry.
    pub attempts: u32,
    /// What a stage said of it.
    pub description: ArrayString<DESCRIPTION_MAX>,
}

/// A letter in its cell.
pub struct LetterCell<T, E>(UnsafeCell<Letter<T, E>>);

impl<T, E> LetterCell<T, E> {
    /// An empty letter that has this payload.
    pub fn new(payload: T) -> Self {
        Self(UnsafeCell::new(Letter {
            payload,
            failure: Failure::None,
            phase: Phase::Done,
            status: None,
            stage: 0,
            position: 0,
            attempts: 1,
            description: ArrayString::new_const(),
        }))
    }
}

// SAFETY: the letter is reached by who has its index (rule 1), one thread at a time, and moves between
// threads with it: `Send` is enough.
unsafe impl<T: Send, E: Send> Sync for LetterCell<T, E> {}

/// The letters of one group.
pub struct Letters<T, E> {
    letters: Slab<LetterCell<T, E>>,
    empty: ArrayQueue<u32>,
    full: ArrayQueue<u32>,
    /// The dead-letter end waits here.
    pub event: Event,
    /// Rule 4. Written by the receive end, and by who opens the group; read by the dead-letter end.
    over: AtomicBool,
    /// Letters filled since the group was opened. Written by the receive end, read for the statistics; Relaxed.
    filled: AtomicU64,
}

impl<T, E> Letters<T, E> {
    /// These letters, and queues for them, which end the process if they get no memory.
    pub fn new(letters: Slab<LetterCell<T, E>>) -> Self {
        let capacity = letters.len();
        Self {
            letters,
            empty: ArrayQueue::new(capacity),
            full: ArrayQueue::new(capacity),
            event: Event::default(),
            over: AtomicBool::new(false),
            filled: AtomicU64::new(0),
        }
    }

    /// Bytes that so many letters take, but for their queues.
    pub fn bytes(capacity: usize) -> usize {
        Slab::<LetterCell<T, E>>::bytes(capacity)
    }

    /// Bytes that the queues of so many letters take: a crossbeam `ArrayQueue` keeps a stamp beside each item.
    pub fn queue_bytes(capacity: usize) -> usize {
        capacity.saturating_mul(2 * 2 * size_of::<usize>())
    }

    /// Makes all letters empty, for the group's next opening.
    ///
    /// # Safety
    ///
    /// All ends of the group are closed, and the caller has its index.
    pub unsafe fn reset(&self) {
        while self.empty.pop().or_else(|| self.full.pop()).is_some() {}
        for letter in 0..self.letters.len() as u32 {
            // SAFETY: by this function's contract nobody has an index; rule 5.
            let failure =
                unsafe { self.letter(letter, |letter| std::mem::take(&mut (*letter).failure)) };
            // A user's `Drop` that panics must not cost the group's index.
            panics::contain(|| drop(failure));
            self.give_back(letter);
        }
        self.filled.store(0, Ordering::Relaxed);
        // Relaxed: the ends are made after this, by this thread.
        self.over.store(false, Ordering::Relaxed);
    }

    /// Runs `f` on a letter.
    ///
    /// # Safety
    ///
    /// The caller has its index (rule 1), and uses no other reference to it.
    pub unsafe fn letter<R>(&self, letter: u32, f: impl FnOnce(*mut Letter<T, E>) -> R) -> R {
        self.letters[letter as usize].0.with_mut(f)
    }

    /// An empty letter, for the receive end.
    pub fn take_empty(&self) -> Option<u32> {
        self.empty.pop()
    }

    /// Hands a letter that the receive end has filled to the dead-letter end, and wakes it.
    pub fn fill(&self, letter: u32) {
        sync::add_alone(&self.filled, 1);
        // Cannot be full: rule 2.
        let _ = self.full.push(letter);
        self.event.notify();
    }

    /// The oldest full letter, for the dead-letter end.
    pub fn take_full(&self) -> Option<u32> {
        self.full.pop()
    }

    /// A letter that is done with can be filled again.
    pub fn give_back(&self, letter: u32) {
        // Cannot be full: rule 2.
        let _ = self.empty.push(letter);
    }

    /// Nothing more will come. For the receive end.
    pub fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.event.notify();
    }

    /// Whether nothing more will come than what is there after this look.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Letters filled since the group was opened.
    pub fn filled(&self) -> u64 {
        self.filled.load(Ordering::Relaxed)
    }
}
