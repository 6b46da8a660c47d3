use stageline::{StateMachine, Submitter};
use std::thread;

fn share<M: StateMachine>(submitter: &Submitter<M>) {
    thread::scope(|scope| {
        scope.spawn(|| submitter.cancel());
        submitter.cancel();
    });
}

fn main() {}
