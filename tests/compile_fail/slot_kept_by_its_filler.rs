use stageline::{StateMachine, Submitter};

fn keep<M: StateMachine<Data = u64>>(submitter: &mut Submitter<M>) -> u64 {
    let mut kept = None;
    let _ = submitter.submit_with(|slot| kept = Some(slot));
    *kept.unwrap()
}

fn main() {}
