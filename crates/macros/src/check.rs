//! Applies the rules that a state machine's block has to keep.

use std::collections::{HashMap, HashSet};

use proc_macro2::{Ident, Span};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{
    FnArg, GenericParam, ImplItem, ImplItemFn, ItemImpl, LitStr, ReturnType, Signature, Type,
};

use crate::errors::Errors;
use crate::parse::{Mark, Role};
use crate::suggest::nearest;

/// How many stages one machine may have: well within the `u16` of an id.
pub(crate) const MAX_STAGES: usize = 4096;

/// How many stages a message names before it only counts the rest.
const MAX_LISTED: usize = 12;

const STAGE: &str = "a stage is a plain `fn(&mut self, request: &mut Request<'_, Self>) -> Step`";
const CLOSE: &str = "a `#[close]` method is a plain `fn(&mut self)`";
const PREFETCH: &str = "a `#[prefetch]` method is a plain `fn(next: &Data)`";

/// What is generated from a block.
pub(crate) struct Machine<'a> {
    pub(crate) block: &'a ItemImpl,
    pub(crate) stages: Vec<Stage<'a>>,
    pub(crate) close: Option<&'a Ident>,
    pub(crate) prefetch: Option<&'a Ident>,
}

pub(crate) struct Stage<'a> {
    pub(crate) method: &'a ImplItemFn,
    /// The method's name without `r#`.
    pub(crate) name: String,
    /// The name of the constant that holds the stage's id.
    pub(crate) id: Ident,
    /// The constants of the stages named in `next`.
    pub(crate) next: Option<Vec<Ident>>,
    pub(crate) pool: Option<&'a LitStr>,
}

/// Checks all of the block. The result is fit for the full expansion only if
/// no error was added; with errors it holds the stages whose ids are usable.
pub(crate) fn machine<'a>(
    block: &'a ItemImpl,
    marks: &'a [Mark],
    errors: &mut Errors,
) -> Machine<'a> {
    let stages: Vec<_> = marks
        .iter()
        .filter_map(|mark| match &mark.role {
            Role::Stage { next, pool } => {
                Some((method(block, mark)?, next.as_deref(), pool.as_ref()))
            }
            Role::Close | Role::Prefetch => None,
        })
        .collect();
    let methods: Vec<_> = stages.iter().map(|(method, ..)| *method).collect();
    count(block, &methods, errors);
    let names = Names::new(block, methods.into_iter());
    let mut taken = HashMap::new();
    let mut kept = Vec::new();
    for (method, next, pool) in stages {
        stage_signature(method, errors);
        no_cfg(method, errors);
        let next = next.map(|next| successors(next, &names, errors));
        if let Some(id) = id(method, &names, &mut taken, errors) {
            let name = text(&method.sig.ident);
            kept.push(Stage { method, name, id, next, pool });
        }
    }
    kept.truncate(MAX_STAGES);
    let closing = marks.iter().filter(|mark| matches!(mark.role, Role::Close));
    let close = sole(block, closing, ("#[close]", close_signature), errors);
    let fetching = marks.iter().filter(|mark| matches!(mark.role, Role::Prefetch));
    let prefetch = sole(block, fetching, ("#[prefetch]", prefetch_signature), errors);
    Machine { block, stages: kept, close, prefetch }
}

fn method<'a>(block: &'a ItemImpl, mark: &Mark) -> Option<&'a ImplItemFn> {
    match &block.items[mark.item] {
        ImplItem::Fn(method) => Some(method),
        _ => None,
    }
}

fn text(ident: &Ident) -> String {
    ident.unraw().to_string()
}

fn id_of(name: &str, span: Span) -> Ident {
    Ident::new(&name.to_uppercase(), span)
}

fn count(block: &ItemImpl, stages: &[&ImplItemFn], errors: &mut Errors) {
    if stages.is_empty() {
        errors.over(
            &block.self_ty,
            "a state machine needs at least one stage: mark a method `#[stage]`; \
             requests start at the first",
        );
    }
    if let Some(method) = stages.get(MAX_STAGES) {
        errors.at(
            method.sig.ident.span(),
            format!(
                "a state machine has at most {MAX_STAGES} stages, and this one has {}",
                stages.len()
            ),
        );
    }
}

