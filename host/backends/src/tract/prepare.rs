//! From an ONNX file to a plan.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use prost::Message;
use samara_nn::{ANY_SIZE, Batching, Datatype, Error, Footprint, ModelSource, Result, Signature, TensorSpec};
use tract_linalg::multithread::Executor;
use tract_onnx::Onnx;
use tract_onnx::data_resolver::FopenDataResolver;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::{
    InferenceModel, InferenceModelExt, RunOptions, TDim, TractResult, TypedModel, TypedRunnableModel,
};
use tract_onnx::tract_hir::infer::{Factoid, ShapeFactoid};
use tract_onnx::tract_hir::internal::{DatumType, SpecialOps, TypedFact, bail, format_err};
use tract_onnx::tract_hir::tract_core::ops::cast::cast;
use tract_onnx::tract_hir::tract_core::ops::konst::Const;

use super::error::refused;
use super::plan::{PerShape, Plan, Plans};
use super::sizes::Sizes;
use super::{NAME, TractModel, guard, rows, tensors};
use crate::onnx::{self, Dim, Outline, is_default_domain, quote};

/// Refuses models with operators that tract lacks, naming every one.
///
/// # Errors
/// [`Error::Unsupported`].
pub(super) fn check_operators(source: &ModelSource, outline: &Outline<'_>) -> Result<()> {
    let unsupported =
        |reason: String| Error::Unsupported { model: source.name.clone(), backend: NAME, reason };
    let opset = outline.default_opset();
    if opset > NEWEST_OPSET {
        return Err(unsupported(format!(
            "it is written in ONNX operator set {opset}, and {NEWEST_OPSET} is the newest that is known"
        )));
    }
    let mut missing = BTreeSet::new();
    let mut first = None;
    outline.for_each_node(&mut |node| {
        let known_domain = is_default_domain(node.domain) || OTHER_DOMAINS.contains(&node.domain);
        if known_domain && framework().op_register.0.contains_key(node.operator) {
            return;
        }
        first.get_or_insert_with(|| node.to_string());
        missing.insert(match node.domain {
            "" => node.operator.to_owned(),
            domain => format!("{domain}.{}", node.operator),
        });
    });
    match first {
        None => Ok(()),
        Some(first) => {
            let missing: Vec<String> = missing.iter().take(10).map(|name| quote(name)).collect();
            Err(unsupported(format!("it lacks the operator {}; the first is at {first}", missing.join(", "))))
        }
    }
}

