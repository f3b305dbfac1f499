//! Convolutions of images whose sizes are open. tract's fast ways to compute one need the
//! sizes; without them it copies every window of every channel first. So the ones with few
//! weights are planned when a size comes.

use std::sync::{Arc, Mutex, PoisonError};

use tract_onnx::prelude::{
    IntoRunnable, TVec, Tensor, TractResult, TypedFact, TypedModel, TypedRunnableModel, tvec,
};
use tract_onnx::tract_hir::internal::{
    EvalContext, EvalOp, Op, SpecialOps, StaticName, TValue, TypedModelPatch, TypedNode, TypedOp, as_op,
    ensure, op_as_typed_op, op_out_of_plan,
};
use tract_onnx::tract_hir::tract_core::ops::cnn::Conv;

/// Weights of a convolution that is planned for several sizes: each plan holds them.
const MOST_WEIGHTS: usize = 1 << 16;

/// Sizes that a convolution remembers the plans of.
const MOST_PLANS: usize = 4;

/// Has the convolutions of a model planned when sizes come, where they are open and that
/// is faster.
pub(super) fn plan_when_sizes_come(model: &mut TypedModel) -> TractResult<()> {
    let open: Vec<usize> =
        model.nodes().iter().filter(|node| is_open(model, node)).map(|node| node.id).collect();
    for id in open {
        let node = model.node(id);
        let Some(conv) = node.op_as::<Conv>() else { continue };
        let constant = |place: usize| TractResult::Ok(model.outlet_fact(node.inputs[place])?.konst.clone());
        let (Some(kernel), Some(bias)) = (constant(1)?, constant(2)?) else { continue };
        let planned = OpenConv { conv: conv.clone(), kernel, bias, plans: Arc::default() };
        let patch = TypedModelPatch::replace_single_op(model, node, &node.inputs[..1], planned)?;
        patch.apply(model)?;
    }
    Ok(())
}

fn is_open(model: &TypedModel, node: &TypedNode) -> bool {
    let Some(conv) = node.op_as::<Conv>() else { return false };
    let input = model.outlet_fact(node.inputs[0]);
    let weights = model.outlet_fact(node.inputs[1]);
    let (Ok(input), Ok(weights)) = (input, weights) else { return false };
    conv.q_params.is_none()
        && conv.pool_spec.kernel_shape.iter().product::<usize>() > 1
        && input.shape.as_concrete().is_none()
        && weights.konst.as_ref().is_some_and(|weights| weights.len() <= MOST_WEIGHTS)
}

/// The shape of an input and the plan for it.
type Sized = (TVec<usize>, Arc<TypedRunnableModel>);

/// A convolution that is planned for each size that comes.
#[derive(Debug, Clone)]
struct OpenConv {
    conv: Conv,
    kernel: Arc<Tensor>,
    bias: Arc<Tensor>,
    plans: Arc<Mutex<Vec<Sized>>>,
}

impl OpenConv {
    fn plan_for(&self, input: &Tensor) -> TractResult<Arc<TypedRunnableModel>> {
        if let Some(plan) = self.recall(input.shape()) {
            return Ok(plan);
        }
        let mut model = TypedModel::default();
        let x = model.add_source("x", TypedFact::dt_shape(input.datum_type(), input.shape()))?;
        let kernel = model.add_const("kernel", Arc::clone(&self.kernel))?;
        let bias = model.add_const("bias", Arc::clone(&self.bias))?;
        let y = model.wire_node("convolved", self.conv.clone(), &[x, kernel, bias])?;
        model.select_output_outlets(&y)?;
        let plan = model.into_optimized()?.into_runnable()?;
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans.truncate(MOST_PLANS - 1);
        plans.insert(0, (input.shape().into(), Arc::clone(&plan)));
        Ok(plan)
    }

    /// The plan for this shape, which becomes the one that was used last.
    fn recall(&self, shape: &[usize]) -> Option<Arc<TypedRunnableModel>> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let index = plans.iter().position(|(known, _)| known[..] == *shape)?;
        plans[..=index].rotate_right(1);
        Some(Arc::clone(&plans[0].1))
    }
}

impl Op for OpenConv {
    fn name(&self) -> StaticName {
        "Conv".into()
    }

    op_as_typed_op!();
}

impl EvalOp for OpenConv {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext<'_>, mut inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        ensure!(inputs.len() == 1, "a convolution has {} inputs", inputs.len());
        let input = inputs.remove(0);
        self.plan_for(&input)?.run(tvec![input])
    }
}

impl TypedOp for OpenConv {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let kernel = TypedFact::try_from(Arc::clone(&self.kernel))?;
        let bias = TypedFact::try_from(Arc::clone(&self.bias))?;
        self.conv.output_facts(&[inputs[0], &kernel, &bias])
    }

    as_op!();
}

// Two convolutions are never one.
impl PartialEq for OpenConv {
    fn eq(&self, _: &Self) -> bool {
        false
    }
}

impl Eq for OpenConv {}
