use stageline::{Request, StageId, Step, state_machine};

struct Other;

struct Shop;

#[state_machine(data = u64)]
impl Shop {
    #[stage]
    fn check(&mut self, order: &mut Request<'_, Self>) -> Step {
        order.next(StageId::<Other>::new(0))
    }
}

fn main() {}
