//! Values that follow from the sizes of the inputs alone, such as a shape or a
//! number of elements: computed once per set of input shapes, by the model's own
//! operators, before a run.

use std::sync::Arc;

use tract_core::internal::{
    EvalContext, IntoArcTensor, IntoTValue, TDim, TValue, TVec, Tensor, TractResult, TypedOp, bail, ensure,
    tensor1,
};

use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::schedule::Sizes;
use crate::view::volume;

/// One output of an operator over values that are known or follow from sizes.
#[derive(Debug)]
pub(crate) struct Derived {
    pub op: Box<dyn TypedOp>,
    pub inputs: Vec<Given>,
    pub slot: usize,
    /// What the model says of its shape.
    pub shape: Vec<TDim>,
}

#[derive(Debug, Clone)]
pub(crate) enum Given {
    Known(Arc<Tensor>),
    Derived(Arc<Derived>),
}

/// Values of more elements are no sizes.
const MOST_ELEMENTS: u32 = 1 << 20;

/// A value with sizes, where it has some, as numbers.
pub(crate) fn as_numbers(value: TValue, sizes: &Sizes) -> TractResult<TValue> {
    if !value.datum_type().is_tdim() {
        return Ok(value);
    }
    let dims = value.try_as_plain_ram()?;
    let numbers = dims.as_slice::<TDim>()?.iter().map(|size| size.eval_to_i64(sizes.values()));
    let numbers: Vec<i64> = numbers.collect::<TractResult<_>>()?;
    Ok(tensor1(&numbers).into_shape(value.shape())?.into_tvalue())
}

impl Derived {
    /// The value as elements for the device.
    ///
    /// # Errors
    /// When it cannot be computed, or is not what the model says.
    pub(crate) fn tensor(&self, dtype: Dtype, sizes: &Sizes) -> Result<Arc<Tensor>> {
        let failed = |error| Error::Failed(format!("{}: {error}", self.op.name()));
        let mut value = self.value(sizes).map_err(failed)?;
        value = as_numbers(value, sizes).map_err(failed)?;
        let shape: Vec<u32> = self.shape.iter().map(|size| sizes.size(size)).collect::<Result<_>>()?;
        let fits = value.shape().iter().map(|&size| size as u64).eq(shape.into_iter().map(u64::from));
        if !fits || Dtype::of(value.datum_type()) != Some(dtype) {
            let name = self.op.name();
            return Err(Error::Failed(format!("{name} gave {value:?}, which the model did not announce")));
        }
        Ok(value.into_arc_tensor())
    }

    /// The value to the operators of the model.
    ///
    /// # Errors
    /// When it cannot be computed, or is too large for what follows from sizes.
    pub(crate) fn value(&self, sizes: &Sizes) -> TractResult<TValue> {
        match sizes.size(&volume(&self.shape)) {
            Ok(..=MOST_ELEMENTS) => {}
            _ => bail!("it would give more than {MOST_ELEMENTS} elements"),
        }
        let inputs: TVec<TValue> = self
            .inputs
            .iter()
            .map(|input| match input {
                Given::Known(tensor) => Ok(Arc::clone(tensor).into_tvalue()),
                Given::Derived(derived) => derived.value(sizes),
            })
            .collect::<TractResult<_>>()?;
        let context = EvalContext { symbols: sizes.values(), ..EvalContext::out_of_plan() };
        let mut outputs = self.op.eval(&context, inputs)?;
        ensure!(self.slot < outputs.len(), "it gave too few values");
        Ok(outputs.swap_remove(self.slot))
    }
}
