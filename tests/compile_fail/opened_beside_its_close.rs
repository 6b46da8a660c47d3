use stageline::{Order, Pipeline, StateMachine};
use std::thread;

fn race<M: StateMachine>(pipeline: Pipeline<M>) {
    thread::scope(|scope| {
        scope.spawn(|| pipeline.open(Order::Submission).is_ok());
        scope.spawn(|| pipeline.close());
    });
}

fn main() {}
