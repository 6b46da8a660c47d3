use stageline::{Output, Receiver, StateMachine};

fn all<M: StateMachine>(receiver: &mut Receiver<M>) -> usize {
    let mut kept: Vec<&mut Output<'_, M>> = Vec::new();
    receiver.drain(8, |output| kept.push(output));
    kept.len()
}

fn main() {}
