//! One test or more for every error that a block can get.

use super::{SIGNATURE, block_reports, errors, failed, methods, reports, with_check};
use crate::check::MAX_STAGES;

#[test]
fn the_attribute_goes_on_an_inherent_impl() {
    const PLACE: &str = "goes on an inherent `impl` block";
    reports("data = u64", "struct M;", &[("struct M;", PLACE)]);
    reports("data = u64", "fn f() {}", &[("fn f() {}", PLACE)]);
    let of_trait = format!("impl a::Tr for M {{ {} }}", with_check(""));
    reports("data = u64", &of_trait, &[("a::Tr", "not on the impl of a trait")]);
    let (output, _) = failed("data = u64", &of_trait);
    assert!(!output.contains("stageline"), "{output}");
    // What does not parse is reported as the parser puts it.
    assert_eq!(errors("data = u64", "impl M { fn }").len(), 1);
}

#[test]
fn data_is_required() {
    let block = format!("impl M {{ {} }}", with_check(""));
    for args in ["", "error = String"] {
        let found = errors(args, &block);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].1.contains("missing argument `data`"), "{found:?}");
    }
}

#[test]
fn arguments_are_known_and_given_once() {
    let block = format!("impl M {{ {} }}", with_check(""));
    reports(
        "dta = A<B, C>, data = u64, size = 1 + 2, flag, data = u8, error = E, error = F",
        &block,
        &[
            ("dta", "unknown argument `dta`"),
            ("size", "unknown argument `size`"),
            ("flag", "unknown argument `flag`"),
            ("data", "duplicate argument `data`"),
            ("error", "duplicate argument `error`"),
        ],
    );
    reports("data u64", &block, &[("u64", "expected `=`")]);
    reports("data = u64 error = E", &block, &[("error", "expected `,`")]);
}

#[test]
fn a_machine_has_a_stage() {
    reports(
        "data = u64",
        "impl Pricing<u8> { fn helper(&self) {} }",
        &[("Pricing<u8>", "needs at least one stage")],
    );
}

#[test]
fn the_number_of_stages_is_limited() {
    let block = |count: usize| {
        let stages: String = (0..count).map(|i| format!("#[stage] fn s{i}{SIGNATURE}")).collect();
        format!("impl M {{ {stages} }}")
    };
    reports("data = u64", &block(MAX_STAGES), &[]);
    let (output, errors) = failed("data = u64", &block(MAX_STAGES + 2));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].0, "s4096");
    assert!(errors[0].1.contains("at most 4096 stages, and this one has 4098"), "{errors:?}");
    assert_eq!(output.matches("const S").count() - 1, MAX_STAGES);
}

#[test]
fn an_unknown_successor_gets_the_stages_and_the_nearest() {
    let body = methods(&[
        ("#[stage(next = [prise, CHECK, zzz, helper])]", "check"),
        ("#[stage]", "price"),
    ]) + "fn helper(&self) {}";
    let listed = "\nthe stages are `check`, `price`";
    block_reports(
        &body,
        &[
            ("prise", &format!("there is no stage `prise`; did you mean `price`?{listed}")),
            ("CHECK", &format!("there is no stage `CHECK`; did you mean `check`?{listed}")),
            ("zzz", &format!("there is no stage `zzz`{listed}")),
            ("helper", &format!("not a method marked `#[stage]`{listed}")),
        ],
    );
}

#[test]
fn a_long_list_of_stages_is_cut() {
    let mut body = methods(&[("#[stage(next = [zzz])]", "check")]);
    for i in 0..20 {
        body += &format!("#[stage] fn s{i}{SIGNATURE}");
    }
    block_reports(
        &body,
        &[(
            "zzz",
            "`check`, `s0`, `s1`, `s2`, `s3`, `s4`, `s5`, `s6`, `s7`, `s8`, `s9`, `s10` and 9 more",
        )],
    );
}

#[test]
fn a_successor_is_listed_once() {
    block_reports(
        &methods(&[("#[stage(next = [check, r#check])]", "check")]),
        &[("r#check", "the stage `check` is in this list twice")],
    );
}

#[test]
fn a_malformed_stage_marker_is_reported_and_stays_a_stage() {
    let cases = [
        ("#[stage = 1]", "#[stage = 1]", "expected `#[stage]`"),
        ("#[stage[next = []]]", "#[stage[next = []]]", "expected `#[stage]`"),
        ("#[stage(nxt = [x, y])]", "nxt", "unknown argument `nxt`"),
        ("#[stage(next)]", "next", "expected `=`"),
        ("#[stage(next = price)]", "price", "expected a list of stages"),
        ("#[stage(next = [], next = [check])]", "next", "duplicate argument `next`"),
        ("#[stage(next = [] 3)]", "3", "expected `,`"),
        ("#[stage(next = [Self::PRICE])]", "Self::PRICE", "expected the name of a stage"),
        ("#[stage(next = [check, , ])]", ",", "expected the name of a stage"),
        ("#[stage(next = [\"check\"])]", "\"check\"", "expected the name of a stage"),
    ];
    for (marker, source, message) in cases {
        let found =
            errors("data = u64", &format!("impl M {{ {} }}", methods(&[(marker, "check")])));
        assert_eq!(found.len(), 1, "{marker}: {found:?}");
        // The span of an error at the end of the input is the enclosing bracket.
        assert!(found[0].0 == source || marker == "#[stage(next)]", "{marker}: {found:?}");
        assert!(found[0].1.contains(message), "{marker}: {found:?}");
    }
}

#[test]
fn markers_go_on_methods_and_once() {
    block_reports(
        &with_check(
            "#[stage] const A: u8 = 1; #[close] type B = u8; #[stage] #[close] fn b(&mut self, r: &mut R) -> Step {}",
        ),
        &[
            ("#[stage]", "`#[stage]` goes on a method"),
            ("#[close]", "`#[close]` goes on a method"),
            ("#[close]", "a method is marked once"),
        ],
    );
}

