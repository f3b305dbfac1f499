//! Floats to narrow integers and back, and products of narrow integers.

use tract_core::internal::{OutletId, TypedNode};
use tract_core::ops::einsum::EinSum;
use tract_core::ops::element_wise::ElementWiseOp;
use tract_core::ops::nn::Reducer;
use tract_core::ops::quant::{DequantizeLinearF32, QuantizeLinearI8, QuantizeLinearU8};

use super::map::Map;
use super::map::functions::uniform_bits;
use super::rows::over_all;
use super::{Lowered, Lowering};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::program::Origin;
use crate::tail::{Function, Handle, Tail};
use crate::view::View;

pub(super) fn lower(lowering: &mut Lowering<'_>, node: &TypedNode) -> Lowered {
    if let Some(op) = node.op_as::<DequantizeLinearF32>() {
        let step = |tail: &mut Tail, x| dequantised(tail, x, op);
        return Some(mapped(lowering, node, step).map(|view| vec![view]));
    }
    // The operator's type is the front end's own; it takes nothing but its input.
    if node.op().name() == "DynamicQuantizeLinearU8" {
        return Some(by_its_range(lowering, node));
    }
    let op = node.op_as::<ElementWiseOp>()?.0.as_ref();
    let (scale, zero, to) = if let Some(op) = op.downcast_ref::<QuantizeLinearU8>() {
        (op.scale, i32::from(op.zero_point), Dtype::U8)
    } else if let Some(op) = op.downcast_ref::<QuantizeLinearI8>() {
        (op.scale, i32::from(op.zero_point), Dtype::I8)
    } else {
        return None;
    };
    let step = |tail: &mut Tail, x| {
        let x = as_floats(tail, x);
        let scale = tail.float(Dtype::F32, scale);
        let scaled = tail.call(Dtype::F32, Function::Mul, &[x, scale]);
        let zero = number(tail, zero);
        narrowed(tail, scaled, zero, to)
    };
    Some(mapped(lowering, node, step).map(|view| vec![view]))
}

/// What a product of narrow integers reads: its tensors in 32 bits, with what
/// stands for 0 taken away.
///
/// # Errors
/// For products that are not sums of 32 bits.
pub(super) fn integers(
    lowering: &mut Lowering<'_>,
    node: &TypedNode,
    op: &EinSum,
) -> Result<[View; 2], String> {
    let refused = || "the GPU gives products of quantised tensors as INT32 only".to_owned();
    let [a, b, bias, a_zero, a_scale, b_zero, b_scale, c_zero, c_scale] = node.inputs[..] else {
        return Err(refused());
    };
    let bits = |outlet| lowering.known(outlet).and_then(|tensor| uniform_bits(tensor));
    let is = |outlet, expected: u32| matches!(bits(outlet), Some((_, [low, 0])) if low == expected);
    let one = 1f32.to_bits();
    let is_plain =
        is(bias, 0) && is(c_zero, 0) && [a_scale, b_scale, c_scale].into_iter().all(|scale| is(scale, one));
    if !is_plain || op.q_params.and_then(Dtype::of) != Some(Dtype::I32) {
        return Err(refused());
    }
    Ok([centred(lowering, node, a, a_zero)?, centred(lowering, node, b, b_zero)?])
}

/// A tensor in 32 bits, less what stands for 0.
fn centred(
    lowering: &mut Lowering<'_>,
    node: &TypedNode,
    tensor: OutletId,
    zero: OutletId,
) -> Result<View, String> {
    let view = lowering.view(tensor)?;
    let mut tail = Tail::empty();
    let x = tail.input(view.clone());
    let x = tail.call(Dtype::I32, Function::Cast, &[x]);
    let zero = match lowering.known(zero).and_then(|tensor| uniform_bits(tensor)) {
        Some((_, bits)) => tail.scalar(Dtype::I32, bits),
        None => {
            let zero = lowering.view(zero)?;
            if zero.rank() > 0 && !crate::view::is_one(&zero.volume()) {
                return Err("the GPU takes one zero point for a tensor".to_owned());
            }
            let mut one = zero;
            one.axes.clear();
            let zero = lowering.broadcast(one, &view.shape());
            let zero = tail.input(zero);
            tail.call(Dtype::I32, Function::Cast, &[zero])
        }
    };
    tail.call(Dtype::I32, Function::Sub, &[x, zero]);
    Ok(step(lowering, node, tail, &view))
}

