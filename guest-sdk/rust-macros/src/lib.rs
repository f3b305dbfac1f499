//! The attribute macro of `samara-sdk`, which re-exports it; use that crate.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod args;
mod expand;
mod parse;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

/// Makes a plain `fn` the function of a component.
///
/// The arguments are the inputs, by name; the result is the output, or a tuple
/// of outputs, or a `Result` of either whose error goes through
/// `samara_sdk::Error::from`.
///
/// # Outputs
///
/// - `output = "name"`: one, its datatype and shape as its type says. Without
///   any of these three it is called `output`.
/// - `outputs = ["first", "second"]`: several; the `fn` returns a tuple.
/// - `outputs(first, second(…))`: one or several with what their types do not
///   say, as below. A name that is no identifier is written as a string:
///   `outputs("top-k"(shape = [5]))`.
///
/// # What types do not say
///
/// In `#[tensor(…)]` at an argument, or in the parentheses after an output:
///
/// - `shape = [-1, 10]`: sizes along each axis, `-1` for any size. A type of
///   known rank stands for any size along each axis; a `Tensor` and an `ArrayD`
///   need it.
/// - `datatype = FP32`: by its name in the Open Inference Protocol. Only a
///   `Tensor` needs it.
/// - `media_type = "image/png"`: what the bytes hold, a hint for people and tools.
/// - `name = "top-k"`: the input's name where it is not that of the argument
///   (arguments only).
///
/// # What it makes
///
/// The `fn` stays as it is, to be called and tested directly. A type of the
/// same name implements `samara_sdk::Function`, for
/// `samara_sdk::testing::call::<double>(…)`. In a build for `wasm32` the
/// function is exported as `samara:function/function`; a component has one.
#[proc_macro_attribute]
pub fn function(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::function(args.into(), item.into()).into()
}
