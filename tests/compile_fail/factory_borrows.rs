use stageline::{Pipeline, Request, Step, state_machine};

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
    let rate = 1;
    let _ = Pipeline::builder(|| Shop(rate)).build();
}
