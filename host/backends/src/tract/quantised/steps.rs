//! Between floats, sums and narrow integers, element by element.

use std::sync::Arc;

use tract_onnx::prelude::{Datum, DatumType, TVec, Tensor, TractResult, TypedFact, TypedModel, tvec};
use tract_onnx::tract_hir::internal::{
    AxesMapping, AxisChangeConsequence, AxisOp, EvalContext, EvalOp, InOut, IntoTValue, Op, StaticName,
    TValue, TypedNode, TypedOp, as_op, bail, op_as_typed_op, op_out_of_plan,
};

use super::numbers::{Narrow, Steps};

/// What is done with every element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Floats become steps: divided by the scale, rounded, with the zero point added.
    Quantise(DatumType),
    /// The same, with the zero point added before it is rounded.
    QuantiseAtOnce(DatumType),
    /// Steps become floats, less the zero point and times the scale.
    Dequantise,
    /// Sums of products become steps: times the scale, rounded, with the zero point
    /// added.
    Requantise(DatumType),
}

/// A scale and a zero point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Linear {
    pub(super) scale: f32,
    pub(super) zero: i32,
}

/// A change of scale.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Step {
    work: Work,
    /// One for all elements, or one for each place along the axis.
    linear: Arc<[Linear]>,
    axis: usize,
}

impl Step {
    /// One scale for all elements.
    pub(super) fn all(work: Work, scale: f32, zero: i32) -> Self {
        Self { work, linear: Arc::new([Linear { scale, zero }]), axis: 0 }
    }

    /// A scale for each place along an axis. Where there is one of them, it is for all.
    ///
    /// # Errors
    /// When there are neither as many of both nor one of either.
    pub(super) fn along(work: Work, axis: usize, scales: &[f32], zeros: &[i32]) -> TractResult<Self> {
        let count = scales.len().max(zeros.len());
        let fits = |found: usize| found == count || found <= 1;
        if scales.is_empty() || !fits(scales.len()) || !fits(zeros.len()) {
            bail!("{} scales do not go with {} zero points", scales.len(), zeros.len());
        }
        let at = |place: usize| Linear {
            scale: scales.get(place).copied().unwrap_or(scales[0]),
            zero: zeros.get(place).or(zeros.first()).copied().unwrap_or(0),
        };
        Ok(Self { work, linear: (0..count).map(at).collect(), axis })
    }

    /// Whether elements along an axis are all treated alike.
    pub(in super::super) fn keeps(&self, axis: usize) -> bool {
        self.linear.len() == 1 || self.axis != axis
    }

    fn output(&self) -> DatumType {
        match self.work {
            Work::Quantise(to) | Work::QuantiseAtOnce(to) | Work::Requantise(to) => to,
            Work::Dequantise => DatumType::F32,
        }
    }

    fn run(&self, input: &Tensor) -> TractResult<Tensor> {
        let from = input.datum_type();
        match (self.work, self.output()) {
            (Work::Dequantise, _) => match from {
                DatumType::U8 => self.dequantise::<u8>(input, i32::from),
                DatumType::I8 => self.dequantise::<i8>(input, i32::from),
                DatumType::U16 => self.dequantise::<u16>(input, i32::from),
                DatumType::I16 => self.dequantise::<i16>(input, i32::from),
                DatumType::I32 => self.dequantise::<i32>(input, |number| number),
                DatumType::F32 => self.each(input, |sum: f32, linear| sum * linear.scale),
                _ => bail!("no steps of {from:?} are known"),
            },
            (_, DatumType::U8) => self.to_steps::<u8>(input),
            (_, DatumType::I8) => self.to_steps::<i8>(input),
            (_, DatumType::U16) => self.to_steps::<u16>(input),
            (_, DatumType::I16) => self.to_steps::<i16>(input),
            (_, to) => bail!("no steps of {to:?} are known"),
        }
    }

    fn dequantise<T: Datum + Copy>(&self, input: &Tensor, wide: impl Fn(T) -> i32) -> TractResult<Tensor> {
        self.each(input, |step: T, linear| wide(step).wrapping_sub(linear.zero) as f32 * linear.scale)
    }

