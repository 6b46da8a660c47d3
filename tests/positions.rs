//! Positions that wrap: where the turn's bits end, where 32 bits end, and where 64 bits end.

mod common;

use common::{LONG, Lab, ORDERS, finish, lab, pass, watchdog};
use stageline::{
    Order, Pipeline, Request, RequestGroup, Step, TrySubmitError, limits, state_machine,
};
use std::thread;

/// Starts from which a few laps cross each edge.
fn starts() -> Vec<u64> {
    let edges = [0_u64, 1 << 31, 1 << 32, 1 << 59, 1 << 60, 1 << 61, 1 << 63];
    let around = |edge: &u64| [1, 5, 8, 16, 17].map(|before| edge.wrapping_sub(before));
    let exact = [u64::from(u32::MAX), u64::MAX, 1 << 60, 0, 3];
    edges.iter().flat_map(around).chain(exact).collect()
}

fn at(start: u64, workers: usize) -> Pipeline<Lab> {
    let builder = lab().groups(1).window(8).workers(workers).reserve(0).sample_every(2);
    builder.first_position(start).build().unwrap()
}

#[test]
fn several_laps_cross_every_edge() {
    let _dog = watchdog(120);
    const COUNT: u64 = 60;
    for (start, order, workers) in cases() {
        let pipeline = at(start, workers);
        let (mut submitter, mut receiver) = pipeline.open(order).unwrap().split();
        let mut positions = Vec::new();
        let mut submitted = 0;
        while submitted < COUNT {
            let batch = 1 + submitted % 8;
            for _ in 0..batch {
                let position = start.wrapping_add(submitted);
                assert_eq!(submitter.submit(pass(submitted)), Ok(position));
                submitted += 1;
            }
            for _ in 0..batch {
                let output = receiver.recv_timeout(LONG).unwrap();
                assert_eq!(start.wrapping_add(output.value - 1), output.position());
                positions.push(output.position().wrapping_sub(start));
            }
        }
        assert!(order == Order::Completion || positions.is_sorted(), "{start:#x}");
        positions.sort_unstable();
        assert_eq!(positions, (0..submitted).collect::<Vec<_>>(), "{start:#x}");
        assert_eq!(receiver.in_flight(), 0);
        let ledger = receiver.stats().ledger;
        assert_eq!(
            (ledger.submitted, ledger.done, ledger.received),
            (submitted, submitted, submitted)
        );
        drop((submitter, receiver));
        assert_eq!(finish(pipeline).done, submitted);
    }
}

fn cases() -> impl Iterator<Item = (u64, Order, usize)> {
    let starts = starts().into_iter();
    starts.flat_map(|start| {
        ORDERS.into_iter().flat_map(move |order| [1, 3].map(|workers| (start, order, workers)))
    })
}

#[test]
fn a_full_window_across_an_edge_is_full() {
    let _dog = watchdog(120);
    for (start, order, workers) in cases().filter(|(_, _, workers)| *workers == 1) {
        let pipeline = at(start, workers);
        let mut group = pipeline.open(order).unwrap();
        for ahead in 0..8 {
            assert_eq!(group.try_submit(pass(ahead)), Ok(start.wrapping_add(ahead)));
        }
        assert_eq!(group.try_submit(pass(8)), Err(TrySubmitError::Full(pass(8))), "{start:#x}");
        assert_eq!(group.in_flight(), 8);
        for _ in 0..8 {
            drop(group.recv().unwrap());
        }
        assert_eq!(group.try_submit(pass(8)), Ok(start.wrapping_add(8)));
        drop(group);
        finish(pipeline);
    }
}

#[test]
fn shared_submitters_batches_and_reuse_cross_the_edges() {
    let _dog = watchdog(120);
    for start in [u64::MAX - 20, (1 << 60) - 20, u64::from(u32::MAX) - 20] {
        for workers in [1, 3] {
            let pipeline = at(start, workers);
            let mut next = start;
            for opening in 0..12 {
                let group = loop {
                    match pipeline.open(ORDERS[opening % 2]) {
                        Ok(group) => break group,
                        Err(_) => thread::yield_now(),
                    }
                };
                let (mut submitter, mut receiver) = group.split();
                assert_eq!(submitter.submit_batch(&mut (0..5).map(pass)), 5);
                next = next.wrapping_add(5);
                let mut shared = submitter.share();
                assert_eq!(shared.submit(pass(5)), Ok(next), "{start:#x}");
                next = next.wrapping_add(1);
                // Of every third opening the results are left.
                for _ in 0..if opening % 3 == 2 { 0 } else { 6 } {
                    drop(receiver.recv_timeout(LONG).unwrap());
                }
            }
            drop(loop {
                match pipeline.open(Order::Submission) {
                    Ok(group) => break group,
                    Err(_) => thread::yield_now(),
                }
            });
            assert_eq!(finish(pipeline).done, 72);
        }
    }
}

/// The widest window there is, full, where 32 bits end, where the turn's bits end, and where 64 bits end.
#[test]
fn the_widest_window_crosses_every_edge() {
    let _dog = watchdog(240);
    const WINDOW: u64 = limits::WINDOW_MAX as u64;
    let edges = [1_u64 << 32, 1 << 60, 0];
    for edge in edges {
        for (order, workers) in [(Order::Submission, 1), (Order::Completion, 2)] {
            let start = edge.wrapping_sub(WINDOW / 2 + 1);
            let builder = Pipeline::builder(|| Count).workers(workers).reserve(0).groups(1);
            let builder = builder.window(limits::WINDOW_MAX).first_position(start);
            let pipeline = builder.build().unwrap();
            let mut group = pipeline.open(order).unwrap();
            assert_eq!(group.submit_batch(&mut (0..)), WINDOW as usize);
            assert!(group.try_submit(0).is_err(), "full");
            let mut sum = 0_u64;
            let mut receive = |group: &mut RequestGroup<Count>, count| {
                for _ in 0..count {
                    let output = group.receiver().recv_timeout(LONG).unwrap();
                    assert_eq!(start.wrapping_add(*output - 1), output.position(), "{edge:#x}");
                    sum += *output - 1;
                }
            };
            receive(&mut group, 1);
            // The first slot of the next lap.
            assert_eq!(group.try_submit(WINDOW), Ok(start.wrapping_add(WINDOW)));
            receive(&mut group, WINDOW);
            assert_eq!(sum, WINDOW * (WINDOW + 1) / 2, "each once");
            drop(group);
            assert_eq!(finish(pipeline).done, WINDOW + 1);
        }
    }
}

struct Count;

#[state_machine(data = u64)]
impl Count {
    #[stage]
    fn run(&mut self, request: &mut Request<'_, Self>) -> Step {
        **request += 1;
        request.done()
    }
}
