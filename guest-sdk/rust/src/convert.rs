//! From tensors to Rust values and back.

use crate::{Datatype, Element, Error, Result, Tensor};

/// What tensor a Rust type stands for.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a type that a function of samara takes or gives",
    note = "use `Tensor`, `String`, `Bytes`, a number, `bool`, a `Vec` of those, or an `ndarray` array (feature `ndarray`)"
)]
pub trait TensorType: Sized {
    /// The datatype; `None` if only a declaration can say it.
    const DATATYPE: Option<Datatype>;
    /// The shape unless declared otherwise, `-1` for any size; `None` if only a
    /// declaration can say it.
    const SHAPE: Option<&'static [i64]>;
    /// What the bytes hold unless declared otherwise, e.g. `text/plain`.
    const MEDIA_TYPE: Option<&'static str> = None;
}

/// A type that an input, or an output of a model, can be taken as.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an input of a function",
    note = "use `Tensor`, `String`, `Bytes`, a number, `bool`, a `Vec` of those, or an `ndarray` array (feature `ndarray`)"
)]
pub trait FromTensor: TensorType {
    /// Reads the tensor.
    ///
    /// # Errors
    ///
    /// `invalid-input` if datatype, rank or bytes do not suit the type.
    fn from_tensor(tensor: Tensor) -> Result<Self>;
}

/// A type that can be an output, or an input of a model.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an output of a function",
    note = "use `Tensor`, `String`, `Bytes`, a number, `bool`, a `Vec` of those, or an `ndarray` array (feature `ndarray`)"
)]
pub trait IntoTensor: TensorType {
    /// Writes the tensor.
    ///
    /// # Errors
    ///
    /// `too-large` if an element or axis exceeds what a tensor can hold.
    fn into_tensor(self) -> Result<Tensor>;
}

/// Bytes that belong together, such as a file: a BYTES tensor of one element.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bytes(pub Vec<u8>);

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes(bytes)
    }
}

/// As it is: datatype and shape must be declared.
impl TensorType for Tensor {
    const DATATYPE: Option<Datatype> = None;
    const SHAPE: Option<&'static [i64]> = None;
}

impl FromTensor for Tensor {
    fn from_tensor(tensor: Tensor) -> Result<Tensor> {
        Ok(tensor)
    }
}

impl IntoTensor for Tensor {
    fn into_tensor(self) -> Result<Tensor> {
        Ok(self)
    }
}

/// Rank 1, any size.
impl<T: Element> TensorType for Vec<T> {
    const DATATYPE: Option<Datatype> = Some(T::DATATYPE);
    const SHAPE: Option<&'static [i64]> = Some(&[-1]);
}

impl<T: Element> FromTensor for Vec<T> {
    fn from_tensor(tensor: Tensor) -> Result<Vec<T>> {
        check_rank(&tensor, 1)?;
        tensor.to_vec()
    }
}

impl<T: Element> IntoTensor for Vec<T> {
    fn into_tensor(self) -> Result<Tensor> {
        Tensor::from_vec([self.len()], self)
    }
}

/// One text.
impl TensorType for String {
    const DATATYPE: Option<Datatype> = Some(Datatype::Bytes);
    const SHAPE: Option<&'static [i64]> = Some(&[1]);
    const MEDIA_TYPE: Option<&'static str> = Some("text/plain");
}

impl FromTensor for String {
    fn from_tensor(tensor: Tensor) -> Result<String> {
        text(only(&tensor, &tensor.blobs()?)?)
    }
}

impl IntoTensor for String {
    fn into_tensor(self) -> Result<Tensor> {
        Tensor::from_blobs([self])
    }
}

/// Texts: rank 1, any size.
impl TensorType for Vec<String> {
    const DATATYPE: Option<Datatype> = Some(Datatype::Bytes);
    const SHAPE: Option<&'static [i64]> = Some(&[-1]);
    const MEDIA_TYPE: Option<&'static str> = Some("text/plain");
}

impl FromTensor for Vec<String> {
    fn from_tensor(tensor: Tensor) -> Result<Vec<String>> {
        check_rank(&tensor, 1)?;
        let texts = tensor.blobs()?.into_iter().map(text);
        let numbered = |(at, text): (usize, Result<String>)| {
            text.map_err(|error| error.context(format_args!("element {at}")))
        };
        texts.enumerate().map(numbered).collect()
    }
}

impl IntoTensor for Vec<String> {
    fn into_tensor(self) -> Result<Tensor> {
        Tensor::from_blobs(self)
    }
}

/// One blob.
impl TensorType for Bytes {
    const DATATYPE: Option<Datatype> = Some(Datatype::Bytes);
    const SHAPE: Option<&'static [i64]> = Some(&[1]);
}

impl FromTensor for Bytes {
    fn from_tensor(tensor: Tensor) -> Result<Bytes> {
        Ok(Bytes(only(&tensor, &tensor.blobs()?)?.to_vec()))
    }
}

impl IntoTensor for Bytes {
    fn into_tensor(self) -> Result<Tensor> {
        Tensor::from_blobs([self.0])
    }
}

/// Blobs: rank 1, any size.
impl TensorType for Vec<Bytes> {
    const DATATYPE: Option<Datatype> = Some(Datatype::Bytes);
    const SHAPE: Option<&'static [i64]> = Some(&[-1]);
}

impl FromTensor for Vec<Bytes> {
    fn from_tensor(tensor: Tensor) -> Result<Vec<Bytes>> {
        check_rank(&tensor, 1)?;
        Ok(tensor.blobs()?.into_iter().map(|blob| Bytes(blob.to_vec())).collect())
    }
}

impl IntoTensor for Vec<Bytes> {
    fn into_tensor(self) -> Result<Tensor> {
        Tensor::from_blobs(self)
    }
}

macro_rules! scalars {
    ($($type:ty),* $(,)?) => {$(
        /// One element.
        impl TensorType for $type {
            const DATATYPE: Option<Datatype> = Some(<$type as Element>::DATATYPE);
            const SHAPE: Option<&'static [i64]> = Some(&[1]);
        }

        impl FromTensor for $type {
            fn from_tensor(tensor: Tensor) -> Result<$type> {
                only(&tensor, tensor.as_slice()?)
            }
        }

        impl IntoTensor for $type {
            fn into_tensor(self) -> Result<Tensor> {
                Tensor::from_vec([1], vec![self])
            }
        }
    )*};
}

scalars!(bool, u8, u16, u32, u64, i8, i16, i32, i64, f32, f64);
#[cfg(feature = "half")]
scalars!(half::f16, half::bf16);

/// Checks how many axes there are.
pub(crate) fn check_rank(tensor: &Tensor, rank: usize) -> Result<()> {
    if tensor.shape().len() == rank {
        return Ok(());
    }
    Err(Error::invalid_input(format!("is {tensor}, but a tensor of {rank} axes was asked for")))
}

/// The element of a tensor that must have exactly one.
pub(crate) fn only<T: Copy>(tensor: &Tensor, elements: &[T]) -> Result<T> {
    match elements {
        [element] => Ok(*element),
        _ => Err(Error::invalid_input(format!("is {tensor}, but a tensor of one element was asked for"))),
    }
}

fn text(blob: &[u8]) -> Result<String> {
    match std::str::from_utf8(blob) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => {
            let at = error.valid_up_to();
            Err(Error::invalid_input(format!(
                "a text is not UTF-8 at byte {at}; take it as `Bytes` if it is none"
            )))
        }
    }
}
