//! Sums of products of narrow integers, exactly.
//!
//! Where weights are constants, the largest sum that any input can lead to is known:
//! most stay below 2²⁴, up to which floats hold every integer, and whatever the order
//! in which they are added up, they are exact. Longer ones are added up in parts.

use tract_onnx::prelude::{DatumType, OutletId, Tensor, TractResult};
use tract_onnx::tract_hir::internal::{AxisOp, Expansion, bail, ensure};
use tract_onnx::tract_hir::ops::cnn::Conv;
use tract_onnx::tract_hir::ops::matmul::MatMulInference;
use tract_onnx::tract_hir::tract_core::ops::array::Slice;
use tract_onnx::tract_hir::tract_core::ops::cast::cast;
use tract_onnx::tract_hir::tract_core::ops::change_axes::wire_rank_broadcast;
use tract_onnx::tract_hir::tract_core::ops::math::{add, sub};

use super::numbers::range;
use super::steps::{Step, Work};
use super::wiring::{Wiring, floats, integers};

/// Up to here floats hold every integer.
const EXACT: i64 = 1 << 24;

/// Parts that a sum is added up in, at most.
const MOST_PARTS: usize = 64;

/// A tensor of narrow integers and its zero point.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operand {
    pub(super) tensor: OutletId,
    pub(super) zero: Option<OutletId>,
}

impl Operand {
    pub(super) fn of(wiring: &Wiring<'_>, tensor: &str, zero: &str) -> TractResult<Self> {
        Ok(Self { tensor: wiring.need(tensor)?, zero: wiring.given.get(zero).copied() })
    }
}

/// The sums of a convolution: integers as floats, or as such.
pub(super) fn convolution(
    wiring: &mut Wiring<'_>,
    conv: &Conv,
    x: Operand,
    w: Operand,
    bias: Option<&[i32]>,
) -> TractResult<OutletId> {
    let (x, reach) = wide(wiring, "input", x, 0)?;
    let Some(weights) = Weights::constant(wiring, w, 0)? else {
        // What is not known may be anything. Doubles hold the sums of 2³⁷ products.
        let (kernel, _) = wide(wiring, "weights", w, 0)?;
        return in_doubles(wiring, conv, x, kernel, bias);
    };
    let furthest = bias.unwrap_or_default().iter().map(|value| i64::from(value.unsigned_abs())).max();
    let most = weights.largest_of_first().saturating_mul(reach);
    if most.saturating_add(furthest.unwrap_or(0)) <= EXACT {
        let kernel = wiring.add_const("weights", weights.tensor()?)?;
        let bias: Option<Vec<f32>> = bias.map(|bias| bias.iter().map(|value| *value as f32).collect());
        return convolve(wiring, "sums", conv, [x, kernel], bias.as_deref());
    }
    let channels = weights.shape.get(1).copied().unwrap_or(0);
    let size = in_parts(channels, |start, end| {
        Ok(weights.slice(1, start, end)?.largest_of_first().saturating_mul(reach) <= EXACT)
    })?;
    let Some(size) = size.filter(|_| conv.group.unwrap_or(1) == 1) else {
        let kernel = wiring.add_const("weights", weights.tensor()?)?;
        return in_doubles(wiring, conv, x, kernel, bias);
    };
    let mut sums = None;
    for start in (0..channels).step_by(size) {
        let end = channels.min(start + size);
        let name = format!("part{start}");
        let part = wiring.step(&format!("{name}.input"), Slice::new(1, start, end), &[x])?;
        let kernel = weights.slice(1, start, end)?.tensor()?;
        let kernel = wiring.add_const(&format!("{name}.weights"), kernel)?;
        let sum = convolve(wiring, &name, conv, [part, kernel], None)?;
        sums = Some(with_sum(wiring, &name, sums, sum)?);
    }
    let Some(sums) = sums else { bail!("{} has no channels", wiring.given.operator) };
    with_bias(wiring, sums, bias)
}

