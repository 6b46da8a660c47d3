//! Drives the macro on source text and compares what it writes or reports.

use proc_macro2::TokenStream;
use quote::quote;

use crate::errors::Errors;
use crate::expansion;

mod rules;

const SIGNATURE: &str = "(&mut self, request: &mut Request<'_, Self>) -> Step { todo!() }";

fn tokens(source: &str) -> TokenStream {
    source.parse().expect("the test's source is made of tokens")
}

/// `fn` with a stage's signature for each `[attributes] name`.
fn methods(stages: &[(&str, &str)]) -> String {
    stages.iter().map(|(attributes, name)| format!("{attributes} fn {name}{SIGNATURE}\n")).collect()
}

fn expanded(args: &str, item: &str) -> String {
    let mut errors = Errors::default();
    let output = expansion(tokens(args), &tokens(item), &mut errors);
    let errors: Vec<_> = errors.into_vec().iter().map(ToString::to_string).collect();
    assert!(errors.is_empty(), "unexpected errors: {errors:#?}");
    output.to_string()
}

/// The output and, for each error, the source under the span and the message.
fn failed(args: &str, item: &str) -> (String, Vec<(String, String)>) {
    let mut errors = Errors::default();
    let output = expansion(tokens(args), &tokens(item), &mut errors).to_string();
    let errors: Vec<_> = errors
        .into_vec()
        .iter()
        .map(|error| {
            let source = error.span().source_text().unwrap_or_default();
            (source, error.to_string())
        })
        .collect();
    assert_eq!(
        output.matches("compile_error").count(),
        errors.len(),
        "every error is in the output"
    );
    (output, errors)
}

fn errors(args: &str, item: &str) -> Vec<(String, String)> {
    failed(args, item).1
}

/// Checks that there are exactly these errors: the source under the span and a
/// part of the message.
#[track_caller]
fn reports(args: &str, item: &str, expected: &[(&str, &str)]) {
    let found = errors(args, item);
    let fits = found.len() == expected.len()
        && found
            .iter()
            .zip(expected)
            .all(|(found, expected)| found.0 == expected.0 && found.1.contains(expected.1));
    assert!(fits, "expected {expected:#?}\nfound {found:#?}");
}

#[track_caller]
fn block_reports(body: &str, expected: &[(&str, &str)]) {
    reports("data = u64", &format!("impl M {{ {body} }}"), expected);
}

fn with_check(body: &str) -> String {
    methods(&[("#[stage]", "check")]) + body
}

