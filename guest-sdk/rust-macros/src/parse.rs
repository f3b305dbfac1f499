//! From the attribute and the `fn` to a checked description of a function.

use std::collections::HashSet;

use proc_macro2::{Span, TokenStream};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, FnArg, GenericArgument, Ident, ItemFn, Pat, PatType, PathArguments, Result, ReturnType,
    Signature, Type, Visibility,
};

use crate::args::{Keys, Name, Output, Outputs};

/// A function as it was declared.
pub struct Function {
    pub name: Ident,
    pub visibility: Visibility,
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<Tensor>,
    /// True if the `fn` returns a `Result`.
    pub fallible: bool,
}

/// One input or output.
pub struct Tensor {
    pub name: Name,
    pub keys: Keys,
    pub ty: Type,
}

/// Reads the attribute's words and the `fn`, and takes the `#[tensor]`
/// attributes out of the latter.
///
/// # Errors
///
/// All that is wrong with the `fn`, each at the token that is wrong.
pub fn function(args: TokenStream, item: &mut ItemFn) -> Result<Function> {
    let mut problems = Problems(None);
    let inputs = inputs(item, &mut problems);
    check_signature(&item.sig, &mut problems);
    let declared = syn::parse2::<Outputs>(args).unwrap_or_else(|error| {
        problems.add(error);
        Outputs { specs: None }
    });
    problems.check()?;
    let (fallible, result) = result_type(&item.sig)?;
    let outputs = outputs(declared, result)?;
    check_unique("input", &inputs, &mut problems);
    check_unique("output", &outputs, &mut problems);
    problems.check()?;
    Ok(Function { name: item.sig.ident.clone(), visibility: item.vis.clone(), inputs, outputs, fallible })
}

/// Errors found so far.
struct Problems(Option<Error>);

impl Problems {
    fn add(&mut self, error: Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            None => self.0 = Some(error),
        }
    }

    fn check(&mut self) -> Result<()> {
        self.0.take().map_or(Ok(()), Err)
    }
}

fn check_signature(signature: &Signature, problems: &mut Problems) {
    let mut refuse = |span: Option<Span>, message: &str| {
        if let Some(span) = span {
            problems.add(Error::new(span, message));
        }
    };
    refuse(signature.asyncness.map(|token| token.span()), "a function is not `async`: the host waits for it");
    refuse(signature.unsafety.map(|token| token.span()), "a function is not `unsafe`: the host calls it");
    refuse(signature.abi.as_ref().map(Spanned::span), "a function has Rust's own ABI: leave `extern` out");
    refuse(signature.variadic.as_ref().map(Spanned::span), "a function has a fixed list of inputs");
    let generics = &signature.generics;
    let written = !generics.params.is_empty() || generics.where_clause.is_some();
    let span = if generics.params.is_empty() { generics.where_clause.span() } else { generics.params.span() };
    refuse(written.then_some(span), "a function is not generic: its signature is fixed when it is built");
}

fn inputs(item: &mut ItemFn, problems: &mut Problems) -> Vec<Tensor> {
    let mut inputs = Vec::new();
    for argument in &mut item.sig.inputs {
        match input(argument) {
            Ok(tensor) => inputs.push(tensor),
            Err(error) => problems.add(error),
        }
    }
    inputs
}

fn input(argument: &mut FnArg) -> Result<Tensor> {
    let argument = match argument {
        FnArg::Typed(argument) => argument,
        FnArg::Receiver(receiver) => {
            return Err(Error::new_spanned(receiver, "a function has no `self`: make it a plain `fn`"));
        }
    };
    let keys = tensor_keys(&mut argument.attrs)?;
    let name = match &keys.name {
        Some(name) => Name { text: name.value(), span: name.span() },
        None => argument_name(argument)?,
    };
    let ty = (*argument.ty).clone();
    match &ty {
        Type::Reference(_) => {
            Err(Error::new_spanned(&ty, "take the value itself: a function owns its inputs"))
        }
        Type::ImplTrait(_) => {
            Err(Error::new_spanned(&ty, "name the type: the signature is fixed when it is built"))
        }
        _ => Ok(Tensor { name, keys, ty }),
    }
}

