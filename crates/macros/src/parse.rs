//! Reads the arguments of the attribute and takes the markers off the block.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{
    Attribute, Error, Ident, ImplItem, Item, ItemImpl, LitStr, MacroDelimiter, Meta, Result, Token,
    Type,
};

use crate::errors::Errors;

/// The arguments of `#[state_machine(...)]`.
#[derive(Default)]
pub(crate) struct Args {
    pub(crate) data: Option<Type>,
    pub(crate) error: Option<Type>,
    /// The machine keeps requests.
    pub(crate) keeps: bool,
}

/// A method that carries a marker.
pub(crate) struct Mark {
    /// Where the method is in `ItemImpl::items`.
    pub(crate) item: usize,
    pub(crate) role: Role,
}

pub(crate) enum Role {
    Stage {
        /// The names in `next = [...]`; `None` if the stage declares none.
        next: Option<Vec<Ident>>,
        /// The name in `pool = ".."`.
        pool: Option<LitStr>,
    },
    Close,
    Prefetch,
}

pub(crate) fn args(tokens: TokenStream, errors: &mut Errors) -> Args {
    let mut args = Args::default();
    let parsed = (|input: ParseStream<'_>| {
        while !input.is_empty() {
            argument(input, &mut args, errors)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(())
    })
    .parse2(tokens);
    match parsed {
        // After a syntax error `data` may be in the part that was not read.
        Err(error) => errors.add(error),
        Ok(()) if args.data.is_none() => errors.at(
            Span::call_site(),
            "missing argument `data`, the type that a request carries: \
             `#[state_machine(data = TYPE)]`",
        ),
        Ok(()) => {}
    }
    args
}

fn argument(input: ParseStream<'_>, args: &mut Args, errors: &mut Errors) -> Result<()> {
    let key = input.call(Ident::parse_any)?;
    if key == "keeps" {
        if args.keeps {
            errors.at(key.span(), "duplicate argument `keeps`");
        }
        args.keeps = true;
        return Ok(());
    }
    let slot = if key == "data" {
        &mut args.data
    } else if key == "error" {
        &mut args.error
    } else {
        errors.at(
            key.span(),
            format!(
                "unknown argument `{key}`; `#[state_machine]` takes `data = TYPE`, \
                 `error = TYPE` and `keeps`"
            ),
        );
        return skip_value(input);
    };
    input.parse::<Token![=]>()?;
    let value = input.parse()?;
    if slot.is_some() {
        errors.at(key.span(), format!("duplicate argument `{key}`"));
    } else {
        *slot = Some(value);
    }
    Ok(())
}

/// Skips what follows an unknown key. A type is skipped whole, as it can have
/// commas that no delimiter encloses; anything else ends at the next comma.
fn skip_value(input: ParseStream<'_>) -> Result<()> {
    if input.parse::<Option<Token![=]>>()?.is_some() && input.fork().parse::<Type>().is_ok() {
        input.parse::<Type>()?;
    } else {
        until_comma(input)?;
    }
    Ok(())
}

fn until_comma(input: ParseStream<'_>) -> Result<TokenStream> {
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![,]) {
        tokens.extend([input.parse::<TokenTree>()?]);
    }
    Ok(tokens)
}

/// The impl block under the attribute. Without one there is nothing to check
/// further: the caller emits the item as it was.
pub(crate) fn block(item: TokenStream, errors: &mut Errors) -> Option<ItemImpl> {
    const PLACE: &str =
        "`#[state_machine]` goes on an inherent `impl` block: `impl Machine { .. }`";
    match syn::parse2(item) {
        Ok(Item::Impl(block)) => {
            if let Some((_, of, _)) = &block.trait_ {
                errors.over(of, format!("{PLACE}, not on the impl of a trait"));
            }
            Some(block)
        }
        Ok(other) => {
            errors.over(other, PLACE);
            None
        }
        Err(error) => {
            errors.add(error);
            None
        }
    }
}

