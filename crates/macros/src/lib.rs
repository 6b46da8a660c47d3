//! The attribute macro of `stageline`.
//!
//! [`macro@state_machine`] turns an inherent `impl` block into a state machine:
//!
//! ```ignore
//! use stageline::{Request, Step, state_machine};
//!
//! #[state_machine(data = u64, error = String)]
//! impl Pricing {
//!     #[stage(next = [price])]
//!     fn check(&mut self, request: &mut Request<'_, Self>) -> Step {
//!         request.next(Self::PRICE)
//!     }
//!
//!     #[stage(next = [])]
//!     fn price(&mut self, request: &mut Request<'_, Self>) -> Step {
//!         // ...
//!     }
//!
//!     #[close]
//!     fn finish(&mut self) {}
//!
//!     fn helper(&self) {}
//! }
//! ```
//!
//! The expansion is the block without the markers, followed by:
//!
//! ```ignore
//! impl Pricing {
//!     /// The id of the stage `check`.
//!     #[allow(dead_code)]
//!     const CHECK: ::stageline::StageId<Self> = ::stageline::StageId::new(0u16);
//!     /// The id of the stage `price`.
//!     #[allow(dead_code)]
//!     const PRICE: ::stageline::StageId<Self> = ::stageline::StageId::new(1u16);
//! }
//!
//! impl ::stageline::StateMachine for Pricing {
//!     type Data = u64;
//!     type Error = String;
//!     const STAGES: ::stageline::StageTable<Self> = ::stageline::StageTable::new(const {
//!         &[
//!             ::stageline::Stage {
//!                 name: "check",
//!                 run: Self::check,
//!                 next: ::core::option::Option::Some(&[Self::PRICE]),
//!                 pool: ::core::option::Option::None,
//!             },
//!             ::stageline::Stage {
//!                 name: "price",
//!                 run: Self::price,
//!                 next: ::core::option::Option::Some(&[]),
//!                 pool: ::core::option::Option::None,
//!             },
//!         ]
//!     });
//!     fn close(&mut self) {
//!         Self::finish(self)
//!     }
//! }
//! ```
//!
//! Its arguments, markers and rules are those of the attribute's own page.

mod check;
mod errors;
mod expand;
mod parse;
mod suggest;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;
use quote::quote;

use errors::Errors;

/// Makes a state machine of an inherent `impl` block, whose methods marked `#[stage]` are its stages.
///
/// ```ignore
/// #[state_machine(data = u64, error = String)]
/// impl Pricing {
///     #[stage(next = [price])]
///     fn check(&mut self, request: &mut Request<'_, Self>) -> Step {
///         request.next(Self::PRICE)
///     }
///
///     #[stage(next = [])]
///     fn price(&mut self, request: &mut Request<'_, Self>) -> Step {
///         request.done()
///     }
/// }
/// ```
///
/// # Arguments
///
/// - `data = TYPE`: the type that a request carries. Required.
/// - `error = TYPE`: the type of a request's failure. Without it,
///   `::core::convert::Infallible`.
/// - `keeps`: the machine keeps requests (`StateMachine::KEEPS`): its stages may
///   hold, retry and suspend them, and be run by pools.
///
/// # Markers
///
/// - `#[stage]`: the method is a stage. Requests start at the first stage in
///   source order. The stages that can follow it are not declared.
/// - `#[stage(next = [price, ship])]`: the stages that can follow, by the names
///   of their methods. `next = []` makes it a last stage.
/// - `#[stage(pool = "disk")]`: the stage is run by the threads of this pool.
/// - `#[close]`: the method is called as `StateMachine::close`. At most one.
/// - `#[prefetch]`: the function is called as `StateMachine::prefetch`. At most one.
///
/// The id of a stage is a constant with the name of the method in upper case and
/// the visibility of the method.
///
/// The generated code names the engine `::stageline`, so a crate has to depend on
/// it under that name.
///
/// # Rules
///
/// - A stage is a `fn(&mut self, request: &mut Request<'_, Self>) -> Step`, a
///   `#[close]` method a `fn(&mut self)`, a `#[prefetch]` one a `fn(next: &Data)`. None
///   is `async`, `const`, `unsafe` or `extern`, and none has type or const parameters of its own.
/// - None is under `#[cfg]`: every build has the same ids.
/// - The upper case name of a stage is not the name of another method or
///   constant of the block.
/// - A machine has from 1 to 4096 stages.
///
/// All the mistakes in a block are reported together.
#[proc_macro_attribute]
pub fn state_machine(
    args: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    expansion(args.into(), &item.into(), &mut Errors::default()).into()
}

/// The macro on `proc_macro2` tokens, with the errors also handed to the caller.
fn expansion(args: TokenStream, item: &TokenStream, errors: &mut Errors) -> TokenStream {
    let args = parse::args(args, errors);
    let Some(mut block) = parse::block(item.clone(), errors) else {
        let reports = errors.to_tokens();
        return quote!(#item #reports);
    };
    let marks = parse::marks(&mut block, errors);
    let machine = check::machine(&block, &marks, errors);
    match errors.to_tokens() {
        None => expand::machine(&machine, &args),
        Some(reports) => {
            let kept = expand::recovered(&machine, &args);
            quote!(#kept #reports)
        }
    }
}
