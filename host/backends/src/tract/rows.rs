//! Whether the rows of a model's tensors stand each for themselves: followed
//! through the graph, operator by operator, on the model that tract inferred.

use samara_nn::Batching;
use tract_onnx::prelude::{OutletId, TDim, TypedModel};
use tract_onnx::tract_hir::internal::{AxisOp, DatumType, InOut, TypedNode};
use tract_onnx::tract_hir::tract_core::ops::Downsample;
use tract_onnx::tract_hir::tract_core::ops::array::{Gather, MultiBroadcastTo, Pad, Slice, TypedConcat};
use tract_onnx::tract_hir::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_hir::tract_core::ops::cast::Cast;
use tract_onnx::tract_hir::tract_core::ops::cnn::{Conv, Deconv, MaxPool, SumPool};
use tract_onnx::tract_hir::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_hir::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_hir::tract_core::ops::identity::Identity;
use tract_onnx::tract_hir::tract_core::ops::konst::Const;
use tract_onnx::tract_hir::tract_core::ops::logic::Iff;
use tract_onnx::tract_hir::tract_core::ops::nn::{Reduce, RmsNorm, Softmax};
use tract_onnx::tract_hir::tract_core::ops::quant::DequantizeLinearF32;
use tract_onnx::tract_hir::tract_core::ops::source::TypedSource;

use super::ml::Placed;
use super::quantised::{GlobalAverage, NarrowSoftmax, Step};

/// [`Batching::Rows`] when axis 0 of every input and output is one and the same
/// open size, and no operator mixes what lies along it. Operators that are not
/// known here, recurrent ones among them, count as mixing.
pub(crate) fn batching(model: &TypedModel) -> Batching {
    match follow(model) {
        Some(()) => Batching::Rows,
        None => Batching::None,
    }
}

/// The axis along which a tensor's rows lie, `None` where it has none.
type Rows = Option<usize>;

/// `None` as soon as rows may depend on one another or on their number.
fn follow(model: &TypedModel) -> Option<()> {
    let inputs = model.input_outlets().ok()?;
    let outputs = model.output_outlets().ok()?;
    let size = model.outlet_fact(*inputs.first()?).ok()?.shape.first()?.clone();
    if !matches!(size, TDim::Sym(_)) {
        return None;
    }
    let mut rows: Vec<Rows> = vec![None; model.nodes().len()];
    for id in model.eval_order().ok()? {
        let node = model.node(id);
        let sizes = node.outputs.iter().any(|output| output.fact.datum_type == DatumType::TDim);
        if sizes && !makes_numbers_sizes(model, node) {
            // A size that is a value: what is made of it may depend on the number of rows.
            return None;
        }
        rows[id] = if node.op_is::<TypedSource>() {
            Some(0)
        } else {
            let given: Vec<Rows> = node.inputs.iter().map(|input| rows[input.node]).collect();
            through(model, node, &given)?
        };
    }
    let leads = |outlet: &OutletId| {
        let fact = model.outlet_fact(*outlet).ok();
        rows[outlet.node] == Some(0) && fact.is_some_and(|fact| fact.shape.first() == Some(&size))
    };
    (inputs.iter().all(leads) && outputs.iter().all(leads)).then_some(())
}

/// Whether a node only turns numbers into what tract has for those of 64 bits that
/// may be sizes.
fn makes_numbers_sizes(model: &TypedModel, node: &TypedNode) -> bool {
    let is_number =
        |input: &OutletId| model.outlet_fact(*input).is_ok_and(|fact| fact.datum_type != DatumType::TDim);
    node.op_is::<Cast>() && node.inputs.iter().all(is_number)
}

