//! Operators whose every answer fits in a table: there are only 256 questions.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::prelude::{DatumType, OutletId, TVec, TractResult};
use tract_onnx::tract_hir::internal::{TDim, bail, ensure};
use tract_onnx::tract_hir::tract_core::broadcast::multi_broadcast;
use tract_onnx::tract_hir::tract_core::ops::array::TypedConcat;
use tract_onnx::tract_hir::tract_core::ops::change_axes::wire_rank_broadcast;
use tract_onnx::tract_hir::tract_core::ops::logic::Iff;
use tract_onnx::tract_hir::tract_core::ops::quant::lookup_table;

use super::numbers::{Narrow, Steps};
use super::steps::Linear;
use super::wiring::{Given, Wiring, floats, integers, lone};
use super::{Built, Form, Layer, built, one};

const UNARY: [&str; 5] = ["X", "X_scale", "X_zero_point", "Y_scale", "Y_zero_point"];

pub(super) fn leaky_relu(_: &ParsingContext<'_>, node: &NodeProto) -> Built {
    let alpha = node.get_attr_opt("alpha")?.unwrap_or(0.01);
    built(node, &UNARY, Unary::LeakyRelu(alpha))
}

pub(super) fn sigmoid(_: &ParsingContext<'_>, node: &NodeProto) -> Built {
    built(node, &UNARY, Unary::Sigmoid)
}

pub(super) fn concat(_: &ParsingContext<'_>, node: &NodeProto) -> Built {
    built(node, &["Y_scale", "Y_zero_point"], Concat { axis: node.get_attr("axis")? })
}

pub(super) fn choice(_: &ParsingContext<'_>, node: &NodeProto) -> Built {
    built(node, &CHOICE, Choice)
}

const CHOICE: [&str; 9] =
    ["condition", "X", "x_scale", "x_zero_point", "Y", "y_scale", "y_zero_point", "z_scale", "z_zero_point"];

#[derive(Debug)]
enum Unary {
    LeakyRelu(f32),
    Sigmoid,
}

impl Layer for Unary {
    fn outputs(&self, given: &Given<Form>) -> TractResult<TVec<Form>> {
        given.no_more()?;
        let x = given.narrow("X")?;
        given.all_of(&["X_zero_point", "Y_zero_point"], x.datatype)?;
        given.all_of(&["X_scale", "Y_scale"], DatumType::F32)?;
        given.need("Y_scale")?;
        one(x.datatype, x.shape.clone())
    }

    fn wire(&self, wiring: &mut Wiring<'_>) -> TractResult<TVec<OutletId>> {
        let x = Linear { scale: wiring.scale("X_scale")?, zero: wiring.zero("X_zero_point")? };
        let y = Linear { scale: wiring.scale("Y_scale")?, zero: wiring.zero("Y_zero_point")? };
        let function = |value: f32| match self {
            Unary::LeakyRelu(alpha) if value < 0.0 => alpha * value,
            Unary::LeakyRelu(_) => value,
            Unary::Sigmoid => (1.0 / (1.0 + (-f64::from(value)).exp())) as f32,
        };
        let tensor = wiring.need("X")?;
        Ok(lone(looked_up(wiring, "", tensor, [x, y], function)?))
    }
}

#[derive(Debug)]
struct Concat {
    axis: i64,
}

impl Concat {
    fn axis(&self, operator: &str, rank: usize) -> TractResult<usize> {
        let axis = if self.axis < 0 { self.axis + rank as i64 } else { self.axis };
        match usize::try_from(axis) {
            Ok(axis) if axis < rank => Ok(axis),
            _ => bail!("{operator} has the axis {} of {rank}", self.axis),
        }
    }
}

impl Layer for Concat {
    fn outputs(&self, given: &Given<Form>) -> TractResult<TVec<Form>> {
        let y = given.narrow("Y_zero_point")?.datatype;
        given.need("Y_scale")?;
        given.all_of(&["Y_scale"], DatumType::F32)?;
        let operator = &given.operator;
        let groups = given.groups(3)?;
        let mut shape = groups[0][0].shape.clone();
        let axis = self.axis(operator, shape.len())?;
        shape[axis] = TDim::from(0);
        for group in groups {
            let [x, scale, zero] = group[..] else { continue };
            ensure!(
                x.datatype == y && zero.datatype == y && scale.datatype == DatumType::F32,
                "{operator} joins {y:?}, not {:?}",
                x.datatype
            );
            ensure!(x.shape.len() == shape.len(), "{operator} joins tensors of {} axes", shape.len());
            shape[axis] = shape[axis].clone() + &x.shape[axis];
        }
        one(y, shape)
    }

