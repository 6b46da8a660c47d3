use stageline::{RequestGroup, StateMachine};
use std::thread;

fn share<M: StateMachine>(group: &RequestGroup<M>) {
    thread::scope(|scope| {
        scope.spawn(|| group.cancel());
        group.cancel();
    });
}

fn main() {}
