use stageline::{RequestGroup, StateMachine};

fn copy<M: StateMachine<Data = u64>>(group: &mut RequestGroup<M>) {
    let output = group.recv().unwrap();
    group.submit(*output).unwrap();
    drop(output);
}

fn main() {}
