//! Tensors as rows of features.

use std::borrow::Cow;

use tract_onnx::prelude::TractResult;
use tract_onnx::tract_hir::internal::{Datum, Tensor, bail};

/// Rows of features, one behind the other.
pub(super) struct Matrix<'a, T: Datum + Copy> {
    tensor: Cow<'a, Tensor>,
    pub(super) rows: usize,
    pub(super) width: usize,
    kind: std::marker::PhantomData<T>,
}

impl<'a, T: Datum + Copy> Matrix<'a, T> {
    /// The rows of a tensor, whose numbers become `T`. One without an axis for
    /// rows is a row.
    pub(super) fn of(tensor: &'a Tensor) -> TractResult<Self> {
        let (rows, width) = match *tensor.shape() {
            [width] => (1, width),
            [rows, width] => (rows, width),
            ref shape => bail!("{} axes are not rows of features", shape.len()),
        };
        Ok(Self { tensor: tensor.cast_to::<T>()?, rows, width, kind: std::marker::PhantomData })
    }

    pub(super) fn values(&self) -> TractResult<&[T]> {
        self.tensor.try_as_plain_ram()?.as_slice::<T>()
    }
}

/// # Errors
/// When rows have another number of features than was learned.
pub(super) fn check_width(found: usize, learned: usize) -> TractResult<()> {
    if found == learned {
        return Ok(());
    }
    bail!("it has learned from {learned} features, and its input has {found}")
}

/// The sum of the products, in several parts that are added side by side.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum(a, b, |a, b| a * b)
}

/// The square of the distance.
pub(super) fn distance(a: &[f32], b: &[f32]) -> f32 {
    sum(a, b, |a, b| (a - b) * (a - b))
}

fn sum(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    const PARTS: usize = 8;
    let (a, a_rest) = a.as_chunks::<PARTS>();
    let (b, b_rest) = b.as_chunks::<PARTS>();
    let mut parts = [0.0f32; PARTS];
    for (a, b) in a.iter().zip(b) {
        for ((part, &a), &b) in parts.iter_mut().zip(a).zip(b) {
            *part += term(a, b);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(&a, &b)| term(a, b)).sum();
    parts.iter().sum::<f32>() + rest
}
