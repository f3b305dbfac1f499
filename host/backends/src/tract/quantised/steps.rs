//! Between floats, sums and narrow integers, element by element.

use std::sync::Arc;

use tract_onnx::prelude::{
    Datum, DatumType, OutletId, TVec, Tensor, TractResult, TypedFact, TypedModel, tvec,
};
use tract_onnx::tract_hir::internal::{
    AxesMapping, AxisChangeConsequence, AxisOp, EvalContext, EvalOp, InOut, IntoTValue, IntoTensor, Op,
    StaticName, TValue, TypedModelPatch, TypedNode, TypedOp, as_op, bail, op_as_typed_op, op_out_of_plan,
};

use super::numbers::{Narrow, Steps};
use super::wide;

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
    /// Steps that become floats again at once.
    back: Option<Linear>,
}

impl Step {
    /// One scale for all elements.
    pub(super) fn all(work: Work, scale: f32, zero: i32) -> Self {
        Self { work, linear: Arc::new([Linear { scale, zero }]), axis: 0, back: None }
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
        Ok(Self { work, linear: (0..count).map(at).collect(), axis, back: None })
    }

    /// Whether elements along an axis are all treated alike.
    pub(in super::super) fn keeps(&self, axis: usize) -> bool {
        self.linear.len() == 1 || self.axis != axis
    }

    /// The datatype of the steps that it makes.
    fn steps(&self) -> Option<DatumType> {
        match self.work {
            Work::Quantise(to) | Work::QuantiseAtOnce(to) | Work::Requantise(to) => Some(to),
            Work::Dequantise => None,
        }
    }

    fn output(&self) -> DatumType {
        self.steps().filter(|_| self.back.is_none()).unwrap_or(DatumType::F32)
    }

    fn run(&self, input: TValue) -> TractResult<Tensor> {
        match self.steps() {
            None => self.to_floats(input),
            Some(DatumType::U8) => self.to_steps::<u8>(input),
            Some(DatumType::I8) => self.to_steps::<i8>(input),
            Some(DatumType::U16) => self.to_steps::<u16>(input),
            Some(DatumType::I16) => self.to_steps::<i16>(input),
            Some(to) => bail!("no steps of {to:?} are known"),
        }
    }

    fn to_floats(&self, input: TValue) -> TractResult<Tensor> {
        match input.datum_type() {
            DatumType::U8 => self.each(&input, from_step::<u8>),
            DatumType::I8 => self.each(&input, from_step::<i8>),
            DatumType::U16 => self.each(&input, from_step::<u16>),
            DatumType::I16 => self.each(&input, from_step::<i16>),
            DatumType::I32 => self.each(&input, |sum: i32, linear| from_zero(sum, linear)),
            DatumType::F32 => self.in_place(input, |sum, linear| sum * linear.scale),
            from => bail!("no steps of {from:?} are known"),
        }
    }

    fn to_steps<T: Narrow>(&self, input: TValue) -> TractResult<Tensor> {
        let steps = |linear: Linear| Steps::of::<T>(linear.zero);
        match (self.work, input.datum_type()) {
            (Work::Requantise(_), DatumType::F32) => {
                self.made(input, |sum, linear| steps(linear).nearest::<T>(sum * linear.scale))
            }
            (Work::QuantiseAtOnce(_), DatumType::F32) => self.made(input, |value, linear| {
                Steps::of::<T>(0).nearest::<T>(value / linear.scale + linear.zero as f32)
            }),
            (Work::Quantise(_), DatumType::F32) => {
                self.made(input, |value, linear| steps(linear).nearest::<T>(value / linear.scale))
            }
            (Work::Requantise(_), DatumType::I32) => {
                let made = |sum: i32, linear: Linear| steps(linear).nearest::<T>(sum as f32 * linear.scale);
                match self.back {
                    Some(back) => self.each(&input, |sum, linear| from_step(made(sum, linear), back)),
                    None => self.each(&input, made),
                }
            }
            (_, from) => bail!("no steps are made of {from:?}"),
        }
    }

    /// Steps of floats, or the floats that they become.
    fn made<T: Narrow>(&self, input: TValue, made: impl Fn(f32, Linear) -> T) -> TractResult<Tensor> {
        match self.back {
            Some(back) => self.in_place(input, |value, linear| from_step(made(value, linear), back)),
            None => self.each(&input, made),
        }
    }

