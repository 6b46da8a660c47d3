use stageline::{Receiver, StateMachine};

fn sum<M: StateMachine<Data = u64>>(receiver: &mut Receiver<M>) -> u64 {
    let first = receiver.recv().unwrap();
    let second = receiver.recv().unwrap();
    *first + *second
}

fn main() {}
