#![doc = include_str!("../README.md")]
#![deny(missing_docs, unsafe_code)]

// Generated code names the crate by its name, within the crate too.
extern crate self as samara_sdk;

#[cfg(feature = "ndarray")]
mod array;
mod convert;
mod datatype;
mod error;
mod function;
mod host;
#[cfg(feature = "image")]
mod image;
mod model;
mod signature;
mod tensor;
mod tensors;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

#[cfg(feature = "image")]
pub use crate::image::Image;
pub use convert::{Bytes, FromTensor, IntoTensor, TensorType};
pub use datatype::{Datatype, Element};
pub use error::{Context, Error, ErrorKind, Result};
pub use function::Function;
#[cfg(feature = "half")]
pub use half;
pub use model::{Encoding, Model, Target, model};
#[cfg(feature = "ndarray")]
pub use ndarray;
/// ```
/// # #[cfg(feature = "ndarray")] {
/// use samara_sdk::ndarray::{Array1, Array2, Axis};
///
/// #[samara_sdk::function(output = "doubled")]
/// fn double(values: Array1<f32>) -> Array1<f32> {
///     2.0 * values
/// }
///
/// #[samara_sdk::function(outputs(mean(shape = [3]), "row-count"))]
/// fn summarise(
///     #[tensor(shape = [-1, 3])] rows: Array2<f32>,
///     #[tensor(name = "at-least")] at_least: i64,
/// ) -> samara_sdk::Result<(Array1<f32>, i64)> {
///     let count = i64::try_from(rows.nrows())?;
///     match rows.mean_axis(Axis(0)) {
///         Some(mean) if count >= at_least => Ok((mean, count)),
///         _ => Err(samara_sdk::Error::invalid_input("input `rows`: too few rows")),
///     }
/// }
/// # }
/// ```
///
pub use samara_sdk_macros::function;
pub use signature::{Signature, TensorSpec};
pub use tensor::Tensor;
pub use tensors::{IntoTensors, Tensors};

/// What generated code refers to. Not for use by hand, and free to change.
#[doc(hidden)]
pub mod __private {
    pub use crate::function::{argument, check_names, declare, output};
    #[cfg(target_arch = "wasm32")]
    pub use crate::host::{Component, bindings};
    #[cfg(target_arch = "wasm32")]
    pub use wit_bindgen;
}
