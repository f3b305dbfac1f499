//! Scales and zero points that are computed: each step is an operator.

use tract_onnx::prelude::{DatumType, OutletId, TractResult};
use tract_onnx::tract_hir::internal::{AxisOp, TDim, bail, tensor0};
use tract_onnx::tract_hir::tract_core::ops::cast::cast;
use tract_onnx::tract_hir::tract_core::ops::change_axes::wire_rank_broadcast;
use tract_onnx::tract_hir::tract_core::ops::math::{add, max, min, mul, round_half_to_even};

use super::numbers::range;
use super::pairs::quotient;
use super::wiring::Wiring;

/// A parameter as floats that lie along an axis of so many.
pub(super) fn aligned(
    wiring: &mut Wiring<'_>,
    name: &str,
    parameter: OutletId,
    axis: usize,
    rank: usize,
) -> TractResult<OutletId> {
    let mut value = wiring.step(&format!("{name}.floats"), cast(DatumType::F32), &[parameter])?;
    let shape = wiring.form(value)?.shape;
    let is_lone = shape.iter().all(|size| *size == TDim::from(1));
    if shape.len() == 1 && !is_lone {
        for after in axis + 1..rank {
            value = wiring.step(&format!("{name}.axis{after}"), AxisOp::Add(1), &[value])?;
        }
    }
    for before in wiring.rank(value)?..rank {
        value = wiring.step(&format!("{name}.before{before}"), AxisOp::Add(0), &[value])?;
    }
    Ok(value)
}

/// Sums become steps, where their scales are computed.
pub(super) fn requantise(
    wiring: &mut Wiring<'_>,
    sums: OutletId,
    axis: usize,
    factors: [&str; 2],
    alpha: f32,
) -> TractResult<OutletId> {
    let rank = wiring.rank(sums)?;
    let sums = wiring.step("floats", cast(DatumType::F32), &[sums])?;
    let mut scale = wiring.add_const("alpha", tensor0(alpha).broadcast_into_rank(rank)?)?;
    for name in factors {
        let factor = wiring.need(name)?;
        let factor = aligned(wiring, name, factor, axis, rank)?;
        scale = wiring.step(&format!("scale.{name}"), mul(), &[scale, factor])?;
    }
    let y_scale = wiring.need("y_scale")?;
    let y_scale = aligned(wiring, "y_scale", y_scale, axis, rank)?;
    scale = wiring.step("scale", quotient(), &[scale, y_scale])?;
    let scaled = wiring.step("scaled", mul(), &[sums, scale])?;
    let zero = wiring.need("y_zero_point")?;
    let to = wiring.form(zero)?.datatype;
    let zero = aligned(wiring, "y_zero_point", zero, axis, rank)?;
    to_steps(wiring, scaled, Some(zero), to)
}

/// Numbers of steps around a zero point become those steps.
pub(super) fn to_steps(
    wiring: &mut Wiring<'_>,
    scaled: OutletId,
    zero: Option<OutletId>,
    to: DatumType,
) -> TractResult<OutletId> {
    let Some((least, most)) = range(to) else { bail!("{} makes no {to:?}", wiring.given.operator) };
    let rank = wiring.rank(scaled)?;
    let mut steps = wiring.step("rounded", round_half_to_even(), &[scaled])?;
    if let Some(zero) = zero {
        let both = wire_rank_broadcast(wiring.name("from_zero"), wiring.model, &[steps, zero])?;
        steps = wiring.step("from_zero", add(), &both)?;
    }
    let least = wiring.add_const("least", tensor0(least as f32).broadcast_into_rank(rank)?)?;
    let most = wiring.add_const("most", tensor0(most as f32).broadcast_into_rank(rank)?)?;
    steps = wiring.step("at_least", max(), &[steps, least])?;
    steps = wiring.step("at_most", min(), &[steps, most])?;
    wiring.step("", cast(to), &[steps])
}
