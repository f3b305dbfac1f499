//! Convolutions and products of matrices.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::prelude::{DatumType, OutletId, TDim, TVec, TractResult};
use tract_onnx::tract_hir::internal::{DimLike, bail, ensure, format_err};
use tract_onnx::tract_hir::ops::cnn::Conv;
use tract_onnx::tract_hir::ops::matmul::{MatMulInference, compute_shapes};
use tract_onnx::tract_hir::tract_core::ops::change_axes::{AxisOp, wire_rank_broadcast};
use tract_onnx::tract_hir::tract_core::ops::math::{add, mul};

use super::computed;
use super::products::{self, Operand, integers_of, with_integers};
use super::steps::{Step, Work};
use super::wiring::{Given, Wiring, integers, lone};
use super::{Built, Form, Layer, built, one};

pub(super) fn conv(context: &ParsingContext<'_>, node: &NodeProto) -> Built {
    const INPUTS: [&str; 9] =
        ["x", "x_scale", "x_zero_point", "w", "w_scale", "w_zero_point", "y_scale", "y_zero_point", "B"];
    built(node, &INPUTS, Convolution { conv: read_conv(context, node)?, is_scaled: true })
}

pub(super) fn conv_integer(context: &ParsingContext<'_>, node: &NodeProto) -> Built {
    const INPUTS: [&str; 4] = ["x", "w", "x_zero_point", "w_zero_point"];
    built(node, &INPUTS, Convolution { conv: read_conv(context, node)?, is_scaled: false })
}

pub(super) fn mat_mul(_: &ParsingContext<'_>, node: &NodeProto) -> Built {
    const INPUTS: [&str; 8] =
        ["a", "a_scale", "a_zero_point", "b", "b_scale", "b_zero_point", "y_scale", "y_zero_point"];
    built(node, &INPUTS, Product { becomes: Becomes::Steps, ..Product::default() })
}

pub(super) fn mat_mul_integer(_: &ParsingContext<'_>, node: &NodeProto) -> Built {
    const INPUTS: [&str; 4] = ["a", "b", "a_zero_point", "b_zero_point"];
    built(node, &INPUTS, Product { becomes: Becomes::Sums, ..Product::default() })
}

pub(super) fn mat_mul_to_float(_: &ParsingContext<'_>, node: &NodeProto) -> Built {
    const INPUTS: [&str; 7] = ["a", "b", "a_scale", "b_scale", "a_zero_point", "b_zero_point", "bias"];
    built(node, &INPUTS, Product { becomes: Becomes::Floats, ..Product::default() })
}

pub(super) fn gemm(_: &ParsingContext<'_>, node: &NodeProto) -> Built {
    const INPUTS: [&str; 9] =
        ["a", "a_scale", "a_zero_point", "b", "b_scale", "b_zero_point", "C", "y_scale", "y_zero_point"];
    let is_set = |name: &str| Ok(node.get_attr_opt::<i64>(name)?.unwrap_or(0) != 0);
    let a_trans: TractResult<bool> = is_set("transA");
    let matmul = MatMulInference { a_trans: a_trans?, b_trans: is_set("transB")?, c_trans: false };
    let alpha = node.get_attr_opt("alpha")?.unwrap_or(1.0);
    built(node, &INPUTS, Product { matmul, alpha, becomes: Becomes::StepsOrFloats })
}

/// A convolution, as tract reads its attributes.
fn read_conv(context: &ParsingContext<'_>, node: &NodeProto) -> TractResult<Conv> {
    let plain = NodeProto { input: vec!["x".to_owned(), "w".to_owned()], ..node.clone() };
    let builder = super::plain().op_register.0.get("ConvInteger");
    let (operator, _) = builder.ok_or_else(|| format_err!("tract has no convolution"))?(context, &plain)?;
    Ok(Conv { override_output_datum_type: None, ..super::expansion::<Conv>(&*operator)? })
}

#[derive(Debug)]
struct Convolution {
    conv: Conv,
    /// Whether sums become steps.
    is_scaled: bool,
}

impl Convolution {
    fn bias(&self, wiring: &Wiring<'_>) -> TractResult<Option<Vec<i32>>> {
        wiring.parameter("B")?.map(|bias| integers(&bias)).transpose()
    }
}

