//! From a typed model to a plan.

use std::sync::{Arc, Mutex, PoisonError};

use samara_nn::{ANY_SIZE, Batching, Datatype, Error, Footprint, ModelSource, Result, Signature, TensorSpec};
use tract_linalg::multithread::Executor;
use tract_onnx::prelude::{RunOptions, TractResult, TypedModel, TypedRunnableModel};
use tract_onnx::tract_hir::infer::InferenceModel;
use tract_onnx::tract_hir::internal::{DimLike, TypedFact, format_err};
use tract_onnx::tract_hir::tract_core::ops::cnn::{Conv, Deconv};
use tract_onnx::tract_hir::tract_core::ops::konst::Const;

use super::error::refused;
use super::ml::Placed;
use super::open;
use super::plan::{PerShape, Plan, Plans};
use super::read::{
    Operators, check_datatypes, inputs, is_dynamic, outputs, parse, shape, typed, with_shapes, with_symbols,
};
use super::sizes::Sizes;
use super::{NAME, TractModel, rows};
use crate::onnx::Outline;

/// Makes a model ready to run, with one plan for all sizes where that can be.
pub(super) fn prepare(
    source: &ModelSource,
    outline: &Outline<'_>,
    threads: usize,
    tensor_limit: u64,
) -> Result<TractModel> {
    check_datatypes(source, outline, NAME, &[Datatype::Bf16])?;
    let name: Arc<str> = source.name.as_str().into();
    let mut first_error = None;
    // What the file says of inner tensors helps, unless it contradicts what is
    // inferred from open sizes.
    let attempts: &[bool] = if is_dynamic(outline) { &[true, false] } else { &[true] };
    for &value_info in attempts {
        let read = parse(source, NAME, Operators::Exact, value_info, tensor_limit);
        let planned = read.and_then(|read| {
            let typed = typed(with_symbols(read.clone(), outline)?)?;
            let interface = outputs(&typed, outline)?;
            let (batching, footprint) = (rows::batching(&typed), footprint(&typed));
            if batching == Batching::Rows
                && let Some(one) = for_one_row(read, &typed, &name, threads, tensor_limit)
            {
                return Ok((Plans::EachRow(Arc::new(one)), interface, Batching::None, footprint));
            }
            let plan = plan(typed, &name, threads, tensor_limit)?;
            Ok((Plans::AnyShape(Arc::new(plan)), interface, batching, footprint))
        });
        match planned {
            Ok((plans, outputs, batching, footprint)) => {
                let signature = Signature { inputs: inputs(outline), outputs };
                let plans = Arc::new(plans);
                return Ok(TractModel { name, signature, footprint, batching, plans });
            }
            Err(error) => {
                let error = refused(source, NAME, error);
                if matches!(error, Error::InvalidModel { .. } | Error::TooLarge { .. }) {
                    return Err(error);
                }
                first_error.get_or_insert(error);
            }
        }
    }
    let per_shape = is_dynamic(outline).then(|| per_shape(source, outline, threads, tensor_limit)).flatten();
    per_shape.ok_or_else(|| {
        first_error.unwrap_or_else(|| refused(source, NAME, format_err!("it could not be prepared")))
    })
}

/// A plan for inputs of exactly these shapes.
pub(super) fn for_shapes(
    source: &ModelSource,
    shapes: &[Vec<usize>],
    threads: usize,
    tensor_limit: u64,
) -> Result<Plan> {
    let name: Arc<str> = source.name.as_str().into();
    parse(source, NAME, Operators::Exact, false, tensor_limit)
        .and_then(|model| typed(with_shapes(model, shapes)?))
        .and_then(|typed| plan(typed, &name, threads, tensor_limit))
        .map_err(|error| refused(source, NAME, error))
}

/// The plan for one row of a model whose rows stand each for themselves, where that
/// leaves nothing open and it has convolutions.
fn for_one_row(
    read: InferenceModel,
    dynamic: &TypedModel,
    name: &Arc<str>,
    threads: usize,
    tensor_limit: u64,
) -> Option<Plan> {
    if !dynamic.nodes().iter().any(|node| node.op_is::<Conv>() || node.op_is::<Deconv>()) {
        return None;
    }
    let mut shapes: Vec<Vec<usize>> = Vec::with_capacity(dynamic.inputs.len());
    for input in &dynamic.inputs {
        let inner = dynamic.outlet_fact(*input).ok()?.shape.iter().skip(1);
        let known = std::iter::once(Some(1)).chain(inner.map(|size| size.to_usize().ok()));
        shapes.push(known.collect::<Option<_>>()?);
    }
    // Inferred anew with these sizes: put into what was inferred before, they leave some of
    // the general operators in place.
    plan(typed(with_shapes(read, &shapes).ok()?).ok()?, name, threads, tensor_limit).ok()
}

