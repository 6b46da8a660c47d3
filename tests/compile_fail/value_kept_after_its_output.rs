use stageline::{Receiver, StateMachine};

fn keep<M: StateMachine<Data = String>>(receiver: &mut Receiver<M>) -> String {
    let output = receiver.recv().unwrap();
    let text: &str = &output;
    drop(output);
    text.to_owned()
}

fn main() {}