impl Layer for Convolution {
    fn outputs(&self, given: &Given<Form>) -> TractResult<TVec<Form>> {
        given.no_more()?;
        let (x, w) = (given.narrow("x")?, given.narrow("w")?);
        given.all_of(&["x_zero_point"], x.datatype)?;
        given.all_of(&["w_zero_point"], w.datatype)?;
        given.all_of(&["x_scale", "w_scale", "y_scale"], DatumType::F32)?;
        given.all_of(&["B"], DatumType::I32)?;
        let operator = &given.operator;
        let kernel: Option<Vec<usize>> = w.shape.iter().map(|size| size.to_usize().ok()).collect();
        let Some(kernel) = kernel else { bail!("{operator} takes weights of a fixed shape") };
        let (x_rank, w_rank) = (x.shape.len(), kernel.len());
        ensure!(x_rank == w_rank && x_rank > 2, "{operator} takes no weights of {w_rank} axes for {x_rank}");
        let group = self.conv.group.unwrap_or(1);
        ensure!(
            x.shape[1] == TDim::from(kernel[1] * group) && group > 0 && kernel[0].is_multiple_of(group),
            "{operator} has weights of the shape {kernel:?} in {group} groups for {} channels",
            x.shape[1]
        );
        if let Some(declared) = &self.conv.kernel_shape {
            ensure!(declared[..] == kernel[2..], "{operator} has weights of the shape {kernel:?}");
        }
        let shape = self.conv.output_shape(&x.shape, &kernel)?;
        if !self.is_scaled {
            return one(DatumType::I32, shape);
        }
        given.need("y_scale")?;
        one(given.narrow("y_zero_point")?.datatype, shape)
    }

    fn wire(&self, wiring: &mut Wiring<'_>) -> TractResult<TVec<OutletId>> {
        let x = Operand::of(wiring, "x", "x_zero_point")?;
        let w = Operand::of(wiring, "w", "w_zero_point")?;
        let bias = self.bias(wiring)?;
        let channels = wiring.form(w.tensor)?.shape[0].to_usize()?;
        if let Some(found) = bias.as_ref().filter(|bias| bias.len() != channels) {
            bail!("{} has a bias of {} numbers for {channels} channels", wiring.given.operator, found.len());
        }
        let sums = products::convolution(wiring, &self.conv, x, w, bias.as_deref())?;
        if !self.is_scaled {
            return Ok(lone(integers_of(wiring, "", sums)?));
        }
        requantise(wiring, sums, 1, ["x_scale", "w_scale"], 1.0)
    }
}

/// What becomes of sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Becomes {
    #[default]
    Sums,
    Floats,
    Steps,
    /// Steps where their scale is there.
    StepsOrFloats,
}

#[derive(Debug)]
struct Product {
    matmul: MatMulInference,
    alpha: f32,
    becomes: Becomes,
}

impl Default for Product {
    fn default() -> Self {
        Self { matmul: MatMulInference::default(), alpha: 1.0, becomes: Becomes::default() }
    }
}

impl Layer for Product {
    fn outputs(&self, given: &Given<Form>) -> TractResult<TVec<Form>> {
        given.no_more()?;
        let (a, b) = (given.narrow("a")?, given.narrow("b")?);
        given.all_of(&["a_zero_point"], a.datatype)?;
        given.all_of(&["b_zero_point"], b.datatype)?;
        given.all_of(&["a_scale", "b_scale", "y_scale", "bias"], DatumType::F32)?;
        given.all_of(&["C"], DatumType::I32)?;
        let MatMulInference { a_trans, b_trans, .. } = self.matmul;
        let operator = &given.operator;
        let ranks = [a.shape.len(), b.shape.len()];
        ensure!(ranks.iter().all(|rank| *rank > 0) && ranks != [1, 1], "{operator} takes no vectors alone");
        if self.becomes == Becomes::StepsOrFloats {
            ensure!(ranks == [2, 2], "{operator} takes matrices, not tensors of {ranks:?} axes");
        }
        let (.., shape) = compute_shapes(a.shape.clone(), b.shape.clone(), a_trans, b_trans, false)?;
        let steps = match self.becomes {
            Becomes::Sums => return one(DatumType::I32, shape),
            Becomes::Floats => return one(DatumType::F32, shape),
            Becomes::StepsOrFloats if given.get("y_scale").is_none() => return one(DatumType::F32, shape),
            _ => given.narrow("y_zero_point")?.datatype,
        };
        given.need("y_scale")?;
        one(steps, shape)
    }

