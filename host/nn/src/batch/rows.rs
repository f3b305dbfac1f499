//! Tensors laid row by row behind each other, and taken apart again.

use bytes::Bytes;

use super::queue::Merge;
use crate::datatype::Datatype;
use crate::signature::{ANY_SIZE, Signature, TensorSpec};
use crate::tensor::Tensor;

/// The first input or output of a signature whose axis 0 is not open, so that
/// rows cannot be laid along it; `None` when all are open.
pub(crate) fn closed_axis(signature: &Signature) -> Option<&TensorSpec> {
    let closed = |spec: &&TensorSpec| spec.shape.first() != Some(&ANY_SIZE);
    signature.inputs.iter().chain(&signature.outputs).find(closed)
}

/// The terms on which these inputs may be merged with others of the same
/// signature; `None` for inputs without one common number of rows.
pub(crate) fn merge(signature: &Signature, inputs: &[Tensor], most: usize) -> Option<Merge> {
    let rows = row_count(inputs)?;
    let mut group = Vec::new();
    for (spec, tensor) in signature.inputs.iter().zip(inputs) {
        let open =
            spec.shape.iter().zip(tensor.shape()).skip(1).filter(|(declared, _)| **declared == ANY_SIZE);
        group.extend(open.map(|(_, size)| *size));
    }
    Some(Merge { rows, most, group })
}

/// The size of axis 0, where all tensors have the same and it is not 0.
pub(crate) fn row_count(tensors: &[Tensor]) -> Option<usize> {
    let rows = tensors.first()?.shape().first().copied().filter(|rows| *rows > 0)?;
    tensors.iter().all(|tensor| tensor.shape().first() == Some(&rows)).then_some(rows)
}

/// Lays the inputs of several calls behind each other, tensor by tensor. All
/// have the same number of tensors, equal but for axis 0.
pub(crate) fn join(calls: &[&[Tensor]]) -> Vec<Tensor> {
    let Some(first) = calls.first() else {
        return Vec::new();
    };
    let column = |index: usize| calls.iter().map(move |call| &call[index]);
    (0..first.len())
        .map(|index| {
            let mut data = Vec::with_capacity(column(index).map(|tensor| tensor.data().len()).sum());
            let mut shape = first[index].shape().to_vec();
            shape[0] = 0;
            for tensor in column(index) {
                data.extend_from_slice(tensor.data());
                shape[0] += tensor.shape()[0];
            }
            Tensor::from_checked(first[index].datatype(), shape, data.into())
        })
        .collect()
}

/// Cuts each tensor into pieces of so many rows and gives the pieces of each
/// call. `None` when a tensor does not have just these rows.
pub fn split(tensors: &[Tensor], rows: &[usize]) -> Option<Vec<Vec<Tensor>>> {
    let total: usize = rows.iter().sum();
    let mut calls: Vec<Vec<Tensor>> = rows.iter().map(|_| Vec::with_capacity(tensors.len())).collect();
    for tensor in tensors {
        if tensor.shape().first() != Some(&total) {
            return None;
        }
        let inner: usize = tensor.shape()[1..].iter().product();
        let mut begin = 0;
        for (call, &rows) in calls.iter_mut().zip(rows) {
            let end = begin + byte_length(tensor, begin, rows * inner);
            let mut shape = tensor.shape().to_vec();
            shape[0] = rows;
            call.push(Tensor::from_checked(tensor.datatype(), shape, tensor.data().slice(begin..end)));
            begin = end;
        }
    }
    Some(calls)
}

/// The bytes of so many elements of a tensor from `begin` on.
fn byte_length(tensor: &Tensor, begin: usize, elements: usize) -> usize {
    match tensor.datatype().size() {
        Some(size) => elements * size,
        None => strings_length(&tensor.data().slice(begin..), elements),
    }
}

/// The bytes of so many length-prefixed elements, which are known to be sound.
fn strings_length(data: &Bytes, elements: usize) -> usize {
    let mut length = 0;
    for _ in 0..elements {
        let Some((prefix, _)) = data[length..].split_first_chunk::<4>() else {
            break;
        };
        length += 4 + u32::from_le_bytes(*prefix) as usize;
    }
    length
}

