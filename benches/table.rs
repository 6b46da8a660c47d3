//! The walk through a stage table by its length: the difference between two lengths is what their stages
//! cost.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use stageline::{Order, Pipeline, Request, RuntimeStage, StageId, StageTable, StateMachine, Step};
use std::convert::Infallible;

const WINDOW: usize = 1024;

/// Its table is put together at run time.
struct Count;

impl Count {
    fn next(&mut self, request: &mut Request<'_, Self>) -> Step {
        **request += 1;
        request.next(StageId::new(request.stage().index() as u16 + 1))
    }

    fn end(&mut self, request: &mut Request<'_, Self>) -> Step {
        **request += 1;
        request.done()
    }
}

impl StateMachine for Count {
    type Data = u64;
    type Error = Infallible;
    const STAGES: StageTable<Self> = StageTable::EMPTY;
}

fn walk(criterion: &mut Criterion) {
    let mut benches = criterion.benchmark_group("table_walk");
    benches.throughput(Throughput::Elements(WINDOW as u64));
    for stages in [1, 4, 16, 64_usize] {
        let table = (1..=stages).map(|at| RuntimeStage {
            name: format!("stage {at}"),
            run: if at == stages { Count::end } else { Count::next },
            next: None,
            pool: None,
        });
        let builder = Pipeline::builder(|| Count).workers(1).groups(1).window(WINDOW).stages(table);
        let pipeline = builder.build().expect("a table of some stages");
        let mut group = pipeline.open(Order::Submission).expect("one group");
        benches.bench_function(BenchmarkId::from_parameter(stages), |bencher| {
            bencher.iter(|| {
                let sent = group.submit_batch(&mut (0..WINDOW).map(|_| 0));
                for _ in 0..sent {
                    assert_eq!(*group.recv().expect("some are in flight"), stages as u64);
                }
            });
        });
    }
    benches.finish();
}

criterion_group!(benches, walk);
criterion_main!(benches);
