//! Payloads of other sizes, written in place: the submitter writes all words of a slot, the worker reads
//! them all, the receiver looks at the first.

use super::{List, PAIR, Setup};
use crate::driver::WINDOW;
use crate::engine::started;
use crate::meter::Timed;
use stageline::{
    Order, Pipeline, Request, Stage, StageId, StageTable, StateMachine, Step, WaitStrategy,
};
use std::convert::Infallible;

const BURST: usize = 64;

pub fn add(list: &mut List<Timed>) {
    list.add("payload_8", PAIR, ns::<1>);
    list.add("payload_56", PAIR, ns::<7>);
    list.add("payload_64", PAIR, ns::<8>);
    list.add("payload_256", PAIR, ns::<32>);
    list.add("payload_1024", PAIR, ns::<128>);
    list.add("payload_4096", PAIR, ns::<512>);
}

/// Three stages on so many words.
struct Wide<const WORDS: usize>;

impl<const WORDS: usize> Wide<WORDS> {
    fn add_up(&mut self, request: &mut Request<'_, Self>) -> Step {
        request[0] = request.iter().copied().fold(0, u64::wrapping_add);
        request.next(StageId::new(1))
    }

    fn flip(&mut self, request: &mut Request<'_, Self>) -> Step {
        request[0] = !request[0];
        request.next(StageId::new(2))
    }

    fn end(&mut self, request: &mut Request<'_, Self>) -> Step {
        request[0] = request[0].wrapping_mul(3);
        request.done()
    }
}

impl<const WORDS: usize> StateMachine for Wide<WORDS> {
    type Data = [u64; WORDS];
    type Error = Infallible;
    const STAGES: StageTable<Self> = StageTable::new(&[
        Stage { name: "add_up", run: Self::add_up, next: None, pool: None },
        Stage { name: "flip", run: Self::flip, next: None, pool: None },
        Stage { name: "end", run: Self::end, next: None, pool: None },
    ]);
}

fn expected<const WORDS: usize>(number: u64) -> u64 {
    (!number.wrapping_mul(WORDS as u64)).wrapping_mul(3)
}

fn ns<const WORDS: usize>(setup: &Setup) -> Timed {
    let builder = Pipeline::builder_with(|| Wide::<WORDS>, || [0; WORDS]);
    let builder = builder.cpus([setup.cores.worker()]).wait(WaitStrategy::BusySpin);
    let pipeline = started(&setup.cores, builder.groups(1).window(WINDOW));
    let mut group = pipeline.open(Order::Submission).expect("one group");
    let requests = setup.meter.requests(20 + WORDS as u64 / 2);
    let (mut sent, mut got, mut sum) = (0_u64, 0_u64, 0_u64);
    let mut drive = |until: u64| {
        while got < until {
            for _ in 0..BURST {
                let number = sent;
                if sent == until || group.try_submit_with(|slot| slot.fill(number)).is_err() {
                    break;
                }
                sent += 1;
            }
            got += group.drain(BURST, |output| sum = sum.wrapping_add(output[0])) as u64;
        }
    };
    drive(requests / 10);
    let timed = setup.meter.timed(requests, || drive(requests / 10 + requests));
    let all = (0..sent).map(expected::<WORDS>).fold(0, u64::wrapping_add);
    assert_eq!(sum, all, "wrong results");
    timed
}
