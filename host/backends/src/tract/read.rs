//! From an ONNX file to tract's typed model, for every backend that begins with
//! one.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

use prost::Message;
use samara_nn::{ANY_SIZE, Beside, Datatype, Error, ModelSource, Result, TensorSpec};
use tract_onnx::Onnx;
use tract_onnx::data_resolver::FopenDataResolver;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::{InferenceModel, InferenceModelExt, TDim, TractResult, TypedModel};
use tract_onnx::tract_hir::infer::{Factoid, ShapeFactoid};
use tract_onnx::tract_hir::internal::{DatumType, SpecialOps, bail, format_err};
use tract_onnx::tract_hir::tract_core::ops::cast::cast;

use super::{guard, inline, ml, qdq, quantised, tensors};
use crate::onnx::{self, Dim, Outline, is_default_domain, learned, quote};

/// The operators that a backend computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operators {
    /// tract's, and those of `ai.onnx.ml`.
    Plain,
    /// And all on narrow integers, exactly as ONNX Runtime computes them.
    Exact,
}

/// Refuses models with operators that tract lacks, naming every one.
///
/// # Errors
/// [`Error::Unsupported`].
pub(crate) fn check_operators(
    source: &ModelSource,
    outline: &Outline<'_>,
    backend: &'static str,
    operators: Operators,
) -> Result<()> {
    let unsupported = |reason: String| Error::Unsupported { model: source.name.clone(), backend, reason };
    let opset = outline.default_opset();
    if opset > NEWEST_OPSET {
        return Err(unsupported(format!(
            "it is written in ONNX operator set {opset}, and {NEWEST_OPSET} is the newest that is known"
        )));
    }
    let mut missing = BTreeSet::new();
    let mut first = None;
    outline.for_each_node(&mut |node| {
        let known_there = match node.domain {
            learned::DOMAIN => {
                LEARNED.contains(&node.operator) || learned::OPERATORS.contains(&node.operator)
            }
            "com.microsoft" => !learned::OPERATORS.contains(&node.operator),
            domain => {
                let is_elsewhere =
                    learned::OPERATORS.contains(&node.operator) || quantised::is_own(node.operator);
                is_default_domain(domain) && !is_elsewhere
            }
        };
        let is_call = outline.functions.iter().any(|function| function.is_called_by(node));
        if known_there && !is_call && framework(operators).op_register.0.contains_key(node.operator) {
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

/// Refuses models that take or give datatypes that the backend lacks.
///
/// # Errors
/// [`Error::Unsupported`] naming the tensor.
pub(crate) fn check_datatypes(
    source: &ModelSource,
    outline: &Outline<'_>,
    backend: &'static str,
    lacked: &[Datatype],
) -> Result<()> {
    for value in outline.free_inputs().chain(&outline.graph.outputs) {
        let datatype = value.tensor().and_then(|tensor| onnx::datatype(tensor.datatype));
        if let Some(datatype) = datatype.filter(|datatype| lacked.contains(datatype)) {
            let reason = format!("tensor {} is {datatype}, which it cannot compute", quote(value.name));
            return Err(Error::Unsupported { model: source.name.clone(), backend, reason });
        }
    }
    Ok(())
}

/// Whether an input has an open size.
pub(crate) fn is_dynamic(outline: &Outline<'_>) -> bool {
    outline.free_inputs().flat_map(|input| shape(input)).any(|size| size == ANY_SIZE)
}

/// The declared sizes of a tensor, `-1` for open ones.
pub(crate) fn shape(value: &onnx::ValueInfo<'_>) -> Vec<i64> {
    let dims = value.tensor().into_iter().flat_map(|tensor| tensor.shape.iter().flatten());
    dims.map(|dim| if let Dim::Fixed(size) = dim { *size } else { ANY_SIZE }).collect()
}

/// The inputs that a caller gives.
pub(crate) fn inputs(outline: &Outline<'_>) -> Vec<TensorSpec> {
    let specs = outline.free_inputs().map(|input| {
        let number = input.tensor().map_or(0, |tensor| tensor.datatype);
        TensorSpec::new(input.name, onnx::datatype(number).unwrap_or(Datatype::Fp32), shape(input))
    });
    specs.collect()
}

/// The outputs as tract inferred them.
pub(crate) fn outputs(typed: &TypedModel, outline: &Outline<'_>) -> TractResult<Vec<TensorSpec>> {
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

/// Reads a model as far as its operators, with what the file says of inner
/// tensors where `value_info`.
pub(crate) fn parse(
    source: &ModelSource,
    backend: &'static str,
    operators: Operators,
    value_info: bool,
    tensor_limit: u64,
) -> TractResult<InferenceModel> {
    // The framework's own reader would copy the file first.
    let mut proto = ModelProto::decode(&source.bytes[..]).map_err(|error| {
        let reason = error.to_string();
        Error::InvalidModel { model: source.name.clone(), backend, reason }
    })?;
    let directory = match &source.beside {
        Beside::Folder(folder) => {
            Some(folder.to_str().ok_or_else(|| format_err!("the path of its directory is not UTF-8"))?)
        }
        Beside::Files(files) => {
            inline::inline(&mut proto, files)?;
            None
        }
        Beside::Nothing => None,
    };
    if operators == Operators::Exact {
        qdq::join(&mut proto);
    }
    let framework = framework(operators).clone().with_ignore_value_info(!value_info);
    let parsed = framework.parse_with_template(&proto, directory, guard::template(tensor_limit))?;
    if let Some(name) = parsed.unresolved_inputs.first() {
        bail!("nothing provides `{name}`");
    }
    Ok(parsed.model)
}

/// Names every size that the inputs leave open. Where something has learned of
/// rows, all inputs have as many.
pub(crate) fn with_symbols(mut model: InferenceModel, outline: &Outline<'_>) -> TractResult<InferenceModel> {
    let rows = outline.has_learned_of_rows().then(|| TDim::from(model.symbols.new_with_prefix("rows")));
    for index in 0..model.inputs.len() {
        let fact = model.input_fact(index)?.clone();
        let sizes = fact.shape.dims().enumerate().map(|(axis, size)| {
            let rows = rows.clone().filter(|_| axis == 0);
            let name = || rows.unwrap_or_else(|| TDim::from(model.symbols.new_with_prefix("size")));
            size.concretize().unwrap_or_else(name)
        });
        let shape = ShapeFactoid::from(sizes.collect::<Vec<TDim>>());
        model.set_input_fact(index, fact.with_shape(shape))?;
    }
    Ok(model)
}

/// Gives the inputs these shapes, and the sizes that they name these values.
pub(crate) fn with_shapes(mut model: InferenceModel, shapes: &[Vec<usize>]) -> TractResult<InferenceModel> {
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
pub(crate) fn typed(model: InferenceModel) -> TractResult<TypedModel> {
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

/// The newest operator set that the conformance runs cover.
const NEWEST_OPSET: i64 = 27;

/// Operators of `ai.onnx.ml` that tract has itself.
const LEARNED: [&str; 2] = ["ArrayFeatureExtractor", "CategoryMapper"];

/// tract's reader of ONNX files, with its operators.
fn framework(operators: Operators) -> &'static Onnx {
    static PLAIN: OnceLock<Onnx> = OnceLock::new();
    static EXACT: OnceLock<Onnx> = OnceLock::new();
    let framework = if operators == Operators::Exact { &EXACT } else { &PLAIN };
    framework.get_or_init(|| {
        let mut framework = unguarded(operators);
        // Not in any published operator set, and it fills memory while it is read.
        framework.op_register.0.remove("ConstantLike");
        guard::guard(&mut framework, operators);
        // A mapped file that shrinks while it is read would end the process.
        framework.provider = Arc::new(FopenDataResolver);
        framework
    })
}

/// The same, with operators that do not look before they compute.
pub(super) fn unguarded(operators: Operators) -> Onnx {
    let mut framework = ml::framework();
    if operators == Operators::Exact {
        quantised::register(&mut framework);
    }
    framework
}
