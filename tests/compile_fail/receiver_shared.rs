use stageline::{Receiver, StateMachine};
use std::thread;

fn share<M: StateMachine>(receiver: &Receiver<M>) {
    thread::scope(|scope| {
        scope.spawn(|| receiver.cancel());
        receiver.cancel();
    });
}

fn main() {}
