use stageline::{StageTable, StateMachine};
use std::rc::Rc;

struct Shop;

impl StateMachine for Shop {
    type Data = u64;
    type Error = Rc<u64>;
    const STAGES: StageTable<Self> = StageTable::EMPTY;
}

fn main() {}