/// The sums of a product of matrices: integers as floats, or as such.
pub(super) fn product(
    wiring: &mut Wiring<'_>,
    matmul: &MatMulInference,
    a: Operand,
    b: Operand,
) -> TractResult<OutletId> {
    let [a_rank, b_rank] = [wiring.rank(a.tensor)?, wiring.rank(b.tensor)?];
    ensure!(a_rank > 0 && b_rank > 0, "{} takes no scalars", wiring.given.operator);
    let (rows, a_depth) = axes(a_rank, matmul.a_trans);
    let (b_depth, columns) = axes(b_rank, matmul.b_trans);
    let (b_depth, columns) = if b_rank == 1 { (0, 0) } else { (b_depth, columns) };
    let (a, reach) = wide(wiring, "a", a, rows)?;
    let Some(weights) = Weights::constant(wiring, b, columns)? else {
        let (b, b_reach) = wide(wiring, "b", b, columns)?;
        let depth = wiring.form(a)?.shape[a_depth].to_i64().ok();
        let most = depth.and_then(|depth| depth.checked_mul(reach)?.checked_mul(b_reach));
        return if most.is_some_and(|most| most <= EXACT) {
            multiply(wiring, "sums", matmul, [a, b])
        } else {
            multiply_integers(wiring, matmul, [a, b])
        };
    };
    if weights.largest_along(b_depth).saturating_mul(reach) <= EXACT {
        let weights = wiring.add_const("weights", weights.tensor()?)?;
        return multiply(wiring, "sums", matmul, [a, weights]);
    }
    let depth = weights.shape[b_depth];
    let size = in_parts(depth, |start, end| {
        Ok(weights.slice(b_depth, start, end)?.largest_along(b_depth).saturating_mul(reach) <= EXACT)
    })?;
    let Some(size) = size else {
        let weights = wiring.add_const("weights", weights.tensor()?)?;
        return multiply_integers(wiring, matmul, [a, weights]);
    };
    let mut sums = None;
    for start in (0..depth).step_by(size) {
        let end = depth.min(start + size);
        let name = format!("part{start}");
        let part = wiring.step(&format!("{name}.a"), Slice::new(a_depth, start, end), &[a])?;
        let weights = weights.slice(b_depth, start, end)?.tensor()?;
        let weights = wiring.add_const(&format!("{name}.weights"), weights)?;
        let sum = multiply(wiring, &name, matmul, [part, weights])?;
        sums = Some(with_sum(wiring, &name, sums, sum)?);
    }
    let Some(sums) = sums else { bail!("{} has nothing to add up", wiring.given.operator) };
    Ok(sums)
}

/// Sums as integers.
pub(super) fn integers_of(wiring: &mut Wiring<'_>, name: &str, sums: OutletId) -> TractResult<OutletId> {
    if wiring.form(sums)?.datatype == DatumType::I32 {
        return Ok(sums);
    }
    wiring.step(name, cast(DatumType::I32), &[sums])
}

/// Sums as integers, with others added to them.
pub(super) fn with_integers(
    wiring: &mut Wiring<'_>,
    sums: OutletId,
    more: OutletId,
) -> TractResult<OutletId> {
    let sums = integers_of(wiring, "integers", sums)?;
    let both = wire_rank_broadcast(wiring.name("biased"), wiring.model, &[sums, more])?;
    wiring.step("biased", add(), &both)
}

/// Weights less their zero points.
struct Weights {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Weights {
    /// Constant weights; `None` for those that are computed. Zero points lie along an
    /// axis, where there are several.
    fn constant(wiring: &Wiring<'_>, operand: Operand, axis: usize) -> TractResult<Option<Self>> {
        let Some(weights) = wiring.constant_of(operand.tensor)? else { return Ok(None) };
        let zeros = match operand.zero.map(|zero| wiring.constant_of(zero)).transpose()? {
            Some(Some(zeros)) => integers(&zeros)?,
            Some(None) => return Ok(None),
            None => Vec::new(),
        };
        let shape = weights.shape().to_vec();
        let mut values = floats(&weights)?;
        if let [zero] = zeros[..] {
            values.iter_mut().for_each(|value| *value -= zero as f32);
        } else if !zeros.is_empty() {
            if shape.get(axis) != Some(&zeros.len()) {
                let operator = &wiring.given.operator;
                bail!("{operator} has {} zero points for weights of the shape {shape:?}", zeros.len());
            }
            let inner: usize = shape[axis + 1..].iter().product();
            for (values, zero) in values.chunks_mut(inner.max(1)).zip(zeros.iter().cycle()) {
                values.iter_mut().for_each(|value| *value -= *zero as f32);
            }
        }
        Ok(Some(Self { shape, values }))
    }

