//! The machine that the stalls and the soak run: three stages, which a request can leave in each of the
//! ways that there are, and a payload that says whose it is.

use crate::common::Act;
use stageline::{Outcome, Output, Request, Step, state_machine};
use std::panic;

/// What the injected panics say; [`quiet_panics`] keeps them off the terminal.
pub const INJECTED: &str = "injected";

/// Longest buffer of a payload.
const BODY_MAX: u64 = 24;

/// A payload. It says where it comes from, how it is to end, and whether it was worked on.
#[derive(Debug, Default)]
pub struct Grain {
    /// Of the opening of a group: no two have the same.
    pub tag: u64,
    /// Number among those of its producer.
    pub number: u64,
    value: u64,
    /// Which of the group's producers.
    pub producer: u32,
    /// How it is to end. ([`Act::Wait`] is done here as any other.)
    pub act: Act,
    body: Vec<u8>,
}

impl Grain {
    /// A payload.
    pub fn new(tag: u64, producer: u32, number: u64, act: Act) -> Self {
        let mut grain = Self::default();
        grain.refill(tag, producer, number, act);
        grain
    }

    /// Makes this one that payload, in place.
    pub fn refill(&mut self, tag: u64, producer: u32, number: u64, act: Act) {
        (self.tag, self.producer, self.number, self.act) = (tag, producer, number, act);
        self.value = raw(tag, number);
        self.body.clear();
        self.body.resize((number % BODY_MAX) as usize, number as u8);
    }

    /// Whether the stages have done their work, all of it and once.
    fn is_whole(&self) -> bool {
        let ground = (self.number as u8).wrapping_add(1);
        self.value == pressed(ground_from(raw(self.tag, self.number)))
            && self.body.len() as u64 == self.number % BODY_MAX
            && self.body.iter().all(|byte| *byte == ground)
    }
}

/// Checks that a result is one of the group with this tag, and ended as it should.
///
/// # Errors
///
/// What is wrong with it.
pub fn check(output: &Output<'_, Mill>, tag: u64) -> Result<(), String> {
    if output.tag != tag {
        return Err(format!("a result of {:#x} came to {tag:#x}", output.tag));
    }
    let fits = match (output.outcome(), output.act) {
        (Outcome::Done, Act::Pass | Act::Wait) => output.is_whole(),
        (Outcome::Failed { error, .. }, Act::Fail) => *error == output.number,
        (Outcome::Dropped { .. }, Act::Drop) | (Outcome::Cyclic(_), Act::Loop) => true,
        (Outcome::Panicked(message), Act::Panic) => message.starts_with(INJECTED),
        (Outcome::Cancelled | Outcome::Expired, _) => true,
        _ => false,
    };
    fits.then_some(()).ok_or_else(|| format!("{:?} ended as {:?}", **output, output.outcome()))
}

fn raw(tag: u64, number: u64) -> u64 {
    tag.rotate_left(32) ^ number
}

/// Some tens of nanoseconds of work.
fn ground_from(value: u64) -> u64 {
    (0..32).fold(value, |value, round| value.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ round)
}

fn pressed(value: u64) -> u64 {
    value ^ (value >> 29)
}

/// The machine.
#[derive(Debug)]
pub struct Mill;

#[state_machine(data = Grain, error = u64)]
impl Mill {
    #[stage]
    fn grind(&mut self, grain: &mut Request<'_, Self>) -> Step {
        grain.value = ground_from(grain.value);
        grain.body.iter_mut().for_each(|byte| *byte = byte.wrapping_add(1));
        grain.next(Self::SORT)
    }

    #[stage]
    fn sort(&mut self, grain: &mut Request<'_, Self>) -> Step {
        match grain.act {
            Act::Pass | Act::Wait => grain.next(Self::PRESS),
            Act::Fail => {
                let number = grain.number;
                grain.fail(number)
            }
            Act::Drop => grain.drop(),
            Act::Panic => panic!("{INJECTED} at {}", grain.number),
            Act::Loop => grain.next(Self::GRIND),
        }
    }

    #[stage]
    fn press(&mut self, grain: &mut Request<'_, Self>) -> Step {
        grain.value = pressed(grain.value);
        grain.done()
    }
}

/// Keeps the injected panics off the terminal; all others are told as before.
pub fn quiet_panics() {
    let told = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let message = info.payload().downcast_ref::<String>();
        if !message.is_some_and(|message| message.starts_with(INJECTED)) {
            told(info);
        }
    }));
}