#[test]
fn prefetch_is_one_function_of_the_payload() {
    block_reports(
        &with_check("#[prefetch] fn a(next: &u64) {} #[prefetch] fn b(next: &u64) {}"),
        &[("b", "a second `#[prefetch]` method; the first is `a`")],
    );
    let cases = [
        ("#[prefetch] fn a(&self) {}", "&self", "it has no `self`"),
        ("#[prefetch] fn a() {}", "a", "one parameter; this one has 0"),
        ("#[prefetch] fn a(next: &u64) -> u8 { 1 }", "u8", "returns nothing"),
        ("#[prefetch] unsafe fn a(next: &u64) {}", "unsafe", "cannot be `unsafe`"),
        ("#[prefetch(x)] fn a(next: &u64) {}", "#[prefetch(x)]", "takes no arguments"),
    ];
    for (body, source, message) in cases {
        block_reports(&with_check(body), &[(source, message)]);
    }
}

#[test]
fn close_is_one_plain_method() {
    block_reports(
        &with_check(
            "#[close] fn a(&mut self) {} #[close] fn r#b(&mut self) {} #[close] fn c(&mut self) {}",
        ),
        &[
            ("r#b", "a second `#[close]` method; the first is `a`"),
            ("c", "a second `#[close]` method; the first is `a`"),
        ],
    );
    let cases = [
        ("#[close] fn a(&self) {}", "&self", "takes `&mut self`"),
        ("#[close] fn a(&mut self, x: u8) {}", "a", "one parameter; this one has 2"),
        ("#[close] fn a(&mut self) -> u8 { 1 }", "u8", "returns nothing"),
        ("#[close] async fn a(&mut self) {}", "async", "cannot be `async`"),
        ("#[close(x)] fn a(&mut self) {}", "#[close(x)]", "takes no arguments"),
        ("#[close] #[cfg(unix)] fn a(&mut self) {}", "#[cfg(unix)]", "cannot be under `#[cfg]`"),
    ];
    for (body, source, message) in cases {
        block_reports(&with_check(body), &[(source, message)]);
    }
}

#[test]
fn a_stage_is_a_plain_method() {
    let tail = "request: &mut Request<'_, Self>) -> Step { todo!() }";
    let cases = [
        (format!("async fn a(&mut self, {tail}"), "async", "cannot be `async`"),
        (format!("const fn a(&mut self, {tail}"), "const", "cannot be `const`"),
        (format!("unsafe fn a(&mut self, {tail}"), "unsafe", "cannot be `unsafe`"),
        (format!("extern \"C\" fn a(&mut self, {tail}"), "extern \"C\"", "cannot be `extern`"),
        (format!("fn a<T: Copy>(&mut self, {tail}"), "T: Copy", "cannot have parameters"),
        (format!("fn a<const N: u8>(&mut self, {tail}"), "const N: u8", "cannot have parameters"),
        (
            format!("#[cfg(unix)] fn a(&mut self, {tail}"),
            "#[cfg(unix)]",
            "cannot be under `#[cfg]`",
        ),
    ];
    for (method, source, message) in cases {
        block_reports(&format!("#[stage] {method}"), &[(source, message)]);
    }
}

#[test]
fn a_stage_has_the_parameters_and_result_of_one() {
    let tail = "request: &mut Request<'_, Self>) -> Step { todo!() }";
    let cases = [
        (format!("fn a(&self, {tail}"), "&self", "takes `&mut self`"),
        (format!("fn a(self, {tail}"), "self", "takes `&mut self`"),
        (format!("fn a(self: Box<Self>, {tail}"), "self: Box<Self>", "takes `&mut self`"),
        (format!("fn a(self: &mut Box<Self>, {tail}"), "self: &mut Box<Self>", "takes `&mut self`"),
        (format!("fn a(other: u8, {tail}"), "a", "takes `&mut self`"),
        ("fn a(&mut self) -> Step {}".into(), "a", "two parameters; this one has 1"),
        (format!("fn a(&mut self, x: u8, {tail}"), "a", "two parameters; this one has 3"),
        ("fn a(&mut self, r: &mut R) {}".into(), "a", "returns nothing"),
    ];
    for (method, source, message) in cases {
        block_reports(&format!("#[stage] {method}"), &[(source, message)]);
    }
}

#[test]
fn ids_do_not_collide() {
    block_reports(
        &methods(&[("#[stage]", "a_b"), ("#[stage]", "A_B"), ("#[stage]", "a_B")]),
        &[
            ("A_B", "the stages `a_b` and `A_B` would both have the id `A_B`"),
            ("a_B", "the stages `a_b` and `a_B` would both have the id `A_B`"),
        ],
    );
    block_reports(
        &methods(&[("#[stage]", "CHECK")]),
        &[("CHECK", "would have the method's own name")],
    );
    block_reports(
        &with_check("const CHECK: u8 = 1;"),
        &[("check", "would be `CHECK`, which this block defines itself")],
    );
}

#[test]
fn all_errors_are_reported_together() {
    let body =
        methods(&[("#[stage(next = [prise])]", "check"), ("#[stage(next = 3)] async", "price")])
            + "#[close] fn a(&self) {} #[close] fn b(&mut self) {}";
    reports(
        "size = 3, data = u64",
        &format!("impl M {{ {body} }}"),
        &[
            ("size", "unknown argument"),
            ("3", "expected a list"),
            ("prise", "did you mean `price`"),
            ("async", "cannot be `async`"),
            ("&self", "takes `&mut self`"),
            ("b", "a second `#[close]`"),
        ],
    );
}
