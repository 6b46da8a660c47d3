//! Opening and closing groups, with and without a request.

use criterion::{Criterion, criterion_group, criterion_main};
use stageline::{Order, Pipeline, Request, Step, state_machine};
use std::convert::Infallible;

struct Negate;

#[state_machine(data = u64, error = Infallible)]
impl Negate {
    #[stage(next = [])]
    fn negate(&mut self, request: &mut Request<'_, Self>) -> Step {
        **request = !**request;
        request.done()
    }
}

fn open_and_close(criterion: &mut Criterion) {
    let builder = Pipeline::builder(|| Negate).workers(1).groups(32).window(64);
    let pipeline = builder.build().expect("a pipeline of one worker");
    for order in [Order::Submission, Order::Completion] {
        criterion.bench_function(&format!("open_and_close/{order:?}"), |bencher| {
            bencher.iter(|| pipeline.open(order).expect("a group is free"));
        });
    }
    criterion.bench_function("open_one_request_and_close", |bencher| {
        bencher.iter(|| {
            let mut group = pipeline.open(Order::Submission).expect("a group is free");
            group.try_submit(7).expect("it is open");
            assert_eq!(*group.recv().expect("one is in flight"), !7);
        });
    });
}

criterion_group!(benches, open_and_close);
criterion_main!(benches);