    fn wire(&self, wiring: &mut Wiring<'_>) -> TractResult<TVec<OutletId>> {
        let y = Linear { scale: wiring.scale("Y_scale")?, zero: wiring.zero("Y_zero_point")? };
        let groups: Vec<Vec<OutletId>> =
            wiring.given.groups(3)?.into_iter().map(|group| group.into_iter().copied().collect()).collect();
        let mut parts = Vec::new();
        for (place, group) in groups.into_iter().enumerate() {
            let (scale, zero) = (wiring.constant_of(group[1])?, wiring.constant_of(group[2])?);
            let (Some(scale), Some(zero)) = (scale, zero) else {
                bail!("{} takes no scale that is computed: only a constant", wiring.given.operator)
            };
            let ([scale], [zero]) = (&floats(&scale)?[..], &integers(&zero)?[..]) else {
                bail!("{} takes one scale for each of its tensors", wiring.given.operator)
            };
            let x = Linear { scale: *scale, zero: *zero };
            parts.push(rescaled(wiring, &format!("part{place}"), group[0], [x, y])?);
        }
        let axis = self.axis(&wiring.given.operator, wiring.rank(parts[0])?)?;
        Ok(lone(wiring.step("", TypedConcat { axis }, &parts)?))
    }
}

#[derive(Debug)]
struct Choice;

impl Layer for Choice {
    fn outputs(&self, given: &Given<Form>) -> TractResult<TVec<Form>> {
        given.no_more()?;
        let (x, y) = (given.narrow("X")?, given.narrow("Y")?);
        given.all_of(&["condition"], DatumType::Bool)?;
        given.all_of(&["Y", "x_zero_point", "y_zero_point", "z_zero_point"], x.datatype)?;
        given.all_of(&["x_scale", "y_scale", "z_scale"], DatumType::F32)?;
        given.need("z_scale")?;
        let condition = given.need("condition")?.shape.clone();
        one(x.datatype, multi_broadcast(&[condition, x.shape.clone(), y.shape.clone()])?)
    }

    fn wire(&self, wiring: &mut Wiring<'_>) -> TractResult<TVec<OutletId>> {
        let linear = |scale: &str, zero: &str| {
            TractResult::Ok(Linear { scale: wiring.scale(scale)?, zero: wiring.zero(zero)? })
        };
        let z = linear("z_scale", "z_zero_point")?;
        let (x, y) = (linear("x_scale", "x_zero_point")?, linear("y_scale", "y_zero_point")?);
        let (condition, if_so, if_not) = (wiring.need("condition")?, wiring.need("X")?, wiring.need("Y")?);
        let if_so = rescaled(wiring, "x", if_so, [x, z])?;
        let if_not = rescaled(wiring, "y", if_not, [y, z])?;
        let all = wire_rank_broadcast(wiring.name("aligned"), wiring.model, &[condition, if_so, if_not])?;
        Ok(lone(wiring.step("", Iff, &all)?))
    }
}

/// The same numbers in other steps.
fn rescaled(
    wiring: &mut Wiring<'_>,
    name: &str,
    tensor: OutletId,
    [from, to]: [Linear; 2],
) -> TractResult<OutletId> {
    if from == to { Ok(tensor) } else { looked_up(wiring, name, tensor, [from, to], |value| value) }
}

/// A function of every number.
fn looked_up(
    wiring: &mut Wiring<'_>,
    name: &str,
    tensor: OutletId,
    [from, to]: [Linear; 2],
    function: impl Fn(f32) -> f32,
) -> TractResult<OutletId> {
    let table = match wiring.form(tensor)?.datatype {
        DatumType::U8 => table::<u8>(from, to, |byte| byte, function).map(|step| step),
        DatumType::I8 => table::<i8>(from, to, |byte| byte as i8, function).map(|step| step as u8),
        other => bail!("{} takes no tensors of {other:?}", wiring.given.operator),
    };
    let table = tract_linalg::routines::lut_u8(&table)?;
    wiring.step(name, lookup_table(table), &[tensor])
}

fn table<T: Narrow>(
    from: Linear,
    to: Linear,
    of: impl Fn(u8) -> T,
    function: impl Fn(f32) -> f32,
) -> [T; 256] {
    let steps = Steps::of::<T>(to.zero);
    std::array::from_fn(|byte| {
        let value = from.scale * (of(byte as u8).wide() - from.zero) as f32;
        steps.nearest(function(value) / to.scale)
    })
}