/// Quantises by the range that the tensor has: to U8, with the scale and what
/// stands for 0.
fn by_its_range(lowering: &mut Lowering<'_>, node: &TypedNode) -> Result<Vec<View>, String> {
    let x = lowering.view(node.inputs[0])?;
    if x.dtype != Dtype::F32 {
        return Err(format!("the GPU does not quantise {:?}", x.dtype));
    }
    let [most, least] =
        [Reducer::Max, Reducer::Min].map(|reducer| over_all(lowering, &x, reducer, &node.name));
    let mut tail = Tail::empty();
    let scale = scale_of(&mut tail, &most, &least);
    debug_assert_eq!(tail.last(), scale);
    let scale = step(lowering, node, tail, &most);

    let mut tail = Tail::empty();
    let low = lowest(&mut tail, &least);
    let low = tail.call(Dtype::F32, Function::Neg, &[low]);
    let factor = tail.input(scale.clone());
    let zero = tail.call(Dtype::F32, Function::Div, &[low, factor]);
    let none = number(&mut tail, 0);
    narrowed(&mut tail, zero, none, Dtype::U8);
    let zero = step(lowering, node, tail, &most);

    let mut tail = Tail::empty();
    let value = tail.input(x.clone());
    let factor = lowering.broadcast(scale.clone(), &x.shape());
    let factor = tail.input(factor);
    let scaled = tail.call(Dtype::F32, Function::Div, &[value, factor]);
    let offset = lowering.broadcast(zero.clone(), &x.shape());
    let offset = tail.input(offset);
    let offset = tail.call(Dtype::I32, Function::Cast, &[offset]);
    narrowed(&mut tail, scaled, offset, Dtype::U8);
    lowering.keep(&scale);
    lowering.keep(&zero);
    Ok(vec![step(lowering, node, tail, &x), scale, zero])
}

/// The largest element less the smallest, both with 0 among them, in 255 steps.
fn scale_of(tail: &mut Tail, most: &View, least: &View) -> Handle {
    let (most, zero) = (tail.input(most.clone()), tail.float(Dtype::F32, 0.0));
    let high = tail.call(Dtype::F32, Function::Max, &[most, zero]);
    let low = lowest(tail, least);
    let range = tail.call(Dtype::F32, Function::Sub, &[high, low]);
    let steps = tail.float(Dtype::F32, f32::from(u8::MAX));
    tail.call(Dtype::F32, Function::Div, &[range, steps])
}

fn lowest(tail: &mut Tail, least: &View) -> Handle {
    let (least, zero) = (tail.input(least.clone()), tail.float(Dtype::F32, 0.0));
    tail.call(Dtype::F32, Function::Min, &[least, zero])
}

fn dequantised(tail: &mut Tail, x: Handle, op: &DequantizeLinearF32) -> Handle {
    let wide = tail.call(Dtype::I32, Function::Cast, &[x]);
    let zero = number(tail, op.zero_point);
    let centred = tail.call(Dtype::I32, Function::Sub, &[wide, zero]);
    let value = tail.call(Dtype::F32, Function::Cast, &[centred]);
    let scale = tail.float(Dtype::F32, op.scale);
    tail.call(Dtype::F32, Function::Mul, &[value, scale])
}

/// The nearest integer, halves to the even one, plus what stands for 0, within
/// the datatype's range.
fn narrowed(tail: &mut Tail, value: Handle, zero: Handle, to: Dtype) -> Handle {
    let (low, high) = if to == Dtype::I8 { (-128, 127) } else { (0, 255) };
    let rounded = tail.call(Dtype::F32, Function::RoundEven, &[value]);
    let whole = tail.call(Dtype::I32, Function::Cast, &[rounded]);
    // Far enough from both ends that nothing overflows.
    let whole = within(tail, whole, -100_000, 100_000);
    let sum = tail.call(Dtype::I32, Function::Add, &[whole, zero]);
    let bounded = within(tail, sum, low, high);
    tail.call(to, Function::Cast, &[bounded])
}

fn within(tail: &mut Tail, value: Handle, low: i32, high: i32) -> Handle {
    let (low, high) = (number(tail, low), number(tail, high));
    let value = tail.call(Dtype::I32, Function::Max, &[value, low]);
    tail.call(Dtype::I32, Function::Min, &[value, high])
}

fn number(tail: &mut Tail, value: i32) -> Handle {
    tail.scalar(Dtype::I32, [value as u32, 0])
}

fn as_floats(tail: &mut Tail, x: Handle) -> Handle {
    match tail.dtype(x) {
        Dtype::F32 => x,
        _ => tail.call(Dtype::F32, Function::Cast, &[x]),
    }
}

/// A step that computes a node's output of its input, element by element.
fn mapped(
    lowering: &mut Lowering<'_>,
    node: &TypedNode,
    compute: impl Fn(&mut Tail, Handle) -> Handle,
) -> Result<View, String> {
    let view = lowering.view(node.inputs[0])?;
    let mut tail = Tail::empty();
    let x = tail.input(view.clone());
    compute(&mut tail, x);
    Ok(step(lowering, node, tail, &view))
}

/// Adds a step whose output has the shape of `like`.
fn step(lowering: &mut Lowering<'_>, node: &TypedNode, tail: Tail, like: &View) -> View {
    let dtype = tail.dtype(tail.last());
    let root = lowering.buffer(dtype, &like.shape(), Origin::Step);
    let to = View::whole(root, dtype, &like.shape());
    lowering.push(Box::new(Map::new(tail, to.clone())), vec![node.name.clone()]);
    to
}