    fn tensor(&self) -> TractResult<Tensor> {
        Tensor::from_shape(&self.shape, &self.values)
    }

    /// A part along an axis.
    fn slice(&self, axis: usize, start: usize, end: usize) -> TractResult<Self> {
        let tensor = self.tensor()?.slice(axis, start, end)?;
        Ok(Self { shape: tensor.shape().to_vec(), values: floats(&tensor)? })
    }

    /// The largest sum of magnitudes at one place of the first axis.
    fn largest_of_first(&self) -> i64 {
        self.largest(self.shape[1..].iter().product(), 1)
    }

    /// The largest sum of magnitudes along an axis.
    fn largest_along(&self, axis: usize) -> i64 {
        self.largest(self.shape[axis], self.shape[axis + 1..].iter().product())
    }

    fn largest(&self, count: usize, inner: usize) -> i64 {
        let mut sums = vec![0f64; inner];
        let mut largest = 0f64;
        for block in self.values.chunks((count * inner).max(1)) {
            sums.fill(0.0);
            for row in block.chunks(inner.max(1)) {
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum += f64::from(value.abs());
                }
            }
            largest = sums.iter().copied().fold(largest, f64::max);
        }
        largest as i64
    }
}

/// A tensor less its zero point, as floats, and how far those are from zero at most.
/// Zero points lie along an axis, where there are several.
fn wide(wiring: &mut Wiring<'_>, name: &str, operand: Operand, axis: usize) -> TractResult<(OutletId, i64)> {
    let form = wiring.form(operand.tensor)?;
    let Some((least, most)) = range(form.datatype) else {
        bail!("{} takes no factors of {:?}", wiring.given.operator, form.datatype)
    };
    let name = format!("{name}.wide");
    let constant = operand.zero.map(|zero| wiring.constant_of(zero)).transpose()?;
    let zeros = match constant {
        None => vec![0],
        Some(Some(zeros)) => integers(&zeros)?,
        Some(None) => {
            let outlet = less_computed(wiring, &name, operand, axis)?;
            return Ok((outlet, i64::from(most) - i64::from(least)));
        }
    };
    let reach = |zero: &i32| i64::from(zero.wrapping_sub(least)).max(i64::from(most.wrapping_sub(*zero)));
    let reach = zeros.iter().map(reach).max().unwrap_or(i64::MAX);
    let outlet =
        wiring.step(&name, Step::along(Work::Dequantise, axis, &[1.0], &zeros)?, &[operand.tensor])?;
    Ok((outlet, reach))
}

/// A tensor less a zero point that is computed.
fn less_computed(
    wiring: &mut Wiring<'_>,
    name: &str,
    operand: Operand,
    axis: usize,
) -> TractResult<OutletId> {
    let Some(mut zero) = operand.zero else { return Ok(operand.tensor) };
    let x = wiring.step(&format!("{name}.x"), cast(DatumType::F32), &[operand.tensor])?;
    zero = wiring.step(&format!("{name}.zero"), cast(DatumType::F32), &[zero])?;
    let rank = wiring.rank(x)?;
    if wiring.rank(zero)? == 1 && !wiring.form(zero)?.shape[0].is_one() {
        for after in axis + 1..rank {
            zero = wiring.step(&format!("{name}.zero.{after}"), AxisOp::Add(after - axis), &[zero])?;
        }
    }
    let both = wire_rank_broadcast(wiring.name(name), wiring.model, &[x, zero])?;
    wiring.step(name, sub(), &both)
}

