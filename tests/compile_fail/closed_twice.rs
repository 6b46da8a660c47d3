use stageline::{Pipeline, StateMachine};

fn twice<M: StateMachine>(pipeline: Pipeline<M>) {
    pipeline.close();
    pipeline.close();
}

fn main() {}
