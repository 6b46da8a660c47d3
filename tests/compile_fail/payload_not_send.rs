use stageline::{StageTable, StateMachine};
use std::rc::Rc;

struct Shop;

impl StateMachine for Shop {
    type Data = Rc<u64>;
    type Error = String;
    const STAGES: StageTable<Self> = StageTable::EMPTY;
}

fn main() {}
