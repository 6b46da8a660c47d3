//! Panics of a component, stopped where the other side of the C interface begins.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What came of a function that may panic; else a text that says so.
// Each message that a plugin in Rust handles comes by here.
#[inline(always)]
pub fn caught<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(text)
}

#[cold]
#[inline(never)]
fn text(payload: Box<dyn Any + Send>) -> String {
    format!("panicked: {}", message(payload))
}

/// Drops something whose `Drop` may panic, which nobody is there to be told of.
pub fn dropped<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        message(payload);
    }
}

/// The message of a panic. A payload whose `Drop` panics in its turn is leaked: it could go on so for ever.
fn message(payload: Box<dyn Any + Send>) -> String {
    let text = match payload.downcast_ref::<&'static str>() {
        Some(text) => Some((*text).to_owned()),
        None => payload.downcast_ref::<String>().cloned(),
    };
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
    text.unwrap_or_else(|| "with a payload that is no text".to_owned())
}

#[cfg(test)]
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
    fn a_panic_is_a_text() {
        assert_eq!(caught(|| 1), Ok(1));
        assert_eq!(caught(|| panic!("fixed")), Err::<(), _>("panicked: fixed".into()));
        assert_eq!(caught(|| panic!("made {}", 1)), Err::<(), _>("panicked: made 1".into()));
    }

    #[test]
    fn a_payload_whose_drop_panics_is_survived() {
        let text = "panicked: with a payload that is no text";
        assert_eq!(caught(|| panic_any(Bomb)), Err::<(), _>(text.into()));
        dropped(Bomb);
    }
}
