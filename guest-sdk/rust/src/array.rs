//! `ndarray` arrays as tensors.

use ndarray::{Array, Dimension};

use crate::convert::check_rank;
use crate::{Datatype, Element, FromTensor, IntoTensor, Result, Tensor, TensorType};

/// Any size along each axis; the shape of an `ArrayD` must be declared.
impl<T: Element, D: Dimension> TensorType for Array<T, D> {
    const DATATYPE: Option<Datatype> = Some(T::DATATYPE);
    const SHAPE: Option<&'static [i64]> = match D::NDIM {
        Some(rank) => Some(ANY_SIZE.split_at(rank).0),
        None => None,
    };
}

impl<T: Element, D: Dimension> FromTensor for Array<T, D> {
    fn from_tensor(tensor: Tensor) -> Result<Array<T, D>> {
        if let Some(rank) = D::NDIM {
            check_rank(&tensor, rank)?;
        }
        let elements = tensor.to_vec::<T>()?;
        Ok(Array::from_shape_vec(tensor.shape(), elements)?.into_dimensionality()?)
    }
}

impl<T: Element, D: Dimension> IntoTensor for Array<T, D> {
    fn into_tensor(self) -> Result<Tensor> {
        let shape = self.shape().to_vec();
        let elements = if self.is_standard_layout() {
            let (elements, start) = self.into_raw_vec_and_offset();
            window(elements, start.unwrap_or(0), shape.iter().product())
        } else {
            self.iter().copied().collect()
        };
        Tensor::from_vec(shape, elements)
    }
}

/// `ndarray` has names for up to six axes.
const ANY_SIZE: &[i64] = &[-1; 6];

/// The elements that an array uses of its memory, which may be more after slicing.
fn window<T: Element>(mut elements: Vec<T>, start: usize, count: usize) -> Vec<T> {
    elements.truncate(start.saturating_add(count));
    elements.drain(..start);
    elements
}