/// Where the rows of a node's inputs lie in its outputs; the outer `None` when
/// the node may mix them.
fn through(model: &TypedModel, node: &TypedNode, given: &[Rows]) -> Option<Rows> {
    if node.op_is::<Const>() || given.iter().all(Option::is_none) {
        return Some(None);
    }
    let is_each_alone = node.op_is::<ElementWiseOp>()
        || node.op_is::<DequantizeLinearF32>()
        || node.op_is::<Cast>()
        || node.op_is::<Identity>();
    if is_each_alone {
        return Some(given[0]);
    }
    if node.op_is::<TypedBinOp>() || node.op_is::<Iff>() {
        return side_by_side(model, node, given);
    }
    if let Some(einsum) = node.op_as::<EinSum>() {
        return through_einsum(einsum, given);
    }
    if node.op_is::<TypedConcat>() && given.iter().any(|rows| rows != &given[0]) {
        return None;
    }
    if let Some(learned) = node.op_as::<Placed>() {
        let rank = model.outlet_fact(node.inputs[0]).ok()?.rank();
        return (given.iter().all(|rows| *rows == Some(0)) && learned.keeps_rows(rank)).then_some(Some(0));
    }
    // The rest works on its first input; the others are its parameters.
    let axis = given[0];
    if let Some(gather) = node.op_as::<Gather>() {
        return match (axis, given[1]) {
            (None, Some(axis)) => Some(Some(gather.axis + axis)),
            (Some(axis), None) if axis < gather.axis => Some(Some(axis)),
            _ => None,
        };
    }
    let axis = axis?;
    if !node.op_is::<TypedConcat>() && given[1..].iter().any(Option::is_some) {
        return None;
    }
    let kept = if let Some(change) = node.op_as::<AxisOp>() {
        return change.transform_axis(axis).map(Some);
    } else if let Some(reduce) = node.op_as::<Reduce>() {
        !reduce.axes.contains(&axis)
    } else if let Some(softmax) = node.op_as::<Softmax>() {
        !softmax.axes.contains(&axis)
    } else if let Some(softmax) = node.op_as::<NarrowSoftmax>() {
        softmax.keeps(axis)
    } else if let Some(step) = node.op_as::<Step>() {
        step.keeps(axis)
    } else if node.op_is::<GlobalAverage>() {
        axis < 2
    } else if let Some(norm) = node.op_as::<RmsNorm>() {
        norm.axis != axis
    } else if let Some(concat) = node.op_as::<TypedConcat>() {
        concat.axis != axis
    } else if let Some(slice) = node.op_as::<Slice>() {
        slice.axis != axis
    } else if let Some(conv) = node.op_as::<Conv>() {
        axis == 0 && conv.pool_spec.data_format.has_n()
    } else if let Some(conv) = node.op_as::<Deconv>() {
        axis == 0 && conv.pool_spec.data_format.has_n()
    } else if let Some(some) = node.op_as::<Downsample>() {
        some.axis != axis
    } else if let Some(pad) = node.op_as::<Pad>() {
        pad.pads.get(axis) == Some(&(0, 0))
    } else if let Some(pool) = node.op_as::<MaxPool>() {
        axis == 0 && pool.pool_spec.data_format.has_n()
    } else if let Some(pool) = node.op_as::<SumPool>() {
        axis == 0 && pool.pool_spec.data_format.has_n()
    } else if let Some(broadcast) = node.op_as::<MultiBroadcastTo>() {
        let rank = model.outlet_fact(node.inputs[0]).ok()?.rank();
        return Some(Some(axis + broadcast.shape.rank().checked_sub(rank)?));
    } else {
        false
    };
    kept.then_some(Some(axis))
}

/// Tensors that meet element by element: rows must lie along one axis, and what
/// has no rows must be the same for all.
fn side_by_side(model: &TypedModel, node: &TypedNode, given: &[Rows]) -> Option<Rows> {
    let axis = given.iter().copied().flatten().next()?;
    for (input, rows) in node.inputs.iter().zip(given) {
        let fits = match rows {
            Some(rows) => *rows == axis,
            None => model.outlet_fact(*input).ok()?.shape.get(axis)?.is_one(),
        };
        if !fits {
            return None;
        }
    }
    Some(Some(axis))
}

fn through_einsum(einsum: &EinSum, given: &[Rows]) -> Option<Rows> {
    let (first, axis) = given.iter().enumerate().find_map(|(slot, rows)| Some((slot, (*rows)?)))?;
    let label = einsum.axes.axis((InOut::In(first), axis)).ok()?;
    for (slot, rows) in given.iter().enumerate() {
        let fits = match rows {
            Some(axis) => label.inputs[slot][..] == [*axis],
            None => label.inputs[slot].is_empty(),
        };
        if !fits {
            return None;
        }
    }
    match label.outputs[0][..] {
        [axis] => Some(Some(axis)),
        _ => None,
    }
}
