//! The engine as a contender: pipelines of pinned workers, and a group as a stream.

use crate::cores::{Cores, pin};
use crate::driver::Stream;
use crate::payload::{Payload, Trivial};
use stageline::{Builder, Order, Pipeline, RequestGroup, StateMachine, WaitStrategy};

impl<M: StateMachine<Data = Payload>> Stream for RequestGroup<M> {
    #[inline(always)]
    fn submit(&mut self, values: &mut impl ExactSizeIterator<Item = Payload>) -> usize {
        self.submit_batch(values)
    }

    #[inline(always)]
    fn receive(&mut self, max: usize, each: &mut impl FnMut(&Payload)) -> usize {
        self.drain(max, |output| each(output))
    }

    #[inline(always)]
    fn trip(&mut self, value: Payload) -> u64 {
        self.try_submit(value).expect("nothing is in flight");
        self.recv().expect("one is in flight")[6]
    }
}

/// A pipeline of one worker on its own CPU, and the calling thread on the submitter's.
pub fn pinned<M: StateMachine<Data: Default>>(
    cores: &Cores,
    machine: impl Fn() -> M + Send + Sync + 'static,
    configure: impl FnOnce(Builder<M>) -> Builder<M>,
) -> Pipeline<M> {
    let builder = Pipeline::builder(machine).cpus([cores.worker()]).wait(WaitStrategy::BusySpin);
    started(cores, configure(builder))
}

/// Builds a pipeline whose workers must be pinned.
pub fn started<M: StateMachine>(cores: &Cores, builder: Builder<M>) -> Pipeline<M> {
    let pipeline = builder.build().expect("a pipeline within the limits");
    let workers = &pipeline.report().workers;
    assert!(workers.iter().all(|worker| worker.pinned), "a worker is not pinned");
    pin(cores.submitter);
    pipeline
}

/// A group of a pipeline of one pinned worker.
pub struct Single<M: StateMachine = Trivial> {
    // The group goes first: what is in flight is then nobody's to wait for.
    group: RequestGroup<M>,
    _pipeline: Pipeline<M>,
}

impl Single {
    pub fn new(cores: &Cores, window: usize, order: Order, wait: WaitStrategy) -> Self {
        let pipeline =
            pinned(cores, || Trivial, |builder| builder.groups(1).window(window).wait(wait));
        Self::of(pipeline, order)
    }
}

impl<M: StateMachine> Single<M> {
    /// The only group of such a pipeline.
    pub fn of(pipeline: Pipeline<M>, order: Order) -> Self {
        Self { group: pipeline.open(order).expect("one group"), _pipeline: pipeline }
    }
}

impl<M: StateMachine<Data = Payload>> Stream for Single<M> {
    #[inline(always)]
    fn submit(&mut self, values: &mut impl ExactSizeIterator<Item = Payload>) -> usize {
        Stream::submit(&mut self.group, values)
    }

    #[inline(always)]
    fn receive(&mut self, max: usize, each: &mut impl FnMut(&Payload)) -> usize {
        Stream::receive(&mut self.group, max, each)
    }

    #[inline(always)]
    fn trip(&mut self, value: Payload) -> u64 {
        Stream::trip(&mut self.group, value)
    }
}