/// Takes `#[tensor(…)]` out of the attributes of an argument.
fn tensor_keys(attributes: &mut Vec<Attribute>) -> Result<Keys> {
    let (ours, others): (Vec<_>, Vec<_>) =
        std::mem::take(attributes).into_iter().partition(|attribute| attribute.path().is_ident("tensor"));
    *attributes = others;
    match ours.as_slice() {
        [] => Ok(Keys::default()),
        [attribute] => attribute.parse_args(),
        [_, second, ..] => Err(Error::new_spanned(second, "one `#[tensor(…)]` says all")),
    }
}

fn argument_name(argument: &PatType) -> Result<Name> {
    match &*argument.pat {
        Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => {
            Ok(Name { text: pattern.ident.unraw().to_string(), span: pattern.ident.span() })
        }
        pattern => Err(Error::new_spanned(
            pattern,
            "give the argument a plain name: it is the input's name, unless `#[tensor(name = \"…\")]` says another",
        )),
    }
}

/// What the `fn` returns, without the `Result` around it.
fn result_type(signature: &Signature) -> Result<(bool, Type)> {
    let ReturnType::Type(_, ty) = &signature.output else {
        return Err(Error::new_spanned(&signature.ident, "a function gives at least one output: return it"));
    };
    let Type::Path(path) = &**ty else { return Ok((false, (**ty).clone())) };
    let Some(last) = path.path.segments.last().filter(|segment| segment.ident == "Result") else {
        return Ok((false, (**ty).clone()));
    };
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return Err(Error::new_spanned(last, "say what the `Result` holds"));
    };
    match arguments.args.first() {
        Some(GenericArgument::Type(value)) => Ok((true, value.clone())),
        _ => Err(Error::new_spanned(last, "say what the `Result` holds")),
    }
}

fn outputs(declared: Outputs, result: Type) -> Result<Vec<Tensor>> {
    let tensor = |output: Output, ty: Type| Tensor { name: output.name, keys: output.keys, ty };
    let Some(mut specs) = declared.specs else {
        return default_output(result);
    };
    if specs.len() == 1 {
        return Ok(specs.drain(..).map(|output| tensor(output, result.clone())).collect());
    }
    let Type::Tuple(types) = result else {
        let message = format!("{} outputs are declared: return a tuple of as many", specs.len());
        return Err(Error::new_spanned(result, message));
    };
    if types.elems.len() != specs.len() {
        let message =
            format!("{} outputs are declared, but the tuple has {}", specs.len(), types.elems.len());
        return Err(Error::new_spanned(types, message));
    }
    Ok(specs.into_iter().zip(types.elems).map(|(output, ty)| tensor(output, ty)).collect())
}

fn default_output(result: Type) -> Result<Vec<Tensor>> {
    match &result {
        Type::Tuple(types) if types.elems.is_empty() => {
            Err(Error::new_spanned(types, "a function gives at least one output: return it"))
        }
        Type::Tuple(types) => Err(Error::new_spanned(
            types,
            "name the outputs of a tuple: `#[samara_sdk::function(outputs = [\"first\", \"second\"])]`",
        )),
        _ => {
            let name = Name { text: "output".to_owned(), span: result.span() };
            Ok(vec![Tensor { name, keys: Keys::default(), ty: result }])
        }
    }
}

fn check_unique(what: &str, tensors: &[Tensor], problems: &mut Problems) {
    let mut seen = HashSet::new();
    for Tensor { name, .. } in tensors {
        if name.text.is_empty() {
            problems.add(Error::new(name.span, format!("an {what} has a name")));
        }
        if !seen.insert(name.text.as_str()) {
            problems.add(Error::new(name.span, format!("two {what}s are called `{}`", name.text)));
        }
    }
}
