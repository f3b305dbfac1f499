//! Averages: over whole images, and over windows.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::prelude::{DatumType, OutletId, TDim, TVec, Tensor, TractResult, TypedFact, tvec};
use tract_onnx::tract_hir::internal::{
    AxisOp, EvalContext, EvalOp, Expansion, IntoTValue, Op, StaticName, TValue, TypedOp, as_op, bail, ensure,
    format_err, op_as_typed_op, op_out_of_plan, tensor0,
};
use tract_onnx::tract_hir::ops::cnn::HirSumPool;
use tract_onnx::tract_hir::tract_core::ops::array::MultiBroadcastTo;

use super::numbers::{Narrow, Steps};
use super::pairs::quotient;
use super::steps::{Linear, Step, Work};
use super::wiring::{Given, Wiring, lone};
use super::{Built, Form, Layer, built, one};

const INPUTS: [&str; 5] = ["X", "x_scale", "x_zero_point", "y_scale", "y_zero_point"];

pub(super) fn global_average(_: &ParsingContext<'_>, node: &NodeProto) -> Built {
    built(node, &INPUTS, Global { is_channels_last: is_channels_last(node)? })
}

pub(super) fn average(context: &ParsingContext<'_>, node: &NodeProto) -> Built {
    ensure!(!is_channels_last(node)?, "{} takes no `channels_last`", node.op_type);
    let builder = super::plain().op_register.0.get("AveragePool");
    let (operator, _) = builder.ok_or_else(|| format_err!("tract has no AveragePool"))?(context, node)?;
    let pool: HirSumPool = super::expansion(&*operator)?;
    built(node, &INPUTS, Windows(HirSumPool { normalize: false, ..pool }))
}

fn is_channels_last(node: &NodeProto) -> TractResult<bool> {
    Ok(node.get_attr_opt::<i64>("channels_last")?.unwrap_or(0) != 0)
}

/// Checks the inputs that both have.
fn checked(given: &Given<Form>) -> TractResult<&Form> {
    given.no_more()?;
    let x = given.narrow("X")?;
    given.all_of(&["x_zero_point", "y_zero_point"], x.datatype)?;
    given.all_of(&["x_scale", "y_scale"], DatumType::F32)?;
    given.need("y_scale")?;
    ensure!(x.shape.len() > 2, "{} takes images, not tensors of {} axes", given.operator, x.shape.len());
    Ok(x)
}

fn linear(wiring: &Wiring<'_>) -> TractResult<[Linear; 2]> {
    Ok([
        Linear { scale: wiring.scale("x_scale")?, zero: wiring.zero("x_zero_point")? },
        Linear { scale: wiring.scale("y_scale")?, zero: wiring.zero("y_zero_point")? },
    ])
}

#[derive(Debug)]
struct Global {
    is_channels_last: bool,
}

impl Layer for Global {
    fn outputs(&self, given: &Given<Form>) -> TractResult<TVec<Form>> {
        let x = checked(given)?;
        let mut shape = x.shape.clone();
        let last = shape.len() - 1;
        let spatial = if self.is_channels_last { 1..last } else { 2..last + 1 };
        shape[spatial].fill(TDim::from(1));
        one(x.datatype, shape)
    }

    fn wire(&self, wiring: &mut Wiring<'_>) -> TractResult<TVec<OutletId>> {
        let [x, y] = linear(wiring)?;
        let mut tensor = wiring.need("X")?;
        let last = wiring.rank(tensor)? - 1;
        if !self.is_channels_last {
            return Ok(lone(wiring.step("", GlobalAverage { x, y }, &[tensor])?));
        }
        tensor = wiring.step("channels_first", AxisOp::Move(last, 1), &[tensor])?;
        tensor = wiring.step("average", GlobalAverage { x, y }, &[tensor])?;
        Ok(lone(wiring.step("", AxisOp::Move(1, last), &[tensor])?))
    }
}

/// The average of each channel of an image.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct GlobalAverage {
    x: Linear,
    y: Linear,
}