    fn each<A, B>(&self, input: &Tensor, work: impl Fn(A, Linear) -> B) -> TractResult<Tensor>
    where
        A: Datum + Copy,
        B: Datum + Copy,
    {
        let inner = self.inner(input.shape())?;
        // SAFETY: every element is written below.
        let mut output = unsafe { Tensor::uninitialized::<B>(input.shape())? };
        {
            let from = input.try_as_plain_ram()?;
            let from = from.as_slice::<A>()?;
            let mut into = output.try_as_plain_ram_mut()?;
            let into = into.as_slice_mut::<B>()?;
            match (&self.linear[..], inner) {
                ([linear], _) => wide::fill(from, into, *linear, &work),
                (_, 0) => {}
                (linear, 1) => {
                    let rows = from.chunks_exact(linear.len()).zip(into.chunks_exact_mut(linear.len()));
                    rows.for_each(|(from, into)| wide::fill_row(from, into, linear, &work));
                }
                (linear, inner) => {
                    let blocks = from.chunks_exact(inner).zip(into.chunks_exact_mut(inner));
                    for ((from, into), linear) in blocks.zip(linear.iter().cycle()) {
                        wide::fill(from, into, *linear, &work);
                    }
                }
            }
        }
        Ok(output)
    }

    /// The same of floats that become floats, in the memory where they are.
    fn in_place(&self, input: TValue, work: impl Fn(f32, Linear) -> f32) -> TractResult<Tensor> {
        let mut tensor = input.into_tensor();
        let inner = self.inner(tensor.shape())?;
        {
            let mut values = tensor.try_as_plain_ram_mut()?;
            let values = values.as_slice_mut::<f32>()?;
            match (&self.linear[..], inner) {
                ([linear], _) => wide::change(values, *linear, &work),
                (_, 0) => {}
                (linear, 1) => values
                    .chunks_exact_mut(linear.len())
                    .for_each(|values| wide::change_row(values, linear, &work)),
                (linear, inner) => {
                    for (values, linear) in values.chunks_exact_mut(inner).zip(linear.iter().cycle()) {
                        wide::change(values, *linear, &work);
                    }
                }
            }
        }
        Ok(tensor)
    }

    /// How many elements lie together for each place along the axis.
    fn inner(&self, shape: &[usize]) -> TractResult<usize> {
        if self.linear.len() == 1 {
            return Ok(0);
        }
        if shape.get(self.axis) != Some(&self.linear.len()) {
            bail!("{} scales do not go with the shape {shape:?}", self.linear.len());
        }
        Ok(shape[self.axis + 1..].iter().product())
    }
}

#[inline(always)]
fn from_zero(step: i32, linear: Linear) -> f32 {
    step.wrapping_sub(linear.zero) as f32 * linear.scale
}

#[inline(always)]
fn from_step<T: Narrow>(step: T, linear: Linear) -> f32 {
    from_zero(step.wide(), linear)
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

    fn eval(&self, _: &EvalContext<'_>, mut inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        Ok(tvec![self.run(inputs.remove(0))?.into_tvalue()])
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

    /// Steps that only become floats again need not be kept.
    fn declutter(&self, model: &TypedModel, node: &TypedNode) -> TractResult<Option<TypedModelPatch>> {
        let [linear] = self.linear[..] else { return Ok(None) };
        let Some(before) = model.single_prec(node.id)?.filter(|_| self.work == Work::Dequantise) else {
            return Ok(None);
        };
        let is_output = model.output_outlets()?.contains(&OutletId::new(before.id, 0));
        let makes_steps = before.op_as::<Self>().filter(|step| step.steps().is_some() && step.back.is_none());
        match makes_steps {
            Some(step) if before.outputs[0].successors.len() == 1 && !is_output => {
                let joined = Self { back: Some(linear), ..step.clone() };
                let patch = TypedModelPatch::fuse_with_next(model, before, joined)?;
                Ok(Some(patch))
            }
            _ => Ok(None),
        }
    }

    as_op!();
}

// The scales of a model's file are compared as they are; one that is no number equals
// none.
impl Eq for Step {}
