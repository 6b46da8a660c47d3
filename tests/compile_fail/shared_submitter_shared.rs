use stageline::{SharedSubmitter, StateMachine};
use std::thread;

fn share<M: StateMachine>(submitter: &SharedSubmitter<M>) {
    thread::scope(|scope| {
        scope.spawn(|| submitter.cancel());
        submitter.cancel();
    });
}

fn main() {}
