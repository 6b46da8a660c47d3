use stageline::{Output, Receiver, StateMachine};

fn last<M: StateMachine>(mut receiver: Receiver<M>) -> Output<'static, M> {
    receiver.recv().ok().unwrap()
}

fn main() {}
