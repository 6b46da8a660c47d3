use stageline::{Request, StateMachine};
use std::cell::Cell;
use std::thread;

fn share<M: StateMachine<Data = Cell<u64>>>(request: &mut Request<'_, M>) {
    let request = &*request;
    thread::scope(|scope| {
        scope.spawn(|| request.set(1));
        request.set(2);
    });
}

fn main() {}
