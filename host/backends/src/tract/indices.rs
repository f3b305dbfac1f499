//! Indices that lead nowhere: tract takes them for places in memory, where it
//! finds what belongs to another row, or nothing.

use tract_onnx::prelude::{DatumType, TVec, TractResult};
use tract_onnx::tract_hir::internal::{TValue, TypedNode, bail};
use tract_onnx::tract_hir::tract_core::ops::array::Gather;

use crate::onnx::quote;

/// Checks the indices that a `Gather` is about to follow.
///
/// # Errors
/// Names the node, the first index that is out of bounds, and the bounds.
pub(super) fn check(node: &TypedNode, inputs: &TVec<TValue>) -> TractResult<()> {
    let (Some(gather), [data, indices]) = (node.op_as::<Gather>(), &inputs[..]) else { return Ok(()) };
    let Some(&length) = data.shape().get(gather.axis) else { return Ok(()) };
    // Sizes that are computed as such cannot be out of bounds of a shape.
    if indices.datum_type() == DatumType::TDim {
        return Ok(());
    }
    let length = i64::try_from(length)?;
    let indices = indices.cast_to::<i64>()?;
    let mut indices = indices.try_as_plain_ram()?.as_slice::<i64>()?.iter();
    if let Some(index) = indices.find(|&&index| index < -length || index >= length) {
        bail!(
            "node {} (operator `Gather`) has the index {index} for an axis of {length}: from {} to {} are there",
            quote(&node.name),
            -length,
            length - 1
        );
    }
    Ok(())
}