impl GlobalAverage {
    fn run<T: Narrow>(&self, input: &Tensor) -> TractResult<Tensor> {
        let shape = input.shape();
        let count: usize = shape[2..].iter().product();
        let Some(size) = i32::try_from(count).ok().filter(|&size| size > 0 && size < 1 << 23) else {
            bail!("an image of {count} points has no average that is known")
        };
        let scale = self.x.scale / (self.y.scale * size as f32);
        let zeros = self.x.zero.wrapping_mul(size);
        let steps = Steps::of::<T>(self.y.zero);
        let input = input.try_as_plain_ram()?;
        let images = input.as_slice::<T>()?.chunks_exact(count);
        let averages = images.map(|image| {
            let sum: i32 = image.iter().map(|step| step.wide()).sum();
            steps.nearest((sum.wrapping_sub(zeros)) as f32 * scale)
        });
        let mut shape = shape.to_vec();
        shape[2..].fill(1);
        Tensor::from_shape(&shape, &averages.collect::<Vec<T>>())
    }
}

impl Op for GlobalAverage {
    fn name(&self) -> StaticName {
        "QLinearGlobalAveragePool".into()
    }

    op_as_typed_op!();
}

impl EvalOp for GlobalAverage {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let made = match inputs[0].datum_type() {
            DatumType::U8 => self.run::<u8>(&inputs[0])?,
            DatumType::I8 => self.run::<i8>(&inputs[0])?,
            other => bail!("QLinearGlobalAveragePool of {other:?}"),
        };
        Ok(tvec![made.into_tvalue()])
    }
}

impl TypedOp for GlobalAverage {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let mut shape = inputs[0].shape.to_tvec();
        shape[2..].fill(TDim::from(1));
        Ok(tvec![TypedFact::dt_shape(inputs[0].datum_type, &shape[..])])
    }

    as_op!();
}

// Scales of a model's file are compared as they are.
impl Eq for GlobalAverage {}

/// Averages of windows: their sums, by as many as they have elements.
#[derive(Debug)]
struct Windows(HirSumPool);

impl Layer for Windows {
    fn outputs(&self, given: &Given<Form>) -> TractResult<TVec<Form>> {
        let x = checked(given)?;
        let spec = &self.0.pool_spec;
        let rank = x.shape.len() - 2;
        ensure!(
            spec.kernel_shape.len() == rank,
            "{} has windows of {} axes for images of {rank}",
            given.operator,
            spec.kernel_shape.len()
        );
        let ones = tvec![1; rank];
        let strides = spec.strides.as_ref().unwrap_or(&ones);
        let dilations = spec.dilations.as_ref().unwrap_or(&ones);
        let sizes = spec.padding.compute(&x.shape[2..], &spec.kernel_shape, dilations, strides);
        let sizes = sizes.iter().map(|size| size.convoluted.clone());
        one(x.datatype, x.shape[..2].iter().cloned().chain(sizes).collect())
    }

    fn wire(&self, wiring: &mut Wiring<'_>) -> TractResult<TVec<OutletId>> {
        let [x, y] = linear(wiring)?;
        let tensor = wiring.need("X")?;
        let form = wiring.form(tensor)?;
        let wide = wiring.step("wide", Step::all(Work::Dequantise, x.scale, x.zero), &[tensor])?;
        let sums = self.0.wire(&wiring.name("sums"), wiring.model, &[wide])?[0];
        let rank = form.shape.len();
        let counts = if self.0.count_include_pad {
            let count = self.0.pool_spec.kernel_shape.iter().product::<usize>() as f32;
            wiring.add_const("count", tensor0(count).broadcast_into_rank(rank)?)?
        } else {
            let one = wiring.add_const("one", tensor0(1f32).broadcast_into_rank(rank)?)?;
            let mut shape = form.shape.clone();
            shape[..2].fill(TDim::from(1));
            let ones = wiring.step("ones", MultiBroadcastTo { shape: shape.into() }, &[one])?;
            self.0.wire(&wiring.name("counts"), wiring.model, &[ones])?[0]
        };
        let averages = wiring.step("averages", quotient(), &[sums, counts])?;
        let step = Step::all(Work::QuantiseAtOnce(form.datatype), y.scale, y.zero);
        Ok(lone(wiring.step("", step, &[averages])?))
    }
}
