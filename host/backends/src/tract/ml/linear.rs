//! Sums of weighted features.

use tract_onnx::prelude::{TVec, TractResult, tvec};
use tract_onnx::tract_hir::internal::Tensor;

use super::encoders::labels;
use super::matrix::{Matrix, check_width, dot};
use super::scores::{Second, highest, transform};
use crate::onnx::learned::{LinearClassifier, LinearRegressor};

/// How many scores a row gets.
pub(super) fn score_count(linear: &LinearClassifier) -> usize {
    linear.labels.len()
}

pub(super) fn classify(linear: &LinearClassifier, input: &Tensor) -> TractResult<TVec<Tensor>> {
    let matrix = Matrix::<f32>::of(input)?;
    check_width(matrix.width, linear.width)?;
    let (sums, count) = (linear.intercepts.len(), score_count(linear));
    let second = if sums == 1 { Second::Rest } else { Second::No };
    let mut scores = vec![0.0f32; matrix.rows * count];
    let mut chosen = Vec::with_capacity(matrix.rows);
    for (row, scores) in matrix.values()?.chunks_exact(linear.width).zip(scores.chunks_exact_mut(count)) {
        add(row, &linear.coefficients, &linear.intercepts, &mut scores[..sums]);
        chosen.push(if sums == 1 { usize::from(scores[0] > 0.0) } else { highest(&scores[..sums]) });
        transform(scores, sums, linear.transform, second);
    }
    let scores = Tensor::from_shape(&[matrix.rows, count], &scores)?;
    Ok(tvec![labels(&linear.labels, &chosen)?, scores])
}

pub(super) fn regress(linear: &LinearRegressor, input: &Tensor) -> TractResult<Tensor> {
    let matrix = Matrix::<f32>::of(input)?;
    check_width(matrix.width, linear.width)?;
    let sums = linear.intercepts.len();
    let mut made = vec![0.0f32; matrix.rows * sums];
    for (row, made) in matrix.values()?.chunks_exact(linear.width).zip(made.chunks_exact_mut(sums)) {
        add(row, &linear.coefficients, &linear.intercepts, made);
        transform(made, sums, linear.transform, Second::No);
    }
    Tensor::from_shape(&[matrix.rows, sums], &made)
}

fn add(row: &[f32], coefficients: &[f32], intercepts: &[f32], sums: &mut [f32]) {
    let rows = coefficients.chunks_exact(row.len()).zip(intercepts);
    for ((coefficients, intercept), sum) in rows.zip(sums) {
        *sum = dot(row, coefficients) + intercept;
    }
}
