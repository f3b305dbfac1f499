//! The classification extension: of an output, the highest values with their
//! indices and, where the function has them, their labels.

use std::cmp::Ordering;
use std::fmt::Display;

use half::{bf16, f16};
use samara_nn::{Datatype, Element, Tensor};

use crate::error::{Error, Result};

/// The `top` highest values along the last axis, as strings `VALUE:INDEX` or
/// `VALUE:INDEX:LABEL`, highest first; of equal ones the first. The other axes
/// stay.
///
/// # Errors
/// [`Error::Malformed`] for an output that has no order or no axis.
pub(crate) fn classify(output: &str, tensor: &Tensor, top: usize, labels: &[String]) -> Result<Tensor> {
    match tensor.datatype() {
        Datatype::Uint8 => rank(output, tensor, top, labels, u8::cmp),
        Datatype::Uint16 => rank(output, tensor, top, labels, u16::cmp),
        Datatype::Uint32 => rank(output, tensor, top, labels, u32::cmp),
        Datatype::Uint64 => rank(output, tensor, top, labels, u64::cmp),
        Datatype::Int8 => rank(output, tensor, top, labels, i8::cmp),
        Datatype::Int16 => rank(output, tensor, top, labels, i16::cmp),
        Datatype::Int32 => rank(output, tensor, top, labels, i32::cmp),
        Datatype::Int64 => rank(output, tensor, top, labels, i64::cmp),
        Datatype::Fp16 => rank(output, tensor, top, labels, |a: &f16, b| order(a.to_f64(), b.to_f64())),
        Datatype::Bf16 => rank(output, tensor, top, labels, |a: &bf16, b| order(a.to_f64(), b.to_f64())),
        Datatype::Fp32 => rank(output, tensor, top, labels, |a: &f32, b| order((*a).into(), (*b).into())),
        Datatype::Fp64 => rank(output, tensor, top, labels, |a, b| order(*a, *b)),
        Datatype::Bool | Datatype::Bytes => Err(Error::Malformed(format!(
            "output `{output}` is {}, which cannot be classified; only numbers can",
            tensor.datatype()
        ))),
    }
}

fn rank<T: Element + Display>(
    output: &str,
    tensor: &Tensor,
    top: usize,
    labels: &[String],
    compare: impl Fn(&T, &T) -> Ordering,
) -> Result<Tensor> {
    let Some((&classes, outer)) = tensor.shape().split_last() else {
        let words = format!("output `{output}` is a single value, which cannot be classified");
        return Err(Error::Malformed(words));
    };
    let values = tensor.elements::<T>().map_err(internal)?;
    let top = top.min(classes);
    let mut found = Vec::with_capacity(values.len().checked_div(classes).unwrap_or(0) * top);
    let mut indices: Vec<usize> = Vec::with_capacity(classes);
    for row in values.chunks_exact(classes.max(1)) {
        indices.clear();
        indices.extend(0..classes);
        indices.sort_unstable_by(|&a, &b| compare(&row[b], &row[a]).then(a.cmp(&b)));
        found.extend(indices[..top].iter().map(|&index| match labels.get(index) {
            Some(label) => format!("{}:{index}:{label}", row[index]),
            None => format!("{}:{index}", row[index]),
        }));
    }
    let shape: Vec<usize> = outer.iter().copied().chain([top]).collect();
    Tensor::from_elements(shape, found).map_err(internal)
}

/// Numbers by size, and what is no number below all of them.
fn order(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

fn internal(error: samara_nn::TensorError) -> Error {
    Error::Internal(format!("classification: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn top(tensor: &Tensor, top: usize, labels: &[&str]) -> (Vec<usize>, Vec<String>) {
        let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        let classes = classify("y", tensor, top, &labels).unwrap();
        let text = |element: &[u8]| String::from_utf8(element.to_vec()).unwrap();
        (classes.shape().to_vec(), classes.byte_strings().unwrap().into_iter().map(text).collect())
    }

    #[test]
    fn rows_are_ranked_one_by_one() {
        let tensor = Tensor::from_vec([2, 3], vec![0.5f32, 0.25, 4.0, 1.0, 1.0, f32::NAN]).unwrap();
        let (shape, strings) = top(&tensor, 2, &["a", "b"]);
        assert_eq!(shape, [2, 2]);
        assert_eq!(strings, ["4:2", "0.5:0:a", "1:0:a", "1:1:b"]);
    }

    #[test]
    fn no_more_than_there_are() {
        let tensor = Tensor::from_vec([2], vec![i64::MIN, i64::MAX]).unwrap();
        let (shape, strings) = top(&tensor, usize::MAX, &[]);
        assert_eq!(shape, [2]);
        assert_eq!(strings, ["9223372036854775807:1", "-9223372036854775808:0"]);
        assert_eq!(top(&Tensor::from_vec([3, 0], Vec::<f32>::new()).unwrap(), 2, &[]).0, [3, 0]);
        assert_eq!(top(&Tensor::from_vec([0, 3], Vec::<f32>::new()).unwrap(), 2, &[]).0, [0, 2]);
    }

    #[test]
    fn what_has_no_order_is_refused_by_name() {
        let refusal = |tensor: &Tensor| classify("y", tensor, 1, &[]).unwrap_err().to_string();
        assert!(refusal(&Tensor::from_elements([1], ["a"]).unwrap()).contains("`y` is BYTES"));
        assert!(refusal(&Tensor::from_vec([], vec![1f32]).unwrap()).contains("single value"));
    }
}
