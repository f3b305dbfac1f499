//! Tensors made larger and smaller along their axes, one axis after the other.

use std::sync::Arc;

use tract_core::internal::{
    Datum, DatumTypeExt, EvalContext, EvalOp, IntoTValue, Op, StaticName, TDim, TValue, TVec, ToDim,
    TractResult, TypedFact, TypedNode, TypedOp, as_op, op_as_typed_op, op_out_of_plan, tensor1, tvec,
};
use tract_core::ops::nn::resize::{NearestUpsample, Resize, window_size};

use super::each::Each;
use super::{Lowered, Lowering};
use crate::derived::Derived;
use crate::dtype::Dtype;
use crate::program::Origin;
use crate::shader::Kernel;
use crate::view::{Axis, View, same};

static RESAMPLE: Kernel = Kernel {
    name: "resample",
    body: include_str!("../kernels/resample.wgsl"),
    params: &["count", "inner", "length", "window", "stride"],
};

pub(super) fn lower(lowering: &mut Lowering<'_>, node: &TypedNode) -> Lowered {
    if let Some(op) = node.op_as::<NearestUpsample>() {
        return Some(repeated(lowering, node, op).map(|view| vec![view]));
    }
    let op = node.op_as::<Resize>()?;
    Some(resized(lowering, node, op).map(|view| vec![view]))
}

/// Every element as often as the axes' factors say.
fn repeated(lowering: &mut Lowering<'_>, node: &TypedNode, op: &NearestUpsample) -> Result<View, String> {
    let mut view = lowering.view(node.inputs[0])?;
    let (_, shape) = lowering.fact(node.id.into())?;
    for (axis, &factor) in op.scales.iter().enumerate().rev().filter(|&(_, &factor)| factor > 1) {
        view.axes.insert(axis + 1, Axis { size: TDim::from(factor as i64), stride: TDim::from(0) });
    }
    let copy = lowering.copied(&view, &node.name);
    Ok(View::whole(copy.root, copy.dtype, &shape))
}

fn resized(lowering: &mut Lowering<'_>, node: &TypedNode, op: &Resize) -> Result<View, String> {
    let mut view = lowering.view(node.inputs[0])?;
    if !view.dtype.is_float() {
        return Err(format!("the GPU does not resize {:?}", view.dtype));
    }
    let (dtype, shape) = lowering.fact(node.id.into())?;
    let scales = scales(lowering, node, op, shape.len())?;
    let changed = (0..shape.len()).filter(|&axis| {
        let grows = scales.as_ref().is_some_and(|scales| scales[axis] != 1.0);
        grows || !same(&view.axes[axis].size, &shape[axis])
    });
    let changed: Vec<usize> = changed.collect();
    let Some(&last) = changed.last() else { return Ok(view) };
    for axis in changed {
        // What lies between two axes keeps all its bits.
        let dtype = if axis == last { dtype } else { Dtype::F32 };
        let along =
            Along { axis, to: shape[axis].clone(), scale: scales.as_ref().map(|scales| scales[axis]) };
        view = resampled(lowering, node, op, view, along, dtype);
    }
    Ok(view)
}

/// The factors of the axes; `None` where the sizes are given.
fn scales(
    lowering: &Lowering<'_>,
    node: &TypedNode,
    op: &Resize,
    rank: usize,
) -> Result<Option<Vec<f32>>, String> {
    let Some(&outlet) = op.optional_scales_input.and_then(|index| node.inputs.get(index)) else {
        return Ok(None);
    };
    let known = lowering.known(outlet).ok_or_else(|| "its factors are no constants".to_owned())?;
    let factors = known.cast_to::<f32>().map_err(|error| error.to_string())?;
    let factors = factors.try_as_plain_ram().map_err(|error| error.to_string())?;
    let factors = factors.as_slice::<f32>().map_err(|error| error.to_string())?;
    Ok((factors.len() == rank).then(|| factors.to_vec()))
}

/// An axis that is resampled.
struct Along {
    axis: usize,
    to: TDim,
    /// `None`: as the sizes say.
    scale: Option<f32>,
}

fn resampled(
    lowering: &mut Lowering<'_>,
    node: &TypedNode,
    op: &Resize,
    input: View,
    along: Along,
    dtype: Dtype,
) -> View {
    let Along { axis, to, scale } = along;
    let from = input.axes[axis].clone();
    let window = window_size(&op.interpolator, false, 1.0);
    let table = |lowering: &mut Lowering<'_>, kind: Kind| {
        let op = AxisTable {
            resize: op.clone(),
            scale: scale.map(f32::to_bits),
            from: from.size.clone(),
            to: to.clone(),
            kind,
        };
        let shape = vec![to.clone(), TDim::from(window as i64)];
        let derived = Derived { op: Box::new(op), inputs: Vec::new(), slot: 0, shape: shape.clone() };
        let root = lowering.buffer(kind.dtype(), &shape, Origin::Derived(Arc::new(derived)));
        View::whole(root, kind.dtype(), &shape)
    };
    let (places, weights) = (table(lowering, Kind::Places), table(lowering, Kind::Weights));
    let mut shape = input.shape();
    shape[axis] = to.clone();
    let out = View::whole(lowering.buffer(dtype, &shape, Origin::Step), dtype, &shape);
    let part = |axes: &[Axis], offset: TDim| View { axes: axes.to_vec(), offset, ..input.clone() };
    let inner = part(&input.axes[axis + 1..], TDim::from(0));
    Each::new(&RESAMPLE, &out)
        .finding("f32")
        .input("input", &input)
        .input("places", &places)
        .input("weights", &weights)
        .place("outer_place", part(&input.axes[..axis], input.offset.clone()))
        .place("inner_place", inner.clone())
        .number(inner.volume())
        .number(to)
        .number(window as i64)
        .number(from.stride)
        .rounds(2 * window as u64)
        .push(lowering, node);
    out
}

/// A table of an axis: for every element of the output those of the input that
/// it is made of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct AxisTable {
    resize: Resize,
    /// The bits of the factor.
    scale: Option<u32>,
    from: TDim,
    to: TDim,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Places,
    Weights,
}

impl Kind {
    fn dtype(self) -> Dtype {
        match self {
            Kind::Places => Dtype::I32,
            Kind::Weights => Dtype::F32,
        }
    }
}

impl Op for AxisTable {
    fn name(&self) -> StaticName {
        "ResizeTable".into()
    }

    op_as_typed_op!();
}

impl EvalOp for AxisTable {
    op_out_of_plan!();

    fn eval(&self, context: &EvalContext, _: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let [from, to] = [&self.from, &self.to].map(|size| size.eval_to_i64(context.symbols));
        let (from, to) = (from? as usize, to? as usize);
        let scale = self.scale.map_or(to as f32 / from as f32, f32::from_bits);
        let plan = self.resize.plan_axis(scale, from, to);
        let table = match self.kind {
            Kind::Weights => tensor1(&plan.weights),
            Kind::Places => tensor1(&plan.indices.iter().map(|&place| place as i32).collect::<Vec<i32>>()),
        };
        Ok(tvec![table.into_shape(&[to, plan.window])?.into_tvalue()])
    }
}

impl TypedOp for AxisTable {
    as_op!();

    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let window = window_size(&self.resize.interpolator, false, 1.0);
        let dtype = if self.kind == Kind::Places { i32::datum_type() } else { f32::datum_type() };
        Ok(tvec![dtype.fact([self.to.clone(), window.to_dim()])])
    }
}