/// Removes every `#[stage]`, `#[close]` and `#[prefetch]` from the block and says which
/// methods they were on, in source order.
pub(crate) fn marks(block: &mut ItemImpl, errors: &mut Errors) -> Vec<Mark> {
    let mut marks = Vec::new();
    for (item, content) in block.items.iter_mut().enumerate() {
        let is_method = matches!(content, ImplItem::Fn(_));
        let Some(attributes) = attributes(content) else {
            continue;
        };
        let mut marked = false;
        for marker in attributes.extract_if(.., |attribute| is_marker(attribute)) {
            if !is_method {
                errors.over(&marker, format!("`{}` goes on a method", shown(&marker)));
            } else if marked {
                errors.over(
                    &marker,
                    "a method is marked once: `#[stage]`, `#[close]` or `#[prefetch]`",
                );
            } else {
                marked = true;
                let role = role(&marker, errors);
                marks.push(Mark { item, role });
            }
        }
    }
    marks
}

fn attributes(item: &mut ImplItem) -> Option<&mut Vec<Attribute>> {
    match item {
        ImplItem::Const(item) => Some(&mut item.attrs),
        ImplItem::Fn(item) => Some(&mut item.attrs),
        ImplItem::Type(item) => Some(&mut item.attrs),
        ImplItem::Macro(item) => Some(&mut item.attrs),
        _ => None,
    }
}

fn is_marker(attribute: &Attribute) -> bool {
    ["stage", "close", "prefetch"].iter().any(|marker| attribute.path().is_ident(marker))
}

fn shown(marker: &Attribute) -> &'static str {
    if marker.path().is_ident("stage") {
        "#[stage]"
    } else if marker.path().is_ident("close") {
        "#[close]"
    } else {
        "#[prefetch]"
    }
}

fn role(marker: &Attribute, errors: &mut Errors) -> Role {
    if !marker.path().is_ident("stage") {
        if !matches!(marker.meta, Meta::Path(_)) {
            errors.over(marker, format!("`{}` takes no arguments", shown(marker)));
        }
        return if marker.path().is_ident("close") { Role::Close } else { Role::Prefetch };
    }
    let args = match &marker.meta {
        Meta::Path(_) => StageArgs::default(),
        Meta::List(list) if matches!(list.delimiter, MacroDelimiter::Paren(_)) => {
            let parsed = marker.parse_args_with(|input: ParseStream<'_>| stage_args(input, errors));
            // The method stays a stage, so that its name is known to the others.
            parsed.unwrap_or_else(|error| {
                errors.add(error);
                StageArgs::default()
            })
        }
        _ => {
            errors.over(marker, "expected `#[stage]` or `#[stage(next = [..])]`");
            StageArgs::default()
        }
    };
    Role::Stage { next: args.next, pool: args.pool }
}

/// The arguments of `#[stage(...)]`.
#[derive(Default)]
struct StageArgs {
    next: Option<Vec<Ident>>,
    pool: Option<LitStr>,
}

fn stage_args(input: ParseStream<'_>, errors: &mut Errors) -> Result<StageArgs> {
    let mut args = StageArgs::default();
    while !input.is_empty() {
        let key = input.call(Ident::parse_any)?;
        if key == "pool" {
            input.parse::<Token![=]>()?;
            let name = input.parse()?;
            if args.pool.replace(name).is_some() {
                errors.at(key.span(), "duplicate argument `pool`");
            }
        } else if key != "next" {
            errors.at(
                key.span(),
                format!(
                    "unknown argument `{key}`; `#[stage]` takes `next = [..]` and `pool = \"..\"`"
                ),
            );
            input.parse::<Option<Token![=]>>()?;
            until_comma(input)?;
        } else {
            input.parse::<Token![=]>()?;
            let names = names(input, errors)?;
            if args.next.replace(names).is_some() {
                errors.at(key.span(), "duplicate argument `next`");
            }
        }
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
    }
    Ok(args)
}

fn names(input: ParseStream<'_>, errors: &mut Errors) -> Result<Vec<Ident>> {
    if !input.peek(syn::token::Bracket) {
        return Err(input.error("expected a list of stages, as in `next = [price, ship]`"));
    }
    let content;
    syn::bracketed!(content in input);
    let mut names = Vec::new();
    while !content.is_empty() {
        let at = content.span();
        let element = until_comma(&content)?;
        match Ident::parse_any.parse2(element.clone()) {
            Ok(name) => names.push(name),
            Err(_) => errors.add(not_a_name(element, at)),
        }
        content.parse::<Option<Token![,]>>()?;
    }
    Ok(names)
}

fn not_a_name(element: TokenStream, at: Span) -> Error {
    const MESSAGE: &str = "expected the name of a stage method, as in `next = [price]`";
    if element.is_empty() { Error::new(at, MESSAGE) } else { Error::new_spanned(element, MESSAGE) }
}
