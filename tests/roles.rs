//! What the compiler knows of the handles: which go to another thread, which are for one thread at a
//! time, which are cloned; and what it refuses.

mod common;

use common::Lab;
use stageline::{
    Builder, DeadLetter, DeadLetters, Graph, GroupOptions, Output, Pipeline, Receiver, Report,
    Request, RequestGroup, SharedSubmitter, StageId, StateMachine, Stats, Step, Submitter,
};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use std::cell::Cell;

assert_impl_all!(Pipeline<Lab>: Send, Sync);
assert_impl_all!(RequestGroup<Lab>: Send);
assert_impl_all!(Submitter<Lab>: Send);
assert_impl_all!(SharedSubmitter<Lab>: Send, Clone);
assert_impl_all!(Receiver<Lab>: Send);
assert_impl_all!(Output<'static, Lab>: Send);
assert_impl_all!(DeadLetters<Lab>: Send);
assert_impl_all!(DeadLetter<'static, Lab>: Send);
assert_impl_all!(GroupOptions: Send, Sync, Clone);
assert_impl_all!(StageId<Lab>: Send, Sync, Copy);
assert_impl_all!(Step: Send, Sync, Copy);
assert_impl_all!(Stats: Send, Sync, Clone);
assert_impl_all!(Report: Send, Sync, Clone);
assert_impl_all!(Graph: Send, Sync, Clone);

assert_not_impl_any!(RequestGroup<Lab>: Sync, Clone);
assert_not_impl_any!(Submitter<Lab>: Sync, Clone);
assert_not_impl_any!(SharedSubmitter<Lab>: Sync);
assert_not_impl_any!(Receiver<Lab>: Sync, Clone);
assert_not_impl_any!(Output<'static, Lab>: Sync, Clone);
assert_not_impl_any!(DeadLetters<Lab>: Sync, Clone);
assert_not_impl_any!(DeadLetter<'static, Lab>: Sync, Clone);
assert_not_impl_any!(Builder<Lab>: Clone);
assert_impl_all!(Request<'static, Lab>: Send);
assert_not_impl_any!(Request<'static, Lonely>: Sync);

/// Payload and error need not be `Sync`.
struct Lonely;

impl StateMachine for Lonely {
    type Data = Cell<u8>;
    type Error = Cell<u8>;
    const STAGES: stageline::StageTable<Self> = stageline::StageTable::EMPTY;
}

assert_impl_all!(Pipeline<Lonely>: Send, Sync);
assert_impl_all!(Receiver<Lonely>: Send);
assert_impl_all!(Output<'static, Lonely>: Send);
assert_impl_all!(DeadLetters<Lonely>: Send);
assert_impl_all!(DeadLetter<'static, Lonely>: Send);
assert_impl_all!(SharedSubmitter<Lonely>: Send, Clone);

/// The machine lives in its worker, where its factory makes it: it need not be `Send`.
struct Homebound(#[allow(dead_code, reason = "it is there for what it is not")] std::rc::Rc<u8>);

impl StateMachine for Homebound {
    type Data = u8;
    type Error = u8;
    const STAGES: stageline::StageTable<Self> = stageline::StageTable::EMPTY;
}

assert_impl_all!(Pipeline<Homebound>: Send, Sync);
assert_impl_all!(Receiver<Homebound>: Send);
assert_impl_all!(Output<'static, Homebound>: Send);
assert_impl_all!(Submitter<Homebound>: Send);

#[test]
fn what_the_compiler_refuses() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
