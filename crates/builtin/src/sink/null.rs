//! Nothing becomes of messages.

use crate::factory::Plan;
use stageline_component::{Attributes, Component, Error, Kind, Message, Report, Spec};

static SPEC: Spec = Spec {
    name: "null",
    kind: Kind::Sink,
    summary: "Takes messages, and does nothing with them",
    attributes: &[],
    doc: "\
Each message is done.

```lua
local s = require(\"stageline\")
s.pipeline { s.generator { count = 1000000 }, s.null {} }
```
",
};

pub(super) struct Null;

impl Plan for Null {
    const SPEC: &'static Spec = &SPEC;

    fn new(_attributes: &Attributes) -> Result<Self, Error> {
        Ok(Self)
    }

    fn component(&self) -> Result<Box<dyn Component>, Error> {
        Ok(Box::new(Self))
    }
}

impl Component for Null {
    fn handle(&mut self, _message: &mut Message) -> Report {
        Report::DONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factory::testing::{component, message, refused};

    #[test]
    fn each_message_is_done() {
        let mut null = component::<Null>(&[]);
        let mut message = message("a");
        assert_eq!(null.handle(&mut message), Report::DONE);
        assert_eq!(message.data(), b"a");
        assert_eq!(refused::<Null>(&[("a", 1.into())]), "`null` has no attribute `a`: it has none");
    }
}
