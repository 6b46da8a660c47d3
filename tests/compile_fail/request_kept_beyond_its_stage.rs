use stageline::{Request, Step, state_machine};

#[derive(Default)]
struct Shop {
    last: Option<&'static Request<'static, Shop>>,
    value: Option<&'static u64>,
}

#[state_machine(data = u64)]
impl Shop {
    #[stage]
    fn keep(&mut self, order: &mut Request<'_, Self>) -> Step {
        self.last = Some(order);
        order.done()
    }

    #[stage]
    fn keep_value(&mut self, order: &mut Request<'_, Self>) -> Step {
        self.value = Some(&**order);
        order.done()
    }
}

fn main() {}
