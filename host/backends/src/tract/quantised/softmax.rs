//! `QLinearSoftmax`: exponentials from a table, whose sum scales them.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::prelude::{DatumType, OutletId, TVec, Tensor, TractResult, TypedFact, tvec};
use tract_onnx::tract_hir::internal::{
    EvalContext, EvalOp, IntoTValue, Op, StaticName, TValue, TypedOp, as_op, bail, op_as_typed_op,
    op_out_of_plan,
};

use super::numbers::Narrow;
use super::steps::Linear;
use super::wiring::{Given, Wiring, lone};
use super::{Built, Form, Layer, built, one};

const INPUTS: [&str; 5] = ["X", "X_scale", "x_zero_point", "y_scale", "y_zero_point"];

pub(super) fn softmax(_: &ParsingContext<'_>, node: &NodeProto) -> Built {
    let is_flat = node.get_attr::<i64>("opset")? < 13;
    let axis = node.get_attr_opt("axis")?.unwrap_or(-1);
    built(node, &INPUTS, Softmax { axis, is_flat })
}

#[derive(Debug)]
struct Softmax {
    axis: i64,
    /// Whether all axes from this one on are one, as they were before operator set 13.
    is_flat: bool,
}

impl Softmax {
    fn axis(&self, operator: &str, rank: usize) -> TractResult<usize> {
        let axis = if self.axis < 0 { self.axis + rank as i64 } else { self.axis };
        match usize::try_from(axis) {
            Ok(axis) if axis < rank => Ok(axis),
            _ => bail!("{operator} has the axis {} of {rank}", self.axis),
        }
    }
}

impl Layer for Softmax {
    fn outputs(&self, given: &Given<Form>) -> TractResult<TVec<Form>> {
        given.no_more()?;
        let x = given.narrow("X")?;
        given.need("y_zero_point")?;
        given.all_of(&["x_zero_point", "y_zero_point"], x.datatype)?;
        given.all_of(&["X_scale", "y_scale"], DatumType::F32)?;
        self.axis(&given.operator, x.shape.len())?;
        one(x.datatype, x.shape.clone())
    }

    fn wire(&self, wiring: &mut Wiring<'_>) -> TractResult<TVec<OutletId>> {
        let x = wiring.need("X")?;
        let axis = self.axis(&wiring.given.operator, wiring.rank(x)?)?;
        let y = Linear { scale: wiring.scale("y_scale")?, zero: wiring.zero("y_zero_point")? };
        let operator = NarrowSoftmax { axis, is_flat: self.is_flat, scale: wiring.scale("X_scale")?, y };
        Ok(lone(wiring.step("", operator, &[x])?))
    }
}

/// Shares of steps in steps.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct NarrowSoftmax {
    axis: usize,
    is_flat: bool,
    scale: f32,
    y: Linear,
}

impl NarrowSoftmax {
    /// Whether places along an axis stand each for themselves.
    pub(in super::super) fn keeps(&self, axis: usize) -> bool {
        if self.is_flat { axis < self.axis } else { axis != self.axis }
    }

    fn run<T: Narrow>(&self, input: &Tensor) -> TractResult<Tensor> {
        let shape = input.shape();
        let after = if self.is_flat { shape.len() } else { self.axis + 1 };
        let count: usize = shape[self.axis..after].iter().product();
        let inner: usize = shape[after..].iter().product();
        let mut output = Tensor::zero_dt(T::datum_type(), shape)?;
        if input.len() == 0 {
            return Ok(output);
        }
        let exponentials = self.exponentials(count);
        {
            let from = input.try_as_plain_ram()?;
            let from = from.as_slice::<T>()?;
            let mut into = output.try_as_plain_ram_mut()?;
            let into = into.as_slice_mut::<T>()?;
            for outer in (0..from.len()).step_by(count * inner) {
                for place in outer..outer + inner {
                    let places = (0..count).map(|index| place + index * inner);
                    self.share(&exponentials, from, into, places);
                }
            }
        }
        Ok(output)
    }

    /// Of the steps, counted from the largest: the last is that of the largest itself.
    /// They are as large as a sum of so many of them may be.
    fn exponentials(&self, count: usize) -> [f32; 256] {
        const SPARE: f32 = 5.0;
        let scale = f64::from(self.scale);
        let shift = f64::from(((f32::MAX / count as f32).ln() - SPARE).max(0.0)) / scale;
        std::array::from_fn(|step| (((step as f64) - 255.0 + shift) * scale).exp() as f32)
    }

    fn share<T: Narrow>(
        &self,
        exponentials: &[f32; 256],
        from: &[T],
        into: &mut [T],
        places: impl Iterator<Item = usize> + Clone,
    ) {
        let largest = places.clone().map(|place| from[place].wide()).max().unwrap_or(0);
        let exponential = |place: usize| exponentials[(255 - (largest - from[place].wide())) as usize];
        let sum: f32 = places.clone().map(exponential).sum();
        if sum == 0.0 {
            return;
        }
        let whole = (1.0 / self.y.scale).floor();
        for place in places {
            let share = (exponential(place) * whole / sum).round_ties_even() as i32;
            into[place] = T::narrow(share.saturating_add(self.y.zero).clamp(T::LEAST, T::MOST));
        }
    }
}

impl Op for NarrowSoftmax {
    fn name(&self) -> StaticName {
        "QLinearSoftmax".into()
    }

    op_as_typed_op!();
}

impl EvalOp for NarrowSoftmax {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let made = match inputs[0].datum_type() {
            DatumType::U8 => self.run::<u8>(&inputs[0])?,
            DatumType::I8 => self.run::<i8>(&inputs[0])?,
            other => bail!("QLinearSoftmax of {other:?}"),
        };
        Ok(tvec![made.into_tvalue()])
    }
}

impl TypedOp for NarrowSoftmax {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![TypedFact::dt_shape(inputs[0].datum_type, inputs[0].shape.clone())])
    }

    as_op!();
}

// Scales of a model's file are compared as they are.
impl Eq for NarrowSoftmax {}