/// Whether two runs gave the same, but for what rounding in another order does
/// to floats.
pub(crate) fn alike(one: &[Tensor], other: &[Tensor]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| {
            one == other || (one.shape() == other.shape() && floats_alike(one, other).unwrap_or(false))
        })
}

/// `None` for tensors without floats.
fn floats_alike(one: &Tensor, other: &Tensor) -> Option<bool> {
    let tolerance = match one.datatype() {
        Datatype::Fp32 | Datatype::Fp64 => 1e-3,
        Datatype::Fp16 | Datatype::Bf16 => 2e-2,
        _ => return None,
    };
    let (one, other) = (floats(one)?, floats(other)?);
    let largest =
        one.iter().filter(|value| value.is_finite()).fold(1.0f64, |most, value| most.max(value.abs()));
    let close = |(one, other): (&f64, &f64)| {
        one == other || (one.is_nan() && other.is_nan()) || (one - other).abs() <= tolerance * largest
    };
    Some(one.len() == other.len() && one.iter().zip(&other).all(close))
}

fn floats(tensor: &Tensor) -> Option<Vec<f64>> {
    Some(match tensor.datatype() {
        Datatype::Fp32 => tensor.elements::<f32>().ok()?.iter().map(|&value| f64::from(value)).collect(),
        Datatype::Fp64 => tensor.elements::<f64>().ok()?.to_vec(),
        Datatype::Fp16 => tensor.elements::<half::f16>().ok()?.iter().map(|value| value.to_f64()).collect(),
        Datatype::Bf16 => tensor.elements::<half::bf16>().ok()?.iter().map(|value| value.to_f64()).collect(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_joined_comes_apart_again() {
        let words = |rows: usize, words: &[&str]| Tensor::from_elements([rows, 2], words).unwrap();
        let floats = |rows: usize, from: f32| {
            let values = (0..rows * 3).map(|index| from + index as f32).collect();
            Tensor::from_vec([rows, 3], values).unwrap()
        };
        let calls = [
            vec![words(1, &["a", ""]), floats(1, 0.0)],
            vec![words(2, &["bcd", "e", "f", "gh"]), floats(2, 10.0)],
        ];
        let joined = join(&[&calls[0], &calls[1]]);
        assert_eq!(joined[0], words(3, &["a", "", "bcd", "e", "f", "gh"]));
        assert_eq!(joined[1].shape(), [3, 3]);
        assert_eq!(split(&joined, &[1, 2]).unwrap(), calls);
        assert!(split(&joined, &[1, 1]).is_none(), "a row is left over");
    }

    #[test]
    fn only_equal_numbers_of_rows_make_a_call_that_merges() {
        let signature = Signature {
            inputs: vec![
                TensorSpec::new("a", Datatype::Fp32, [-1, -1, 2]),
                TensorSpec::new("b", Datatype::Fp32, [-1]),
            ],
            outputs: vec![TensorSpec::new("y", Datatype::Fp32, [-1])],
        };
        let tensor = |shape: &[usize]| Tensor::from_vec(shape, vec![0f32; shape.iter().product()]).unwrap();
        let terms = |a: usize, b: usize| merge(&signature, &[tensor(&[a, 5, 2]), tensor(&[b])], 8);
        assert_eq!(terms(3, 3), Some(Merge { rows: 3, most: 8, group: vec![5] }));
        assert_eq!(terms(3, 2), None);
        assert_eq!(terms(0, 0), None);
        assert!(closed_axis(&signature).is_none());
        let fixed = Signature { inputs: vec![TensorSpec::new("x", Datatype::Fp32, [1, 2])], ..signature };
        assert_eq!(closed_axis(&fixed).unwrap().name, "x");
    }

    #[test]
    fn rounding_is_told_from_other_differences() {
        let tensor = |values: &[f32]| vec![Tensor::from_vec([values.len()], values.to_vec()).unwrap()];
        assert!(alike(&tensor(&[1.0, f32::NAN]), &tensor(&[1.000_01, f32::NAN])));
        assert!(!alike(&tensor(&[1.0, 2.0]), &tensor(&[1.0, 2.1])));
        let counts = |value: i64| vec![Tensor::from_vec([1], vec![value]).unwrap()];
        assert!(alike(&counts(3), &counts(3)) && !alike(&counts(3), &counts(4)));
    }
}
