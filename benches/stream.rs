//! Requests that stream through one worker, and submissions that a full window refuses.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use stageline::{Order, Pipeline, Request, Step, TrySubmitError, state_machine};
use std::convert::Infallible;
use std::hint::black_box;

const WINDOW: usize = 1024;
/// Requests of one iteration.
const REQUESTS: u64 = 4_096;

struct Triple;

#[state_machine(data = u64, error = Infallible)]
impl Triple {
    #[stage(next = [])]
    fn triple(&mut self, request: &mut Request<'_, Self>) -> Step {
        **request *= 3;
        request.done()
    }
}

fn pipeline() -> Pipeline<Triple> {
    let builder = Pipeline::builder(|| Triple).workers(1).groups(1).window(WINDOW);
    builder.build().expect("a pipeline of one worker")
}

fn submit_batch_and_drain(criterion: &mut Criterion) {
    let mut benches = criterion.benchmark_group("submit_batch_and_drain");
    benches.throughput(Throughput::Elements(REQUESTS));
    for burst in [1, 16, 64, 256_usize] {
        let pipeline = pipeline();
        let mut group = pipeline.open(Order::Submission).expect("one group");
        benches.bench_function(BenchmarkId::from_parameter(burst), |bencher| {
            bencher.iter(|| {
                let (mut sent, mut sum, mut got) = (0, 0, 0);
                while got < REQUESTS {
                    let end = REQUESTS.min(sent + burst as u64);
                    sent += group.submit_batch(&mut (sent..end)) as u64;
                    got += group.drain(burst, |output| sum += **output) as u64;
                }
                assert_eq!(sum, 3 * (0..REQUESTS).sum::<u64>(), "wrong results");
            });
        });
    }
    benches.finish();
}

fn a_full_window(criterion: &mut Criterion) {
    let pipeline = pipeline();
    let mut group = pipeline.open(Order::Submission).expect("one group");
    assert_eq!(group.submit_batch(&mut (0..)), WINDOW);
    criterion.bench_function("try_submit_on_a_full_window", |bencher| {
        bencher.iter(|| {
            assert_eq!(group.try_submit(black_box(7)), Err(TrySubmitError::Full(7)));
        });
    });
}

criterion_group!(benches, submit_batch_and_drain, a_full_window);
criterion_main!(benches);