/// The names in the block, for looking up successors and for collisions.
struct Names {
    /// In source order, for the messages.
    stages: Vec<String>,
    stage_set: HashSet<String>,
    /// Methods and constants that are not stages.
    others: HashSet<String>,
}

impl Names {
    fn new<'a>(block: &ItemImpl, stages: impl Iterator<Item = &'a ImplItemFn>) -> Self {
        let stages: Vec<_> = stages.map(|method| text(&method.sig.ident)).collect();
        let stage_set: HashSet<_> = stages.iter().cloned().collect();
        let others = block
            .items
            .iter()
            .filter_map(|item| match item {
                ImplItem::Fn(item) => Some(text(&item.sig.ident)),
                ImplItem::Const(item) => Some(text(&item.ident)),
                _ => None,
            })
            .filter(|name| !stage_set.contains(name))
            .collect();
        Self { stages, stage_set, others }
    }

    fn unknown(&self, name: &str) -> String {
        let mut message = if self.others.contains(name) {
            format!("`{name}` is not a stage: it is not a method marked `#[stage]`")
        } else {
            format!("there is no stage `{name}`")
        };
        if let Some(near) = nearest(name, self.stages.iter().map(String::as_str)) {
            message += &format!("; did you mean `{near}`?");
        }
        let listed: Vec<_> =
            self.stages.iter().take(MAX_LISTED).map(|name| format!("`{name}`")).collect();
        message += &format!("\nthe stages are {}", listed.join(", "));
        if self.stages.len() > MAX_LISTED {
            message += &format!(" and {} more", self.stages.len() - MAX_LISTED);
        }
        message
    }
}

/// The ids for a `next` list.
fn successors(next: &[Ident], names: &Names, errors: &mut Errors) -> Vec<Ident> {
    let mut seen = HashSet::new();
    let mut ids = Vec::new();
    for successor in next {
        let name = text(successor);
        if !names.stage_set.contains(&name) {
            errors.at(successor.span(), names.unknown(&name));
        } else if !seen.insert(name.clone()) {
            errors.at(successor.span(), format!("the stage `{name}` is in this list twice"));
        } else {
            ids.push(id_of(&name, successor.span()));
        }
    }
    ids
}

/// The id constant of a stage, unless another item of the block has its name.
fn id(
    method: &ImplItemFn,
    names: &Names,
    taken: &mut HashMap<String, String>,
    errors: &mut Errors,
) -> Option<Ident> {
    let ident = &method.sig.ident;
    let name = text(ident);
    let id = id_of(&name, ident.span());
    let key = id.to_string();
    let problem = if let Some(other) = taken.get(&key) {
        format!("the stages `{other}` and `{name}` would both have the id `{id}`; rename one")
    } else if key == name {
        format!(
            "the id of the stage `{name}` would have the method's own name; \
             give the method a name in snake case"
        )
    } else if names.others.contains(&key) {
        format!(
            "the id of the stage `{name}` would be `{id}`, which this block defines \
             itself; rename one"
        )
    } else {
        taken.insert(key, name);
        return Some(id);
    };
    taken.entry(key).or_insert(name);
    errors.at(ident.span(), problem);
    None
}

/// A method under `#[cfg]` is in the block as the macro sees it even where the
/// compiler then removes it, so an id would stand for a stage that is gone.
fn no_cfg(method: &ImplItemFn, errors: &mut Errors) {
    for attribute in &method.attrs {
        if attribute.path().is_ident("cfg") {
            errors.over(
                attribute,
                "a marked method cannot be under `#[cfg]`, as every build has to have the same \
                 stage ids; put the `cfg` inside the method's body",
            );
        }
    }
}

