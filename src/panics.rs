//! Panics of user code: their message, and keeping them where they belong.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The message of a panic. The payload is dropped; if its own `Drop` panics, what that throws is
/// leaked, since dropping it could go on for ever.
pub fn message(payload: Box<dyn Any + Send>) -> Box<str> {
    let text: Box<str> = match payload.downcast_ref::<&'static str>() {
        Some(text) => (*text).into(),
        None => match payload.downcast_ref::<String>() {
            Some(text) => text.as_str().into(),
            None => "a panic whose payload is no string".into(),
        },
    };
    contain(|| drop(payload));
    text
}

/// Runs user code whose panic nobody is there to be told of.
pub fn contain(f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f))
        && let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload)))
    {
        std::mem::forget(second);
    }
}

#[cfg(all(test, not(stageline_models)))]
mod tests {
    use super::*;
    use std::panic::panic_any;

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic_any(Bomb);
        }
    }

    #[test]
    fn a_payload_whose_drop_panics_is_survived() {
        let payload = catch_unwind(|| panic_any(Bomb)).expect_err("it panics");
        assert_eq!(&*message(payload), "a panic whose payload is no string");
    }

    #[test]
    fn the_message_is_kept() {
        let fixed = catch_unwind(|| panic!("fixed")).expect_err("it panics");
        assert_eq!(&*message(fixed), "fixed");
        let made = catch_unwind(|| panic!("made {}", 1)).expect_err("it panics");
        assert_eq!(&*message(made), "made 1");
    }
}
