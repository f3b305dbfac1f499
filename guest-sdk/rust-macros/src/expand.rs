//! From a checked function to the code that describes, calls and exports it.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::ItemFn;
use syn::spanned::Spanned;

use crate::parse::{self, Function, Tensor};

/// The `fn` as it was, and the code around it, or errors.
pub fn function(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut item = match syn::parse2::<ItemFn>(item.clone()) {
        Ok(item) => item,
        Err(error) => {
            let error =
                syn::Error::new(error.span(), format!("`#[samara_sdk::function]` is for a `fn`: {error}"));
            let error = error.into_compile_error();
            return quote!(#error #item);
        }
    };
    // The `fn` is given back in any case: its absence would only add errors.
    let generated = match parse::function(args, &mut item) {
        Ok(function) => generate(&function),
        Err(error) => error.into_compile_error(),
    };
    quote!(#item #generated)
}

fn generate(function: &Function) -> TokenStream {
    let Function { name, visibility, .. } = function;
    let doc = format!("The function [`{name}()`] as a type: its signature and a call with tensors.");
    let describe = describe(function);
    let infer = infer(function);
    quote! {
        #[doc = #doc]
        #[allow(non_camel_case_types, dead_code)]
        #visibility struct #name {}

        impl ::samara_sdk::Function for #name {
            #describe
            #infer
        }

        ::samara_sdk::export!(#name);
    }
}

fn describe(function: &Function) -> TokenStream {
    let inputs = function.inputs.iter().map(spec);
    let outputs = function.outputs.iter().map(spec);
    quote! {
        fn describe() -> ::samara_sdk::Signature {
            const INPUTS: &[::samara_sdk::TensorSpec] = &[#(#inputs),*];
            const OUTPUTS: &[::samara_sdk::TensorSpec] = &[#(#outputs),*];
            ::samara_sdk::Signature::new(INPUTS, OUTPUTS)
        }
    }
}

fn spec(tensor: &Tensor) -> TokenStream {
    let (name, ty, keys) = (&tensor.name.text, &tensor.ty, &tensor.keys);
    let datatype = option(keys.datatype.as_ref().map(|variant| quote!(::samara_sdk::Datatype::#variant)));
    let shape = option(keys.shape.as_ref().map(|sizes| quote!(&[#(#sizes),*])));
    let media_type = option(keys.media_type.as_ref().map(|text| quote!(#text)));
    quote_spanned! {ty.span()=>
        ::samara_sdk::__private::declare::<#ty>(#name, #datatype, #shape, #media_type)
    }
}

fn option(value: Option<TokenStream>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}

fn infer(function: &Function) -> TokenStream {
    let name = &function.name;
    let arguments: Vec<_> = (0..function.inputs.len()).map(|index| format_ident!("input_{index}")).collect();
    let take = function.inputs.iter().zip(&arguments).enumerate().map(|(index, (input, argument))| {
        let ty = &input.ty;
        quote_spanned! {ty.span()=>
            let #argument = ::samara_sdk::__private::argument::<#ty>(&mut inputs, &signature.inputs[#index])?;
        }
    });
    let question = function.fallible.then(|| quote!(.map_err(::samara_sdk::Error::from)?));
    let results: Vec<_> = (0..function.outputs.len()).map(|index| format_ident!("output_{index}")).collect();
    let put = function.outputs.iter().zip(&results).enumerate().map(|(index, (output, result))| {
        let ty = &output.ty;
        quote_spanned! {ty.span()=>
            ::samara_sdk::__private::output::<#ty>(&mut outputs, &signature.outputs[#index], #result)?;
        }
    });
    let pattern = if let [result] = results.as_slice() { quote!(#result) } else { quote!((#(#results),*)) };
    quote! {
        fn infer(mut inputs: ::samara_sdk::Tensors) -> ::samara_sdk::Result<::samara_sdk::Tensors> {
            let signature = Self::describe();
            ::samara_sdk::__private::check_names(&inputs, &signature.inputs)?;
            #(#take)*
            let #pattern = #name(#(#arguments),*) #question;
            let mut outputs = ::samara_sdk::Tensors::new();
            #(#put)*
            ::core::result::Result::Ok(outputs)
        }
    }
}
