//! `QuantizeLinear` and `DequantizeLinear`.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::prelude::{DatumType, OutletId, TVec, TractResult};
use tract_onnx::tract_hir::internal::{bail, ensure};
use tract_onnx::tract_hir::tract_core::ops::cast::cast;
use tract_onnx::tract_hir::tract_core::ops::math::{mul, sub};

use super::computed;
use super::numbers::range;
use super::pairs::quotient;
use super::steps::{Step, Work};
use super::wiring::{Given, Wiring, lone};
use super::{Built, Form, Layer, built, one};

const INPUTS: [&str; 3] = ["x", "scale", "zero_point"];

pub(super) fn quantize(_: &ParsingContext<'_>, node: &NodeProto) -> Built {
    let to = match node.get_attr_opt::<i64>("output_dtype")?.unwrap_or(0) {
        0 => None,
        2 => Some(DatumType::U8),
        3 => Some(DatumType::I8),
        4 => Some(DatumType::U16),
        5 => Some(DatumType::I16),
        other => bail!("{} makes no tensors of ONNX's datatype {other}", node.op_type),
    };
    built(node, &INPUTS, Change { to: Some(to.unwrap_or(DatumType::U8)), ..Change::read(node)? })
}

pub(super) fn dequantize(_: &ParsingContext<'_>, node: &NodeProto) -> Built {
    built(node, &INPUTS, Change::read(node)?)
}

#[derive(Debug)]
struct Change {
    axis: i64,
    /// What becomes of floats, where the zero point does not say; `None` for what
    /// becomes floats.
    to: Option<DatumType>,
}

impl Change {
    fn read(node: &NodeProto) -> TractResult<Self> {
        let block = node.get_attr_opt::<i64>("block_size")?.unwrap_or(0);
        ensure!(block == 0, "{} takes no blocks of {block} elements", node.op_type);
        Ok(Self { axis: node.get_attr_opt("axis")?.unwrap_or(1), to: None })
    }

    /// The axis along which scales lie.
    fn axis(&self, rank: usize) -> TractResult<usize> {
        let axis = if self.axis < 0 { self.axis + rank as i64 } else { self.axis };
        match usize::try_from(axis) {
            Ok(axis) if axis < rank => Ok(axis),
            _ => bail!("scales lie along axis {} of {rank}", self.axis),
        }
    }

    /// Parameters that are computed.
    fn wire_computed(&self, wiring: &mut Wiring<'_>, to: Option<DatumType>) -> TractResult<OutletId> {
        let x = wiring.step("floats", cast(DatumType::F32), &[wiring.need("x")?])?;
        let rank = wiring.rank(x)?;
        let is_along = |wiring: &Wiring<'_>, outlet: OutletId| {
            TractResult::Ok(wiring.rank(outlet)? == 1 && wiring.form(outlet)?.shape[0] != 1.into())
        };
        let scale = wiring.need("scale")?;
        let axis = if is_along(wiring, scale)? { self.axis(rank)? } else { 0 };
        let scale = computed::aligned(wiring, "scale", scale, axis, rank)?;
        let zero = match wiring.given.get("zero_point").copied() {
            Some(zero) => Some(computed::aligned(wiring, "zero_point", zero, axis, rank)?),
            None => None,
        };
        if let Some(to) = to {
            let divided = wiring.step("divided", quotient(), &[x, scale])?;
            return computed::to_steps(wiring, divided, zero, to);
        }
        let from_zero = match zero {
            Some(zero) => wiring.step("from_zero", sub(), &[x, zero])?,
            None => x,
        };
        wiring.step("", mul(), &[from_zero, scale])
    }

    fn output(&self, given: &Given<Form>) -> TractResult<DatumType> {
        let Some(default) = self.to else { return Ok(DatumType::F32) };
        let to = given.get("zero_point").map_or(default, |zero| zero.datatype);
        ensure!(range(to).is_some(), "{} makes no tensors of {to:?}", given.operator);
        Ok(to)
    }
}

impl Layer for Change {
    fn outputs(&self, given: &Given<Form>) -> TractResult<TVec<Form>> {
        given.no_more()?;
        given.need("scale")?;
        given.all_of(&["scale"], DatumType::F32)?;
        let x = given.need("x")?;
        let from = x.datatype;
        let is_taken = match self.to {
            Some(_) => matches!(from, DatumType::F32 | DatumType::F16 | DatumType::I32),
            None => range(from).is_some() || from == DatumType::I32,
        };
        ensure!(is_taken, "{} takes no tensors of {from:?}", given.operator);
        if self.to.is_none() {
            given.all_of(&["zero_point"], from)?;
        }
        one(self.output(given)?, x.shape.clone())
    }

    fn wire(&self, wiring: &mut Wiring<'_>) -> TractResult<TVec<OutletId>> {
        let mut x = wiring.need("x")?;
        let from = wiring.form(x)?;
        let zero = wiring.given.get("zero_point").copied();
        let to = match (self.to, zero) {
            (Some(_), Some(zero)) => Some(wiring.form(zero)?.datatype),
            (to, _) => to,
        };
        let parameters = [Some(wiring.need("scale")?), zero];
        for parameter in parameters.into_iter().flatten() {
            if wiring.constant_of(parameter)?.is_none() {
                return Ok(lone(self.wire_computed(wiring, to)?));
            }
        }
        let (scales, zeros) = (wiring.scales("scale")?, wiring.zeros("zero_point")?);
        let axis = if scales.len().max(zeros.len()) > 1 { self.axis(from.shape.len())? } else { 0 };
        let work = to.map_or(Work::Dequantise, Work::Quantise);
        if self.to.is_some() && from.datatype != DatumType::F32 {
            x = wiring.step("wide", cast(DatumType::F32), &[x])?;
        }
        if scales.len().max(zeros.len()) > 1 {
            let size = &from.shape[axis];
            let known = size.as_i64().is_none_or(|size| size == scales.len().max(zeros.len()) as i64);
            ensure!(known, "{} has {} scales for {size} places", wiring.given.operator, scales.len());
        }
        Ok(lone(wiring.step("", Step::along(work, axis, &scales, &zeros)?, &[x])?))
    }
}
