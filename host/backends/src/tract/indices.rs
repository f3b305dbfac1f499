//! Indices that lead nowhere: tract takes them for places in memory, where it
//! finds what belongs to another row, or nothing.

use tract_onnx::prelude::{DatumType, TVec, Tensor, TractResult};
use tract_onnx::tract_hir::internal::{IntoTValue, TValue, TypedNode, bail};
use tract_onnx::tract_hir::tract_core::ops::array::{
    Gather, GatherElements, GatherNd, ScatterElements, ScatterNd,
};

use crate::onnx::quote;

/// Checks the indices that a node is about to follow, and gives it inputs that it can
/// follow: some operators do not know those that count from the end.
///
/// # Errors
/// Names the node, the first index that is out of bounds, and the bounds.
pub(super) fn checked(node: &TypedNode, mut inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
    let [data, indices, ..] = &inputs[..] else { return Ok(inputs) };
    // Sizes that are computed as such cannot be out of bounds of a shape.
    if indices.datum_type() == DatumType::TDim {
        return Ok(inputs);
    }
    if let Some(gather) = node.op_as::<Gather>() {
        along(node, "Gather", data, indices, gather.axis)?;
    } else if let Some(gather) = node.op_as::<GatherElements>() {
        along(node, "GatherElements", data, indices, gather.axis)?;
    } else if let Some(scatter) = node.op_as::<ScatterElements>() {
        along(node, "ScatterElements", data, indices, scatter.axis)?;
    } else if let Some(gather) = node.op_as::<GatherNd>() {
        inputs[1] = from_start(node, "GatherND", data, indices, gather.batch_dims)?;
    } else if node.op_is::<ScatterNd>() {
        inputs[1] = from_start(node, "ScatterND", data, indices, 0)?;
    }
    Ok(inputs)
}

/// Indices along one axis.
fn along(node: &TypedNode, operator: &str, data: &Tensor, indices: &Tensor, axis: usize) -> TractResult<()> {
    let Some(&length) = data.shape().get(axis) else { return Ok(()) };
    let length = i64::try_from(length)?;
    let indices = indices.cast_to::<i64>()?;
    let mut indices = indices.try_as_plain_ram()?.as_slice::<i64>()?.iter();
    match indices.find(|&&index| index < -length || index >= length) {
        Some(&index) => nowhere(node, operator, index, length),
        None => Ok(()),
    }
}

/// Indices along several axes, one behind the other: all of them counted from the
/// start.
fn from_start(
    node: &TypedNode,
    operator: &str,
    data: &Tensor,
    indices: &Tensor,
    first: usize,
) -> TractResult<TValue> {
    let mut counted = indices.cast_to::<i64>()?.into_owned();
    let count = indices.shape().last().copied().unwrap_or(0);
    let Some(lengths) = data.shape().get(first..first.saturating_add(count)) else {
        bail!(
            "node {} (operator `{operator}`) has indices along {count} axes from axis {first} on, of {}",
            quote(&node.name),
            data.rank()
        )
    };
    if count > 0 {
        let mut counted = counted.try_as_plain_ram_mut()?;
        for place in counted.as_slice_mut::<i64>()?.chunks_exact_mut(count) {
            for (index, &length) in place.iter_mut().zip(lengths) {
                let length = i64::try_from(length)?;
                if *index < -length || *index >= length {
                    nowhere(node, operator, *index, length)?;
                }
                *index += if *index < 0 { length } else { 0 };
            }
        }
    }
    Ok(counted.into_tvalue())
}

fn nowhere(node: &TypedNode, operator: &str, index: i64, length: i64) -> TractResult<()> {
    let name = quote(&node.name);
    let there = if length == 0 {
        "nothing is there".to_owned()
    } else {
        format!("from {} to {} are there", -length, length - 1)
    };
    bail!("node {name} (operator `{operator}`) has the index {index} for an axis of {length}: {there}")
}