fn stage_signature(method: &ImplItemFn, errors: &mut Errors) {
    let signature = &method.sig;
    plain(signature, STAGE, errors);
    if signature.inputs.len() != 2 {
        errors.at(
            signature.ident.span(),
            format!("{STAGE}, with two parameters; this one has {}", signature.inputs.len()),
        );
    }
    if matches!(signature.output, ReturnType::Default) {
        errors.at(signature.ident.span(), format!("{STAGE}; this one returns nothing"));
    }
}

/// The one method with a marker that is there once at most.
fn sole<'a, 'm>(
    block: &'a ItemImpl,
    marked: impl Iterator<Item = &'m Mark>,
    (marker, check): (&str, fn(&Signature, &mut Errors)),
    errors: &mut Errors,
) -> Option<&'a Ident> {
    let mut first: Option<&'a Ident> = None;
    for method in marked.filter_map(|mark| method(block, mark)) {
        check(&method.sig, errors);
        no_cfg(method, errors);
        let ident = &method.sig.ident;
        match first {
            None => first = Some(ident),
            Some(first) => errors.at(
                ident.span(),
                format!("a second `{marker}` method; the first is `{}`", text(first)),
            ),
        }
    }
    first
}

fn close_signature(signature: &Signature, errors: &mut Errors) {
    plain(signature, CLOSE, errors);
    one_parameter_and_no_result(signature, CLOSE, errors);
}

fn prefetch_signature(signature: &Signature, errors: &mut Errors) {
    unqualified(signature, PREFETCH, errors);
    if let Some(FnArg::Receiver(receiver)) = signature.inputs.first() {
        errors.over(receiver, format!("{PREFETCH}: it has no `self`"));
    }
    one_parameter_and_no_result(signature, PREFETCH, errors);
}

fn one_parameter_and_no_result(signature: &Signature, expected: &str, errors: &mut Errors) {
    if signature.inputs.len() != 1 {
        errors.at(
            signature.ident.span(),
            format!("{expected}, with one parameter; this one has {}", signature.inputs.len()),
        );
    }
    if let ReturnType::Type(_, returned) = &signature.output
        && !matches!(&**returned, Type::Tuple(unit) if unit.elems.is_empty())
    {
        errors.over(returned, format!("{expected}; it returns nothing"));
    }
}

/// What stages and `#[close]` methods have in common.
fn plain(signature: &Signature, expected: &str, errors: &mut Errors) {
    unqualified(signature, expected, errors);
    match signature.inputs.first() {
        Some(FnArg::Receiver(receiver)) if is_mut_self(&receiver.ty) => {}
        Some(FnArg::Receiver(receiver)) => {
            errors.over(receiver, format!("{expected}: it takes `&mut self`"));
        }
        _ => errors.at(signature.ident.span(), format!("{expected}: it takes `&mut self`")),
    }
}

/// What all marked methods have in common. Lifetime parameters are
/// let through: they do not stop a method from being a function pointer.
fn unqualified(signature: &Signature, expected: &str, errors: &mut Errors) {
    let qualifiers = [
        (signature.constness.as_ref().map(Spanned::span), "const"),
        (signature.asyncness.as_ref().map(Spanned::span), "async"),
        (signature.unsafety.as_ref().map(Spanned::span), "unsafe"),
        (signature.abi.as_ref().map(Spanned::span), "extern"),
    ];
    for (span, word) in qualifiers {
        if let Some(span) = span {
            errors.at(span, format!("{expected}, so it cannot be `{word}`"));
        }
    }
    for parameter in &signature.generics.params {
        if !matches!(parameter, GenericParam::Lifetime(_)) {
            errors.over(
                parameter,
                format!("{expected}, so it cannot have parameters for types or constants"),
            );
        }
    }
}

/// Whether `ty` is `&mut Self`, which syn also gives as the type of `&mut self`.
fn is_mut_self(ty: &Type) -> bool {
    match ty {
        Type::Reference(reference) => {
            reference.mutability.is_some()
                && matches!(&*reference.elem, Type::Path(to) if to.path.is_ident("Self"))
        }
        _ => false,
    }
}
