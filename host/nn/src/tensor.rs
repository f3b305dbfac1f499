//! Immutable tensors that are cheap to clone.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use crate::datatype::{Datatype, Element};
use crate::signature::format_shape;

/// A tensor with the name of the input or output that it is for.
pub type NamedTensor = (String, Tensor);

/// A row-major, little-endian tensor. Clones share the bytes.
#[derive(Clone, PartialEq)]
pub struct Tensor {
    datatype: Datatype,
    shape: Vec<usize>,
    data: Bytes,
}

/// Bytes that are not a tensor of the shape and datatype they claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    #[error("a {datatype} tensor of shape {} takes {expected} bytes, not {found}", format_shape(shape))]
    ByteLength { datatype: Datatype, shape: Vec<usize>, expected: usize, found: usize },
    #[error("shape {} holds more elements than memory can address", format_shape(shape))]
    Overflow { shape: Vec<usize> },
    #[error("shape {} holds {expected} BYTES elements, but the data hold {found}", format_shape(shape))]
    ElementCount { shape: Vec<usize>, expected: usize, found: usize },
    #[error("BYTES element {element} claims {claimed} bytes where {left} are left")]
    Truncated { element: usize, claimed: usize, left: usize },
    #[error("BOOL element {element} is the byte {value}; only 0 and 1 are booleans")]
    NotBool { element: usize, value: u8 },
    #[error("BYTES element {element} is not UTF-8, which is all that the model's backend takes")]
    NotUtf8 { element: usize },
    #[error("the tensor holds {found} elements, not {asked}")]
    Datatype { asked: Datatype, found: Datatype },
}

impl Tensor {
    /// A tensor over raw bytes: `data` holds the elements in row-major order,
    /// BYTES elements each prefixed with its length.
    ///
    /// # Errors
    /// When the byte length (or for BYTES the number of elements) is not what
    /// `shape` asks for, or a BOOL is neither 0 nor 1.
    pub fn new(
        datatype: Datatype,
        shape: impl Into<Vec<usize>>,
        data: impl Into<Bytes>,
    ) -> Result<Self, TensorError> {
        let (shape, data) = (shape.into(), data.into());
        let count = element_count(&shape)?;
        match datatype.size() {
            Some(size) => {
                let expected =
                    count.checked_mul(size).ok_or_else(|| TensorError::Overflow { shape: shape.clone() })?;
                if expected != data.len() {
                    let found = data.len();
                    return Err(TensorError::ByteLength { datatype, shape, expected, found });
                }
            }
            None => {
                let found = split_elements(&data)?.len();
                if found != count {
                    return Err(TensorError::ElementCount { shape, expected: count, found });
                }
            }
        }
        if datatype == Datatype::Bool
            && let Some(element) = data.iter().position(|&byte| byte > 1)
        {
            return Err(TensorError::NotBool { element, value: data[element] });
        }
        Ok(Self { datatype, shape, data })
    }

    /// A tensor that takes over `values` without copying them.
    ///
    /// # Errors
    /// When there are not as many values as `shape` asks for.
    pub fn from_vec<T: Element>(shape: impl Into<Vec<usize>>, values: Vec<T>) -> Result<Self, TensorError> {
        struct Owner<T>(Vec<T>);
        impl<T: Element> AsRef<[u8]> for Owner<T> {
            fn as_ref(&self) -> &[u8] {
                bytemuck::cast_slice(&self.0)
            }
        }
        Self::new(T::DATATYPE, shape, Bytes::from_owner(Owner(values)))
    }

    /// A BOOL tensor.
    ///
    /// # Errors
    /// When there are not as many values as `shape` asks for.
    pub fn from_bools(shape: impl Into<Vec<usize>>, values: &[bool]) -> Result<Self, TensorError> {
        let data: Vec<u8> = values.iter().map(|&value| u8::from(value)).collect();
        Self::new(Datatype::Bool, shape, data)
    }

    /// A BYTES tensor of the given elements.
    ///
    /// # Errors
    /// When there are not as many elements as `shape` asks for, or one is
    /// 4 GiB or longer.
    pub fn from_elements<E: AsRef<[u8]>>(
        shape: impl Into<Vec<usize>>,
        elements: impl IntoIterator<Item = E>,
    ) -> Result<Self, TensorError> {
        let shape = shape.into();
        let mut data = Vec::new();
        for element in elements {
            let element = element.as_ref();
            let length =
                u32::try_from(element.len()).map_err(|_| TensorError::Overflow { shape: shape.clone() })?;
            data.extend_from_slice(&length.to_le_bytes());
            data.extend_from_slice(element);
        }
        Self::new(Datatype::Bytes, shape, data)
    }

    pub fn datatype(&self) -> Datatype {
        self.datatype
    }

