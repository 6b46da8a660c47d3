use stageline::{Pipeline, Request, Step, state_machine};
use std::cell::Cell;

struct Shop(u64);

#[state_machine(data = u64)]
impl Shop {
    #[stage]
    fn check(&mut self, order: &mut Request<'_, Self>) -> Step {
        **order += self.0;
        order.done()
    }
}

fn main() {
    let made = Cell::new(0);
    let _ = Pipeline::builder(move || Shop(made.replace(made.get() + 1))).build();
}