    fn to_steps<T: Narrow>(&self, input: &Tensor) -> TractResult<Tensor> {
        let steps = |linear: Linear| Steps::of::<T>(linear.zero);
        match (self.work, input.datum_type()) {
            (Work::Requantise(_), DatumType::F32) => {
                self.each(input, |sum: f32, linear| steps(linear).nearest::<T>(sum * linear.scale))
            }
            (Work::Requantise(_), DatumType::I32) => {
                self.each(input, |sum: i32, linear| steps(linear).nearest::<T>(sum as f32 * linear.scale))
            }
            (Work::QuantiseAtOnce(_), DatumType::F32) => self.each(input, |value: f32, linear| {
                Steps::of::<T>(0).nearest::<T>(value / linear.scale + linear.zero as f32)
            }),
            (Work::Quantise(_), DatumType::F32) => {
                self.each(input, |value: f32, linear| steps(linear).nearest::<T>(value / linear.scale))
            }
            (_, from) => bail!("no steps are made of {from:?}"),
        }
    }

    fn each<A, B>(&self, input: &Tensor, work: impl Fn(A, Linear) -> B) -> TractResult<Tensor>
    where
        A: Datum + Copy,
        B: Datum + Copy,
    {
        let shape = input.shape();
        // SAFETY: every element is written below, or an error returned.
        let mut output = unsafe { Tensor::uninitialized::<B>(shape)? };
        {
            let from = input.try_as_plain_ram()?;
            let from = from.as_slice::<A>()?;
            let mut into = output.try_as_plain_ram_mut()?;
            let into = into.as_slice_mut::<B>()?;
            let run = |from: &[A], into: &mut [B], linear: Linear| {
                for (into, &from) in into.iter_mut().zip(from) {
                    *into = work(from, linear);
                }
            };
            if let [linear] = self.linear[..] {
                run(from, into, linear);
            } else {
                if shape.get(self.axis) != Some(&self.linear.len()) {
                    bail!("{} scales do not go with the shape {shape:?}", self.linear.len());
                }
                let inner: usize = shape[self.axis + 1..].iter().product();
                if inner == 1 {
                    let rows = from.chunks_exact(self.linear.len());
                    for (from, into) in rows.zip(into.chunks_exact_mut(self.linear.len())) {
                        for ((into, &from), linear) in into.iter_mut().zip(from).zip(self.linear.iter()) {
                            *into = work(from, *linear);
                        }
                    }
                } else if inner > 1 {
                    let places = from.chunks_exact(inner).zip(into.chunks_exact_mut(inner));
                    for ((from, into), linear) in places.zip(self.linear.iter().cycle()) {
                        run(from, into, *linear);
                    }
                }
            }
        }
        Ok(output)
    }
}

impl Op for Step {
    fn name(&self) -> StaticName {
        match self.work {
            Work::Quantise(_) | Work::QuantiseAtOnce(_) => "Quantise".into(),
            Work::Dequantise => "Dequantise".into(),
            Work::Requantise(_) => "Requantise".into(),
        }
    }

    op_as_typed_op!();
}

impl EvalOp for Step {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        Ok(tvec![self.run(&inputs[0])?.into_tvalue()])
    }
}

impl TypedOp for Step {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec![TypedFact::dt_shape(self.output(), inputs[0].shape.clone())])
    }

    fn axes_mapping(&self, inputs: &[&TypedFact], outputs: &[&TypedFact]) -> TractResult<AxesMapping> {
        let mut axes = AxesMapping::disconnected(inputs, outputs)?;
        for axis in (0..outputs[0].rank()).filter(|axis| self.keeps(*axis)) {
            axes = axes.linking((InOut::Out(0), axis), (InOut::In(0), axis))?;
        }
        Ok(axes)
    }

    fn change_axes(
        &self,
        model: &TypedModel,
        node: &TypedNode,
        _: InOut,
        change: &AxisOp,
    ) -> TractResult<Option<AxisChangeConsequence>> {
        if self.linear.len() == 1 {
            return Ok(Some(AxisChangeConsequence::new(model, node, None, change)));
        }
        if matches!(change, AxisOp::Reshape(..)) {
            return Ok(None);
        }
        let moved = change.transform_axis(self.axis).map(|axis| Box::new(Self { axis, ..self.clone() }) as _);
        Ok(moved.map(|moved| AxisChangeConsequence::new(model, node, Some(moved), change)))
    }

    as_op!();
}

// The scales of a model's file are compared as they are; one that is no number equals
// none.
impl Eq for Step {}