pub(super) fn plan(
    mut typed: TypedModel,
    name: &Arc<str>,
    threads: usize,
    tensor_limit: u64,
) -> TractResult<Plan> {
    Sizes::new(&typed, Arc::clone(name), tensor_limit)?;
    open::plan_when_sizes_come(&mut typed)?;
    typed.optimize()?;
    let sizes = Sizes::new(&typed, Arc::clone(name), tensor_limit)?;
    let options = RunOptions { executor: Some(executor(threads)), ..RunOptions::default() };
    Ok(Plan::new(TypedRunnableModel::new_with_options(typed, &options)?, sizes))
}

/// The threads of all models that were loaded for the same number of them.
fn executor(threads: usize) -> Executor {
    static POOLS: Mutex<Vec<(usize, Executor)>> = Mutex::new(Vec::new());
    if threads <= 1 {
        return Executor::SingleThread;
    }
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, pool)) = pools.iter().find(|(size, _)| *size == threads) {
        return pool.clone();
    }
    let pool = Executor::multithread_with_name(threads, "samara-tract");
    pools.push((threads, pool.clone()));
    pool
}

/// What the constants of a model take, and what its nodes have learned. A plan holds them packed for its
/// kernels, which takes about as much.
pub(super) fn footprint(model: &TypedModel) -> Footprint {
    let constants = model.nodes().iter().filter(|node| node.op_is::<Const>());
    let bytes = constants.flat_map(|node| &node.outputs).map(|output| fact_bytes(&output.fact));
    let learned = model.nodes().iter().filter_map(|node| node.op_as::<Placed>()).map(Placed::bytes);
    Footprint { host: bytes.chain(learned).sum(), device: 0, per_session: 0 }
}

fn fact_bytes(fact: &TypedFact) -> u64 {
    fact.mem_size().as_i64().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0)
}

/// A model that must know its shapes, if there are any for which it works.
fn per_shape(
    source: &ModelSource,
    outline: &Outline<'_>,
    threads: usize,
    tensor_limit: u64,
) -> Option<TractModel> {
    let declared: Vec<Vec<i64>> = outline.free_inputs().map(shape).collect();
    let with = |first: usize, other: usize| -> Vec<Vec<usize>> {
        let concrete = |(axis, &size): (usize, &i64)| match usize::try_from(size) {
            Ok(size) => size,
            Err(_) if axis == 0 => first,
            Err(_) => other,
        };
        declared.iter().map(|shape| shape.iter().enumerate().map(concrete).collect()).collect()
    };
    let probe = |shapes: &[Vec<usize>]| -> Option<(Vec<TensorSpec>, Footprint, Plan)> {
        let typed = parse(source, NAME, Operators::Exact, false, tensor_limit)
            .and_then(|model| typed(with_shapes(model, shapes)?))
            .ok()?;
        let outputs = outputs(&typed, outline).ok()?;
        let (name, footprint) = (source.name.as_str().into(), footprint(&typed));
        Some((outputs, footprint, plan(typed, &name, threads, tensor_limit).ok()?))
    };
    // Sizes for the axes after the first that small, middling and image models
    // take, and for the first: one row, or an even number.
    let tried = [1, 16, 224].into_iter().flat_map(|other| [(1, 3, other), (2, 4, other)]);
    let (shapes, (mut outputs, footprint, first_plan), (larger, ..)) =
        tried.into_iter().find_map(|(few, more, other)| {
            let shapes = with(few, other);
            let found = probe(&shapes)?;
            Some((shapes, found, probe(&with(more, other))?))
        })?;
    for (output, larger) in outputs.iter_mut().zip(larger) {
        for (size, other) in output.shape.iter_mut().zip(larger.shape) {
            if *size != other {
                *size = ANY_SIZE;
            }
        }
    }
    let name = source.name.as_str().into();
    let signature = Signature { inputs: inputs(outline), outputs };
    let plans = Mutex::new(vec![(shapes, Arc::new(first_plan))]);
    let plans = Plans::PerShape(PerShape { source: source.clone(), threads, tensor_limit, plans });
    let batching = Batching::None;
    Some(TractModel { name, signature, footprint, batching, plans: Arc::new(plans) })
}
