//! A thread of a pool: it runs the stages that name the pool, on requests that come to the pool's queue, and hands
//! on those that go to other stages. It has a machine of its own.
//!
//! The workers leave when nothing is kept but what is suspended, and the threads of pools after them. A ticket that is
//! used in between, or as the last worker leaves, may send a request that nobody will run: who is left ends it as
//! cancelled.

use super::runner::Runner;
use crate::common::{Hop, WorkerShared};
use crate::request::Seat;
use crate::shared::Shared;
use crate::stage::StateMachine;
use crate::sync::{Ordering, thread};
use crate::wait::{Pause, Spinner, WaitPlan};
use std::time::Duration;

/// What one thread of a pool owns.
pub(crate) struct PoolWorker<'s, M: StateMachine> {
    shared: &'s Shared<M>,
    own: &'s WorkerShared,
    queue: &'s Hop,
    wait: WaitPlan,
    /// See [`Pool::nap`](crate::Pool::nap).
    nap: Duration,
    runner: Runner<'s, M>,
}

impl<'s, M: StateMachine> PoolWorker<'s, M> {
    /// A thread of the pool with this queue; its index is among all threads that run stages.
    pub(crate) fn new(
        shared: &'s Shared<M>,
        (index, hop): (usize, usize),
        (wait, nap): (WaitPlan, Duration),
        machine: M,
    ) -> Self {
        let own = &*shared.workers[index];
        let seat = Seat { common: &shared.common, lane: index, hop };
        let runner = Runner::new(shared, &own.progress, seat, machine);
        Self { shared, own, queue: &shared.hops[hop], wait, nap, runner }
    }

    /// The thread's life.
    pub(crate) fn run(mut self) {
        let mut spinner = Spinner::new(self.wait);
        let mut is_rested = true;
        loop {
            self.own.progress.step();
            if self.runner.serve_kept() {
                spinner.reset();
                is_rested = self.nap.is_zero();
                continue;
            }
            if self.shared.closed.load(Ordering::Acquire) && self.runner.drain() {
                continue;
            }
            if self.is_last() && self.runner.cancel_queued() {
                continue;
            }
            if self.can_leave() {
                break;
            }
            if !is_rested {
                is_rested = true;
                thread::sleep(self.nap);
                continue;
            }
            if spinner.pause() == Pause::Park {
                self.own.progress.set_waits_in_pool(true);
                self.queue.event.wait_until(self.runner.next_due(), || {
                    self.runner.is_called()
                        || (self.is_last() && self.shared.has_queued())
                        || self.can_leave()
                });
                self.own.progress.set_waits_in_pool(false);
                spinner.reset();
            }
        }
        self.shared.worker_left();
        self.runner.close();
    }

    /// Whether the pipeline ends and the workers have left.
    fn is_last(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed) && self.shared.pollers_left()
    }

    /// Whether, beside that, nothing will come any more.
    fn can_leave(&self) -> bool {
        self.is_last() && self.runner.is_settled()
    }
}
