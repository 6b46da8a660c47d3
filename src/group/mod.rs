//! A request group: a private pair of ends on the shared workers.

mod letters;
mod output;
mod receive;
mod submit;
mod waits;

pub use letters::{DeadLetter, DeadLetters};
pub use output::Output;
pub use receive::Receiver;
pub use submit::{SharedSubmitter, SubmitEnd, Submitter};

use crate::common::{GroupOptions, Letters};
use crate::error::{
    RecvError, RecvTimeoutError, SubmitError, SubmitTimeoutError, TryRecvError, TrySubmitError,
};
use crate::shared::{GroupHandle, Shared};
use crate::stage::StateMachine;
use crate::stats::GroupStats;
use crate::sync::{Arc, Ordering};
use crate::window::Order;
use std::fmt;
use std::time::{Duration, Instant};

/// A stream of requests in and of results out, for one thread; [`split`](Self::split) makes two
/// handles of it for two threads.
///
/// At most `window` requests are in flight. Dropping the group leaves what is in flight to run to
/// its end; the results are thrown away, and the group can then be opened anew.
pub struct RequestGroup<M: StateMachine> {
    submitter: Submitter<M>,
    receiver: Receiver<M>,
}

impl<M: StateMachine> RequestGroup<M> {
    /// The ends of a group that was just opened with this index.
    pub(crate) fn new(shared: &Arc<Shared<M>>, index: u32, options: &GroupOptions) -> Self {
        let handle = || GroupHandle::new(Arc::clone(shared), index);
        Self {
            submitter: SubmitEnd::new(handle(), options.overflow),
            receiver: Receiver::new(
                handle(),
                options.order,
                options.dead_letters.then(|| DeadLetters::new(handle())),
            ),
        }
    }

    /// The two ends, for two threads.
    pub fn split(self) -> (Submitter<M>, Receiver<M>) {
        (self.submitter, self.receiver)
    }

    /// The submit end.
    pub fn submitter(&mut self) -> &mut Submitter<M> {
        &mut self.submitter
    }

    /// The receive end.
    pub fn receiver(&mut self) -> &mut Receiver<M> {
        &mut self.receiver
    }

    /// See [`Receiver::dead_letters`].
    pub fn dead_letters(&mut self) -> Option<DeadLetters<M>> {
        self.receiver.dead_letters()
    }

    /// Index of the group in its pipeline.
    pub fn index(&self) -> usize {
        self.receiver.index()
    }

    /// The order of its outputs.
    pub fn order(&self) -> Order {
        self.receiver.order()
    }

    /// Requests submitted and not yet received.
    pub fn in_flight(&self) -> usize {
        self.receiver.in_flight()
    }

    /// See [`SubmitEnd::try_submit`].
    #[inline(always)]
    pub fn try_submit(&mut self, value: M::Data) -> Result<u64, TrySubmitError<M::Data>> {
        self.submitter.try_submit(value)
    }

    /// See [`SubmitEnd::submit`]. While it waits for a free slot nobody receives, so a full window
    /// must not be waited for with this handle: use [`try_submit`](Self::try_submit), or
    /// [`split`](Self::split).
    #[inline(always)]
    pub fn submit(&mut self, value: M::Data) -> Result<u64, SubmitError<M::Data>> {
        self.submitter.submit(value)
    }

    /// See [`SubmitEnd::submit_timeout`].
    pub fn submit_timeout(
        &mut self,
        value: M::Data,
        timeout: Duration,
    ) -> Result<u64, SubmitTimeoutError<M::Data>> {
        self.submitter.submit_timeout(value, timeout)
    }

    /// See [`SubmitEnd::try_submit_with`].
    #[inline]
    pub fn try_submit_with<F>(&mut self, fill: F) -> Result<u64, TrySubmitError<F>>
    where
        F: FnOnce(&mut M::Data),
    {
        self.submitter.try_submit_with(fill)
    }

    /// See [`SubmitEnd::submit_with`], and [`submit`](Self::submit) on waiting.
    #[inline]
    pub fn submit_with<F>(&mut self, fill: F) -> Result<u64, SubmitError<F>>
    where
        F: FnOnce(&mut M::Data),
    {
        self.submitter.submit_with(fill)
    }

    /// See [`SubmitEnd::submit_batch`].
    #[inline]
    pub fn submit_batch(&mut self, values: &mut impl Iterator<Item = M::Data>) -> usize {
        self.submitter.submit_batch(values)
    }

    /// See [`SubmitEnd::set_deadline`].
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.submitter.set_deadline(deadline);
    }

    /// See [`Receiver::try_recv`].
    #[inline(always)]
    pub fn try_recv(&mut self) -> Result<Output<'_, M>, TryRecvError> {
        self.receiver.try_recv()
    }

    /// See [`Receiver::recv`].
    ///
    /// # Errors
    ///
    /// [`RecvError::NothingInFlight`] if everything submitted has been received, or put into dead letters:
    /// only the caller could submit more. (Also when the group is cancelled or the pipeline closed.)
    #[inline(always)]
    pub fn recv(&mut self) -> Result<Output<'_, M>, RecvError> {
        self.receiver.recv_as(true)
    }

    /// See [`Receiver::recv_timeout`].
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Output<'_, M>, RecvTimeoutError> {
        self.receiver.recv_timeout(timeout)
    }

    /// See [`Receiver::drain`].
    #[inline]
    pub fn drain(&mut self, max: usize, each: impl FnMut(&mut Output<'_, M>)) -> usize {
        self.receiver.drain(max, each)
    }

    /// See [`Receiver::cancel`].
    pub fn cancel(&self) {
        self.receiver.cancel();
    }

    /// Statistics since the group was opened.
    pub fn stats(&self) -> GroupStats {
        self.receiver.stats()
    }
}

impl<M: StateMachine> fmt::Debug for RequestGroup<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestGroup")
            .field("submitter", &self.submitter)
            .field("receiver", &self.receiver)
            .finish()
    }
}

/// Statistics of a group since it was opened.
pub(crate) fn group_stats<M: StateMachine>(shared: &Shared<M>, index: u32) -> GroupStats {
    let group = shared.group(index);
    let workers = shared.workers.iter().map(|worker| &worker.progress);
    let running = workers.filter(|progress| progress.group() == index as usize);
    GroupStats {
        group: index as usize,
        ledger: group.ledger(),
        dropped_newest: group.overflowed.newest.load(Ordering::Relaxed),
        dropped_oldest: group.overflowed.oldest.load(Ordering::Relaxed),
        dead_letters: shared.letters.get(index as usize).map_or(0, Letters::filled),
        running: running.map(|progress| progress.running()).sum(),
        queue: group.times.queue.snapshot(),
        run: group.times.run.snapshot(),
        stalls: group.stalls.load(Ordering::Relaxed),
        stalled: group.stalled.load(Ordering::Relaxed),
    }
}
