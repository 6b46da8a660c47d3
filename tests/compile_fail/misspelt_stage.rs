use stageline::{Request, Step, state_machine};

struct Shop;

#[state_machine(data = u64)]
impl Shop {
    #[stage]
    fn check(&mut self, order: &mut Request<'_, Self>) -> Step {
        order.next(Self::PRIZE)
    }

    #[stage]
    fn price(&mut self, order: &mut Request<'_, Self>) -> Step {
        order.done()
    }
}

fn main() {}