/// The axes of the outer places and of what is added up, in a first factor; the other
/// way round in a second one.
fn axes(rank: usize, is_transposed: bool) -> (usize, usize) {
    let last = rank - 1;
    let outer = last.saturating_sub(1);
    if is_transposed && rank > 1 { (last, outer) } else { (outer, last) }
}

/// The size of the fewest parts that all fit.
fn in_parts(length: usize, fits: impl Fn(usize, usize) -> TractResult<bool>) -> TractResult<Option<usize>> {
    for count in 2..=MOST_PARTS.min(length) {
        let size = length.div_ceil(count);
        let mut starts = (0..length).step_by(size);
        if starts
            .try_fold(true, |all, start| TractResult::Ok(all && fits(start, length.min(start + size))?))?
        {
            return Ok(Some(size));
        }
    }
    Ok(None)
}

fn with_sum(
    wiring: &mut Wiring<'_>,
    name: &str,
    sums: Option<OutletId>,
    sum: OutletId,
) -> TractResult<OutletId> {
    let sum = integers_of(wiring, &format!("{name}.integers"), sum)?;
    match sums {
        Some(sums) => wiring.step(&format!("{name}.added"), add(), &[sums, sum]),
        None => Ok(sum),
    }
}

/// Sums as integers, with the bias of each channel.
fn with_bias(wiring: &mut Wiring<'_>, sums: OutletId, bias: Option<&[i32]>) -> TractResult<OutletId> {
    let Some(bias) = bias else { return Ok(sums) };
    let mut shape = vec![1; wiring.rank(sums)?];
    shape[1] = bias.len();
    let bias = wiring.add_const("bias", Tensor::from_shape(&shape, bias)?)?;
    with_integers(wiring, sums, bias)
}

fn in_doubles(
    wiring: &mut Wiring<'_>,
    conv: &Conv,
    x: OutletId,
    kernel: OutletId,
    bias: Option<&[i32]>,
) -> TractResult<OutletId> {
    let x = wiring.step("input.double", cast(DatumType::F64), &[x])?;
    let kernel = wiring.step("weights.double", cast(DatumType::F64), &[kernel])?;
    let sums = convolve(wiring, "sums", conv, [x, kernel], None)?;
    let sums = integers_of(wiring, "integers", sums)?;
    with_bias(wiring, sums, bias)
}

fn convolve(
    wiring: &mut Wiring<'_>,
    name: &str,
    conv: &Conv,
    [x, kernel]: [OutletId; 2],
    bias: Option<&[f32]>,
) -> TractResult<OutletId> {
    let mut plain = Conv {
        padding: conv.padding.clone(),
        strides: conv.strides.clone(),
        dilations: conv.dilations.clone(),
        kernel_shape: conv.kernel_shape.clone(),
        group: conv.group,
        ..Conv::default()
    };
    let mut inputs = vec![x, kernel];
    if let Some(bias) = bias {
        inputs.push(wiring.add_const(&format!("{name}.bias"), Tensor::from_shape(&[bias.len()], bias)?)?);
        plain.bias_input = Some(2);
    }
    Ok(plain.wire(&wiring.name(&format!("{name}.convolved")), wiring.model, &inputs)?[0])
}

fn multiply(
    wiring: &mut Wiring<'_>,
    name: &str,
    matmul: &MatMulInference,
    factors: [OutletId; 2],
) -> TractResult<OutletId> {
    Ok(matmul.wire(&wiring.name(&format!("{name}.multiplied")), wiring.model, &factors)?[0])
}

fn multiply_integers(
    wiring: &mut Wiring<'_>,
    matmul: &MatMulInference,
    [a, b]: [OutletId; 2],
) -> TractResult<OutletId> {
    let a = wiring.step("a.integers", cast(DatumType::I32), &[a])?;
    let b = wiring.step("b.integers", cast(DatumType::I32), &[b])?;
    multiply(wiring, "sums", matmul, [a, b])
}
