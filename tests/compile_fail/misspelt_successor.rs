use stageline::{Request, Step, state_machine};

struct Shop;

#[state_machine(data = u64)]
impl Shop {
    #[stage(next = [prize])]
    fn check(&mut self, order: &mut Request<'_, Self>) -> Step {
        order.next(Self::PRICE)
    }

    #[stage(next = [])]
    fn price(&mut self, order: &mut Request<'_, Self>) -> Step {
        order.done()
    }
}

fn main() {}
