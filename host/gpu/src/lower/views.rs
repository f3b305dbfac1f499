//! Operators that only change how a tensor is addressed.

use tract_core::internal::{AxisOp, TDim, TypedNode};
use tract_core::ops::Downsample;
use tract_core::ops::array::{MultiBroadcastTo, Slice, Tile};
use tract_core::ops::identity::Identity;

use super::{Lowered, Lowering};
use crate::view::{Axis, View};

pub(super) fn lower(lowering: &mut Lowering<'_>, node: &TypedNode) -> Lowered {
    let changed = if node.op_is::<Identity>() {
        lowering.view(node.inputs[0])
    } else if let Some(op) = node.op_as::<AxisOp>() {
        lowering.view(node.inputs[0]).and_then(|view| change(lowering, view, op, &node.name))
    } else if let Some(slice) = node.op_as::<Slice>() {
        lowering.view(node.inputs[0]).map(|mut view| {
            let size = (slice.end.clone() - &slice.start).simplify();
            view.cut(slice.axis, slice.start.clone(), 1, size);
            view
        })
    } else if let Some(downsample) = node.op_as::<Downsample>() {
        self::downsample(lowering, node, downsample)
    } else if let Some(op) = node.op_as::<Tile>() {
        tile(lowering, node, op)
    } else if let Some(broadcast) = node.op_as::<MultiBroadcastTo>() {
        let shape: Vec<TDim> = broadcast.shape.iter().cloned().collect();
        lowering.view(node.inputs[0]).map(|view| lowering.broadcast(view, &shape))
    } else {
        return None;
    };
    Some(changed.map(|view| vec![view]))
}

/// A tensor with its axes changed, copied where there is no other way.
pub(super) fn change(
    lowering: &mut Lowering<'_>,
    mut view: View,
    change: &AxisOp,
    node: &str,
) -> Result<View, String> {
    match change {
        AxisOp::Add(at) => view.insert_axis(*at),
        AxisOp::Rm(at) => view.remove_axis(*at),
        AxisOp::Move(from, to) => view.move_axis(*from, *to),
        AxisOp::Reshape(at, from, to) => {
            if let Some(reshaped) = view.reshape(*at, from.len(), to) {
                return Ok(reshaped);
            }
            let copy = lowering.row_major(view, node);
            return copy
                .reshape(*at, from.len(), to)
                .ok_or_else(|| "its shape cannot be followed".to_owned());
        }
    }
    Ok(view)
}

fn downsample(lowering: &mut Lowering<'_>, node: &TypedNode, op: &Downsample) -> Result<View, String> {
    let mut view = lowering.view(node.inputs[0])?;
    let (_, shape) = lowering.fact(node.id.into())?;
    // Backwards from the last element.
    let start = match op.stride {
        ..0 => view.axes[op.axis].size.clone() - 1,
        _ => TDim::from(op.modulo as i64),
    };
    view.cut(op.axis, start, op.stride as i64, shape[op.axis].clone());
    Ok(view)
}

/// The tensor again and again along its axes.
fn tile(lowering: &mut Lowering<'_>, node: &TypedNode, op: &Tile) -> Result<View, String> {
    let mut view = lowering.view(node.inputs[0])?;
    let (dtype, shape) = lowering.fact(node.id.into())?;
    for (axis, times) in op.multipliers.iter().enumerate() {
        view.axes.insert(2 * axis, Axis { size: times.clone(), stride: TDim::from(0) });
    }
    let copy = lowering.copied(&view, &node.name);
    Ok(View::whole(copy.root, dtype, &shape))
}