#[test]
fn the_expansion_has_the_block_the_ids_and_the_impl() {
    let output = expanded(
        "data = u64, error = String",
        "/// Prices orders.
        impl Pricing {
            const RATE: u64 = 3;
            /// Checks.
            #[stage(next = [price, r#final])]
            #[inline]
            fn check(&mut self, request: &mut Request<'_, Self>) -> Step { request.next(Self::PRICE) }
            #[stage]
            pub(crate) fn price(&mut self, request: &mut Request<'_, Self>) -> Step { request.stop() }
            #[close]
            fn finish(&mut self) {}
            #[stage(next = [])]
            pub fn r#final(&mut self, _: &mut Request<'_, Self>) -> Step { todo!() }
            fn helper(&self) {}
        }",
    );
    let expected = quote! {
        #[doc = " Prices orders."]
        impl Pricing {
            const RATE: u64 = 3;
            #[doc = " Checks."]
            #[inline]
            fn check(&mut self, request: &mut Request<'_, Self>) -> Step { request.next(Self::PRICE) }
            pub(crate) fn price(&mut self, request: &mut Request<'_, Self>) -> Step { request.stop() }
            fn finish(&mut self) {}
            pub fn r#final(&mut self, _: &mut Request<'_, Self>) -> Step { todo!() }
            fn helper(&self) {}
        }
        impl Pricing {
            #[doc = "The id of the stage `check`."]
            #[allow(dead_code)]
            const CHECK: ::stageline::StageId<Self> = ::stageline::StageId::new(0u16);
            #[doc = "The id of the stage `price`."]
            #[allow(dead_code)]
            pub(crate) const PRICE: ::stageline::StageId<Self> = ::stageline::StageId::new(1u16);
            #[doc = "The id of the stage `final`."]
            #[allow(dead_code)]
            pub const FINAL: ::stageline::StageId<Self> = ::stageline::StageId::new(2u16);
        }
        impl ::stageline::StateMachine for Pricing {
            type Data = u64;
            type Error = String;
            const STAGES: ::stageline::StageTable<Self> = ::stageline::StageTable::new(const { &[
                ::stageline::Stage {
                    name: "check",
                    run: Self::check,
                    next: ::core::option::Option::Some(&[Self::PRICE, Self::FINAL]),
                    pool: ::core::option::Option::None
                },
                ::stageline::Stage {
                    name: "price",
                    run: Self::price,
                    next: ::core::option::Option::None,
                    pool: ::core::option::Option::None
                },
                ::stageline::Stage {
                    name: "final",
                    run: Self::r#final,
                    next: ::core::option::Option::Some(&[]),
                    pool: ::core::option::Option::None
                }
            ] });
            fn close(&mut self) { Self::finish(self) }
        }
    };
    assert_eq!(output, expected.to_string());
}

#[test]
fn generics_go_on_both_impls_and_error_has_a_default() {
    let stage = methods(&[("#[stage()]", "check")]);
    let output = expanded(
        "data = Vec<(T, u8)>,",
        &format!(
            "impl<T: Send + 'static, const N: usize> Machine<T, N> where T: Default {{ {stage} }}"
        ),
    );
    let ids = quote! {
        impl<T: Send + 'static, const N: usize> Machine<T, N> where T: Default {
            #[doc = "The id of the stage `check`."]
            #[allow(dead_code)]
            const CHECK: ::stageline::StageId<Self> = ::stageline::StageId::new(0u16);
        }
        impl<T: Send + 'static, const N: usize> ::stageline::StateMachine for Machine<T, N>
        where T: Default
        {
            type Data = Vec<(T, u8)>;
            type Error = ::core::convert::Infallible;
            const STAGES: ::stageline::StageTable<Self> = ::stageline::StageTable::new(const { &[
                ::stageline::Stage { name: "check", run: Self::check, next: ::core::option::Option::None, pool: ::core::option::Option::None }
            ] });
        }
    };
    assert!(output.ends_with(&ids.to_string()), "{output}");
}

#[test]
fn a_successor_can_be_named_with_or_without_the_raw_prefix_and_be_the_stage_itself() {
    let output = expanded(
        "data = u64",
        &format!(
            "impl M {{ {} }}",
            methods(&[("#[stage(next = [final, r#check])]", "check"), ("#[stage]", "r#final")])
        ),
    );
    assert!(output.contains("[Self :: FINAL , Self :: CHECK]"), "{output}");
}

#[test]
fn lifetimes_and_a_typed_receiver_are_let_through() {
    let output = expanded(
        "data = u64",
        "impl M {
            #[stage]
            fn check<'r>(self: &mut Self, request: &mut Request<'r, Self>) -> Step { todo!() }
            #[close]
            fn close(&mut self) -> () {}
            #[prefetch]
            fn ahead(next: &u64) {}
        }",
    );
    assert!(output.contains("Self :: close (self)"), "{output}");
    assert!(output.contains("fn prefetch (next : & Self :: Data)"), "{output}");
    assert!(output.contains("Self :: ahead (next)"), "{output}");
}

#[test]
fn with_errors_the_ids_and_an_impl_stay() {
    let source = methods(&[("#[stage(next = [zzz])]", "check"), ("#[stage]", "price")]);
    let (output, errors) = failed("data = u64", &format!("impl M {{ {source} }}"));
    assert_eq!(errors.len(), 1);
    assert!(output.contains("fn check"), "{output}");
    assert!(output.contains("const CHECK") && output.contains("const PRICE"), "{output}");
    assert!(!output.contains("# [stage"), "{output}");
    let stand_in = quote! {
        impl ::stageline::StateMachine for M {
            type Data = u64;
            type Error = ::core::convert::Infallible;
            const STAGES: ::stageline::StageTable<Self> = ::stageline::StageTable::new(const { &[
                ::stageline::Stage {
                    name: "",
                    run: |_, _| ::core::unreachable!(),
                    next: ::core::option::Option::None,
                    pool: ::core::option::Option::None
                }
            ] });
        }
    };
    assert!(output.contains(&stand_in.to_string()), "{output}");
}
