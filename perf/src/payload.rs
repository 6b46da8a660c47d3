//! The payload and the body of work that every contender does: three trivial stages on 56 bytes.

use stageline::{Request, RuntimeStage, StageFn, Step, state_machine};
use std::convert::Infallible;

/// 56 bytes: with the slot's turn word, one cache line.
pub type Payload = [u64; 7];

/// A fresh payload with this number.
#[inline(always)]
pub fn payload(number: u64) -> Payload {
    [number, 1, 2, 3, 4, 5, 6]
}

#[inline(always)]
pub fn first(value: &mut Payload) {
    value[1] = value[0].wrapping_mul(3);
}

#[inline(always)]
pub fn second(value: &mut Payload) {
    value[2] = value[1] ^ value[3];
}

#[inline(always)]
pub fn third(value: &mut Payload) {
    value[6] = value[2].wrapping_add(value[0]);
}

/// What the three stages make of a number.
#[inline(always)]
pub fn expected(number: u64) -> u64 {
    (number.wrapping_mul(3) ^ 3).wrapping_add(number)
}

/// The three stages as a table of function pointers that the compiler cannot see through, for the
/// contenders without one of their own.
pub fn table() -> [fn(&mut Payload); 3] {
    std::hint::black_box([first, second, third])
}

/// Runs the three stages by the table.
#[inline(always)]
pub fn work(stages: &[fn(&mut Payload); 3], value: &mut Payload) {
    stages.iter().for_each(|stage| stage(value));
}

/// What the results of the numbers below `count` add up to.
pub fn expected_sum(count: u64) -> u64 {
    (0..count).map(expected).fold(0, u64::wrapping_add)
}

/// The three stages as a machine.
#[derive(Debug)]
pub struct Trivial;

#[state_machine(data = Payload, error = Infallible)]
impl Trivial {
    #[stage(next = [two])]
    fn one(&mut self, request: &mut Request<'_, Self>) -> Step {
        first(request);
        request.next(Self::TWO)
    }

    #[stage(next = [three])]
    fn two(&mut self, request: &mut Request<'_, Self>) -> Step {
        second(request);
        request.next(Self::THREE)
    }

    #[stage(next = [])]
    fn three(&mut self, request: &mut Request<'_, Self>) -> Step {
        third(request);
        request.done()
    }
}

impl Trivial {
    /// The same stages in a table that is put together at run time: the engine then has function pointers that
    /// the compiler cannot see through, as the contenders have by [`table`].
    pub fn at_run_time() -> Vec<RuntimeStage<Self>> {
        let stages: [(&str, StageFn<Self>); 3] =
            [("one", Self::one), ("two", Self::two), ("three", Self::three)];
        let stage = |(name, run): (&str, StageFn<Self>)| RuntimeStage {
            name: name.to_owned(),
            run: std::hint::black_box(run),
            next: None,
            pool: None,
        };
        stages.map(stage).into()
    }
}
