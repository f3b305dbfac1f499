//! Tensors made larger and smaller along their axes, one axis after the other.

use std::sync::Arc;

use tract_core::internal::{
    Datum, DatumTypeExt, EvalContext, EvalOp, IntoTValue, Op, StaticName, TDim, TValue, TVec, ToDim,
    TractResult, TypedFact, TypedNode, TypedOp, as_op, op_as_typed_op, op_out_of_plan, tensor1, tvec,
};
use tract_core::ops::nn::resize::{NearestUpsample, Resize, window_size};

use super::launch::{THREADS, launch, params, spread};
use super::{Lowered, Lowering};
use crate::derived::Derived;
use crate::dtype::Dtype;
use crate::error::Result;
use crate::program::{Cost, Launch, Origin, Root, Step};
use crate::schedule::Sizes;
use crate::shader::{Kernel, Spec, Variant};
use crate::tail::{Tail, render_place};
use crate::view::{Axis, View, same, volume};

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
        lowering.buffer(kind.dtype(), &shape, Origin::Derived(Arc::new(derived)))
    };
    let (places, weights) = (table(lowering, Kind::Places), table(lowering, Kind::Weights));
    let mut shape = input.shape();
    shape[axis] = to.clone();
    let root = lowering.buffer(dtype, &shape, Origin::Step);
    let part = |axes: &[Axis], offset: TDim| View { axes: axes.to_vec(), offset, ..input.clone() };
    let step = Resampling {
        outer: part(&input.axes[..axis], input.offset.clone()),
        inner: part(&input.axes[axis + 1..], TDim::from(0)),
        stride: from.stride,
        length: to,
        window: window as u32,
        places,
        weights,
        tail: Tail::of_kernel(dtype),
        out: root,
    };
    lowering.push(Box::new(step), vec![node.name.clone()]);
    View::whole(root, dtype, &shape)
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

struct Resampling {
    /// The axes before the one that is resampled, and where the input begins.
    outer: View,
    inner: View,
    /// Along the axis that is resampled.
    stride: TDim,
    /// Of that axis in the output.
    length: TDim,
    window: u32,
    places: Root,
    weights: Root,
    tail: Tail,
    out: Root,
}

impl Step for Resampling {
    fn name(&self) -> &'static str {
        "resample"
    }

    fn reads(&self) -> Vec<Root> {
        [self.outer.root, self.places, self.weights]
            .into_iter()
            .chain(self.tail.inputs().iter().map(|view| view.root))
            .collect()
    }

    fn writes(&self) -> Root {
        self.out
    }

    fn variants(&self) -> Vec<Variant> {
        let (outer, words) = render_place("outer_place", &self.outer, Vec::new());
        let (inner, words) = render_place("inner_place", &self.inner, words);
        let inputs = [("input", self.outer.dtype), ("places", Dtype::I32), ("weights", Dtype::F32)];
        let spec = Spec {
            inputs: &inputs,
            declarations: vec![outer, inner],
            words,
            ..Spec::new(&RESAMPLE, "f32", Some(&self.tail))
        };
        vec![spec.render()]
    }

    fn launches(&self, variants: &[Variant], sizes: &Sizes) -> Result<Vec<Launch>> {
        let [outer, inner] = [&self.outer, &self.inner].map(|view| sizes.size(&volume(&view.shape())));
        let (outer, inner, length) = (outer?, inner?, sizes.size(&self.length)?);
        let count = sizes.size(&TDim::from(i64::from(outer) * i64::from(inner) * i64::from(length)))?;
        let stride = sizes.signed(&self.stride)? as u32;
        let params = params(&[count, inner, length, self.window, stride], &variants[0], sizes)?;
        let taps = u64::from(count) * u64::from(self.window);
        let cost = Cost { flops: 2 * taps, bytes: 4 * (taps + u64::from(count)) };
        let workgroups = spread(count.div_ceil(THREADS));
        Ok(vec![launch(0, params, self.out, self.reads(), workgroups, cost)])
    }

    fn tail(&self) -> Option<&Tail> {
        Some(&self.tail)
    }

    fn set_tail(&mut self, tail: Tail, writes: Root) {
        self.tail = tail;
        self.out = writes;
    }
}