    /// Sizes along each axis, outermost first; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The raw bytes, shared.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements as `T`: borrowed, or copied where the bytes happen to lie
    /// unaligned.
    ///
    /// # Errors
    /// When the tensor holds another datatype.
    pub fn elements<T: Element>(&self) -> Result<Cow<'_, [T]>, TensorError> {
        if T::DATATYPE != self.datatype {
            return Err(TensorError::Datatype { asked: T::DATATYPE, found: self.datatype });
        }
        Ok(match bytemuck::try_cast_slice(&self.data) {
            Ok(slice) => Cow::Borrowed(slice),
            Err(_) => {
                Cow::Owned(self.data.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect())
            }
        })
    }

    /// The byte strings of a BYTES tensor.
    ///
    /// # Errors
    /// When the tensor holds another datatype.
    pub fn byte_strings(&self) -> Result<Vec<&[u8]>, TensorError> {
        if self.datatype != Datatype::Bytes {
            return Err(TensorError::Datatype { asked: Datatype::Bytes, found: self.datatype });
        }
        split_elements(&self.data)
    }

    /// The same elements in another shape.
    ///
    /// # Errors
    /// When `shape` holds another number of elements.
    pub fn reshaped(self, shape: impl Into<Vec<usize>>) -> Result<Self, TensorError> {
        Self::new(self.datatype, shape, self.data)
    }

    /// A tensor over elements that were taken from others and need no check.
    pub(crate) fn from_checked(datatype: Datatype, shape: Vec<usize>, data: Bytes) -> Self {
        Self { datatype, shape, data }
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({} {}, {} bytes)", self.datatype, format_shape(&self.shape), self.data.len())
    }
}

fn element_count(shape: &[usize]) -> Result<usize, TensorError> {
    shape
        .iter()
        .try_fold(1usize, |count, &size| count.checked_mul(size))
        .ok_or_else(|| TensorError::Overflow { shape: shape.to_vec() })
}

fn split_elements(mut data: &[u8]) -> Result<Vec<&[u8]>, TensorError> {
    let mut elements = Vec::new();
    while !data.is_empty() {
        let element = elements.len();
        let Some((prefix, rest)) = data.split_first_chunk::<4>() else {
            return Err(TensorError::Truncated { element, claimed: 4, left: data.len() });
        };
        let claimed = u32::from_le_bytes(*prefix) as usize;
        let Some((bytes, rest)) = rest.split_at_checked(claimed) else {
            return Err(TensorError::Truncated { element, claimed, left: rest.len() });
        };
        elements.push(bytes);
        data = rest;
    }
    Ok(elements)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_without_a_copy() {
        let tensor = Tensor::from_vec([2, 2], vec![1.0f32, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(tensor.datatype(), Datatype::Fp32);
        assert!(matches!(tensor.elements::<f32>().unwrap(), Cow::Borrowed([1.0, 2.0, 3.0, 4.0])));
        let error = tensor.elements::<i32>().unwrap_err().to_string();
        assert_eq!(error, "the tensor holds FP32 elements, not INT32");
    }

    #[test]
    fn unaligned_bytes_are_copied() {
        let bytes = Bytes::from(vec![0u8, 1, 0, 0, 0, 2, 0, 0, 0]).slice(1..);
        let tensor = Tensor::new(Datatype::Int32, [2], bytes).unwrap();
        assert_eq!(tensor.elements::<i32>().unwrap().as_ref(), [1, 2]);
    }

    #[test]
    fn a_wrong_byte_length_is_refused() {
        let error = Tensor::new(Datatype::Fp32, [2, 2], vec![0; 15]).unwrap_err().to_string();
        assert_eq!(error, "a FP32 tensor of shape [2,2] takes 16 bytes, not 15");
    }

    #[test]
    fn absurd_shapes_overflow_cleanly() {
        let error = Tensor::new(Datatype::Fp32, [usize::MAX, 2], vec![]).unwrap_err();
        assert!(matches!(error, TensorError::Overflow { .. }));
        let error = Tensor::new(Datatype::Fp64, [usize::MAX / 4], vec![]).unwrap_err();
        assert!(matches!(error, TensorError::Overflow { .. }));
    }

    #[test]
    fn a_boolean_is_zero_or_one() {
        let error = Tensor::new(Datatype::Bool, [3], vec![0, 1, 2]).unwrap_err().to_string();
        assert_eq!(error, "BOOL element 2 is the byte 2; only 0 and 1 are booleans");
    }

    #[test]
    fn byte_strings_round_trip_and_truncation_is_found() {
        let tensor = Tensor::from_elements([2], ["", "samara"]).unwrap();
        assert_eq!(tensor.byte_strings().unwrap(), [&b""[..], b"samara"]);
        let cut = tensor.data().slice(..tensor.data().len() - 1);
        let error = Tensor::new(Datatype::Bytes, [2], cut).unwrap_err().to_string();
        assert_eq!(error, "BYTES element 1 claims 6 bytes where 5 are left");
        let error = Tensor::from_elements([3], ["a", "b"]).unwrap_err().to_string();
        assert_eq!(error, "shape [3] holds 3 BYTES elements, but the data hold 2");
    }
}
