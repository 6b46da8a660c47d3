//! A collection of errors, so that one build shows every mistake in a block.

use std::fmt::Display;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::Error;

#[derive(Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    pub(crate) fn add(&mut self, error: Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// Adds an error that covers all of `tokens`.
    pub(crate) fn over(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.add(Error::new_spanned(tokens, message));
    }

    pub(crate) fn at(&mut self, span: Span, message: impl Display) {
        self.add(Error::new(span, message));
    }

    /// `compile_error!` calls for what was collected; `None` if nothing was.
    pub(crate) fn to_tokens(&self) -> Option<TokenStream> {
        self.0.as_ref().map(Error::to_compile_error)
    }

    #[cfg(test)]
    pub(crate) fn into_vec(self) -> Vec<Error> {
        self.0.into_iter().flatten().collect()
    }
}
