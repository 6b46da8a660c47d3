use stageline::{Receiver, StateMachine};

fn all<M: StateMachine<Data = u64>>(receiver: &mut Receiver<M>) -> Vec<u64> {
    let mut taken = Vec::new();
    receiver.drain(8, |output| taken.push(output.take()));
    taken
}

fn main() {}
