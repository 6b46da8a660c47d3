use stageline::{Receiver, StateMachine};
use std::cell::Cell;
use std::thread;

fn share<M: StateMachine<Data = Cell<u64>>>(receiver: &mut Receiver<M>) {
    let output = receiver.recv().unwrap();
    thread::scope(|scope| {
        // To send it is allowed: `Cell` is `Send`.
        scope.spawn(|| output.set(1));
        output.set(2);
    });
}

fn main() {}
