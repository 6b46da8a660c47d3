//! Writes the code for a checked block.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};

use crate::check::{Machine, Stage};
use crate::parse::Args;

/// The expansion of a block without errors: the block, the ids and the
/// `StateMachine` impl.
pub(crate) fn machine(machine: &Machine<'_>, args: &Args) -> TokenStream {
    let stages = machine.stages.iter().map(stage);
    let stages = quote!(#(#stages),*);
    let (close, prefetch) = (machine.close.map(close), machine.prefetch.map(prefetch));
    with_impls(machine, args, &stages, &quote!(#close #prefetch))
}

/// The expansion of a block with errors. It has the ids, and an impl with one
/// stage that stands for all: without them the compiler would also report every
/// use of an id and of the machine's type, far from the mistake.
pub(crate) fn recovered(machine: &Machine<'_>, args: &Args) -> TokenStream {
    let block = machine.block;
    if block.trait_.is_some() {
        return quote!(#block);
    }
    let stage = quote! {
        ::stageline::Stage {
            name: "",
            run: |_, _| ::core::unreachable!(),
            next: ::core::option::Option::None,
            pool: ::core::option::Option::None
        }
    };
    with_impls(machine, args, &stage, &TokenStream::new())
}

fn with_impls(
    machine: &Machine<'_>,
    args: &Args,
    stages: &TokenStream,
    others: &TokenStream,
) -> TokenStream {
    let block = machine.block;
    let (generics, _, bounds) = block.generics.split_for_impl();
    let ty = &block.self_ty;
    let ids = (0u16..).zip(&machine.stages).map(id);
    let data = match &args.data {
        Some(data) => quote!(#data),
        // Only in a block with errors.
        None => quote!(()),
    };
    let error = match &args.error {
        Some(error) => quote!(#error),
        None => quote!(::core::convert::Infallible),
    };
    let keeps = args.keeps.then(|| {
        quote!(
            const KEEPS: bool = true;
        )
    });
    quote! {
        #block

        impl #generics #ty #bounds {
            #(#ids)*
        }

        impl #generics ::stageline::StateMachine for #ty #bounds {
            type Data = #data;
            type Error = #error;
            const STAGES: ::stageline::StageTable<Self> =
                ::stageline::StageTable::new(const { &[#stages] });
            #keeps
            #others
        }
    }
}

fn id((index, stage): (u16, &Stage<'_>)) -> TokenStream {
    let visibility = &stage.method.vis;
    let id = &stage.id;
    let doc = format!("The id of the stage `{}`.", stage.name);
    quote! {
        #[doc = #doc]
        #[allow(dead_code)]
        #visibility const #id: ::stageline::StageId<Self> = ::stageline::StageId::new(#index);
    }
}

fn stage(stage: &Stage<'_>) -> TokenStream {
    let name = &stage.name;
    let run = own(&stage.method.sig.ident);
    let next = match &stage.next {
        Some(next) => {
            let next = next.iter().map(own);
            quote!(::core::option::Option::Some(&[#(#next),*]))
        }
        None => quote!(::core::option::Option::None),
    };
    let pool = match stage.pool {
        Some(pool) => quote!(::core::option::Option::Some(#pool)),
        None => quote!(::core::option::Option::None),
    };
    quote!(::stageline::Stage { name: #name, run: #run, next: #next, pool: #pool })
}

fn close(method: &Ident) -> TokenStream {
    let method = own(method);
    quote! {
        fn close(&mut self) {
            #method(self)
        }
    }
}

fn prefetch(method: &Ident) -> TokenStream {
    let method = own(method);
    quote! {
        #[inline(always)]
        fn prefetch(next: &Self::Data) {
            #method(next)
        }
    }
}

/// `Self::name`, placed so that a type error in it points at `name` in the
/// source: a stage of another signature is reported at the method.
fn own(name: &Ident) -> TokenStream {
    let span = Span::call_site().located_at(name.span());
    quote_spanned!(span=> Self::#name)
}
