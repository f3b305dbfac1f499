//! What changes the numbers of a row one by one, or all by one factor.

use tract_onnx::prelude::TractResult;
use tract_onnx::tract_hir::internal::{DatumType, TValue, Tensor, bail};

use super::matrix::{Matrix, check_width};
use crate::onnx::learned::{Binarizer, FeatureVectorizer, Imputed, Imputer, Norm, Normalizer, Scaler};

pub(super) fn scale(scaler: &Scaler, input: &Tensor) -> TractResult<Tensor> {
    let learned = scaler.scale.len();
    let pick = |index: usize, width: usize| if learned == 1 { 0 } else { index % width };
    let made = if input.datum_type() == DatumType::F64 {
        let matrix = Matrix::<f64>::of(input)?;
        let each = matrix.values()?.iter().enumerate().map(|(index, value)| {
            let place = pick(index, matrix.width);
            ((value - f64::from(scaler.offset[place])) * f64::from(scaler.scale[place])) as f32
        });
        check_each(matrix.width, learned)?;
        each.collect::<Vec<f32>>()
    } else {
        let matrix = Matrix::<f32>::of(input)?;
        check_each(matrix.width, learned)?;
        let each = matrix.values()?.iter().enumerate().map(|(index, value)| {
            let place = pick(index, matrix.width);
            (value - scaler.offset[place]) * scaler.scale[place]
        });
        each.collect()
    };
    Tensor::from_shape(input.shape(), &made)
}

pub(super) fn normalize(normalizer: &Normalizer, input: &Tensor) -> TractResult<Tensor> {
    let matrix = Matrix::<f32>::of(input)?;
    let mut made = matrix.values()?.to_vec();
    for row in made.chunks_exact_mut(matrix.width.max(1)) {
        match normalizer.norm {
            // The largest number, not the one with the largest magnitude.
            Norm::Max => divide(row, row.iter().copied().fold(f32::MIN, f32::max)),
            Norm::L1 => divide(row, row.iter().map(|value| value.abs()).sum()),
            Norm::L2 => divide(row, row.iter().map(|value| value * value).sum::<f32>().sqrt()),
        }
    }
    Tensor::from_shape(input.shape(), &made)
}

pub(super) fn binarize(binarizer: &Binarizer, input: &Tensor) -> TractResult<Tensor> {
    let values = input.cast_to::<f64>()?;
    let threshold = f64::from(binarizer.threshold);
    let above = values.try_as_plain_ram()?.as_slice::<f64>()?.iter();
    let made: Vec<f32> = above.map(|&value| if value > threshold { 1.0 } else { 0.0 }).collect();
    Ok(Tensor::from_shape(input.shape(), &made)?.cast_to_dt(input.datum_type())?.into_owned())
}

/// The datatype of what an imputer takes and gives.
pub(super) fn imputed(imputer: &Imputer) -> DatumType {
    match imputer.values {
        Imputed::Floats { .. } => DatumType::F32,
        Imputed::Ints { .. } => DatumType::I64,
    }
}

pub(super) fn impute(imputer: &Imputer, input: &Tensor) -> TractResult<Tensor> {
    match &imputer.values {
        Imputed::Floats { mark, values } => {
            replace(input, values, |value: f32| value == *mark || (value.is_nan() && mark.is_nan()))
        }
        Imputed::Ints { mark, values } => replace(input, values, |value: i64| value == *mark),
    }
}

pub(super) fn vectorize(vectorizer: &FeatureVectorizer, inputs: &[TValue]) -> TractResult<Tensor> {
    let total: usize = vectorizer.widths.iter().sum();
    let matrices = inputs.iter().map(|input| Matrix::<f32>::of(input)).collect::<TractResult<Vec<_>>>()?;
    let rows = matrices.first().map_or(0, |matrix| matrix.rows);
    let mut made = vec![0.0f32; rows * total];
    let mut offset = 0;
    for (matrix, &width) in matrices.iter().zip(&vectorizer.widths) {
        if matrix.rows != rows {
            bail!("its inputs have {rows} rows and {}", matrix.rows);
        }
        // What is too long is cut, what is too short ends with zeros.
        let taken = width.min(matrix.width);
        for (row, from) in matrix.values()?.chunks_exact(matrix.width.max(1)).enumerate() {
            let start = row * total + offset;
            made[start..start + taken].copy_from_slice(&from[..taken]);
        }
        offset += width;
    }
    Tensor::from_shape(&[rows, total], &made)
}

fn replace<T>(input: &Tensor, values: &[T], is_missing: impl Fn(T) -> bool) -> TractResult<Tensor>
where
    T: tract_onnx::tract_hir::internal::Datum + Copy,
{
    let matrix = Matrix::<T>::of(input)?;
    check_each(matrix.width, values.len())?;
    let each = matrix.values()?.iter().enumerate().map(|(index, &value)| {
        let place = if values.len() == 1 { 0 } else { index % matrix.width };
        if is_missing(value) { values[place] } else { value }
    });
    Tensor::from_shape(input.shape(), &each.collect::<Vec<T>>())
}

fn check_each(width: usize, learned: usize) -> TractResult<()> {
    if learned == 1 { Ok(()) } else { check_width(width, learned) }
}

/// A row of zeros stays one.
fn divide(row: &mut [f32], by: f32) {
    if by != 0.0 {
        row.iter_mut().for_each(|value| *value /= by);
    }
}