    fn wire(&self, wiring: &mut Wiring<'_>) -> TractResult<TVec<OutletId>> {
        let a = Operand::of(wiring, "a", "a_zero_point")?;
        let b = Operand::of(wiring, "b", "b_zero_point")?;
        let mut sums = products::product(wiring, &self.matmul, a, b)?;
        if let Some(&bias) = wiring.given.get("C") {
            sums = with_integers(wiring, sums, bias)?;
        }
        let last = wiring.rank(sums)? - 1;
        match self.becomes {
            Becomes::Sums => Ok(lone(integers_of(wiring, "", sums)?)),
            Becomes::Floats => {
                let scale = (wiring.need("a_scale")?, wiring.need("b_scale")?);
                let bias = wiring.given.get("bias").copied();
                Ok(lone(to_floats(wiring, sums, scale, bias)?))
            }
            Becomes::StepsOrFloats if wiring.given.get("y_scale").is_none() => {
                let scales = scales(wiring, ["a_scale", "b_scale"], self.alpha, None)?;
                Ok(lone(wiring.step("", Step::along(Work::Dequantise, last, &scales, &[])?, &[sums])?))
            }
            _ => requantise(wiring, sums, last, ["a_scale", "b_scale"], self.alpha),
        }
    }
}

/// Sums times two scales that may be computed, with a bias.
pub(super) fn to_floats(
    wiring: &mut Wiring<'_>,
    sums: OutletId,
    (a_scale, b_scale): (OutletId, OutletId),
    bias: Option<OutletId>,
) -> TractResult<OutletId> {
    use tract_onnx::tract_hir::tract_core::ops::cast::cast;
    let sums = wiring.step("floats", cast(DatumType::F32), &[sums])?;
    let a_scale = without_axis(wiring, "a_scale", a_scale)?;
    let b_scale = without_axis(wiring, "b_scale", b_scale)?;
    let scales = wire_rank_broadcast(wiring.name("scale"), wiring.model, &[a_scale, b_scale])?;
    let scale = wiring.step("scale", mul(), &scales)?;
    let last = if bias.is_some() { "scaled" } else { "" };
    let both = wire_rank_broadcast(wiring.name("scaled"), wiring.model, &[sums, scale])?;
    let scaled = wiring.step(last, mul(), &both)?;
    let Some(bias) = bias else { return Ok(scaled) };
    let both = wire_rank_broadcast(wiring.name("with_bias"), wiring.model, &[scaled, bias])?;
    wiring.step("", add(), &both)
}

/// One number as a scalar.
fn without_axis(wiring: &mut Wiring<'_>, name: &str, scale: OutletId) -> TractResult<OutletId> {
    let shape = wiring.form(scale)?.shape;
    if shape.len() == 1 && shape[0] == TDim::from(1) {
        return wiring.step(&format!("{name}.lone"), AxisOp::Rm(0), &[scale]);
    }
    Ok(scale)
}

/// Sums become steps of `y_scale` around `y_zero_point`.
fn requantise(
    wiring: &mut Wiring<'_>,
    sums: OutletId,
    axis: usize,
    factors: [&str; 2],
    alpha: f32,
) -> TractResult<TVec<OutletId>> {
    for name in factors.into_iter().chain(["y_scale", "y_zero_point"]) {
        if wiring.constant_of(wiring.need(name)?)?.is_none() {
            return Ok(lone(computed::requantise(wiring, sums, axis, factors, alpha)?));
        }
    }
    let to = wiring.form(wiring.need("y_zero_point")?)?.datatype;
    let zero = wiring.zero("y_zero_point")?;
    let scale = wiring.scale("y_scale")?;
    let scales = scales(wiring, factors, alpha, Some(scale))?;
    Ok(lone(wiring.step("", Step::along(Work::Requantise(to), axis, &scales, &[zero])?, &[sums])?))
}

/// What sums are multiplied with: one number, or one for each channel or column.
fn scales(wiring: &Wiring<'_>, [a, b]: [&str; 2], alpha: f32, y: Option<f32>) -> TractResult<Vec<f32>> {
    let a = wiring.scale(a)?;
    let each = wiring.scales(b)?.into_iter().map(|b| {
        let product = alpha * a * b;
        y.map_or(product, |y| product / y)
    });
    Ok(each.collect())
}