/// Makes a model ready to run, with one plan for all sizes where that can be.
pub(super) fn prepare(
    source: &ModelSource,
    outline: &Outline<'_>,
    threads: usize,
    tensor_limit: u64,
) -> Result<TractModel> {
    check_datatypes(source, outline)?;
    let name: Arc<str> = source.name.as_str().into();
    let mut first_error = None;
    // What the file says of inner tensors helps, unless it contradicts what is
    // inferred from open sizes.
    let attempts: &[bool] = if is_dynamic(outline) { &[true, false] } else { &[true] };
    for &value_info in attempts {
        let typed = parse(source, value_info, tensor_limit).and_then(|model| typed(with_symbols(model)?));
        let planned = typed.and_then(|typed| {
            let interface = outputs(&typed, outline)?;
            let (batching, footprint) = (rows::batching(&typed), footprint(&typed));
            Ok((plan(typed, &name, threads, tensor_limit)?, interface, batching, footprint))
        });
        match planned {
            Ok((plan, outputs, batching, footprint)) => {
                let signature = Signature { inputs: inputs(outline), outputs };
                let plans = Arc::new(Plans::AnyShape(Arc::new(plan)));
                return Ok(TractModel { name, signature, footprint, batching, plans });
            }
            Err(error) => {
                let error = refused(source, error);
                if matches!(error, Error::InvalidModel { .. } | Error::TooLarge { .. }) {
                    return Err(error);
                }
                first_error.get_or_insert(error);
            }
        }
    }
    let per_shape = is_dynamic(outline).then(|| per_shape(source, outline, threads, tensor_limit)).flatten();
    per_shape.ok_or_else(|| {
        first_error.unwrap_or_else(|| refused(source, format_err!("it could not be prepared")))
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
    parse(source, false, tensor_limit)
        .and_then(|model| typed(with_shapes(model, shapes)?))
        .and_then(|typed| plan(typed, &name, threads, tensor_limit))
        .map_err(|error| refused(source, error))
}

/// The newest operator set that the conformance runs cover.
const NEWEST_OPSET: i64 = 27;

/// Domains whose operators tract has under the same names.
const OTHER_DOMAINS: [&str; 2] = ["ai.onnx.ml", "com.microsoft"];

/// tract's reader of ONNX files, with its operators.
fn framework() -> &'static Onnx {
    static FRAMEWORK: OnceLock<Onnx> = OnceLock::new();
    FRAMEWORK.get_or_init(|| {
        let mut framework = tract_onnx::onnx();
        // Not in any published operator set, and it fills memory while it is read.
        framework.op_register.0.remove("ConstantLike");
        guard::guard(&mut framework);
        // A mapped file that shrinks while it is read would end the process.
        framework.provider = Arc::new(FopenDataResolver);
        framework
    })
}

fn is_dynamic(outline: &Outline<'_>) -> bool {
    outline.free_inputs().flat_map(|input| shape(input)).any(|size| size == ANY_SIZE)
}

fn shape(value: &onnx::ValueInfo<'_>) -> Vec<i64> {
    let dims = value.tensor.iter().flat_map(|tensor| tensor.shape.iter().flatten());
    dims.map(|dim| if let Dim::Fixed(size) = dim { *size } else { ANY_SIZE }).collect()
}

fn inputs(outline: &Outline<'_>) -> Vec<TensorSpec> {
    let specs = outline.free_inputs().map(|input| {
        let number = input.tensor.as_ref().map_or(0, |tensor| tensor.datatype);
        TensorSpec::new(input.name, onnx::datatype(number).unwrap_or(Datatype::Fp32), shape(input))
    });
    specs.collect()
}

fn outputs(typed: &TypedModel, outline: &Outline<'_>) -> TractResult<Vec<TensorSpec>> {
    let specs = outline.graph.outputs.iter().enumerate().map(|(index, output)| {
        let fact = typed.output_fact(index)?;
        let datatype = tensors::datatype(fact.datum_type).ok_or_else(|| {
            format_err!("output {} has tract's type {:?}", quote(output.name), fact.datum_type)
        })?;
        let sizes: Vec<i64> = fact.shape.iter().map(|size| size.as_i64().unwrap_or(ANY_SIZE)).collect();
        Ok(TensorSpec::new(output.name, datatype, sizes))
    });
    specs.collect()
}

fn check_datatypes(source: &ModelSource, outline: &Outline<'_>) -> Result<()> {
    let values = outline.free_inputs().chain(&outline.graph.outputs);
    for value in values {
        let datatype = value.tensor.as_ref().and_then(|tensor| onnx::datatype(tensor.datatype));
        if datatype == Some(Datatype::Bf16) {
            let reason = format!("tensor {} is BF16, which it cannot compute", quote(value.name));
            return Err(Error::Unsupported { model: source.name.clone(), backend: NAME, reason });
        }
    }
    Ok(())
}

fn parse(source: &ModelSource, value_info: bool, tensor_limit: u64) -> TractResult<InferenceModel> {
    // The framework's own reader would copy the file first.
    let proto = ModelProto::decode(&source.bytes[..]).map_err(|error| {
        let reason = error.to_string();
        Error::InvalidModel { model: source.name.clone(), backend: NAME, reason }
    })?;
    let directory = match source.path.as_deref().map(|path| path.parent().unwrap_or(Path::new(""))) {
        None => None,
        Some(directory) => {
            let directory = directory.to_str();
            Some(directory.ok_or_else(|| format_err!("the path of its directory is not UTF-8"))?)
        }
    };
    let framework = framework().clone().with_ignore_value_info(!value_info);
    let parsed = framework.parse_with_template(&proto, directory, guard::template(tensor_limit))?;
    if let Some(name) = parsed.unresolved_inputs.first() {
        bail!("nothing provides `{name}`");
    }
    Ok(parsed.model)
}

/// Names every size that the inputs leave open.
fn with_symbols(mut model: InferenceModel) -> TractResult<InferenceModel> {
    for index in 0..model.inputs.len() {
        let fact = model.input_fact(index)?.clone();
        let sizes = fact.shape.dims().map(|size| {
            size.concretize().unwrap_or_else(|| TDim::from(model.symbols.new_with_prefix("size")))
        });
        let shape = ShapeFactoid::from(sizes.collect::<Vec<TDim>>());
        model.set_input_fact(index, fact.with_shape(shape))?;
    }
    Ok(model)
}

/// Gives the inputs these shapes, and the sizes that they name these values.
fn with_shapes(mut model: InferenceModel, shapes: &[Vec<usize>]) -> TractResult<InferenceModel> {
    let mut values = HashMap::new();
    for (index, shape) in shapes.iter().enumerate() {
        let fact = model.input_fact(index)?.clone();
        for (size, &value) in fact.shape.dims().zip(shape) {
            if let Some(TDim::Sym(symbol)) = size.concretize() {
                values.insert(symbol, TDim::from(value));
            }
        }
        model.set_input_fact(index, fact.with_shape(ShapeFactoid::from(shape.clone())))?;
    }
    model.set_symbols(&values)?;
    Ok(model)
}

/// Infers every shape and datatype, with sizes as outputs turned into numbers.
fn typed(model: InferenceModel) -> TractResult<TypedModel> {
    let mut typed = model.into_typed()?;
    let mut outputs = typed.output_outlets()?.to_vec();
    for outlet in &mut outputs {
        if typed.outlet_fact(*outlet)?.datum_type == DatumType::TDim {
            let name = typed.unique_name(format!("{}.sizes", typed.node(outlet.node).name)).into_owned();
            *outlet = typed.wire_node(name, cast(DatumType::I64), &[*outlet])?[0];
        }
    }
    typed.select_output_outlets(&outputs)?;
    typed.into_decluttered()
}

fn plan(mut typed: TypedModel, name: &Arc<str>, threads: usize, tensor_limit: u64) -> TractResult<Plan> {
    Sizes::new(&typed, Arc::clone(name), tensor_limit)?;
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

/// What the constants of a model take. A plan holds them packed for its
/// kernels, which takes about as much.
fn footprint(model: &TypedModel) -> Footprint {
    let constants = model.nodes().iter().filter(|node| node.op_is::<Const>());
    let bytes = constants.flat_map(|node| &node.outputs).map(|output| fact_bytes(&output.fact));
    Footprint { host: bytes.sum(), device: 0, per_session: 0 }
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
        let typed =
            parse(source, false, tensor_limit).and_then(|model| typed(with_shapes(model, shapes)?)).ok()?;
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
